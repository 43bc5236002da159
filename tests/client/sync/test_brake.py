import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.client.sync.planning.brake import removal_token
from modelyard.wire.agents import WantedModel
from tests.client.sync.making import MODELS, Disk, model


def disk_with(placed: int) -> Disk:
    disk = Disk()
    for number in range(placed):
        disk.placed(f"loras/{number}.pt")
    return disk


def without(disk: Disk, *numbers: int) -> list[WantedModel]:
    """All models of the disk but those with these numbers."""
    gone = {f"{number}.pt" for number in numbers}
    return [model(f"loras/{path.name}") for path, _ in disk.entries if path.name not in gone]


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


@pytest.mark.parametrize(
    ("placed", "lately", "removed", "waits"),
    [
        (12, 2, 1, False),
        (16, 3, 1, True),  # a fifth of the 19 that there were
        (17, 3, 1, False),
        (40, 9, 1, True),
        (41, 9, 1, False),
        (1000, 9, 2, True),
        (1000, 10, 1, True),
        (1000, 1000, 1, True),
    ],
)
def test_what_was_removed_lately_counts(placed: int, lately: int, removed: int, waits: bool) -> None:
    disk = disk_with(placed)
    disk.removed = {MODELS / f"loras/old{number}.pt" for number in range(lately)}
    plan = disk.plan(*without(disk, *range(removed)))
    assert (plan.held is not None) == waits
    if plan.held is not None:
        assert f"and {lately} others were removed within the last hour" in plan.held.reason


def test_the_finding_speaks_of_one_file_as_one() -> None:
    disk = disk_with(30)
    disk.removed = {MODELS / "loras/old.pt"}
    many = disk.plan(*without(disk, *range(10))).held
    disk.removed |= {MODELS / f"loras/old{number}.pt" for number in range(9)}
    one = disk.plan(*without(disk, 0)).held
    assert many is not None
    assert many.finding.endswith("are not wanted any more, and 1 other was removed within the last hour.")
    assert one is not None
    assert "(10 B) is not wanted any more, and 10 others were removed" in one.finding


def test_a_plan_without_removals_is_never_held() -> None:
    disk = disk_with(5)
    disk.removed = {MODELS / f"loras/old{number}.pt" for number in range(1000)}
    assert disk.plan(*without(disk)).held is None


def test_what_came_back_does_not_count() -> None:
    disk = disk_with(5)
    for _ in range(10):
        disk.carry_out(disk.plan(*without(disk, 0, 1)))
        assert len(disk.files) == 3
        disk.carry_out(disk.plan(*(model(f"loras/{number}.pt") for number in range(5))))
        assert len(disk.files) == 5


def test_what_could_not_be_removed_counts_once() -> None:
    disk = disk_with(5)
    disk.removed = {MODELS / f"loras/{number}.pt" for number in range(3)}
    assert disk.plan(*without(disk, 0, 1, 2)).held is None


def test_new_bytes_under_an_old_name_are_no_removal() -> None:
    disk = disk_with(5)
    disk.removed = {MODELS / f"loras/old{number}.pt" for number in range(3)}
    plan = disk.plan(*(model(f"loras/{number}.pt", "new") for number in range(5)))
    assert (plan.held, len(plan.replace)) == (None, 5)


def test_a_plan_says_whether_its_removals_were_approved() -> None:
    disk = disk_with(30)
    few, held = disk.plan(*without(disk, 0)), disk.plan().held
    assert held is not None
    assert not few.is_removal_approved
    assert disk.plan(approved_removal=held.token).is_removal_approved
    assert disk.plan(*without(disk, 0), has_brake=False).is_removal_approved
    assert not disk.plan(*without(disk, 0), approved_removal=held.token).is_removal_approved


@settings(deadline=None)
@given(st.integers(1, 80), st.data())
def test_in_however_many_steps_no_more_goes_than_at_once(placed: int, data: st.DataObject) -> None:
    disk, unwanted = disk_with(placed), set[int]()
    for _ in range(data.draw(st.integers(1, 12))):
        unwanted |= data.draw(st.sets(st.integers(0, placed - 1), max_size=9))
        disk.carry_out(disk.plan(*(model(f"loras/{number}.pt") for number in set(range(placed)) - unwanted)))
    gone = placed - len(disk.files)
    assert gone <= 10
    assert gone <= 3 or gone <= placed / 5
    if len(unwanted) <= 3 or len(unwanted) <= min(10, placed / 5):
        assert gone == len(unwanted)
