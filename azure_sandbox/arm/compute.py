"""Microsoft.Compute: virtual machines, their identities and power, run-command."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import shlex
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from starlette.responses import JSONResponse, Response

from .. import members
from ..guests import Machine
from ..resource import EXTENSION, INTERFACE, VIRTUAL_MACHINE, Json, Resource, ResourceId, spelled
from ..tenant import Tenant
from ..topology import vm_of_interface
from . import errors, managed_identity, names, operations
from .call import Call, answer

NAMESPACE = "Microsoft.Compute"
_RESERVED_USERS = {"administrator", "admin", "user", "user1", "test", "user2", "test1", "user3", "admin1", "1", "123",
                   "a", "actuser", "adm", "admin2", "aspnet", "backup", "console", "david", "guest", "john", "owner",
                   "root", "server", "sql", "support", "support_388945a0", "sys", "test2", "test3", "user4", "user5"}  # fmt: skip
_PROPERTIES = members.TYPES[VIRTUAL_MACHINE].members["properties"]
MAX_CUSTOM_DATA = 64 * 1024  # bytes, decoded


# The VM itself


async def put(call: Call) -> Response:
    existing = call.stored()
    if existing and existing.properties["provisioningState"] == "Failed":  # this is the next try
        existing["powerState"] = "running"
    vm = _updated(call, existing) if existing else _created(call)
    identity = call.body.get("identity")
    if identity is not None:
        managed_identity.apply_identity(call, vm, identity, merge=False)
    vm["changes"] = vm.get("changes", 0) + 1
    call.tenant.store.put(vm)
    if vm["powerState"] == "running":
        await _boot(call, vm)
    status, state = (200, "Updating") if existing else (201, "Creating")
    if not existing:  # the disk is not there yet
        disk = vm.properties["storageProfile"]["osDisk"]
        del disk["name"], disk["managedDisk"]["id"]
    response = _started(call, vm, status=status, state=state)
    if call.failed and not existing:
        await _give_back(call)
    return response


async def _give_back(call: Call) -> None:
    """A VM that could not be allocated is there and does not run."""
    vm = call.existing()
    await call.tenant.guests.stop(vm.properties["vmId"])
    call.tenant.store.put({**vm, "powerState": "deallocated"})


def _created(call: Call) -> Resource:
    name, given = call.parameters["name"], call.body.get("properties", {})
    if not names.is_valid(VIRTUAL_MACHINE, name):
        raise errors.invalid_vm_name(name=name)
    location = call.location()
    os_profile = _checked_os_profile(given.get("osProfile") or {})
    size = _checked_size(given, "Standard_A1_v2")
    storage_profile = _storage_profile(call, given.get("storageProfile") or {})
    image = storage_profile["imageReference"]
    wanted, given_one = ("Arm64" if arm else "x64" for arm in (processor(size) == "arm64", _is_arm64(image)))
    if wanted != given_one:
        raise errors.other_architecture(size=size, wanted=wanted, given=given_one)
    interfaces = _checked_interfaces(call, given.get("networkProfile") or {})
    vm_id = call.tenant.stable_id(str(call.id))
    call.tenant.store.write("secret", vm_id, {"value": secrets.token_urlsafe(24)})
    vm: Json = {
        "name": name,
        "id": str(call.id),
        "type": VIRTUAL_MACHINE,
        "location": location,
        **{key: call.body[key] for key in ("tags", "zones") if key in call.body},
        "properties": {
            "hardwareProfile": {"vmSize": size},
            "provisioningState": "Succeeded",
            "vmId": vm_id,
            "storageProfile": storage_profile,
            "osProfile": os_profile,
            "networkProfile": {"networkInterfaces": interfaces},
            **_PROPERTIES.kept(given),
            "timeCreated": call.tenant.clock.timestamp(),
        },
        "powerState": "running",
        "customData": (given.get("osProfile") or {}).get("customData") or "",
    }
    refusal = call.tenant.guests.refusal(machine(call.tenant, Resource(vm)))
    if refusal:
        raise errors.guest_not_emulated(reason=refusal)
    return Resource(vm)


def _checked_interfaces(call: Call, given: Json) -> list[Json]:
    """The references to a VM's network interfaces, which must exist and be nobody else's."""
    interfaces = given.get("networkInterfaces") or []
    if not interfaces:
        raise errors.missing_parameter(name="networkProfile")
    for interface in interfaces:
        if not interface.get("id"):
            raise errors.missing_parameter(name="networkInterfaces.id")
        found = call.tenant.store.get(interface["id"])
        if found is None or found.type != INTERFACE:
            raise errors.linked_resource_not_found(id=interface["id"])
        call.require(f"{INTERFACE}/join/action", ResourceId(interface["id"]))
        user = vm_of_interface(call.tenant.store, found.id)
        if user and user.id != call.id:
            raise errors.interface_is_used(id=found.id, user=user.id)
    return [{key: value for key, value in each.items() if value != {}} for each in interfaces]


def _checked_os_profile(given: Json) -> Json:
    """The osProfile as it is answered: without customData and password."""
    if given.get("windowsConfiguration"):
        raise errors.windows_not_emulated()
    user = given.get("adminUsername", "")
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,63}", user, re.IGNORECASE):
        raise errors.invalid_admin_name(name=user)
    if user.lower() in _RESERVED_USERS:
        raise errors.reserved_admin_name(name=user)
    linux = given.get("linuxConfiguration") or {}
    keys = (linux.get("ssh") or {}).get("publicKeys") or []
    if not keys and not given.get("adminPassword"):
        raise errors.missing_credentials()
    for key in keys:
        _check_public_key(key.get("keyData", ""))
    try:
        custom_data = base64.b64decode(given.get("customData") or "", validate=True)
    except binascii.Error as error:
        raise errors.custom_data_not_base64() from error
    if len(custom_data) > MAX_CUSTOM_DATA:
        raise errors.custom_data_too_long()
    return {
        "computerName": given.get("computerName", ""),
        "adminUsername": user,
        "linuxConfiguration": {
            # A password is taken, as Azure takes it, and forgotten: the sandbox's VMs let nobody in with one.
            "disablePasswordAuthentication": bool(linux.get("disablePasswordAuthentication")),
            **({"ssh": {"publicKeys": keys}} if keys else {}),
            "provisionVMAgent": True,
            "patchSettings": {"patchMode": "ImageDefault", "assessmentMode": "ImageDefault"},
        },
        "secrets": [],
        "allowExtensionOperations": True,
        "requireGuestProvisionSignal": True,
    }


def _check_public_key(text: str) -> None:
    """Refuse what is no public key of OpenSSH's, or a short one: Azure takes RSA from 2048 bits on, and Ed25519."""
    try:
        key = load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise errors.invalid_public_key() from error
    if not text.startswith(("ssh-rsa ", "ssh-ed25519 ")) or (isinstance(key, RSAPublicKey) and key.key_size < 2048):
        raise errors.invalid_public_key()


