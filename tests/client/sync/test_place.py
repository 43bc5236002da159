"""What lies in a models folder is never lost, and nothing is written outside of it, whatever happens in between."""

import ctypes
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.client.sync.acting.standing import Standing
from modelyard.client.sync.planning.actions import Plan
from tests.client.sync.real import USUAL, RealMachine, Store, sha256

INK = os.urandom(300_000)
WASH = os.urandom(300_000)


def carry_out(machine: RealMachine, plan: Plan) -> Standing:
    """The only standing after a plan that was made before something happened."""
    [standing] = machine.carry_out(plan).values()
    return standing


def exchange(one: Path, other: Path) -> None:
    """Give each of two the other's name, in one step (``RENAME_EXCHANGE``)."""
    here = -100
    assert ctypes.CDLL(None).renameat2(here, os.fsencode(one), here, os.fsencode(other), 2) == 0


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that is nobody's business."""
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    (folder / "ink.sft").write_bytes(b"somebody else's")
    return folder


def test_a_users_file_that_came_in_between_is_not_lost(machine: RealMachine, store: Store) -> None:
    plan = machine.plan(store.model("loras/ink.sft", INK))
    machine.put("loras/ink.sft", WASH)

    conflict = carry_out(machine, plan)

    assert conflict.state == "conflict"
    assert sha256(INK) in (conflict.reason or "")
    assert sha256(WASH) in (conflict.reason or "")
    assert machine.visible() == {"loras/ink.sft": WASH}
    assert machine.rows == []
    assert machine.left() == []


def test_the_right_bytes_that_came_in_between_are_found_and_stay_the_others(machine: RealMachine, store: Store) -> None:
    plan = machine.plan(store.model("loras/ink.sft", INK))
    machine.put("loras/ink.sft", INK)

    assert carry_out(machine, plan).done == "found"
    assert [row.origin for row in machine.rows] == ["found"]
    assert machine.left() == []
    machine.sync()
    assert machine.visible() == {"loras/ink.sft": INK}


def test_a_link_that_came_in_between_is_not_followed(machine: RealMachine, store: Store, outside: Path) -> None:
    plan = machine.plan(store.model("loras/ink.sft", INK))
    (machine.models / "loras").mkdir()
    (machine.models / "loras/ink.sft").symlink_to(outside / "ink.sft")
    before = tree(outside)

    assert carry_out(machine, plan).state == "conflict"
    assert tree(outside) == before


def test_a_file_that_changed_after_the_plan_is_not_replaced(machine: RealMachine, store: Store) -> None:
    machine.sync(store.model("loras/ink.sft", INK))
    plan = machine.plan(store.model("loras/ink.sft", WASH))
    (machine.models / "loras/ink.sft").write_bytes(b"trained further")

    conflict = carry_out(machine, plan)

    assert conflict.state == "conflict"
    assert sha256(b"trained further") in (conflict.reason or "")
    assert machine.visible() == {"loras/ink.sft": b"trained further"}


def test_a_file_that_changed_after_the_plan_is_not_removed(machine: RealMachine, store: Store) -> None:
    machine.sync(store.model("loras/ink.sft", INK))
    plan = machine.plan()
    (machine.models / "loras/ink.sft").write_bytes(b"trained further")

    kept = carry_out(machine, plan)

    assert kept.done is None
    assert "left alone" in (kept.reason or "")
    assert machine.visible() == {"loras/ink.sft": b"trained further"}


def test_a_file_that_went_away_after_the_plan_is_removed_already(machine: RealMachine, store: Store) -> None:
    machine.sync(store.model("loras/ink.sft", INK))
    plan = machine.plan()
    (machine.models / "loras/ink.sft").unlink()

    assert carry_out(machine, plan).done == "removed"
    assert machine.rows == []


def test_a_source_that_changed_after_the_plan_is_not_adopted(machine: RealMachine, store: Store) -> None:
    mine = machine.put("loras/mine.sft", INK)
    plan = machine.plan(store.model("loras/ink.sft", INK))
    mine.write_bytes(WASH)

    assert carry_out(machine, plan).state == "wanted"
    assert machine.visible() == {"loras/mine.sft": WASH}
    assert machine.left() == []


def test_a_file_that_is_replaced_is_never_missing(machine: RealMachine, store: Store) -> None:
    path = machine.models / "loras/ink.sft"
    machine.sync(store.model("loras/ink.sft", INK))
    gaps, is_over = 0, threading.Event()

    def look() -> None:
        nonlocal gaps
        while not is_over.is_set():
            gaps += not path.exists()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        # By a download, and out of the trash.
        for content in (WASH, INK, WASH, INK):
            assert machine.sync(store.model("loras/ink.sft", content))["loras/ink.sft"].state == "ready"
    finally:
        is_over.set()
        looking.join()
    assert gaps == 0
    assert machine.visible() == {"loras/ink.sft": INK}
    assert machine.left() == [f"trash/{sha256(WASH)}"]


