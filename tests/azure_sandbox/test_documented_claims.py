"""docs/sandbox/: each claim of its pages has tests, which are named here; those that no other file has stand below.

A claim is an item of a list, a row of a table or a paragraph; operations.md is written from the code (test_page.py).
"""

from __future__ import annotations

import ast
import json
import re
import uuid
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from azure_sandbox import faults, guard, limits
from azure_sandbox.clouds import REGISTRY_AUDIENCE
from azure_sandbox.guests.simulated import coreutils
from azure_sandbox.tenant import Tenant

from .groups import READER, Group, code, vm_token
from .raw_http import ARM_HOST
from .replay import CLOUD, ZERO, PublicCloud
from .test_fuzz_requests import VALID, InProcessSandbox, provider

TESTS = Path(__file__).parents[1]
PAGES = TESTS.parent / "docs" / "sandbox"
Json = dict[str, Any]

# The beginning of each claim, and its tests: file::test, and ::test for another one of the same file.
HELD = {
    "overview.md": {
        "The sandbox is an embedded Azure": "azure_sandbox/test_error_forms.py::test_a_route_that_is_not_emulated"
            " azure_sandbox/test_proxy.py::test_no_token_wrong_token_and_unsigned_token conformance/test_azure_cli.py::test_more_of_az",
        "It starts by itself": "azure_sandbox/test_process.py::test_ends_by_itself_when_idle ::test_many_starters_get_one_process"
            " azure_sandbox/test_proxy.py::test_what_is_not_played_is_refused",
        "More pages": "test_docs.py::test_links_lead_to_files_and_headings",
        "`.venv/bin/runbook sandbox shell`": "runbook_helpers/test_terminal.py::test_a_shell_in_the_sandbox_is_marked_and_is_left_with_exit"
            " ::test_a_shell_of_a_vm_says_which_and_has_no_secret ::test_unset_gives_a_terminal_back_what_it_had",
        "Your own `az` works there too": "conformance/test_azure_cli.py::test_the_operators_other_commands ::test_the_vms_commands",
        "Such a terminal stays in the sandbox": "runbook_helpers/test_cli.py::test_real_azure_in_a_terminal_of_the_sandbox_is_said_to_be_played",
        "Without these the sandbox is as fast": "azure_sandbox/test_semantics.py::test_a_role_takes_effect_and_ceases_after_a_delay",
        "tokens of applications": "azure_sandbox/test_semantics.py::test_everything_expires_at_its_own_time",
        "tokens of managed identities": "azure_sandbox/test_semantics.py::test_everything_expires_at_its_own_time",
        "refresh tokens of a registry": "azure_sandbox/test_semantics.py::test_everything_expires_at_its_own_time",
        "access tokens of a registry": "azure_sandbox/test_semantics.py::test_everything_expires_at_its_own_time",
        "clocks may differ by": "azure_sandbox/test_documented_claims.py::test_figures",
        "Resource Manager, one caller": "azure_sandbox/test_semantics.py::test_who_asks_too_often_has_to_wait"
            " azure_sandbox/test_documented_claims.py::test_figures",
        "metadata service, one VM": "azure_sandbox/test_semantics.py::test_the_metadata_service_has_a_limit_of_each_vm"
            " azure_sandbox/test_documented_claims.py::test_figures",
        "the vendors' clients work": "conformance/test_azure_cli.py::test_the_vms_commands conformance/test_containers.py::test_skopeo"
            " ::test_podman ::test_docker_login conformance/test_sdks.py::test_the_walkthrough",
        "the answers are Azure's": "azure_sandbox/test_recordings.py::test_the_sandbox_answers_as_azure_did"
            " azure_sandbox/test_page.py::test_the_page_is_up_to_date",
        "a registry is a registry": "azure_sandbox/test_distribution.py::test_the_api_is_there",
        "the notebooks do what": "conformance/test_azure_cli.py::test_the_notebooks_make_what_the_documents_commands_make",
        "it says no where Azure": "azure_sandbox/test_semantics.py::test_forged_tokens_are_refused"
            " azure_sandbox/test_refusals.py::test_who_may_pull_may_not_manage",
        "**Everything is done at once.**": "azure_sandbox/test_semantics.py::test_a_long_running_operation_takes_its_time",
        "**Faults**": "azure_sandbox/test_faults.py::test_a_status_is_answered_instead",
        "**A request** body": "azure_sandbox/test_hostile_requests.py::test_too_large_is_refused ::test_deep_json_is_refused"
            " ::test_compressed_bodies_are_not_unpacked azure_sandbox/test_documented_claims.py::test_figures",
        "**DNS is not emulated.**": "conformance/test_azure_cli.py::test_the_operators_other_commands",
        "**One tenant and two subscriptions**": "azure_sandbox/test_documented_claims.py::test_one_tenant_and_two_subscriptions"
            " azure_sandbox/test_error_forms.py::test_graph_knows_no_users ::test_users_cannot_sign_in"
            " azure_sandbox/test_roles.py::test_a_groups_role_is_its_members ::test_a_managed_identity_does_not_manage_groups",
        "**Deny assignments**": "azure_sandbox/test_roles.py::test_a_deny_assignment_counts_and_can_be_read",
        "**Locks** (`az lock`)": "runbook_helpers/test_clean_up_refused.py::test_what_a_lock_refuses"
            " ::test_a_lock_is_found_before_anything_is_taken_away",
        "that a list of locks": "azure_sandbox/test_documented_claims.py::test_which_locks_are_listed",
        "**Conditions on role assignments**": "azure_sandbox/test_semantics.py::test_repositories_with_conditions"
            " ::test_the_language_of_conditions azure_sandbox/test_documented_claims.py::test_conditions_that_azure_would_take",
        "**A custom role changes at once**": "azure_sandbox/test_documented_claims.py::test_a_custom_role_changes_at_once",
        "**All providers are registered**": "azure_sandbox/test_documented_claims.py::test_providers_regions_and_sizes"
            " azure_sandbox/test_semantics.py::test_a_region_that_there_is_not",
        "**Template deployments**": "azure_sandbox/test_deployments.py::test_what_an_expression_stands_for"
            " ::test_a_template_that_is_refused_makes_nothing ::test_what_is_asked_of_a_deployment ::test_what_would_change",
        "**Members that depend": "azure_sandbox/test_management.py::test_each_version_knows_its_own_members_of_a_registry"
            " ::test_each_version_knows_its_own_members_of_a_vm ::test_deleting_a_group_names_the_next_poll",
        "**The guest is simulated**": "azure_sandbox/test_simulated_guest.py::test_unknown_programs_and_those_a_real_ubuntu_has"
            " ::test_changed_layer_is_not_taken azure_sandbox/test_registry.py::test_the_images_program_runs"
            " azure_sandbox/test_documented_claims.py::test_no_program_of_the_guest_is_started_on_the_host",
        "**Nobody gets in with a password.**": "azure_sandbox/test_simulated_guest.py::test_only_the_admin_with_his_key_gets_in"
            " azure_sandbox/test_documented_claims.py::test_a_password_is_taken_and_forgotten",
        "**The operator's address": "azure_sandbox/test_semantics.py::test_network_rules",
        "**A VM that is switched off**": "azure_sandbox/test_documented_claims.py::test_a_vm_that_is_switched_off",
        "**Images are Canonical's Ubuntu": "azure_sandbox/test_never_yes.py::test_images_are_looked_up ::test_each_listed_image_makes_a_vm",
        "**Extensions**": "azure_sandbox/test_vm_extensions.py::test_what_is_refused"
            " runbook_helpers/test_host_keys.py::test_what_the_advised_command_does_lets_this_runbook_in",
        "**Windows and data disks**": "azure_sandbox/test_never_yes.py::test_a_vm_that_is_not_made_so"
            " azure_sandbox/test_management.py::test_what_a_vm_is_asked_to_have_is_shown",
        "**A registry serves its blobs itself**": "azure_sandbox/test_distribution.py::test_pull_a_blob",
        "**Images are imported": "azure_sandbox/test_image_import.py::test_from_another_registry ::test_sources_that_are_none"
            " azure_sandbox/test_platforms.py::test_the_documents_image_is_for_amd64",
        "**Policies**": "azure_sandbox/test_management.py::test_policies_of_a_registry"
            " azure_sandbox/test_semantics.py::test_arm_audience_policy azure_sandbox/test_registry_names.py::test_regional_login_servers",
        "No exchange with Azure China": "azure_sandbox/test_recordings.py::test_the_sandbox_answers_as_azure_did",
        "the issuer": "azure_sandbox/test_documented_claims.py::test_the_issuer_in_china"
            " azure_sandbox/test_registry.py::test_the_role_decides",
        "that a role's delay": "azure_sandbox/test_semantics.py::test_a_role_takes_effect_and_ceases_after_a_delay",
        "**cloud-init** does": "azure_sandbox/test_guest_cloud_init.py::test_packages_commands_and_files ::test_a_script"
            " ::test_keys_of_the_user ::test_what_it_does_not_do_is_refused_with_the_vm",
        "**A proxy that is set on the simulated guest**": "azure_sandbox/test_guest_proxies.py::test_curl ::test_apt"
            " ::test_docker_asks_by_its_daemon_s_proxy ::test_the_environment_of_every_sign_in_and_the_metadata_service",
        "that a subscription is listed": "runbook_helpers/test_registries.py::test_a_role_for_one_repository",
        "that deleting a resource": "azure_sandbox/test_documented_claims.py::test_what_goes_with_a_resource"
            " azure_sandbox/test_semantics.py::test_a_recreated_identity_is_another_one",
        "that a custom role cannot be found": "azure_sandbox/test_refusals.py::test_a_custom_role_is_for_its_scopes",
        "that a registry which is made again": "azure_sandbox/test_refusals.py::test_a_registry_made_again_is_another_one",
        "that a token of a registry counts again":
            "azure_sandbox/test_registry_sign_in.py::test_tokens_end_when_the_mode_is_switched",
        "that what the metadata service takes":
            "azure_sandbox/test_refusals.py::test_every_path_of_the_metadata_service_wants_its_header",
        "that an identity which is deleted": "azure_sandbox/test_refusals.py::test_a_recreated_identity_is_not_attached",
        "that the exchange of a registry":
            "azure_sandbox/test_refusals.py::test_the_mode_of_a_registry_decides_which_roles_count",
        "the codes `InvalidResourceName`": "azure_sandbox/test_semantics.py::test_what_is_no_condition ::test_who_asks_too_often_has_to_wait"
            " azure_sandbox/test_refusals.py::test_the_type_of_a_principal ::test_the_admin_user_is_off",
        "the 401 of a registry's exchange": "azure_sandbox/test_refusals.py::test_what_the_exchange_refuses"
            " ::test_what_the_token_endpoint_refuses azure_sandbox/test_fuzz_requests.py::test_sign_in",
        "that only a request which names": "azure_sandbox/test_management.py::test_a_registry_takes_time_where_anonymous_pull_is_named"
            " azure_sandbox/test_documented_claims.py::test_how_a_registry_is_deleted",
        "that the challenge of a regional": "azure_sandbox/test_registry_names.py::test_regional_login_servers",
        "that a registry with features": "azure_sandbox/test_registry_names.py::test_regional_endpoints_are_for_premium",
        "that a locked repository": "azure_sandbox/test_registry_locks.py::test_a_locked_repository_is_locked_as_a_whole"
            " ::test_what_is_not_listed_is_there",
        "the words of the metadata service's 429": "azure_sandbox/test_semantics.py::test_the_metadata_service_has_a_limit_of_each_vm",
        "that the namespace of the template": "azure_sandbox/test_deployments.py::test_what_an_expression_stands_for",
        "the hash in a login server": "azure_sandbox/test_semantics.py::test_a_name_with_a_hash_behind_it"
            " azure_sandbox/test_refusals.py::test_hashes_of_login_servers",
    },
    "faults.md": {
        "Lost answers": "sweep/test_sweep.py::test_the_whole_sweep",
        "`runbook sandbox fault add --help`": "azure_sandbox/test_faults.py::test_options_that_make_no_fault_are_refused"
            " ::test_a_killed_sandbox_does_not_begin_anew ::test_the_commands runbook_helpers/test_terminal.py::test_each_command_has_help_that_is_not_cut",
        "In Python each fault": "azure_sandbox/test_documented_claims.py::test_the_types_of_faults",
        "a request (": "azure_sandbox/test_faults.py::test_a_status_is_answered_instead ::test_a_connection_is_reset"
            " ::test_a_request_is_held_until_the_rule_is_cleared ::test_an_answer_is_late ::test_an_answer_is_cut",
        "a long-running operation": "azure_sandbox/test_faults.py::test_a_stuck_operation_goes_on_when_the_rule_is_cleared"
            " ::test_a_vm_that_cannot_be_allocated_is_made_by_the_next_try ::test_an_operation_fails_with_the_error_that_was_asked_for",
        "an identity that": "azure_sandbox/test_faults.py::test_an_identity_and_its_role_are_not_seen_yet",
        "a connection to a VM": "azure_sandbox/test_faults.py::test_a_vm_does_not_let_us_in ::test_a_vm_that_says_nothing",
        "a command over SSH": "azure_sandbox/test_faults.py::test_a_command_ends_as_the_fault_has_it"
            " ::test_a_connection_is_lost_while_the_command_runs_on ::test_a_command_is_held",
        "a simulated VM": "azure_sandbox/test_faults.py::test_apt_waits_for_the_lock_as_long_as_the_fault_lasts"
            " ::test_docker_is_slow_to_start ::test_there_is_no_space_for_packages",
        "A new registry starts no operation": "azure_sandbox/test_documented_claims.py::test_what_a_fault_cannot_do",
        "A deletion that is stuck": "azure_sandbox/test_documented_claims.py::test_what_a_fault_cannot_do",
        "A subnet or rule inside": "azure_sandbox/test_documented_claims.py::test_what_a_fault_cannot_do",
        "A [real machine]": "azure_sandbox/test_documented_claims.py::test_a_real_machine_knows_no_faults",
        "A reset is one for the kernel": "azure_sandbox/test_faults.py::test_a_reset_is_one_for_the_kernel",
    },
    "real-machine.md": {
        "The sandbox's VMs are simulated": "conformance/test_machine.py::test_the_notebooks_from_nothing",
        "Behind each VM": "conformance/test_machine.py::test_the_notebooks_from_nothing ::test_docker_is_a_real_one ::test_limits",
        "building the image": "conformance/test_machine.py::test_the_notebooks_from_nothing",
        "a VM made with": "conformance/test_machine.py::test_power",
        "notebooks 00 to 05": "conformance/test_machine.py::test_the_notebooks_from_nothing",
        "It is the host's kernel": "azure_sandbox/test_machine_parts.py::test_sources_are_those_of_the_distribution"
            " conformance/test_machine.py::test_what_asked_was_the_real_clients",
        "It reaches the sandbox's hosts": "conformance/test_machine.py::test_reaches_nothing_else ::test_the_host_is_out_of_reach",
        "azure-cli is installed": "conformance/test_machine.py::test_the_notebooks_from_nothing",
        "cloud-init is a small program": "azure_sandbox/test_machine_parts.py::test_what_cloud_init_does_not_do_is_reported"
            " ::test_packages_and_commands",
        "`clock advance` moves": "azure_sandbox/test_documented_claims.py::test_a_real_machine_knows_no_faults",
        "Where only control groups": "conformance/test_machine.py::test_limits",
        "**It is not a fence": "conformance/test_machine.py::test_the_host_is_out_of_reach",
        "Nothing but the sandbox's folder": "conformance/test_machine.py::test_nothing_is_left_of_a_killed_sandbox ::test_clean_up",
        "Another release": "azure_sandbox/test_machine_parts.py::test_an_image_that_is_gone_is_made_ready_before_the_start",
        "Without root": "azure_sandbox/test_machine_parts.py::test_missing_capabilities_are_named"
            " ::test_without_root_it_refuses_in_a_sentence",
    },
}  # fmt: skip


