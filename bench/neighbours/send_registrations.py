"""Register uploaded files on many connections at once; at SIGTERM print how many responses had each status.

    python -m bench.neighbours.send_registrations PORT AUTHORIZATION TEAM_ID

The input has the JSON body of each registration, one a line.
"""

import http.client
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from bench.neighbours.response_counts import ResponseCounts

PATH = "/api/v1/models"
CONNECTIONS = 100
TIMEOUT_SECONDS = 300


def send_all(port: int, headers: dict[str, str], bodies: list[str], counts: ResponseCounts) -> None:
    """Send each body once."""

    def send(body: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", PATH, body, headers)
            counts.add(connection.getresponse().status)
        except (OSError, http.client.HTTPException):
            counts.add(None)
        finally:
            connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(send, bodies))


def main() -> None:
    port, authorization, team_id = sys.argv[1:]
    headers = {"Authorization": authorization, "X-Team-ID": team_id, "Content-Type": "application/json"}
    bodies, counts = [line.strip() for line in sys.stdin], ResponseCounts()
    threading.Thread(target=send_all, args=(int(port), headers, bodies, counts), daemon=True).start()
    counts.report_until_terminated()


if __name__ == "__main__":
    main()
