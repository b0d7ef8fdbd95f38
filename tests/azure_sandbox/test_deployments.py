"""Template deployments: what a template stands for, what is made of it, and what is refused of it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
import requests

from azure_sandbox.arm.template import FUNCTIONS, unique_string
from azure_sandbox.requests import parse_lax_json

from .groups import PULL, Group, code, vm_token
from .replay import CLOUD, ZERO, PublicCloud

Json = dict[str, Any]
ASSIGNMENTS, REGISTRIES = "Microsoft.Authorization/roleAssignments", "Microsoft.ContainerRegistry/registries"
IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"


def identity(name: str, **more: Any) -> Json:
    return {"type": IDENTITIES, "apiVersion": "2023-01-31", "name": name, "location": "westus", **more}


def deployed(group: Group, template: Json, verb: str = "", **properties: Any) -> requests.Response:
    asked = {"properties": {"mode": "Incremental", "template": template, **properties}}
    method = "POST" if verb else "PUT"
    return group.public.arm(method, f"{group.id}/providers/Microsoft.Resources/deployments/d{verb}", asked)


def ended(group: Group, answer: requests.Response) -> Json:
    """The status of the operation that an answer names, or what is at its location."""
    url = answer.headers.get("Azure-AsyncOperation") or answer.headers["Location"]
    found: Json = group.public.arm("GET", url.removeprefix(CLOUD.resource_manager_url)).json()
    return found


def shown(group: Group) -> Json:
    found: Json = group.public.arm("GET", f"{group.id}/providers/Microsoft.Resources/deployments/d").json()
    return found


def output(group: Group, expression: str, **template: Any) -> Any:
    """What an expression stands for."""
    wanted = {"o": {"type": "string", "value": f"[{expression}]"}}
    answer = deployed(group, {"resources": [], "outputs": wanted, **template})
    assert answer.status_code in (200, 201), answer.text
    return shown(group)["properties"]["outputs"]["o"]["value"]


def role_template(group: Group, *, old: bool) -> Json:
    """A role for a new identity on a new registry, as Bicep writes it, or as templates did before."""
    registry = f"resourceId('{REGISTRIES}', '{group.name}')"
    name = f"guid({registry}, parameters('who'), variables('pull'))"
    place = {"type": f"{REGISTRIES}/providers/roleAssignments",
             "name": f"[concat('{group.name}/Microsoft.Authorization/', {name})]"} if old else {
             "type": ASSIGNMENTS, "name": f"[{name}]", "scope": f"[format('{REGISTRIES}/{{0}}', '{group.name}')]"}  # fmt: skip
    who = f"resourceId('{IDENTITIES}', parameters('who'))"
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "metadata": {"_generator": {"name": "bicep"}},
        "parameters": {"who": {"type": "string"}, "at": {"type": "string", "defaultValue": "[resourceGroup().location]"}},
        "variables": {"pull": f"[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{PULL}')]"},
        "resources": [
            {
                **place,
                "apiVersion": "2022-04-01",
                "dependsOn": [f"[{registry}]", f"[{who}]"],
                "properties": {
                    "roleDefinitionId": "[variables('pull')]",
                    "principalId": f"[reference({who}, '2023-01-31').principalId]",
                    "principalType": "ServicePrincipal",
                },
            },
            identity("[parameters('who')]"),
            {"type": REGISTRIES, "apiVersion": "2023-07-01", "name": group.name, "location": "[parameters('at')]",
             "sku": {"name": "Basic"}, "properties": {}},
        ],
    }  # fmt: skip


@pytest.mark.parametrize("old", [False, True])
def test_a_role_assignment_that_is_named_by_guid(group: Group, old: bool) -> None:
    template, given = role_template(group, old=old), {"who": {"value": "puller"}}
    checked = deployed(group, template, "/validate", parameters=given)
    assert checked.status_code == 200 and checked.json()["properties"]["provisioningState"] == "Succeeded"
    registry = f"{group.id}/providers/{REGISTRIES}/{group.name}"
    assert group.public.arm("GET", registry).status_code == 404  # validate makes nothing
    for status in (201, 200):  # the same again changes nothing: the name is the same
        answer = deployed(group, template, parameters=given)
        assert answer.status_code == status and ended(group, answer)["status"] == "Succeeded", ended(group, answer)
    listed = group.public.arm("GET", f"{registry}/providers/{ASSIGNMENTS}", version="2022-04-01").json()["value"]
    own = [each for each in listed if each["properties"]["scope"] == registry]
    puller = group.public.arm("GET", f"{group.id}/providers/{IDENTITIES}/puller").json()["properties"]["principalId"]
    assert [each["properties"]["principalId"] for each in own] == [puller]
    assert own[0]["id"] in [each["id"] for each in checked.json()["properties"]["validatedResources"]]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        # The first is an output of Azure's; the second is in the tests of Terraform's provider azapi.
        ("uniqueString('/subscriptions/31e9f9a0-9fd2-4294-a0a3-0101246d9700/resourceGroups/rg-modm201-20230913120256"
         "/providers/Microsoft.Compute/virtualMachines/bobjacmodm201')", "yvjxno3je5on2"),
        (f"uniqueString('/subscriptions/{ZERO}', 'resource-id')", "cwvxuqg24sifi"),
        ("guid('a', 'b')", "2d796349-8c7e-55ec-9624-54ece82ed031"),
        ("toUpper(concat('a', 'it''s', 1))", "AIT'S1"),
        ("concat(variables('list'), variables('list'))[2]", "x"),
        ("variables('deep').a[1].b", "y"),
        ("format('{0}-{1}-{{}}', 'a', toLower('B'))", "a-b-{}"),
        ("subscriptionResourceId('A.B/c', 'd')", f"/subscriptions/{ZERO}/providers/A.B/c/d"),
        ("resourceId('other', 'A.B/c/e', 'd', 'f')", f"/subscriptions/{ZERO}/resourceGroups/other/providers/A.B/c/d/e/f"),
        (f"resourceId('{PULL}', 'other', 'A.B/c', 'd')", f"/subscriptions/{PULL}/resourceGroups/other/providers/A.B/c/d"),
        ("extensionResourceId('/x', 'A.B/c', 'd')", "/x/providers/A.B/c/d"),
        ("tenantResourceId('A.B/c', 'd')", "/providers/A.B/c/d"),
        ("resourceGroup().location", "westus"),
    ],
)  # fmt: skip
def test_what_an_expression_stands_for(group: Group, expression: str, value: str) -> None:
    assert output(group, expression, variables={"list": ["x", "z"], "deep": {"a": [0, {"b": "y"}]}}) == value


@pytest.mark.parametrize("length", range(20))
def test_unique_strings_of_each_length(length: int) -> None:
    found = unique_string("x" * length)
    assert len(found) == 13 and found != unique_string("y" + "x" * length) and len(FUNCTIONS) >= 8


TWICE = {f"v{n}": f"[concat(variables('v{n - 1}'), variables('v{n - 1}'))]" for n in range(1, 60)} | {"v0": "ab"}


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ({"outputs": {"o": {"type": "string", "value": "[newGuid()]"}}}, "NotImplementedInSandbox"),
        ({"outputs": {"o": {"type": "string", "value": "[format('{0:D3}', 1)]"}}}, "NotImplementedInSandbox"),
        ({"functions": [{"namespace": "mine"}]}, "NotImplementedInSandbox"),
        ({"languageVersion": "2.0", "resources": {}}, "NotImplementedInSandbox"),
        ({"resources": [identity("one", copy={"count": 2})]}, "NotImplementedInSandbox"),
        ({"resources": [identity("one", resources=[identity("two")])]}, "NotImplementedInSandbox"),
        ({"resources": [identity("one", plan={"name": "x"})]}, "NotImplementedInSandbox"),
        ({"resources": [{**identity("one"), "type": "Microsoft.Storage/storageAccounts"}]}, "NotImplementedInSandbox"),
        ({"resources": [identity("[reference('x').y]")]}, "InvalidTemplate"),
        ({"resources": [identity("one", dependsOn=["two"]), identity("two", dependsOn=["one"])]}, "InvalidTemplate"),
        ({"resources": [identity("one", location="atlantis")]}, "InvalidTemplateDeployment"),
        ({"resources": [identity("one", tags={"<": "x"})]}, "InvalidTemplateDeployment"),
        ({"resources": [{"type": IDENTITIES}]}, "InvalidTemplate"),
        ({"resources": [7]}, "InvalidTemplate"),
        ({"outputs": {"o": {"type": "string", "value": "[variables('none')]"}}}, "InvalidTemplate"),
        ({"outputs": {"o": {"type": "string", "value": "[concat('a' 'b')]"}}}, "InvalidTemplate"),
        ({"outputs": {"o": {"type": "string", "value": "['open]"}}}, "InvalidTemplate"),
        ({"outputs": {"o": {"type": "string", "value": "[" + "concat(" * 5000 + ")" * 5000 + "]"}}}, "InvalidTemplate"),
        ({"variables": TWICE, "outputs": {"o": {"type": "string", "value": "[variables('v59')]"}}}, "InvalidTemplate"),
        ({"parameters": {"p": {"type": "string", "defaultValue": "[parameters('p')]"}}}, "InvalidTemplate"),
        ({"parameters": {"p": {"type": "string"}}}, "InvalidTemplate"),
        ({"parameters": {"p": {"type": "string", "defaultValue": 1}}}, "InvalidTemplate"),
        ({"parameters": {"p": {"type": "int", "defaultValue": True}}}, "InvalidTemplate"),
        ({"parameters": {"p": {"type": "int", "maxValue": 3, "defaultValue": 4}}}, "InvalidTemplate"),
        ({"parameters": {"p": {"type": "string", "minLength": 3, "defaultValue": "ab"}}}, "InvalidTemplate"),
        ({"parameters": {"p": {"type": "string", "allowedValues": ["a"], "defaultValue": "b"}}}, "InvalidTemplate"),
        ({"parameters": {"p": {"type": "strange", "defaultValue": "b"}}}, "InvalidTemplate"),
    ],
)  # fmt: skip
def test_a_template_that_is_refused_makes_nothing(group: Group, template: Json, wanted: str) -> None:
    whole = {"resources": [], **template}
    if isinstance(whole["resources"], list):
        whole["resources"] = [identity("before"), *whole["resources"]]
    for verb in ("", "/validate"):
        answer = deployed(group, whole, verb)
        assert answer.status_code == (501 if wanted == "NotImplementedInSandbox" else 400) and code(answer) == wanted
    foretold = deployed(group, whole, "/whatIf")  # azure-cli can print this refusal only where it is the result
    assert foretold.status_code == 202 and ended(group, foretold)["error"]["code"] == wanted
    assert group.public.arm("GET", f"{group.id}/resources").json()["value"] == []


@pytest.mark.parametrize(
    ("properties", "status", "wanted"),
    [
        ({"parameters": {"odd": {"value": 1}}}, 400, "InvalidTemplate"),
        ({"mode": "Strange"}, 400, "InvalidRequestContent"),
        ({"onErrorDeployment": {"type": "LastSuccessful"}}, 501, "NotImplementedInSandbox"),
        ({"templateLink": {"uri": "https://example.com"}}, 501, "NotImplementedInSandbox"),
    ],
)
def test_what_is_asked_of_a_deployment(group: Group, properties: Json, status: int, wanted: str) -> None:
    answer = deployed(group, {"resources": []}, **properties)
    assert (answer.status_code, code(answer)) == (status, wanted)


def test_a_key_vaults_secret_is_not_taken_for_nothing(group: Group) -> None:
    template = {"parameters": {"p": {"type": "securestring"}}, "resources": []}
    answer = deployed(group, template, parameters={"p": {"reference": {"secretName": "x"}}})
    assert (answer.status_code, code(answer)) == (501, "NotImplementedInSandbox")


def test_a_deployment_that_fails_is_shown_as_failed(group: Group) -> None:
    answer = deployed(group, {"resources": [identity("one"), identity("x")]})  # the second has no name of an identity
    operation = ended(group, answer)
    assert answer.status_code == 201 and operation["status"] == "Failed"
    assert operation["error"]["code"] == "DeploymentFailed"
    assert operation["error"]["details"][0]["code"] == "InvalidResourceName"
    assert shown(group)["properties"]["provisioningState"] == "Failed"
    assert shown(group)["properties"]["error"] == operation["error"]


def test_complete_mode_removes_what_the_template_does_not_have(group: Group) -> None:
    group.vm()  # with a network, an interface and an address
    group.identity("kept")
    template = {"resources": [identity("kept"), identity("new")]}
    foretold = ended(group, deployed(group, template, "/whatIf", mode="Complete"))["properties"]["changes"]
    kinds = {each["resourceId"].rpartition("/")[2]: each["changeType"] for each in foretold}
    assert kinds["kept"] == "NoChange" and kinds["new"] == "Create" and list(kinds.values()).count("Delete") >= 3
    answer = deployed(group, template, mode="complete")
    assert ended(group, answer)["status"] == "Succeeded", ended(group, answer)
    left = group.public.arm("GET", f"{group.id}/resources").json()["value"]
    assert sorted(each["name"] for each in left) == ["kept", "new"] and shown(group)["properties"]["mode"] == "Complete"


def test_what_would_change(group: Group) -> None:
    group.identity("one")
    template = {"resources": [identity("one", tags={"a": "b"}), identity("two")]}
    changes = ended(group, deployed(group, template, "/whatIf"))["properties"]["changes"]
    assert [each["changeType"] for each in changes] == ["Modify", "Create"]
    assert changes[0]["delta"] == [
        {"path": "tags.a", "propertyChangeType": "Create", "before": None, "after": "b"}
    ]  # what the template does not name stays
    ids = ended(group, deployed(group, template, "/whatIf", whatIfSettings={"resultFormat": "ResourceIdOnly"}))
    assert [sorted(each) for each in ids["properties"]["changes"]] == [["changeType", "resourceId"]] * 2
    assert [each["changeType"] for each in ids["properties"]["changes"]] == ["Deploy", "Create"]


def test_who_deploys_needs_the_right_to_what_the_template_makes(group: Group) -> None:
    vm, session = group.vm()
    principal, may = group.principal(vm), ["Microsoft.Resources/deployments/*"]
    role = f"{group.id}/providers/Microsoft.Authorization/roleDefinitions/{uuid.uuid4()}"
    wanted = {"roleName": role, "permissions": [{"actions": may}], "assignableScopes": [group.id]}
    assert group.public.arm("PUT", role, {"properties": wanted}, "2022-04-01").status_code == 201
    assert group.assign(role.rpartition("/")[2], principal).status_code == 201
    headers = {"Authorization": f"Bearer {vm_token(session, CLOUD.audiences[0])}"}
    url = f"{CLOUD.resource_manager_url}{group.id}/providers/Microsoft.Resources/deployments/d?api-version=2022-09-01"
    for resources, status in ([], 201), ([identity("one")], 400):
        body = {"properties": {"template": {"resources": resources}}}
        answer = group.public.session.put(url, json=body, headers=headers)
        assert answer.status_code == status, answer.text
    assert answer.json()["error"]["details"][0]["code"] == "AuthorizationFailed"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{"p": {"x": "y", template:{"a": "b" // c\n, }}}', {"p": {"x": "y", "template": {"a": "b"}}}),
        ('/* "x */ {"a": "// no /* comment */ {b: 1,}", "c": [1, 2,],}', {"a": "// no /* comment */ {b: 1,}", "c": [1, 2]}),
        ('{"a": "two\n\tlines \\" here"}', {"a": 'two\n\tlines " here'}),
    ],
)  # fmt: skip
def test_json_as_azure_cli_sends_it(text: str, value: Any) -> None:
    assert parse_lax_json(text.encode()) == value


@pytest.mark.parametrize(
    "text", ['{"a"', "/*" * 500_000, '"' + '\\"' * 500_000 + "\\", "{a" * 300_000, '{"a": NaN}', "a" * 10**6]
)
def test_json_that_is_none(text: str) -> None:
    """Each in a time that grows with its length."""
    with pytest.raises(ValueError):
        parse_lax_json(text.encode())


def test_a_body_with_comments(public: PublicCloud, group: Group) -> None:
    template = json.dumps({"resources": [], "outputs": {}})
    body = f'{{"properties": {{"mode": "Incremental", template:{template} /* raw */}}}}'
    url = f"{CLOUD.resource_manager_url}{group.id}/providers/Microsoft.Resources/deployments/d?api-version=2022-09-01"
    headers = {"Authorization": f"Bearer {public.token()}", "Content-Type": "application/json"}
    assert public.session.put(url, data=body.encode(), headers=headers).status_code == 201
    assert public.session.patch(url, data=body.encode(), headers=headers).status_code == 501
