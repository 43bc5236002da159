import pytest

from modelyard.client.sync.planning.brake import removal_token
from tests.client.sync.making import Disk, model


def disk_with(placed: int) -> Disk:
    disk = Disk()
    for number in range(placed):
        disk.placed(f"loras/{number}.pt")
    return disk


@pytest.mark.parametrize(
    ("placed", "removed", "waits"),
    [
        (3, 3, False),
        (4, 4, True),
        (15, 3, False),
        (19, 4, True),
        (20, 4, False),
        (50, 10, False),
        (49, 10, True),
        (1000, 10, False),
        (1000, 11, True),
        (1000, 1000, True),
    ],
)
def test_many_removals_wait_for_a_person(placed: int, removed: int, waits: bool) -> None:
    plan = disk_with(placed).plan(*(model(f"loras/{number}.pt") for number in range(removed, placed)))
    if waits:
        assert plan.held is not None
        assert (len(plan.held.removals), plan.remove) == (removed, ())
        assert f"{removed} of the {placed} files" in plan.held.reason
    else:
        assert (plan.held, len(plan.remove)) == (None, removed)


def test_an_empty_manifest_empties_no_machine() -> None:
    plan = disk_with(100).plan()
    assert plan.is_done
    assert plan.held is not None


def test_an_approval_lets_exactly_these_files_go() -> None:
    disk = disk_with(30)
    held = disk.plan().held
    assert held is not None
    plan = disk.plan(approved_removal=held.token)
    assert (plan.remove, plan.held) == (held.removals, None)


def test_an_old_approval_does_not_approve_another_set() -> None:
    disk = disk_with(30)
    held = disk.plan(model("loras/0.pt")).held
    assert held is not None
    assert disk.plan(approved_removal=held.token).held is not None


def test_an_approval_does_not_cover_other_bytes_under_the_same_names() -> None:
    disk = disk_with(30)
    held = disk.plan().held
    assert held is not None
    disk.placed("loras/0.pt", "other bytes")
    assert disk.plan(approved_removal=held.token).held is not None


def test_the_token_depends_on_no_order() -> None:
    held = disk_with(30).plan().held
    assert held is not None
    assert removal_token(reversed(held.removals)) == held.token


def test_what_is_held_back_holds_nothing_else_up() -> None:
    plan = disk_with(30).plan(model("loras/new.pt"))
    assert plan.held is not None
    assert len(plan.fetch) == 1


def test_whoever_wants_everything_gone_says_so() -> None:
    disk = disk_with(30)
    disk.file("loras/mine.pt")
    assert len(disk.plan(has_brake=False).remove) == 30
