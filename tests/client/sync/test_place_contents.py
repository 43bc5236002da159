"""The time that a model's file gets, the trash, and what is swept."""

import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from modelyard.client.sync.acting.contents import time_of
from modelyard.client.sync.acting.folders import Folder, open_work
from modelyard.client.sync.acting.litter import sweep, tidy
from modelyard.client.sync.acting.staging import Stage
from modelyard.client.sync.acting.trash import empty, trashed
from modelyard.client.sync.planning.actions import Source
from modelyard.client.sync.wanted import Wanted
from tests.client.sync.making import model, wanted
from tests.client.sync.real import sha256

BORN = datetime(2026, 3, 1, 12, tzinfo=UTC)
INK = b"ink" * 1000


def an_id(moment: datetime) -> UUID:
    """A UUIDv7 of that moment."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | 5)


def ink(content: str = "ink", **facts: object) -> Wanted:
    return wanted(model("loras/ink.sft", content, **({"id": an_id(BORN)} | facts))).models[0]


def test_the_time_of_a_file_is_about_the_birth_of_its_record_and_never_later() -> None:
    moment = time_of(ink()) / 1e9

    assert BORN.timestamp() - 24 * 3600 < moment <= BORN.timestamp()


def test_editing_the_record_does_not_move_the_time() -> None:
    assert time_of(ink()) == time_of(ink(updated_at=BORN.replace(year=2030)))


def test_two_contents_never_share_a_time() -> None:
    assert time_of(ink("one")) // 10**9 != time_of(ink("two")) // 10**9


@pytest.mark.parametrize("moment", [datetime(1971, 1, 1, tzinfo=UTC), datetime(2900, 1, 1, tzinfo=UTC)])
def test_an_absurd_birth_is_not_believed(moment: datetime) -> None:
    assert datetime.fromtimestamp(time_of(ink(id=an_id(moment))) / 1e9, UTC).year in {2019, 2020}


@pytest.fixture
def work(tmp_path: Path) -> Folder:
    return open_work(tmp_path / ".modelyard", make=True)


def _trash(work: Folder, content: bytes, hours_ago: float) -> Path:
    file = work.path / "trash" / f"{sha256(content)}.{int(time.time() - hours_ago * 3600)}"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    return file


def test_what_has_rested_for_a_day_goes(work: Folder) -> None:
    old, young = _trash(work, b"old", 25), _trash(work, b"young", 23)
    stranger = old.with_name("holiday.jpg")
    stranger.write_bytes(b"not ours")

    tidy(work.path, "render-07", wanted=())

    assert not old.exists()
    assert young.exists()
    assert stranger.exists()


def test_the_oldest_goes_first_and_what_is_wanted_again_stays(work: Folder) -> None:
    spared, older, newer = (_trash(work, content, hours) for content, hours in ((b"a", 3), (b"b", 2), (b"c", 1)))

    assert [file.name for file in trashed(work)] == [spared.name, older.name, newer.name]
    gone = empty(work, lacking=1 << 60, spare={sha256(b"a")})

    assert gone == [older.name, newer.name]
    assert spared.exists()


def test_dead_partial_files_of_this_agent_are_swept_and_no_others(work: Folder) -> None:
    digest, other = sha256(b"a"), sha256(b"b")
    kept = {f"{digest}.render-08.part", f"{other}.render-07.part", f"{digest}.render-07x.part", "notes.part"}
    swept = {f"{digest}.render-07.part", f"{digest}.render-07.2.part", f"{other}.render-07.{'a' * 32}.part"}
    for name in kept | swept:
        (work.path / name).write_bytes(b"")
    (work.path / f"{digest}.render-07.part.journal").write_bytes(b"")
    alone = {f"{digest}.render-07.3.part.journal", f"{other}.render-07.4.part.journal"}
    for name in (*alone, f"{other}.render-07.part.journal"):
        (work.path / name).write_bytes(b"")

    assert sweep(work, "render-07", {other}, older_than_seconds=60) == []
    assert set(sweep(work, "render-07", {other}, older_than_seconds=0)) == swept | alone
    assert {path.name for path in work.path.iterdir()} == kept | {f"{other}.render-07.part.journal"}


@pytest.mark.parametrize("may_link", [True, False])
def test_bytes_are_brought_without_touching_their_source(work: Folder, tmp_path: Path, may_link: bool) -> None:
    source = tmp_path / "mine.sft"
    source.write_bytes(INK)
    os.utime(source, (1, 1))
    model = replace(ink(), size=len(INK), sha256=sha256(INK))
    stage = Stage(work, "render-07", 0, threading.Event())

    with stage.brought(Source(source, "user", may_link=may_link), model) as (staged, how):
        assert (work.path / staged.name).read_bytes() == INK
        is_linked = (work.path / staged.name).samefile(source)
        assert is_linked == (how == "hard link")
        assert how in ({"reflink", "hard link"} if may_link else {"reflink", "copy"})
    assert source.stat().st_mtime == 1
    assert list(work.path.iterdir()) == []
