"""Whether a machine can run a workflow, and why not."""

from dataclasses import replace
from uuid import UUID

import pytest

from modelyard.server.workflows.readiness import (
    MachineFacts,
    NeededModel,
    Replica,
    decide_readiness,
    describe_absent_files,
)

INK = NeededModel(UUID(int=1), "Ink", 2_000_000_000, "gpu24")
BASE = NeededModel(UUID(int=2), "Base", 6_000_000_000, "")
READY = {INK.id: Replica("ready"), BASE.id: Replica("ready")}
MACHINE = MachineFacts("render-07", "gpu24", None, None, None, frozenset(), READY)


def test_machine_with_all_models_is_ready() -> None:
    found = decide_readiness(MACHINE, [INK, BASE])
    assert (found.readiness, found.seconds, found.reason, found.missing_list) == ("ready", 0, None, [])


def test_machine_without_any_requirement_is_ready() -> None:
    assert decide_readiness(replace(MACHINE, replicas={}), []).readiness == "ready"


def test_offline_machine_with_all_models_is_ready_and_says_that_it_is_offline() -> None:
    found = decide_readiness(replace(MACHINE, absent="The agent was stopped."), [INK])
    assert (found.readiness, found.reason) == ("ready", "The agent was stopped.")


def test_machine_that_downloads_is_ready_soon_at_its_present_rate() -> None:
    machine = replace(
        MACHINE, replicas=READY | {INK.id: Replica("downloading", None, 500_000_000)}, bytes_per_second=15_000_000
    )
    found = decide_readiness(machine, [INK, BASE])
    assert (found.readiness, found.seconds) == ("soon", 100)


def test_machine_with_other_labels_needs_an_assignment() -> None:
    machine = replace(MACHINE, label_set="gpu8", replicas={BASE.id: Replica("ready")})
    found = decide_readiness(machine, [INK, BASE])
    assert (found.readiness, found.seconds, found.missing_list) == ("assignable", 20, [INK.id])
    assert decide_readiness(replace(machine, assigned=frozenset({INK.id})), [INK, BASE]).readiness == "soon"


@pytest.mark.parametrize(("version", "readiness"), [(None, "ready"), (1, "ready"), (2, "cannot")])
def test_machine_with_a_pinned_version_is_ready_unless_another_is_declared(version: int | None, readiness: str) -> None:
    found = decide_readiness(replace(MACHINE, pins={INK.id: 1}), [replace(INK, version=version), BASE])
    assert found.readiness == readiness


@pytest.mark.parametrize(
    ("machine", "needed", "reason"),
    [
        (replace(MACHINE, absent="The agent was stopped.", replicas={}), [INK], "The agent was stopped."),
        (replace(MACHINE, replicas={INK.id: Replica("conflict", "A file of yours.")}), [INK], "A file of yours."),
        (replace(MACHINE, replicas={INK.id: Replica("blocked")}), [INK], '"Ink" cannot be placed there.'),
        (replace(MACHINE, replicas={INK.id: Replica("ready", "ComfyUI…")}), [INK], "ComfyUI…"),
        (
            replace(MACHINE, pins={INK.id: 1}),
            [replace(INK, version=2)],
            '"Ink" is pinned to version 1 there, and the workflow needs version 2.',
        ),
        (replace(MACHINE, replicas={}), [replace(INK, unavailable="is disabled")], '"Ink" is disabled.'),
        (
            replace(MACHINE, replicas={}, disk_free=1_000_000_000),
            [INK],
            "It needs 2.0 GB more, and its disk has 1.0 GB free.",
        ),
    ],
    ids=["offline", "conflict", "blocked", "not loaded", "other version pinned", "disabled", "disk full"],
)
def test_machine_that_cannot_run_the_workflow_says_why(
    machine: MachineFacts, needed: list[NeededModel], reason: str
) -> None:
    found = decide_readiness(machine, needed)
    assert (found.readiness, found.seconds, found.reason) == ("cannot", None, reason)


def test_absent_files_are_named_up_to_three() -> None:
    assert describe_absent_files(["a", "b", "c", "d"]) == 'The registry has no file for "a", "b", "c" and 1 more.'
    assert describe_absent_files([]) is None
