"""What a large body of brackets costs: the bytes that are taken from the client, and threads."""

import threading
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from anyio.from_thread import BlockingPortal

from modelyard.server.fairness.accounts import Account
from modelyard.server.http.json_body import BODY_BYTES, MAX_BYTES_ON_EVENT_LOOP, MAX_PUBLIC_BODY_BYTES, PARSING_THREADS
from modelyard.server.http.operation_limiter import OperationLimiter
from tests.attacks.request_head import BRACKETS
from tests.server.harness import ApiCaller, Harness
from tests.server.http.held_operations import create_teams, sending
from tests.waiting import PATIENCE_SECONDS, wait_until

PUBLIC_PATH, MODELS_PATH, MEMBERS_PATH = "/auth/login", "/models", "/uploads/multipart/complete"
CHUNK = 1024


class Answer:
    """The status of an answer, and how many bytes of the body the application had taken for it."""

    def __init__(self) -> None:
        self.status = self.taken_bytes = 0

    async def receive(self) -> dict[str, Any]:
        chunk = BRACKETS[self.taken_bytes : self.taken_bytes + CHUNK]
        self.taken_bytes += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": self.taken_bytes < len(BRACKETS)}

    async def send(self, message: Mapping[str, Any]) -> None:
        self.status = message.get("status", self.status)


def get_portal(registry: Harness) -> BlockingPortal:
    """Return what runs functions in the event loop of the application."""
    assert registry.client.portal is not None
    return registry.client.portal


def post_brackets(caller: ApiCaller) -> httpx2.Response:
    """Send the brackets to the route whose bodies may be largest, but for file lists."""
    return caller.call("POST", MEMBERS_PATH, content=BRACKETS, headers={"Content-Type": "application/json"})


def post_in_chunks(registry: Harness, path: str, headers: dict[str, str]) -> Answer:
    """Send the brackets without a credential, in chunks of a KiB as the application takes them."""
    sent = {"host": "registry.test", "content-type": "application/json"} | headers
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "query_string": b"",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "client": ("192.0.2.1", 4711),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "server": ("registry.test", 80),
    }
    answer = Answer()
    get_portal(registry).call(registry.app, scope, answer.receive, answer.send)
    return answer


@pytest.mark.parametrize("declared", [{"content-length": f"{len(BRACKETS)}"}, {}], ids=["declared", "undeclared"])
@pytest.mark.parametrize(("path", "status"), [(PUBLIC_PATH, 413), (MODELS_PATH, 401)])
def test_body_of_stranger_is_refused_before_it_is_taken(
    quiet_registry: Harness, path: str, status: int, declared: dict[str, str]
) -> None:
    answer = post_in_chunks(quiet_registry, f"/api/v1{path}", declared)
    is_read = path == PUBLIC_PATH and not declared
    assert (answer.status, answer.taken_bytes) == (status, MAX_PUBLIC_BODY_BYTES + CHUNK if is_read else 0)


def test_body_of_member_with_too_many_brackets_returns_400(quiet_registry: Harness) -> None:
    refused = post_brackets(quiet_registry.owner)
    assert (refused.status_code, refused.json()["error_code"]) == (400, "malformed_json")


class ParsingThreads:
    """The threads in which the application parses large bodies, all of them taken until ``release`` is called."""

    def __init__(self, registry: Harness) -> None:
        self._limiter: OperationLimiter = registry.app.state.parsing_limiter
        self._end = threading.Event()
        for number in range(PARSING_THREADS.total):
            get_portal(registry).start_task_soon(self._limiter.run, Account(f"other {number}"), self._hold)
        wait_until(lambda: self._limiter.places.running.total == PARSING_THREADS.total)

    def _hold(self) -> None:
        assert self._end.wait(2 * PATIENCE_SECONDS)

    def count_waiting(self) -> int:
        """Return how many bodies wait for a thread."""
        return self._limiter.places.waiting.total

    def release(self) -> None:
        self._end.set()


def test_eight_large_bodies_of_one_caller_are_held_while_a_small_one_of_another_passes(quiet_registry: Harness) -> None:
    team, other = create_teams(quiet_registry)
    admitted = BODY_BYTES.per_person // len(BRACKETS)
    threads = ParsingThreads(quiet_registry)
    with sending(admitted + 2, lambda _: post_brackets(team), threads.release) as sent:
        wait_until(lambda: sum(each.done() for each in sent) == 2)
        wait_until(lambda: threads.count_waiting() == admitted)
        assert other.post("/teams", display_name="Night shift").status_code == 201
    assert admitted == 8
    assert sorted(each.result().status_code for each in sent) == [400] * admitted + [503] * 2


def test_only_large_bodies_wait_for_a_thread_that_parses(quiet_registry: Harness) -> None:
    team = quiet_registry.create_team()
    threads = ParsingThreads(quiet_registry)
    large = {"display_name": "Day", "unknown": "x" * MAX_BYTES_ON_EVENT_LOOP}
    with sending(1, lambda _: team.post("/teams", **large), threads.release) as sent:
        wait_until(lambda: threads.count_waiting() == 1)
        assert team.post("/teams", display_name="Night shift").status_code == 201
    assert sent[0].result().status_code == 201
