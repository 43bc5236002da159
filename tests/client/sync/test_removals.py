"""What a machine remembers of its removals, on a real disk."""

from pathlib import Path

import pytest

from modelyard.client.sync.holding.state import StateFile
from modelyard.wire.agents import WantedModel
from tests.client.sync.ageing import aged
from tests.client.sync.real import RealMachine, Store

NAMES = [f"loras/{number}.sft" for number in range(5)]


@pytest.fixture
def five(machine: RealMachine, store: Store) -> list[WantedModel]:
    """Five models, all of them on the machine."""
    models = [store.model(name, name.encode()) for name in NAMES]
    machine.sync(*models)
    return models


def removed(machine: RealMachine) -> set[str]:
    with machine.opened() as opened:
        return {str(path.relative_to(machine.models)) for path in opened.journal.removed_lately()}


def file_of(machine: RealMachine) -> Path:
    return machine.state / f"{machine.agent_id}.sqlite"


def test_one_by_one_no_more_go_than_at_once(machine: RealMachine, five: list[WantedModel]) -> None:
    for number in range(1, 6):
        machine.sync(*five[number:])
    assert list(machine.visible()) == NAMES[3:]
    assert removed(machine) == set(NAMES[:3])
    held = machine.plan().held
    assert held is not None
    machine.sync(approved_removal=held.token)
    assert machine.visible() == {}
    assert removed(machine) == set()


def test_an_hour_later_it_is_forgotten(machine: RealMachine, five: list[WantedModel]) -> None:
    machine.sync(*five[3:])
    assert machine.plan(*five[4:]).held is not None
    aged(file_of(machine), 61 * 60)
    assert machine.plan(*five[4:]).held is None


def test_where_there_is_no_brake_nothing_counts(machine: RealMachine, five: list[WantedModel]) -> None:
    machine.sync(*five[2:])
    assert removed(machine) == set(NAMES[:2])
    machine.sync(*five[3:], has_brake=False)
    assert list(machine.visible()) == NAMES[3:]
    assert removed(machine) == set()


def test_a_plan_that_removes_nothing_changes_no_count(machine: RealMachine, five: list[WantedModel]) -> None:
    machine.sync(*five[2:])
    machine.sync(*five[2:], has_brake=False)
    assert removed(machine) == set(NAMES[:2])


def test_what_cannot_be_counted_is_not_removed(machine: RealMachine, five: list[WantedModel]) -> None:
    with StateFile(file_of(machine)) as state, state.transaction() as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON removals BEGIN SELECT RAISE(ABORT, 'no room'); END")
    done = machine.sync(*five[1:])
    assert "cannot be used: no room" in (done["0.sft"].reason or "")
    assert list(machine.visible()) == NAMES
