import asyncio
import gzip
import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest

from modelyard.client.registry import Registry
from modelyard.transfer.failures import BadAnswer, Unreachable
from modelyard.wire import problems
from modelyard.wire.models import ModelChange
from modelyard.wire.teams import NewTeam

ANSWERED = {"id": "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"}
Script = Callable[..., Registry]


class Answers:
    """A server that gives scripted answers, the last one forever, and remembers what it was asked."""

    def __init__(self) -> None:
        self.script: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.hold = 0.0  # seconds after the body in which the connection stays open

    def add(self, status: int, body: Any = None, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.script.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, content))


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def url(answers: Answers) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answers.asked.append((self.command, self.path, dict(self.headers), body))
            status, headers, content = answers.script.pop(0) if len(answers.script) > 1 else answers.script[0]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # whoever asked may have heard enough
                self.wfile.write(content)
            time.sleep(answers.hold)

        do_GET = do_POST = do_PUT = answer  # noqa: N815 - names that the standard library looks for

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_an_error_body_becomes_the_same_problem_again(answers: Answers, url: str) -> None:
    answers.add(409, problems.UploadIncomplete("2 of 3 bytes.", stored=2).as_json("ab12"))
    async with Registry(url, "sk-x") as registry:
        with pytest.raises(problems.UploadIncomplete) as refused:
            await registry.current_team()
    assert refused.value.facts["stored"] == 2
    assert refused.value.facts["request_id"] == "ab12"


async def test_a_busy_registry_is_asked_again_after_the_time_it_named(answers: Answers, url: str) -> None:
    answers.add(503, problems.Unavailable("Wait.").as_json(), Retry_After="0")
    answers.add(201, ANSWERED)
    answers.add(200, {"model_list": [], "page_meta": {"per_page": 100}})
    async with Registry(url, "sk-x") as registry:
        with pytest.raises(problems.Unavailable):
            await registry.create_team(NewTeam(display_name="Studio"))
        await registry.create_team(NewTeam(display_name="Studio"))
        answers.script.insert(0, (503, {"Retry-After": "0"}, b"{}"))
        assert (await registry.list_models()).model_list == []
    assert [method for method, *_ in answers.asked] == ["POST", "POST", "GET", "GET"]


async def test_patience_ends(answers: Answers, url: str) -> None:
    answers.add(503, b"the proxy is sad", Retry_After="600")
    async with Registry(url, "sk-x") as registry:
        with pytest.raises(problems.Unavailable) as refused:
            await registry.list_models()
    assert refused.value.facts["retry_after"] == 600


async def test_a_page_of_another_server_is_no_registry(answers: Answers, url: str) -> None:
    answers.add(200, b"<html>Welcome</html>")
    async with Registry(url, "sk-x") as registry:
        with pytest.raises(BadAnswer, match="not as a Modelyard registry"):
            await registry.me()


async def test_a_redirect_is_named_and_not_followed_with_the_token(answers: Answers, url: str) -> None:
    answers.add(308, b"", Location="https://elsewhere.example/")
    async with Registry(url, "sk-x") as registry:
        with pytest.raises(BadAnswer, match=r"elsewhere\.example"):
            await registry.me()
    assert len(answers.asked) == 1


async def test_nobody_listening_is_unreachable() -> None:
    async with Registry("http://127.0.0.1:9", "sk-x", patience_seconds=0) as registry:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
            await registry.list_models()


async def test_a_registry_that_comes_back_in_time_is_not_missed(answers: Answers, url: str) -> None:
    answers.add(503, b"")
    answers.add(502, b"")
    answers.add(200, {"model_list": [], "page_meta": {"per_page": 100}})
    async with Registry(url, "sk-x", patience_seconds=30) as registry:
        await asyncio.wait_for(registry.list_models(), 10)
    assert len(answers.asked) == 3


async def test_a_change_sends_only_what_was_set_and_null_where_it_clears(answers: Answers, url: str) -> None:
    answers.add(200, ANSWERED)
    async with Registry(url, "sk-x", "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a11") as registry:
        await registry.update_model(UUID(ANSWERED["id"]), ModelChange(license=None, tags=["a"]))
    method, path, headers, body = answers.asked[0]
    assert (method, path) == ("PUT", f"/api/v1/models/{ANSWERED['id']}")
    assert json.loads(body) == {"license": None, "tags": ["a"]}
    assert headers["X-Team-ID"] == "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a11"
    assert headers["Authorization"] == "Bearer sk-x"


async def test_calls_that_need_no_token_send_none(answers: Answers, url: str) -> None:
    answers.add(200, {"device_code": "d", "user_code": "u", "verification_uri": "v"})
    async with Registry(url, "sk-x") as registry:
        await registry.start_pairing()
    assert "Authorization" not in answers.asked[0][2]


async def test_an_answer_that_has_no_end_fills_no_memory(
    answers: Answers, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.client.channel._MOST_BYTES", 1000)
    answers.add(200, b"[" * 5_000_000)
    async with Registry(url, "ak-x", patience_seconds=0) as registry:
        with pytest.raises(BadAnswer, match="more than any registry"):
            await registry.get_manifest("render-07")


@pytest.mark.parametrize(("codings", "said"), [("gzip", "more than any registry"), ("gzip, gzip", "unpacked")])
async def test_a_small_answer_that_unpacks_to_a_large_one_fills_no_memory(
    answers: Answers, url: str, monkeypatch: pytest.MonkeyPatch, codings: str, said: str
) -> None:
    monkeypatch.setattr("modelyard.client.channel._MOST_BYTES", 1_000_000)
    body = bytes(300_000_000)
    for _ in codings.split(","):
        body = gzip.compress(body, 6)
    answers.add(200, body, Content_Encoding=codings)
    tracemalloc.start()
    try:
        async with Registry(url, "ak-x", patience_seconds=0) as registry:
            with pytest.raises(BadAnswer, match=said):
                await registry.get_manifest("render-07")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A piece of 64 KiB, unpacked as far as gzip can.
    assert peak < 150_000_000


async def test_an_answer_that_only_trickles_is_given_up(
    answers: Answers, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.client.channel._LONGEST_ANSWER_SECONDS", 0.2)
    answers.add(200, b"[", Content_Length="100")
    answers.hold = 1.0
    async with Registry(url, "ak-x", patience_seconds=0) as registry:
        with pytest.raises(Unreachable, match="no end"):
            await registry.get_manifest("render-07")


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {"Content_Encoding": "gzip"}, b"not packed"),
        (503, {"Retry_After": "9" * 5000}, b"{}"),
        (503, {"Retry_After": "soon"}, b'{"error_code": ["no"]}'),
        (200, {"ETag": "\u00e9"}, b"{}"),
    ],
)
async def test_no_answer_is_more_than_a_failure(
    answers: Answers, url: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    answers.add(status, body, **headers)
    async with Registry(url, "ak-x", patience_seconds=0) as registry:
        with pytest.raises((problems.Problem, BadAnswer)):
            await registry.get_manifest("render-07")


async def test_a_tag_that_cannot_be_sent_back_is_none(answers: Answers, url: str) -> None:
    answers.add(200, {"revision": 1, "model_list": []}, ETag="\u00e9")
    async with Registry(url, "ak-x", patience_seconds=0) as registry:
        known = await registry.get_manifest("render-07")
        assert known is not None
        assert known.etag == ""
        assert await registry.get_manifest("render-07", etag=known.etag)
