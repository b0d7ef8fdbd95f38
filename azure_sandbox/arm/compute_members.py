"""How a virtual machine is shown: what its version of the API knows."""

from __future__ import annotations

from ..resource import Json, Resource
from . import versions
from .versions import Since

_SINCE: Since = {
    "etag": ("2024-07", "2024-07"),
    "properties.timeCreated": ("2021-11", "2021-11"),
    "properties.storageProfile.osDisk.deleteOption": ("2021-03", "2021-03"),
    "properties.osProfile.linuxConfiguration.patchSettings.assessmentMode": ("2021-03", "2021-03"),
}
ECHOED = (
    "diagnosticsProfile", "priority", "evictionPolicy", "billingProfile", "securityProfile", "additionalCapabilities",
    "licenseType",
)  # fmt: skip
"""Properties that are kept and shown as they were asked for, and have no effect on the guest."""


def shown(vm: Resource, version: str) -> Json:
    """The VM as a version of the API knows it."""
    hidden = ("customData", "powerState", "changes")
    document = {key: value for key, value in vm.items() if key not in hidden} | {"etag": f'"{vm["changes"]}"'}
    answer = versions.known(document, version, _SINCE)
    linux = answer["properties"]["osProfile"]["linuxConfiguration"]
    if "2022-08" <= version < "2024-03":  # it came, and it went
        linux["enableVMAgentPlatformUpdates"] = False
    if vm["powerState"] == "deallocated":  # the disk's size and kind are told while it is in use only
        disk = answer["properties"]["storageProfile"]["osDisk"]
        disk.pop("diskSizeGB", None)
        disk["managedDisk"].pop("storageAccountType", None)
    return answer
