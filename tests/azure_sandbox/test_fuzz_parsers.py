"""Whatever bytes or text the sandbox's parsers are given: they take it or refuse it in their own words, and soon."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h11
import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from azure_sandbox import guard, settings
from azure_sandbox.access import conditions
from azure_sandbox.guests import Machine, cloud_init
from azure_sandbox.guests.simulated import registry_client
from azure_sandbox.guests.simulated.registry_client import Credentials, DistributionError, Reference, RegistryClient
from azure_sandbox.guests.simulated.shell import commands, parser
from azure_sandbox.resource import Resource, ResourceId
from azure_sandbox.store import Blobs, Store
from azure_sandbox.strict_http import StrictConnection

from .fuzz import fuzzed


@pytest.fixture(scope="module", autouse=True)
def no_pause() -> Iterator[None]:
    """Docker's daemon asks again without waiting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry_client, "PAUSE", 0)
        yield


def pieces(*parts: str) -> st.SearchStrategy[str]:
    """Texts of the parts that a parser knows, and of anything else."""
    return st.lists(st.one_of(st.sampled_from(parts), st.text(max_size=5)), max_size=25).map("".join)


# The proxy

HEAD = [b"GET", b"CONNECT", b"POST", b" ", b"/", b"http://", b"x:443", b" HTTP/1.1", b"\r\n", b"\n", b"\r", b"\t", b": ", b":",
        b"Host", b"a.b", b"Content-Length", b"Transfer-Encoding", b"chunked", b"0", b"5", b",", b"Origin", b"\x00"]  # fmt: skip
heads = st.lists(st.one_of(st.sampled_from(HEAD), st.binary(max_size=4)), max_size=25).map(b"".join)


@fuzzed(120)
@given(heads)
def test_heads(raw: bytes) -> None:
    connection = StrictConnection()
    connection.receive_data(raw + b"\r\n\r\n")
    try:
        request = connection.next_event()
        guard.check_source(
            request.method.decode(), request.target.decode(), list(request.headers), lambda host: host == "a.b"
        )
    except h11.RemoteProtocolError as error:
        assert error.error_status_hint in (400, 431, 501)
    except guard.RequestRefused as refused:
        assert refused.status in (400, 403, 421)


fields = st.lists(
    st.tuples(st.sampled_from(["X", "Content-Length", "Transfer-Encoding"]), st.sampled_from(["a.b", "0", "5", "chunked", ""])),
    max_size=4,
)  # fmt: skip


@fuzzed(120)
@given(fields)
def test_length_of_a_request_is_said_once(fields: list[tuple[str, str]]) -> None:
    lines = ["POST / HTTP/1.1", "Host: a.b", *(f"{name}: {value}" for name, value in fields), "\r\n"]
    connection = StrictConnection()
    connection.receive_data("\r\n".join(lines).encode())
    with contextlib.suppress(h11.RemoteProtocolError):
        assert isinstance(connection.next_event(), h11.Request)
        assert len([name for name, _ in fields if name != "X"]) <= 1


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@fuzzed(50)
@given(
    st.recursive(st.text('[]{}"\\', max_size=4), lambda inner: st.lists(inner) | st.dictionaries(st.text('[{"'), inner))
)
def test_depth_of_json(value: Any) -> None:
    for levels in (0, guard.MAX_DEPTH - depth(value), guard.MAX_DEPTH - depth(value) + 1):
        wrapped = value
        for _ in range(levels):
            wrapped = [wrapped]
        assert guard.too_deep(json.dumps(wrapped).encode()) == (depth(wrapped) > guard.MAX_DEPTH)


@fuzzed(200)
@given(st.binary(max_size=50))
def test_depth_of_no_json(body: bytes) -> None:
    assert guard.too_deep(body) in (True, False)


# Conditions

CONDITION = ["(", ")", "!", "NOT", " AND ", " OR ", "&&", "||", "ActionMatches", "SubOperationMatches", "{", "}", "'", "''", "a/b",
             ",", "@Request[", "@Resource[", "]", conditions.REPOSITORY_NAME, " StringEquals ", " StringLike ", " Exists ",
             "ForAnyOfAnyValues:StringNotLikeIgnoreCase", "*", "?", "\\", "-1.5", "true"]  # fmt: skip