def _storage_profile(call: Call, given: Json) -> Json:
    image, name = given.get("imageReference") or {}, call.parameters["name"]
    if given.get("dataDisks"):
        raise errors.data_disks_not_emulated()
    if not image.get("publisher"):
        raise errors.missing_parameter(name="imageReference")
    version = _wanted_version(image)
    disk = given.get("osDisk") or {}
    unique = call.tenant.stable_id(f"{call.id}/disk").replace("-", "")
    disk_name = disk.get("name") or f"{name}_OsDisk_1_{unique}"
    disk_id = f"{call.tenant.group(call.parameters['group'])}/providers/{NAMESPACE}/disks/{disk_name}"
    managed = {"storageAccountType": "Premium_LRS", **(disk.get("managedDisk") or {}), "id": disk_id}
    return {
        "imageReference": {**image, "exactVersion": version},
        "osDisk": {
            "osType": "Linux",
            "name": disk_name,
            "createOption": "FromImage",
            "caching": disk.get("caching", "ReadWrite"),
            "managedDisk": managed,
            "deleteOption": disk.get("deleteOption", "Detach"),
            "diskSizeGB": 30,
        },
        "dataDisks": [],
    }


def _wanted_version(image: Json) -> str:
    """The version of the image that a VM is made from."""
    if image["publisher"].lower() == "microsoftwindowsserver":
        raise errors.windows_not_emulated()
    version, wanted = _version(image), image.get("version") or "latest"
    asked = ":".join([image["publisher"], image.get("offer", ""), image.get("sku", ""), wanted])
    publisher, offer = image["publisher"].lower(), str(image.get("offer", "")).lower()
    others = publisher == PUBLISHER.lower() and offer.startswith(_OTHER_OFFERS) and not spelled(offer, _IMAGES)
    if others or publisher in _OTHER_PUBLISHERS:
        raise errors.image_not_emulated(image=asked, releases=" and ".join(IMAGE_VERSIONS))
    if version is None or wanted.lower() not in ("latest", version):
        raise errors.platform_image_not_found(image=asked)
    return version


