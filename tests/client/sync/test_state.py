import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from modelyard.client.sync.holding.index import Index
from modelyard.client.sync.holding.journal import Entry, Journal
from modelyard.client.sync.holding.state import StateFailed, StateFile
from modelyard.transfer.source import Identity
from tests.client.sync.ageing import aged

A, B = "a" * 64, "b" * 64
FILE = Path("/comfy/models/loras/ink.pt")
ENTRY = Entry(FILE, A, 3, UUID(int=1), "placed")
OLD = Identity(3, 10**18, 2**63 + 5)  # inodes of some file systems need all 64 bits


def rows(file: Path) -> list[Entry]:
    with StateFile(file) as state:
        return [replace(entry, noted_at=None) for entry in Journal(state).entries()]


def test_what_was_placed_is_known_the_next_time(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with StateFile(file) as state:
        Journal(state).confirm(ENTRY)
        assert Journal(state).entries()[0].noted_at is not None
    assert rows(file) == [ENTRY]


def test_while_bytes_are_replaced_both_are_the_agents(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    new = replace(ENTRY, sha256=B, is_done=False, inode=7)
    with StateFile(file) as state:
        Journal(state).confirm(ENTRY)
        Journal(state).intend(new)
    assert rows(file) == [ENTRY, new]
    with StateFile(file) as state:
        Journal(state).confirm(replace(new, is_done=True))
    assert rows(file) == [replace(new, is_done=True)]


def test_what_was_begun_and_never_confirmed_is_unsettled(tmp_path: Path) -> None:
    begun = replace(ENTRY, sha256=B, is_done=False, inode=7)
    with StateFile(tmp_path / "a.sqlite") as state:
        Journal(state).confirm(ENTRY)
        Journal(state).intend(begun)
        assert [replace(entry, noted_at=None) for entry in Journal(state).unsettled()] == [begun]


def test_a_row_is_forgotten_and_may_be_forgotten_twice(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a.sqlite") as state:
        Journal(state).confirm(ENTRY)
        Journal(state).forget([ENTRY])
        Journal(state).forget([ENTRY])
        assert Journal(state).entries() == []


def test_names_that_are_no_text_are_remembered(tmp_path: Path) -> None:
    entry = replace(ENTRY, path=Path(os.fsdecode(b"/m/\xff.pt")))
    file = tmp_path / "a.sqlite"
    with StateFile(file) as state:
        Journal(state).confirm(entry)
    assert rows(file) == [entry]


def test_many_rows_are_written_at_once_or_not_at_all(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a.sqlite") as state:
        broken = replace(ENTRY, path=Path("/b"), origin="stolen")  # type: ignore[arg-type]  # what the table refuses
        with pytest.raises(StateFailed):
            Journal(state).confirm_all([ENTRY, broken])
        assert Journal(state).entries() == []


def test_a_digest_is_known_for_the_same_file_only(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a.sqlite") as state:
        index = Index(state)
        index.note(FILE, OLD, A)
        index.flush()
        again = Index(state)
        assert again.known(FILE, OLD) == A
        changed = [OLD._replace(size=4), OLD._replace(mtime_ns=5), OLD._replace(inode=6)]
        assert [again.known(FILE, identity) for identity in changed] == [None, None, None]


def test_a_file_that_was_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    file.write_text("x")
    status = file.stat()
    identity = Identity(status.st_size, status.st_mtime_ns, status.st_ino)
    with StateFile(tmp_path / "a.sqlite") as state:
        index = Index(state)
        index.note(file, identity, A)
        assert index.known(file, identity) is None


def test_files_of_a_folder_that_is_away_are_not_forgotten(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a.sqlite") as state:
        index = Index(state)
        here, gone, away = Path("/here/a"), Path("/here/b"), Path("/away/c")
        for path in (here, gone, away):
            index.note(path, OLD, A)
        index.keep_only({here}, [Path("/here")])
        assert [index.known(path, OLD) for path in (here, gone, away)] == [A, None, A]
        assert Index(state).known(gone, OLD) is None


def test_a_damaged_file_is_set_aside_and_said(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    file.write_bytes(b"this is no database" * 1000)
    with StateFile(file) as state:
        assert state.lost is not None
        assert "a.broken.sqlite" in state.lost
        Journal(state).confirm(ENTRY)
    assert (tmp_path / "a.broken.sqlite").read_bytes().startswith(b"this is no database")
    assert rows(file) == [ENTRY]


def test_damaged_pages_are_noticed_before_they_are_believed(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with StateFile(file) as state:
        Journal(state).confirm_all(replace(ENTRY, path=Path(f"/m/{number}")) for number in range(500))
    content = bytearray(file.read_bytes())
    content[8192:12288] = os.urandom(4096)
    file.write_bytes(content)
    with StateFile(file) as state:
        assert state.lost is not None


def test_a_later_versions_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StateFailed, match="later version"):
        StateFile(file)
    assert file.exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateFailed, match="cannot be made"):
        StateFile(tmp_path / "file" / "a.sqlite")


def test_what_was_confirmed_survives_a_kill(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from uuid import UUID\n"
        "from modelyard.client.sync.holding.journal import Entry, Journal\n"
        "from modelyard.client.sync.holding.state import StateFile\n"
        "journal = Journal(StateFile(Path(sys.argv[1])))\n"
        "for number in range(50):\n"
        "    journal.confirm(Entry(Path(f'/m/{number}'), 'a' * 64, 1, UUID(int=number), 'placed'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    file = tmp_path / "a.sqlite"
    ended = subprocess.run([sys.executable, "-c", program, str(file)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(rows(file)) == 50


VERSION_1 = """
CREATE TABLE digests (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    sha256 TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE placements (
    path BLOB NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, model_id TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('placed', 'found')), is_done INTEGER NOT NULL CHECK (is_done IN (0, 1)),
    device INTEGER NOT NULL, inode INTEGER NOT NULL, noted_at REAL NOT NULL,
    PRIMARY KEY (path, sha256)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


def test_a_file_of_version_1_keeps_its_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(file)) as database, database:
        database.executescript(VERSION_1)
        path = os.fsencode(FILE)
        database.execute("INSERT INTO digests VALUES (?, 3, ?, 5, ?)", (path, OLD.mtime_ns, A))
        database.execute(
            "INSERT INTO placements VALUES (?, ?, 3, ?, 'placed', 1, 0, 0, 1e9)", (path, A, str(ENTRY.model_id))
        )
    with StateFile(file) as state:
        assert state.lost is None
        assert Index(state).known(FILE, OLD._replace(inode=5)) == A
        assert Journal(state).removed_lately() == frozenset()
        Journal(state).will_remove([FILE])
    assert rows(file) == [ENTRY]
    with StateFile(file) as state, state.transaction() as database:
        assert database.execute("PRAGMA user_version").fetchone() == (2,)


def test_what_was_removed_is_known_for_an_hour(tmp_path: Path) -> None:
    file, other = tmp_path / "a.sqlite", Path(os.fsdecode(b"/m/\xff.pt"))
    with StateFile(file) as state:
        Journal(state).will_remove([FILE])
    aged(file, 40 * 60)
    with StateFile(file) as state:
        Journal(state).will_remove([other])
        assert Journal(state).removed_lately() == {FILE, other}
    aged(file, 21 * 60)
    with StateFile(file) as state:
        assert Journal(state).removed_lately() == {other}
        Journal(state).will_remove([])
        with state.transaction() as database:
            assert database.execute("SELECT count(*) FROM removals").fetchone() == (1,)


def test_what_was_removed_by_a_clock_in_the_future_counts_from_now_on(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with StateFile(file) as state:
        Journal(state).will_remove([FILE])
    aged(file, -1_000_000)
    with StateFile(file) as state:
        assert Journal(state).removed_lately() == {FILE}
    aged(file, 61 * 60)
    with StateFile(file) as state:
        assert Journal(state).removed_lately() == frozenset()


def test_whoever_approves_begins_the_count_anew(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a.sqlite") as state:
        Journal(state).will_remove([FILE])
        Journal(state).forget_removals()
        assert Journal(state).removed_lately() == frozenset()
