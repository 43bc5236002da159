"""The server killed after file-changing system calls of a version's registration, verification and promotion.

There is always exactly one current version, and machines never get one that is not verified.
"""

import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx2
import pytest

from tests.journeys.agent_processes import FilePoller, create_machine, running_agents
from tests.journeys.forked_server import ForkedServer
from tests.journeys.pushed_versions import VersionedModel, check_seen_contents
from tests.journeys.syscall_killer import SyscallKiller
from tests.server.harness import ApiCaller, make_model_file
from tests.waiting import PATIENCE_SECONDS, wait_until

# More than the system calls between the request and the promotion; `make kills` has 200.
KILLS = int(os.environ.get("MODELYARD_TEST_KILLS", "20"))
NIGHTLY = "loras/nightly.safetensors"
# Each third version has other bytes than it declares.
WRONG_EVERY = 3
UPLOADS_AT_ONCE = 40
SYNC_SECONDS = 4 * PATIENCE_SECONDS
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ForkedServer]:
    with ForkedServer(tmp_path / "data") as server:
        yield server


class ManifestReader:
    """A machine of the team that only reads its manifest."""

    def __init__(self, server: ForkedServer, team: ApiCaller) -> None:
        self._server = server
        created = team.post("/credentials", kind="agent", display_name="reader").json()
        self._token = str(created["raw_key"])
        assert self._open_key().post("/agent/heartbeat", agent_id="reader").status_code == 200

    def read_hash(self) -> str:
        """Return the hash of the only model in the manifest."""
        response = self._open_key().get("/agent/manifest", agent_id="reader")
        assert response.status_code == 200, response.text
        [entry] = response.json()["model_list"]
        return str(entry["file_hash"])

    def _open_key(self) -> ApiCaller:
        key = self._server.open_caller()
        key.token = self._token
        return key