def _checked_size(given: Json, default: str) -> str:
    """The size of a VM as Azure spells it."""
    wanted = (given.get("hardwareProfile") or {}).get("vmSize") or default
    size = spelled(wanted, _SIZES)
    if size is None:
        raise errors.invalid_vm_size(size=wanted, known=", ".join(_SIZES))
    return size


def _updated(call: Call, vm: Resource) -> Resource:
    """PUT on a VM that is there: tags and size may change, how it was first set up may not."""
    given = call.body.get("properties", {})
    os_profile = given.get("osProfile") or {}
    for key in ("adminUsername", "computerName"):
        if key in os_profile and os_profile[key] != vm.properties["osProfile"][key]:
            raise errors.property_cannot_change(name=f"osProfile.{key}")
    if os_profile.get("customData") and os_profile["customData"] != vm["customData"]:
        raise errors.property_cannot_change(name="osProfile.customData")
    if call.body.get("zones", vm.get("zones")) != vm.get("zones"):
        raise errors.property_cannot_change(name="zones")
    before = vm.properties
    for path in _FIXED:
        asked, present = _member(given, path), _member(before, path)
        same = json.dumps(asked, sort_keys=True).lower() == json.dumps(present, sort_keys=True).lower()
        if asked is not None and not same:
            raise errors.property_cannot_change(name=path)
    disk = (given.get("storageProfile") or {}).get("osDisk") or {}
    changed = {name: disk[name] for name in ("caching", "deleteOption") if name in disk}
    before["storageProfile"]["osDisk"].update(changed)
    if "tags" in call.body:
        vm["tags"] = call.body["tags"]
    _change_properties(call, vm, given)
    return vm


_FIXED = (  # of a VM that is there
    "osProfile.linuxConfiguration.ssh", "osProfile.linuxConfiguration.disablePasswordAuthentication",
    "storageProfile.imageReference.publisher", "storageProfile.imageReference.offer",
    "storageProfile.imageReference.sku", "storageProfile.imageReference.version", "storageProfile.imageReference.id",
    "storageProfile.osDisk.name", "storageProfile.osDisk.managedDisk.id",
    "storageProfile.osDisk.managedDisk.storageAccountType",
)  # fmt: skip


def _member(document: Json, path: str) -> Any:
    """The member at a path; None where there is none."""
    found: Any = document
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _change_properties(call: Call, vm: Resource, given: Json) -> None:
    """What a PUT or PATCH may change of a VM's properties."""
    if (given.get("hardwareProfile") or {}).get("vmSize"):
        vm.properties["hardwareProfile"] = {"vmSize": _checked_size(given, "")}
    if given.get("networkProfile"):
        vm.properties["networkProfile"] = {"networkInterfaces": _checked_interfaces(call, given["networkProfile"])}
    vm.properties.update(_PROPERTIES.kept(given))


async def patch(call: Call) -> Response:
    vm = call.existing()
    given = call.body.get("properties") or {}
    before = set(vm.get("identity", {}).get("userAssignedIdentities", {}))
    if "identity" in call.body:
        managed_identity.apply_identity(call, vm, call.body["identity"], merge=True)
    if "tags" in call.body:
        vm["tags"] = call.body["tags"]
    _change_properties(call, vm, given)
    vm["changes"] += 1
    call.tenant.store.put(vm)
    attached = vm.get("identity", {}).get("userAssignedIdentities", {})
    for identity_id in attached:  # of one that is being attached no ids are shown yet
        if identity_id not in before:
            attached[identity_id] = {}
    return _started(call, vm, status=200, state="Updating")


async def get_all(call: Call) -> Json:
    return {"value": [_shown(call, vm) for vm in call.readable()]}