@fuzzed(150)
@given(pieces(*CONDITION))
@example("(" * 10_000)
@example("!" * 10_000 + "Exists @Request[a]")
@example("(" * 3_000 + "Exists @Request[a]" + ")" * 3_000)
def test_conditions(text: str) -> None:
    try:
        condition = conditions.parse(text)
    except conditions.ConditionError:
        return
    assert condition("a/b", {conditions.REPOSITORY_NAME.lower(): "a"}) in (True, False)


@fuzzed(200)
@given(st.text("ab*?\\[!]", max_size=12), st.text("ab*?\\[!]\n", max_size=12))
def test_patterns(pattern: str, value: str) -> None:
    import re

    parts = re.findall(r"\\[*?]|[*?]|[^*?\\]+|\\", pattern)
    wild = {"*": ".*", "?": ".", r"\*": r"\*", r"\?": r"\?"}
    expected = re.fullmatch("".join(wild.get(part, re.escape(part)) for part in parts), value, re.DOTALL)
    assert conditions.like(value, pattern) == bool(expected)


def test_patterns_that_a_regular_expression_would_ponder_for_ever() -> None:
    began = time.process_time()
    assert not conditions.like("a" * 5000, "*a" * 100 + "b")
    assert time.process_time() - began < 2


# Images


@fuzzed(150)
@given(
    pieces(
        "a", "lib/", "x.azurecr.cn/", ":", "@", "sha256:" + "0" * 64, "localhost:5000/", "..", "/", "__", "-", "A", "v1"
    )
)
def test_references(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except DistributionError:
        return
    assert Reference.parse(str(reference)) == reference
    assert ".." not in reference.repository and not reference.repository.startswith("/")


class Answers:
    """A network in which everything that is asked for gets the next answer."""

    architecture = "amd64"

    def __init__(self, answers: list[tuple[int, str, bytes]]) -> None:
        self._answers = iter(answers)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        answer = requests.Response()
        status, challenge, body = next(self._answers, (500, "", b""))
        answer.status_code, answer._content = status, body
        answer.headers["www-authenticate"] = challenge
        answer.request = requests.Request(method, "https://x/").prepare()
        return answer


challenges = pieces(
    'Bearer realm="https://x/token",',
    "Bearer ",
    "Basic ",
    'realm="https://x/token"',
    'service="x"',
    ",",
    'scope="repository:a:pull"',
    '"',
    "=",
    'error="insufficient_scope"',
)
bodies = st.sampled_from([b"", b"{", b"[]", b"1", b"null", b'{"access_token": 1}', b'{"token": "t"}', b'{"access_token": null}', b'{"errors": 1}', b'{"errors": [1]}', b"\xff"])  # fmt: skip


@fuzzed(120)
@given(st.lists(st.tuples(st.sampled_from([200, 401, 403, 404, 500]), challenges, bodies), max_size=5))
@example([(401, 'Bearer realm="https://x/token"', b""), (200, "", b"{"), (200, "", b"{}")])
@example([(401, 'Bearer realm="https://x/token"', b""), (200, "", b"[]"), (200, "", b"{}")])
@example([(401, 'Bearer realm="https://x/token"', b""), (200, "", b'{"access_token": 1}'), (200, "", b"{}")])
def test_challenges_and_tokens_of_a_registry(answers: list[tuple[int, str, bytes]]) -> None:
    registry = RegistryClient(Answers(answers), "x", Credentials("user", "password"))
    for ask in (registry.log_in, lambda: registry.manifest(Reference.parse("x.y/a"))):
        try:
            ask()
        except DistributionError as error:
            assert "password" not in str(error)


# What a VM is reported and types

YAML = ["#cloud-config\n", "ssh_keys:", "  ed25519_private: ", "packages:", "write_files:", "runcmd:", "- ", "[", "]", "{", "}", ": ",
        "\n", "  ", "&a ", "*a", "!!python/object/apply:os.system ", "|", "'", '"', "path: /x", "content: ", "encoding: b64",
        "2001-13-45", "~", "null", "1e999", "%", "---\n", "<<: "]  # fmt: skip


def machine(custom_data: str) -> Machine:
    return Machine(
        vm_id="vm1", resource_id="/vm", computer_name="vm", admin_username="azureuser", public_keys=("ssh-rsa AAAA",), custom_data=custom_data,
        cloud_name="AzureChinaCloud", proxy="http://127.0.0.1:9", ca_file="/nowhere",
    )  # fmt: skip


LAUGHS = "#cloud-config\na: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{this}: &{this} [{', '.join(['*' + before] * 10)}]\n"
    for before, this in zip("abcdefghi", "bcdefghij", strict=True)
)


