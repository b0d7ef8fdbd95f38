"""Extensions of VMs: VMAccessForLinux, with which ``az vm user update`` lets an SSH key in. There is no other one."""

from __future__ import annotations

import shlex
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from starlette.responses import JSONResponse, Response

from ..resource import EXTENSION, Json, Resource, spelled
from . import compute, errors, operations
from .call import Call, answer

_PUBLISHER, _TYPE = "Microsoft.OSTCExtensions", "VMAccessForLinux"
_SETTINGS = {"username", "ssh_key"}  # of the protected ones; passwords, new users and repairs are not emulated


async def put(call: Call) -> Response:
    vm, given = call.parent(), call.body.get("properties") or {}
    location = call.location()
    publisher, wanted = str(given.get("publisher", "")), str(given.get("type", ""))
    if not spelled(publisher, [_PUBLISHER]) or not spelled(wanted, [_TYPE]):
        raise errors.extension_not_emulated(publisher=publisher, name=wanted)
    if not given.get("typeHandlerVersion"):
        raise errors.missing_parameter(name="typeHandlerVersion")
    settings = _checked_settings(given, vm)
    existing = call.stored()
    for other in compute.extensions(call, vm):
        if other.id != call.id:
            raise errors.extension_is_there(name=other.name, handler=f"{publisher}.{wanted}")
    if vm["powerState"] != "running":
        raise errors.vm_is_not_running()
    extension: Json = {
        "name": call.parameters["name"],
        "id": str(call.id),
        "type": EXTENSION,
        "location": location,
        **{key: call.body[key] for key in ("tags",) if key in call.body},
        "properties": {
            "autoUpgradeMinorVersion": False,
            "provisioningState": "Succeeded",
            **{key: given[key] for key in ("autoUpgradeMinorVersion", "forceUpdateTag") if key in given},
            "publisher": _PUBLISHER,
            "type": _TYPE,
            "typeHandlerVersion": given["typeHandlerVersion"],
            "settings": {},
        },
    }
    error = await _let_in(call, vm, settings["ssh_key"])
    if error:
        extension["properties"]["provisioningState"] = "Failed"
    call.tenant.store.put(extension)
    state, status = ("Updating", 200) if existing else ("Creating", 201)
    response = answer(extension, status=status, state=state)
    path = operations.path(call, compute.NAMESPACE, vm.location, "operations")
    response.headers["Azure-AsyncOperation"] = operations.start(call, path, state=state, error=error)
    return response


def _checked_settings(given: Json, vm: Resource) -> dict[str, Any]:
    """The protected settings: one key for the user that the VM was made with."""
    settings = given.get("protectedSettings") or {}
    if strange := sorted({*settings} - _SETTINGS) + sorted(given.get("settings") or {}):
        raise errors.extension_settings_not_emulated(settings=", ".join(strange))
    for name in sorted(_SETTINGS):
        if not isinstance(settings.get(name), str) or not settings[name]:
            raise errors.missing_parameter(name=f"protectedSettings.{name}")
    if settings["username"] != vm.properties["osProfile"]["adminUsername"]:
        raise errors.other_users_not_emulated(user=settings["username"])
    return settings


async def _let_in(call: Call, vm: Resource, key: str) -> Json | None:
    """Append a key to those of the user, as the extension does; what failed, as the operation's error."""
    key, reason = key.strip(), "the key is no public key of OpenSSH's"
    if _is_public_key(key):
        user = vm.properties["osProfile"]["adminUsername"]
        folder = f"/home/{user}/.ssh"
        file = shlex.quote(f"{folder}/authorized_keys")
        script = (
            f"mkdir -p {shlex.quote(folder)} && printf '\\n%s\\n' {shlex.quote(key)} >> {file} && "
            f"chmod 600 {file} && chown {shlex.quote(user)} {file}"
        )
        try:
            status, _, reason = await call.tenant.guests.run_command(vm.properties["vmId"], script)
        except OSError as error:  # it powered itself off
            raise errors.vm_is_not_running() from error
        if status == 0:
            return None
    failed = errors.extension_failed(name=call.parameters["name"], reason=reason)
    return {"code": failed.code, "message": str(failed)}


def _is_public_key(text: str) -> bool:
    try:
        load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        return False
    return "\n" not in text


async def get_all(call: Call) -> Json:
    return {"value": compute.extensions(call, call.parent())}


async def get(call: Call) -> Response:
    extension = call.existing()
    shown: Json = {**extension}
    if "instanceview" in call.request.query_params.get("$expand", "").lower():
        view = compute.extension_view(call, extension)
        shown["properties"] = {**extension.properties, "instanceView": view}
    return JSONResponse(shown)


async def delete(call: Call) -> Response:
    vm, extension = call.parent(), call.stored()
    if extension is None:
        return Response(status_code=204)
    if vm["powerState"] != "running":
        raise errors.vm_is_not_running()
    call.tenant.delete_resource(extension.id)  # what it did on the VM stays
    return compute.accepted(call, vm.location)
