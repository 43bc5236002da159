"""Clients at work, and an oracle that remembers each change that was acknowledged to them."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx2
from fastapi.testclient import TestClient

from tests.journeys.waiting import wait_for
from tests.running import RunningServer
from tests.server.world import Someone, a_model_file, hash_of

# Longer than any call may take while what the registry needs is away.
PATIENCE_SECONDS = 45.0
CLIENTS = 3


@contextmanager
def caller(server: RunningServer, who: Someone) -> Iterator[Someone]:
    """The same person with a client of their own, who waits for long."""
    with httpx2.Client(base_url=server.url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
        # Of its client, Someone uses only what every httpx2 client has.
        yield Someone(cast(TestClient, client), who.token, who.team_id)


def is_honest_refusal(answer: httpx2.Response) -> bool:
    """Whether it is the one answer to give while something is away: 503, when to come back, and a problem's body."""
    is_problem = answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code == 503 and is_problem and int(answer.headers["Retry-After"]) > 0


class Load:
    """Uploads, registrations, lists, downloads and deletions, for as long as the block runs.

    Whatever is refused with a 503 is asked again until it is done; any other refusal is a fault, and ends the load.
    At the end of the block each client finishes what it has begun.
    """

    def __init__(self, server: RunningServer, who: Someone) -> None:
        self.models: dict[str, tuple[str, str]] = {}
        self.registered: set[str] = set()
        self.refusals = Counter[str]()
        self.last_refusal = 0.0
        self.rounds = 0
        self.faults: list[str] = []
        self._server, self._who = server, who
        self._is_over = threading.Event()
        self._clients = [threading.Thread(target=self._go_on, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for client in self._clients:
            client.join()

    def wait_for_rounds(self, count: int, seconds: float = 60.0) -> None:
        """Wait until so many more rounds were done."""
        wanted = self.rounds + count
        wait_for(lambda: self.rounds >= wanted or bool(self.faults), seconds)
        assert self.faults == [], self.faults

    def wait_for_refusals(self, count: int) -> None:
        wanted = self.refusals.total() + count
        wait_for(lambda: self.refusals.total() >= wanted or bool(self.faults))
        assert self.faults == [], self.faults

    def check(self) -> None:
        """Make sure that the registry has what was acknowledged, each once, and nothing else."""
        assert self.faults == [], self.faults
        with caller(self._server, self._who) as who:
            wait_for(lambda: not who.get("/models", verification="pending").json()["model_list"])
            listed = all_of(who, "/models", "model_list")
            assert {model["verification"] for model in listed} <= {"verified"}
            there = {(model["id"], model["model_path"], model["file_hash"]) for model in listed}
            acknowledged = {(model_id, *model) for model_id, model in self.models.items()}
            assert acknowledged == there, f"Lost: {acknowledged - there}. Unheard of: {there - acknowledged}."
            events = all_of(who, "/audit-events", "audit_event_list", action="model.registered")
        assert Counter(event["object_id"] for event in events) == Counter(self.registered)

    def _go_on(self, client: int) -> None:
        try:
            with caller(self._server, self._who) as who:
                for number in itertools.count():
                    if self._is_over.is_set() or self.faults:
                        return
                    self._round(who, f"{client}-{number}", is_kept=number % 2 == 0)
                    self.rounds += 1
        except Exception as error:  # noqa: BLE001 - whatever ended the client is what the test has to tell
            self.faults.append(repr(error))

    def _round(self, who: Someone, name: str, *, is_kept: bool) -> None:
        content, path = a_model_file(name), f"loras/{name}.safetensors"
        ticket = self._done(lambda: who.presign(content, path), "presign").json()
        body = who.new_model(content, path, storage_key=ticket["storage_key"])
        self._put(who, ticket, content, body)
        model_id = self._done(lambda: who.post("/models", **body), "register").json()["id"]
        assert self._done(lambda: who.post("/models", **body), "register").json()["id"] == model_id
        self.registered.add(model_id)
        self.models[model_id] = (path, hash_of(content))
        self._done(lambda: who.get("/models", per_page=10), "list")
        self._download(who, model_id, content)
        if not is_kept:
            self._delete(who, model_id)

    def _delete(self, who: Someone, model_id: str) -> None:
        """What was deleted without an answer is not there any more when it is asked for again."""
        was_refused = False
        answer = who.delete(f"/models/{model_id}")
        while not (answer.is_success or (was_refused and answer.status_code == 404)):
            self._note_refusal("delete", answer)
            was_refused = True
            answer = who.delete(f"/models/{model_id}")
        del self.models[model_id]

    def _done(self, call: Callable[[], httpx2.Response], what: str) -> httpx2.Response:
        while True:
            answer = call()
            if answer.is_success:
                return answer
            self._note_refusal(what, answer)

    def _note_refusal(self, what: str, answer: httpx2.Response) -> None:
        assert is_honest_refusal(answer), f"{what}: {answer.status_code} {answer.text}"
        self.refusals[what] += 1
        self.last_refusal = time.monotonic()
        time.sleep(0.05)

    def _put(self, who: Someone, ticket: dict[str, Any], content: bytes, body: dict[str, Any]) -> None:
        """The bytes go to the store, which fails in its own ways; then the registry has to know no better."""
        headers = dict(ticket["upload_headers"])
        while _status(lambda: who.client.put(ticket["upload_url"], content=content, headers=headers)) != 200:
            # A 412 says that the bytes are there, from a try whose answer was lost, or that the store has not yet given
            # that try up: only the registry's own look tells.
            early = who.post("/models", **body)
            if early.is_success:
                return
            if early.status_code != 409:
                self._note_refusal("register", early)

    def _download(self, who: Someone, model_id: str, content: bytes) -> None:
        model = self._done(lambda: who.get(f"/models/{model_id}"), "read").json()
        if model["verification"] != "verified":
            return
        url = self._done(lambda: who.get(f"/models/{model_id}/download", redirect=False), "download").json()[
            "download_url"
        ]
        got: list[bytes] = []

        def get() -> httpx2.Response:
            answer = who.client.get(url)
            got[:] = [answer.content]
            return answer

        while _status(get) != 200:
            time.sleep(0.05)
        assert got == [content]


def all_of(who: Someone, path: str, field: str, **query: str) -> list[dict[str, Any]]:
    """Every entry of a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = who.get(path, cursor=cursor, per_page=100, **query)
        assert answer.status_code == 200, answer.text
        found += answer.json()[field]
        cursor = answer.json()["page_meta"].get("next_cursor")
    return found


def _status(call: Callable[[], httpx2.Response]) -> int | None:
    """What a store said, if it said anything."""
    try:
        return call().status_code
    except httpx2.TransportError:
        return None
