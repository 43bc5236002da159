"""Send a megabyte of JSON brackets again and again on several connections, until the process is killed.

python -m tests.noisy_neighbours.send_brackets PORT PATH CONNECTIONS [AUTHORIZATION TEAM_ID]
"""

import contextlib
import socket
import sys
import threading

from tests.attacks.request_head import request_head

# One megabyte that is cheap to send and expensive to parse: a third of a million lists.
BODY = b'{"a":[' + b"[]," * 333_000 + b"[]]}"
TIMEOUT_SECONDS = 30.0


def send_repeatedly(port: int, request: bytes) -> None:
    """Send the request, wait for the response, and start again on a new connection, without end."""
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
            connection.sendall(request)
            connection.recv(65536)


def main() -> None:
    port, path, connections, *credentials = sys.argv[1:]
    headers = dict(zip(("Authorization", "X-Team-ID"), credentials, strict=False))
    request = request_head(path, len(BODY), headers) + BODY
    for _ in range(int(connections)):
        threading.Thread(target=send_repeatedly, args=(int(port), request), daemon=True).start()
    print("sending", flush=True)  # noqa: T201 - the parent process waits for this line
    threading.Event().wait()


if __name__ == "__main__":
    main()
