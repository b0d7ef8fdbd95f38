"""``az acr list``, ``az vm show`` and their like: what the signed-in identity may read of Resource Manager."""

from __future__ import annotations

from typing import Any

from .az import Az, AzError, command
from .program import Failure

_KINDS = {  # command: resource type, version of the API, whether az shows the members of properties beside the others
    "acr": ("Microsoft.ContainerRegistry/registries", "2025-11-01"),
    "vm": ("Microsoft.Compute/virtualMachines", "2024-11-01"),
    "identity": ("Microsoft.ManagedIdentity/userAssignedIdentities", "2023-01-31"),
}


def _flattened(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource as az shows it: the members of properties beside the others, and its resource group."""
    shown = {**{key: value for key, value in resource.items() if key != "properties"}, **resource.get("properties", {})}
    group = resource["id"].split("/")[4]
    return {key: shown[key] for key in sorted(shown)} | {"resourceGroup": group}


def _read(az: Az, path: str, version: str) -> dict[str, Any]:
    return az.get_or_fail(path, version, az.account_token(az.management_audience))


def _list(az: Az, kind: str, arguments: list[str]) -> object:
    group = az.options(arguments, "g:", ["resource-group="]).get("--resource-group")
    resource_type, version = _KINDS[kind]
    scope = f"/subscriptions/{az.account()['id']}" + (f"/resourceGroups/{group}" if group else "")
    found = [_flattened(each) for each in _read(az, f"{scope}/providers/{resource_type}", version)["value"]]
    return [_row(kind, each) for each in found] if az.output == "table" else found


def _show(az: Az, kind: str, arguments: list[str]) -> object:
    given = az.options(arguments, "g:n:", ["resource-group=", "name="])
    needed = ["--name/-n"] if kind == "acr" else ["--resource-group/-g", "--name/-n"]
    missing = [name for name in needed if name.partition("/")[0] not in given]
    if missing:
        raise Failure(f"ERROR: the following arguments are required: {', '.join(missing)}", 2)
    resource_type, version = _KINDS[kind]
    subscription, name = f"/subscriptions/{az.account()['id']}", given["--name"]
    if "--resource-group" in given:
        path = f"{subscription}/resourceGroups/{given['--resource-group']}/providers/{resource_type}/{name}"
    else:
        every = _read(az, f"{subscription}/providers/{resource_type}", version)["value"]
        path = next((each["id"] for each in every if each["name"].lower() == name.lower()), "")
        if not path:
            account = az.account()
            raise AzError(
                f"The resource with name '{name}' and type '{resource_type}' could not be found in subscription "
                f"'{account['name']} ({account['id']})'."
            )
    found = _flattened(_read(az, path, version))
    return _row(kind, found) if az.output == "table" else found


def _row(kind: str, shown: dict[str, Any]) -> dict[str, Any]:
    """A resource's row in a table, with the columns that az has for its kind."""
    if kind == "acr":
        return {
            "NAME": shown["name"],
            "RESOURCE GROUP": shown["resourceGroup"],
            "LOCATION": shown["location"],
            "SKU": shown["sku"]["name"],
            "LOGIN SERVER": shown["loginServer"],
            "CREATION DATE": shown["creationDate"].partition(".")[0].removesuffix("Z") + "Z",
            "ADMIN ENABLED": shown["adminUserEnabled"],
        }
    if kind == "vm":
        return {"Name": shown["name"], "ResourceGroup": shown["resourceGroup"], "Location": shown["location"]}
    return shown


@command("group list")
def _groups(az: Az, arguments: list[str]) -> object:
    az.options(arguments, "", [])
    found = _read(az, f"/subscriptions/{az.account()['id']}/resourcegroups", "2024-11-01")["value"]
    if az.output == "table":
        return [
            {"Name": x["name"], "Location": x["location"], "Status": x["properties"]["provisioningState"]}
            for x in found
        ]
    return found


def _register(kind: str) -> None:
    @command(f"{kind} list")
    def _lists(az: Az, arguments: list[str]) -> object:
        return _list(az, kind, arguments)

    @command(f"{kind} show")
    def _shows(az: Az, arguments: list[str]) -> object:
        return _show(az, kind, arguments)


for _kind in _KINDS:
    _register(_kind)
