"""The template language of deployments: what the expressions of a template stand for.

Emulated are literal values and the functions of FUNCTIONS, with .member and [index] behind them. Every other function,
loops, nested resources and symbolic names are refused.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from typing import Any

from ..resource import Json, ResourceId, spelled
from . import errors
from .authorization import GUID
from .call import Call

_GUIDS = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")
"""guid() is a UUID of version 5 in this namespace, of its arguments with hyphens between them. It stands in no answer of
Azure's that we have, but tools of several authors that name role assignments as templates do all have it."""
_TYPES: dict[str, type] = {"String": str, "SecureString": str, "Int": int, "Bool": bool, "Array": list, "Object": dict,
                           "SecureObject": dict}  # fmt: skip
_MEMBERS = {"$schema", "contentVersion", "metadata", "parameters", "variables", "resources", "outputs"}
_LONGEST = 1 << 17  # characters of a value
_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|(-?\d+)|(\w+)|([().,\[\]]))\s*")


class Template:
    """A template, with the values of its parameters."""

    def __init__(self, call: Call, template: Json, given: Json) -> None:
        self._call, self._template, self._given = call, template, given
        self._known: dict[tuple[str, str], Any] = {}
        self._paths: dict[str, str] = {}  # of the resources, by name
        self._early = True  # reference() has no value before something is made
        for name in template:
            if name not in _MEMBERS and template[name]:
                raise errors.template_not_emulated(part=name)
        if isinstance(template.get("resources"), dict):
            raise errors.template_not_emulated(part="symbolic names")
        self._declared: Json = template.get("parameters") or {}
        if strange := [name for name in given if name not in self._declared]:
            raise errors.invalid_template(
                reason=f"'The template parameters '{', '.join(strange)}' in the parameters file are not valid; they are "
                "not present in the original template and can therefore not be provided at deployment time.'"
            )
        self.parameters = {name: self._parameter(name) for name in self._declared}

    def shown_parameters(self) -> Json:
        """The parameters without what is secret."""
        return {
            name: {"type": _parameter_type(each), **({} if _is_secret(each) else {"value": self.parameters[name]})}
            for name, each in self._declared.items()
        }

    def resources(self) -> list[tuple[str, Json, Json]]:
        """Of each resource its id, itself as far as it is known before anything is made, and as it is written."""
        found = []
        for each in self._template.get("resources") or []:
            if "copy" in each or each.get("resources"):
                raise errors.template_not_emulated(part="copy" if "copy" in each else "resources inside a resource")
            self._early = True
            known = {key: self._top(value) for key, value in each.items() if key != "properties"}
            if not known.get("condition", True):
                continue
            if not isinstance(known["apiVersion"], str):
                raise TypeError("apiVersion must be a string")
            path = resource_path(self._call, known)
            self._paths[str(known["name"]).lower()] = path
            found.append((path, known, each))
        return [(path, self.value(each) | known, each) for path, known, each in found]

    def outputs(self) -> Json:
        given: Json = self._template.get("outputs") or {}
        wanted = {name: each for name, each in given.items() if self.value(each.get("condition", True))}
        if any("copy" in each for each in wanted.values()):
            raise errors.template_not_emulated(part="copy")
        return {
            name: {
                "type": _parameter_type(each),
                **({} if _is_secret(each) else {"value": self.value(each["value"])}),
            }
            for name, each in wanted.items()
        }

    def value(self, given: Any) -> Any:
        """What is given with its expressions evaluated, at this moment."""
        self._early = False
        return self._top(given)

    def _top(self, given: Any) -> Any:
        self._known.clear()  # what is referred to may have changed
        return self._value(given)

    def _value(self, given: Any) -> Any:
        if isinstance(given, dict):
            return {key: self._value(each) for key, each in given.items()}
        if isinstance(given, list):
            return [self._value(each) for each in given]
        if isinstance(given, str) and given.startswith("[["):
            return given[1:]
        if isinstance(given, str) and given.startswith("[") and given.endswith("]"):
            return _Expression(given[1:-1], self._function).value()
        return given

    def _parameter(self, name: str) -> Any:
        """The value of a parameter, which must be as it is declared."""
        if name in self._given and "value" not in self._given[name]:
            raise errors.template_not_emulated(part="a reference to a key vault")
        rules = self._declared[name]
        if name not in self._given and "defaultValue" not in rules:
            raise errors.invalid_template(reason=f"'The value for the template parameter '{name}' is not provided.'")
        value = self._given[name]["value"] if name in self._given else self._inside("parameters", name)
        wanted = _TYPES[_parameter_type(rules)]
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise errors.invalid_template(
                reason=f"'Template parameter JToken type is not valid for '{name}'. Expected '{_parameter_type(rules)}'.'"
            )
        size = value if wanted is int else len(value) if isinstance(value, (str, list)) else 0
        least, most = (rules.get(f"{word}{'Value' if wanted is int else 'Length'}", size) for word in ("min", "max"))
        if value not in rules.get("allowedValues", [value]) or not least <= size <= most:
            raise errors.invalid_template(
                reason=f"'The provided value for the template parameter '{name}' is not valid: it is not among what "
                "allowedValues, minLength, maxLength, minValue and maxValue allow.'"
            )
        return value

    def _inside(self, part: str, name: str) -> Any:
        """The value of a variable, or the default one of a parameter, evaluated once."""
        given = self._template[part][name]
        if (part, name) not in self._known:
            self._known[part, name] = self._value(given["defaultValue"] if part == "parameters" else given)
        return self._known[part, name]

    def _function(self, name: str, arguments: list[Any]) -> Any:
        tenant, group = self._call.tenant, self._call.tenant.group(self._call.parameters["group"])
        if name == "parameters":
            known = getattr(self, "parameters", {})  # a default may name another parameter
            return known[arguments[0]] if arguments[0] in known else self._default(arguments[0])
        if name == "variables":
            return self._inside("variables", arguments[0])
        if name == "reference":
            return self._reference(*arguments)
        if name == "resourcegroup":
            return tenant.store.get(group)
        if name == "subscription":
            own = str(tenant.subscription)
            return {"subscriptionId": tenant.subscription_id, "id": own, "tenantId": tenant.tenant_id}
        if name == "resourceid":
            return _resource_id(str(group), str(tenant.subscription), arguments)
        if name == "subscriptionresourceid":
            return _resource_id(str(tenant.subscription), str(tenant.subscription), arguments)
        found = FUNCTIONS.get(name)
        if found is None:
            raise errors.expression_not_emulated(expression=f"{name}()")
        value = found(*arguments)
        if len(value) > _LONGEST:
            raise ValueError(f"a value of more than {_LONGEST} characters")
        return value

    def _default(self, name: str) -> Any:
        return self._given[name]["value"] if name in self._given else self._inside("parameters", name)

    def _reference(self, name: str, version: str = "", what: str = "") -> Any:
        """The properties of a resource, or with Full all of it; None before it is made."""
        if self._early:
            raise errors.invalid_template(
                reason="'The template function 'reference' is not expected at this location: it is for properties and outputs'"
            )
        found = self._call.tenant.store.get(self._paths.get(ResourceId(name).name.lower(), name)
                                            if not name.startswith("/") else name)  # fmt: skip
        return found if found is None or what.lower() == "full" else found.get("properties")


