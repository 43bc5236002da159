"""Modification times of model files, the trash, and stale partial files."""

import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from modelyard.sync.apply.files.cleanup import clean_work_folder, delete_stale_partial_files
from modelyard.sync.apply.files.dir_handles import OpenFolder, open_work_folder
from modelyard.sync.apply.files.file_ops import get_model_mtime_ns
from modelyard.sync.apply.files.local_copies import StagingArea
from modelyard.sync.apply.files.trash import list_trash, purge_trash
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.placement_journal import PlacementJournal
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.inventory.state_db import StateFile
from modelyard.sync.planning.actions import Source
from tests.sync.factories import build_desired, build_entry
from tests.sync.real_machine import hash_bytes

BORN = datetime(2026, 3, 1, 12, tzinfo=UTC)
INK = b"ink" * 1000


def build_uuid7(moment: datetime) -> UUID:
    """Build a UUIDv7 of that moment."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | 5)


def build_ink_model(content: str = "ink", **facts: object) -> DesiredModel:
    return build_desired(build_entry("loras/ink.sft", content, **({"id": build_uuid7(BORN)} | facts))).models[0]


def test_model_mtime_is_at_most_a_day_before_record_creation() -> None:
    moment = get_model_mtime_ns(build_ink_model()) / 1e9

    assert BORN.timestamp() - 24 * 3600 < moment <= BORN.timestamp()


def test_model_mtime_edited_record_is_unchanged() -> None:
    assert get_model_mtime_ns(build_ink_model()) == get_model_mtime_ns(
        build_ink_model(updated_at=BORN.replace(year=2030))
    )


def test_model_mtime_differs_between_contents() -> None:
    assert get_model_mtime_ns(build_ink_model("one")) // 10**9 != get_model_mtime_ns(build_ink_model("two")) // 10**9


@pytest.mark.parametrize("moment", [datetime(1971, 1, 1, tzinfo=UTC), datetime(2900, 1, 1, tzinfo=UTC)])
def test_model_mtime_impossible_id_time_uses_default(moment: datetime) -> None:
    assert datetime.fromtimestamp(get_model_mtime_ns(build_ink_model(id=build_uuid7(moment))) / 1e9, UTC).year in {
        2019,
        2020,
    }


@pytest.fixture
def work(tmp_path: Path) -> OpenFolder:
    return open_work_folder(tmp_path / ".modelyard", make=True)


def _add_trash_file(work: OpenFolder, content: bytes, hours_ago: float) -> Path:
    file = work.path / "trash" / f"{hash_bytes(content)}.{int(time.time() - hours_ago * 3600)}"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    return file


def test_purge_trash_deletes_files_older_than_a_day(work: OpenFolder) -> None:
    old, young = _add_trash_file(work, b"old", 25), _add_trash_file(work, b"young", 23)
    stranger = old.with_name("holiday.jpg")
    stranger.write_bytes(b"not ours")

    with StateFile(work.path / "state.sqlite") as state:
        clean_work_folder(work.path, MachineState("render-07", HashIndex(state), PlacementJournal(state)), desired=())

    assert not old.exists()
    assert young.exists()
    assert stranger.exists()


def test_purge_trash_deletes_oldest_first_and_keeps_desired(work: OpenFolder) -> None:
    spared, older, newer = (
        _add_trash_file(work, content, hours) for content, hours in ((b"a", 3), (b"b", 2), (b"c", 1))
    )

    assert [file.name for file in list_trash(work)] == [spared.name, older.name, newer.name]
    gone = purge_trash(work, needed_bytes=1 << 60, kept_hashes={hash_bytes(b"a")})

    assert gone == [older.name, newer.name]
    assert spared.exists()


def test_delete_stale_partial_files_deletes_only_unlocked_ones_of_this_agent(work: OpenFolder) -> None:
    digest, other = hash_bytes(b"a"), hash_bytes(b"b")
    kept = {f"{digest}.render-08.part", f"{other}.render-07.part", f"{digest}.render-07x.part", "notes.part"}
    swept = {f"{digest}.render-07.part", f"{digest}.render-07.2.part", f"{other}.render-07.{'a' * 32}.part"}
    for name in kept | swept:
        (work.path / name).write_bytes(b"")
    (work.path / f"{digest}.render-07.part.journal").write_bytes(b"")
    alone = {f"{digest}.render-07.3.part.journal", f"{other}.render-07.4.part.journal"}
    for name in (*alone, f"{other}.render-07.part.journal"):
        (work.path / name).write_bytes(b"")

    assert delete_stale_partial_files(work, "render-07", {other}, older_than_seconds=60) == []
    assert set(delete_stale_partial_files(work, "render-07", {other}, older_than_seconds=0)) == swept | alone
    assert {path.name for path in work.path.iterdir()} == kept | {f"{other}.render-07.part.journal"}


@pytest.mark.parametrize("may_link", [True, False])
def test_stage_copy_does_not_change_source(work: OpenFolder, tmp_path: Path, may_link: bool) -> None:
    source = tmp_path / "mine.sft"
    source.write_bytes(INK)
    os.utime(source, (1, 1))
    entry = replace(build_ink_model(), size=len(INK), sha256=hash_bytes(INK))
    stage = StagingArea(work, "render-07", 0, threading.Event())

    with stage.stage_copy(Source(source, "user", is_link_allowed=may_link), entry) as (staged, how):
        assert (work.path / staged.name).read_bytes() == INK
        is_linked = (work.path / staged.name).samefile(source)
        assert is_linked == (how == "hard link")
        assert how in ({"reflink", "hard link"} if may_link else {"reflink", "copy"})
    assert source.stat().st_mtime == 1
    assert source.read_bytes() == INK
    assert list(work.path.iterdir()) == []
