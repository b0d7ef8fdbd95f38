"""The instance metadata service, 169.254.169.254: identity tokens and facts about the VM that asks.

Only a VM gets an answer, and only about itself: the VM is known by the proxy its request came through.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from . import topology
from .limits import INSTANCE_LIMIT, METADATA_LIMIT
from .login import audiences, resource_not_found
from .proxy import Caller
from .requests import not_emulated, note, note_token, otherwise
from .resource import Resource, ResourceId
from .tenant import Tenant

HOST = "169.254.169.254"
LIFETIME = 24 * 3600 + 300  # seconds a managed identity's token is valid
# Source: azure-compute-docs, instance-metadata-service, supported API versions
VERSIONS = [
    "2017-03-01", "2017-04-02", "2017-08-01", "2017-10-01", "2017-12-01", "2018-02-01", "2018-04-02", "2018-10-01",
    "2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01", "2019-06-04", "2019-08-01", "2019-08-15", "2019-11-01",
    "2020-06-01", "2020-07-15", "2020-09-01", "2020-10-01", "2020-12-01", "2021-01-01", "2021-02-01", "2021-03-01",
    "2021-05-01", "2021-10-01", "2021-11-01", "2021-11-15", "2021-12-13", "2023-07-01", "2023-11-15", "2024-03-15",
    "2024-07-17", "2025-04-07",
]  # fmt: skip
NEWEST_VERSIONS = VERSIONS[:-4:-1]
_SELECTORS = ("client_id", "object_id", "msi_res_id", "mi_res_id")


class MetadataError(Exception):
    """A refusal of the token endpoint."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.status = error, status

    def response(self) -> JSONResponse:
        return JSONResponse({"error": self.error, "error_description": str(self)}, status_code=self.status)


class Metadata:
    """The metadata services of all VMs of all emulated clouds."""

    def __init__(self, clouds: list[Tenant]) -> None:
        self._clouds = clouds
        self.routes = [
            Route("/metadata/identity/oauth2/token", self.token),
            Route("/metadata/instance", self.instance),
            Route("/metadata/instance/{path:path}", self.instance),
            Route("/metadata/versions", self.versions),
            otherwise(self.not_emulated),
        ]

    def _vm(self, request: Request) -> tuple[Tenant, Resource] | None:
        caller: Caller = request.state.caller
        return topology.vm_with_id(self._clouds, caller.vm_id)

    async def token(self, request: Request) -> Response:
        found = self._vm(request)
        if found is None:
            return _no_vm()
        tenant, vm = found
        _, wait = tenant.buckets.take(("metadata", vm["id"]), METADATA_LIMIT, tenant.clock.now())
        try:
            if wait:
                message = "The rate of requests to the identity endpoint is too high: try again later."
                raise MetadataError("too_many_requests", message, 429)
            response = self._token(request, tenant, vm)
        except MetadataError as error:
            response = error.response()
        response.headers["Server"] = "IMDS/150.870.65.1953"
        return response

    def _token(self, request: Request, tenant: Tenant, vm: Resource) -> Response:
        if request.headers.get("metadata") != "true":  # documented: in lower case
            raise MetadataError("invalid_request", "Required metadata header not specified")
        if "x-forwarded-for" in request.headers:
            raise MetadataError("invalid_request", "The X-Forwarded-For header is not allowed")
        pairs = parse_qsl(str(request.url.query), keep_blank_values=True)
        query = dict(pairs)
        if len(query) != len(pairs):
            raise MetadataError("invalid_request", "Duplicate query parameters are not allowed")
        if query.get("api-version") not in VERSIONS:
            return _missing_version()
        resource = query.get("resource", "")
        if not resource:
            raise MetadataError("invalid_request", "Required audience parameter not specified")
        selectors = {key: query[key] for key in _SELECTORS if query.get(key)}
        note(request, resource=resource, identity=next(iter(selectors.values()), None))
        principal, mirid = _choose(tenant, vm, selectors)
        if resource.removesuffix("/") not in audiences(tenant):
            raise MetadataError("invalid_resource", f"AADSTS500011: {resource_not_found(tenant, resource)}")
        now = int(tenant.clock.now())
        extra = {"appidacr": "2", "xms_mirid": mirid.replace("/resourceGroups/", "/resourcegroups/")}
        if ResourceId(mirid) != vm.id:
            extra["xms_az_rid"] = vm["id"].replace("/resourceGroups/", "/resourcegroups/")
        token = tenant.issue_token(principal, resource, LIFETIME, extra)
        note_token(request, token)
        return JSONResponse(
            {
                "access_token": token,
                "client_id": principal["appId"],
                "expires_in": str(LIFETIME),
                "expires_on": str(now + LIFETIME),
                "ext_expires_in": "86399",
                "not_before": str(now),
                "resource": resource,
                "token_type": "Bearer",
            }
        )

    async def instance(self, request: Request) -> Response:
        found = self._vm(request)
        if found is None:
            return _no_vm()
        tenant, vm = found
        _, wait = tenant.buckets.take(("instance", vm["id"]), INSTANCE_LIMIT, tenant.clock.now())
        if wait:
            return JSONResponse({"error": "Too many requests: try again later."}, status_code=429)
        if refusal := _without_header(request):
            return refusal
        if request.query_params.get("api-version") not in VERSIONS:
            return _missing_version()
        value: Any = _document(*found)
        for part in filter(None, request.path_params.get("path", "").split("/")):
            try:
                value = value[int(part)] if isinstance(value, list) else value[part]
            except (KeyError, IndexError, ValueError, TypeError):
                return JSONResponse({"error": "Not found"}, status_code=404)
        if isinstance(value, str):
            if request.query_params.get("format") != "text":
                message = "Bad request. Format is not valid for this path: a leaf needs format=text."
                return JSONResponse({"error": message}, status_code=400)
            return PlainTextResponse(value)
        return JSONResponse(value)

    async def versions(self, request: Request) -> Response:
        if self._vm(request) is None:
            return _no_vm()
        return _without_header(request) or JSONResponse({"apiVersions": VERSIONS})

    async def not_emulated(self, request: Request) -> Response:
        if self._vm(request) is None:
            return _no_vm()
        if request.method != "GET":
            return MetadataError("method_not_allowed", "The metadata service answers to GET only.", 405).response()
        return MetadataError("NotImplementedInSandbox", not_emulated(request), 501).response()