def _parameter_type(declared: Json) -> str:
    parameter_type = spelled(str(declared["type"]), _TYPES)
    if parameter_type is None:
        raise ValueError(f"the type {declared['type']} is not known")
    return parameter_type


def _is_secret(declared: Json) -> bool:
    return _parameter_type(declared).startswith("Secure")


def resource_path(call: Call, resource: Json) -> str:
    """The id of a resource of a template."""
    group = str(call.tenant.group(call.parameters["group"]))
    scope = resource.get("scope") or group
    if not scope.startswith("/"):  # of another resource of the group, Microsoft.X/types/name
        scope = f"{group}/providers/{scope}"
    return _below(scope, resource["type"], resource["name"].split("/"))


def _below(scope: str, resource_type: str, names: list[str]) -> str:
    """The id of a resource of a type, whose names are those of its parents and its own."""
    provider, *resource_types = resource_type.split("/")
    pairs = "".join(f"/{each}/{name}" for each, name in zip(resource_types, names, strict=True))
    return f"{scope}/providers/{provider}{pairs}"


def _resource_id(scope: str, subscription: str, arguments: list[str]) -> str:
    """resourceId and subscriptionResourceId: another subscription and another group may come before the type."""
    first = next(position for position, each in enumerate(arguments) if "/" in each)
    before = list(arguments[:first])
    if before and GUID.fullmatch(before[0]):
        subscription = f"/subscriptions/{before.pop(0)}"
        scope = subscription + scope.removeprefix("/".join(scope.split("/")[:3]))
    if before:
        scope = f"{subscription}/resourceGroups/{before[0]}"
    return _below(scope, arguments[first], arguments[first + 1 :])


