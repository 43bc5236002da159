from dataclasses import replace
from uuid import uuid4

import pytest

from modelyard.client.sync.holding.listing import Kind
from modelyard.client.sync.planning.actions import Plan
from modelyard.client.sync.planning.plan import plan_sync
from modelyard.client.sync.wanted import WantedList, waiting_for
from tests.client.sync.making import MODELS, Disk, model, policy_of, sha256_of
from tests.client.sync.refused import refusal


def test_what_is_nowhere_is_fetched() -> None:
    plan = Disk().plan(model("loras/ink.pt"))
    (fetch,) = plan.fetch
    assert fetch.target.path == MODELS / "loras/ink.pt"
    assert fetch.target.root.work == MODELS / ".modelyard"
    assert replace(plan, fetch=()) == Plan()


def test_what_is_there_and_known_is_kept_and_nothing_is_to_do() -> None:
    disk = Disk()
    disk.placed("loras/ink.pt")
    plan = disk.plan(model("loras/ink.pt"))
    assert plan.is_done
    assert [(keep.path, keep.origin) for keep in plan.keep] == [(MODELS / "loras/ink.pt", "placed")]


def test_a_users_file_in_the_right_place_is_noted_as_found() -> None:
    disk = Disk()
    path = disk.file("loras/ink.pt")
    plan = disk.plan(model("loras/ink.pt"))
    (entry,) = plan.confirm
    assert (entry.path, entry.origin, entry.is_done) == (path, "found", True)
    assert (plan.fetch, plan.adopt, plan.replace) == ((), (), ())


def test_a_found_file_is_never_removed() -> None:
    disk = Disk()
    disk.file("loras/ink.pt")
    disk.row("loras/ink.pt", origin="found")
    plan = disk.plan()
    assert not plan.remove
    assert [entry.origin for entry in plan.forget] == ["found"]


def test_a_found_file_is_never_replaced() -> None:
    disk = Disk()
    disk.file("loras/ink.pt", "old")
    disk.row("loras/ink.pt", "old", origin="found")
    refused = refusal(disk.plan(model("loras/ink.pt", "new")))
    assert refused.state == "conflict"


def test_a_file_whose_successor_waits_to_be_verified_stays() -> None:
    disk = Disk()
    disk.placed("loras/ink.pt", "old")
    gone = disk.placed("loras/gone.pt")
    successor = waiting_for(model("loras/ink.pt", "new", id=uuid4()), "Not verified yet.")
    plan = plan_sync(WantedList(unfit=(successor,)), disk.held(), policy_of())
    assert [removal.target.path for removal in plan.remove] == [gone]
    assert [refusal.model_id for refusal in plan.refuse] == [successor.id]
    assert (plan.fetch, plan.replace, plan.confirm, plan.forget) == ((), (), (), ())


def test_a_placed_file_that_nobody_wants_is_removed() -> None:
    disk = Disk()
    path = disk.placed("loras/ink.pt")
    (removal,) = disk.plan().remove
    assert removal.target.path == path
    assert removal.target.name == "ink.pt"


def test_a_file_of_unknown_origin_is_never_removed() -> None:
    disk = Disk()
    disk.file("loras/ink.pt")
    assert disk.plan() == Plan()


def test_a_placed_file_that_was_changed_is_the_users_from_then_on() -> None:
    disk = Disk()
    disk.file("loras/ink.pt", "mine")
    disk.row("loras/ink.pt", "theirs")
    plan = disk.plan()
    assert not plan.remove
    assert [entry.sha256 for entry in plan.forget] == [sha256_of("theirs")]


def test_new_bytes_replace_a_placed_file() -> None:
    disk = Disk()
    disk.placed("loras/ink.pt", "old")
    (step,) = disk.plan(model("loras/ink.pt", "new")).replace
    assert (step.old.sha256, step.wanted.sha256, step.source) == (sha256_of("old"), sha256_of("new"), None)


