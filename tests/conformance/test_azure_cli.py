"""The document's commands by the real azure-cli: the newest, and the last one that takes the document's --username."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azure_sandbox import process
from azure_sandbox.clock import Clock
from azure_sandbox.clouds import CLOUDS
from azure_sandbox.settings import Settings

from ..conftest import clean_environment, store_of
from . import namespaces, proved
from .conftest import PROJECT, RUNBOOK, Terminal, python_environment, sandbox_variables, system_program

CHINA = CLOUDS["AzureChinaCloud"]
GROUP = "myResourceGroup"
SERVER = "mycontainerregistry.azurecr.cn"
OLD = "2.72.0"

# The operator's side, as the document has it; az acr create and import stand for the document it refers to.
OPERATOR = f"""\
az cloud set -n AzureChinaCloud
az login --service-principal --username $AZURE_CLIENT_ID --password $AZURE_CLIENT_SECRET --tenant $AZURE_TENANT_ID
az group create --name {GROUP} --location chinanorth3
az acr create --resource-group {GROUP} --name mycontainerregistry --sku Basic
az acr import --name mycontainerregistry --source mcr.microsoft.com/azuredocs/aci-helloworld:latest \
--image aci-helloworld:v1
az vm create --resource-group {GROUP} --name myDockerVM --image Ubuntu2204 --admin-username azureuser \
--generate-ssh-keys
az identity create --resource-group {GROUP} --name myACRId
userID=$(az identity show --resource-group {GROUP} --name myACRId --query id --output tsv)
spID=$(az identity show --resource-group {GROUP} --name myACRId --query principalId --output tsv)
az vm identity assign --resource-group {GROUP} --name myDockerVM --identities $userID
resourceID=$(az acr show --resource-group {GROUP} --name myContainerRegistry --query id --output tsv)
az role assignment create --assignee $spID --scope $resourceID --role acrpull
az vm identity assign --resource-group {GROUP} --name myDockerVM
spID=$(az vm show --resource-group {GROUP} --name myDockerVM --query identity.principalId --out tsv)
resourceID=$(az acr show --resource-group {GROUP} --name myContainerRegistry --query id --output tsv)
az role assignment create --assignee $spID --scope $resourceID --role acrpull
"""


@pytest.fixture(scope="module", params=["newest", OLD])
def az(request: pytest.FixtureRequest) -> Path:
    """The folder of the program az."""
    requirement = "azure-cli" if request.param == "newest" else f"azure-cli=={request.param}"
    return python_environment(f"azure-cli-{request.param}", requirement)


@pytest.fixture(scope="module")
def document(az: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A sandbox in which this az has run the operator's side, and makers of terminals in it."""
    folder = tmp_path_factory.mktemp("azure-cli") / "sandbox"
    process.start(folder)

    def make(vm: str | None = None) -> Terminal:
        variables = sandbox_variables(folder, *(["--vm", vm] if vm else []))
        return Terminal(tmp_path_factory.mktemp("home"), [az], variables)

    operator = make()
    operator.run("set -e\n" + OPERATOR)
    yield folder, operator, make
    proved.remember(folder, "az 2.72" if old(az) else "az")  # az asks registries itself, with requests
    process.reset(folder)


Document = tuple[Path, Terminal, Callable[..., Terminal]]


def old(az: Path) -> bool:
    return OLD in str(az)


def sign_in(az: Path, identity: str) -> str:
    """The document's line, or what took its place: --username is an error since 2.73."""
    return f"az login --identity --{'username' if old(az) else 'resource-id'} {identity}"


def test_the_operators_commands_made_what_the_document_says(document: Document) -> None:
    _, operator, _ = document
    vm = json.loads(operator.run(f"az vm show -g {GROUP} -n myDockerVM").stdout)
    assert vm["identity"]["type"] == "SystemAssigned, UserAssigned"
    roles = json.loads(
        operator.run(
            "az role assignment list --scope $(az acr show -n mycontainerregistry --query id -o tsv) --role acrpull"
        ).stdout
    )
    assert {role["principalType"] for role in roles} == {"ServicePrincipal"}
    assert {role["principalId"] for role in roles} == {
        vm["identity"]["principalId"],
        *(each["principalId"] for each in vm["identity"]["userAssignedIdentities"].values()),
    }
    assert json.loads(operator.run("az acr repository list -n myContainerRegistry").stdout) == ["aci-helloworld"]
    tags = operator.run("az acr repository show-tags -n mycontainerregistry --repository aci-helloworld").stdout
    assert json.loads(tags) == ["v1"]