def test_a_busy_file_is_replaced_later_and_not_fetched_again(machine: RealMachine, store: Store) -> None:
    machine.sync(store.model("loras/ink.sft", INK))
    wash = store.model("loras/ink.sft", WASH)
    busy = replace(USUAL, why_busy=lambda path: f"ComfyUI renders, and may have {path.name} open.")

    waiting = machine.sync(wash, terms=busy)["loras/ink.sft"]
    assert (waiting.state, waiting.reason) == ("wanted", "ComfyUI renders, and may have ink.sft open.")
    assert machine.visible() == {"loras/ink.sft": INK}
    store.server.seen.clear()

    assert machine.sync(wash)["loras/ink.sft"].state == "ready"
    assert machine.visible() == {"loras/ink.sft": WASH}
    assert store.server.seen == []


@pytest.mark.parametrize("linked", ["loras", "loras/deep", ".modelyard", ".modelyard/trash"])
def test_a_folder_that_became_a_link_is_not_written_through(
    machine: RealMachine, store: Store, outside: Path, linked: str
) -> None:
    machine.sync(store.model("loras/deep/old.sft", WASH), store.model("loras/deep/ink.sft", WASH))
    (machine.work / "trash").mkdir(exist_ok=True)
    plan = machine.plan(store.model("loras/deep/ink.sft", INK))
    assert len(plan.replace) == len(plan.remove) == 1
    (machine.models / linked).rename(machine.models / "away")
    (machine.models / linked).symlink_to(outside)
    before = tree(outside)

    after = machine.carry_out(plan)

    assert all(standing.reason and "link" in standing.reason for standing in after.values())
    assert tree(outside) == before


def test_a_link_that_comes_and_goes_leads_nowhere(machine: RealMachine, store: Store, outside: Path) -> None:
    ink, before = store.model("loras/deep/ink.sft", INK), tree(outside)
    (machine.models / "loras" / "deep").mkdir(parents=True)
    ended = threading.Event()

    def swap(name: str) -> None:
        folder, link = machine.models / name, machine.models / f"{name.replace('/', '-')}.aside"
        folder.mkdir(exist_ok=True)
        link.symlink_to(outside)
        while not ended.is_set():
            for _ in range(2):
                exchange(folder, link)
                time.sleep(0.001)

    swapping = [threading.Thread(target=swap, args=(name,)) for name in (".modelyard", "loras/deep")]
    for thread in swapping:
        thread.start()
    states: set[str | None] = set()
    # Where the links are at which moment is luck, so it goes on until they were in the way and were not.
    for rounds in range(2000):
        states |= {standing.state for standing in machine.sync(ink).values()}
        states |= {standing.state for standing in machine.sync().values()}
        if rounds >= 40 and "ready" in states and states - {"ready", None}:
            break
    ended.set()
    for thread in swapping:
        thread.join()

    assert "ready" in states, "nothing was ever placed: the links were in the wrong place"
    assert states - {"ready", None}, "nothing was ever refused: the links were in the wrong place"
    assert tree(outside) == before
    assert machine.sync(ink)["loras/deep/ink.sft"].state == "ready"


def test_a_root_that_was_deleted_is_said_so_and_comes_back(machine: RealMachine, store: Store) -> None:
    (machine.models / "loras").mkdir()
    plan = machine.plan(store.model("loras/ink.sft", INK))
    (machine.models / "loras").rmdir()

    gone = carry_out(machine, plan)

    assert gone.state == "blocked"
    assert "is not there" in (gone.reason or "")
    assert machine.sync(store.model("loras/ink.sft", INK))["loras/ink.sft"].state == "ready"


def test_a_hard_link_in_the_partial_files_place_is_not_written_through(
    machine: RealMachine, store: Store, outside: Path
) -> None:
    machine.work.mkdir()
    os.link(outside / "ink.sft", machine.work / f"{sha256(INK)}.{machine.agent_id}.part")

    assert machine.sync(store.model("loras/ink.sft", INK))["loras/ink.sft"].state == "ready"
    assert (outside / "ink.sft").read_bytes() == b"somebody else's"


def test_what_another_run_left_beside_a_name_is_no_source(machine: RealMachine, store: Store) -> None:
    machine.put("loras/.ink.sft.render-08.part", INK)

    assert machine.sync(store.model("loras/ink.sft", INK))["loras/ink.sft"].done == "fetched"
