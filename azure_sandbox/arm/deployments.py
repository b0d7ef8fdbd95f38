"""Microsoft.Resources/deployments: template deployments, as ``az vm create`` makes them.

A template's resources are made through the same operations that a client would call, in the order of their dependsOn,
once each has been checked as Resource Manager itself checks a request. template.py has the template language.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..resource import DEPLOYMENT, Json, spelled
from . import errors, operations
from .call import Call
from .errors import ArmError
from .resources import REMOVERS
from .template import Template

_MODES = ("Incremental", "Complete")
_NOT_IN_BODY = {"type", "name", "apiVersion", "dependsOn", "condition", "scope", "comments", "metadata"}
_FAULTS = (AttributeError, KeyError, TypeError, ValueError, IndexError, StopIteration, RecursionError)
"""What a template that is none makes of its evaluation."""


@dataclass
class Planned:
    """One resource of a template."""

    path: str
    known: Json
    """What is known of it before anything is made."""
    written: Json
    """As the template has it."""

    def request(self, call: Call, method: str, content: Json | None = None) -> Request:
        """A request about it, as the client that deploys would send it."""
        return _request(call, method, self.path, self.known["apiVersion"], content)


async def put(call: Call) -> Response:
    template, mode, planned = await _checked(call)
    existing = call.stored()
    deployment = _deployment(call, template, mode, planned)
    accepted = {**deployment, "properties": {**deployment["properties"], "provisioningState": "Accepted"}}
    try:
        await _make(call, template, mode, planned)
        outputs = {"outputs": _evaluated(template.outputs), "outputResources": [{"id": each.path} for each in planned]}
        deployment["properties"] |= outputs
        error = None
    except ArmError as failed:  # a deployment that has begun fails as the operation that it is
        error = json.loads(bytes(failed.response().body))["error"]
        deployment["properties"] |= {"provisioningState": "Failed", "error": error}
    call.tenant.store.put(deployment)
    response = JSONResponse(accepted, status_code=200 if existing else 201)
    path = f"{call.id}/operationStatuses/{operations.new_id()}"
    response.headers["Azure-AsyncOperation"] = operations.start(call, path, word="Running", error=error)
    return response


async def _make(call: Call, template: Template, mode: str, planned: list[Planned]) -> None:
    for each in planned:  # what is made by now can be referred to
        await _perform(call, each.request(call, "PUT", _body(_evaluated(template.value, each.written))))
    if mode == "Complete":
        for path in _left_over(call, planned):
            await _perform(call, _request(call, "DELETE", path, call.api_version))


async def validate(call: Call) -> Json:
    template, mode, planned = await _checked(call)
    deployment = _deployment(call, template, mode, planned)
    deployment["properties"]["validatedResources"] = [{"id": each.path} for each in planned]
    return deployment


async def what_if(call: Call) -> Response:
    """What a deployment would change; as in Azure its template's errors are in the result, which is asked for."""
    try:
        _, mode, planned = await _checked(call)
        changes = [await _change(call, each) for each in planned]
        word = "Delete" if mode == "Complete" else "Ignore"
        for path in _left_over(call, planned):
            before = call.tenant.store.get(path)
            assert before
            shown = {key: before[key] for key in ("id", "name", "type", "location") if key in before}
            changes.append({"resourceId": path, "changeType": word, "before": shown})
        if _wanted_format(call) == "ResourceIdOnly":  # whether something would change is not looked at then
            words = {"Modify": "Deploy", "NoChange": "Deploy"}
            changes = [{"resourceId": each["resourceId"], "changeType": words.get(each["changeType"], each["changeType"])}
                       for each in changes]  # fmt: skip
        result: Json = {"status": "Succeeded", "properties": {"changes": changes}}
    except ArmError as error:
        result = {"status": "Failed", **json.loads(bytes(error.response().body))}
    path = f"{call.tenant.subscription}/operationresults/{operations.new_id()}"
    url = operations.start(call, path, result={"body": result})
    return Response(status_code=202, headers={"Location": url, "Retry-After": "0"})


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


async def _checked(call: Call) -> tuple[Template, str, list[Planned]]:
    """The template, the mode and the resources in their order, each of which Resource Manager would take."""
    properties = call.body.get("properties") or {}
    template = properties.get("template")
    if not isinstance(template, dict):
        raise errors.linked_template_not_emulated()
    mode = spelled(properties.get("mode", "Incremental"), _MODES)
    if mode is None:
        raise errors.invalid_body(reason=f"'the mode {properties['mode']} is none of {', '.join(_MODES)}'")
    read = _evaluated(Template, call, template, properties.get("parameters") or {})
    planned = _evaluated(lambda: _ordered([Planned(*each) for each in read.resources()]))
    _evaluated(read.outputs)
    details = []
    for each in planned:
        try:
            await call.check(each.request(call, "PUT", _body(each.known)))
        except ArmError as error:
            if error.status == 501:
                raise
            details.append({"code": error.code, "message": str(error), "target": each.path})
    if details:
        raise errors.invalid_deployment(call.parameters["name"], details)
    return read, mode, planned


