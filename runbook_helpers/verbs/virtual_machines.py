"""Virtual machines, and the network that one needs to be reached."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from .. import connection
from ..connection import Azure
from ..errors import NotFound, OperationTimeout
from ..run.progress import Progress, step
from ..ssh.keys import forget_host_key, login_key, new_host_key, note_vm_id, pin_host_key, vm_lock
from ..tags import TAG
from .ensure import ensure
from .resource_groups import create_resource_group

if TYPE_CHECKING:
    from azure.core.polling import LROPoller
    from azure.mgmt.compute.models import VirtualMachine

IMAGES = {
    # The aliases of `az vm create --image`: publisher, offer, sku.
    "Ubuntu2204": ("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"),
    "Ubuntu2404": ("Canonical", "ubuntu-24_04-lts", "server"),
}


def show_vm(azure: Azure, vm_name: str) -> VirtualMachine:
    """A VM.

    The documented command: ``az vm show --resource-group myResourceGroup --name myDockerVM``

    Raises:
        azure.core.exceptions.ResourceNotFoundError: there is none of this name in the resource group.
    """
    return azure.compute.virtual_machines.get(azure.resource_group, vm_name)


def create_vm(
    azure: Azure,
    vm_name: str,
    *,
    size: str = "Standard_D2s_v5",
    ssh_source: str,
    image: str = "Ubuntu2204",
    admin_username: str = "azureuser",
) -> VirtualMachine:
    """The VM; made where it is missing, with its own network, a public address, and our SSH key.

    The documented command: ``az vm create --resource-group myResourceGroup --name myDockerVM --image Ubuntu2204
    --admin-username azureuser --generate-ssh-keys``

    Args:
        size: as in ``az vm create --size``.
        ssh_source: the IPv4 address or CIDR range that may reach the VM by SSH; nobody else may.
        image: Ubuntu2204 or Ubuntu2404.
        admin_username: the Linux user that we sign in as.

    The VM's host key is made here and handed over in its cloud-init data, so that its first connection can be checked.
    """
    from azure.core.exceptions import HttpResponseError

    resource_id, made = _vm_id(azure, vm_name), False
    machines = azure.compute.virtual_machines

    def create() -> LROPoller[VirtualMachine]:
        nonlocal made
        progress.waits_for("Azure makes its network")
        interface_id = _create_interface(azure, vm_name, ssh_source)
        private, public = new_host_key()
        vm = _vm(azure, vm_name, interface_id, size, image, admin_username, _cloud_config(private, public))
        made = True
        # Before the request: whatever becomes of its answer, the VM may have been made.
        pin_host_key(azure.folder, resource_id, public)
        progress.waits_for("Azure makes it")
        try:
            return machines.begin_create_or_update(azure.resource_group, vm_name, vm)
        except HttpResponseError as error:
            if error.status_code and error.status_code < 500:  # Azure has refused it
                forget_host_key(azure.folder, resource_id)
            raise

    def repair(failed: VirtualMachine) -> LROPoller[VirtualMachine]:
        # What it was given at first, its host key among it, cannot be given again; another size may be what helps.
        assert failed.hardware_profile
        failed.hardware_profile.vm_size = size
        return machines.begin_create_or_update(azure.resource_group, vm_name, failed)

    with step(f"VM {vm_name}") as progress, _one_at_a_time(azure, resource_id, progress):
        create_resource_group(azure)
        progress.waits_for("Azure makes it")
        vm: VirtualMachine = ensure(
            f"The VM {vm_name}",
            lambda: show_vm(azure, vm_name),
            create,
            repair,
        )
        if made and vm.vm_id:
            note_vm_id(azure.folder, resource_id, vm.vm_id)
        return vm


@contextmanager
def _one_at_a_time(azure: Azure, resource_id: str, progress: Progress) -> Iterator[None]:
    """Keep other runs on this machine from making the same VM."""
    lock = vm_lock(azure.folder, resource_id)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.waits_for("another run on this machine makes it")
        try:
            lock.acquire(timeout=connection.OPERATION_SECONDS)
        except Timeout as error:
            message = (
                f"Another run on this machine makes {resource_id} for {connection.OPERATION_SECONDS:.0f} s (it holds "
                f"{lock.lock_file}): end it, or wait for it, then run this step again."
            )
            raise OperationTimeout(message) from error
    try:
        yield
    finally:
        lock.release()


def _vm_id(azure: Azure, vm_name: str) -> str:
    group = f"/subscriptions/{azure.subscription_id}/resourceGroups/{azure.resource_group}"
    return f"{group}/providers/Microsoft.Compute/virtualMachines/{vm_name}"


def _cloud_config(private_key: str, public_key: str) -> str:
    indented = "".join(f"    {line}\n" for line in private_key.splitlines())
    return (
        "#cloud-config\nssh_deletekeys: true\nssh_keys:\n"
        f"  ed25519_private: |\n{indented}  ed25519_public: {public_key}\n"
    )


def _vm(
    azure: Azure, name: str, interface_id: str, size: str, image: str, admin_username: str, cloud_config: str
) -> VirtualMachine:
    from azure.mgmt.compute import models as compute_models

    models: Any = compute_models  # their annotations leave out the keywords that all versions take
    publisher, offer, sku = IMAGES[image]
    key = models.SshPublicKey(path=f"/home/{admin_username}/.ssh/authorized_keys", key_data=login_key(azure.folder)[1])
    linux = models.LinuxConfiguration(
        disable_password_authentication=True, ssh=models.SshConfiguration(public_keys=[key])
    )
    # Disk and interface go when the VM goes, so that nothing is left that costs money.
    disk = models.OSDisk(
        create_option="FromImage",
        delete_option="Delete",
        managed_disk=models.ManagedDiskParameters(storage_account_type="Premium_LRS"),
    )
    vm: VirtualMachine = models.VirtualMachine(
        location=azure.location,
        tags=TAG,
        hardware_profile=models.HardwareProfile(vm_size=size),
        storage_profile=models.StorageProfile(
            image_reference=models.ImageReference(publisher=publisher, offer=offer, sku=sku, version="latest"),
            os_disk=disk,
        ),
        os_profile=models.OSProfile(
            computer_name=name.replace("_", "-").replace(".", "-"),
            admin_username=admin_username,
            custom_data=base64.b64encode(cloud_config.encode()).decode(),
            linux_configuration=linux,
        ),
        network_profile=models.NetworkProfile(
            network_interfaces=[models.NetworkInterfaceReference(id=interface_id, primary=True, delete_option="Delete")]
        ),
    )
    return vm


def _create_interface(azure: Azure, vm_name: str, ssh_source: str) -> str:
    """The network interface of a VM to be, with all it needs; the names are those that `az vm create` gives."""
    from azure.mgmt.network import models as network_models

    models: Any = network_models  # their annotations leave out the keywords that all versions take
    network, group, location = azure.network, azure.resource_group, azure.location

    def part(what: str, name: str, operations: Any, model: Callable[[], Any]) -> Any:
        return ensure(
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
        security_group = part(
            "The network security group",
            f"{vm_name}NSG",
            network.network_security_groups,
            lambda: models.NetworkSecurityGroup(location=location, tags=TAG, security_rules=[rule]),
        )
        address = part(
            "The public IP address",
            f"{vm_name}PublicIP",
            network.public_ip_addresses,
            lambda: models.PublicIPAddress(
                location=location,
                tags=TAG,
                sku=models.PublicIPAddressSku(name="Standard"),
                public_ip_allocation_method="Static",
            ),
        )
        virtual_network = part(
            "The virtual network",
            f"{vm_name}VNET",
            network.virtual_networks,
            lambda: models.VirtualNetwork(
                location=location,
                tags=TAG,
                address_space=models.AddressSpace(address_prefixes=["10.0.0.0/16"]),
                subnets=[models.Subnet(name=f"{vm_name}Subnet", address_prefix="10.0.0.0/24")],
            ),
        )
        configuration = models.NetworkInterfaceIPConfiguration(
            name=f"ipconfig{vm_name}", subnet=virtual_network.subnets[0], public_ip_address=address
        )
        return models.NetworkInterface(
            location=location, tags=TAG, ip_configurations=[configuration], network_security_group=security_group
        )

    return str(part("The network interface", f"{vm_name}VMNic", network.network_interfaces, interface).id)


def public_ip_address(azure: Azure, vm_name: str) -> str:
    """The address that a VM is reached at.

    The documented step: note the publicIpAddress that ``az vm create`` shows.

    Raises:
        NotFound: the VM has no public address.
    """
    return public_address_of(azure, show_vm(azure, vm_name))


def public_address_of(azure: Azure, vm: VirtualMachine) -> str:
    """The public address of a VM that has been looked up already."""
    interfaces = vm.network_profile.network_interfaces if vm.network_profile else None
    for interface in interfaces or []:
        group, name = _group_and_name(str(interface.id))
        for configuration in azure.network.network_interfaces.get(group, name).ip_configurations or []:
            if configuration.public_ip_address:
                group, name = _group_and_name(str(configuration.public_ip_address.id))
                address = azure.network.public_ip_addresses.get(group, name).ip_address
                if address:
                    return str(address)
    raise NotFound(f"The VM {vm.name} has no public IP address: give its network interface one, or use another VM.")


def _group_and_name(resource_id: str) -> tuple[str, str]:
    parts = resource_id.split("/")
    return parts[4], parts[-1]
