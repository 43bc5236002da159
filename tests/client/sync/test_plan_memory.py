from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from modelyard.client.sync.holding.roots import RootOnDisk
from modelyard.client.sync.planning.actions import Plan
from tests.client.sync.making import MODELS, Disk, install, model, sha256_of
from tests.client.sync.refused import refusal


def test_a_model_under_another_id_takes_over_the_file() -> None:
    disk = Disk()
    disk.placed("loras/ink.pt")
    again = model("loras/ink.pt", id=uuid4())
    plan = disk.plan(again)
    assert [(entry.model_id, entry.origin) for entry in plan.confirm] == [(again.id, "placed")]
    disk.carry_out(plan)
    assert disk.plan(again).is_done


def test_a_damaged_model_is_kept_where_it_is() -> None:
    disk = Disk()
    disk.placed("loras/ink.pt")
    assert disk.plan(model("loras/ink.pt", keep=True)).is_done


def test_a_damaged_model_is_fetched_by_nobody() -> None:
    refused = refusal(Disk().plan(model("loras/ink.pt", keep=True)))
    assert (refused.state, "push it again" in refused.reason) == ("blocked", True)


def test_a_damaged_model_keeps_the_bytes_that_are_under_its_old_path() -> None:
    disk = Disk()
    disk.placed("loras/old.pt", "ink")
    disk.file("loras/new.pt", "mine")
    plan = disk.plan(model("loras/new.pt", "ink", keep=True))
    assert not plan.remove
    assert [entry.state for entry in plan.refuse] == ["conflict"]


def test_what_is_refused_keeps_what_is_here_of_it() -> None:
    disk = Disk()
    disk.placed("loras/ink.pt")
    plan = disk.plan(model("loras/ink.pt", file_hash="nonsense"))
    assert not plan.remove
    assert [entry.state for entry in plan.refuse] == ["failed"]


def test_a_moved_model_keeps_its_old_file_until_the_new_one_can_be_placed() -> None:
    disk = Disk()
    old = disk.row("loras/old.pt", "ink")
    disk.file("loras/old.pt", "ink")
    disk.file("loras/new.pt", "mine")
    plan = disk.plan(model("loras/new.pt", "ink", id=old.model_id))
    assert not plan.remove
    del disk.files[MODELS / "loras/new.pt"]
    plan = disk.plan(model("loras/new.pt", "ink", id=old.model_id))
    assert len(plan.adopt) == len(plan.remove) == 1


def test_a_type_that_no_folder_is_for_is_refused() -> None:
    roots = tuple(root for root in install() if root.key != "loras")
    assert refusal(Disk(roots).plan(model("loras/ink.pt"))).state == "blocked"


def test_a_folder_that_is_away_loses_nothing() -> None:
    roots = install(trouble="The folder is not there.", is_listed=False)
    disk = Disk(roots)
    disk.row("loras/old.pt")
    disk.row("loras/ink.pt")
    plan = disk.plan(model("loras/ink.pt"))
    assert (refusal(plan).state, refusal(plan).reason) == ("blocked", "The folder is not there.")
    assert plan.is_done
    assert plan.notes == ("The folder is not there.",)


def test_a_folder_that_may_not_be_written_is_read_all_the_same() -> None:
    disk = Disk(install(trouble="It is read-only."))
    disk.placed("loras/ink.pt")
    disk.placed("loras/old.pt")
    assert disk.plan(model("loras/ink.pt")).is_done
    assert refusal(disk.plan(model("loras/new.pt"))).reason == "It is read-only."


def test_a_row_about_a_folder_that_is_no_root_any_more_is_left_alone() -> None:
    disk = Disk()
    disk.row("/elsewhere/ink.pt")
    disk.file("/elsewhere/ink.pt")
    assert disk.plan() == Plan()


def test_a_row_whose_file_is_gone_is_forgotten() -> None:
    disk = Disk()
    disk.row("loras/ink.pt")
    assert len(disk.plan().forget) == 1


def inode_of(disk: Disk, path: Path) -> int:
    return disk.files[path].inode


def test_a_placement_that_a_kill_left_open_is_the_agents_if_it_is_the_same_file() -> None:
    disk = Disk()
    path = disk.file("loras/ink.pt")
    disk.row("loras/ink.pt", is_done=False, inode=inode_of(disk, path))
    plan = disk.plan(model("loras/ink.pt"))
    assert [(entry.origin, entry.is_done) for entry in plan.confirm] == [("placed", True)]


def test_a_placement_that_somebody_else_made_meanwhile_is_found() -> None:
    disk = Disk()
    disk.file("loras/ink.pt")
    disk.row("loras/ink.pt", is_done=False, inode=7)
    plan = disk.plan(model("loras/ink.pt"))
    assert [(entry.origin, entry.is_done) for entry in plan.confirm] == [("found", True)]
    assert not disk.plan().remove


def test_a_replacement_that_a_kill_left_open_is_made_again() -> None:
    disk = Disk()
    disk.placed("loras/ink.pt", "old")
    disk.row("loras/ink.pt", "new", is_done=False, inode=7)
    plan = disk.plan(model("loras/ink.pt", "new"))
    assert [entry.sha256 for entry in plan.forget] == [sha256_of("new")]
    assert [step.old.sha256 for step in plan.replace] == [sha256_of("old")]


def test_two_types_that_share_a_folder_cannot_have_two_files_of_one_name() -> None:
    roots = tuple(replace(root, path=MODELS / "all") for root in install())
    disk = Disk(roots)
    plan = disk.plan(model("loras/x.pt", "one"), model("vae/x.pt", "other"))
    assert len(plan.fetch) == len(plan.refuse) == 1
    assert sha256_of("one") in plan.refuse[0].reason
    assert sha256_of("other") in plan.refuse[0].reason
    disk.carry_out(plan)
    assert disk.plan(model("loras/x.pt", "one"), model("vae/x.pt", "other")).is_done


def test_two_types_that_share_a_folder_share_a_file() -> None:
    disk = Disk(tuple(replace(root, path=MODELS / "all") for root in install()))
    both = model("loras/x.pt", "one"), model("vae/x.pt", "one")
    plan = disk.plan(*both)
    assert len(plan.fetch) == 1
    disk.carry_out(plan)
    assert disk.plan(*both).is_done


def test_the_innermost_folder_is_the_one_that_a_removal_names() -> None:
    outer = RootOnDisk("ours", MODELS, MODELS, MODELS / ".modelyard", 5, 1)
    disk = Disk((outer, *install()))
    disk.placed("loras/sub/ink.pt")
    (removal,) = disk.plan().remove
    assert (removal.target.root.key, removal.target.name) == ("loras", "sub/ink.pt")