class KilledPushes:
    """Pushes of versions during which the server is killed; ``states`` counts the version's state after each kill."""

    def __init__(self, server: ForkedServer) -> None:
        self.server = server
        self.team = server.owner()
        self.model = VersionedModel(self.team, NIGHTLY, self._build_content(1))
        self.model.wait_for_status(1, "current")
        self.manifest = ManifestReader(server, self.team)
        self.states = Counter[str]()
        self._keys: dict[int, str] = {}
        self._current = self._in_manifest = 1

    def push(self, kill_after: int) -> bool:
        """Push a version, with the server killed at this system call; return False if it made fewer calls.

        After the restart the invariants are checked, the request is repeated, and the version is verified or refused.
        """
        number = len(self.model.contents) + 1
        if number not in self._keys:
            self._upload_in_advance(number)
        with SyscallKiller(self.server.pid, kill_after) as killer:
            is_acknowledged = self._register_and_wait(number)
        if killer.has_killed:
            self._restart()
        self._check_invariants(number, is_acknowledged=is_acknowledged)
        if killer.has_killed:
            self._count_state(number)
            self._end_leases()
        repeated = self._register(number)
        assert (repeated.status_code, repeated.json().get("id")) == (200, self.model.id), repeated.text
        self.model.contents.append(self._build_content(number))
        self.model.check_versions_are_complete()
        self.model.wait_for_status(number, self._get_final_status(number))
        self._check_invariants(number, is_acknowledged=True)
        return killer.has_killed

    def list_expected_statuses(self) -> list[str]:
        """Return the statuses that all versions have in the end, oldest first; the last one must be right."""
        numbers = range(1, len(self.model.contents))
        return [self._get_final_status(number).replace("current", "replaced") for number in numbers] + ["current"]

    def _build_content(self, number: int, word: str = "right") -> bytes:
        return make_model_file(f"{word} {number}", 1000)

    def _get_final_status(self, number: int) -> str:
        return "current" if number % WRONG_EVERY else "failed"

    def _upload_in_advance(self, first: int) -> None:
        """Upload the next versions, and restart the server.

        A server that has not received an upload itself has no digest of it, so that only verification reads the bytes.
        """
        for number in range(first, first + UPLOADS_AT_ONCE):
            word = "right" if number % WRONG_EVERY else "wrong"
            self._keys[number] = self.model.caller.upload(self._build_content(number, word), NIGHTLY)
        assert self.server.signal_and_wait(signal.SIGTERM) == 0
        self._start()

    def _restart(self) -> None:
        assert self.server.wait_for_exit() == -signal.SIGKILL
        self._start()

    def _start(self) -> None:
        self.server.start()
        self.model.caller = self.server.open_caller(self.team)

    def _register(self, number: int) -> httpx2.Response:
        return self.model.register_version(self._build_content(number), storage_key=self._keys[number])

    def _register_and_wait(self, number: int) -> bool:
        """Register a version and wait until it is verified or refused; return whether its registration was answered.

        Ends early if the server is killed.
        """
        is_acknowledged = False
        with suppress(httpx2.TransportError):
            response = self._register(number)
            assert response.status_code == 200, response.text
            is_acknowledged = True
            self.model.wait_for_status(number, self._get_final_status(number))
        return is_acknowledged

    def _check_invariants(self, number: int, *, is_acknowledged: bool) -> None:
        """Assert that no version is lost, one is current, and the manifest has a verified one that is not older."""
        manifest_hash = self.manifest.read_hash()
        record = self.model.caller.get(f"/models/{self.model.id}").json()
        versions = self.model.list_versions()
        assert len(versions) in ([number] if is_acknowledged else [number - 1, number])
        assert [version.number for version in versions] == list(range(1, len(versions) + 1))
        [current] = [version for version in versions if version.status == "current"]
        assert self._current <= record["version"] <= current.number
        assert record["file_hash"] == versions[record["version"] - 1].file_hash
        promoted = {version.file_hash: version.number for version in versions if version.promoted_at is not None}
        # A manifest may be a moment old, but it never goes back.
        assert self._in_manifest <= promoted[manifest_hash] <= current.number
        assert all(each % WRONG_EVERY for each in promoted.values())
        self._current, self._in_manifest = current.number, promoted[manifest_hash]

    def _count_state(self, number: int) -> None:
        statuses = self.model.list_statuses()
        self.states[statuses[number - 1] if number <= len(statuses) else "not registered"] += 1

    def _end_leases(self) -> None:
        """Expire the lease of a worker that was killed, as after two minutes."""
        with closing(sqlite3.connect(self.server.data_dir / "modelyard.sqlite3", timeout=30)) as database:
            database.execute("UPDATE blobs SET leased_until = '2001-01-01 00:00:00.000000' WHERE lease IS NOT NULL")
            database.commit()


def test_server_killed_during_registration_and_promotion_keeps_one_verified_current_version(
    tmp_path: Path, server: ForkedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    pushes = KilledPushes(server)
    model = pushes.model
    machine = create_machine(model.caller, tmp_path / "render-01", server.url)
    with FilePoller(machine.models, (NIGHTLY,)) as poller:
        with running_agents([machine]):
            kill_after = 1
            while pushes.states.total() < KILLS:
                kill_after = kill_after + 1 if pushes.push(kill_after) else 1
        # Without a kill, until a version with the right bytes is the last one.
        while pushes.push(sys.maxsize) or len(model.contents) % WRONG_EVERY == 0:
            pass
        # An agent that starts does not wait for the end of its pause after a failed request.
        with running_agents([machine]):
            wait_until(lambda: machine.has_file(NIGHTLY, model.contents[-1]), SYNC_SECONDS)

    with capsys.disabled():
        sys.stdout.write(
            f"\n{pushes.states.total()} kills: {dict(pushes.states)}; {len(poller.digests)} contents seen\n"
        )
    check_seen_contents(poller, model)
    assert model.list_statuses() == pushes.list_expected_statuses()
    assert {"not registered", "pending"} <= pushes.states.keys()
