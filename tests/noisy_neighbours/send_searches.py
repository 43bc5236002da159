"""Search a registry from many connections at once, until the process is killed.

    python -m tests.noisy_neighbours.send_searches PORT CONNECTIONS AUTHORIZATION TEAM_ID Q...

Each connection repeats the searches ``Q`` in turn.
"""

import http.client
import sys
import threading
from itertools import cycle
from urllib.parse import urlencode

TIMEOUT_SECONDS = 120


def search(port: int, headers: dict[str, str], searches: list[str]) -> None:
    """Repeat the searches without end. Responses other than 200 and 503 end the program."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    for q in cycle(searches):
        query = urlencode({"q": q, "sort": "file_size", "per_page": 100})
        try:
            connection.request("GET", f"/api/v1/models?{query}", headers=headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            continue
        if response.status not in (200, 503):
            raise SystemExit(f"The response to a search had status {response.status}.")


def main() -> None:
    port, connections, authorization, team_id, *searches = sys.argv[1:]
    headers = {"Authorization": authorization, "X-Team-ID": team_id}
    threads = [
        threading.Thread(target=search, args=(int(port), headers, searches), daemon=True)
        for _ in range(int(connections))
    ]
    for thread in threads:
        thread.start()
    print("sending", flush=True)  # noqa: T201 - the parent process waits for this line
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
