"""Repeat requests on many connections at once, until SIGTERM; then print the responses.

    python -m bench.neighbours.send_requests PORT CONNECTIONS

The input has one request a line, as JSON with ``method``, ``path``, ``headers`` and ``body`` (a text or null). Each
connection repeats all of them in turn, and each begins with another one.
"""

import http.client
import json
import sys
import threading
from itertools import cycle
from typing import Any

from bench.neighbours.response_counts import ResponseCounts

TIMEOUT_SECONDS = 300


def send_repeatedly(port: int, requests: list[dict[str, Any]], counts: ResponseCounts) -> None:
    """Repeat the requests without end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    for request in cycle(requests):
        try:
            connection.request(request["method"], request["path"], request["body"], request["headers"])
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            counts.add(None)
        else:
            counts.add(response.status)


def main() -> None:
    port, connections = int(sys.argv[1]), int(sys.argv[2])
    requests, counts = [json.loads(line) for line in sys.stdin], ResponseCounts()
    for number in range(connections):
        first = number % len(requests)
        arguments = (port, [*requests[first:], *requests[:first]], counts)
        threading.Thread(target=send_repeatedly, args=arguments, daemon=True).start()
    counts.report_until_terminated()


if __name__ == "__main__":
    main()
