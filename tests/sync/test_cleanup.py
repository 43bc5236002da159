"""Cleaning work folders by time."""

import os
import time
from pathlib import Path

from modelyard.sync.apply.files import cleanup
from modelyard.sync.apply.files.dir_handles import open_work_folder
from tests.sync.real_machine import ModelStore, RealMachine, hash_bytes

INK = os.urandom(200_000)
DAY = 24 * 60 * 60


def _age_only_trash_file(machine: RealMachine, seconds: int) -> Path:
    """Make the only file in the trash ``seconds`` older."""
    (resting,) = (machine.work / "trash").iterdir()
    return resting.rename(resting.with_name(f"{hash_bytes(INK)}.{int(time.time()) - seconds}"))


def test_apply_empty_plan_purges_trash_after_a_day(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_model("loras/ink.sft", INK))
    machine.sync()
    resting = _age_only_trash_file(machine, DAY - 60)
    machine.sync()
    assert resting.exists()

    resting = _age_only_trash_file(machine, DAY + 60)
    machine.sync()

    assert machine.list_work_files() == []


def test_delete_stale_partial_files_keeps_those_of_desired_models_only(machine: RealMachine, store: ModelStore) -> None:
    ink, late = store.add_model("loras/ink.sft", INK), store.add_model("loras/late.sft", INK[::-1])
    machine.write_user_file("loras/late.sft", b"in the way")
    plan = machine.plan(ink, late)
    assert plan.blocked
    assert plan.kept_partial_hashes == {hash_bytes(INK), hash_bytes(INK[::-1])}
    machine.work.mkdir()
    for content in (INK, INK[::-1], b"unused"):
        (machine.work / f"{hash_bytes(content)}.{machine.agent_id}.part").write_bytes(content[:1000])

    with open_work_folder(machine.work) as work:
        gone = cleanup.delete_stale_partial_files(
            work, machine.agent_id, plan.kept_partial_hashes, older_than_seconds=0
        )

    assert [name.partition(".")[0] for name in gone] == [hash_bytes(b"unused")]