def test_a_placed_file_that_was_changed_is_a_conflict_with_both_hashes() -> None:
    disk = Disk()
    disk.file("loras/ink.pt", "mine")
    disk.row("loras/ink.pt", "old")
    plan = disk.plan(model("loras/ink.pt", "new"))
    refused = refusal(plan)
    assert refused.state == "conflict"
    assert "was changed after it was placed" in refused.reason
    assert sha256_of("mine") in refused.reason
    assert sha256_of("new") in refused.reason
    assert plan.is_done


def test_a_foreign_file_in_the_way_is_a_conflict_with_both_hashes() -> None:
    disk = Disk()
    path = disk.file("loras/ink.pt", "mine")
    refused = refusal(disk.plan(model("loras/ink.pt", "new")))
    assert refused.state == "conflict"
    assert str(path) in refused.reason
    assert sha256_of("mine") in refused.reason
    assert sha256_of("new") in refused.reason


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("folder", "is a folder"),
        ("dangling", "leads nowhere"),
        ("other", "a pipe, a socket or a device"),
        ("barred", "needs a folder"),
    ],
)
def test_whatever_else_is_in_the_way_is_said(kind: Kind, words: str) -> None:
    disk = Disk()
    disk.file("loras/ink.pt", kind=kind, sha256=None)
    refused = refusal(disk.plan(model("loras/ink.pt")))
    assert (refused.state, words in refused.reason) == ("conflict", True)


def test_a_file_that_cannot_be_read_waits_for_its_owner() -> None:
    disk = Disk()
    disk.file("loras/ink.pt", kind="unreadable", sha256=None, reason="it cannot be read (Permission denied)")
    refused = refusal(disk.plan(model("loras/ink.pt")))
    assert refused.state == "blocked"
    assert "Permission denied" in refused.reason


def test_a_placed_file_that_cannot_be_read_for_once_stays_the_agents_own() -> None:
    disk = Disk()
    disk.row("loras/ink.pt")
    disk.file("loras/ink.pt", kind="unreadable", sha256=None, reason="it changed while it was read")
    assert disk.plan() == Plan()


def test_a_link_to_the_right_bytes_is_as_good_as_the_file() -> None:
    disk = Disk()
    path = disk.file("loras/ink.pt", kind="link", link=MODELS / "loras/ink.pt")
    plan = disk.plan(model("loras/ink.pt"))
    assert [(keep.path, keep.origin) for keep in plan.keep] == [(path, "found")]
    disk.carry_out(plan)
    assert disk.plan(model("loras/ink.pt")).is_done


def test_a_link_to_other_bytes_is_a_conflict() -> None:
    disk = Disk()
    disk.file("loras/ink.pt", "mine", kind="link", link=MODELS / "loras/ink.pt")
    refused = refusal(disk.plan(model("loras/ink.pt", "new")))
    assert "is a link to another file" in refused.reason
    assert sha256_of("mine") in refused.reason


def test_a_link_is_never_taken_for_what_was_placed() -> None:
    disk = Disk()
    disk.row("loras/ink.pt")
    disk.file("loras/ink.pt", kind="link", link=MODELS / "loras/ink.pt")
    assert not disk.plan().remove


def test_a_folder_that_is_a_link_is_in_the_way_of_its_files() -> None:
    disk = Disk()
    disk.file("loras/sub/ink.pt", kind="other", sha256=None, link=MODELS / "loras/sub")
    assert "models are not placed through links" in refusal(disk.plan(model("loras/sub/ink.pt"))).reason


def test_another_spelling_of_the_name_is_the_file_where_the_file_system_says_so() -> None:
    disk = Disk()
    there = disk.file("loras/INK.pt", "ink")
    disk.files[MODELS / "loras/ink.pt"] = disk.files[there]
    (keep,) = disk.plan(model("loras/ink.pt", "ink")).keep
    assert keep.path == there
    assert keep.remark is not None
    assert "INK.pt" in keep.remark
    assert refusal(disk.plan(model("loras/ink.pt", "new"))).state == "conflict"
