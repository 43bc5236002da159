"""Send many requests at once: ``python -m tests.noisy_neighbours.send_requests URL`` with the requests on its input.

The input has a JSON line with the headers of all requests, then a line with the body of each. The output is one JSON
object: how many responses had each status.
"""

import http.client
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

CONNECTIONS = 100
TIMEOUT_SECONDS = 300


def main() -> None:
    url = urlsplit(sys.argv[1])
    headers = json.loads(sys.stdin.readline())
    bodies = [line.strip() for line in sys.stdin]

    def send(body: str) -> int:
        connection = http.client.HTTPConnection(url.netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", url.path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        print(json.dumps(Counter(threads.map(send, bodies))))  # noqa: T201 - the parent process reads this line


if __name__ == "__main__":
    main()
