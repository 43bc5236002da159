"""Send bodies that never end on many connections, until SIGTERM; then print the responses.

    python -m bench.neighbours.send_half_bodies PORT PATH CONNECTIONS

The input has the headers of one caller a line, as JSON. Each connection sends all of a megabyte but its last byte,
waits until the server answers or closes the connection, and starts again on a new one.
"""

import contextlib
import json
import socket
import sys
import threading
from itertools import cycle, islice

from bench.neighbours.response_counts import ResponseCounts
from bench.neighbours.send_brackets import read_status
from tests.attacks.request_head import request_head

TIMEOUT_SECONDS = 60.0
BODY = b" " * (1024 * 1024)


def send_repeatedly(port: int, path: str, headers: dict[str, str], counts: ResponseCounts) -> None:
    """Send the same request without its end, again and again."""
    head = request_head(path, len(BODY), headers)
    while True:
        status = None
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
            with contextlib.suppress(OSError):  # the server may answer and stop reading before all is sent
                connection.sendall(head + BODY[:-1])
            status = read_status(connection)
        counts.add(status)


def main() -> None:
    port, path, connections = sys.argv[1:]
    callers, counts = [json.loads(line) for line in sys.stdin], ResponseCounts()
    for headers in islice(cycle(callers), int(connections)):
        threading.Thread(target=send_repeatedly, args=(int(port), path, headers, counts), daemon=True).start()
    counts.report_until_terminated()


if __name__ == "__main__":
    main()
