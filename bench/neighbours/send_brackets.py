"""Send a megabyte of JSON brackets again and again on several connections, until SIGTERM; then print the responses.

python -m bench.neighbours.send_brackets PORT PATH CONNECTIONS [AUTHORIZATION TEAM_ID]
"""

import contextlib
import socket
import sys
import threading

from bench.neighbours.response_counts import ResponseCounts
from tests.attacks.request_head import BRACKETS, request_head

TIMEOUT_SECONDS = 30.0


def read_status(connection: socket.socket) -> int | None:
    """Return the status of the response; None if the connection is closed without one."""
    first_line = connection.recv(65536).partition(b"\r\n")[0]
    return int(first_line.split()[1]) if first_line else None


def send_repeatedly(port: int, request: bytes, counts: ResponseCounts) -> None:
    """Send the request, wait for the response, and start again on a new connection, without end."""
    while True:
        status = None
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
            with contextlib.suppress(OSError):  # the server may answer and stop reading before all is sent
                connection.sendall(request)
            status = read_status(connection)
        counts.add(status)


def main() -> None:
    port, path, connections, *credentials = sys.argv[1:]
    headers = dict(zip(("Authorization", "X-Team-ID"), credentials, strict=False))
    request = request_head(path, len(BRACKETS), headers) + BRACKETS
    counts = ResponseCounts()
    for _ in range(int(connections)):
        threading.Thread(target=send_repeatedly, args=(int(port), request, counts), daemon=True).start()
    counts.report_until_terminated()


if __name__ == "__main__":
    main()
