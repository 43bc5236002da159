import asyncio
import gzip
import json
import tracemalloc
from uuid import UUID

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.transfer.errors import BadResponse, Unreachable
from modelyard.wire import problems
from modelyard.wire.models import ModelUpdate
from modelyard.wire.teams import NewTeam
from tests.client.scripted_server import Responses
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

CREATED = {"id": "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"}


async def test_client_error_response_raises_problem_of_same_class_and_facts(responses: Responses, url: str) -> None:
    responses.add(409, problems.UploadIncomplete("2 of 3 bytes.", stored=2).to_json("ab12"))
    async with RegistryApi(url, "sk-x") as registry:
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
    async with RegistryApi(url, "sk-x") as registry:
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
    async with RegistryApi(url, "sk-x") as registry:
        with pytest.raises(problems.Unavailable) as refused:
            await registry.list_models()
    assert refused.value.facts["retry_after"] == 600


async def test_client_response_that_is_not_json_raises_bad_response(responses: Responses, url: str) -> None:
    responses.add(200, b"<html>Welcome</html>")
    async with RegistryApi(url, "sk-x") as registry:
        with pytest.raises(BadResponse, match="the answer is not from a Modelyard registry"):
            await registry.me()


@pytest.mark.parametrize("status", [403, 429, 500])
@pytest.mark.parametrize("body", [b"Too many requests", b'{"message": "rate limit exceeded"}'], ids=["text", "JSON"])
async def test_client_error_of_a_proxy_says_that_it_is_not_from_a_registry_and_nothing_of_releases(
    responses: Responses, url: str, status: int, body: bytes
) -> None:
    responses.add(status, body)
    async with RegistryApi(url, "sk-x") as registry:
        with pytest.raises(BadResponse, match=f"answered {status}, but the answer is not from .* proxies") as refused:
            await registry.me()
    assert "older" not in str(refused.value)


async def test_client_answer_of_another_shape_says_which_program_to_upgrade(responses: Responses, url: str) -> None:
    responses.add(200, b'{"id": 1}')
    async with RegistryApi(url, "sk-x") as registry:
        with pytest.raises(BadResponse, match="upgrade that one"):
            await registry.me()


async def test_client_redirect_is_not_followed_and_raises_bad_response_with_location(
    responses: Responses, url: str
) -> None:
    responses.add(308, b"", Location="https://elsewhere.example/")
    async with RegistryApi(url, "sk-x") as registry:
        with pytest.raises(BadResponse, match=r"elsewhere\.example"):
            await registry.me()
    assert len(responses.requests) == 1


async def test_client_refused_connection_raises_unreachable_with_address() -> None:
    async with RegistryApi("http://127.0.0.1:9", "sk-x", retry_seconds=0) as registry:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
            await registry.list_models()


async def test_client_503_then_502_then_success_returns_result(responses: Responses, url: str) -> None:
    responses.add(503, b"")
    responses.add(502, b"")
    responses.add(200, {"model_list": [], "page_meta": {"per_page": 100}})
    async with RegistryApi(url, "sk-x", retry_seconds=PATIENCE_SECONDS) as registry:
        await asyncio.wait_for(registry.list_models(), PATIENCE_SECONDS)
    assert len(responses.requests) == 3


async def test_client_503_until_retry_deadline_notifies_once_and_raises_unavailable(
    responses: Responses, url: str
) -> None:
    responses.add(503, {"type": "/problems/unavailable", "detail": "Restarting."})
    messages: list[str] = []
    async with RegistryApi(url, "sk-x", retry_seconds=5.0, notify=messages.append) as registry:
        with pytest.raises(problems.Unavailable):
            await registry.me()
    assert [url in message and "Retrying for at most" in message for message in messages] == [True]


async def test_download_ticket_503_raises_unreachable_without_waiting_for_retry_after(
    responses: Responses, url: str
) -> None:
    responses.add(503, {"type": "/problems/unavailable", "detail": "Restarting."}, Retry_After="60")
    async with RegistryApi(url, "sk-x", retry_seconds=300) as registry:
        with pytest.raises(Unreachable, match="Restarting"):
            await registry.download_ticket(UUID(CREATED["id"]))


async def test_update_model_sends_only_set_fields_with_null_for_cleared_ones(responses: Responses, url: str) -> None:
    responses.add(200, CREATED)
    async with RegistryApi(url, "sk-x", "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a11") as registry:
        await registry.update_model(UUID(CREATED["id"]), ModelUpdate(license=None, tags=["a"]))
    method, path, headers, body = responses.requests[0]
    assert (method, path) == ("PUT", f"/api/v1/models/{CREATED['id']}")
    assert json.loads(body) == {"license": None, "tags": ["a"]}
    assert headers["X-Team-ID"] == "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a11"
    assert headers["Authorization"] == "Bearer sk-x"


async def test_start_pairing_sends_no_authorization_header(responses: Responses, url: str) -> None:
    responses.add(200, {"device_code": "d", "user_code": "u", "verification_uri": "v"})
    async with RegistryApi(url, "sk-x") as registry:
        await registry.start_pairing()
    assert "Authorization" not in responses.requests[0][2]


async def test_client_response_above_size_limit_raises_bad_response(
    responses: Responses, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.client.api.http_responses._MAX_BYTES", 1000)
    responses.add(200, b"[" * 5_000_000)
    async with RegistryApi(url, "ak-x", retry_seconds=0) as registry:
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
        async with RegistryApi(url, "ak-x", retry_seconds=0) as registry:
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
    responses.is_held = True
    async with RegistryApi(url, "ak-x", retry_seconds=0) as registry:
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
    async with RegistryApi(url, "ak-x", retry_seconds=0) as registry:
        with pytest.raises((problems.Problem, BadResponse)):
            await registry.get_manifest("render-07")


async def test_get_manifest_with_non_ascii_etag_returns_empty_etag(responses: Responses, url: str) -> None:
    responses.add(200, {"revision": 1, "model_list": []}, ETag="\u00e9")
    async with RegistryApi(url, "ak-x", retry_seconds=0) as registry:
        known = await registry.get_manifest("render-07")
        assert known is not None
        assert known.etag == ""
        assert await registry.get_manifest("render-07", etag=known.etag)