def test_the_operators_other_commands(document: Document) -> None:
    _, operator, _ = document
    run = operator.run
    assert json.loads(run("az account show").stdout)["environmentName"] == "AzureChinaCloud"
    assert "mycontainerregistry" in run(f"az acr list -g {GROUP} --output tsv").stdout
    assert "myDockerVM" in run("az vm list --output tsv").stdout
    assert "myACRId" in run("az identity list --output tsv").stdout
    assert "mycontainerregistry" in run("az resource list --output tsv").stdout
    assert "running" in run(f"az vm get-instance-view -g {GROUP} -n myDockerVM").stdout
    token = json.loads(run("az acr login --name mycontainerregistry --expose-token").stdout)
    assert token["loginServer"] == SERVER
    assert run("az acr login --name absentregistry --expose-token", ok=False).returncode == 1
    assert json.loads(run("az acr check-name -n mycontainerregistry").stdout)["reason"] == "AlreadyExists"
    refused = run("az acr credential show -n mycontainerregistry", ok=False)
    assert refused.returncode and "admin" in refused.stderr.lower()
    again = f"az role assignment create --assignee $(az identity show -g {GROUP} -n myACRId --query principalId -o tsv)"
    scope = "--scope $(az acr show -n mycontainerregistry --query id -o tsv)"
    run(f"{again} {scope} --role acrpull")  # what is there already is no error
    nobody = "11111111-2222-3333-4444-555555555555"
    absent = run(f"az role assignment create --assignee {nobody} {scope} --role acrpull", ok=False)
    assert absent.returncode
    run(f"az role assignment create --assignee-object-id 11111111-2222-3333-4444-555555555555 "
        f"--assignee-principal-type ServicePrincipal {scope} --role Reader")  # fmt: skip
    health = run("az acr check-health -n mycontainerregistry --ignore-errors --yes").stderr
    assert "DOCKER" in health or "available" in health


# What else an operator does with az; each works as it stands, in this order.
MORE = """\
az account list-locations
az provider show --namespace Microsoft.ContainerRegistry
az provider register --namespace Microsoft.Compute
az vm list-sizes --location chinanorth3
az group create --name more --location chinanorth3
az group update --name more --tags a=b
az acr create --resource-group more --name moreregistry --sku Premium
az acr show-usage --name moreregistry
az acr update --name moreregistry --tags a=b
az acr update --name moreregistry --admin-enabled true
az acr credential show --name moreregistry
az acr credential renew --name moreregistry --password-name password
az acr update --name moreregistry --anonymous-pull-enabled true
az acr network-rule add --name moreregistry --ip-address 192.0.2.200
az acr update --name moreregistry --default-action Deny
az acr import --name moreregistry --source mcr.microsoft.com/azuredocs/aci-helloworld:latest --image app:v1
az acr repository show --name moreregistry --image app:v1
az acr repository update --name moreregistry --image app:v1 --delete-enabled false
az acr repository update --name moreregistry --image app:v1 --delete-enabled true
az acr repository untag --name moreregistry --image app:v1
az acr manifest list-metadata --registry moreregistry --name app
az acr repository delete --name moreregistry --repository app --yes
az vm create --resource-group more --name moreVM --image Ubuntu2204 --admin-username azureuser --generate-ssh-keys
az vm deallocate --resource-group more --name moreVM
az vm start --resource-group more --name moreVM
az vm restart --resource-group more --name moreVM
az vm run-command invoke --resource-group more --name moreVM --command-id RunShellScript --scripts 'whoami'
az vm user update --resource-group more --name moreVM --username azureuser --ssh-key-value ~/.ssh/id_rsa.pub
az vm extension list --resource-group more --vm-name moreVM
az vm list-ip-addresses --resource-group more --name moreVM
az vm open-port --resource-group more --name moreVM --port 80
az vm update --resource-group more --name moreVM --set tags.a=b
az network nsg rule list --resource-group more --nsg-name moreVMNSG
az resource show --resource-group more --name moreregistry --resource-type Microsoft.ContainerRegistry/registries
az vm delete --resource-group more --name moreVM --yes
az acr delete --name moreregistry --yes
az identity create --resource-group more --name moreidentity
az identity delete --resource-group more --name moreidentity
az deployment group validate --resource-group more --name d --template-file TEMPLATE
az deployment group what-if --resource-group more --name d --template-file TEMPLATE
az deployment group create --resource-group more --name d --template-file TEMPLATE
az deployment group show --resource-group more --name d
az deployment group list --resource-group more
az deployment group delete --resource-group more --name d
az group delete --name more --yes
"""


