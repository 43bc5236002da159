"""A load of concurrent clients that records each change the registry acknowledged, and checks that none is lost."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self, cast

import httpx2
from fastapi.testclient import TestClient

from tests.running import RunningServer
from tests.server.harness import ApiCaller, hash_of, make_model_file
from tests.waiting import PATIENCE_SECONDS, pause, wait_until

# Longer than any call may take while the database or the store is unavailable.
CALL_TIMEOUT_SECONDS = 45.0
# The longest outage of a test plus the time that a store needs to recover.
MAX_UPLOAD_SECONDS = 120.0
CLIENTS = 3


@contextmanager
def open_caller(server: RunningServer, caller: ApiCaller) -> Iterator[ApiCaller]:
    """Open an HTTP client of its own for the same user, with a timeout longer than any call may take."""
    with httpx2.Client(base_url=server.url, timeout=CALL_TIMEOUT_SECONDS, trust_env=False) as client:
        # Of its client, ApiCaller uses only what every httpx2 client has.
        yield ApiCaller(cast(TestClient, client), caller.token, caller.team_id)


def is_unavailable_problem(response: httpx2.Response) -> bool:
    """Return whether it is a 503 problem with a positive ``Retry-After``, as required in an outage."""
    is_problem = response.headers["Content-Type"] == "application/problem+json"
    return response.status_code == 503 and is_problem and int(response.headers["Retry-After"]) > 0


class ClientLoad:
    """Three clients that upload, register, list, download and delete models until the block ends.

    A request that is refused with a 503 is repeated until it succeeds; any other failure is added to ``faults`` and
    ends the load. At the end of the block each client finishes its cycle.
    """

    def __init__(self, server: RunningServer, caller: ApiCaller) -> None:
        self.models: dict[str, tuple[str, str]] = {}
        self.registered: set[str] = set()
        self.refusals = Counter[str]()
        self.cycles = 0
        self.faults: list[str] = []
        self._server, self._caller = server, caller
        self._is_over = threading.Event()
        self._clients = [threading.Thread(target=self._run_client, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for client in self._clients:
            client.join()

    def wait_for_cycles(self, count: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the clients have finished ``count`` more cycles; fail at once if a fault occurred."""
        desired = self.cycles + count
        wait_until(lambda: self.cycles >= desired or bool(self.faults), seconds)
        assert self.faults == [], self.faults

    def wait_until_recovered(self, count: int, seconds: float) -> None:
        """Wait until the clients have finished ``count`` cycles without a refusal; fail at once if a fault occurred."""
        cycles, refusals = self.cycles, self.refusals.total()

        def is_recovered() -> bool:
            nonlocal cycles, refusals
            if self.refusals.total() != refusals:
                cycles, refusals = self.cycles, self.refusals.total()
            return self.cycles >= cycles + count or bool(self.faults)

        wait_until(is_recovered, seconds)
        assert self.faults == [], self.faults

    def wait_for_refusals(self, count: int) -> None:
        """Wait until ``count`` more requests were refused with a 503; fail at once if a fault occurred."""
        desired = self.refusals.total() + count
        wait_until(lambda: self.refusals.total() >= desired or bool(self.faults))
        assert self.faults == [], self.faults

    def check(self) -> None:
        """Assert that the registry lists exactly the acknowledged models, each registered once in the history."""
        assert self.faults == [], self.faults
        with open_caller(self._server, self._caller) as caller:
            wait_until(lambda: not caller.get("/models", verification="pending").json()["model_list"])
            listed = list_all_pages(caller, "/models", "model_list")
            assert {model["verification"] for model in listed} <= {"verified"}
            listed_models = {(model["id"], model["model_path"], model["file_hash"]) for model in listed}
            acknowledged = {(model_id, *model) for model_id, model in self.models.items()}
            assert acknowledged == listed_models, (
                f"Lost: {acknowledged - listed_models}. Unexpected: {listed_models - acknowledged}."
            )
            events = list_all_pages(caller, "/audit-events", "audit_event_list", action="model.registered")
        assert Counter(event["object_id"] for event in events) == Counter(self.registered)

    def _run_client(self, client: int) -> None:
        """Run cycles until the load is over or a fault occurs; every second cycle keeps its model."""
        try:
            with open_caller(self._server, self._caller) as caller:
                for number in itertools.count():
                    if self._is_over.is_set() or self.faults:
                        return
                    self._run_cycle(caller, f"{client}-{number}", is_kept=number % 2 == 0)
                    self.cycles += 1
        except Exception as error:  # noqa: BLE001 - the test reports any error that ended a client
            self.faults.append(repr(error))

    def _run_cycle(self, caller: ApiCaller, name: str, *, is_kept: bool) -> None:
        """Upload, register twice, list and download one model; delete it unless it is kept."""
        content, path = make_model_file(name), f"loras/{name}.safetensors"
        ticket = self._repeat_until_success(lambda: caller.presign(content, path), "presign").json()
        body = caller.new_model(content, path, storage_key=ticket["storage_key"])
        self._upload(caller, ticket, content, body)
        model_id = self._repeat_until_success(lambda: caller.post("/models", **body), "register").json()["id"]
        assert self._repeat_until_success(lambda: caller.post("/models", **body), "register").json()["id"] == model_id
        self.registered.add(model_id)
        self.models[model_id] = (path, hash_of(content))
        self._repeat_until_success(lambda: caller.get("/models", per_page=10), "list")
        self._download(caller, model_id, content)
        if not is_kept:
            self._delete(caller, model_id)

    def _delete(self, caller: ApiCaller, model_id: str) -> None:
        """Delete a model, repeated after each refusal; a 404 after one means that the refused request deleted it."""
        was_refused = False
        response = caller.delete(f"/models/{model_id}")
        while not (response.is_success or (was_refused and response.status_code == 404)):
            self._record_refusal("delete", response)
            was_refused = True
            response = caller.delete(f"/models/{model_id}")
        del self.models[model_id]

    def _repeat_until_success(self, call: Callable[[], httpx2.Response], action: str) -> httpx2.Response:
        """Repeat a call after each 503 until it succeeds, and return that response."""
        while True:
            response = call()
            if response.is_success:
                return response
            self._record_refusal(action, response)

    def _record_refusal(self, action: str, response: httpx2.Response) -> None:
        """Count a 503 refusal and pause; fail for any other response."""
        assert is_unavailable_problem(response), f"{action}: {response.status_code} {response.text}"
        self.refusals[action] += 1
        pause(0.05)

    def _upload(self, caller: ApiCaller, ticket: dict[str, Any], content: bytes, body: dict[str, Any]) -> None:
        """Upload to the store until it answers 200, or until the registry accepts a registration of the upload."""
        url, headers = ticket["upload_url"], dict(ticket["upload_headers"])
        answers: list[object] = []

        def is_uploaded() -> bool:
            answers[:] = [_get_status(lambda: caller.client.put(url, content=content, headers=headers))]
            if answers == [200]:
                return True
            # A 412 means that an attempt whose response was lost stored the file, or that the store has not yet given
            # up that attempt: only the registry can tell which.
            registered = caller.post("/models", **body)
            answers.append(registered.text)
            if not registered.is_success and registered.status_code != 409:
                self._record_refusal("register", registered)
            return registered.is_success

        wait_until(is_uploaded, MAX_UPLOAD_SECONDS, lambda: f"The store and the registry answer {answers}.")

    def _download(self, caller: ApiCaller, model_id: str, content: bytes) -> None:
        """Download a verified model, repeated until the store answers 200, and check its content."""
        model = self._repeat_until_success(lambda: caller.get(f"/models/{model_id}"), "read").json()
        if model["verification"] != "verified":
            return
        url = self._repeat_until_success(
            lambda: caller.get(f"/models/{model_id}/download", redirect=False), "download"
        ).json()["download_url"]
        downloaded: list[bytes] = []

        def get() -> httpx2.Response:
            response = caller.client.get(url)
            downloaded[:] = [response.content]
            return response

        wait_until(lambda: _get_status(get) == 200, MAX_UPLOAD_SECONDS)
        assert downloaded == [content]


def list_all_pages(caller: ApiCaller, path: str, field: str, **query: str) -> list[dict[str, Any]]:
    """Read all pages of a list and return their entries."""
    entries: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        response = caller.get(path, cursor=cursor, per_page=100, **query)
        assert response.status_code == 200, response.text
        entries += response.json()[field]
        cursor = response.json()["page_meta"].get("next_cursor")
    return entries


def _get_status(call: Callable[[], httpx2.Response]) -> int | None:
    """Return the status of a store's response, or None if there was none."""
    try:
        return call().status_code
    except httpx2.TransportError:
        return None
