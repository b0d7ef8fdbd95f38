"""Requests that no decent client makes: each is refused, none is a failure of the sandbox, and none harms the next."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import psutil  # type: ignore[import-untyped]
import pytest
import requests
from starlette.responses import Response
from uvicorn import Config

from azure_sandbox import Sandbox, guard
from azure_sandbox.arm import ROUTES
from azure_sandbox.clouds import REGISTRY_AUDIENCE
from azure_sandbox.guard import RequestRefused
from azure_sandbox.proxy import Caller, Proxy
from runbook_helpers import Azure, assign_identity, create_registry, create_vm, show_vm
from runbook_helpers.verbs.virtual_machines import public_address_of

from ..conftest import SSH_SOURCE, SUBSCRIPTION
from .conftest import ARM, IMDS, LOGIN, TOKEN, bearer
from .raw_http import ARM_HOST, answer, inside, proxy, status
from .test_registry import MANIFEST, Account

METADATA = "169.254.169.254"
GRAPH = "https://microsoftgraph.chinacloudapi.cn"


@pytest.fixture(autouse=True)
def unharmed(sandbox: Sandbox) -> Iterator[None]:
    """After each test the sandbox answers a good request, and its log tells of no failure."""
    log = sandbox.folder / "log"
    before = log.stat().st_size
    yield
    logged = log.read_bytes()[before:].decode(errors="replace")
    assert "Traceback" not in logged and "fault of its own" not in logged, logged[-3000:]
    url = f"{ARM}/subscriptions?api-version=2022-12-01"
    assert sandbox.session.get(url, headers=bearer(sandbox.token())).status_code == 200


@pytest.fixture
def owner(azure: Azure, sandbox: Sandbox, name: str) -> Account:
    """The operator in a registry of its own: it may do everything there."""
    create_registry(azure, name)
    return Account(sandbox.session, f"{name}.azurecr.cn", sandbox.token(REGISTRY_AUDIENCE))


# Where it listens


def test_it_listens_on_one_port_of_loopback_only(azure: Azure, sandbox: Sandbox, name: str) -> None:
    create_vm(azure, name, ssh_source=SSH_SOURCE)
    server = psutil.Process(sandbox.running.pid)
    sockets = [each for one in (server, *server.children(recursive=True)) for each in one.net_connections("inet")]
    waiting = {(each.laddr.ip, each.laddr.port) for each in sockets if each.status == psutil.CONN_LISTEN}
    assert waiting == {("127.0.0.1", sandbox.running.port)}
    assert not [each for each in sockets if each.type == socket.SOCK_DGRAM]


# Pages of other sites

FOREIGN = [
    (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 421),
    (b"GET / HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 421),
    (b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", 421),
    (b"GET / HTTP/1.1\r\nHost: management.chinacloudapi.cn.evil.example\r\n\r\n", 421),
    (b"GET / HTTP/1.1\r\nHost: \r\n\r\n", 421),
    (b"GET / HTTP/1.1\r\nHost: 169.254.169.254@evil.example\r\n\r\n", 421),
    (b"GET / HTTP/1.0\r\n\r\n", 421),
    (b"GET http://169.254.169.254/metadata/versions HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    (b"GET http://evil.example/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", 421),
    (b"GET / HTTP/1.1\r\nHost: 169.254.169.254\r\nHost: evil.example\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: 169.254.169.254\r\nOrigin: http://evil.example\r\n\r\n", 403),
    (b"GET / HTTP/1.1\r\nHost: 169.254.169.254\r\nOrigin: null\r\n\r\n", 403),
    (b"GET / HTTP/1.1\r\nHost: 169.254.169.254\r\nReferer: http://evil.example/page\r\n\r\n", 403),
    (b"GET / HTTP/1.1\r\nHost: 169.254.169.254\r\nReferer: http://[\r\n\r\n", 403),
    (b"GET / HTTP/1.1\r\nHost: 169.254.169.254\r\nSec-Fetch-Site: cross-site\r\n\r\n", 403),
    (b"OPTIONS / HTTP/1.1\r\nHost: 169.254.169.254\r\nOrigin: http://evil.example\r\n\r\n", 403),
]


@pytest.mark.parametrize(("request_", "expected"), FOREIGN)
def test_foreign_host_or_origin_is_refused_by_the_proxy(sandbox: Sandbox, request_: bytes, expected: int) -> None:
    with proxy(sandbox) as connection:
        assert status(answer(connection, request_)) == expected


@pytest.mark.parametrize(("request_", "expected"), FOREIGN)
def test_foreign_host_or_origin_is_refused_within_tls(sandbox: Sandbox, request_: bytes, expected: int) -> None:
    own = request_.replace(METADATA.encode(), ARM_HOST.encode())
    with inside(sandbox) as connection:
        assert status(answer(connection, own)) == expected


def test_origin_is_looked_at_before_credentials_and_tokens(
    sandbox: Sandbox, client: requests.Session, token: str
) -> None:
    wrong = base64.b64encode(b"vm:secret").decode()
    head = f"GET / HTTP/1.1\r\nHost: {METADATA}\r\nProxy-Authorization: Basic {wrong}\r\n"
    with proxy(sandbox) as connection:
        assert status(answer(connection, f"{head}Origin: http://evil.example\r\n\r\n".encode())) == 403
    with proxy(sandbox) as connection:
        assert status(answer(connection, f"{head}\r\n".encode())) == 407
    headers = {**bearer(token), "Origin": "https://evil.example"}
    url = f"{ARM}/subscriptions?api-version=2022-12-01"
    assert client.request("GET", url, headers=headers).status_code == 403
    assert client.request("GET", url, headers={**bearer(token), "Origin": ARM}).status_code == 200


def test_page_gets_no_token_of_a_vm_through_the_proxy(azure: Azure, sandbox: Sandbox, name: str) -> None:
    create_vm(azure, name, ssh_source=SSH_SOURCE)
    assign_identity(azure, name)
    vm = sandbox.vm(name).session
    url, headers = f"{TOKEN}?api-version=2018-02-01&resource={ARM}", {"Metadata": "true"}
    assert vm.request("GET", url, headers=headers).status_code == 200
    for name_, value in (
        ("Origin", "http://evil.example"),
        ("Referer", "http://evil.example/"),
        ("Host", "evil.example"),
    ):
        refused = vm.request("GET", url, headers={**headers, name_: value})
        assert refused.status_code in (403, 421) and "eyJ" not in refused.text


# Framing: a second request must not hide in the first

SMUGGLED = b"GET /second HTTP/1.1\r\nHost: %s\r\n\r\n" % ARM_HOST.encode()
LINE, HOST = b"POST /first HTTP/1.1\r\n", b"Host: %s\r\n" % ARM_HOST.encode()
DOUBTFUL = [
    LINE + HOST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    LINE + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
    LINE + HOST + b"Content-Length: 0\r\nContent-Length: 60\r\n\r\n",
    LINE + HOST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    LINE + HOST + b"Content-Length: 0, 60\r\n\r\n",
    LINE + HOST + b"Content-Length: +0\r\n\r\n",
    LINE + HOST + b"Content-Length: -1\r\n\r\n",
    LINE + HOST + b"Content-Length: 0x0\r\n\r\n",
    LINE + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    LINE + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    LINE + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    LINE + HOST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    LINE + HOST + b"X: y\r\n Content-Length: 6\r\n\r\n",
    LINE + HOST + b"X: y\r\n\tfolded\r\n\r\n",
    LINE + HOST + b"X: y\nContent-Length: 6\r\n\r\n",
    LINE + HOST + b"X: y\rContent-Length: 6\r\n\r\n",
    LINE + HOST + b"X: y\x00z\r\n\r\n",
    LINE + HOST + b"X\xff: y\r\n\r\n",
    LINE + HOST + b": y\r\n\r\n",
    LINE + HOST + b"no colon\r\n\r\n",
    LINE.replace(b"\r\n", b"\n") + HOST.replace(b"\r\n", b"\n") + b"\n",
    LINE.replace(b" HTTP/1.1", b"") + HOST + b"\r\n",
    LINE.replace(b"HTTP/1.1", b"HTTP/3.0") + HOST + b"\r\n",
    LINE.replace(b"/first", b"/fi\x01rst") + HOST + b"\r\n",
    LINE.replace(b"/first", b"/fi rst") + HOST + b"\r\n",
    b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"SSH-2.0-client\r\n\r\n",
]


@pytest.mark.parametrize("request_", DOUBTFUL)
@pytest.mark.parametrize("within_tls", [False, True])
def test_doubtful_framing_gets_one_refusal(sandbox: Sandbox, request_: bytes, within_tls: bool) -> None:
    opened = inside(sandbox) if within_tls else proxy(sandbox)
    with opened as connection:
        received = answer(connection, request_ + SMUGGLED)
    assert status(received) in (400, 421, 501), received[:200]
    assert received.count(b"HTTP/1.1 ") == 1  # nobody has answered what was hidden


def test_bad_chunks_end_the_connection(sandbox: Sandbox) -> None:
    head = LINE + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    for chunks in (b"xyz\r\n", b"-1\r\n\r\n", b"5\r\nab", b"0\r\nX: y\nZ: w\r\n\r\n", b"fffffffffffffffffffff\r\nabc"):
        with inside(sandbox) as connection:
            assert answer(connection, head + chunks, 0.5).count(b"HTTP/1.1 ") <= 1


# What has no end


def test_too_large_is_refused(sandbox: Sandbox, owner: Account) -> None:
    for size in (guard.MAX_BODY + 1, 10**17):
        with inside(sandbox) as connection:
            assert status(answer(connection, LINE + HOST + b"Content-Length: %d\r\n\r\n" % size)) == 413
    upload = f"POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: {owner.server}\r\nContent-Length: {guard.MAX_UPLOAD + 1}\r\n\r\n"
    with inside(sandbox, owner.server) as connection:
        assert status(answer(connection, upload.encode())) == 413
    with inside(sandbox) as connection:
        assert status(answer(connection, b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 4000 + b"\r\n")) in (400, 431)


def test_endless_body_is_refused_when_it_becomes_too_large(client: requests.Session, token: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(guard.MAX_BODY // 65536 + 1):
            yield b" " * 65536

    url = f"{ARM}/subscriptions/{SUBSCRIPTION}/resourcegroups/none?api-version=2022-09-01"
    assert client.request("PUT", url, data=endless(), headers=bearer(token)).status_code == 413


class _ImpatientProxy:
    """A proxy of the test's own, with little patience."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            message = await receive()
            while message["type"] == "http.request" and message["more_body"]:
                message = await receive()
            code = 200 if message["type"] == "http.request" else 400
            await send({"type": "http.response.start", "status": code, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

        async def no_ssh(host: str, caller: Caller) -> socket.socket:
            raise RequestRefused(403, "no VM")

        config = Config(
            guard.Guard(app, lambda host: True, lambda host, refused: Response(status_code=refused.status), 0.3),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
        )
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        proxy = Proxy(config, tls, lambda host: True, lambda user, password: None, no_ssh, patience=0.3)
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.server = asyncio.run_coroutine_threadsafe(proxy.listen(listener), loop).result(10)


@pytest.fixture
def impatient_proxy() -> Iterator[int]:
    import threading

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    opened = _ImpatientProxy(loop)
    yield opened.port
    loop.call_soon_threadsafe(opened.server.close)
    loop.call_soon_threadsafe(loop.call_later, 0.2, loop.stop)
    thread.join()
    loop.close()


UPLOAD_LINE = b"PUT /v2/app/blobs/uploads/1 HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("start", "drip", "expected"),
    [
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n", 0),  # the first head of a connection
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n", b"X: y\r\n", 200),  # a later one
        (b"CONNECT x:80 HTTP/1.0\r\n\r\n", b"", 200),  # nothing follows
        (LINE + HOST + b"Content-Length: 999999\r\n\r\n", b"z", 408),
        (LINE + HOST + b"Content-Length: 99999999\r\n\r\n", b"z", 413),  # and goes on all the same
        (UPLOAD_LINE + HOST + b"Content-Length: 999999\r\n\r\n", b"", 408),
    ],
)
def test_slow_head_or_body_is_ended(impatient_proxy: int, start: bytes, drip: bytes, expected: int) -> None:
    began = time.monotonic()
    received, ended = b"", False
    with socket.create_connection(("127.0.0.1", impatient_proxy), timeout=0.05) as connection:
        connection.sendall(start)
        while not ended and time.monotonic() < began + 5:
            try:
                connection.sendall(drip)
                received += (data := connection.recv(65536))
                ended = not data
            except TimeoutError:
                continue
            except OSError:
                ended = True
    assert ended and time.monotonic() - began < 4
    assert status(received) == expected


# Tokens, bodies, names


def damaged(token: str) -> list[str]:
    head, body, signature = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False})

    def segment(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return [
        "", ".", "..", "...", "a.b.c", f"{head}.{body}", f"{head}.{body}.", f"{head}..{signature}", f"{head}.{body}.!!",
        f"{segment({'alg': 'none'})}.{body}.", f"{segment({'alg': 'HS256'})}.{body}.{signature}",
        f"{segment({'alg': 'RS256', 'crit': ['x'], 'x': 1})}.{body}.{signature}",
        f"{segment({'alg': ['RS256']})}.{body}.{signature}", f"{segment([])}.{body}.{signature}",
        f"{segment({'alg': 'RS256', 'jku': 'https://evil.example/', 'kid': '../../key'})}.{body}.{signature}",
        f"{head}.{segment([1])}.{signature}", f"{head}.{segment({**claims, 'exp': 10**18})}.{signature}",
        f"{head}.{base64.urlsafe_b64encode(b'[' * 9000).decode()}.{signature}", "é" * 10, "A" * 9000,
    ]  # fmt: skip


def test_malformed_tokens_are_refused(client: requests.Session, owner: Account, token: str) -> None:
    for bad in damaged(token):
        headers = {"Authorization": f"Bearer {bad}".encode()}
        for url in (f"{ARM}/subscriptions?api-version=2022-12-01", f"{GRAPH}/v1.0/servicePrincipals"):
            assert client.request("GET", url, headers=headers).status_code == 401, (url, bad)
        assert client.request("GET", f"https://{owner.server}/v2/", headers=headers).status_code == 401, bad
        form = {"grant_type": "access_token", "service": owner.server, "access_token": bad}
        assert client.request("POST", f"https://{owner.server}/oauth2/exchange", data=form).status_code == 401
    for bad in ("Basic", "Basic !", "Basic /w==", "Basic OjpA", "Digest x", "Bearer", "x", "Basic " + "A" * 8000):
        answer_ = client.request("GET", f"https://{owner.server}/v2/", headers={"Authorization": bad})
        assert answer_.status_code == 401, bad


def nested(depth: int) -> bytes:
    return b'{"tags":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize("depth", [guard.MAX_DEPTH + 1, 900, 100_000])
def test_deep_json_is_refused(
    client: requests.Session, owner: Account, token: str, sandbox: Sandbox, depth: int
) -> None:
    bodies = [nested(depth), b"[" * depth + b"]" * depth, b'{"]": ' + b"[" * depth + b"]" * depth + b"}"]
    graph = sandbox.token(GRAPH)
    group = f"{ARM}/subscriptions/{SUBSCRIPTION}/resourcegroups/deep?api-version=2022-09-01"
    for body in bodies:
        assert client.request("PUT", group, data=body, headers=bearer(token)).status_code == 400
        ids = client.request("POST", f"{GRAPH}/v1.0/directoryObjects/getByIds", data=body, headers=bearer(graph))
        assert ids.status_code == 400
        assert owner.ask("PUT", "/v2/app/manifests/v1", data=body).status_code == 400


@pytest.mark.parametrize("body", [b"{", b"[]", b"1", b"null", b'"ids"', b"\xff", b'{"ids": 1}', b'{"ids": {"a": []}}'])
def test_malformed_bodies_are_refused(
    client: requests.Session, owner: Account, token: str, sandbox: Sandbox, body: bytes
) -> None:
    graph = sandbox.token(GRAPH)
    asked = client.request("POST", f"{GRAPH}/v1.0/directoryObjects/getByIds", data=body, headers=bearer(graph))
    assert asked.status_code == 400
    assert owner.ask("PUT", "/v2/app/manifests/v1", data=body, headers={"Content-Type": MANIFEST}).status_code == 400
    assert client.request("POST", f"{LOGIN}/common/oauth2/token", data=body).status_code == 400


def test_layer_that_pretends_to_be_a_configuration(owner: Account) -> None:
    deep = owner.push_blob(b"[" * 200_000)
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 200_000, "digest": deep}
    assert owner.push_manifest("deep", config=config).status_code == 201
    scope = "repository:app:metadata_read"
    shown = owner.client.request(
        "GET", f"https://{owner.server}/acr/v1/app/_manifests", headers=bearer(owner.token(scope))
    )
    assert shown.status_code == 200


