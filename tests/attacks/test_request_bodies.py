"""Request bodies of strangers and members: refused before they are sent, limited in size and in memory."""

import contextlib
import socket

import pytest

from modelyard.server.http.json_body import BODY_BYTES, MAX_BODY_BYTES, MAX_PUBLIC_BODY_BYTES
from modelyard.server.http.memory import TRIM_SECONDS
from tests.attacks.request_head import request_head
from tests.running import RunningServer
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

HALF_SENT = 500
# What the server takes from a socket at once.
FIRST_READ = 256 * 1024
PUBLIC_PATH = "/api/v1/auth/login"
MEBIBYTE = 1 << 20
BODY = b"[" * MEBIBYTE


@pytest.mark.parametrize("path", [PUBLIC_PATH, "/api/v1/models"])
def test_request_body_of_stranger_is_refused_before_it_is_sent(server: RunningServer, path: str) -> None:
    """The head alone is sent: a server that waits for the body does not answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(request_head(path, MAX_BODY_BYTES, {}))
        line = connection.recv(65536).split(b"\r\n")[0]
    assert line.split()[1] == (b"413" if path == PUBLIC_PATH else b"401")


def test_request_body_of_public_route_over_limit_returns_413(server: RunningServer) -> None:
    largest = b'{"a":"' + b"x" * (MAX_PUBLIC_BODY_BYTES - 8) + b'"}'
    client = server.client()
    headers = {"Content-Type": "application/json"}
    assert client.post(PUBLIC_PATH, content=largest, headers=headers).status_code == 422
    # Without a declared length, too.
    assert client.post(PUBLIC_PATH, content=iter([largest, b" "]), headers=headers).status_code == 413


measures_memory = pytest.mark.flaky(
    reason="measures the resident memory of a process at moments; ask the server for the bytes of bodies it holds"
)


@measures_memory
@pytest.mark.parametrize("declared", [MEBIBYTE, MAX_PUBLIC_BODY_BYTES])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer sk-" + "A" * 49}], ids=["no token", "bad token"])
def test_half_sent_bodies_of_strangers_use_no_memory(
    server: RunningServer, declared: int, headers: dict[str, str]
) -> None:
    path = "/api/v1/models" if headers else PUBLIC_PATH
    # Threads that check credentials take their memory once, whatever the bodies are.
    hold_half_sent(server, request_head(path, 2, headers), 2)
    before = server.resident_bytes()
    most = hold_half_sent(server, request_head(path, declared, headers), declared)
    # A socket's first read for each that waits for its refusal, and none of what follows it.
    assert most - before < HALF_SENT * FIRST_READ
    wait_until(lambda: server.resident_bytes() - before < 32 * MEBIBYTE, 3 * TRIM_SECONDS)


@measures_memory
def test_half_sent_bodies_of_members_are_bounded_and_freed(server: RunningServer) -> None:
    owner = server.owner()
    path = "/api/v1/uploads/multipart/complete"
    hold_half_sent(server, request_head(path, 2, owner.headers), 2)
    before = server.resident_bytes()
    head = request_head(path, MEBIBYTE, owner.headers)
    most = hold_half_sent(server, head, MEBIBYTE)
    assert most - before < 2 * BODY_BYTES.total
    wait_until(lambda: server.resident_bytes() - before < 32 * MEBIBYTE, 3 * TRIM_SECONDS)
    assert owner.get("/models").status_code == 200


def hold_half_sent(server: RunningServer, head: bytes, declared: int) -> int:
    """Open many connections that send all of a body but its last byte, and close them; the most memory meanwhile."""
    most = 0
    with contextlib.ExitStack() as stack:
        for _ in range(HALF_SENT):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS)
            )
            connection.setblocking(False)
            with contextlib.suppress(OSError):
                connection.send(head + BODY[: declared - 1])
            most = max(most, server.resident_bytes())
        # The server reads what has arrived before it answers all of these.
        for _ in range(HALF_SENT // 10):
            assert server.client().get("/healthz").status_code == 200
        most = max(most, server.resident_bytes())
    wait_until(lambda: "modelyard_open_requests 1.0" in server.client().get("/metrics").text)
    return most