ROLE_TEMPLATE = {  # a role for a new identity, named by guid()
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "contentVersion": "1.0.0.0",
    "resources": [
        {
            "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
            "apiVersion": "2023-01-31",
            "name": "puller",
            "location": "[resourceGroup().location]",
        },
        {
            "type": "Microsoft.Authorization/roleAssignments",
            "apiVersion": "2022-04-01",
            "name": "[guid(resourceGroup().id, 'puller')]",
            "dependsOn": ["puller"],
            "properties": {
                "roleDefinitionId": (
                    "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', "
                    "'7f951dda-4ed3-4680-a7ca-43fe172d538d')]"
                ),
                "principalId": "[reference('puller').principalId]",
                "principalType": "ServicePrincipal",
            },
        },
    ],
}


def test_more_of_az(document: Document) -> None:
    _, operator, _ = document
    template = operator.home / "template.json"
    template.write_text(json.dumps(ROLE_TEMPLATE))
    for command in MORE.splitlines():
        operator.run(command.replace("TEMPLATE", str(template)))


def test_an_identity_is_taken_away_and_given_back(document: Document) -> None:
    _, operator, _ = document
    show = f"az vm identity show -g {GROUP} -n myDockerVM"
    before = json.loads(operator.run(show).stdout)
    operator.run(f"az vm identity remove -g {GROUP} -n myDockerVM")
    assert json.loads(operator.run(show).stdout)["type"] == "UserAssigned"
    operator.run(f"az vm identity assign -g {GROUP} -n myDockerVM")
    after = json.loads(operator.run(show).stdout)
    assert after["type"] == before["type"] and after["principalId"] != before["principalId"]
    scope = "--scope $(az acr show -n mycontainerregistry --query id -o tsv)"
    operator.run(f"az role assignment create --assignee {after['principalId']} {scope} --role acrpull")


@pytest.mark.parametrize("place", ["proxy", "namespace"])
def test_the_vms_commands(az: Path, document: Document, tmp_path: Path, place: str) -> None:
    _, operator, make = document
    podman = system_program("podman")
    vm = make(vm="myDockerVM")
    vm.variables["DOCKER_COMMAND"] = podman
    said = vm.run(f"{podman} ps", ok=False).stderr.strip()
    if said:  # az takes any word on standard error for a failure
        pytest.skip(f"podman does not work here without a warning: {said.splitlines()[-1][:150]}")
    if place == "proxy":
        vms_commands(az, operator, vm)
        return
    if reason := namespaces.available():
        pytest.skip(reason)
    # az 2.72 asks the public cloud's authority for the names of the others when it logs out.
    names = [CHINA.resource_manager, *CHINA.authority_hosts, CHINA.graph, SERVER, *CLOUDS["AzureCloud"].authority_hosts]
    with namespaces.namespace(tmp_path, names, vm.variables["HTTPS_PROXY"]) as prefix:
        vm.variables = {key: value for key, value in vm.variables.items() if not key.lower().endswith("_proxy")}
        vm.prefix = prefix
        vms_commands(az, operator, vm)


def vms_commands(az: Path, operator: Terminal, vm: Terminal) -> None:
    with tempfile.TemporaryDirectory(prefix="p") as storage:  # podman takes a short path only
        with_storage(az, operator, vm, f"podman --storage-driver=vfs --root {storage}/a --runroot {storage}/b")