def _evaluated(evaluate: Any, *arguments: Any) -> Any:
    """What an evaluation of the template gives; what it fails with is the template's fault."""
    try:
        return evaluate(*arguments)
    except _FAULTS as error:
        raise errors.invalid_template(reason=f"{type(error).__name__}: {error}") from error


def _deployment(call: Call, template: Template, mode: str, planned: list[Planned]) -> Json:
    text = json.dumps(call.body["properties"]["template"], sort_keys=True)
    return {
        "id": str(call.tenant.group(call.parameters["group"])) + f"/providers/{DEPLOYMENT}/{call.parameters['name']}",
        "name": call.parameters["name"],
        "type": DEPLOYMENT,
        **({"tags": call.body["tags"]} if "tags" in call.body else {}),
        "properties": {
            "templateHash": str(zlib.crc32(text.encode())),
            "parameters": template.shown_parameters(),
            "mode": mode,
            "provisioningState": "Succeeded",
            "timestamp": call.tenant.clock.timestamp(),
            "duration": "PT1S",
            "correlationId": operations.new_id(),
            "providers": _providers([each.known for each in planned]),
            "dependencies": _dependencies(planned),
        },
    }


async def _change(call: Call, planned: Planned) -> Json:
    """What a deployment would change of one resource: of the members that the template names."""
    answered = await call.perform(planned.request(call, "GET"))
    after = {"id": planned.path, "name": planned.path.rpartition("/")[2], "type": planned.known["type"],
             **_body(planned.known)}  # fmt: skip
    if answered.status_code == 404:
        return {"resourceId": planned.path, "changeType": "Create", "after": after}
    before = _answer(answered)
    delta = list(_delta(before, after))
    return {
        "resourceId": planned.path,
        "changeType": "Modify" if delta else "NoChange",
        "before": before,
        "after": after,
        "delta": delta,
    }


def _wanted_format(call: Call) -> str:
    known = ("FullResourcePayloads", "ResourceIdOnly")
    given = (call.body["properties"].get("whatIfSettings") or {}).get("resultFormat", known[0])
    found = spelled(given, known)
    if found is None:
        raise errors.invalid_body(reason=f"'the resultFormat {given} is none of {', '.join(known)}'")
    return found


def _delta(before: Any, after: Any, path: str = "") -> list[Json]:
    """The members that would be other ones; what is not known before anything is made is none of them."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            change
            for name, value in after.items()
            for change in _delta(before.get(name), value, f"{path}.{name}" if path else name)
        ]
    if after is None or json.dumps(before, sort_keys=True).lower() == json.dumps(after, sort_keys=True).lower():
        return []
    return [{"path": path, "propertyChangeType": "Modify" if before is not None else "Create",
             "before": before, "after": after}]  # fmt: skip


def _left_over(call: Call, planned: list[Planned]) -> list[str]:
    """The resources of the group that the template does not have, in the order in which they can be deleted."""
    own = {each.path.lower() for each in planned}
    store, group = call.tenant.store, call.tenant.group(call.parameters["group"])
    found = [resource for each in REMOVERS for resource in store.resources(under=group, type=each)]
    return [str(resource.id) for resource in found if resource.id.key not in own]


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


def _depends(one: Planned, other: Planned) -> bool:
    resource_type, name = other.known["type"], other.known["name"]
    full = f"{resource_type}/{name}".lower()
    return other is not one and any(
        wanted in (full, name.lower()) or wanted.endswith(f"/providers/{full}")
        for wanted in (each.lower() for each in one.known.get("dependsOn") or [])
    )


def _dependencies(planned: list[Planned]) -> list[Json]:
    """Which resource waits for which, as a deployment shows it."""

    def named(each: Planned) -> Json:
        return {"id": each.path, "resourceType": each.known["type"], "resourceName": each.known["name"]}

    return [
        {"dependsOn": before, **named(one)}
        for one in planned
        if (before := [named(other) for other in planned if _depends(one, other)])
    ]


def _ordered(planned: list[Planned]) -> list[Planned]:
    """The resources so that each comes after those it depends on."""
    waiting, done = list(planned), []
    while waiting:
        ready = [each for each in waiting if not any(_depends(each, other) for other in waiting)]
        if not ready:
            names = ", ".join(each.known["name"] for each in waiting)
            raise errors.invalid_template(reason=f"circular dependency between {names}")
        done += ready
        waiting = [each for each in waiting if each not in ready]
    return done


def _body(resource: Json) -> Json:
    return {key: value for key, value in resource.items() if key not in _NOT_IN_BODY}


def _request(call: Call, method: str, path: str, version: str, body: Json | None = None) -> Request:
    """Another request of the client that deploys."""
    content = b"" if body is None else json.dumps(body).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    headers = [each for each in call.request.scope["headers"] if each[0] != b"content-length"]
    scope = {
        **call.request.scope,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": f"api-version={version}".encode(),
        "path_params": {},
        "headers": [*headers, (b"content-length", str(len(content)).encode())],
    }
    return Request(scope, receive)


async def _perform(call: Call, request: Request) -> None:
    response = await call.perform(request)
    if response.status_code >= 400:
        raise errors.deployment_failed(response.status_code, [_answer(response)["error"]])


def _answer(response: Response) -> Json:
    found: Json = json.loads(bytes(response.body))
    return found
