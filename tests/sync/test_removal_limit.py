import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.sync.planning.removal_limit import build_removal_token
from modelyard.wire.agents.manifests import ManifestEntry
from tests.sync.factories import MODELS, SimulatedDisk, build_entry, hash_text


def build_disk(placed: int) -> SimulatedDisk:
    disk = SimulatedDisk()
    for number in range(placed):
        disk.add_placed_file(f"loras/{number}.pt")
    return disk


def list_entries_without(disk: SimulatedDisk, *numbers: int) -> list[ManifestEntry]:
    """Return the entries of all models on the disk except those with these numbers."""
    gone = {f"{number}.pt" for number in numbers}
    return [build_entry(f"loras/{path.name}") for path, _ in disk.placements if path.name not in gone]


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
def test_plan_removals_beyond_limit_are_held(placed: int, removed: int, waits: bool) -> None:
    plan = build_disk(placed).plan(*(build_entry(f"loras/{number}.pt") for number in range(removed, placed)))
    if waits:
        assert plan.held_removals is not None
        assert (len(plan.held_removals.removals), plan.remove) == (removed, ())
        assert f"{removed} of the {placed} files" in plan.held_removals.reason
    else:
        assert (plan.held_removals, len(plan.remove)) == (None, removed)


def test_plan_empty_manifest_removals_are_held() -> None:
    plan = build_disk(100).plan()
    assert plan.is_empty
    assert plan.held_removals is not None


def test_plan_approval_allows_exactly_its_files() -> None:
    disk = build_disk(30)
    held = disk.plan().held_removals
    assert held is not None
    plan = disk.plan(approved_removal_tokens=frozenset({"0" * 64, held.token}))
    assert (plan.remove, plan.held_removals, plan.approved_removal_token) == (held.removals, None, held.token)


def test_plan_old_approval_does_not_allow_other_set() -> None:
    disk = build_disk(30)
    held = disk.plan(build_entry("loras/0.pt")).held_removals
    assert held is not None
    plan = disk.plan(approved_removal_tokens=frozenset({held.token}))
    assert plan.held_removals is not None
    assert plan.approved_removal_token is None


def test_plan_approval_does_not_allow_other_content_of_same_names() -> None:
    disk = build_disk(30)
    held = disk.plan().held_removals
    assert held is not None
    disk.add_placed_file("loras/0.pt", "other bytes")
    assert disk.plan(approved_removal_tokens=frozenset({held.token})).held_removals is not None


def test_removal_token_is_independent_of_order() -> None:
    held = build_disk(30).plan().held_removals
    assert held is not None
    assert build_removal_token(reversed(held.removals)) == held.token


def test_plan_held_removals_do_not_delay_other_actions() -> None:
    plan = build_disk(30).plan(build_entry("loras/new.pt"))
    assert plan.held_removals is not None
    assert len(plan.fetch) == 1


def test_plan_without_removal_limit_removes_everything() -> None:
    disk = build_disk(30)
    disk.add_user_file("loras/mine.pt")
    assert len(disk.plan(has_removal_limit=False).remove) == 30


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
def test_plan_recent_removals_count_towards_limit(placed: int, lately: int, removed: int, waits: bool) -> None:
    disk = build_disk(placed)
    disk.recent_removals = {MODELS / f"loras/old{number}.pt" for number in range(lately)}
    plan = disk.plan(*list_entries_without(disk, *range(removed)))
    assert (plan.held_removals is not None) == waits
    if plan.held_removals is not None:
        assert f"and {lately} others were removed within the last hour" in plan.held_removals.reason


def test_held_removals_summary_uses_singular_for_one_file() -> None:
    disk = build_disk(30)
    disk.recent_removals = {MODELS / "loras/old.pt"}
    many = disk.plan(*list_entries_without(disk, *range(10))).held_removals
    disk.recent_removals |= {MODELS / f"loras/old{number}.pt" for number in range(9)}
    one = disk.plan(*list_entries_without(disk, 0)).held_removals
    assert many is not None
    assert many.summary.endswith("are not desired any more, and 1 other was removed within the last hour.")
    assert one is not None
    assert "(10 B) is not desired any more, and 10 others were removed" in one.summary


