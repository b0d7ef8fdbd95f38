"""The Azure SDKs: the newest and the lowest versions that pyproject.toml admits run the whole walkthrough of verbs."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import SSH_SOURCE, SUBSCRIPTION
from .conftest import PROJECT, Terminal, python_environment

CONNECT = f"""
from runbook_helpers import *
azure = connect("AzureChinaCloud", subscription_id="{SUBSCRIPTION}", resource_group="sdks",
                location="chinanorth3", sandbox=True)
"""

WALKTHROUGH = f"""
import json, sys
{CONNECT}
registry = create_registry(azure, "sdkregistry")
import_image(azure, "sdkregistry", "app:v1", "mcr.microsoft.com/azuredocs/aci-helloworld:latest")
create_vm(azure, "sdkVM", ssh_source="{SSH_SOURCE}")
identity = create_identity(azure, "sdkIdentity")
assign_identity(azure, "sdkVM", identity.id)
vm = assign_identity(azure, "sdkVM")
assign_role(azure, "AcrPull", assignee=identity.principal_id, scope=registry.id)
assign_role(azure, "AcrPull", assignee=vm.identity.principal_id, scope=registry.id)
install_docker(azure, "sdkVM")
install_azure_cli(azure, "sdkVM")
az_login(azure, "sdkVM", identity.id)
acr_login(azure, "sdkVM", "sdkregistry")
assert docker_pull(azure, "sdkVM", "sdkregistry.azurecr.cn/app:v1").startswith("sha256:")
print(json.dumps({{"type": str(getattr(vm.identity.type, "value", vm.identity.type)), "client": identity.client_id,
                  "id": identity.id, "principal": identity.principal_id}}))
"""

# On the VM: each way that azure-identity knows to choose an identity, and the registry with its token.
ON_THE_VM = """
import sys
from azure.containerregistry import ContainerRegistryClient
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
client, resource, principal = sys.argv[1:]
scope = "https://containerregistry.azure.net/.default"
for credential in (
    ManagedIdentityCredential(),
    ManagedIdentityCredential(client_id=client),
    ManagedIdentityCredential(identity_config={"resource_id": resource}),
    ManagedIdentityCredential(identity_config={"object_id": principal}),
    DefaultAzureCredential(managed_identity_client_id=client),
):
    assert credential.get_token(scope).token
    with ContainerRegistryClient("https://sdkregistry.azurecr.cn", credential) as registry:
        tag = registry.get_tag_properties("app", "v1")
        assert registry.get_manifest("app", "v1").digest == tag.digest
print("done")
"""


def lowest() -> list[str]:
    """The lowest version of each of the project's Azure packages that it admits."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    azure = [each for each in project["dependencies"] if each.startswith("azure-")]
    found = []
    for each in azure:
        match = re.fullmatch(r"([a-z-]+)>=([\d.]+),<\d+", each)
        assert match, each
        version = match[2] if "." in match[2] else f"{match[2]}.0"
        found.append(f"{match[1]}=={version}.*" if version.count(".") == 1 else f"{match[1]}=={version}")
    return found


@pytest.fixture(scope="module", params=["newest", "lowest"])
def python(request: pytest.FixtureRequest) -> Path:
    """A Python with the project and one end of the ranges of its Azure packages."""
    pins = lowest() if request.param == "lowest" else []
    bin_ = python_environment(f"sdks-{request.param}", ".[sandbox]", *pins)
    # The project itself is the one that is tested, not the copy that was installed with its dependencies.
    subprocess.run([bin_ / "python", "-m", "pip", "uninstall", "-q", "-y", "azure-acr-runbook"], check=True)
    return bin_ / "python"


def test_the_walkthrough(python: Path, folder: Path, terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    variables = {"RUNBOOK_SANDBOX": str(folder), "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
    operator = Terminal(tmp_path, [], variables)
    (tmp_path / "walkthrough.py").write_text(WALKTHROUGH)
    made = json.loads(operator.run(f"{python} {tmp_path}/walkthrough.py").stdout.splitlines()[-1])
    assert made["type"].replace(" ", "") == "SystemAssigned,UserAssigned"
    vm = terminal(vm="sdkVM")
    (tmp_path / "vm.py").write_text(ON_THE_VM)
    arguments = f"{made['client']} {made['id']} {made['principal']}"
    assert vm.run(f"{python} {tmp_path}/vm.py {arguments}").stdout == "done\n"


# A registry's content, by the SDK as installed here

CONTENT = f"""
import hashlib, io, json
{CONNECT}
from azure.containerregistry import ContainerRegistryClient
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.mgmt.containerregistry.models import RegistryUpdateParameters
from runbook_helpers.connection import transport
create_registry(azure, "sdkcontent", sku="Standard")
def options():  # each client closes its own
    return transport(azure.proxy, azure.ca_file)
endpoint = "https://sdkcontent.azurecr.cn"
with ContainerRegistryClient(endpoint, azure.credential, **options()) as registry:
    digest, size = registry.upload_blob("library/hello", io.BytesIO(b"layer" * 100000))
    config, config_size = registry.upload_blob("library/hello", io.BytesIO(b'{{"architecture": "amd64", "os": "linux"}}'))
    manifest = {{
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size}},
        "layers": [{{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size}}],
    }}
    pushed = registry.set_manifest("library/hello", manifest, tag="v1")
    assert registry.get_manifest("library/hello", "v1").digest == pushed
    assert b"".join(registry.download_blob("library/hello", digest)) == b"layer" * 100000
    assert list(registry.list_repository_names()) == ["library/hello"]
    assert [tag.name for tag in registry.list_tag_properties("library/hello")] == ["v1"]
    assert [(m.digest, m.architecture) for m in registry.list_manifest_properties("library/hello")] == [(pushed, "amd64")]
    assert registry.get_repository_properties("library/hello").manifest_count == 1
    locked = registry.update_tag_properties("library/hello", "v1", can_delete=False)
    assert locked.can_delete is False
    try:
        registry.delete_tag("library/hello", "v1")
        raise SystemExit("a locked tag was deleted")
    except HttpResponseError as error:
        assert error.status_code == 405
    registry.update_tag_properties("library/hello", "v1", can_delete=True)
with ContainerRegistryClient(endpoint, None, **options()) as anonymous:
    try:
        anonymous.get_manifest("library/hello", "v1")
        raise SystemExit("anybody could pull")
    except ClientAuthenticationError:
        pass
def anybody_may_pull(yes):
    change = RegistryUpdateParameters(anonymous_pull_enabled=yes)
    azure.registries.registries.begin_update("sdks", "sdkcontent", change, polling_interval=0.1).result()
anybody_may_pull(True)
with ContainerRegistryClient(endpoint, None, **options()) as anonymous:
    assert anonymous.get_manifest("library/hello", "v1").digest == pushed
    try:
        anonymous.delete_tag("library/hello", "v1")
        raise SystemExit("anybody could delete")
    except ClientAuthenticationError:
        pass
with ContainerRegistryClient(endpoint, azure.credential, **options()) as registry:
    registry.delete_tag("library/hello", "v1")
    registry.delete_manifest("library/hello", pushed)
    registry.delete_repository("library/hello")
    assert list(registry.list_repository_names()) == []
anybody_may_pull(False)  # as it was
print("done")
"""


def test_the_content_of_a_registry(python: Path, folder: Path, tmp_path: Path) -> None:
    variables = {"RUNBOOK_SANDBOX": str(folder), "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
    (tmp_path / "content.py").write_text(CONTENT)
    done = Terminal(tmp_path, [], variables).run(f"{python} {tmp_path}/content.py")
    assert done.stdout.endswith("done\n")
