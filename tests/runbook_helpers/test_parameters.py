"""Every rule refuses what breaks it, in words, and all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook_helpers.errors import ParameterError
from runbook_helpers.parameters import RULES, check_parameters, problems, read_parameters

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cloud", "AzureGermanCloud"),
        ("sandbox", "yes"),
        ("subscription_id", "1234"),
        ("resource_group", "ends.with."),
        ("resource_group", "a" * 91),
        ("location", "China North 3"),
        ("registry_name", "abcd"),
        ("registry_name", "a" * 51),
        ("registry_name", "with-dash"),
        ("image", "Upper:v1"),
        ("image", "no-tag"),
        ("image", "a:v1;rm"),
        ("image", "../x:v1"),
        ("source_image", "hello-world:latest"),
        ("source_image", "mcr.microsoft.com/hello-world"),
        ("vm_name", "-vm"),
        ("vm_name", "vm; reboot"),
        ("vm_name", "vm\n"),
        ("vm_size", "$(x)"),
        ("ssh_source", "0.0.0.0/0"),
        ("ssh_source", "*"),
        ("ssh_source", "::1"),
        ("identity_name", "ab"),
        ("identity_name", "_id"),
        ("vm_name", 3),
    ],
)
def test_bad_values_are_refused_by_name(name: str, value: object) -> None:
    (problem,) = problems({name: value})
    assert problem.startswith(f"{name} must ")


def test_mistyped_name_is_refused_with_the_one_that_was_meant() -> None:
    assert problems({"registry_nmae": "abcde"}) == ["registry_nmae is not a parameter: did you mean registry_name?"]


def test_all_problems_at_once() -> None:
    with pytest.raises(ParameterError) as error:
        check_parameters({"registry_name": "x", "vm_name": "", "cloud": "here"})
    assert len(error.value.problems) == 3


def test_injected_name_is_checked_and_other_variables_are_not() -> None:
    namespace = {"In": ["", "# Parameters\nregistry_nmae = 'abcde'\n"], "registry_nmae": "abcde", "scratch": 1}
    with pytest.raises(ParameterError, match="registry_nmae is not a parameter"):
        check_parameters(namespace)


def test_sandbox_file_is_valid_and_the_others_ask_to_be_filled_in() -> None:
    targets = set((PROJECT / "parameters").glob("*.yaml")) - set((PROJECT / "parameters").glob("fleet.*.yaml"))
    for path in targets:  # a fleet's file has a form of its own: tests/test_fleet.py
        values = read_parameters(path)
        assert list(values) == [name for name in RULES if name != "result_path"]  # one file cannot be for all notebooks
        refused = {problem.split()[0] for problem in problems(values)}
        assert all(problem.endswith(f": fill in {problem.split()[0]}.") for problem in problems(values))
        assert refused == (set() if values["sandbox"] else {"subscription_id", "registry_name", "ssh_source"})
        assert path.stem == ("sandbox" if values["sandbox"] else values["cloud"])


@pytest.mark.parametrize("content", ["- a list", "a: [", "1: 2", "!!python/object:os.system x", ""])
def test_unreadable_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(content)
    with pytest.raises(ParameterError, match=str(path)):
        read_parameters(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no parameter file"):
        read_parameters(tmp_path / "none.yaml")


def test_exercises_are_for_the_sandbox() -> None:
    check_parameters({"sandbox": True}, sandbox_only=True)
    check_parameters({"sandbox": False})
    with pytest.raises(ParameterError, match="sandbox must be true in this notebook"):
        check_parameters({"sandbox": False}, sandbox_only=True)


def test_a_name_that_is_a_parameter_no_more() -> None:
    assert problems({"exercises": False}) == [f"exercises is not a parameter: the parameters are {', '.join(RULES)}."]


def test_the_sandboxs_subscription_is_for_the_sandbox() -> None:
    own = "00000000-0000-0000-0000-000000000000"
    (problem,) = problems({"sandbox": False, "subscription_id": own})
    assert problem == f"subscription_id must be your own where sandbox is false: {own} is the sandbox's."
    assert not problems({"sandbox": True, "subscription_id": own})


@pytest.mark.parametrize("path", ["", "result.json", "/tmp/a b/r.json"])
def test_result_path(path: str) -> None:
    assert not problems({"result_path": path})
    assert problems({"result_path": path + "\n"})