def _no_vm() -> Response:
    message = "The metadata service answers to a VM only: this request did not come from one."
    return MetadataError("not_found", message, 404).response()


def _without_header(request: Request) -> Response | None:
    """The refusal of a request that a proxy or a browser could have been talked into."""
    if request.headers.get("metadata") == "true" and "x-forwarded-for" not in request.headers:
        return None
    return JSONResponse({"error": "Bad request. Required metadata header not specified"}, status_code=400)


def _missing_version() -> JSONResponse:
    message = (
        "Bad request. api-version is invalid or was not specified in the request. For more information refer to "
        "aka.ms/azureimds"
    )
    return JSONResponse({"error": message, "newest-versions": NEWEST_VERSIONS}, status_code=400)


def _choose(tenant: Tenant, vm: Resource, selectors: dict[str, str]) -> tuple[dict[str, Any], str]:
    """The service principal a token is for, and the resource id of the identity.

    Without a selector: the system-assigned identity, else the only user-assigned one.
    """
    identity = vm.get("identity", {})
    attached = [
        resource
        for resource_id, shown in identity.get("userAssignedIdentities", {}).items()
        # One that was deleted and made again is another identity, which nobody has attached yet.
        if (resource := tenant.store.get(resource_id))
        and resource.properties["principalId"] == shown["principalId"]
        and not _hidden(tenant, vm, shown["principalId"])
    ]
    if len(selectors) > 1:
        raise MetadataError("invalid_request", f"Only one of {', '.join(_SELECTORS[:3])} may be specified")
    if selectors:
        (name, wanted), *_ = selectors.items()
        for resource in attached:
            values: dict[str, str] = {
                "client_id": resource.properties["clientId"],
                "object_id": resource.properties["principalId"],
            }
            if values.get(name, str(resource.id)).lower() == wanted.lower():
                return _principal(tenant, resource.properties["principalId"]), str(resource.id)
        system = tenant.principal(identity.get("principalId", ""))
        if (
            system
            and not _hidden(tenant, vm, system["objectId"])
            and name != "msi_res_id"
            and wanted.lower() in (system["appId"], system["objectId"])
        ):
            return system, vm["id"]
        raise MetadataError("invalid_request", "Identity not found")
    if "SystemAssigned" in identity.get("type", "") and not _hidden(tenant, vm, identity["principalId"]):
        return _principal(tenant, identity["principalId"]), vm["id"]
    if len(attached) == 1:
        return _principal(tenant, attached[0].properties["principalId"]), attached[0]["id"]
    if attached:
        message = (
            "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the "
            "token request"
        )
        raise MetadataError("invalid_request", message)
    raise MetadataError("invalid_request", "Identity not found")


