"""Text from the other side: its control characters are visible, and what has the form of a secret is hidden, wherever it
is shown: in notebooks, reports, errors, the kernel's log and on the console."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest

from runbook_helpers.errors import NotFound, command_failed
from runbook_helpers.foreign_text import HIDDEN, redacted, shown_text, shown_value, visible
from runbook_helpers.run import html, runner
from runbook_helpers.ssh.completed import Completed

from ..test_notebooks import load

JWT = ".".join(("eyJhbGciOiJSUzI1NiJ9", "eyJzdWIiOiJub2JvZHkifQ", "c2lnbmF0dXJlLWNhbmFyeQ"))
KEY = "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nY2FuYXJ5\nY2FuYXJ5Mg==\n-----END OPENSSH " + "PRIVATE KEY-----"
# What a program prints, and what of it must not be seen. No secret of anybody's: only their forms.
SHAPES = {
    "a JWT": (JWT, "eyJzdWIi"),
    "a JWT behind a control character": (f"\u2066{JWT}", "eyJzdWIi"),
    "a JWT in colours": (f"\x1b[01;31m\x1b[K{JWT[:6]}\x1b[m\x1b[K{JWT[6:]}", "eyJzdWIi"),
    "a private key": (KEY, "Y2FuYXJ5"),
    "a private key in JSON": (json.dumps({"key": KEY}), "Y2FuYXJ5"),
    "a private key without its end": (KEY[:60], "Y2FuYXJ5"),
    "a private key without its head": ("Y2FuYXJ5" * 8 + KEY[-47:], "Y2FuYXJ5Y2Fu"),
    "a refresh token": ("0.AXcA" + "canary" * 8 + ".AgABAAEAAAD", "canary"),
    "docker's config.json": ('{"auths": {"r.azurecr.cn": {"auth": "' + base64.b64encode(b"user:canary").decode() + '"}}}', "dXNlcj"),
    "the same in a string": (json.dumps('{"identitytoken": "canary-0123"}'), "canary-0123"),
    "a JWT in base64": (base64.b64encode(JWT.encode()).decode(), "ZXlK"),
    "a shared access signature": ("https://a.blob.core.chinacloudapi.cn/c?sv=2024-01-01&sig=canary%2B0123&se=1", "canary"),
    "a connection string": ("AccountName=a;AccountKey=canary0123==;EndpointSuffix=x", "canary"),
    "password=": ("docker run -e MYSQL_PASSWORD=canary0123 db", "canary"),
    "password in quotes": ('export PASSWORD="canary with blanks"', "canary"),
    "--password": ("docker login -u me --password canary0123", "canary"),
    "Password:": ("Username: me\nPassword: canary0123\n", "canary"),
    "an Authorization header": ("> Authorization: Bearer canary0123456789canary", "canary"),
    "a URL with a password": ("proxy http://me:canary0123@proxy.example:3128/", "canary"),
    "az acr login --expose-token": (json.dumps({"accessToken": "canary-0123", "loginServer": "r.azurecr.cn"}), "canary"),
}  # fmt: skip
# The terminal's title, a link, one line up, the screen cleared, in 8 bits too; a line that goes back; a line from right to left.
CONTROLS = "\x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x1b[1A\x1b[2J\x9b2J\x00over\rwritten \u202etxt.exe\u2066"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("kind", SHAPES)
def test_what_looks_like_a_secret_is_hidden(kind: str) -> None:
    printed, canary = SHAPES[kind]
    shown = shown_text(f"before: {printed} after")
    assert canary not in shown and HIDDEN in shown and shown.startswith("before: ")
    assert shown_text(shown) == shown
    assert canary not in json.dumps(shown_value({"a": [printed]}, colours=True))


@pytest.mark.parametrize(
    "harmless",
    [
        "WARNING! Your password will be stored unencrypted in /root/.docker/config.json.",
        "docker login --password-stdin",
        "sha256:" + "0123456789abcdef" * 4,
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm",
        "(ExpiredAuthenticationToken) The access token expiry UTC time is in the past",
        "https://mcr.microsoft.com/v2/azuredocs/aci-helloworld:latest",
        "Basic authentication is not supported",
        "容器注册表: 没有权限",
    ],
)
def test_what_does_not_is_kept(harmless: str) -> None:
    assert shown_text(harmless) == harmless


def test_control_characters_are_visible() -> None:
    shown = visible(CONTROLS + "\r\nnext\tline")
    assert not RAW.search(shown) and shown.endswith("\nnext\tline")
    for each in (r"\x1b]0;title\x07", r"\x1b[1A", r"\x9b2J", r"\x00over\rwritten \u202etxt.exe"):
        assert each in shown
    assert visible("\x1b[31mred\x1b[0m\x1b]x", colours=True) == "\x1b[31mred\x1b[0m\\x1b]x"


@pytest.mark.parametrize(
    "text",
    ["QUJD" * 50_000, ("QUJD" * 19 + "\n") * 3000, "\\" * 200_000, 'password="' * 20_000, "-----BEGIN PRIVATE KEY-----" * 9000,
     "\x1b[" * 100_000, "\x1b[" + "1;" * 100_000],
    ids=range(7),
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    assert redacted(visible(text))  # the time-out of the tests is the limit


def test_errors_are_shown_so() -> None:
    completed = Completed("cat x", 1, "", f"{CONTROLS} {KEY}")
    for text in (str(command_failed(completed, "vm")), str(NotFound(CONTROLS + JWT))):
        assert not RAW.search(text) and "Y2FuYXJ5" not in text and "eyJ" not in text
    assert "Y2FuYXJ5" not in str(command_failed(Completed("cat x", 1, "", KEY.replace("Y2", "Y2FuYXJ5" * 400)), "vm"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """All that a run leaves whose notebooks print such texts: to both outputs, as a value, in a result, in an error."""
    folder = tmp_path_factory.mktemp("foreign")
    texts = [CONTROLS, *(printed for printed, _ in SHAPES.values())]
    code = f"""import json, os, sys
