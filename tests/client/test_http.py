import asyncio
import gzip
import json
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest

from modelyard.client.api.registry import Registry
from modelyard.transfer.errors import BadResponse, Unreachable
from modelyard.wire import problems
from modelyard.wire.models import ModelUpdate
from modelyard.wire.teams import NewTeam

CREATED = {"id": "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"}


class Responses:
    """The scripted responses of a server, the last one of them repeated, and the requests that it received."""

    def __init__(self) -> None:
        self.script: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.hold_seconds = 0.0  # after the body, while the connection stays open

    def add(self, status: int, body: Any = None, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.script.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, content))


@pytest.fixture
def responses() -> Responses:
    return Responses()


@pytest.fixture
def url(responses: Responses) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            responses.requests.append((self.command, self.path, dict(self.headers), body))
            status, headers, content = responses.script.pop(0) if len(responses.script) > 1 else responses.script[0]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the client may have closed the connection
                self.wfile.write(content)
            time.sleep(responses.hold_seconds)

        do_GET = do_POST = do_PUT = respond  # noqa: N815 - names that the standard library looks for

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_client_error_response_raises_problem_of_same_class_and_facts(responses: Responses, url: str) -> None:
    responses.add(409, problems.UploadIncomplete("2 of 3 bytes.", stored=2).to_json("ab12"))
    async with Registry(url, "sk-x") as registry:
        with pytest.raises(problems.UploadIncomplete) as refused:
            await registry.current_team()
    assert refused.value.facts["stored"] == 2
    assert refused.value.facts["request_id"] == "ab12"


async def test_client_503_retries_idempotent_call_after_retry_after_and_no_other(
    responses: Responses, url: str
) -> None:
    responses.add(503, problems.Unavailable("Wait.").to_json(), Retry_After="0")
    responses.add(201, CREATED)
    responses.add(200, {"model_list": [], "page_meta": {"per_page": 100}})
    async with Registry(url, "sk-x") as registry:
        with pytest.raises(problems.Unavailable):
            await registry.create_team(NewTeam(display_name="Studio"))
        await registry.create_team(NewTeam(display_name="Studio"))
        responses.script.insert(0, (503, {"Retry-After": "0"}, b"{}"))
        assert (await registry.list_models()).model_list == []
    assert [method for method, *_ in responses.requests] == ["POST", "POST", "GET", "GET"]


async def test_client_503_with_long_retry_after_raises_unavailable_without_retry(
    responses: Responses, url: str
) -> None:
    responses.add(503, b"proxy error", Retry_After="600")
    async with Registry(url, "sk-x") as registry:
        with pytest.raises(problems.Unavailable) as refused:
            await registry.list_models()
    assert refused.value.facts["retry_after"] == 600


async def test_client_response_that_is_not_json_raises_bad_response(responses: Responses, url: str) -> None:
    responses.add(200, b"<html>Welcome</html>")
    async with Registry(url, "sk-x") as registry:
        with pytest.raises(BadResponse, match="not as a Modelyard registry"):
            await registry.me()


async def test_client_redirect_is_not_followed_and_raises_bad_response_with_location(
    responses: Responses, url: str
) -> None:
    responses.add(308, b"", Location="https://elsewhere.example/")
    async with Registry(url, "sk-x") as registry:
        with pytest.raises(BadResponse, match=r"elsewhere\.example"):
            await registry.me()
    assert len(responses.requests) == 1


async def test_client_refused_connection_raises_unreachable_with_address() -> None:
    async with Registry("http://127.0.0.1:9", "sk-x", retry_seconds=0) as registry:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
            await registry.list_models()


async def test_client_503_then_502_then_success_returns_result(responses: Responses, url: str) -> None:
    responses.add(503, b"")
    responses.add(502, b"")
    responses.add(200, {"model_list": [], "page_meta": {"per_page": 100}})
    async with Registry(url, "sk-x", retry_seconds=30) as registry:
        await asyncio.wait_for(registry.list_models(), 10)
    assert len(responses.requests) == 3


async def test_client_503_until_retry_deadline_notifies_once_and_raises_unavailable(
    responses: Responses, url: str
) -> None:
    responses.add(503, {"type": "/problems/unavailable", "detail": "Restarting."})
    messages: list[str] = []
    async with Registry(url, "sk-x", retry_seconds=2.0, notify=messages.append) as registry:
        with pytest.raises(problems.Unavailable):
            await registry.me()
    assert [url in message and "Retrying for at most" in message for message in messages] == [True]


