"""What rests in a work folder, and goes by the clock rather than with the next change."""

import os
import time
from pathlib import Path

from modelyard.client.sync.acting import litter
from modelyard.client.sync.acting.folders import open_work
from tests.client.sync.real import RealMachine, Store, sha256

INK = os.urandom(200_000)
DAY = 24 * 60 * 60


def _put_off(machine: RealMachine, seconds: int) -> Path:
    """Let the only file in the trash have been removed so much earlier."""
    (resting,) = (machine.work / "trash").iterdir()
    return resting.rename(resting.with_name(f"{sha256(INK)}.{int(time.time()) - seconds}"))


def test_the_trash_is_emptied_after_a_day_though_nothing_else_happens(machine: RealMachine, store: Store) -> None:
    machine.sync(store.model("loras/ink.sft", INK))
    machine.sync()
    resting = _put_off(machine, DAY - 60)
    machine.sync()
    assert resting.exists()

    resting = _put_off(machine, DAY + 60)
    machine.sync()

    assert machine.left() == []


def test_a_plan_says_which_halves_of_downloads_stay(machine: RealMachine, store: Store) -> None:
    ink, late = store.model("loras/ink.sft", INK), store.model("loras/late.sft", INK[::-1])
    machine.put("loras/late.sft", b"in the way")
    plan = machine.plan(ink, late)
    assert plan.refuse
    assert plan.unfinished == {sha256(INK), sha256(INK[::-1])}
    machine.work.mkdir()
    for content in (INK, INK[::-1], b"nobody's"):
        (machine.work / f"{sha256(content)}.{machine.agent_id}.part").write_bytes(content[:1000])

    with open_work(machine.work) as work:
        gone = litter.sweep(work, machine.agent_id, plan.unfinished, older_than_seconds=0)

    assert [name.partition(".")[0] for name in gone] == [sha256(b"nobody's")]
