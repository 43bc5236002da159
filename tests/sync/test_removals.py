"""What a machine records of its removals, on a real disk."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.comfyui.layout import Root
from modelyard.sync.inventory.state_db import StateFile
from modelyard.wire.agents.manifests import ManifestEntry
from tests.sync.real_machine import ModelStore, RealMachine
from tests.sync.recorded_times import age_removals

NAMES = [f"loras/{number}.sft" for number in range(5)]


@pytest.fixture
def five(machine: RealMachine, store: ModelStore) -> list[ManifestEntry]:
    """Five models that are all on the machine."""
    models = [store.add_model(name, name.encode()) for name in NAMES]
    machine.sync(*models)
    return models


def list_recent_removals(machine: RealMachine) -> set[str]:
    with machine.open_state() as opened:
        return {str(path.relative_to(machine.models)) for path in opened.journal.list_recent_removals()}


def get_state_file(machine: RealMachine) -> Path:
    return machine.state / f"{machine.agent_id}.sqlite"


def test_apply_removals_one_per_plan_are_held_at_the_same_limit(
    machine: RealMachine, five: list[ManifestEntry]
) -> None:
    for number in range(1, 6):
        machine.sync(*five[number:])
    assert list(machine.read_files()) == NAMES[3:]
    assert list_recent_removals(machine) == set(NAMES[:3])
    held = machine.plan().held_removals
    assert held is not None
    machine.sync(approved_removal_tokens=frozenset({held.token}))
    assert machine.read_files() == {}
    assert list_recent_removals(machine) == set()


def test_apply_removals_stop_counting_after_an_hour(machine: RealMachine, five: list[ManifestEntry]) -> None:
    machine.sync(*five[3:])
    assert machine.plan(*five[4:]).held_removals is not None
    age_removals(get_state_file(machine), 61 * 60)
    assert machine.plan(*five[4:]).held_removals is None


def test_apply_removals_without_limit_do_not_count(machine: RealMachine, five: list[ManifestEntry]) -> None:
    machine.sync(*five[2:])
    assert list_recent_removals(machine) == set(NAMES[:2])
    machine.sync(*five[3:], has_removal_limit=False)
    assert list(machine.read_files()) == NAMES[3:]
    assert list_recent_removals(machine) == set()


def test_apply_plan_without_removals_keeps_removal_count(machine: RealMachine, five: list[ManifestEntry]) -> None:
    machine.sync(*five[2:])
    machine.sync(*five[2:], has_removal_limit=False)
    assert list_recent_removals(machine) == set(NAMES[:2])


def test_apply_removal_that_cannot_be_recorded_is_not_made(machine: RealMachine, five: list[ManifestEntry]) -> None:
    with StateFile(get_state_file(machine)) as state, state.transaction() as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON removals BEGIN SELECT RAISE(ABORT, 'no room'); END")
    done = machine.sync(*five[1:])
    assert "cannot be used: no room" in (done["loras/0.sft"].reason or "")
    assert list(machine.read_files()) == NAMES


def test_file_in_the_former_folder_of_its_type_stays_and_takes_nothing_of_the_disk_budget(
    machine: RealMachine, store: ModelStore, tmp_path: Path
) -> None:
    face, ink = store.add_model("ipadapter/face.sft", b"face"), store.add_model("loras/ink.sft", b"ink.")
    machine.sync(face, disk_budget_bytes=8)
    # A custom node has registered another folder, after which ComfyUI does not search the former one.
    moved = tmp_path / "other" / "ipadapter"
    moved.mkdir(parents=True)
    [install] = machine.installs
    machine.installs = (replace(install, roots=(*install.roots, Root("ipadapter", moved))),)

    for _ in range(2):
        states = machine.sync(face, ink, disk_budget_bytes=8)
        assert {path: state.state for path, state in states.items()} == {
            "ipadapter/face.sft": "ready",
            "loras/ink.sft": "ready",
        }
    assert set(machine.read_files()) == {"ipadapter/face.sft", "loras/ink.sft"}
    assert (moved / "face.sft").read_bytes() == b"face"
