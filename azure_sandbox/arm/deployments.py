"""Microsoft.Resources/deployments: template deployments, as ``az vm create`` makes them.

A template's resources are made through the same operations that a client would call, in the order of their dependsOn.
Of the template language only literal values and these functions are emulated: parameters, variables, concat, resourceId,
resourceGroup().location, subscription().subscriptionId, reference(name or id[, version, 'Full']) with one member or
more behind it.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..resource import DEPLOYMENT, Json, ResourceId, spelled
from . import errors, operations
from .call import Call
from .errors import ArmError


async def put(call: Call) -> Response:
    properties = call.body.get("properties") or {}
    template = properties.get("template")
    if not isinstance(template, dict):
        raise errors.linked_template_not_emulated()
    try:
        evaluate = _Evaluator(call, template, properties.get("parameters") or {})
        resources = _ordered(evaluate.resources(template.get("resources") or []))
        paths = [_path(call, resource) for resource in resources]
        evaluate.value(template.get("outputs") or {})
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise errors.invalid_template(reason=f"{type(error).__name__}: {error}") from error
    written = {id(resource): given for resource, given in evaluate.written}
    for path, resource in zip(paths, resources, strict=True):
        # What is made by now can be referred to.
        await _make(call, path, evaluate.value(written[id(resource)]))
    now = call.tenant.clock.timestamp()
    deployment: Json = {
        "id": str(call.id),
        "name": call.parameters["name"],
        "type": DEPLOYMENT,
        "properties": {
            "templateHash": str(zlib.crc32(json.dumps(template, sort_keys=True).encode())),
            "parameters": evaluate.shown_parameters(),
            "mode": properties.get("mode", "Incremental"),
            "provisioningState": "Succeeded",
            "timestamp": now,
            "duration": "PT1S",
            "correlationId": operations.new_id(),
            "providers": _providers(resources),
            "dependencies": _dependencies(resources, paths),
            "outputs": evaluate.value(template.get("outputs") or {}),
            "outputResources": [{"id": resource_id} for resource_id in paths],
        },
    }
    existing = call.stored()
    call.tenant.store.put(deployment)
    shown = {key: value for key, value in deployment["properties"].items() if not key.startswith("output")}
    response = JSONResponse(
        {**deployment, "properties": {**shown, "provisioningState": "Accepted"}}, status_code=200 if existing else 201
    )
    path = f"{call.id}/operationStatuses/{operations.new_id()}"
    response.headers["Azure-AsyncOperation"] = operations.start(call, path, word="Running")
    return response


async def get_all(call: Call) -> Json:
    return {"value": call.readable()}


async def get(call: Call) -> Json:
    return call.existing()


async def delete(call: Call) -> Response:
    deployment = call.stored()
    if deployment is None:
        return Response(status_code=204)
    call.tenant.store.delete(deployment.id)  # what was deployed stays
    path = f"{call.tenant.subscription}/operationresults/{operations.new_id()}"
    url = operations.start(call, path, result={"status": 204})
    return Response(status_code=202, headers={"Location": url, "Retry-After": "15"})


async def get_operation(call: Call) -> Json:
    return operations.status(operations.polled(call))


def _providers(resources: list[Json]) -> list[Json]:
    found: dict[str, dict[str, list[str]]] = {}
    for resource in resources:
        namespace, _, resource_type = resource["type"].partition("/")
        found.setdefault(namespace, {}).setdefault(resource_type, []).append(resource.get("location", ""))
    return [
        {
            "namespace": namespace,
            "resourceTypes": [
                {"resourceType": resource_type, "locations": at} for resource_type, at in resource_types.items()
            ],
        }
        for namespace, resource_types in found.items()
    ]


def _depends(resource: Json, other: Json) -> bool:
    full = f"{other['type']}/{other['name']}".lower()
    return other is not resource and any(
        full == name.lower() or name.lower().endswith(f"/providers/{full}") or name.lower() == other["name"].lower()
        for name in resource.get("dependsOn") or []
    )


def _dependencies(resources: list[Json], paths: list[str]) -> list[Json]:
    """Which resource waits for which, as a deployment tells it."""
    named = [
        {"id": path, "resourceType": resource["type"], "resourceName": resource["name"]}
        for path, resource in zip(paths, resources, strict=True)
    ]
    return [
        {"dependsOn": before, **own}
        for resource, own in zip(resources, named, strict=True)
        if (before := [name for other, name in zip(resources, named, strict=True) if _depends(resource, other)])
    ]


def _ordered(resources: list[Json]) -> list[Json]:
    """The resources so that each comes after those it depends on."""
    waiting, done = list(resources), []

    while waiting:
        ready = [each for each in waiting if not any(_depends(each, other) for other in waiting)]
        if not ready:
            names = ", ".join(each["name"] for each in waiting)
            raise errors.invalid_template(reason=f"circular dependency between {names}")
        done += ready
        waiting = [each for each in waiting if each not in ready]
    return done


def _path(call: Call, resource: Json) -> str:
    """The id of a resource of the template."""
    if not isinstance(resource["apiVersion"], str):
        raise TypeError("apiVersion must be a string")
    return _resource_id(call, resource["type"], *resource["name"].split("/"))


def _resource_id(call: Call, resource_type: str, *names: str) -> str:
    """The id of a resource in the deployment's group."""
    provider, *resource_types = resource_type.split("/")
    pairs = "".join(f"/{each}/{name}" for each, name in zip(resource_types, names, strict=True))
    return f"{call.tenant.group(call.parameters['group'])}/providers/{provider}{pairs}"


