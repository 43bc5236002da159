"""Repeats an operation on one data folder, with the server killed one system call later each time."""

import hashlib
import itertools
import signal
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2

from tests.journeys.forked_server import ForkedServer
from tests.journeys.syscall_killer import SyscallKiller
from tests.server.harness import ApiCaller, hash_of, make_model_file
from tests.waiting import PATIENCE_SECONDS, wait_until

Request = Callable[[], httpx2.Response]
# An attempt prepares, yields the one request during which the server is killed, is sent its response (None if there was
# none) once a server runs again, and repeats the request.
Attempt = Generator[Request, httpx2.Response | None, None]

# A worker that was killed while it read a blob keeps its lease for two minutes.
_VERIFICATION_SECONDS = 4 * PATIENCE_SECONDS


class KillSweep:
    """Runs attempts against one server, and remembers the models that were acknowledged across all its restarts."""

    def __init__(self, server: ForkedServer) -> None:
        self.server = server
        self.caller: ApiCaller = server.owner()
        self._hashes: dict[str, str] = {}
        self._number = 0

    def kill_after_each_syscall(self, attempt: Callable[[], Attempt]) -> list[str]:
        """Repeat an attempt, each time with a later kill, until the server survives; return that one's system calls."""
        for number in itertools.count(1):
            running = attempt()
            request = next(running)
            with SyscallKiller(self.server.pid, number) as killer:
                response = _send(request)
            if killer.has_killed:
                assert self.server.wait_for_exit() == -signal.SIGKILL
                self.server.start()
                self.caller = self.server.open_caller(self.caller)
            self._check_nothing_is_lost()
            _finish(running, response)
            if not killer.has_killed:
                assert response is not None, "The request failed though the server was not killed."
                return killer.syscalls
        raise AssertionError

    def new_file(self, size: int = 64) -> tuple[bytes, str]:
        """Return content and a model path that no model of this sweep has."""
        self._number += 1
        return make_model_file(f"ink{self._number}", size), f"loras/ink{self._number}.safetensors"

    def register(self, content: bytes, path: str, storage_key: str, **changed: str) -> httpx2.Response:
        return self.caller.post("/models", **self.caller.new_model(content, path, storage_key=storage_key, **changed))

    def expect_registered(self, response: httpx2.Response, content: bytes) -> None:
        """Check that a registration succeeded, and expect its model in every later check."""
        assert response.status_code in (200, 201), response.text
        self._hashes[response.json()["id"]] = hash_of(content)

    def list_models(self, **query: str) -> list[dict[str, Any]]:
        """Read all pages of the team's models that match the query."""
        entries: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            response = self.caller.get("/models", cursor=cursor, per_page=100, **query)
            assert response.status_code == 200, response.text
            entries += response.json()["model_list"]
            cursor = response.json()["page_meta"].get("next_cursor")
        return entries

    def find_model_ids(self, path: str, **query: str) -> list[str]:
        """Return the ids of the models with exactly this path."""
        return [model["id"] for model in self.list_models(q=path, **query) if model["model_path"] == path]

    def list_version_hashes(self, model_id: str) -> list[str]:
        """Return the file hash of each version of a model, oldest first; fails unless they are numbered from 1."""
        versions = self.caller.get(f"/models/{model_id}/versions", per_page=100).json()["version_list"][::-1]
        assert [version["version"] for version in versions] == list(range(1, len(versions) + 1))
        return [version["file_hash"] for version in versions]

    def check_final_state(self) -> None:
        """Download every model, stop the server, collect garbage; assert that exactly the models' files are left."""
        self._wait_until_verified()
        for model in self.list_models():
            response = self.caller.call("GET", f"/models/{model['id']}/download", follow_redirects=True)
            assert hash_of(response.content) == model["file_hash"] == self._hashes[model["id"]]
        assert self.server.signal_and_wait(signal.SIGTERM) == 0
        assert self.server.run_command("collect-garbage", "--grace", "0") == 0
        check_no_leftover_files(self.server.data_dir)
        self.server.start()
        self.caller = self.server.open_caller(self.caller)
        self._check_nothing_is_lost()

    def _check_nothing_is_lost(self) -> None:
        listed = {model["id"]: model for model in self.list_models()}
        assert self._hashes.items() <= {(id_, model["file_hash"]) for id_, model in listed.items()}
        assert "failed" not in {model["verification"] for model in listed.values()}

    def _wait_until_verified(self) -> None:
        """Wait until no model is pending."""
        wait_until(lambda: not self.list_models(verification="pending"), _VERIFICATION_SECONDS)


def check_no_leftover_files(folder: Path) -> None:
    """Assert that the data folder of a stopped server holds exactly the files that its rows name."""
    expected, stored = read_blob_rows(folder), hash_stored_blobs(folder)
    assert stored == expected
    assert {file.parent for file in _find_files(folder / "objects", "*")} == {
        folder / "objects" / key for key in expected
    }
    assert list((folder / "uploads").iterdir()) == []
    assert list((folder / "incoming").iterdir()) == []


def read_blob_rows(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each store key from the database of a stopped server, after an integrity check."""
    with closing(sqlite3.connect(folder / "modelyard.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(database.execute("SELECT store_key, sha256 FROM blobs"))


def hash_stored_blobs(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each store key, computed from the stored bytes."""
    objects = folder / "objects"
    return {
        str(file.relative_to(objects).parent): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in _find_files(objects, "bytes")
    }


def _find_files(folder: Path, name: str) -> Iterator[Path]:
    return (file for file in folder.rglob(name) if file.is_file())


def _send(request: Request) -> httpx2.Response | None:
    """Send a request; return its response, or None if the connection failed."""
    try:
        return request()
    except httpx2.TransportError:
        return None


def _finish(running: Attempt, response: httpx2.Response | None) -> None:
    """Send the response to the attempt and check that it ends."""
    try:
        running.send(response)
    except StopIteration:
        return
    raise AssertionError("An attempt must yield exactly one request.")
