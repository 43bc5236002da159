"""Bit rot changes neither the size nor the time of a file; only reading it again finds it."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelyard.sync.inventory.deadlines import StallDeadline
from modelyard.sync.inventory.safe_open import ReadStopped
from modelyard.sync.scrub import Scrubber, find_next_due
from tests.sync.blocked_models import get_only_blocked
from tests.sync.real_machine import ModelStore, RealMachine, hash_bytes

INK, WASH = os.urandom(200_000), os.urandom(200_000)
MONTH = timedelta(days=30)


def flip_bit(file: Path) -> bytes:
    """Flip one bit without changing size or time; return the new content."""
    status = file.stat()
    with file.open("r+b") as handle:
        handle.seek(status.st_size // 2)
        byte = handle.read(1)[0] ^ 1
        handle.seek(-1, os.SEEK_CUR)
        handle.write(bytes([byte]))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    return file.read_bytes()


def age_last_reads(machine: RealMachine, **days: int) -> None:
    """Make the last reads of the files with these stems that many days older."""
    with machine.open_state() as opened, opened.journal._state.transaction() as database:
        age_last_reads = "UPDATE placements SET noted_at = noted_at - ? WHERE CAST(path AS TEXT) LIKE ?"
        for stem, count in days.items():
            database.execute(age_last_reads, (count * 86_400, f"%/{stem}.sft"))


def scrub_next_file(machine: RealMachine, stopped: threading.Event | None = None, rate: float = 1e9) -> bool | None:
    with machine.open_state() as opened:
        rereader = Scrubber(opened, MONTH, rate, StallDeadline())
        return rereader.scrub_next_file(datetime.now(UTC), stopped or threading.Event())


def test_scrub_damaged_placed_file_is_conflict_with_both_hashes(machine: RealMachine, store: ModelStore) -> None:
    ink = store.add_model("loras/ink.sft", INK)
    machine.sync(ink)
    damaged = flip_bit(machine.models / "loras/ink.sft")
    assert machine.plan(ink).is_empty
    age_last_reads(machine, ink=31)

    assert scrub_next_file(machine) is False

    refused = get_only_blocked(machine.plan(ink))
    assert refused.state == "conflict"
    assert hash_bytes(INK) in refused.reason
    assert hash_bytes(damaged) in refused.reason
    # A disk fault cannot be told from a change by a user, so the file stays until a user moves it.
    (machine.models / "loras/ink.sft").rename(machine.models / "loras/damaged.sft")
    assert machine.sync(ink)["loras/ink.sft"].state == "ready"
    assert machine.read_files() == {"loras/ink.sft": INK, "loras/damaged.sft": damaged}


def test_scrub_damaged_user_file_is_noticed(machine: RealMachine, store: ModelStore) -> None:
    ink = store.add_model("loras/ink.sft", INK)
    machine.write_user_file("loras/ink.sft", INK)
    machine.sync(ink)
    flip_bit(machine.models / "loras/ink.sft")
    age_last_reads(machine, ink=31)

    assert scrub_next_file(machine) is False

    assert get_only_blocked(machine.plan(ink)).state == "conflict"


def test_scrub_reads_longest_unread_first_and_each_once_per_interval(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_model("loras/ink.sft", INK), store.add_model("loras/wash.sft", WASH))
    assert scrub_next_file(machine) is None
    age_last_reads(machine, ink=31, wash=32)
    for stem in ("wash", "ink"):
        now = datetime.now(UTC)
        due = find_next_due(machine.placements, now, MONTH)
        assert due is not None
        assert due.path.stem == stem
        assert scrub_next_file(machine) is True
    assert scrub_next_file(machine) is None


def test_scrub_read_time_in_future_counts_as_due(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_model("loras/ink.sft", INK))
    age_last_reads(machine, ink=-400)
    assert scrub_next_file(machine) is True
    assert scrub_next_file(machine) is None


def test_scrub_missing_file_counts_as_unchanged_and_read(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_model("loras/ink.sft", INK))
    age_last_reads(machine, ink=31)
    (machine.models / "loras/ink.sft").unlink()
    assert scrub_next_file(machine) is True
    assert scrub_next_file(machine) is None


def test_scrub_keeps_rate_limit_and_stops_at_once(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_model("loras/ink.sft", INK * 20))
    age_last_reads(machine, ink=31)
    stopped = threading.Event()
    threading.Timer(0.3, stopped.set).start()

    # Without the limit the read would end before the stop; without the stop, after weeks.
    with pytest.raises(ReadStopped):
        scrub_next_file(machine, stopped, rate=1)

    assert scrub_next_file(machine) is True


def test_scrub_record_of_file_replaced_meanwhile_adds_no_row(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_model("loras/ink.sft", INK))
    (read,) = machine.placements
    machine.sync(store.add_model("loras/ink.sft", WASH))

    with machine.open_state() as opened:
        opened.journal.record_read(read)

    assert [row.sha256 for row in machine.placements] == [hash_bytes(WASH)]


def test_scrub_user_link_is_read_through(machine: RealMachine, store: ModelStore, tmp_path: Path) -> None:
    ink = store.add_model("loras/ink.sft", INK)
    kept = tmp_path / "elsewhere.sft"
    kept.write_bytes(INK)
    link = machine.models / "loras/ink.sft"
    link.parent.mkdir(parents=True)
    link.symlink_to(kept)
    machine.sync(ink)
    age_last_reads(machine, ink=31)

    assert scrub_next_file(machine) is True

    flip_bit(kept)
    age_last_reads(machine, ink=31)
    assert scrub_next_file(machine) is False
