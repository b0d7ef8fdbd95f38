"""`az --query` and `--output` in the simulated guest: JMESPath as Azure CLI has it, and its refusals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .test_guest_system import SETUP
from .test_simulated_guest import SimulatedVM

HINT = "To learn more about --query, please visit: 'https://learn.microsoft.com/cli/azure/query-azure-cli'\n"
INVALID = "Invalid jmespath query supplied for `--query`"


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedVM]:
    guest = SimulatedVM(tmp_path_factory.mktemp("guest"))
    assert guest.run(SETUP)[0] == 0
    yield guest
    guest.close()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--query name", '"AzureCloud"\n'),
        ("--query '[name, isActive]' -o tsv", "AzureCloud\ntrue\n"),
        ("--query '[[name, isActive]]' -o tsv", "AzureCloud\tTrue\n"),
        (
            "--query '{name: name, active: isActive, parts: suffixes, none: nosuch}' -o tsv",
            "AzureCloud\tTrue\t\tNone\n",
        ),
        ("--query isActive -o tsv", "true\n"),
        ("--query '[name, profile][1]' -o tsv", "latest\n"),
        ("--query 'length(endpoints)' -o tsv", "3\n"),
        ("--query 'keys(endpoints) | sort(@) | [:2]' -o tsv", "activeDirectory\nmicrosoftGraphResourceId\n"),
        ("--query 'isActive && !nosuch || name' -o tsv", "true\n"),
        ("--query \"join('-', [name, profile])\" -o tsv", "AzureCloud-latest\n"),
        ("--query 'length(`[1, 2]`)' -o table", "Result\n--------\n2\n"),
        ("--query nosuch", ""),
        ("--query=profile -o none", ""),
    ],
)
def test_query(guest: SimulatedVM, arguments: str, expected: str) -> None:
    assert guest.run(f"az cloud show {arguments}") == (0, expected, "")


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("'['", 2, "argument --query: invalid jmespath_type value: '['"),
        ("'[?name=a]'", 2, "argument --query: invalid jmespath_type value: '[?name=a]'"),
        ("''", 2, "argument --query: invalid jmespath_type value: ''"),
        ("", 2, "argument --query: expected one argument"),
        ("'strange(@)'", 1, f"{INVALID}: Unknown function: strange()"),
        (
            "'length(nosuch)'",
            1,
            f"{INVALID}: In function length(), invalid type for value: None, expected one of: "
            "['string', 'array', 'object'], received: \"null\"",
        ),
    ],
)
def test_refused_query(guest: SimulatedVM, query: str, status: int, reason: str) -> None:
    assert guest.run(f"az cloud show --query {query}") == (status, "", f"ERROR: {reason}\n{HINT}")


def test_a_refused_query_is_refused_before_the_command_is_done(guest: SimulatedVM) -> None:
    assert guest.run("az cloud set -n AzureChinaCloud --query '['")[0] == 2
    assert guest.run("az cloud show --query name -o tsv")[1] == "AzureCloud\n"


@pytest.mark.parametrize("query", ["(" * 900 + "a" + ")" * 900, ".".join("a" * 900), "a" * 3000])
def test_a_query_without_an_end_is_refused_or_answered(guest: SimulatedVM, query: str) -> None:
    status, _, errors = guest.run(f"az cloud show --query '{query}'")
    assert (status, errors) == (0, "") or "jmespath" in errors
