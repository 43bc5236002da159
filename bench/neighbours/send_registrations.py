"""Register uploaded files on many connections at once; at SIGTERM print how many responses had each status.

    python -m bench.neighbours.send_registrations PORT

The input has one registration a line, as JSON with ``headers`` and ``body``.
"""

import http.client
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.neighbours.response_counts import ResponseCounts

PATH = "/api/v1/models"
CONNECTIONS = 100
TIMEOUT_SECONDS = 300


def send_all(port: int, registrations: list[dict[str, Any]], counts: ResponseCounts) -> None:
    """Send each registration once."""

    def send(registration: dict[str, Any]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        headers = registration["headers"] | {"Content-Type": "application/json"}
        try:
            connection.request("POST", PATH, json.dumps(registration["body"]), headers)
            counts.add(connection.getresponse().status)
        except (OSError, http.client.HTTPException):
            counts.add(None)
        finally:
            connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(send, registrations))


def main() -> None:
    port, registrations, counts = int(sys.argv[1]), [json.loads(line) for line in sys.stdin], ResponseCounts()
    threading.Thread(target=send_all, args=(port, registrations, counts), daemon=True).start()
    counts.report_until_terminated()


if __name__ == "__main__":
    main()