def claims(page: str) -> list[str]:
    """The items of lists, the rows of tables and the paragraphs of a page, each on one line."""
    text = re.sub(r"```.*?```", "", (PAGES / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    listed = re.findall(r"^(?:- .*(?:\n  .*)*|\| .*)$", text, re.MULTILINE)
    rest = re.sub(r"^(?:- .*(?:\n  .*)*|\|.*)$", "", text, flags=re.MULTILINE)
    heads = {before for before, line in pairwise(listed) if line.startswith("| ---")}
    listed = [each for each in listed if each not in heads and not each.startswith("| ---")]
    paragraphs = [each for each in re.split(r"\n\s*\n", rest) if each.strip() and not each.strip().startswith("#")]
    found = [" ".join(re.sub(r"^\s*(?:- |\| )", "", each).split()) for each in listed + paragraphs]
    return [each for each in found if not each.endswith(":") or each.startswith("No exchange")]


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*.md") if path.name != "operations.md"))
def test_each_claim_has_its_tests(page: str) -> None:
    held, written = HELD[page], claims(page)
    untested = [claim for claim in written if len([start for start in held if claim.startswith(start)]) != 1]
    assert untested == [], "no test is named for these"
    for start, tests in held.items():
        assert any(claim.startswith(start) for claim in written), f"the page does not say any more: {start}"
        path = ""
        for test in tests.split():
            path = test.partition("::")[0] or path
            assert test.partition("::")[2] in functions(path), test


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessSandbox]:
    sandbox = InProcessSandbox(tmp_path_factory.mktemp("claims") / "sandbox")
    yield sandbox
    sandbox.server.close()


def asked(sandbox: InProcessSandbox, path: str, version: str = "2022-12-01") -> Json:
    status, answered = sandbox.ask("GET", ARM_HOST, path, f"api-version={version}")
    assert status == 200, answered
    found: Json = json.loads(answered)
    return found


def test_which_locks_are_listed(sandbox: InProcessSandbox) -> None:
    version, locks = "2020-05-01", "providers/Microsoft.Authorization/locks"
    subscription = f"/subscriptions/{ZERO}"
    below = next(path for path in VALID if "/resourceGroups/" in path and "/registries/" in path)
    group = below.partition("/providers/")[0]
    with sandbox.undone():
        for scope in (subscription, below):
            body = {"properties": {"level": "CanNotDelete"}}
            assert sandbox.ask("PUT", ARM_HOST, f"{scope}/{locks}/keep", f"api-version={version}", body)[0] == 201
        counts = [len(asked(sandbox, f"{scope}/{locks}", version)["value"]) for scope in (subscription, group, below)]
        assert counts == [2, 1, 1]


def test_figures() -> None:
    arm = {kind: (limit.capacity, limit.rate) for kind, limit in limits.ARM_LIMITS.items()}
    assert arm == {"reads": (250, 25), "writes": (200, 10), "deletes": (200, 10)}
    assert (guard.MAX_BODY, guard.MAX_UPLOAD, guard.MAX_DEPTH) == (8 << 20, 16 << 30, 100)


def test_one_tenant_and_two_subscriptions(sandbox: InProcessSandbox) -> None:
    assert len(asked(sandbox, "/subscriptions")["value"]) == len(asked(sandbox, "/tenants")["value"]) == 1
    with sandbox.undone():
        other = f"/subscriptions/{ZERO[:-1]}1/resourcegroups/g"
        assert sandbox.ask("PUT", ARM_HOST, other, "api-version=2022-12-01", {"location": "chinanorth3"})[0] == 201
        assert len(asked(sandbox, "/subscriptions")["value"]) == 2
    groups = "/providers/Microsoft.Management/managementGroups"
    assert sandbox.ask("GET", ARM_HOST, groups, "api-version=2020-05-01")[0] == 501


def test_conditions_that_azure_would_take(group: Group) -> None:
    """One with an operator for numbers is refused; one about another attribute is taken, and is never true."""
    principal = group.identity()["properties"]["principalId"]
    attribute = "@Resource[Microsoft.Storage/storageAccounts:name]"
    for condition, status in (f"{attribute} NumericEquals 1", 400), (f"{attribute} StringEquals 'x'", 201):
        answer = group.assign(READER, principal, condition=f"({condition})", conditionVersion="2.0")
        assert answer.status_code == status and (status == 201 or code(answer) == "InvalidCondition"), answer.text


def role(group: Group, principal: str, *actions: str) -> str:
    """The id of a custom role with these actions, assigned in the group."""
    path = f"{group.id}/providers/Microsoft.Authorization/roleDefinitions/{uuid.uuid4()}"
    change_role(group, path, *actions)
    assert group.assign(path.rpartition("/")[2], principal).status_code == 201
    return path


def change_role(group: Group, path: str, *actions: str) -> None:
    wanted = {"roleName": path, "permissions": [{"actions": [*actions]}], "assignableScopes": [group.id]}
    assert group.public.arm("PUT", path, {"properties": wanted}, "2022-04-01").status_code == 201


def test_a_custom_role_changes_at_once(public: PublicCloud, group: Group) -> None:
    vm, session = group.vm()
    path = role(group, group.principal(vm), "Microsoft.Network/*/read")
    public.set(role_delay=600)
    public.clock.advance(601)
    headers = {"Authorization": f"Bearer {vm_token(session, CLOUD.audiences[0])}"}
    url = f"{CLOUD.resource_manager_url}{vm}?api-version=2024-03-01"
    assert public.session.get(url, headers=headers).status_code == 403
    change_role(group, path, "Microsoft.Compute/*/read")
    assert public.session.get(url, headers=headers).status_code == 200


def test_providers_regions_and_sizes(sandbox: InProcessSandbox) -> None:
    base = f"/subscriptions/{ZERO}"
    providers = asked(sandbox, f"{base}/providers")["value"]
    assert len(providers) >= 6 and {each["registrationState"] for each in providers} == {"Registered"}
    regions = [each["name"] for each in asked(sandbox, f"{base}/locations")["value"]]
    assert "chinanorth3" in regions and "westus" not in regions
    sizes = asked(sandbox, f"{base}/providers/Microsoft.Compute/locations/chinanorth3/vmSizes")["value"]
    assert len(sizes) > 30
    vm = VALID[provider("Compute", "virtualMachines/m")][1]
    for size in sizes:  # each makes a VM, as far as the image is for its processor
        changed = {**vm, "properties": {**vm["properties"], "hardwareProfile": {"vmSize": size["name"]}}}
        with sandbox.undone():
            path = provider("Compute", "virtualMachines/m")
            assert sandbox.ask("PUT", ARM_HOST, path, "api-version=2024-03-01", changed)[0] == 200


def test_no_program_of_the_guest_is_started_on_the_host() -> None:
    for path in Path(coreutils.__file__).parent.rglob("*.py"):
        names = {each for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Import)
                 for each in (alias.name for alias in node.names)}  # fmt: skip
        assert not names & {"subprocess", "os", "pty", "ctypes"}, path