async def get(call: Call) -> Response:
    vm = call.existing()
    shown = _shown(call, vm)
    if "instanceview" in call.request.query_params.get("$expand", "").lower():
        shown["properties"]["instanceView"] = _instance_view(call, vm)
        return JSONResponse(shown)
    return JSONResponse(shown, headers={"ETag": shown["etag"]} if "etag" in shown else {})


async def get_instance_view(call: Call) -> Json:
    return _instance_view(call, call.parent())


async def delete(call: Call) -> Response:
    vm = call.stored()
    if vm is None:
        return Response(status_code=204)
    await remove(call.tenant, vm)
    return accepted(call, vm.location)


async def remove(tenant: Tenant, vm: Resource) -> None:
    """Delete a VM, its system-assigned identity and its disk."""
    vm_id = vm.properties["vmId"]
    if "SystemAssigned" in vm.get("identity", {}).get("type", ""):
        tenant.delete_principal(str(vm.id))
    tenant.delete_resource(vm.id)
    tenant.store.erase("secret", vm_id)
    await tenant.guests.delete(vm_id)


def _shown(call: Call, vm: Resource) -> Json:
    """The VM as the asked version of the API knows it."""
    hidden = ("customData", "powerState", "changes")
    document = {key: value for key, value in vm.items() if key not in hidden} | {"etag": f'"{vm["changes"]}"'}
    if added := extensions(call, vm):
        document["resources"] = added
    shown = members.shown(document, call.api_version)
    if "2022-08" <= call.api_version < "2024-03":  # it came, and it went
        shown["properties"]["osProfile"]["linuxConfiguration"]["enableVMAgentPlatformUpdates"] = False
    if vm["powerState"] == "deallocated":  # the disk's size and kind are shown while it is in use only
        disk = shown["properties"]["storageProfile"]["osDisk"]
        disk.pop("diskSizeGB", None)
        disk["managedDisk"].pop("storageAccountType", None)
    return shown


def extensions(call: Call, vm: Resource) -> list[Resource]:
    return call.tenant.store.resources(under=vm.id, type=EXTENSION)


def extension_view(call: Call, extension: Resource) -> Json:
    """An extension as the instance view shows it."""
    state, time = extension.properties["provisioningState"].lower(), call.tenant.clock.offset_timestamp()
    status = {"code": f"ProvisioningState/{state}", "level": "Error" if state == "failed" else "Info",
              "displayStatus": f"Provisioning {state}", "time": time}  # fmt: skip
    return {
        "name": extension.name,
        "type": f"{extension.properties['publisher']}.{extension.properties['type']}",
        "typeHandlerVersion": extension.properties["typeHandlerVersion"],
        "statuses": [status],
    }


def _instance_view(call: Call, vm: Resource) -> Json:
    now = call.tenant.clock.offset_timestamp()
    state = vm.properties["provisioningState"].lower()
    status: Json = {"level": "Info", "displayStatus": f"Provisioning {state}", "time": now}
    running, added = vm["powerState"] == "running", extensions(call, vm)
    ready = {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Ready",
             "message": "Guest Agent is running", "time": now}  # fmt: skip
    return {
        "computerName": vm.properties["osProfile"]["computerName"],
        "osName": "ubuntu",
        "osVersion": "22.04",
        "vmAgent": {"vmAgentVersion": "2.11.1.12", "statuses": [ready] if running else [], "extensionHandlers": []},
        "disks": [
            {
                "name": vm.properties["storageProfile"]["osDisk"]["name"],
                "statuses": [{"code": "ProvisioningState/succeeded", **status}],
            }
        ],
        **({"extensions": [extension_view(call, each) for each in added]} if added else {}),
        **({"bootDiagnostics": {}} if _has_boot_diagnostics(vm) else {}),
        **({"hyperVGeneration": "V2"} if call.api_version >= "2019" else {}),
        "statuses": [
            {"code": f"ProvisioningState/{state}", **status},
            {"code": f"PowerState/{vm['powerState']}", "level": "Info", "displayStatus": f"VM {vm['powerState']}"},
        ],
    }


def _has_boot_diagnostics(vm: Resource) -> bool:
    profile = vm.properties.get("diagnosticsProfile") or {}
    return bool((profile.get("bootDiagnostics") or {}).get("enabled"))


