from dataclasses import replace
from uuid import uuid4

import pytest

from modelyard.sync.desired import DesiredState, build_waiting_entry
from modelyard.sync.inventory.listing import EntryKind
from modelyard.sync.planning.actions import Plan
from modelyard.sync.planning.planner import plan_sync
from tests.sync.blocked_models import get_only_blocked
from tests.sync.factories import MODELS, SimulatedDisk, build_entry, build_policy, hash_text


def test_plan_missing_model_is_downloaded() -> None:
    plan = SimulatedDisk().plan(build_entry("loras/ink.pt"))
    (fetch,) = plan.fetch
    assert fetch.target.path == MODELS / "loras/ink.pt"
    assert fetch.target.root.work_folder == MODELS / ".modelyard"
    assert replace(plan, fetch=()) == Plan()


def test_plan_placed_model_is_kept_and_plan_is_empty() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/ink.pt")
    plan = disk.plan(build_entry("loras/ink.pt"))
    assert plan.is_empty
    assert [(keep.path, keep.origin) for keep in plan.keep] == [(MODELS / "loras/ink.pt", "placed")]


def test_plan_user_file_in_place_is_recorded_as_found() -> None:
    disk = SimulatedDisk()
    path = disk.add_user_file("loras/ink.pt")
    plan = disk.plan(build_entry("loras/ink.pt"))
    (entry,) = plan.rows_to_write
    assert (entry.path, entry.origin, entry.is_confirmed) == (path, "found", True)
    assert (plan.fetch, plan.copy_local, plan.replace) == ((), (), ())


def test_plan_found_file_is_never_removed() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("loras/ink.pt")
    disk.add_placement("loras/ink.pt", origin="found")
    plan = disk.plan()
    assert not plan.remove
    assert [entry.origin for entry in plan.rows_to_delete] == ["found"]


def test_plan_found_file_is_never_replaced() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("loras/ink.pt", "old")
    disk.add_placement("loras/ink.pt", "old", origin="found")
    refused = get_only_blocked(disk.plan(build_entry("loras/ink.pt", "new")))
    assert refused.state == "conflict"


def test_plan_file_at_path_of_unverified_model_is_not_removed() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/ink.pt", "old")
    gone = disk.add_placed_file("loras/gone.pt")
    unverified = build_waiting_entry(build_entry("loras/ink.pt", "new", id=uuid4()), "Not verified yet.")
    plan = plan_sync(DesiredState(rejected=(unverified,)), disk.build_inventory(), build_policy())
    assert [removal.target.path for removal in plan.remove] == [gone]
    assert [blocked.model_id for blocked in plan.blocked] == [unverified.id]
    assert (plan.fetch, plan.replace, plan.rows_to_write, plan.rows_to_delete) == ((), (), (), ())


@pytest.mark.parametrize("present", ["old", "new"])
def test_plan_file_of_model_with_conflicting_pins_stays_as_it_is(present: str) -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/ink.pt", present)
    disk.add_user_file("loras/other.pt", "new")
    conflict = "'A' pins version 1, 'B' pins version 2"
    plan = disk.plan(build_entry("loras/ink.pt", "new", keep=True, pin_conflict=conflict))
    blocked = get_only_blocked(plan)
    assert (blocked.state, blocked.reason.partition(". ")[0]) == ("blocked", f"pin-conflict: {conflict}")
    assert (plan.fetch, plan.replace, plan.remove, plan.rows_to_delete) == ((), (), (), ())


def test_plan_placed_file_not_desired_is_removed() -> None:
    disk = SimulatedDisk()
    path = disk.add_placed_file("loras/ink.pt")
    (removal,) = disk.plan().remove
    assert removal.target.path == path
    assert removal.target.name == "ink.pt"


def test_plan_file_without_journal_row_is_never_removed() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("loras/ink.pt")
    assert disk.plan() == Plan()


def test_plan_placed_file_changed_by_user_is_not_removed() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("loras/ink.pt", "mine")
    disk.add_placement("loras/ink.pt", "theirs")
    plan = disk.plan()
    assert not plan.remove
    assert [entry.sha256 for entry in plan.rows_to_delete] == [hash_text("theirs")]


def test_plan_new_content_replaces_placed_file() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/ink.pt", "old")
    (step,) = disk.plan(build_entry("loras/ink.pt", "new")).replace
    assert (step.old_placement.sha256, step.desired.sha256, step.source) == (hash_text("old"), hash_text("new"), None)