def test_a_password_is_taken_and_forgotten(sandbox: InProcessSandbox) -> None:
    path = provider("Compute", "virtualMachines/m")
    vm = VALID[path][1]
    os_profile = {"computerName": "m", "adminUsername": "azureuser", "adminPassword": "aB1!aB1!Canary"}
    asked_for = {**vm, "properties": {**vm["properties"], "osProfile": os_profile}}
    with sandbox.undone():
        sandbox.ask("DELETE", ARM_HOST, path, "api-version=2024-03-01")
        status, answered = sandbox.ask("PUT", ARM_HOST, path, "api-version=2024-03-01", asked_for)
        stored = sandbox.cloud.store.get(path)
        assert status == 201 and b"Canary" not in answered and stored and "Canary" not in json.dumps(stored)


def test_a_vm_that_is_switched_off(public: PublicCloud, group: Group) -> None:
    vm, session = group.vm()
    assert public.arm("POST", f"{vm}/deallocate").status_code == 202
    assert vm_token(session)


def test_the_issuer_in_china(sandbox: InProcessSandbox) -> None:
    tenant: Tenant = sandbox.cloud
    assert tenant.issuer == f"https://sts.chinacloudapi.cn/{tenant.tenant_id}/"
    assert REGISTRY_AUDIENCE == "https://containerregistry.azure.net"


