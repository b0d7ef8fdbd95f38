"""Virtual machines, and how one is reached."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from ..answers import reads_answers
from ..arguments import check_arguments, checked
from ..connection import Azure
from ..errors import NotFound, OperationTimeout, ParameterError
from ..run.progress import Progress, step
from ..secrets import shown
from ..ssh.keys import new_host_key
from .ensure import ensure, found_elsewhere
from .network_interfaces import create_interface
from .resource_groups import create_resource_group
from .tags import our_tags

if TYPE_CHECKING:
    from azure.core.polling import LROPoller
    from azure.mgmt.compute.models import VirtualMachine

IMAGES = {
    # The aliases of `az vm create --image`: publisher, offer, sku.
    "Ubuntu2204": ("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"),
    "Ubuntu2404": ("Canonical", "ubuntu-24_04-lts", "server"),
}


@checked
def show_vm(azure: Azure, vm_name: str) -> VirtualMachine:
    """A VM.

    The documented command: ``az vm show --resource-group myResourceGroup --name myDockerVM``

    Raises:
        azure.core.exceptions.ResourceNotFoundError: none of this name is in the resource group.
    """
    return azure.at_vm.compute.virtual_machines.get(azure.at_vm.resource_group, vm_name)


@reads_answers
def create_vm(
    azure: Azure,
    vm_name: str,
    *,
    size: str = "Standard_D2s_v5",
    ssh_source: str,
    image: str = "Ubuntu2204",
    admin_username: str = "azureuser",
) -> VirtualMachine:
    """The VM; made where it is missing (not in somebody else's group), with its own network, a public address, and our SSH key.

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

    check_arguments(vm_name=vm_name, vm_size=size, ssh_source=ssh_source)
    if image not in IMAGES:
        raise ParameterError([f"image must be one of {', '.join(IMAGES)}; it is {shown(image)}."])
    what = f"The VM {vm_name}"
    if azure.at_vm is not azure:
        return found_elsewhere(azure.at_vm, what, "vm_resource_group", lambda: show_vm(azure, vm_name))
    resource_id = _resource_id(azure, vm_name)
    machines = azure.compute.virtual_machines

    def create() -> LROPoller[VirtualMachine]:
        progress.waits_for("Azure makes its network")
        interface_id = create_interface(azure, vm_name, ssh_source)
        private, public = new_host_key()
        vm = _vm(azure, vm_name, interface_id, size, image, admin_username, _cloud_config(private, public))
        # Before the request: whatever becomes of its answer, the VM may have been made.
        azure.keys.pin(resource_id, public)
        progress.waits_for("Azure makes it")
        try:
            return machines.begin_create_or_update(azure.resource_group, vm_name, vm)
        except HttpResponseError as error:
            if error.status_code and 400 <= error.status_code < 500:  # Azure has refused it
                azure.keys.forget(resource_id)
            raise

    def repair(failed: VirtualMachine) -> LROPoller[VirtualMachine]:
        # What it was given at first, its host key among it, cannot be given again; another size may be what helps.
        assert failed.hardware_profile
        failed.hardware_profile.vm_size = size
        return machines.begin_create_or_update(azure.resource_group, vm_name, failed)

    with step(f"VM {vm_name}") as progress, _one_at_a_time(azure, resource_id, progress):
        create_resource_group(azure)
        progress.waits_for("Azure makes it")
        vm: VirtualMachine = ensure(azure, what, lambda: show_vm(azure, vm_name), create, repair)
        if vm.vm_id:  # also of one that an interrupted run has begun to make
            azure.keys.note_vm_id(resource_id, vm.vm_id)
        return vm


@contextmanager
def _one_at_a_time(azure: Azure, resource_id: str, progress: Progress) -> Iterator[None]:
    """Keep other runs on this machine from making the same VM."""
    lock = azure.keys.lock(resource_id)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.waits_for("another run on this machine makes it")
        try:
            lock.acquire(timeout=azure.timeouts.operation)
        except Timeout as error:
            message = (
                f"Another run on this machine makes {resource_id} for {azure.timeouts.operation:.0f} s (it holds "
                f"{lock.lock_file}): end it, or wait for it, then run this step again."
            )
            raise OperationTimeout(message) from error
    try:
        yield
    finally:
        lock.release()


def _resource_id(azure: Azure, vm_name: str) -> str:
    from azure.mgmt.core.tools import resource_id

    parts = {"subscription": azure.subscription_id, "resource_group": azure.resource_group, "name": vm_name}
    return str(resource_id(**parts, namespace="Microsoft.Compute", type="virtualMachines"))


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
    key = models.SshPublicKey(path=f"/home/{admin_username}/.ssh/authorized_keys", key_data=azure.keys.public_key())
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
        tags=our_tags(azure),
        hardware_profile=models.HardwareProfile(vm_size=size),
        storage_profile=models.StorageProfile(
            image_reference=models.ImageReference(publisher=publisher, offer=offer, sku=sku, version="latest"),
            os_disk=disk,
        ),
        os_profile=models.OSProfile(
            computer_name=name.replace("_", "-").replace(".", "-").rstrip("-"),
            admin_username=admin_username,
            custom_data=base64.b64encode(cloud_config.encode()).decode(),
            linux_configuration=linux,
        ),
        network_profile=models.NetworkProfile(
            network_interfaces=[models.NetworkInterfaceReference(id=interface_id, primary=True, delete_option="Delete")]
        ),
    )
    return vm


@checked
def public_ip_address(azure: Azure, vm_name: str) -> str:
    """The address that a VM is reached at.

    The documented step: note the publicIpAddress that ``az vm create`` shows.

    Raises:
        NotFound: the VM has no public address.
    """
    return public_address_of(azure, show_vm(azure, vm_name))


def public_address_of(azure: Azure, vm: VirtualMachine) -> str:
    """The public address of a VM that has been looked up already."""
    from azure.mgmt.core.tools import parse_resource_id

    def look_up(operations: Any, part: Any) -> Any:
        parsed = parse_resource_id(str(part.id))
        return operations.get(parsed["resource_group"], parsed["name"])

    for reference in (vm.network_profile.network_interfaces if vm.network_profile else None) or []:
        for configuration in look_up(azure.network.network_interfaces, reference).ip_configurations or []:
            if configuration.public_ip_address:
                address = look_up(azure.network.public_ip_addresses, configuration.public_ip_address).ip_address
                if address:
                    return str(address)
    raise NotFound(f"The VM {vm.name} has no public IP address: give its network interface one, or use another VM.")