def test_plan_without_removals_is_never_held() -> None:
    disk = build_disk(5)
    disk.recent_removals = {MODELS / f"loras/old{number}.pt" for number in range(1000)}
    assert disk.plan(*list_entries_without(disk)).held_removals is None


def test_plan_recently_removed_file_that_returned_does_not_count() -> None:
    disk = build_disk(5)
    for _ in range(10):
        disk.apply(disk.plan(*list_entries_without(disk, 0, 1)))
        assert len(disk.files) == 3
        disk.apply(disk.plan(*(build_entry(f"loras/{number}.pt") for number in range(5))))
        assert len(disk.files) == 5


def test_plan_recent_removal_of_file_that_still_exists_counts_once() -> None:
    disk = build_disk(5)
    disk.recent_removals = {MODELS / f"loras/{number}.pt" for number in range(3)}
    assert disk.plan(*list_entries_without(disk, 0, 1, 2)).held_removals is None


def test_plan_replacement_does_not_count_as_removal() -> None:
    disk = build_disk(5)
    disk.recent_removals = {MODELS / f"loras/old{number}.pt" for number in range(3)}
    plan = disk.plan(*(build_entry(f"loras/{number}.pt", "new") for number in range(5)))
    assert (plan.held_removals, len(plan.replace)) == (None, 5)


def test_plan_approved_removals_are_marked() -> None:
    disk = build_disk(30)
    held = disk.plan().held_removals
    assert held is not None
    assert all(removal.is_approved for removal in disk.plan(approved_removal_tokens=frozenset({held.token})).remove)


def test_plan_removals_without_limit_are_marked_as_approved() -> None:
    disk = build_disk(30)
    plan = disk.plan(*list_entries_without(disk, 0), has_removal_limit=False)
    assert [removal.is_approved for removal in plan.remove] == [True]
    assert plan.approved_removal_token is None


def test_plan_removals_within_limit_are_not_marked_as_approved() -> None:
    disk = build_disk(30)
    few = disk.plan(*list_entries_without(disk, 0))
    token = build_removal_token(few.remove)
    plan = disk.plan(*list_entries_without(disk, 0), approved_removal_tokens=frozenset({token}))
    assert [removal.is_approved for removal in plan.remove] == [False]
    assert plan.approved_removal_token is None


@settings(deadline=None)
@given(st.integers(1, 80), st.data())
def test_plan_many_small_removals_remove_no_more_than_one_large_plan(placed: int, data: st.DataObject) -> None:
    disk, unwanted = build_disk(placed), set[int]()
    for _ in range(data.draw(st.integers(1, 12))):
        unwanted |= data.draw(st.sets(st.integers(0, placed - 1), max_size=9))
        disk.apply(disk.plan(*(build_entry(f"loras/{number}.pt") for number in set(range(placed)) - unwanted)))
    gone = placed - len(disk.files)
    assert gone <= 10
    assert gone <= 3 or gone <= placed / 5
    if len(unwanted) <= 3 or len(unwanted) <= min(10, placed / 5):
        assert gone == len(unwanted)


def test_plan_removals_approved_earlier_are_planned_while_others_are_held() -> None:
    disk = build_disk(30)
    approved = frozenset((MODELS / f"loras/{number}.pt", hash_text(f"loras/{number}.pt")) for number in range(20))
    plan = disk.plan(approved_files=approved)
    assert [removal.is_approved for removal in plan.remove] == [True] * 20
    assert plan.held_removals is not None
    assert len(plan.held_removals.removals) == 10
    assert "10 of the 10 files" in plan.held_removals.reason
