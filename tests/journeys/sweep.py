"""An operation done again and again on one folder, the server killed one step later each time."""

import hashlib
import itertools
import signal
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2

from tests.journeys.stepping import Stepping
from tests.journeys.swift import SwiftServer
from tests.server.world import Someone, a_model_file, hash_of

Act = Callable[[], httpx2.Response]
# What a try does: it prepares, yields the one request that the server may not survive, hears its answer (None: there
# was none) before a server that is alive, and does the request again.
Try = Generator[Act, httpx2.Response | None, None]

# A worker that was killed while it read a blob keeps it for two minutes.
_VERIFICATION_SECONDS = 150.0


class Sweep:
    """What was acknowledged, and the one who asked for it, across all lives of a server."""

    def __init__(self, server: SwiftServer) -> None:
        self.server = server
        self.who: Someone = server.owner()
        self._hashes: dict[str, str] = {}
        self._number = 0

    def kill_after_each_step(self, attempt: Callable[[], Try]) -> list[str]:
        """Try until the server made fewer steps than the next kill would need; gives the steps of that last try."""
        for number in itertools.count(1):
            trying = attempt()
            act = next(trying)
            with Stepping(self.server.pid, number) as stepping:
                answer = _answer_of(act)
            if stepping.has_killed:
                assert self.server.wait() == -signal.SIGKILL
                self.server.start()
                self.who = self.server.someone(self.who)
            self._check_nothing_is_lost()
            _finish(trying, answer)
            if not stepping.has_killed:
                assert answer is not None, "The request failed though the server lived."
                return stepping.steps
        raise AssertionError

    def new_file(self, size: int = 64) -> tuple[bytes, str]:
        """Bytes and a path that nobody has used."""
        self._number += 1
        return a_model_file(f"ink{self._number}", size), f"loras/ink{self._number}.safetensors"

    def register(self, content: bytes, path: str, storage_key: str, **changed: str) -> httpx2.Response:
        return self.who.post("/models", **self.who.new_model(content, path, storage_key=storage_key, **changed))

    def acknowledged(self, answer: httpx2.Response, content: bytes) -> None:
        """Expect this model from now on."""
        assert answer.status_code in (200, 201), answer.text
        self._hashes[answer.json()["id"]] = hash_of(content)

    def given_up(self, model_id: str) -> None:
        """Expect that this model is not listed."""
        self._hashes.pop(model_id)

    def models(self, **query: str) -> list[dict[str, Any]]:
        """Every model of the team."""
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            answer = self.who.get("/models", cursor=cursor, per_page=100, **query)
            assert answer.status_code == 200, answer.text
            found += answer.json()["model_list"]
            cursor = answer.json()["page_meta"].get("next_cursor")
        return found

    def at(self, path: str, **query: str) -> list[str]:
        """The ids of the models at this path."""
        return [model["id"] for model in self.models(q=path, **query) if model["model_path"] == path]

    def check_everything(self) -> None:
        """Read every byte, end the server, clean up once: what is left is exactly what the models need."""
        self._wait_until_verified()
        for model in self.models():
            answer = self.who.call("GET", f"/models/{model['id']}/download", follow_redirects=True)
            assert hash_of(answer.content) == model["file_hash"] == self._hashes[model["id"]]
        assert self.server.end(signal.SIGTERM) == 0
        assert self.server.command("collect-garbage", "--grace", "0") == 0
        check_no_litter(self.server.data_dir)
        self.server.start()
        self.who = self.server.someone(self.who)
        self._check_nothing_is_lost()

    def _check_nothing_is_lost(self) -> None:
        listed = {model["id"]: model for model in self.models()}
        assert self._hashes.items() <= {(id_, model["file_hash"]) for id_, model in listed.items()}
        assert "failed" not in {model["verification"] for model in listed.values()}

    def _wait_until_verified(self) -> None:
        ends = time.monotonic() + _VERIFICATION_SECONDS
        while self.models(verification="pending"):
            assert time.monotonic() < ends, "Nobody reads what is pending."
            time.sleep(0.1)


def check_no_litter(folder: Path) -> None:
    """Make sure that the data folder of a server that has ended holds exactly what its rows need."""
    known, stored = blobs_of(folder), hashes_of(folder)
    assert stored == known
    assert {file.parent for file in _files(folder / "objects", "*")} == {folder / "objects" / key for key in known}
    assert list((folder / "uploads").iterdir()) == []
    assert list((folder / "incoming").iterdir()) == []


def blobs_of(folder: Path) -> dict[str, str]:
    """The hash of each store key, as the database has it."""
    with closing(sqlite3.connect(folder / "modelyard.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(database.execute("SELECT store_key, sha256 FROM blobs"))


def hashes_of(folder: Path) -> dict[str, str]:
    """The hash of each store key, as the bytes have it."""
    objects = folder / "objects"
    return {
        str(file.relative_to(objects).parent): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in _files(objects, "bytes")
    }


def _files(folder: Path, name: str) -> Iterator[Path]:
    return (file for file in folder.rglob(name) if file.is_file())


def _answer_of(act: Act) -> httpx2.Response | None:
    try:
        return act()
    except httpx2.TransportError:
        return None


def _finish(trying: Try, answer: httpx2.Response | None) -> None:
    try:
        trying.send(answer)
    except StopIteration:
        return
    raise AssertionError("A try has one request that the server may not survive.")