def machine(tenant: Tenant, vm: Resource) -> Machine:
    """The VM as its guest knows it."""
    profile, vm_id = vm.properties["osProfile"], vm.properties["vmId"]
    keys = profile["linuxConfiguration"].get("ssh", {"publicKeys": []})["publicKeys"]
    secret = (tenant.store.read("secret", vm_id) or {"value": ""})["value"]
    size = vm.properties["hardwareProfile"]["vmSize"]
    return Machine(
        vm_id=vm_id,
        resource_id=str(vm.id),
        computer_name=profile["computerName"] or vm.name,
        admin_username=profile["adminUsername"],
        public_keys=tuple(key["keyData"] for key in keys),
        custom_data=base64.b64decode(vm["customData"]).decode("utf-8", "replace"),
        cloud_name=tenant.cloud.name,
        proxy=tenant.proxy.url(vm_id, secret),
        ca_file=str(tenant.proxy.ca_file),
        memory_mib=_SIZES.get(size, (2, 8192))[1],
        architecture=processor(size),
        cores=_SIZES.get(size, (2, 8192))[0],
        release=_release(vm.properties["storageProfile"]["imageReference"]),
    )


def processor(size: str) -> str:
    """The architecture of a size's processor, as Debian and Docker call it."""
    return "arm64" if _ARM64.fullmatch(size) else "amd64"


# Power and run-command


async def start(call: Call) -> Response:
    return await _power(call, "running")


async def deallocate(call: Call) -> Response:
    if call.request.query_params.get("hibernate", "").lower() == "true":
        raise errors.hibernation_not_emulated()
    return await _power(call, "deallocated")


async def power_off(call: Call) -> Response:
    return await _power(call, "stopped")


async def restart(call: Call) -> Response:
    await call.tenant.guests.stop(call.parent().properties["vmId"])
    return await _power(call, "running")


async def _power(call: Call, state: str) -> Response:
    vm = call.parent()
    vm["powerState"] = state
    call.tenant.store.put(vm)
    if state == "running":
        await _boot(call, vm)
    else:
        await call.tenant.guests.stop(vm.properties["vmId"])
    return accepted(call, vm.location)


async def _boot(call: Call, vm: Resource) -> None:
    try:
        await call.tenant.guests.boot(machine(call.tenant, vm))
    except Exception as error:  # whatever a guest or its custom data fails with
        raise errors.provisioning_failed(name=vm.name, reason=error) from error


