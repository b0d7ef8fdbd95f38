"""The national clouds of Azure: where the services that we call are, and which token audiences they take.

The names are those of ``az cloud set -n NAME``. Source: the constants of azure-cli-core 2.91, azure-identity 1.27
and azure-mgmt-core 1.6.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cloud:
    """One national cloud."""

    name: str
    authority: str
    """URL of Entra ID."""
    resource_manager: str
    """Host name of Azure Resource Manager."""
    audiences: tuple[str, ...]
    """Resources that a token for Resource Manager may be issued to, without the trailing slash; the first is asked for."""
    registry_suffix: str
    """The end of a login server after the registry's name, with the leading dot."""

    @property
    def resource_manager_url(self) -> str:
        return f"https://{self.resource_manager}"

    @property
    def resource_manager_scope(self) -> str:
        """The OAuth 2.0 scope that the SDK clients ask for."""
        return f"{self.audiences[0]}/.default"


REGISTRY_AUDIENCE = "https://containerregistry.azure.net"
"""The audience of container registries; the same in every cloud."""

CLOUDS = {
    cloud.name: cloud
    for cloud in (
        Cloud(
            name="AzureChinaCloud",
            authority="https://login.chinacloudapi.cn",
            resource_manager="management.chinacloudapi.cn",
            audiences=("https://management.chinacloudapi.cn", "https://management.core.chinacloudapi.cn"),
            registry_suffix=".azurecr.cn",
        ),
        Cloud(
            name="AzureCloud",
            authority="https://login.microsoftonline.com",
            resource_manager="management.azure.com",
            audiences=("https://management.azure.com", "https://management.core.windows.net"),
            registry_suffix=".azurecr.io",
        ),
        Cloud(
            name="AzureUSGovernment",
            authority="https://login.microsoftonline.us",
            resource_manager="management.usgovcloudapi.net",
            audiences=("https://management.core.usgovcloudapi.net", "https://management.usgovcloudapi.net"),
            registry_suffix=".azurecr.us",
        ),
    )
}
