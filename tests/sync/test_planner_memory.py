from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.planning.actions import Plan
from tests.sync.blocked_models import get_only_blocked
from tests.sync.factories import MODELS, SimulatedDisk, build_entry, build_install, hash_text


def test_plan_same_model_with_new_id_takes_over_file() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/ink.pt")
    again = build_entry("loras/ink.pt", id=uuid4())
    plan = disk.plan(again)
    assert [(entry.model_id, entry.origin) for entry in plan.rows_to_write] == [(again.id, "placed")]
    disk.apply(plan)
    assert disk.plan(again).is_empty


def test_plan_damaged_model_in_place_is_kept() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/ink.pt")
    assert disk.plan(build_entry("loras/ink.pt", keep=True)).is_empty


def test_plan_missing_damaged_model_is_blocked() -> None:
    refused = get_only_blocked(SimulatedDisk().plan(build_entry("loras/ink.pt", keep=True)))
    assert (refused.state, "Push the file again" in refused.reason) == ("blocked", True)


def test_plan_damaged_model_keeps_file_at_old_path() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/old.pt", "ink")
    disk.add_user_file("loras/new.pt", "mine")
    plan = disk.plan(build_entry("loras/new.pt", "ink", keep=True))
    assert not plan.remove
    assert [entry.state for entry in plan.blocked] == ["conflict"]


def test_plan_rejected_model_keeps_local_file() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/ink.pt")
    plan = disk.plan(build_entry("loras/ink.pt", file_hash="nonsense"))
    assert not plan.remove
    assert [entry.state for entry in plan.blocked] == ["failed"]


def test_plan_moved_model_keeps_old_file_until_new_one_can_be_placed() -> None:
    disk = SimulatedDisk()
    old = disk.add_placement("loras/old.pt", "ink")
    disk.add_user_file("loras/old.pt", "ink")
    disk.add_user_file("loras/new.pt", "mine")
    plan = disk.plan(build_entry("loras/new.pt", "ink", id=old.model_id))
    assert not plan.remove
    del disk.files[MODELS / "loras/new.pt"]
    plan = disk.plan(build_entry("loras/new.pt", "ink", id=old.model_id))
    assert len(plan.copy_local) == len(plan.remove) == 1


def test_plan_type_without_folder_is_blocked() -> None:
    roots = tuple(root for root in build_install() if root.key != "loras")
    assert get_only_blocked(SimulatedDisk(roots).plan(build_entry("loras/ink.pt"))).state == "blocked"


def test_plan_missing_root_removes_no_file_and_deletes_no_journal_row() -> None:
    roots = build_install(problem="The folder is not there.", is_listed=False)
    disk = SimulatedDisk(roots)
    disk.add_placement("loras/old.pt")
    disk.add_placement("loras/ink.pt")
    plan = disk.plan(build_entry("loras/ink.pt"))
    assert (get_only_blocked(plan).state, get_only_blocked(plan).reason) == ("blocked", "The folder is not there.")
    assert plan.is_empty
    assert plan.notes == ("The folder is not there.",)


def test_plan_read_only_root_keeps_its_models() -> None:
    disk = SimulatedDisk(build_install(problem="It is read-only."))
    disk.add_placed_file("loras/ink.pt")
    disk.add_placed_file("loras/old.pt")
    assert disk.plan(build_entry("loras/ink.pt")).is_empty
    assert get_only_blocked(disk.plan(build_entry("loras/new.pt"))).reason == "It is read-only."


def test_plan_journal_row_outside_all_roots_is_kept() -> None:
    disk = SimulatedDisk()
    disk.add_placement("/elsewhere/ink.pt")
    disk.add_user_file("/elsewhere/ink.pt")
    assert disk.plan() == Plan()


def test_plan_journal_row_of_missing_file_is_deleted() -> None:
    disk = SimulatedDisk()
    disk.add_placement("loras/ink.pt")
    assert len(disk.plan().rows_to_delete) == 1


def get_inode(disk: SimulatedDisk, path: Path) -> int:
    return disk.files[path].inode


def test_plan_unconfirmed_placement_of_same_inode_is_owned() -> None:
    disk = SimulatedDisk()
    path = disk.add_user_file("loras/ink.pt")
    disk.add_placement("loras/ink.pt", is_confirmed=False, inode=get_inode(disk, path))
    plan = disk.plan(build_entry("loras/ink.pt"))
    assert [(entry.origin, entry.is_confirmed) for entry in plan.rows_to_write] == [("placed", True)]


def test_plan_unconfirmed_placement_of_other_inode_is_found() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("loras/ink.pt")
    disk.add_placement("loras/ink.pt", is_confirmed=False, inode=7)
    plan = disk.plan(build_entry("loras/ink.pt"))
    assert [(entry.origin, entry.is_confirmed) for entry in plan.rows_to_write] == [("found", True)]
    assert not disk.plan().remove


def test_plan_unconfirmed_replacement_is_planned_again() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/ink.pt", "old")
    disk.add_placement("loras/ink.pt", "new", is_confirmed=False, inode=7)
    plan = disk.plan(build_entry("loras/ink.pt", "new"))
    assert [entry.sha256 for entry in plan.rows_to_delete] == [hash_text("new")]
    assert [step.old_placement.sha256 for step in plan.replace] == [hash_text("old")]


def test_plan_types_sharing_folder_with_two_contents_for_one_name_is_conflict() -> None:
    roots = tuple(replace(root, path=MODELS / "all") for root in build_install())
    disk = SimulatedDisk(roots)
    plan = disk.plan(build_entry("loras/x.pt", "one"), build_entry("vae/x.pt", "other"))
    assert len(plan.fetch) == len(plan.blocked) == 1
    assert hash_text("one") in plan.blocked[0].reason
    assert hash_text("other") in plan.blocked[0].reason
    disk.apply(plan)
    assert disk.plan(build_entry("loras/x.pt", "one"), build_entry("vae/x.pt", "other")).is_empty


def test_plan_types_sharing_folder_share_one_file() -> None:
    disk = SimulatedDisk(tuple(replace(root, path=MODELS / "all") for root in build_install()))
    both = build_entry("loras/x.pt", "one"), build_entry("vae/x.pt", "one")
    plan = disk.plan(*both)
    assert len(plan.fetch) == 1
    disk.apply(plan)
    assert disk.plan(*both).is_empty


def test_plan_removal_names_innermost_root() -> None:
    outer = RootOnDisk("ours", MODELS, MODELS, MODELS / ".modelyard", 5, 1)
    disk = SimulatedDisk((outer, *build_install()))
    disk.add_placed_file("loras/sub/ink.pt")
    (removal,) = disk.plan().remove
    assert (removal.target.root.key, removal.target.name) == ("loras", "sub/ink.pt")