def test_what_goes_with_a_resource(group: Group) -> None:
    """The role assignments at it; those of a deleted identity stay."""
    registry, identity = group.registry(), group.identity()
    at = group.assign(READER, identity["properties"]["principalId"], registry).json()["id"]
    of = group.assign(READER, identity["properties"]["principalId"]).json()["id"]
    group.public.arm("DELETE", registry)
    group.public.arm("DELETE", identity["id"])
    assert group.public.arm("GET", at, version="2022-04-01").status_code == 404
    assert group.public.arm("GET", of, version="2022-04-01").status_code == 200


@pytest.mark.parametrize(("sku", "status"), [("Basic", 200), ("Standard", 200), ("Premium", 202)])
def test_how_a_registry_is_deleted(group: Group, sku: str, status: int) -> None:
    assert group.public.arm("DELETE", group.registry(sku)).status_code == status


def test_the_types_of_faults() -> None:
    text = (PAGES / "faults.md").read_text(encoding="utf-8").partition("In Python each fault")[2].partition("```")[0]
    named = set(re.findall(r"`([A-Z]\w+)`", text))
    assert named and all(isinstance(getattr(faults, name), type) for name in named)
    made = {
        each.__name__ for each in vars(faults).values() if isinstance(each, type) and issubclass(each, faults.Fault)
    }
    assert named == made - {"Fault", "HttpFault", "RequestFault", "CommandFault"}  # what others have in common


def test_what_a_fault_cannot_do(public: PublicCloud, group: Group) -> None:
    network = f"{group.id}/providers/Microsoft.Network/virtualNetworks/net"
    body = {"location": "westus", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": [
        {"name": "s", "properties": {"addressPrefix": "10.0.0.0/24"}}]}}  # fmt: skip
    public.faults.add(faults.StuckOperation(path=f"{group.id}/*", times=3))
    try:
        made = public.arm("PUT", network, body)
        assert made.status_code == 201
        shown = public.arm("GET", network).json()["properties"]
        assert (shown["provisioningState"], shown["subnets"][0]["properties"]["provisioningState"]) == (
            "Updating",
            "Succeeded",
        )
        registry = group.registry()
        assert public.arm("GET", registry).json()["properties"]["provisioningState"] == "Succeeded"
        assert public.arm("DELETE", network).status_code == 202 and public.arm("GET", network).status_code == 404
    finally:
        public.faults.clear()


def test_a_real_machine_knows_no_faults() -> None:
    """Nor the sandbox's clock: its code names neither."""
    for path in (Path(coreutils.__file__).parents[1] / "machine").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"import .*(Faults|Clock)|\bfaults\.|\blink\.", text), path