texts = json.loads(bytes.fromhex("{json.dumps(texts).encode().hex()}"))  # the source is shown as it is
for each in texts:
    print(each)
    print(each, file=sys.stderr)
os.write(2, texts[1].encode())  # into the kernel's log
"\\n".join(texts)"""
    shows = 'display({"application/vnd.azure-acr-runbook.result+json": {"schema": 1, "left": texts}, "text/plain": texts[0]}, raw=True)'
    fails = "class OurError(Exception): pass\nraise OurError('\\n'.join(texts))"
    new: Any = nbformat.v4
    paths = []
    for name, last in (("00_start_here", shows), ("01_registry", fails)):
        cells = [
            new.new_code_cell("", metadata={"tags": ["parameters"]}),
            new.new_code_cell(code),
            new.new_code_cell(last),
        ]
        paths.append(folder / f"{name}.ipynb")
        nbformat.write(new.new_notebook(cells=cells, metadata=load("01_registry.ipynb")["metadata"]), paths[-1])  # type: ignore[no-untyped-call]
    printed: list[str] = []
    report = runner.run(paths, {}, folder / "o", printed.append)
    html.write(report, [])
    found = {path.name: path.read_text(encoding="utf-8") for path in (folder / "o").iterdir()}
    yield found | {"console": "\n".join([*printed, report.table()])}


def test_nothing_that_a_run_leaves_shows_a_secret(files: dict[str, str]) -> None:
    assert {"00_start_here.ipynb", "01_registry.ipynb", "result.json", "junit.xml", "report.html", "kernel.log"} <= set(
        files
    )
    for name, text in files.items():
        for kind, (_, canary) in SHAPES.items():
            assert canary not in text, (name, kind, text[max(0, text.find(canary) - 300) :][:400])
        assert name in ("parameters.yaml", "run-folder.txt") or "hidden: it looks like a secret" in text, name


def test_nothing_that_a_run_leaves_has_control_characters(files: dict[str, str]) -> None:
    for name, text in files.items():
        assert not RAW.search(text), name
    assert r"\x1b]0;title\x07" in files["console"] and r"\x1b]0;title\x07" in files["report.html"]