def test_plan_new_version_with_content_in_place_keeps_file() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/ink.pt", "same")
    (keep,) = disk.plan(build_entry("loras/ink.pt", "same", version=3)).keep
    assert keep.desired.version == 3


def test_plan_blocked_version_has_its_number() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("loras/ink.pt", "mine")
    assert get_only_blocked(disk.plan(build_entry("loras/ink.pt", "new", version=4))).version == 4


def test_plan_changed_placed_file_is_conflict_with_both_hashes() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("loras/ink.pt", "mine")
    disk.add_placement("loras/ink.pt", "old")
    plan = disk.plan(build_entry("loras/ink.pt", "new"))
    refused = get_only_blocked(plan)
    assert refused.state == "conflict"
    assert "was changed after it was placed" in refused.reason
    assert hash_text("mine") in refused.reason
    assert hash_text("new") in refused.reason
    assert plan.is_empty


def test_plan_user_file_with_other_content_is_conflict_with_both_hashes() -> None:
    disk = SimulatedDisk()
    path = disk.add_user_file("loras/ink.pt", "mine")
    refused = get_only_blocked(disk.plan(build_entry("loras/ink.pt", "new")))
    assert refused.state == "conflict"
    assert str(path) in refused.reason
    assert hash_text("mine") in refused.reason
    assert hash_text("new") in refused.reason


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("folder", "is a folder"),
        ("dangling", "broken link"),
        ("other", "a pipe, a socket or a device"),
        ("parent_is_file", "needs a folder"),
    ],
)
def test_plan_other_obstacle_is_conflict_with_reason(kind: EntryKind, words: str) -> None:
    disk = SimulatedDisk()
    disk.add_user_file("loras/ink.pt", kind=kind, sha256=None)
    refused = get_only_blocked(disk.plan(build_entry("loras/ink.pt")))
    assert (refused.state, words in refused.reason) == ("conflict", True)


def test_plan_unreadable_file_blocks_model() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("loras/ink.pt", kind="unreadable", sha256=None, reason="it cannot be read (Permission denied)")
    refused = get_only_blocked(disk.plan(build_entry("loras/ink.pt")))
    assert refused.state == "blocked"
    assert "Permission denied" in refused.reason


def test_plan_unreadable_placed_file_keeps_its_row_and_is_not_removed() -> None:
    disk = SimulatedDisk()
    disk.add_placement("loras/ink.pt")
    disk.add_user_file("loras/ink.pt", kind="unreadable", sha256=None, reason="it changed while it was read")
    assert disk.plan() == Plan()


def test_plan_link_to_right_content_is_kept() -> None:
    disk = SimulatedDisk()
    path = disk.add_user_file("loras/ink.pt", kind="link", link=MODELS / "loras/ink.pt")
    plan = disk.plan(build_entry("loras/ink.pt"))
    assert [(keep.path, keep.origin) for keep in plan.keep] == [(path, "found")]
    disk.apply(plan)
    assert disk.plan(build_entry("loras/ink.pt")).is_empty


def test_plan_link_to_other_content_is_conflict() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("loras/ink.pt", "mine", kind="link", link=MODELS / "loras/ink.pt")
    refused = get_only_blocked(disk.plan(build_entry("loras/ink.pt", "new")))
    assert refused.state == "conflict"
    assert "is a link to another file" in refused.reason
    assert hash_text("mine") in refused.reason


def test_plan_link_at_placed_path_is_not_removed() -> None:
    disk = SimulatedDisk()
    disk.add_placement("loras/ink.pt")
    disk.add_user_file("loras/ink.pt", kind="link", link=MODELS / "loras/ink.pt")
    assert not disk.plan().remove


def test_plan_link_to_folder_blocks_files_below_it() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("loras/sub/ink.pt", kind="other", sha256=None, link=MODELS / "loras/sub")
    assert "models are not placed through links" in get_only_blocked(disk.plan(build_entry("loras/sub/ink.pt"))).reason


def test_plan_other_spelling_of_same_file_is_kept() -> None:
    disk = SimulatedDisk()
    there = disk.add_user_file("loras/INK.pt", "ink")
    disk.files[MODELS / "loras/ink.pt"] = disk.files[there]
    (keep,) = disk.plan(build_entry("loras/ink.pt", "ink")).keep
    assert keep.path == there
    assert keep.remark is not None
    assert "INK.pt" in keep.remark
    assert get_only_blocked(disk.plan(build_entry("loras/ink.pt", "new"))).state == "conflict"