def _text(value: Any) -> str:
    """A value in a string: JSON, but for strings."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _concat(*arguments: Any) -> Any:
    if arguments and isinstance(arguments[0], list):
        return [each for argument in arguments for each in argument]
    return "".join(_text(each) for each in arguments)


def _format(text: str, *arguments: Any) -> str:
    """.NET's composite format, without alignment and format strings."""
    pieces = re.split(r"(\{\{|\}\}|\{\d+\})", text)
    for position, piece in enumerate(pieces):
        if position % 2:
            pieces[position] = piece[0] if piece in ("{{", "}}") else _text(arguments[int(piece[1:-1])])
        elif re.search("[{}]", piece):
            raise errors.expression_not_emulated(expression=f"format('{text}')")
    return "".join(pieces)


def _guid(*arguments: str) -> str:
    return str(uuid.uuid5(_GUIDS, "-".join(arguments)))


def _turned(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & 0xFFFFFFFF


def _mixed(value: int) -> int:
    value = (value ^ value >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    value = (value ^ value >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return value ^ value >> 16


def unique_string(*arguments: str) -> str:
    """13 letters and digits of a 64-bit variant of MurmurHash3, as the provider azapi of Terraform has it too."""
    data = "-".join(arguments).encode()
    one, two, mask = 0, 0, 0xFFFFFFFF
    for start in range(0, len(data), 8):
        block = data[start : start + 8]
        low, high = (int.from_bytes(part, "little") for part in (block[:4], block[4:]))
        one ^= _turned(low * 0x239B961B & mask, 15) * 0xAB0E9789 & mask
        if len(block) == 8:
            one = ((_turned(one, 19) + two) * 5 + 0x561CCD1B) & mask
        if len(block) > 4:
            two ^= _turned(high * 0xAB0E9789 & mask, 17) * 0x239B961B & mask
        if len(block) == 8:
            two = ((_turned(two, 13) + one) * 5 + 0x0BCAA747) & mask
    one, two = one ^ len(data), two ^ len(data)
    one = one + two & mask
    two = two + one & mask
    one, two = _mixed(one), _mixed(two)
    one = one + two & mask
    number = (two + one & mask) << 32 | one
    return "".join(
        "abcdefghijklmnopqrstuvwxyz234567"[(number << 5 * place & (1 << 64) - 1) >> 59] for place in range(13)
    )


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "concat": _concat,
    "format": _format,
    "guid": _guid,
    "uniquestring": unique_string,
    "tolower": str.lower,
    "toupper": str.upper,
    "extensionresourceid": lambda scope, resource_type, *names: _below(scope, resource_type, list(names)),
    "tenantresourceid": lambda resource_type, *names: _below("", resource_type, list(names)),
}
"""Those that need nothing but their arguments; beside them parameters, variables, reference, resourceGroup, subscription,
resourceId and subscriptionResourceId."""


class _Expression:
    """One expression, read from left to right."""

    def __init__(self, text: str, call: Callable[[str, list[Any]], Any]) -> None:
        self._text, self._call, self._at = text, call, 0

    def value(self) -> Any:
        found = self._operand()
        if self._at < len(self._text):
            raise ValueError(f"'{self._text}' is no expression")
        return found

    def _token(self) -> re.Match[str]:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            raise ValueError(f"'{self._text}' is no expression")
        return match

    def _next(self, mark: str) -> bool:
        """Whether a mark comes next; it is passed then."""
        if self._at == len(self._text) or self._token()[4] != mark:
            return False
        self._at = self._token().end()
        return True

    def _operand(self) -> Any:
        token = self._token()
        self._at = token.end()
        if token[1] is not None:
            found: Any = token[1].replace("''", "'")
        elif token[2] is not None:
            found = int(token[2])
        elif token[3] is not None and self._next("("):
            found = self._call(token[3].lower(), self._arguments())
        else:
            raise ValueError(f"'{self._text}' is no expression")
        while True:
            if self._next("."):
                name = self._token()
                self._at = name.end()
                found = None if found is None else found[name[3]]
            elif self._next("["):
                index = self._operand()
                found = None if found is None else found[index]
                self._close("]")
            else:
                return found

    def _arguments(self) -> list[Any]:
        found: list[Any] = []
        while not self._next(")"):
            if found:
                self._close(",")
            found.append(self._operand())
        return found

    def _close(self, mark: str) -> None:
        if not self._next(mark):
            raise ValueError(f"'{self._text}' is no expression")