def _hidden(tenant: Tenant, vm: Resource, principal_id: str) -> bool:
    """Whether a fault keeps an identity from being seen here."""
    names = (principal_id, topology.at_resource(vm, principal_id))
    return any(tenant.pending.is_hidden(name) for name in names)


def _principal(tenant: Tenant, object_id: str) -> dict[str, Any]:
    principal = tenant.principal(object_id)
    if principal is None:
        raise MetadataError("invalid_request", "Identity not found")
    return principal


def _document(tenant: Tenant, vm: Resource) -> dict[str, Any]:
    """The instance document; every value is a string, an absent one is empty."""
    properties = vm.properties
    profile, image = properties["osProfile"], properties["storageProfile"]["imageReference"]
    interface = tenant.store.get(topology.interfaces_of(vm)[0])
    private = [each.properties for each in interface.children("ipConfigurations")] if interface else []
    linux = profile["linuxConfiguration"]
    disk = properties["storageProfile"]["osDisk"]
    return {
        "compute": {
            "azEnvironment": tenant.cloud.metadata_name,
            "customData": "",
            "evictionPolicy": "",
            "isHostCompatibilityLayerVm": "false",
            "licenseType": "",
            "location": vm["location"],
            "name": vm["name"],
            "offer": image.get("offer", ""),
            "osProfile": {
                "adminUsername": profile["adminUsername"],
                "computerName": profile["computerName"],
                "disablePasswordAuthentication": str(linux["disablePasswordAuthentication"]).lower(),
            },
            "osType": "Linux",
            "placementGroupId": "",
            "plan": {"name": "", "product": "", "publisher": ""},
            "platformFaultDomain": "0",
            "platformUpdateDomain": "0",
            "priority": "",
            "provider": "Microsoft.Compute",
            "publicKeys": linux.get("ssh", {}).get("publicKeys", []),
            "publisher": image["publisher"],
            "resourceGroupName": vm.id.group,
            "resourceId": vm["id"],
            "securityProfile": {"secureBootEnabled": "false", "virtualTpmEnabled": "false"},
            "sku": image.get("sku", ""),
            "storageProfile": {
                "dataDisks": [],
                "imageReference": {
                    "id": "",
                    "offer": image.get("offer", ""),
                    "publisher": image["publisher"],
                    "sku": image.get("sku", ""),
                    "version": image.get("version", "latest"),
                },
                "osDisk": {
                    "caching": disk["caching"],
                    "createOption": disk["createOption"],
                    "diffDiskSettings": {"option": ""},
                    "diskSizeGB": str(disk["diskSizeGB"]),
                    "encryptionSettings": {"enabled": "false"},
                    "image": {"uri": ""},
                    "managedDisk": {
                        "id": disk["managedDisk"]["id"],
                        "storageAccountType": disk["managedDisk"]["storageAccountType"],
                    },
                    "name": disk["name"],
                    "osType": "Linux",
                    "vhd": {"uri": ""},
                    "writeAcceleratorEnabled": "false",
                },
                "resourceDisk": {"size": "16384"},
            },
            "subscriptionId": vm.id.subscription,
            "tags": ";".join(f"{key}:{value}" for key, value in vm.tags.items()),
            "tagsList": [{"name": key, "value": value} for key, value in vm.tags.items()],
            "userData": "",
            "version": image["exactVersion"],
            "vmId": properties["vmId"],
            "vmScaleSetName": "",
            "vmSize": properties["hardwareProfile"]["vmSize"],
            "zone": "",
        },
        "network": {
            "interface": [
                {
                    "ipv4": {
                        "ipAddress": [{"privateIpAddress": c["privateIPAddress"], "publicIpAddress": ""}],
                        "subnet": [_subnet(tenant, c["subnet"]["id"])],
                    },
                    "ipv6": {"ipAddress": []},
                    "macAddress": topology.mac_address(vm).replace("-", ""),
                }
                for c in private
            ]
        },
    }


def _subnet(tenant: Tenant, subnet_id: str) -> dict[str, str]:
    subnet = topology.find_subnet(tenant.store, ResourceId(subnet_id))
    address, _, prefix = subnet.properties["addressPrefix"].partition("/") if subnet else ("", "", "")
    return {"address": address, "prefix": prefix}
