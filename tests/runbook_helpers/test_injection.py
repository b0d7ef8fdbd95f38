"""What passes the rules cannot inject: through a real sh each parameter comes out as it went in, and nothing else happens."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook_helpers.parameters import RULES, problems
from runbook_helpers.ssh.completed import Completed
from runbook_helpers.ssh.detached import Detached

MANY = int(os.environ.get("RUNBOOK_FUZZ", "10000" if os.environ.get("RUNBOOK_REGRESSION") else "200"))
STRINGS = [name for name, rule in RULES.items() if rule.kind is str]
fuzz = settings(
    max_examples=MANY, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# Each would leave a file behind if anything but one program saw it.
_DEEDS = ["touch pwned", "echo>pwned", ": > pwned", "tee pwned"]
_WRAPS = ["{}", "$({})", "`{}`", ";{};", "\n{}\n", "&& {}", "| {}", "& {} &", "'; {}; '", '"; {}; "', "'$({})'", "${{IFS}}{}",
          "\\\n{}", "#\n{}", "'\\''{}", "<({})", "x\r\n{}", "--$({})", "-e{}"]  # fmt: skip
hostile = st.one_of(
    st.builds(
        lambda wrap, deed, before, after: before + wrap.format(deed) + after,
        st.sampled_from(_WRAPS), st.sampled_from(_DEEDS), st.sampled_from(["", "vm", "a:v1", "-", "~"]),
        st.sampled_from(["", ".json", "1", "/"]),
    ),
    st.text(st.sampled_from("$`'\"\\;&|<>(){}[]*?!#~ \t\n\r-=%:/.@aZ0\x7f\x1bé١"), max_size=40),
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=80),
)  # fmt: skip
# Close to what a rule takes, since hardly anything hostile passes.
likely = st.one_of(
    st.from_regex(r"\A[A-Za-z0-9._()/:-]{1,60}\Z"),
    st.from_regex(r"\A[a-z0-9]{1,9}([./_-]{1,2}[a-z0-9]{1,5}){0,3}(:[\w.-]{1,9})?\Z"),
    st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?\Z"),
    st.builds(lambda text: text.replace("\0", "") + ".json", hostile),
    hostile,
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the shells run: whatever appears in it was not meant."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def through_sh(arguments: list[str], folder: Path) -> list[str]:
    """The arguments as a program sees them that sh starts from a quoted line."""
    line = shlex.join(["printf", r"%s\0", *arguments])
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True, cwd=folder, stdin=subprocess.DEVNULL)
    assert done.stderr == b"" and not list(folder.iterdir())
    return [os.fsdecode(each) for each in done.stdout.split(b"\0")[:-1]]


@fuzz
@given(st.lists(likely, min_size=1, max_size=6))
def test_parameters_come_out_as_they_went_in(folder: Path, texts: list[str]) -> None:
    passed = [text for text in texts if any(not problems({name: text}) for name in STRINGS)]
    assert through_sh(passed, folder) == passed if passed else True


@fuzz
@given(st.lists(hostile, min_size=1, max_size=6))
def test_hostile_arguments_do_too(folder: Path, texts: list[str]) -> None:
    """The quoting does not lean on the rules: a command line's argument may be anything."""
    assert through_sh(texts, folder) == texts


@fuzz
@given(hostile)
def test_rules_let_nothing_through_that_a_shell_or_an_address_would_take(text: str) -> None:
    for name in STRINGS:
        if name in ("result_path", "cloud") or problems({name: text}):
            continue
        own = {"image": "@", "source_image": "@", "location": " "}.get(name, "")
        assert not set(text) - set(own) & set("$`'\"\\;&|<>{}[]*?!#~ \t\n\r%@=")
        assert name.endswith("resource_group") or (text.isascii() and not text.startswith("-"))
        assert text not in (".", "..") and "/../" not in f"/{text}/" and "//" not in text


@settings(fuzz, max_examples=max(10, MANY // 50))
@given(st.lists(hostile, min_size=1, max_size=3))
def test_as_a_detached_command_too(folder: Path, texts: list[str]) -> None:
    """There a command stands in a script in a script."""
    with tempfile.TemporaryDirectory() as home:
        line = shlex.join(["printf", r"%s\0", *texts])
        command = Detached.of(line, once=True, poll_seconds=5)
        done = subprocess.run(["sh", "-c", command.begin], capture_output=True, cwd=home, stdin=subprocess.DEVNULL)
        result = command.result(Completed(line, done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr)))
        assert (result.exit_status, result.stderr) == (0, "")
        assert result.stdout.split("\0")[:-1] == texts
        assert [path.name for path in Path(home).iterdir()] == [".cache"]
