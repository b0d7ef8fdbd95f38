"""The national clouds of Azure: where each one's services are and which token audiences they take.

The names are those of ``az cloud set -n NAME``. Source: the constants of azure-cli-core 2.91, azure-identity 1.27
and azure-mgmt-core 1.6.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cloud:
    """One national cloud."""

    name: str
    resource_manager: str
    """Host name of Azure Resource Manager."""
    audiences: tuple[str, ...]
    """Resources a token for Resource Manager may be issued to, written without the trailing slash."""
    authority_hosts: tuple[str, ...]
    """Host names of Entra ID; the first is the one the clients use."""
    token_issuer: str
    """Host name in the ``iss`` claim of a v1.0 token."""
    graph: str
    """Host name of Microsoft Graph."""
    registry_suffix: str
    """What follows the registry's name in its login server, with the leading dot."""
    metadata_name: str
    """``azEnvironment`` of the instance metadata service."""
    default_location: str
    locations: tuple[str, ...]
    """The regions, as ``az account list-locations`` names them."""

    @property
    def resource_manager_url(self) -> str:
        return f"https://{self.resource_manager}"

    @property
    def resource_manager_scope(self) -> str:
        """The OAuth 2.0 scope that the SDK clients ask for."""
        return f"{self.audiences[0]}/.default"

    @property
    def authority(self) -> str:
        return f"https://{self.authority_hosts[0]}"


def plain(location: str) -> str:
    """A region as Azure names it, where it may be written as it is displayed: China North 3."""
    return location.replace(" ", "").lower()


REGISTRY_AUDIENCE = "https://containerregistry.azure.net"
"""The audience of container registries; the same in every cloud."""

_PUBLIC_REGIONS = (
    "centralus", "eastasia", "southeastasia", "eastus", "eastus2", "westus", "westus2", "westus3", "northcentralus",
    "southcentralus", "westcentralus", "northeurope", "westeurope", "japaneast", "japanwest", "brazilsouth",
    "australiasoutheast", "australiaeast", "australiacentral", "westindia", "southindia", "centralindia",
    "canadacentral", "canadaeast", "uksouth", "ukwest", "koreacentral", "koreasouth", "francecentral",
    "southafricanorth", "uaenorth", "switzerlandnorth", "germanywestcentral", "norwayeast", "swedencentral",
    "italynorth", "polandcentral", "spaincentral", "qatarcentral", "israelcentral", "mexicocentral",
)  # fmt: skip

CLOUDS = {
    cloud.name: cloud
    for cloud in (
        Cloud(
            name="AzureChinaCloud",
            resource_manager="management.chinacloudapi.cn",
            audiences=("https://management.chinacloudapi.cn", "https://management.core.chinacloudapi.cn"),
            authority_hosts=("login.chinacloudapi.cn", "login.partner.microsoftonline.cn"),
            token_issuer="sts.chinacloudapi.cn",
            graph="microsoftgraph.chinacloudapi.cn",
            registry_suffix=".azurecr.cn",
            metadata_name="AzureChinaCloud",
            default_location="chinanorth3",
            locations=("chinanorth", "chinaeast", "chinanorth2", "chinaeast2", "chinanorth3", "chinaeast3"),
        ),
        Cloud(
            name="AzureCloud",
            resource_manager="management.azure.com",
            audiences=("https://management.azure.com", "https://management.core.windows.net"),
            authority_hosts=("login.microsoftonline.com", "login.windows.net", "login.microsoft.com"),
            token_issuer="sts.windows.net",
            graph="graph.microsoft.com",
            registry_suffix=".azurecr.io",
            metadata_name="AzurePublicCloud",
            default_location="eastus",
            locations=_PUBLIC_REGIONS,
        ),
        Cloud(
            name="AzureUSGovernment",
            resource_manager="management.usgovcloudapi.net",
            audiences=("https://management.core.usgovcloudapi.net", "https://management.usgovcloudapi.net"),
            authority_hosts=("login.microsoftonline.us",),
            token_issuer="sts.windows.net",
            graph="graph.microsoft.us",
            registry_suffix=".azurecr.us",
            metadata_name="AzureUSGovernmentCloud",
            default_location="usgovvirginia",
            locations=("usgovvirginia", "usgovtexas", "usgovarizona", "usdodeast", "usdodcentral"),
        ),
    )
}
