"""Report all models of several machines as changed, again and again, until SIGTERM; then print the responses.

    python -m bench.neighbours.send_heartbeats PORT KEY MACHINES

The input has the ids of the models, one a line.
"""

import http.client
import itertools
import json
import sys
import threading
from typing import Any

from bench.neighbours.response_counts import ResponseCounts

TIMEOUT_SECONDS = 300.0
PATH = "/api/v1/agent/heartbeat"


def send_heartbeat(
    connection: http.client.HTTPConnection, key: str, body: dict[str, Any], counts: ResponseCounts
) -> bool:
    """Send one heartbeat, and tell whether the server accepted it."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", PATH, json.dumps(body), headers)
    response = connection.getresponse()
    response.read()
    counts.add(response.status)
    return response.status == 200


def run_machine(
    port: int, key: str, machine: str, model_ids: list[str], has_reported: threading.Semaphore, counts: ResponseCounts
) -> None:
    """Report all models, release ``has_reported``, and then report them as changed without end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    common: dict[str, Any] = {"agent_id": machine, "report_series": "one"}
    states = [{"model_id": model_id, "state": "queued"} for model_id in model_ids]
    send_heartbeat(connection, key, common, counts)
    first = common | {"report_number": 1, "model_list": states, "is_whole": True, "is_last": True}
    while not send_heartbeat(connection, key, first, counts):
        pass
    has_reported.release()
    number = 2
    for count in itertools.count():
        state: dict[str, Any] = {"state": ("ready", "failed")[count % 2], "reason": "x" * 100, "bytes_done": count}
        states = [{"model_id": model_id, **state} for model_id in model_ids]
        # A report that was refused is repeated under its own number.
        report = common | {"report_number": number, "model_list": states}
        number += send_heartbeat(connection, key, report, counts)


def main() -> None:
    port, key, machines = sys.argv[1:]
    model_ids = sorted(line.strip() for line in sys.stdin)
    has_reported = threading.Semaphore(0)
    counts = ResponseCounts()
    for number in range(int(machines)):
        arguments = (int(port), key, f"machine-{number}", model_ids, has_reported, counts)
        threading.Thread(target=run_machine, args=arguments, daemon=True).start()
    for _ in range(int(machines)):
        has_reported.acquire()
    counts.report_until_terminated()


if __name__ == "__main__":
    main()