@fuzzed(150)
@given(pieces(*YAML).map(lambda text: f"#cloud-config\n{text}"))
@example("#cloud-config\n" + "[" * 20_000)
@example(
    LAUGHS + "ssh_keys: {ed25519_private: *j}\nwrite_files: [{path: *j, content: *j}]\nruncmd: [*j]\npackages: *j\n"
)
@example("#cloud-config\nruncmd: &a [*a]\nssh_keys: &b {ed25519_private: *b}\n")
def test_cloud_init(text: str) -> None:
    began = time.process_time()
    config, said = cloud_init.read(text, cloud_init.KNOWN, "this guest")
    assert isinstance(config, dict) and all(isinstance(sentence, str) for sentence in said)
    assert len(cloud_init.first_boot(machine(text)).before) < 200_000
    assert time.process_time() - began < 4


SHELL = ["a", "echo ", "'", '"', "\\", "$", "${", "}", "$(", ")", "(", "`", ";", "&", "&&", "|", "||", ">", ">>", "<", "2>&1", "&>",
         "\n", "#", "*", "~", "{a,b}", "A=b ", "if ", "done", "\x00", "\ud800", "é"]  # fmt: skip


@fuzzed(200)
@given(pieces(*SHELL))
@example("$(" * 5_000)
@example('"$(' * 2_000)
@example("echo " + "a" * 100_000)
@example("a|" * 20_000)
def test_shell_syntax(text: str) -> None:
    with contextlib.suppress(commands.SyntaxRefused):
        parser.parse(text)


# Settings and state


@fuzzed(200)
@given(pieces("1", "90", "s", "m", "h", "d", ".", "-", " ", "9" * 400, "٣", "1h30m"))
@example("9" * 400)
@example("9" * 400 + "d")
def test_durations(text: str) -> None:
    try:
        seconds = settings.seconds(text)
    except ValueError:
        return
    assert math.isfinite(seconds) and seconds >= 0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("state")
    opened = Store(folder / "x.sqlite", Blobs(folder / "blobs"))
    yield opened
    opened.close()


ids = pieces("/", "subscriptions", "..", "%", "_", "'", '"', ";--", "\x00", "É", "ı", "ß", "resourceGroups", "*")


@fuzzed(150)
@given(ids, ids)
def test_ids_of_resources(store: Store, first: str, second: str) -> None:
    store.put(Resource({"id": first, "type": "T/t", "name": "n"}))
    found = store.get(first)
    assert found and found["id"].lower() == first.lower()
    assert (store.get(second) is None) == (second.lower() not in {each["id"].lower() for each in store.resources()})
    under = ResourceId(second)
    assert all(each["id"].lower().startswith(f"{under.key}/") for each in store.resources(under=under))
    store.delete(first)
    assert store.get(first) is None


@fuzzed(200)
@given(pieces("sha256:", "..", "/", "\\", "a" * 64, "\x00", ":", "operator.json"))
def test_names_of_blobs_stay_in_their_folder(store: Store, name: str) -> None:
    folder = Path(store.blobs._folder).resolve()
    try:
        path = store.blobs.path(name)
    except ValueError:
        return
    assert folder in path.resolve().parents
    upload = store.blobs._upload_path(name)
    assert upload is None or folder / "uploads" == upload.resolve().parent
    assert store.blobs.upload_size(name) is None
