"""Malformed HTTP over raw sockets: never a 5xx, no smuggled request, and no response to another request."""

import asyncio

import pytest

from modelyard.server.http.connections import WAITING_REQUESTS
from tests.attacks.raw_http import LAST_REQUEST, generate_malformed_requests, send_raw_request
from tests.running import RunningServer
from tests.server.environments import only_on
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

# Most are answered at once; for the rest of some, the server waits half a minute.
CONCURRENT_REQUESTS = 300
LIVENESS_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-ID: %s\r\n\r\n"


async def _get_status_line(port: int, request: bytes, limiter: asyncio.Semaphore) -> bytes:
    """Send one request on a new connection; return the first line of the response, empty if it is closed without."""
    async with limiter:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            async with asyncio.timeout(2 * PATIENCE_SECONDS):
                return (await reader.readline()).strip()
        except ConnectionError:
            return b""
        finally:
            writer.transport.abort()


@pytest.mark.extended(
    reason="waits half a minute for the server's limits on heads and bodies; the tests below send the worst of these"
)
async def test_malformed_requests_never_return_5xx(server: RunningServer) -> None:
    requests = list(dict.fromkeys(generate_malformed_requests()))
    limiter = asyncio.Semaphore(CONCURRENT_REQUESTS)
    lines = await asyncio.gather(*(_get_status_line(server.port, request, limiter) for request in requests))

    assert len(requests) >= 5000
    failed = [(request[:200], line) for request, line in zip(requests, lines, strict=True) if b" 5" in line[8:11]]
    assert failed == []
    assert server.is_alive
    assert "unhandled error" not in server.log.read_text()
    with server.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}


AMBIGUOUS_FRAMINGS = {
    "both lengths": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n",
    "both lengths, other order": b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: %d\r\n",
    "two lengths in one": b"Content-Length: 0, %d\r\n",
    "hidden coding": b"Content-Length: %d\r\nTransfer-Encoding: xchunked\r\n",
    "folded coding": b"Content-Length: %d\r\nTransfer-Encoding:\r\n chunked\r\n",
    "spaced coding": b"Content-Length: %d\r\nTransfer-Encoding : chunked\r\n",
    "negative length": b"Content-Length: -%d\r\n",
    "signed length": b"Content-Length: +%d\r\n",
    "hexadecimal length": b"Content-Length: 0x%d\r\n",
}


@pytest.mark.parametrize("framing", AMBIGUOUS_FRAMINGS.values(), ids=AMBIGUOUS_FRAMINGS.keys())
def test_ambiguous_framing_smuggles_no_request(server: RunningServer, framing: bytes) -> None:
    hidden = LIVENESS_REQUEST % b"hidden"
    body = b"0\r\n\r\n" + hidden
    request = b"POST /api/v1/desktop/pair/poll HTTP/1.1\r\nHost: 127.0.0.1\r\n" + framing % len(body) + b"\r\n" + body
    responses = send_raw_request(server.port, request + LAST_REQUEST)
    assert b"hidden" not in responses.text
    assert responses.statuses[:1] in ([], [400], [415], [422])


def test_pipelined_requests_are_answered_in_order(server: RunningServer) -> None:
    count = WAITING_REQUESTS
    requests = b"".join(LIVENESS_REQUEST % b"number-%d" % number for number in range(count))
    responses = send_raw_request(server.port, requests + LAST_REQUEST)
    assert responses.statuses == [200] * (count + 1)
    request_ids = [
        line.split(b": ")[1] for line in responses.text.split(b"\r\n") if line.lower().startswith(b"x-request-id")
    ]
    assert request_ids[:-1] == [b"number-%d" % number for number in range(count)]


@only_on("folder", reason="it goes to the embedded store")
def test_refused_body_is_not_parsed_as_next_request(server: RunningServer) -> None:
    hidden = LIVENESS_REQUEST % b"hidden"
    head = (
        b"PUT /blobs/models/a/b?expires=1&signature=x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
        % len(hidden)
    )
    responses = send_raw_request(server.port, head + hidden + LAST_REQUEST)
    assert b"hidden" not in responses.text
    assert responses.statuses[0] == 403


def test_unsupported_method_returns_405_with_allow(server: RunningServer) -> None:
    owner = server.owner()
    model_id = owner.register()
    addresses = {
        ("PUT", "/models/presign"): "POST",
        ("DELETE", "/invitations/accept"): "POST",
        ("PATCH", "/models"): "GET, HEAD, POST",
        ("POST", f"/models/{model_id}"): "DELETE, GET, HEAD, PUT",
        ("POST", "/teams/current"): "DELETE, GET, HEAD, PUT",
    }
    for (method, path), allowed in addresses.items():
        refused = owner.call(method, path)
        assert (refused.status_code, refused.json()["error_code"]) == (405, "method_not_allowed"), path
        assert refused.headers["allow"] == allowed