def with_storage(az: Path, operator: Terminal, vm: Terminal, podman: str) -> None:
    show = f"az identity show -g {GROUP} -n myACRId --query"
    user, client, principal = (
        operator.value(f"{show} {name} -o tsv") for name in ("id", "clientId", "principalId")
    )  # fmt: skip
    vm.run("az cloud set -n AzureChinaCloud")
    signed_in = json.loads(vm.run(sign_in(az, user)).stdout)
    assert signed_in[0]["user"]["name"] == "userAssignedIdentity"
    vm.run("az acr login --name myContainerRegistry")
    pull = f"{podman} pull -q {SERVER}/aci-helloworld:v1"
    first = vm.value(pull)
    assert len(first) == 64
    vm.run(f"podman logout {SERVER}; az logout")
    assert vm.run(pull, ok=False).returncode  # nobody is signed in any more
    signed_in = json.loads(vm.run("az login --identity").stdout)
    assert signed_in[0]["user"]["name"] == "systemAssignedIdentity"
    vm.run("az acr login --name myContainerRegistry")
    assert vm.value(pull) == first
    for selector in (f"--client-id {client}", f"--object-id {principal}", f"--resource-id {user}"):
        vm.run(f"az login --identity {selector}")
    assert vm.run("az login --identity --client-id 11111111-2222-3333-4444-555555555555", ok=False).returncode
    if old(az):
        vm.run(f"az login --identity --username {client}")
    else:
        refused = vm.run(f"az login --identity --username {user}", ok=False)
        assert refused.returncode and "no longer supported" in refused.stderr
    token = json.loads(vm.run("az acr login --name myContainerRegistry --expose-token").stdout)
    assert token["loginServer"] == SERVER


def test_without_a_role_nothing_works(document: Document) -> None:
    _, operator, make = document
    operator.run(
        f"az vm create -g {GROUP} -n bareVM --image Ubuntu2204 --admin-username azureuser --generate-ssh-keys "
        "--assign-identity [system]"
    )
    vm = make(vm="bareVM")
    vm.run("az cloud set -n AzureChinaCloud")
    refused = vm.run("az login --identity", ok=False)
    assert refused.returncode and "No access was configured for the" in refused.stderr
    vm.run("az login --identity --allow-no-subscriptions")
    login = "az acr login --name mycontainerregistry --expose-token"
    assert vm.run(login, ok=False).returncode
    # With a role somewhere else the subscription is seen, and it is the registry that refuses.
    principal = operator.value(f"az vm show -g {GROUP} -n bareVM --query identity.principalId -o tsv")
    elsewhere = f"--scope $(az identity show -g {GROUP} -n myACRId --query id -o tsv)"
    operator.run(f"az role assignment create --assignee {principal} {elsewhere} --role Reader")
    vm.run("az login --identity")
    refused = vm.run(login, ok=False)
    assert refused.returncode and "CONNECTIVITY_REFRESH_TOKEN_ERROR" in refused.stderr and "401" in refused.stderr


def test_time_passes(document: Document) -> None:
    """A role takes effect after the delay that was set."""
    folder, operator, make = document
    operator.run(f"az vm create -g {GROUP} -n slowVM --image Ubuntu2204 --admin-username azureuser --generate-ssh-keys")
    operator.run(f"az vm identity assign -g {GROUP} -n slowVM")
    Settings(folder).change(role_delay=600)
    try:
        principal = operator.value(f"az vm show -g {GROUP} -n slowVM --query identity.principalId -o tsv")
        scope = "--scope $(az acr show -n mycontainerregistry --query id -o tsv)"
        operator.run(f"az role assignment create --assignee {principal} {scope} --role acrpull")
        vm = make(vm="slowVM")
        vm.run("az cloud set -n AzureChinaCloud")
        vm.run("az login --identity --allow-no-subscriptions")
        login = "az acr login --name mycontainerregistry --expose-token"
        assert vm.run(login, ok=False).returncode
        Clock(Settings(folder)).advance(601)
        vm.run("az login --identity")
        vm.run(login)
    finally:
        Settings(folder).change(role_delay=0)


# The same state by the document's commands and by the notebooks

