"""Every rule refuses what breaks it, in words, and all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook_helpers.errors import ParameterError
from runbook_helpers.parameters import RULES, check_parameters, problems, read_parameters
from runbook_helpers.secrets import HIDDEN

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cloud", "AzureGermanCloud"),
        ("sandbox", "yes"),
        ("subscription_id", "1234"),
        ("resource_group", "ends.with."),
        ("resource_group", "a" * 91),
        ("location", "China  North"),
        ("location", "中国北部3"),
        ("registry_name", "abcd"),
        ("registry_name", "a" * 51),
        ("registry_name", "with-dash"),
        ("image", "Upper:v1"),
        ("image", "no-tag"),
        ("image", "a@sha256:1234"),
        ("image", f"a@sha256:{'A' * 64}"),
        ("image", f"a@sha512:{'a' * 128}"),
        ("image", f"a:@sha256:{'a' * 64}"),
        ("image", f"{'a' * 256}:v1"),
        ("image", f"a:{'v' * 129}"),
        ("image", "a:v1;rm"),
        ("image", "../x:v1"),
        ("source_image", "hello-world:latest"),
        ("source_image", "mcr.microsoft.com/hello-world"),
        ("source_image", "mcr.microsoft.com:443/hello-world:latest"),
        ("source_image", "https://mcr.microsoft.com/hello-world:latest"),
        ("vm_name", "-vm"),
        ("vm_name", "vm; reboot"),
        ("vm_name", "vm\n"),
        ("vm_size", "$(x)"),
        ("ssh_source", "0.0.0.0/0"),
        ("ssh_source", "*"),
        ("ssh_source", "::1"),
        ("ssh_source", "203.0.113.0/255.255.255.0"),
        ("ssh_source", "203.0.113.7/032"),
        ("ssh_source", "203.0.113.7/33"),
        ("ssh_source", "203.0.113.256"),
        ("ssh_source", "Internet"),
        ("identity_name", "ab"),
        ("identity_name", "_id"),
        ("vm_name", 3),
    ],
)
def test_bad_values_are_refused_by_name(name: str, value: object) -> None:
    (problem,) = problems({name: value})
    assert problem.startswith(f"{name} must ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("location", "China North 3"),
        ("location", "ChinaNorth3"),
        ("subscription_id", "3F2504E0-4F89-11D3-9A0C-0305E82C3301"),
        ("vm_size", "standard_d2s_v5"),
        ("vm_size", "Standard_E64-16s_v3"),
        ("ssh_source", "203.0.113.7"),
        ("ssh_source", "203.0.113.0/24"),
        ("image", f"team/apps__x/a-b.c:v1@sha256:{'0' * 64}"),
        ("image", f"team/app@sha256:{'0' * 64}"),
        ("source_image", f"mcr.microsoft.com/hello-world@sha256:{'0' * 64}"),
        ("source_image", f"mcr.microsoft.com/a/b/c:v1@sha256:{'0' * 64}"),
    ],
)
def test_good_values_are_taken(name: str, value: str) -> None:
    assert problems({name: value}) == []


def test_a_digest_is_shown() -> None:
    digest = "@sha256:" + "0123456789abcdef" * 4
    (problem,) = problems({"source_image": f"localhost:5000/app{digest}"})
    assert problem.endswith(
        f"the registry without a port, for instance mcr.microsoft.com/hello-world:latest; it is 'localhost:5000/app{digest}'."
    )


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("0123456", "a number"),
        ("007", "a number"),
        ("1_000", "a number"),
        ("12:30", "a number"),
        ("1e9", None),
        ("1.10", "a number"),
        ("0x1F", "a number"),
        ("9" * 5000, "a number"),
        ("no", "true or false"),
        ("On", "true or false"),
        ("2026-11-27", "a date"),
        ("2026-13-45", "a date"),
        ("~", "nothing"),
        ("!!bool x", "true or false"),
        ("!!timestamp 'x'", "a date"),
        ("null", "nothing"),
    ],
)
def test_what_yaml_takes_for_something_else(tmp_path: Path, written: str, kind: str | None) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"identity_name: {written}\nregistry_name: '0123456'\n")
    found = problems(read_parameters(path))
    if kind is None:
        assert found == []  # to YAML 1.1 it is a text
        return
    (problem,) = found
    written = written.rpartition(" ")[2].strip("'")
    what = HIDDEN if len(written) > 1000 else repr(written)
    assert problem.startswith("identity_name must have 3 to 128 letters") and len(problem) < 300
    assert problem.endswith(f"; it is {what}, which YAML reads as {kind}: put it in quotes.")


def test_nothing_stands_there(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("vm_name:\nlocation: ''\nresult_path:\nregistry_resource_group:\n")
    found = problems(read_parameters(tmp_path / "p.yaml"))
    assert [problem.partition("; ")[2] for problem in found] == ["nothing stands there.", "it is ''."]
    (problem,) = problems({"registry_resource_group": None})  # as papermill reads it
    assert problem.endswith("; it is None: write '' where it shall be empty.")


def test_a_number_inside_of_tags(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("tags: {costCenter: 0123, owner: me}\n")
    (problem,) = problems(read_parameters(tmp_path / "p.yaml"))
    assert problem.endswith("; YAML reads what costCenter is in it as a number: put it in quotes.")


@pytest.mark.parametrize(("written", "value"), [("yes", True), ("off", False), ("true", True), ("False", False)])
def test_true_and_false_in_a_file(tmp_path: Path, written: str, value: bool) -> None:
    (tmp_path / "p.yaml").write_text(f"sandbox: {written}\n")
    assert read_parameters(tmp_path / "p.yaml") == {"sandbox": value}


def test_what_papermill_makes_of_a_value() -> None:
    """`-p sandbox false` is a text there, and `-p vm_name 007` a number."""
    (problem,) = problems({"sandbox": "false"})
    assert problem == (
        "sandbox must be true or false; it is the text 'false': write true or false without quotes, and True or False "
        "after papermill's -p."
    )
    (problem,) = problems({"vm_name": 7})
    assert problem.endswith(
        "; it is 7, which is no text: put it in quotes in a file, and after -r instead of papermill's -p."
    )


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
    for path in targets:  # a fleet's file has a form of its own: test_fleet.py
        values = read_parameters(path)
        assert list(values) == [name for name in RULES if name != "result_path"]  # one file cannot be for all notebooks
        refused = {problem.split()[0] for problem in problems(values)}
        assert all(f": fill in {problem.split()[0]}" in problem for problem in problems(values))
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


@pytest.mark.parametrize(
    "tags",
    [
        {"costCenter": 42},
        {"made-by": "me"},
        {"a": "1", "A": "2"},
        {"a/b": "1"},
        {"": "1"},
        {"a": "x" * 257},
        "a=b",
        ["a"],
    ],
)
def test_tags_that_azure_does_not_take(tags: object) -> None:
    assert problems({"tags": {"costCenter": "42", "部门": ""}}) == []
    (problem,) = problems({"tags": tags})
    assert problem.startswith("tags must be a mapping of names to texts")
