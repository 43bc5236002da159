"""A disk that forgets a bit changes neither the size nor the time of a file; only reading it again shows that."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelyard.client.sync.holding.patience import Patience
from modelyard.client.sync.holding.reading import Stopped
from modelyard.client.sync.holding.rereading import Rereader, longest_unread
from tests.client.sync.real import RealMachine, Store, sha256
from tests.client.sync.refused import refusal

INK, WASH = os.urandom(200_000), os.urandom(200_000)
MONTH = timedelta(days=30)


def rot(file: Path) -> bytes:
    """Turn one bit, and nothing else that anybody can see; gives what is there then."""
    status = file.stat()
    with file.open("r+b") as handle:
        handle.seek(status.st_size // 2)
        byte = handle.read(1)[0] ^ 1
        handle.seek(-1, os.SEEK_CUR)
        handle.write(bytes([byte]))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    return file.read_bytes()


def age(machine: RealMachine, **days: int) -> None:
    """Let the files of these stems have been read so many days ago."""
    with machine.opened() as opened, opened.journal._state.transaction() as database:
        age = "UPDATE placements SET noted_at = noted_at - ? WHERE CAST(path AS TEXT) LIKE ?"
        for stem, count in days.items():
            database.execute(age, (count * 86_400, f"%/{stem}.sft"))


def read_next(machine: RealMachine, stopped: threading.Event | None = None, rate: float = 1e9) -> bool | None:
    with machine.opened() as opened:
        rereader = Rereader(opened, MONTH, rate, Patience())
        return rereader.read_next(datetime.now(UTC), stopped or threading.Event())


def test_a_placed_file_that_rotted_is_noticed_and_said_with_both_hashes(machine: RealMachine, store: Store) -> None:
    ink = store.model("loras/ink.sft", INK)
    machine.sync(ink)
    rotten = rot(machine.models / "loras/ink.sft")
    assert machine.plan(ink).is_done
    age(machine, ink=31)

    assert read_next(machine) is False

    refused = refusal(machine.plan(ink))
    assert refused.state == "conflict"
    assert sha256(INK) in refused.reason
    assert sha256(rotten) in refused.reason
    # Nobody knows whether that was the disk or a person, so the file stays until a person has moved it.
    (machine.models / "loras/ink.sft").rename(machine.models / "loras/rotten.sft")
    assert machine.sync(ink)["loras/ink.sft"].state == "ready"
    assert machine.visible() == {"loras/ink.sft": INK, "loras/rotten.sft": rotten}


def test_a_users_file_that_rotted_is_noticed_too(machine: RealMachine, store: Store) -> None:
    ink = store.model("loras/ink.sft", INK)
    machine.put("loras/ink.sft", INK)
    machine.sync(ink)
    rot(machine.models / "loras/ink.sft")
    age(machine, ink=31)

    assert read_next(machine) is False

    assert refusal(machine.plan(ink)).state == "conflict"


def test_the_file_that_was_not_read_for_longest_comes_first_and_each_once_in_its_time(
    machine: RealMachine, store: Store
) -> None:
    machine.sync(store.model("loras/ink.sft", INK), store.model("loras/wash.sft", WASH))
    assert read_next(machine) is None
    age(machine, ink=31, wash=32)
    for stem in ("wash", "ink"):
        now = datetime.now(UTC)
        due = longest_unread(machine.rows, now, MONTH)
        assert due is not None
        assert due.path.stem == stem
        assert read_next(machine) is True
    assert read_next(machine) is None


def test_a_clock_that_was_ahead_keeps_no_file_from_being_read(machine: RealMachine, store: Store) -> None:
    machine.sync(store.model("loras/ink.sft", INK))
    age(machine, ink=-400)
    assert read_next(machine) is True
    assert read_next(machine) is None


def test_a_file_that_is_gone_is_left_to_the_next_look(machine: RealMachine, store: Store) -> None:
    machine.sync(store.model("loras/ink.sft", INK))
    age(machine, ink=31)
    (machine.models / "loras/ink.sft").unlink()
    assert read_next(machine) is True
    assert read_next(machine) is None


def test_reading_again_keeps_its_pace_and_ends_at_once_when_asked(machine: RealMachine, store: Store) -> None:
    machine.sync(store.model("loras/ink.sft", INK * 20))
    age(machine, ink=31)
    stopped = threading.Event()
    threading.Timer(0.3, stopped.set).start()
    began = datetime.now(UTC)

    with pytest.raises(Stopped):
        read_next(machine, stopped, rate=100_000)

    assert timedelta(seconds=0.2) < datetime.now(UTC) - began < timedelta(seconds=5)
    assert read_next(machine) is True


def test_what_was_replaced_meanwhile_stays_the_agents_own(machine: RealMachine, store: Store) -> None:
    machine.sync(store.model("loras/ink.sft", INK))
    (read,) = machine.rows
    machine.sync(store.model("loras/ink.sft", WASH))

    with machine.opened() as opened:
        opened.journal.was_read(read)

    assert [row.sha256 for row in machine.rows] == [sha256(WASH)]


def test_a_users_link_to_a_model_is_read_to_its_end(machine: RealMachine, store: Store, tmp_path: Path) -> None:
    ink = store.model("loras/ink.sft", INK)
    kept = tmp_path / "elsewhere.sft"
    kept.write_bytes(INK)
    link = machine.models / "loras/ink.sft"
    link.parent.mkdir(parents=True)
    link.symlink_to(kept)
    machine.sync(ink)
    age(machine, ink=31)

    assert read_next(machine) is True

    rot(kept)
    age(machine, ink=31)
    assert read_next(machine) is False
