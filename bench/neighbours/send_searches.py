"""Search a registry from many connections at once, until SIGTERM; then print the responses.

    python -m bench.neighbours.send_searches PORT CONNECTIONS AUTHORIZATION TEAM_ID Q...

Each connection repeats the searches ``Q`` in turn.
"""

import http.client
import sys
import threading
from itertools import cycle
from urllib.parse import urlencode

from bench.neighbours.response_counts import ResponseCounts

TIMEOUT_SECONDS = 120


def search(port: int, headers: dict[str, str], searches: list[str], counts: ResponseCounts) -> None:
    """Repeat the searches without end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    for q in cycle(searches):
        query = urlencode({"q": q, "sort": "file_size", "per_page": 100})
        try:
            connection.request("GET", f"/api/v1/models?{query}", headers=headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            counts.add(None)
        else:
            counts.add(response.status)


def main() -> None:
    port, connections, authorization, team_id, *searches = sys.argv[1:]
    headers = {"Authorization": authorization, "X-Team-ID": team_id}
    counts = ResponseCounts()
    for _ in range(int(connections)):
        threading.Thread(target=search, args=(int(port), headers, searches, counts), daemon=True).start()
    counts.report_until_terminated()


if __name__ == "__main__":
    main()