def test_compressed_bodies_are_not_unpacked(client: requests.Session, owner: Account, token: str) -> None:
    bomb = gzip.compress(b'{"location": "chinanorth3"}' + b" " * 10_000_000)
    assert len(bomb) < 20_000
    headers = {**bearer(token), "Content-Encoding": "gzip"}
    url = f"{ARM}/subscriptions/{SUBSCRIPTION}/resourcegroups/bomb?api-version=2022-09-01"
    assert client.request("PUT", url, data=bomb, headers=headers).status_code == 415
    refused = owner.ask("PUT", "/v2/app/manifests/v1", data=bomb, headers={"Content-Encoding": "gzip"})
    assert refused.status_code == 415
    digest = owner.push_blob(bomb)  # a layer is kept as it is
    assert owner.ask("GET", f"/v2/app/blobs/{digest}").content == bomb


UP = ["..", "%2e%2e", "..%2f..%2foperator.json", "%2e%2e%2fca-key.pem", "..%5c..", "a%00b", "%2fetc%2fpasswd", "."]


@pytest.mark.parametrize("up", UP)
def test_names_do_not_lead_out_of_the_registry(owner: Account, sandbox: Sandbox, up: str) -> None:
    headers = bearer(owner.token("repository:app:pull,push,delete"))
    server = owner.server
    before = {path: path.stat().st_size for path in sandbox.folder.glob("*.pem")}
    for method, path in (
        ("GET", f"/v2/{up}/tags/list"), ("POST", f"/v2/{up}/blobs/uploads/"), ("GET", f"/v2/app/manifests/{up}"),
        ("PUT", f"/v2/app/manifests/{up}"), ("GET", f"/v2/app/blobs/sha256:{up}"), ("GET", f"/v2/app/blobs/{up}"),
        ("PATCH", f"/v2/app/blobs/uploads/{up}"), ("PUT", f"/v2/app/blobs/uploads/{up}?digest=sha256:{up}"),
        ("GET", f"/v2/app/blobs/uploads/{up}"), ("DELETE", f"/v2/app/blobs/uploads/{up}"), ("GET", f"/acr/v1/{up}/_tags"),
        ("POST", f"/v2/app/blobs/uploads/?digest={up}"), ("POST", f"/v2/app/blobs/uploads/?mount=sha256:{up}&from={up}"),
    ):  # fmt: skip
        with inside(sandbox, server) as connection:
            head = f"{method} {path} HTTP/1.1\r\nHost: {server}\r\nAuthorization: {headers['Authorization']}\r\n"
            received = answer(connection, f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        assert status(received) in (400, 401, 404, 405), (path, received[:300])
        assert b"PRIVATE KEY" not in received and b"client_secret" not in received
    assert before == {path: path.stat().st_size for path in sandbox.folder.glob("*.pem")}


@pytest.mark.parametrize("path", ["%3Fx", "%23x", "..", "%2e%2e/other", "a%5cb", "a%0d%0aX:%20y", "%00"])
def test_doubtful_paths_of_resource_manager_are_refused(sandbox: Sandbox, token: str, path: str) -> None:
    target = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{path}?api-version=2022-09-01"
    head = f"GET {target} HTTP/1.1\r\nHost: {ARM_HOST}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    with inside(sandbox) as connection:
        assert status(answer(connection, head.encode())) == 400


@pytest.mark.parametrize("number", ["²", "9" * 5000, "-1", "٣", "1e9", "0x10", "+1"])
def test_numbers_that_are_none(owner: Account, number: str) -> None:
    digest = owner.push_blob(b"0123456789")
    assert owner.push_manifest("v1").status_code == 201
    asked = owner.ask("GET", f"/v2/app/tags/list?n={number}")
    assert asked.status_code in (200, 400)
    text = number.encode("utf-8", "replace").decode("latin-1")
    ranged = owner.ask("GET", f"/v2/app/blobs/{digest}", headers={"Range": f"bytes={text}-{text}"})
    assert ranged.status_code in (200, 206, 416)
    started = owner.ask("POST", "/v2/app/blobs/uploads/")
    headers = {"Content-Range": f"{text}-{text}"}
    chunk = owner.ask("PATCH", started.headers["Location"], data=b"x", headers=headers)
    assert chunk.status_code in (202, 400, 416)


# Nothing without a token

ANONYMOUS = {  # as documented in SECURITY.md
    f"{LOGIN}/common/discovery/instance?api-version=1.1": 200,
    f"{LOGIN}/common/v2.0/.well-known/openid-configuration": 200,
    f"{LOGIN}/common/discovery/v2.0/keys": 200,
    f"{ARM}/metadata/endpoints?api-version=2022-09-01": 200,
    "https://mcr.microsoft.com/v2/": 200,
    "https://mcr.microsoft.com/v2/azuredocs/aci-helloworld/tags/list": 200,
    "https://aka.ms/InstallAzureCLIDeb": 200,
}


def test_the_anonymous_answers_hold_no_secret(client: requests.Session, sandbox: Sandbox) -> None:
    secrets = [sandbox.running.operator(cloud)["client_secret"] for cloud in ("AzureChinaCloud", "AzureCloud")]
    for url, expected in ANONYMOUS.items():
        answered = client.request("GET", url)
        assert answered.status_code == expected, url
        assert "eyJ" not in answered.text and not any(secret in answered.text for secret in secrets), url


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_resource_manager_answers_nothing_without_a_token(client: requests.Session, route: Any) -> None:
    import re

    path = re.sub(r"\{subscription\}", SUBSCRIPTION, route.path)
    path = re.sub(r"\{[^}]+\}", "x", path)
    if path.startswith("/metadata/"):
        return  # which names the cloud has: for clients that do not know it yet
    answered = client.request(route.method, f"{ARM}{path}?api-version=2022-09-01", data=b"{}")
    assert answered.status_code == 401, answered.text


def test_nothing_else_answers_without_a_token(client: requests.Session, owner: Account, sandbox: Sandbox) -> None:
    owner.push_manifest("v1")
    tenant = sandbox.tenant_id
    registry, empty = f"https://{owner.server}", "sha256:" + "0" * 64
    refused = [
        ("GET", f"{ARM}/anything"), ("POST", f"{LOGIN}/{tenant}/oauth2/v2.0/token"), ("POST", f"{LOGIN}/{tenant}/oauth2/token"),
        ("GET", f"{GRAPH}/v1.0/servicePrincipals"), ("GET", f"{GRAPH}/v1.0/servicePrincipals/x"),
        ("POST", f"{GRAPH}/v1.0/directoryObjects/getByIds"), ("GET", f"{registry}/v2/"), ("GET", f"{registry}/v2/_catalog"),
        ("GET", f"{registry}/v2/app/tags/list"), ("GET", f"{registry}/v2/app/manifests/v1"),
        ("PUT", f"{registry}/v2/app/manifests/v1"), ("DELETE", f"{registry}/v2/app/manifests/v1"),
        ("GET", f"{registry}/v2/app/blobs/{empty}"), ("DELETE", f"{registry}/v2/app/blobs/{empty}"),
        ("GET", f"{registry}/v2/app/referrers/{empty}"), ("POST", f"{registry}/v2/app/blobs/uploads/"),
        ("PATCH", f"{registry}/v2/app/blobs/uploads/x"), ("PUT", f"{registry}/v2/app/blobs/uploads/x"),
        ("GET", f"{registry}/acr/v1/_catalog"), ("GET", f"{registry}/acr/v1/app"), ("DELETE", f"{registry}/acr/v1/app"),
        ("GET", f"{registry}/acr/v1/app/_tags"), ("GET", f"{registry}/acr/v1/app/_manifests"),
        ("GET", f"{registry}/oauth2/token?service={owner.server}&scope=repository:app:pull"),
        ("POST", f"{registry}/oauth2/token"), ("POST", f"{registry}/oauth2/exchange"),
        ("GET", f"{IMDS}/instance?api-version=2021-02-01"), ("GET", f"{TOKEN}?api-version=2018-02-01&resource={ARM}"),
        ("POST", "https://mcr.microsoft.com/v2/azuredocs/aci-helloworld/blobs/uploads/"),
    ]  # fmt: skip
    for method, url in refused:
        answered = client.request(method, url, headers={"Metadata": "true"})
        assert answered.status_code in (400, 401, 404, 405), (method, url, answered.text)
        assert "eyJ" not in answered.text


# SSH


@pytest.mark.parametrize(
    "greeting", [b"\x00" * 300, b"GET / HTTP/1.1\r\n\r\n", b"SSH-1.5-x\r\n", b"SSH-2.0-x\r\n" + b"\xff" * 500]
)
def test_malformed_ssh_greeting_ends_the_connection(azure: Azure, sandbox: Sandbox, name: str, greeting: bytes) -> None:
    create_vm(azure, name, ssh_source=SSH_SOURCE)
    address = public_address_of(azure, show_vm(azure, name))
    with proxy(sandbox) as connection:
        connection.sendall(f"CONNECT {address}:22 HTTP/1.0\r\n\r\n".encode())
        received = b""
        while b"SSH-2.0-OpenSSH" not in received:
            received += (data := connection.recv(65536))
            assert data, received
        answer(connection, greeting)
    assert b"200 Connection established" in received


def test_the_ca_file_is_the_only_thing_a_client_needs(sandbox: Sandbox) -> None:
    assert Path(sandbox.ca_file).read_text().count("BEGIN CERTIFICATE") == 1
    assert "PRIVATE" not in Path(sandbox.ca_file).read_text()
