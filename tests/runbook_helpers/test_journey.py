"""The token's journey: what is drawn is what happened, and never a token."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from runbook_helpers import (
    Azure,
    Journey,
    acr_login,
    assign_identity,
    assign_role,
    az_login,
    create_identity,
    create_registry,
    create_vm,
    docker_pull,
    import_image,
    install_azure_cli,
    install_docker,
    remove_role,
    show_journey,
    show_registry,
    show_vm,
    ssh,
    try_pull,
)
from runbook_helpers.clouds import CLOUDS
from runbook_helpers.errors import CommandFailed
from runbook_helpers.journal import Journal
from runbook_helpers.journey.steps import MANAGER, METADATA, REGISTRY, VM, YOU, Step, span
from runbook_helpers.journey.svg import LANES, LETTER, WIDTH, draw
from runbook_helpers.journey.traffic import from_traffic

from ..conftest import SSH_SOURCE, SUBSCRIPTION
from .test_verbs import ready

JWT = re.compile(r"eyJ[\w-]{10,}")
SVG = "{http://www.w3.org/2000/svg}"
LOOK_UP = [(METADATA, "GET token: Resource Manager", "200"), (MANAGER, "GET /subscriptions/…/resources", "200")]
SIGN_IN = [(METADATA, "GET token: Resource Manager", "200"), (MANAGER, "GET /subscriptions", "200")]
EXCHANGE = [
    *LOOK_UP,
    (REGISTRY, "GET /v2/", "401 sign in first"),
    (METADATA, "GET token: Registry", "200"),
    (REGISTRY, "POST /oauth2/exchange", "200 refresh token"),
    (REGISTRY, "GET /v2/", "401 sign in first"),
    (REGISTRY, "GET /oauth2/token", "200 access token"),
    (REGISTRY, "GET /v2/", "200"),
]
PULL = [
    (REGISTRY, "GET /v2/", "401 sign in first"),
    (REGISTRY, "POST /oauth2/token", "200 access token"),
    (REGISTRY, "GET manifest app:v1, and the layers that the VM lacks", "200"),
]


def sign_in_and_pull(azure: Azure, vm_name: str, registry_name: str, identity_id: str | None, reference: str) -> None:
    az_login(azure, vm_name, identity_id)
    acr_login(azure, vm_name, registry_name)
    docker_pull(azure, vm_name, reference)


def asked(journey: Journey) -> list[tuple[str, str, str]]:
    """What the VM asked."""
    return [(step.target, step.what, step.status) for step in journey.steps if step.source == VM]


def shown(journey: Journey) -> str:
    """The picture, which must be well-formed, and the text."""
    bundle = journey._repr_mimebundle_()
    (image,) = ElementTree.fromstring(f"<p>{bundle['text/html'][:-1]}/></p>")
    picture = journey.as_svg()
    assert unquote(image.get("src", "")) == f"data:image/svg+xml,{picture}"
    assert image.get("alt") == f"{journey.title}. {journey.outcome}"
    root = ElementTree.fromstring(picture)
    assert root.findtext(f"{SVG}title") == journey.title and journey.outcome in str(root.findtext(f"{SVG}desc"))
    assert root.get("role") == "img"
    return picture + bundle["text/plain"]


def tokens_on(azure: Azure, vm_name: str) -> list[str]:
    """The tokens that Docker on a VM keeps, which nobody else may see."""
    with ssh(azure, vm_name) as shell:
        auths: dict[str, dict[str, str]] = json.loads(shell.run("cat", ".docker/config.json").stdout)["auths"]
    found = [value for auth in auths.values() for value in auth.values()]
    decoded = [base64.b64decode(value).decode("latin-1") for value in found if "." not in value]
    return [token for text in found + decoded for token in re.findall(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", text)]


def test_user_assigned_pulled_again_refused_and_from_the_client_side(azure: Azure, name: str) -> None:
    reference = ready(azure, name)
    registry, identity, vm = show_registry(azure, name), create_identity(azure, "id1"), show_vm(azure, "vm")
    assign_identity(azure, "vm", identity.id)
    grant = assign_role(azure, "AcrPull", assignee=identity.principal_id, scope=registry.id)
    assert asked(show_journey(azure, "vm", name, identity.id)) == []
    sign_in_and_pull(azure, "vm", name, identity.id, reference)
    journey = show_journey(azure, "vm", name, identity.id)
    assert journey.outcome == "The image is pulled."
    first = journey.steps[0]
    assert (first.source, first.target, first.what) == (YOU, MANAGER, f"PUT roleAssignments/{grant.name}")
    assert first.claims and first.claims["role"] == "AcrPull" and first.claims["principalId"] == identity.principal_id
    assert asked(journey) == SIGN_IN + EXCHANGE + PULL
    assert not any(step.refused for step in journey.steps)
    claims = [step.claims for step in journey.steps[1:] if step.claims]
    assert claims[0] == {
        "aud": "https://management.core.chinacloudapi.cn/",
        "oid": identity.principal_id,
        "xms_mirid": identity.id.replace("/resourceGroups/", "/resourcegroups/"),
        "exp": "valid for 24 h 5 min",
    }
    assert claims[2]["aud"] == "https://containerregistry.azure.net"
    assert claims[3] == {"aud": registry.login_server, "sub": identity.principal_id, "exp": "valid for 3 h 15 min"}
    assert claims[5]["access"] == "app: pull" and claims[5]["exp"] == "valid for 75 min"

    # As on a real cloud, which does not tell what it was asked.
    client = dataclasses.replace(azure, traffic=None, journal=Journal())
    assert shown(show_journey(client, "vm", name, identity.id)).count("There was no sign-in with this identity.") == 3
    sign_in_and_pull(client, "vm", name, identity.id, reference)
    docker_pull(client, "vm", reference)
    outside = show_journey(client, "vm", name, identity.id)
    assert outside.outcome == "The image is pulled."
    assert asked(outside) == [
        (METADATA, "az login --identity --resource-id …/id1", "exit status 0"),
        (REGISTRY, f"az acr login --name {name}", "exit status 0"),
        (REGISTRY, f"docker pull {reference}", "exit status 0"),
        (METADATA, "GET token: Resource Manager", "a token"),
        (METADATA, "GET token: Registry", "a token"),
    ]
    assert outside.steps[-1].claims == claims[2]

    # That was the same again, but for the layers that were there: the same picture of it, letter for letter.
    assert shown(show_journey(azure, "vm", name, identity.id)) == shown(journey)

    # Nothing of a token is in the log, in a picture or in a text.
    assert azure.traffic
    traffic = [each for each in azure.traffic() if each["vm"] == vm.vm_id or name in each["path"]]
    everything = json.dumps(traffic) + shown(journey) + shown(outside) + json.dumps(client.journal.commands)
    tokens = tokens_on(azure, "vm")
    assert tokens and not JWT.search(everything)
    assert not any(part in everything for token in tokens for part in token.split("."))

    # Without the role: at first not even the sign-in to Azure, and with a role elsewhere not the one to the registry.
    remove_role(client, "AcrPull", assignee=identity.principal_id, scope=registry.id)
    assert try_pull(client, "vm", name, "app:v1", identity.id).refusal
    journey = show_journey(azure, "vm", name, identity.id)
    assert asked(journey) == [SIGN_IN[0], (MANAGER, "GET /subscriptions", "200 no subscription")]
    assert journey.steps[-1].refused and "The identity has no role on the registry now." in journey.notes
    assert show_journey(client, "vm", name, identity.id).outcome.startswith("Refused: az login --identity")
    assign_role(azure, "Reader", assignee=identity.principal_id, scope=vm.id)
    assert try_pull(azure, "vm", name, "app:v1", identity.id).refusal
    journey = show_journey(azure, "vm", name, identity.id)
    assert asked(journey)[-1] == (REGISTRY, "POST /oauth2/exchange", "401")
    assert journey.outcome == "Refused: POST /oauth2/exchange (401)."
    refused = [each for each in azure.traffic() if each["path"] == "/oauth2/exchange"][-1]
    assert (refused["status"], refused["principal"]) == (401, identity.principal_id)
    # A grant that comes too late stands where it happened; the client side knows its place, too.
    assert try_pull(client, "vm", name, "app:v1", identity.id).refusal
    assign_role(client, "AcrPull", assignee=identity.principal_id, scope=registry.id)
    assert [step.source for step in show_journey(azure, "vm", name, identity.id).steps] == [VM] * 7 + [YOU]
    outside = show_journey(client, "vm", name, identity.id)
    assert [step.source for step in outside.steps] == [VM, VM, YOU, VM, VM]
    assert (
        outside.steps[2].status == "201" and outside.outcome == f"Refused: az acr login --name {name} (exit status 1)."
    )
    assert "stroke-dasharray" in shown(journey) and not JWT.search(shown(journey))


def test_two_vms_at_once_and_an_identity_of_the_vm_itself(azure: Azure, name: str) -> None:
    registry = create_registry(azure, name)
    import_image(azure, name, "app:v1", "mcr.microsoft.com/azuredocs/aci-helloworld:latest")
    reference = f"{registry.login_server}/app:v1"

    def walk(vm_name: str) -> Journey:
        create_vm(azure, vm_name, ssh_source=SSH_SOURCE)
        install_docker(azure, vm_name)
        install_azure_cli(azure, vm_name)
        vm = assign_identity(azure, vm_name)
        assign_role(azure, "AcrPull", assignee=str(vm.identity.principal_id), scope=registry.id)
        sign_in_and_pull(azure, vm_name, name, None, reference)
        return show_journey(azure, vm_name, name)

    with ThreadPoolExecutor(2) as pool:
        journeys = dict(zip(("one", "two"), pool.map(walk, ("one", "two")), strict=True))
    for vm_name, journey in journeys.items():
        vm = show_vm(azure, vm_name)
        assert asked(journey) == SIGN_IN + EXCHANGE + PULL
        assert "its own identity" in journey.title
        for step in journey.steps:
            principals = {step.claims.get(key) for key in ("oid", "sub", "principalId")} if step.claims else set()
            assert principals <= {None, vm.identity.principal_id}
            assert not step.claims or step.claims.get("xms_mirid", vm.id).lower() == vm.id.lower()

    # Docker has forgotten its sign-in: the pull alone is refused, and the journey ends with that.
    with ssh(azure, "one") as shell:
        shell.run("docker", "logout", str(registry.login_server))
    with pytest.raises(CommandFailed):
        docker_pull(azure, "one", reference)
    journey = show_journey(azure, "one", name)
    assert asked(journey)[-2:] == [PULL[0], (REGISTRY, "GET /oauth2/token", "401")]
    assert journey.outcome.startswith("Refused: GET /oauth2/token (401")


def test_a_namesake_in_another_subscription_is_not_taken_for_the_identity(azure: Azure, name: str) -> None:
    registry, identity = create_registry(azure, name), create_identity(azure, "id1")
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    assign_role(azure, "AcrPull", assignee=identity.principal_id, scope=registry.id)
    assert [step.source for step in show_journey(azure, "vm", name, identity.id).steps] == [YOU]
    journey = show_journey(azure, "vm", name, identity.id.replace(SUBSCRIPTION, "1" + SUBSCRIPTION[1:]))
    assert not journey.steps and journey.notes[0].startswith("The identity's principal is not known")


def request(host: str, path: str, status: int = 200, **facts: Any) -> dict[str, Any]:
    agent = "docker/28" if facts.pop("docker", False) else "python-requests/2"
    return {"vm": "v", "method": "GET", "host": host, "path": path, "status": status, "agent": agent, **facts}


def test_only_the_latest_try_is_shown_and_other_commands_are_left_out() -> None:
    cloud, server = CLOUDS["AzureCloud"], "r.azurecr.io"
    manager = {"resource": "https://management.azure.com", "issued": {"xms_mirid": "/ID"}}
    token = request("169.254.169.254", "/metadata/identity/oauth2/token", **manager)
    other = request("169.254.169.254", "/t", resource="https://management.azure.com", issued={"xms_mirid": "/other"})
    look = request("management.azure.com", "/subscriptions/s/resources")
    subscriptions = request("management.azure.com", "/subscriptions")
    challenge = request(server, "/v2/", 401)
    failed, exchanged = request(server, "/oauth2/exchange", 401), request(server, "/oauth2/exchange")
    docker = request(server, "/v2/", 401, docker=True)
    pushed = request(server, "/v2/app/blobs/uploads/", 401, docker=True)
    catalog = request(server, "/acr/v1/_catalog")
    waited = [token, look, challenge, failed, token, look, challenge, exchanged, docker]
    traffic = [other, subscriptions, token, subscriptions, *waited, docker, pushed, token, look, exchanged, catalog]
    traffic += [token, request("management.azure.com", "/subscriptions/s/resourceGroups/g", 403)]
    steps = from_traffic(traffic, cloud, "v", "/id", None, server)
    assert [step.what for step in steps] == [
        "GET token: Resource Manager",
        "GET /subscriptions",
        "GET token: Resource Manager",
        "GET /subscriptions/s/resources",
        "GET /v2/",
        "GET /oauth2/exchange",
        "GET /v2/",
    ]
    assert not any(step.refused for step in steps)
    # What was asked and never answered is no step.
    tried_twice = [each for request in traffic for each in ({**request, "status": 0}, request)]
    again = from_traffic(tried_twice, cloud, "v", "/id", None, server)
    assert [(step.what, step.status) for step in again] == [(step.what, step.status) for step in steps]
    # An identity that the VM does not have any more.
    gone = request("169.254.169.254", "/t", 400, resource="https://management.azure.com", identity="/ID")
    (step,) = from_traffic([*traffic, gone], cloud, "v", "/id", "/id", server)
    assert (step.part, step.status, step.refused) == ("az", "400", True)
    # Somebody else signed in after it.
    steps = from_traffic([*traffic, other, subscriptions, docker], cloud, "v", "/other", "/other", server)
    assert len(steps) == 3


@pytest.mark.parametrize("letters", [1, 60, 250])
def test_no_text_leaves_the_picture_or_meets_another(letters: int) -> None:
    """As wide as the widest of the fonts makes it."""
    word = "W" * letters
    claims = {"principalId": f"/subscriptions/{word}/{word}", "exp": "<&>"}
    steps = [
        Step("part", source, target, f"GET {word}/{word}", "401 sign in first", claims if step else None, bool(step))
        for step, (source, target) in enumerate([(YOU, MANAGER), (VM, METADATA), (VM, MANAGER), (VM, REGISTRY)])
    ]
    root = ElementTree.fromstring(
        draw(f"{word} pulls from {word}", steps, f"Refused: {word}", [word, "note"], {VM: word})
    )
    height, boxes = float(root.get("viewBox", "").split()[3]), []
    for text in root.iter(f"{SVG}text"):
        size, content = float(text.get("font-size", "12")), text.text or ""
        width = len(content) * size * LETTER
        x, y = float(text.get("x", "0")), float(text.get("y", "0"))
        left = x - width * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor", "start")]
        assert left >= 0 and left + width <= WIDTH and y < height, content
        boxes.append((left, left + width, y - size * 0.8, y, content))
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            apart = one[0] >= other[1] or other[0] >= one[1] or one[2] >= other[3] or other[2] >= one[3]
            assert apart, (one, other)
    assert WIDTH <= 900 and sorted(LANES.values()) == list(LANES.values())


def test_span() -> None:
    assert [span(seconds) for seconds in (4500, 11700, 86700, 7200)] == ["75 min", "3 h 15 min", "24 h 5 min", "2 h"]


def test_journal_keeps_no_argument_that_may_be_secret() -> None:
    journal = Journal()
    journal.command("v", ["az", "login", "--service-principal", "-u", "me", "-p", "hidden", "--password=hidden"], 0)
    journal.command("v", ["az", "acr", "login", "--name", "r", "--password", "hidden"], 1)
    journal.command("v", ["docker", "pull", "-q", "r.azurecr.io/app:v1"], 0)
    journal.command("v", ["docker", "login", "-p", "hidden"], 0)
    assert [(each["command"], each["status"]) for each in journal.commands] == [
        ("az login", 0),
        ("az acr login --name r", 1),
        ("docker pull r.azurecr.io/app:v1", 0),
    ]