async def test_download_ticket_503_raises_unreachable_without_waiting_for_retry_after(
    responses: Responses, url: str
) -> None:
    responses.add(503, {"type": "/problems/unavailable", "detail": "Restarting."}, Retry_After="60")
    async with Registry(url, "sk-x", retry_seconds=300) as registry:
        with pytest.raises(Unreachable, match="Restarting"):
            await registry.download_ticket(UUID(CREATED["id"]))


async def test_update_model_sends_only_set_fields_with_null_for_cleared_ones(responses: Responses, url: str) -> None:
    responses.add(200, CREATED)
    async with Registry(url, "sk-x", "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a11") as registry:
        await registry.update_model(UUID(CREATED["id"]), ModelUpdate(license=None, tags=["a"]))
    method, path, headers, body = responses.requests[0]
    assert (method, path) == ("PUT", f"/api/v1/models/{CREATED['id']}")
    assert json.loads(body) == {"license": None, "tags": ["a"]}
    assert headers["X-Team-ID"] == "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a11"
    assert headers["Authorization"] == "Bearer sk-x"


async def test_start_pairing_sends_no_authorization_header(responses: Responses, url: str) -> None:
    responses.add(200, {"device_code": "d", "user_code": "u", "verification_uri": "v"})
    async with Registry(url, "sk-x") as registry:
        await registry.start_pairing()
    assert "Authorization" not in responses.requests[0][2]


async def test_client_response_above_size_limit_raises_bad_response(
    responses: Responses, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.client.api.http_responses._MAX_BYTES", 1000)
    responses.add(200, b"[" * 5_000_000)
    async with Registry(url, "ak-x", retry_seconds=0) as registry:
        with pytest.raises(BadResponse, match="larger than any"):
            await registry.get_manifest("render-07")


@pytest.mark.parametrize(("codings", "message"), [("gzip", "larger than any"), ("gzip, gzip", "decompressed")])
async def test_client_compressed_response_above_size_limit_is_not_held_in_memory(
    responses: Responses, url: str, monkeypatch: pytest.MonkeyPatch, codings: str, message: str
) -> None:
    monkeypatch.setattr("modelyard.client.api.http_responses._MAX_BYTES", 1_000_000)
    body = bytes(300_000_000)
    for _ in codings.split(","):
        body = gzip.compress(body, 6)
    responses.add(200, body, Content_Encoding=codings)
    tracemalloc.start()
    try:
        async with Registry(url, "ak-x", retry_seconds=0) as registry:
            with pytest.raises(BadResponse, match=message):
                await registry.get_manifest("render-07")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # One chunk of 64 KiB, decompressed by the largest factor of gzip.
    assert peak < 150_000_000


async def test_client_response_that_does_not_end_raises_unreachable_at_time_limit(
    responses: Responses, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.client.api.http._MAX_RESPONSE_SECONDS", 0.2)
    responses.add(200, b"[", Content_Length="100")
    responses.hold_seconds = 1.0
    async with Registry(url, "ak-x", retry_seconds=0) as registry:
        with pytest.raises(Unreachable, match="not complete after"):
            await registry.get_manifest("render-07")


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {"Content_Encoding": "gzip"}, b"not compressed"),
        (503, {"Retry_After": "9" * 5000}, b"{}"),
        (503, {"Retry_After": "soon"}, b'{"error_code": ["no"]}'),
        (200, {"ETag": "\u00e9"}, b"{}"),
    ],
)
async def test_client_malformed_response_raises_problem_or_bad_response(
    responses: Responses, url: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    responses.add(status, body, **headers)
    async with Registry(url, "ak-x", retry_seconds=0) as registry:
        with pytest.raises((problems.Problem, BadResponse)):
            await registry.get_manifest("render-07")


async def test_get_manifest_with_non_ascii_etag_returns_empty_etag(responses: Responses, url: str) -> None:
    responses.add(200, {"revision": 1, "model_list": []}, ETag="\u00e9")
    async with Registry(url, "ak-x", retry_seconds=0) as registry:
        known = await registry.get_manifest("render-07")
        assert known is not None
        assert known.etag == ""
        assert await registry.get_manifest("render-07", etag=known.etag)
