"""Raw sockets: whatever comes, the answer is the client's fault or none, and nobody gets another's answer."""

import asyncio

import pytest

from tests.attacks.raw import exchange, malformed_requests
from tests.running import RunningServer
from tests.server.places import only_on

AT_ONCE = 64
# An answer to a request that is whole comes sooner; the others wait for the rest of theirs.
PATIENCE_SECONDS = 0.5
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-ID: %s\r\n\r\n"


async def _status(port: int, request: bytes, gate: asyncio.Semaphore) -> bytes:
    """The first line of the answer to one request; empty if there is none."""
    async with gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            return (await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS)).strip()
        except (ConnectionError, TimeoutError):
            return b""
        finally:
            writer.transport.abort()


async def test_five_thousand_malformed_requests_get_no_answer_of_5xx(server: RunningServer) -> None:
    requests = list(dict.fromkeys(malformed_requests()))
    gate = asyncio.Semaphore(AT_ONCE)
    lines = await asyncio.gather(*(_status(server.port, request, gate) for request in requests))

    assert len(requests) >= 5000
    failed = [(request[:200], line) for request, line in zip(requests, lines, strict=True) if b" 5" in line[8:11]]
    assert failed == []
    assert server.is_alive
    assert "unhandled error" not in server.log.read_text()
    with server.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}


SMUGGLERS = {
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


@pytest.mark.parametrize("framing", SMUGGLERS.values(), ids=SMUGGLERS.keys())
def test_ambiguous_framing_never_lets_a_hidden_request_out(server: RunningServer, framing: bytes) -> None:
    hidden = HEALTH % b"hidden"
    body = b"0\r\n\r\n" + hidden
    request = b"POST /api/v1/desktop/pair/poll HTTP/1.1\r\nHost: 127.0.0.1\r\n" + framing % len(body) + b"\r\n" + body
    answers = exchange(server.port, request)
    assert b"hidden" not in answers.text
    assert answers.statuses[:1] in ([], [400], [415], [422])


def test_pipelined_requests_are_answered_in_order_each_with_its_own_answer(server: RunningServer) -> None:
    count = 40
    requests = b"".join(HEALTH % b"number-%d" % number for number in range(count))
    answers = exchange(server.port, requests, at_least=count)
    assert answers.statuses == [200] * count
    seen = [line.split(b": ")[1] for line in answers.text.split(b"\r\n") if line.lower().startswith(b"x-request-id")]
    assert seen == [b"number-%d" % number for number in range(count)]


@only_on("folder", reason="it goes to the embedded store")
def test_a_refused_body_is_not_read_as_the_next_request(server: RunningServer) -> None:
    hidden = HEALTH % b"hidden"
    head = (
        b"PUT /blobs/models/a/b?expires=1&signature=x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
        % len(hidden)
    )
    answers = exchange(server.port, head + hidden + HEALTH % b"visible", at_least=1)
    assert b"hidden" not in answers.text
    assert answers.statuses[0] == 403


def test_a_method_that_an_address_has_not_is_refused_with_those_that_it_has(server: RunningServer) -> None:
    owner = server.owner()
    model_id = owner.register()
    addresses = {
        ("PUT", "/models/presign"): "POST",
        ("DELETE", "/invitations/accept"): "POST",
        ("PATCH", "/models"): "GET, POST",
        ("POST", f"/models/{model_id}"): "DELETE, GET, PUT",
        ("POST", "/teams/current"): "DELETE, GET, PUT",
    }
    for (method, path), allowed in addresses.items():
        refused = owner.call(method, path)
        assert (refused.status_code, refused.json()["error_code"]) == (405, "method_not_allowed"), path
        assert refused.headers["allow"] == allowed