# Not compared, since it may differ: ids, times, keys and creators, which are new in each run; the names of the network's
# resources, for which az has suffixes of its own; from where SSH is admitted (az: everywhere, the runbook: ssh_source);
# the tag by which the runbook knows the group that it made; the size of the VM's disk and az's choice of security type.


def normalised(folder: Path) -> dict[str, Any]:
    """What stands in Resource Manager in the end, without ids, times and the names that DIFFERENT explains."""
    store = store_of(folder)
    try:
        resources = store.resources()
    finally:
        store.close()
    of_kind: dict[str, list[dict[str, Any]]] = {}
    for resource in resources:
        of_kind.setdefault(resource["type"].rpartition("/")[2], []).append(resource)
    (vm,) = [each for each in of_kind["virtualMachines"] if each["name"] == "myDockerVM"]
    (registry,) = of_kind["registries"]
    (identity,) = of_kind["userAssignedIdentities"]
    who = {identity["properties"]["principalId"]: "myACRId", vm["identity"]["principalId"]: "myDockerVM"}
    profile = vm["properties"]["osProfile"]
    image = vm["properties"]["storageProfile"]["imageReference"]
    (address,) = of_kind["publicIPAddresses"]
    (network,) = of_kind["virtualNetworks"]
    volatile = ("creationDate", "policies")
    return {
        "groups": [(each["name"], each["location"]) for each in of_kind["resourceGroups"]],
        "registry": {
            "name": registry["name"].lower(),
            "location": registry["location"],
            "sku": registry["sku"],
            "properties": {key: value for key, value in registry["properties"].items() if key not in volatile},
            "policies": {key: value["status"] for key, value in registry["properties"]["policies"].items()},
        },
        "identity": (identity["name"], identity["location"]),
        "vm": {
            "location": vm["location"],
            "identity": vm["identity"]["type"],
            "attached": [key.rpartition("/")[2] for key in vm["identity"]["userAssignedIdentities"]],
            "image": {key: image[key] for key in ("publisher", "offer", "sku", "version")},
            "user": (profile["adminUsername"], profile["computerName"]),
            "passwords": profile["linuxConfiguration"]["disablePasswordAuthentication"],
            "interfaces": len(vm["properties"]["networkProfile"]["networkInterfaces"]),
        },
        "address": (address["sku"]["name"], address["properties"]["publicIPAllocationMethod"]),
        "network": network["properties"]["addressSpace"]["addressPrefixes"],
        "subnets": [each["properties"]["addressPrefix"] for each in network["properties"]["subnets"]],
        "rules": [
            (rule["properties"]["destinationPortRange"], rule["properties"]["access"], rule["properties"]["direction"])
            for group in of_kind["networkSecurityGroups"]
            for rule in group["properties"]["securityRules"]
        ],
        "roles": sorted(
            (
                who[each["properties"]["principalId"]],
                each["properties"]["roleDefinitionId"].rpartition("/")[2],
                each["properties"]["principalType"],
                each["properties"]["scope"].lower(),
            )
            for each in of_kind["roleAssignments"]
            if each["properties"]["principalId"] in who
        ),
    }


def test_the_notebooks_make_what_the_documents_commands_make(az: Path, tmp_path: Path) -> None:
    if old(az):
        pytest.skip("once is enough: with the newest az")
    by_document, by_notebooks = tmp_path / "document", tmp_path / "notebooks"
    try:
        process.start(by_document)
        Terminal(tmp_path / "home", [az], sandbox_variables(by_document)).run("set -e\n" + OPERATOR)
        command = [RUNBOOK, "run", "--output", str(tmp_path / "run")]
        environment = {**clean_environment(), "RUNBOOK_SANDBOX": str(by_notebooks)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=PROJECT)
        assert done.returncode == 0, done.stdout + done.stderr
        assert normalised(by_notebooks) == normalised(by_document)
    finally:
        process.reset(by_document)
        process.reset(by_notebooks)


def test_deleting_the_group_takes_everything_with_it(document: Document) -> None:
    _, operator, _ = document
    operator.run(f"az group delete --name {GROUP} --yes")
    assert operator.run(f"az group exists --name {GROUP}").stdout.strip() == "false"
    assert json.loads(operator.run("az resource list").stdout) == []