async def _make(call: Call, path: str, resource: Json) -> None:
    """Make one resource of the template through the operation that a client would call."""
    body = {key: value for key, value in resource.items() if key not in ("type", "name", "apiVersion", "dependsOn")}
    content = json.dumps(body).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    scope = {
        **call.request.scope,
        "method": "PUT",
        "path": path,
        "raw_path": path.encode(),
        "query_string": f"api-version={resource['apiVersion']}".encode(),
        "path_params": {},
        "headers": [
            *((name, value) for name, value in call.request.scope["headers"] if name not in (b"content-length",)),
            (b"content-length", str(len(content)).encode()),
        ],
    }
    response = await call.perform(Request(scope, receive))
    if response.status_code >= 400:
        error = json.loads(bytes(response.body))["error"]
        raise errors.deployment_failed(response.status_code, [error])


_PARAMETER_TYPES = ("String", "SecureString", "Int", "Bool", "Array", "Object", "SecureObject")


class _Evaluator:
    """The values of a template: literal ones, and a few functions."""

    _CALL = re.compile(r"\s*(\w+)\((.*)\)((?:\.\w+)*)\s*", re.DOTALL)

    def __init__(self, call: Call, template: Json, given: Json) -> None:
        self._call, self._template = call, template
        self.written: list[tuple[Json, Json]] = []
        defaults = {name: each.get("defaultValue") for name, each in (template.get("parameters") or {}).items()}
        self._parameters = {**defaults, **{name: each.get("value") for name, each in given.items()}}

    def shown_parameters(self) -> Json:
        """The parameters without what is secret."""
        declared = self._template.get("parameters") or {}
        shown = {}
        for name, value in self._parameters.items():
            parameter_type = spelled(str((declared.get(name) or {}).get("type", "")), _PARAMETER_TYPES) or "String"
            shown[name] = (
                {"type": parameter_type}
                if parameter_type.startswith("Secure")
                else {"type": parameter_type, "value": value}
            )
        return shown

    def resources(self, resources: list[Json]) -> list[Json]:
        """The resources, as far as they are known before anything is made; `written` keeps the template's own words."""
        self.written = [(self.value(each), each) for each in resources if self.value(each.get("condition", True))]
        return [resource for resource, _ in self.written]

    def value(self, given: Any) -> Any:
        if isinstance(given, dict):
            return {key: self.value(each) for key, each in given.items()}
        if isinstance(given, list):
            return [self.value(each) for each in given]
        if isinstance(given, str) and given.startswith("[["):
            return given[1:]
        if isinstance(given, str) and given.startswith("[") and given.endswith("]"):
            return self._expression(given[1:-1])
        return given

    def _expression(self, text: str) -> Any:
        text = text.strip()
        if re.fullmatch(r"'(?:[^']|'')*'", text):
            return text[1:-1].replace("''", "'")
        if re.fullmatch(r"-?\d+", text):
            return int(text)
        match = self._CALL.fullmatch(text)
        if match is None:
            raise self._unknown(text)
        name, members = match[1].lower(), match[3].lstrip(".")
        if name == "reference":
            return self._reference([self._expression(each) for each in _arguments(match[2])], members)
        value = self._function(name, [self._expression(each) for each in _arguments(match[2])], text)
        for member in filter(None, members.split(".")):
            value = value[member]
        return value

    def _reference(self, arguments: list[Any], members: str) -> Any:
        """A member of what the template has made: of its properties, or of all of it; none before it is made."""
        wanted = ResourceId(str(arguments[0]).lower())
        given = next((each for each, _ in self.written if each["name"].lower() == wanted.name), None)
        path = str(wanted) if wanted.key.startswith("/") or given is None else _path(self._call, given)
        found = self._call.tenant.store.get(path)
        value: Any = found if arguments[2:] == ["Full"] or found is None else found.get("properties")
        for member in filter(None, members.split(".")):
            value = (value or {}).get(member)
        return value

    def _function(self, name: str, arguments: list[Any], text: str) -> Any:
        tenant = self._call.tenant
        if name == "parameters" and arguments[0] in self._parameters:
            return self.value(self._parameters[arguments[0]])
        if name == "variables" and arguments[0] in (self._template.get("variables") or {}):
            return self.value(self._template["variables"][arguments[0]])
        if name == "concat":
            return "".join(str(each) for each in arguments)
        if name == "resourceid":
            return _resource_id(self._call, *arguments)
        if name == "resourcegroup":
            return tenant.store.get(tenant.group(self._call.parameters["group"]))
        if name == "subscription":
            return {
                "subscriptionId": tenant.subscription_id,
                "id": str(tenant.subscription),
                "tenantId": tenant.tenant_id,
            }
        raise self._unknown(text)

    @staticmethod
    def _unknown(text: str) -> ArmError:
        return errors.expression_not_emulated(expression=text)


def _arguments(text: str) -> list[str]:
    """The arguments of a call, split at the commas that are not inside quotes or parentheses."""
    found, depth, quoted, current = [], 0, False, ""
    for character in text:
        quoted ^= character == "'"
        depth += 0 if quoted else {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0 and not quoted:
            found.append(current)
            current = ""
        else:
            current += character
    return [each for each in [*found, current] if each.strip()]
