"""The network that a VM needs to be reached: security group, public address, virtual network, interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..connection import Azure
from .ensure import begin_ensure
from .tags import our_tags


def create_interface(azure: Azure, vm_name: str, ssh_source: str) -> str:
    """The network interface of a VM to be, with all it needs; the names are those that `az vm create` gives."""
    from azure.mgmt.network import models as network_models

    models: Any = network_models  # their annotations leave out the keywords that all versions take
    network, group, location = azure.network, azure.resource_group, azure.location

    def begin(what: str, name: str, operations: Any, model: Callable[[], Any]) -> Callable[[], Any]:
        return begin_ensure(
            azure,
            f"{what} {name}",
            lambda: operations.get(group, name),
            lambda: operations.begin_create_or_update(group, name, model()),
        )

    def interface() -> Any:
        rule = models.SecurityRule(
            name="allow-ssh-from-operator",
            priority=1000,
            access="Allow",
            direction="Inbound",
            protocol="Tcp",
            source_address_prefix=ssh_source,
            source_port_range="*",
            destination_address_prefix="*",
            destination_port_range="22",
        )
        # All three are begun before the first one is waited for: none needs another.
        security_group = begin(
            "The network security group",
            f"{vm_name}NSG",
            network.network_security_groups,
            lambda: models.NetworkSecurityGroup(location=location, tags=our_tags(azure), security_rules=[rule]),
        )
        address = begin(
            "The public IP address",
            f"{vm_name}PublicIP",
            network.public_ip_addresses,
            lambda: models.PublicIPAddress(
                location=location,
                tags=our_tags(azure),
                sku=models.PublicIPAddressSku(name="Standard"),
                public_ip_allocation_method="Static",
            ),
        )
        virtual_network = begin(
            "The virtual network",
            f"{vm_name[:60]}VNET",  # a virtual network's name has 64 characters at most, as a VM's
            network.virtual_networks,
            lambda: models.VirtualNetwork(
                location=location,
                tags=our_tags(azure),
                address_space=models.AddressSpace(address_prefixes=["10.0.0.0/16"]),
                subnets=[models.Subnet(name=f"{vm_name}Subnet", address_prefix="10.0.0.0/24")],
            ),
        )
        configuration = models.NetworkInterfaceIPConfiguration(
            name=f"ipconfig{vm_name}", subnet=virtual_network().subnets[0], public_ip_address=address()
        )
        return models.NetworkInterface(
            location=location,
            tags=our_tags(azure),
            ip_configurations=[configuration],
            network_security_group=security_group(),
        )

    return str(begin("The network interface", f"{vm_name}VMNic", network.network_interfaces, interface)().id)
