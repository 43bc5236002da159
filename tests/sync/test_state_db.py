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

from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.placement_journal import Placement, PlacementJournal
from modelyard.sync.inventory.state_db import StateFile, StateFileError
from modelyard.transfer.source_file import FileIdentity
from tests.sync.recorded_times import age_removals

A, B = "a" * 64, "b" * 64
FILE = Path("/comfy/models/loras/ink.pt")
ENTRY = Placement(FILE, A, 3, UUID(int=1), "placed")
OLD = FileIdentity(3, 10**18, 2**63 + 5)  # inodes of some file systems need all 64 bits


def list_placements(file: Path) -> list[Placement]:
    with StateFile(file) as state:
        return [replace(entry, noted_at=None) for entry in PlacementJournal(state).list_placements()]


def test_placement_journal_confirmed_placement_survives_reopening(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with StateFile(file) as state:
        PlacementJournal(state).confirm(ENTRY)
        assert PlacementJournal(state).list_placements()[0].noted_at is not None
    assert list_placements(file) == [ENTRY]


def test_placement_journal_path_being_replaced_has_both_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    new = replace(ENTRY, sha256=B, is_confirmed=False, inode=7)
    with StateFile(file) as state:
        PlacementJournal(state).confirm(ENTRY)
        PlacementJournal(state).record_intent(new)
    assert list_placements(file) == [ENTRY, new]
    with StateFile(file) as state:
        PlacementJournal(state).confirm(replace(new, is_confirmed=True))
    assert list_placements(file) == [replace(new, is_confirmed=True)]


def test_placement_journal_unconfirmed_intent_is_listed(tmp_path: Path) -> None:
    begun = replace(ENTRY, sha256=B, is_confirmed=False, inode=7)
    with StateFile(tmp_path / "a.sqlite") as state:
        PlacementJournal(state).confirm(ENTRY)
        PlacementJournal(state).record_intent(begun)
        assert [replace(entry, noted_at=None) for entry in PlacementJournal(state).list_unconfirmed()] == [begun]


def test_placement_journal_delete_placement_is_idempotent(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a.sqlite") as state:
        PlacementJournal(state).confirm(ENTRY)
        PlacementJournal(state).delete_placements([ENTRY])
        PlacementJournal(state).delete_placements([ENTRY])
        assert PlacementJournal(state).list_placements() == []


def test_placement_journal_undecodable_path_is_stored(tmp_path: Path) -> None:
    entry = replace(ENTRY, path=Path(os.fsdecode(b"/m/\xff.pt")))
    file = tmp_path / "a.sqlite"
    with StateFile(file) as state:
        PlacementJournal(state).confirm(entry)
    assert list_placements(file) == [entry]


def test_placement_journal_confirm_all_is_atomic(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a.sqlite") as state:
        broken = replace(ENTRY, path=Path("/b"), origin="stolen")  # type: ignore[arg-type]  # what the table refuses
        with pytest.raises(StateFileError):
            PlacementJournal(state).confirm_all([ENTRY, broken])
        assert PlacementJournal(state).list_placements() == []


def test_hash_index_returns_hash_only_for_same_identity(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a.sqlite") as state:
        index = HashIndex(state)
        index.add_hash(FILE, OLD, A)
        index.flush()
        again = HashIndex(state)
        assert again.get_hash(FILE, OLD) == A
        changed = [OLD._replace(size=4), OLD._replace(mtime_ns=5), OLD._replace(inode=6)]
        assert [again.get_hash(FILE, identity) for identity in changed] == [None, None, None]


def test_hash_index_recently_written_file_is_not_recorded(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    file.write_text("x")
    status = file.stat()
    identity = FileIdentity(status.st_size, status.st_mtime_ns, status.st_ino)
    with StateFile(tmp_path / "a.sqlite") as state:
        index = HashIndex(state)
        index.add_hash(file, identity, A)
        assert index.get_hash(file, identity) is None


def test_hash_index_prune_keeps_files_of_unavailable_root(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a.sqlite") as state:
        index = HashIndex(state)
        here, gone, away = Path("/here/a"), Path("/here/b"), Path("/away/c")
        for path in (here, gone, away):
            index.add_hash(path, OLD, A)
        index.prune({here}, [Path("/here")])
        assert [index.get_hash(path, OLD) for path in (here, gone, away)] == [A, None, A]
        assert HashIndex(state).get_hash(gone, OLD) is None


def test_hash_index_prune_keeps_file_placed_during_scan(tmp_path: Path) -> None:
    placed = tmp_path / "ink.sft"
    placed.touch()
    with StateFile(tmp_path / "a.sqlite") as state:
        index = HashIndex(state)
        index.add_hash(placed, OLD, A)
        index.prune(set(), [tmp_path])
        assert index.get_hash(placed, OLD) == A


def test_state_file_damaged_is_renamed_and_reported(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    file.write_bytes(b"this is no database" * 1000)
    with StateFile(file) as state:
        assert state.damage_notice is not None
        assert "a.broken.sqlite" in state.damage_notice
        PlacementJournal(state).confirm(ENTRY)
    assert (tmp_path / "a.broken.sqlite").read_bytes().startswith(b"this is no database")
    assert list_placements(file) == [ENTRY]


def test_state_file_with_damaged_pages_is_renamed(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with StateFile(file) as state:
        PlacementJournal(state).confirm_all(replace(ENTRY, path=Path(f"/m/{number}")) for number in range(500))
    content = bytearray(file.read_bytes())
    content[8192:12288] = os.urandom(4096)
    file.write_bytes(content)
    with StateFile(file) as state:
        assert state.damage_notice is not None


def test_state_file_of_later_version_raises_and_is_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA user_version = 99")
    database.close()
    content = file.read_bytes()

    with pytest.raises(StateFileError, match="later version"):
        StateFile(file)

    assert file.read_bytes() == content


def test_state_file_folder_that_cannot_be_created_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateFileError, match="cannot be created"):
        StateFile(tmp_path / "file" / "a.sqlite")


def test_placement_journal_confirmed_placements_survive_kill(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from uuid import UUID\n"
        "from modelyard.sync.inventory.placement_journal import Placement, PlacementJournal\n"
        "from modelyard.sync.inventory.state_db import StateFile\n"
        "journal = PlacementJournal(StateFile(Path(sys.argv[1])))\n"
        "for number in range(50):\n"
        "    journal.confirm(Placement(Path(f'/m/{number}'), 'a' * 64, 1, UUID(int=number), 'placed'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    file = tmp_path / "a.sqlite"
    ended = subprocess.run([sys.executable, "-c", program, str(file)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list_placements(file)) == 50


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


def test_state_file_of_version_1_is_migrated_with_its_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(file)) as database, database:
        database.executescript(VERSION_1)
        path = os.fsencode(FILE)
        database.execute("INSERT INTO digests VALUES (?, 3, ?, 5, ?)", (path, OLD.mtime_ns, A))
        database.execute(
            "INSERT INTO placements VALUES (?, ?, 3, ?, 'placed', 1, 0, 0, 1e9)", (path, A, str(ENTRY.model_id))
        )
    with StateFile(file) as state:
        assert state.damage_notice is None
        assert HashIndex(state).get_hash(FILE, OLD._replace(inode=5)) == A
        assert PlacementJournal(state).list_recent_removals() == frozenset()
        PlacementJournal(state).record_removals([FILE])
        assert PlacementJournal(state).for_previews().list_placements() == []
    assert list_placements(file) == [ENTRY]
    with StateFile(file) as state, state.transaction() as database:
        assert database.execute("PRAGMA user_version").fetchone() == (4,)


# As agents of 0.3.0 wrote it.
VERSION_3 = (
    VERSION_1.replace("PRAGMA user_version = 1;", "")
    + """
CREATE TABLE removals (path BLOB PRIMARY KEY, removed_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE previews (
    path BLOB NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, model_id TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('placed', 'found')), is_done INTEGER NOT NULL CHECK (is_done IN (0, 1)),
    device INTEGER NOT NULL, inode INTEGER NOT NULL, noted_at REAL NOT NULL,
    PRIMARY KEY (path, sha256)
) WITHOUT ROWID;
PRAGMA user_version = 3;
"""
)


def test_state_file_of_version_3_is_migrated_with_its_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    picture = replace(ENTRY, path=Path("/comfy/models/loras/ink.preview.png"))
    with closing(sqlite3.connect(file)) as database, database:
        database.executescript(VERSION_3)
        for table, entry in (("placements", ENTRY), ("previews", picture)):
            database.execute(
                f"INSERT INTO {table} VALUES (?, ?, 3, ?, 'placed', 1, 0, 0, 1e9)",  # noqa: S608 - one of two names
                (os.fsencode(entry.path), A, str(entry.model_id)),
            )

    with StateFile(file) as state:
        assert state.damage_notice is None
        journal = PlacementJournal(state)
        for rows, entry in ((journal, ENTRY), (journal.for_previews(), picture)):
            assert [replace(row, noted_at=None) for row in rows.list_placements()] == [entry]
        journal.confirm(replace(ENTRY, is_folder=True, inode=5))
        assert [(row.is_folder, row.inode) for row in journal.list_placements()] == [(True, 5)]


def test_placement_journal_of_previews_has_rows_of_its_own(tmp_path: Path) -> None:
    picture = replace(ENTRY, path=Path("/comfy/models/loras/ink.preview.png"), is_confirmed=False, inode=7)
    with StateFile(tmp_path / "a.sqlite") as state:
        models = PlacementJournal(state)
        previews = models.for_previews()
        models.confirm(ENTRY)
        previews.record_intent(picture)
        assert [replace(row, noted_at=None) for row in previews.list_unconfirmed()] == [picture]
        previews.confirm(replace(picture, is_confirmed=True))
        models.delete_placements([ENTRY])
        assert [row.path for row in previews.list_placements()] == [picture.path]
        previews.delete_placements([picture])
        assert (models.list_placements(), previews.list_placements()) == ([], [])


def test_placement_journal_removal_is_recent_for_an_hour(tmp_path: Path) -> None:
    file, other = tmp_path / "a.sqlite", Path(os.fsdecode(b"/m/\xff.pt"))
    with StateFile(file) as state:
        PlacementJournal(state).record_removals([FILE])
    age_removals(file, 40 * 60)
    with StateFile(file) as state:
        PlacementJournal(state).record_removals([other])
        assert PlacementJournal(state).list_recent_removals() == {FILE, other}
    age_removals(file, 21 * 60)
    with StateFile(file) as state:
        assert PlacementJournal(state).list_recent_removals() == {other}
        PlacementJournal(state).record_removals([])
        with state.transaction() as database:
            assert database.execute("SELECT count(*) FROM removals").fetchone() == (1,)


def test_placement_journal_removal_time_in_future_counts_from_now(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with StateFile(file) as state:
        PlacementJournal(state).record_removals([FILE])
    age_removals(file, -1_000_000)
    with StateFile(file) as state:
        assert PlacementJournal(state).list_recent_removals() == {FILE}
    age_removals(file, 61 * 60)
    with StateFile(file) as state:
        assert PlacementJournal(state).list_recent_removals() == frozenset()


def test_placement_journal_reset_removal_count_deletes_removals(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a.sqlite") as state:
        PlacementJournal(state).record_removals([FILE])
        PlacementJournal(state).reset_removal_count()
        assert PlacementJournal(state).list_recent_removals() == frozenset()


def test_placement_journal_reset_of_zero_removal_count_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with StateFile(file) as state:
        PlacementJournal(state).record_removals([FILE])
        PlacementJournal(state).reset_removal_count()
        log = file.with_name(f"{file.name}-wal")
        written = log.stat().st_size
        PlacementJournal(state).reset_removal_count()
        assert log.stat().st_size == written
