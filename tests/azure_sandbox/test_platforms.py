"""Images of several platforms, and of another one than the VM's, as the guest's Docker takes them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from azure_sandbox.arm.compute import processor

from .groups import Group, server_of
from .replay import PublicCloud
from .test_registry_locks import Images
from .test_simulated_guest import SimulatedVM

HELLO = "mcr.microsoft.com/hello-world"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"


@contextlib.contextmanager
def machine(folder: Path, public: PublicCloud, architecture: str) -> Iterator[SimulatedVM]:
    """A VM with Docker, of a processor's architecture."""
    facts = {"cloud_name": "AzureCloud", "proxy": public.proxy, "ca_file": public.ca_file}
    simulated = SimulatedVM(folder, architecture=architecture, **facts)
    try:
        assert simulated.run("sudo apt-get update && sudo apt-get install -y docker.io")[0] == 0
        yield simulated
    finally:
        simulated.close()


@pytest.fixture(params=["amd64", "arm64"])
def own(request: pytest.FixtureRequest, tmp_path: Path, public: PublicCloud) -> Iterator[SimulatedVM]:
    with machine(tmp_path, public, request.param) as simulated:
        yield simulated


def children(public: PublicCloud) -> dict[str, Any]:
    """The descriptors of the public image's platforms, by architecture."""
    accept = {"Accept": INDEX}
    index = public.session.get("https://mcr.microsoft.com/v2/hello-world/manifests/latest", headers=accept).json()
    assert index["mediaType"] == INDEX
    return {child["platform"]["architecture"]: child for child in index["manifests"]}


@pytest.fixture
def foreign(public: PublicCloud, group: Group) -> str:
    """A registry that everybody may pull from: app:single and app:index have an image for arm64 only."""
    registry = group.registry("Standard")
    public.arm("PATCH", registry, {"properties": {"anonymousPullEnabled": True}})
    child = children(public)["arm64"]
    source = {"registryUri": "mcr.microsoft.com", "sourceImage": f"hello-world@{child['digest']}"}
    body = {"source": source, "targetTags": ["app:single"]}
    assert public.arm("POST", f"{registry}/importImage", body).status_code == 202
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}
    put = Images(public, registry).ask("PUT", "/v2/app/manifests/index", json=index, headers={"Content-Type": INDEX})
    assert put.status_code == 201, put.text
    return server_of(registry)


def test_docker_takes_the_image_for_its_processor(own: SimulatedVM) -> None:
    status, printed, _ = own.run(f"sudo docker run {HELLO}")
    assert status == 0 and "Hello from Docker!" in printed
    _, shown, _ = own.run(f"sudo docker inspect --format '{{{{.Os}}}}/{{{{.Architecture}}}}' {HELLO}")
    assert shown == f"linux/{own.machine.architecture}\n"
    assert own.run("sudo docker version --format '{{.Server.Arch}}'")[1] == f"{own.machine.architecture}\n"


def test_an_index_without_the_processor(own: SimulatedVM, foreign: str) -> None:
    status, _, errors = own.run(f"sudo docker pull {foreign}/app:index")
    if own.machine.architecture == "arm64":
        assert (status, errors) == (0, "")
    else:
        words = "Error response from daemon: no matching manifest for linux/amd64 in the manifest list entries\n"
        assert (status, errors) == (1, words)


def test_a_single_image_for_another_processor_is_pulled_but_does_not_run(own: SimulatedVM, foreign: str) -> None:
    assert own.run(f"sudo docker pull {foreign}/app:single")[0] == 0
    status, printed, errors = own.run(f"sudo docker run {foreign}/app:single")
    if own.machine.architecture == "arm64":
        assert status == 0 and "Hello from Docker!" in printed
        return
    assert (status, printed) == (255, "")
    assert errors == (
        "WARNING: The requested image's platform (linux/arm64/v8) does not match the detected host platform "
        "(linux/amd64) and no specific platform was requested\nexec /hello-world: exec format error\n"
    )


def test_a_platform_that_is_asked_for(tmp_path: Path, public: PublicCloud, foreign: str) -> None:
    with machine(tmp_path, public, "amd64") as simulated:
        for platform in ("linux/arm64", "arm64", "linux/aarch64", "linux/arm64/v8"):
            assert simulated.run(f"sudo docker pull -q --platform {platform} {HELLO}")[0] == 0
        assert simulated.run(f"sudo docker inspect -f '{{{{.Architecture}}}}' {HELLO}")[1] == "arm64\n"
        status, _, errors = simulated.run(f"sudo docker pull --platform linux/s390x {HELLO}")
        assert (status, "no matching manifest for linux/s390x in the manifest list entries" in errors) == (1, True)
        _, printed, _ = simulated.run(f"sudo docker pull --platform linux/amd64 {foreign}/app:single")
        assert (
            f"WARNING: image with reference {foreign}/app:single was found but does not match the specified platform: "
            "wanted linux/amd64, actual: linux/arm64/v8" in printed
        )


def test_the_documents_image_is_for_amd64(tmp_path: Path, public: PublicCloud) -> None:
    with machine(tmp_path, public, "arm64") as simulated:
        status, _, errors = simulated.run("sudo docker run mcr.microsoft.com/azuredocs/aci-helloworld")
        assert (
            status == 255
            and "platform (linux/amd64) does not match the detected host platform (linux/arm64/v8)" in errors
        )


@pytest.mark.parametrize(
    ("size", "architecture"),
    [
        ("Standard_D2s_v5", "amd64"),
        ("Standard_D2ps_v5", "arm64"),
        ("Standard_D4plds_v6", "arm64"),
        ("Standard_B2pts_v2", "arm64"),
        ("Standard_NP10s", "amd64"),
        ("Standard_A1", "amd64"),
    ],
)
def test_the_size_says_which_processor(size: str, architecture: str) -> None:
    assert processor(size) == architecture