async def run_command(call: Call) -> Response:
    vm = call.parent()
    command = call.body.get("commandId")
    if command != "RunShellScript":
        raise errors.unknown_command(command=command)
    not_running = errors.vm_is_not_running()
    if vm["powerState"] != "running":
        raise not_running
    script = "\n".join(call.body.get("script") or [])
    values = [each.get("value", "") for each in call.body.get("parameters") or []]
    if values:  # the script finds them as $1, $2, …; the simulated guest's shell says that it has none of these
        script = f"set -- {shlex.join(values)}\n{script}"
    try:
        _, stdout, stderr = await call.tenant.guests.run_command(vm.properties["vmId"], script)
    except OSError as error:  # it powered itself off
        raise not_running from error
    text = f"Enable succeeded: \n[stdout]\n{stdout[-4096:]}\n[stderr]\n{stderr[-4096:]}"
    status = {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"}
    return accepted(call, vm.location, result={"value": [{**status, "message": text}]})


# Long-running operations


def _started(call: Call, vm: Resource, *, status: int, state: str) -> Response:
    shown = _shown(call, vm)
    response = answer(shown, status=status, state=state)
    if "etag" in shown:
        response.headers["ETag"] = shown["etag"]
    path = operations.path(call, NAMESPACE, vm.location, "operations")
    response.headers["Azure-AsyncOperation"] = operations.start(call, path, state=state)
    response.headers["Azure-AsyncNotification"] = "Enabled"
    if status == 201:
        response.headers["Retry-After"] = "10"
    return response


def accepted(call: Call, location: str, *, result: Json | None = None) -> Response:
    url = operations.start(call, operations.path(call, NAMESPACE, location, "operations"), result=result)
    headers = {
        "Azure-AsyncOperation": url,
        "Azure-AsyncNotification": "Enabled",
        "Location": url.replace("?", "?monitor=true&"),
        "Retry-After": "10",
    }
    return Response(status_code=202, headers=headers)


async def get_operation(call: Call) -> Response:
    monitor = bool(call.request.query_params.get("monitor"))
    operation = operations.polled_result(call) if monitor else operations.polled(call)
    result, running = operation["result"], "endTime" not in operation
    if monitor:
        if running:
            return Response(status_code=202, headers={"Location": str(call.request.url), "Retry-After": "10"})
        return JSONResponse(result) if result else Response(status_code=200)
    document: Json = {
        key: operation[key] for key in ("startTime", "endTime", "status", "name", "error") if key in operation
    }
    if result and operation["status"] == "Succeeded":
        document["properties"] = {"output": result}
    return JSONResponse(document, headers={"Retry-After": "35"} if running else {})


# Sizes and images


_ARM64 = re.compile(r"Standard_[A-Z]+\d+(?:-\d+)?[a-z]*p[a-z]*(?:_.*)?", re.ASCII)
"""The sizes whose processor is an ARM one have a p among their features. (azure-compute-docs, vm-naming-conventions)"""
_SIZES = {  # cores, memory in MiB; some that people take, no quota is counted
    "Standard_A1_v2": (1, 2048), "Standard_B1s": (1, 1024), "Standard_B1ms": (1, 2048), "Standard_B2s": (2, 4096),
    "Standard_B2ms": (2, 8192), "Standard_DS1_v2": (1, 3584), "Standard_DS2_v2": (2, 7168),
    "Standard_D2s_v3": (2, 8192), "Standard_D4s_v3": (4, 16384), "Standard_D2s_v4": (2, 8192),
    "Standard_D2as_v4": (2, 8192), "Standard_D2s_v5": (2, 8192), "Standard_D4s_v5": (4, 16384),
    "Standard_D8s_v5": (8, 32768), "Standard_D2as_v5": (2, 8192), "Standard_D2ds_v5": (2, 8192),
    "Standard_E2s_v5": (2, 16384), "Standard_F2s_v2": (2, 4096), "Standard_D2s_v6": (2, 8192),
    "Standard_A2_v2": (2, 4096), "Standard_B4ms": (4, 16384), "Standard_D1_v2": (1, 3584), "Standard_D2_v2": (2, 7168),
    "Standard_DS3_v2": (4, 14336), "Standard_D2_v3": (2, 8192), "Standard_D4_v3": (4, 16384), "Standard_D8s_v3": (8, 32768),
    "Standard_D2_v4": (2, 8192), "Standard_D4s_v4": (4, 16384), "Standard_D2_v5": (2, 8192), "Standard_D4as_v5": (4, 16384),
    "Standard_E2s_v3": (2, 16384), "Standard_F4s_v2": (4, 8192), "Standard_F2s": (2, 4096), "Standard_D2as_v6": (2, 8192),
    "Standard_B2ps_v2": (2, 8192), "Standard_D2ps_v5": (2, 8192), "Standard_D4ps_v5": (4, 16384), "Standard_D2pls_v5": (2, 4096),
    "Standard_D2ps_v6": (2, 8192), "Standard_D2pds_v5": (2, 8192),
}  # fmt: skip


async def list_sizes(call: Call) -> Json:
    value = [
        {
            "name": name,
            "numberOfCores": cores,
            "osDiskSizeInMB": 1047552,
            "resourceDiskSizeInMB": 0,
            "memoryInMB": memory,
            "maxDataDiskCount": 4,
        }
        for name, (cores, memory) in _SIZES.items()
    ]
    return {"value": value}


IMAGE_VERSIONS = {
    "22.04": "22.04.202610150",
    "24.04": "24.04.202610140",
}
PUBLISHER = "Canonical"
_LTS = ("", "-gen2", "-arm64")
_SERVER = tuple(f"{kind}{what}" for kind in ("server", "minimal") for what in ("", "-gen1", "-arm64"))
_IMAGES = {  # offer: release, skus
    "0001-com-ubuntu-server-jammy": ("22.04", tuple(f"22_04-lts{what}" for what in _LTS)),
    "ubuntu-22_04-lts": ("22.04", _SERVER),
    "ubuntu-24_04-lts": ("24.04", _SERVER),
}


# What Azure has and the sandbox has no guest for: publishers, and the beginnings of Canonical's offers.
_OTHER_PUBLISHERS = frozenset(
    ["almalinux", "credativ", "debian", "kinvolk", "microsoftcblmariner", "openlogic", "oracle", "redhat", "suse"]
)
_OTHER_OFFERS = ("ubuntuserver", "0001-com-ubuntu", "ubuntu-")


def _is_arm64(image: Json) -> bool:
    return str(image.get("sku", "")).lower().endswith("arm64")


def _release(image: Json) -> str:
    """The release of Ubuntu that an image of Canonical's is; "" where there is no such image."""
    offer, publisher = spelled(image.get("offer", ""), _IMAGES), str(image.get("publisher", ""))
    if offer is None or publisher.lower() != PUBLISHER.lower():
        return ""
    release, skus = _IMAGES[offer]
    return release if spelled(image.get("sku", ""), skus) else ""


def _version(image: Json) -> str | None:
    """The newest version of an image of Canonical's."""
    return IMAGE_VERSIONS.get(_release(image))


def _artifacts(call: Call, names: tuple[str, ...] | list[str]) -> list[Json]:
    """Publishers, offers or skus, as they are listed."""
    given = call.parameters
    path = call.request.url.path.replace("/subscriptions/", "/Subscriptions/")
    return [{"location": given["location"], "name": name, "id": f"{path}/{name}"} for name in names]


async def list_publishers(call: Call) -> list[Json]:
    return _artifacts(call, [PUBLISHER])


async def list_offers(call: Call) -> list[Json]:
    _require_publisher(call)
    return _artifacts(call, list(_IMAGES))


async def list_skus(call: Call) -> list[Json]:
    _require_publisher(call)
    offer = spelled(call.parameters["offer"], _IMAGES)
    if offer is None:
        raise _not_listed(call)
    return _artifacts(call, _IMAGES[offer][1])


def _require_publisher(call: Call) -> None:
    if call.parameters["publisher"].lower() != PUBLISHER.lower():
        raise _not_listed(call)


def _not_listed(call: Call) -> errors.ArmError:
    publisher, offer, sku = (call.parameters.get(name, "") for name in ("publisher", "offer", "sku"))
    return errors.image_not_found(publisher=publisher, offer=offer, sku=sku)


async def get_custom_image(call: Call) -> Json:
    """An image that somebody made: the sandbox has none; az asks for one by each name that is no alias."""
    return call.existing()


def _image(call: Call) -> Json:
    """An image, as the list of its versions shows it."""
    given = call.parameters
    version = _version(given)
    if version is None:
        raise _not_listed(call)
    image_id = (
        f"/Subscriptions/{call.tenant.subscription_id}/Providers/Microsoft.Compute/Locations/{given['location']}/"
        f"Publishers/{given['publisher']}/ArtifactTypes/VMImage/Offers/{given['offer']}/Skus/{given['sku']}/"
        f"Versions/{version}"
    )
    return {"location": given["location"], "name": version, "id": image_id}


async def list_image_versions(call: Call) -> list[Json]:
    image = _image(call)
    if "properties" in call.request.query_params.get("$expand", ""):
        image = {"properties": _image_properties(call), **image}
    return [image]


async def get_image_version(call: Call) -> Json:
    image, wanted = _image(call), call.parameters["version"]
    if wanted.lower() not in ("latest", image["name"]):
        raise errors.image_version_not_found(image=image["id"].replace(image["name"], wanted))
    return {"properties": _image_properties(call), **image}


def _image_properties(call: Call) -> Json:
    return {
        "hyperVGeneration": "V2" if "gen2" in call.parameters["sku"].lower() else "V1",
        "architecture": "Arm64" if _is_arm64(call.parameters) else "x64",
        "replicaType": "Unmanaged",
        "disallowed": {"vmDiskType": "None"},
        "automaticOSUpgradeProperties": {"automaticOSUpgradeSupported": True},
        "imageDeprecationStatus": {"imageState": "Active"},
        "features": [
            {"name": "IsAcceleratedNetworkSupported", "value": "True"},
            {"name": "DiskControllerTypes", "value": "SCSI, NVMe"},
            {"name": "IsHibernateSupported", "value": "True"},
        ],
        "osDiskImage": {"operatingSystem": "Linux", "sizeInBytes": 32213303808},
        "dataDiskImages": [],
    }
