from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from modelyard.sync.planning.actions import Plan, Source
from tests.sync.factories import DISK, GB, MODELS, NOW, SimulatedDisk, build_entry, build_install, hash_text

OTHER_DISK = 6
SECOND = Path("/second/models")


def list_blocked_reasons(plan: Plan) -> list[str]:
    assert all(refuse.state == "blocked" for refuse in plan.blocked)
    return [refuse.reason for refuse in plan.blocked]


def list_downloaded_names(plan: Plan) -> list[str]:
    return [fetch.desired.name for fetch in plan.fetch]


def get_only_source(plan: Plan) -> Source:
    (adopt,) = plan.copy_local
    return adopt.source


def test_plan_file_with_same_content_under_other_name_is_copied() -> None:
    disk = SimulatedDisk()
    there = disk.add_user_file("checkpoints/mine.ckpt", "ink")
    assert get_only_source(disk.plan(build_entry("loras/ink.pt", "ink"))) == Source(there, "user")


def test_plan_old_user_file_is_linked_only_if_hard_links_are_allowed() -> None:
    disk = SimulatedDisk()
    there = disk.add_user_file("checkpoints/mine.ckpt", "ink")
    plan = disk.plan(build_entry("loras/ink.pt", "ink"), are_hard_links_allowed=True)
    assert get_only_source(plan) == Source(there, "user", is_link_allowed=True)
    assert not get_only_source(disk.plan(build_entry("loras/ink.pt", "ink"))).is_link_allowed


def test_plan_recently_written_user_file_is_never_linked() -> None:
    disk = SimulatedDisk()
    lately = int((NOW - timedelta(minutes=5)).timestamp() * 1e9)
    disk.add_user_file("checkpoints/mine.ckpt", "ink", mtime_ns=lately)
    plan = disk.plan(build_entry("loras/ink.pt", "ink"), are_hard_links_allowed=True)
    assert not get_only_source(plan).is_link_allowed


def test_plan_owned_source_is_preferred_to_user_file() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("checkpoints/a.ckpt", "ink")
    own = disk.add_placed_file("vae/z.pt", "ink")
    plan = disk.plan(build_entry("loras/ink.pt", "ink"), build_entry("vae/z.pt", "ink"))
    assert get_only_source(plan) == Source(own, "ours")


def test_plan_source_on_same_disk_is_preferred() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("checkpoints/a.ckpt", "ink", device=OTHER_DISK)
    here = disk.add_user_file("checkpoints/b.ckpt", "ink")
    assert get_only_source(disk.plan(build_entry("loras/ink.pt", "ink"))).path == here


def test_plan_symbolic_link_is_not_a_copy_source() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("checkpoints/a.ckpt", "ink", kind="link", link=MODELS / "checkpoints/a.ckpt")
    assert list_downloaded_names(disk.plan(build_entry("loras/ink.pt", "ink"))) == ["ink.pt"]


def test_plan_moved_model_is_copied_from_old_path_which_is_removed() -> None:
    disk = SimulatedDisk()
    old = disk.add_placed_file("loras/old.pt", "ink")
    plan = disk.plan(build_entry("loras/new.pt", "ink"))
    assert get_only_source(plan).path == old
    assert [removal.target.path for removal in plan.remove] == [old]


def test_plan_file_to_be_replaced_is_not_a_source() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/a.pt", "one")
    disk.add_placed_file("loras/b.pt", "two")
    swapped = build_entry("loras/a.pt", "two"), build_entry("loras/b.pt", "one")
    plan = disk.plan(*swapped)
    assert [step.source for step in plan.replace] == [None, None]
    disk.apply(plan)
    assert disk.plan(*swapped).is_empty


def test_plan_content_in_trash_is_restored_instead_of_downloaded() -> None:
    disk = SimulatedDisk()
    disk.trash_files[DISK, hash_text("ink")] = MODELS / ".modelyard/trash/x.1"
    plan = disk.plan(build_entry("loras/a.pt", "ink"), build_entry("loras/b.pt", "ink"))
    assert [adopt.source.kind for adopt in plan.copy_local] == ["trash", "planned"]
    assert not plan.fetch


def test_plan_earlier_version_in_trash_replaces_newer_one_without_download() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/ink.pt", "second")
    disk.trash_files[DISK, hash_text("first")] = MODELS / ".modelyard/trash/x.1"
    (step,) = disk.plan(build_entry("loras/ink.pt", "first")).replace
    assert step.source == Source(MODELS / ".modelyard/trash/x.1", "trash")


def test_plan_version_under_name_of_other_file_replaces_older_one_without_download() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/ink.pt", "first")
    trained = disk.add_user_file("loras/trained.pt", "second")
    (step,) = disk.plan(build_entry("loras/ink.pt", "second")).replace
    assert step.source == Source(trained, "user")


def test_plan_trash_of_other_disk_is_not_a_source() -> None:
    disk = SimulatedDisk()
    disk.trash_files[OTHER_DISK, hash_text("ink")] = MODELS / ".modelyard/trash/x.1"
    assert list_downloaded_names(disk.plan(build_entry("loras/ink.pt", "ink"))) == ["ink.pt"]


def test_plan_several_installs_share_one_download() -> None:
    disk = SimulatedDisk(build_install(), build_install(SECOND))
    plan = disk.plan(build_entry("loras/ink.pt"))
    (fetch,) = plan.fetch
    (adopt,) = plan.copy_local
    assert adopt.source == Source(fetch.target.path, "planned")
    assert adopt.target.path == SECOND / "loras/ink.pt"


def test_plan_installs_sharing_models_folder_get_one_file() -> None:
    disk = SimulatedDisk(build_install(), build_install())
    plan = disk.plan(build_entry("loras/ink.pt"))
    assert len(plan.fetch) == 1
    assert not plan.copy_local
    disk.apply(plan)
    assert len(disk.plan(build_entry("loras/ink.pt")).keep) == 1


def test_plan_full_disk_without_reflinks_blocks_copy() -> None:
    disk = SimulatedDisk(free=0)
    disk.add_user_file("checkpoints/mine.ckpt", "ink")
    plan = disk.plan(build_entry("loras/ink.pt", "ink"))
    assert not plan.copy_local
    assert len(list_blocked_reasons(plan)) == 1


def test_plan_model_blocked_in_one_install_is_placed_in_other() -> None:
    disk = SimulatedDisk(build_install(problem="It is read-only."), build_install(SECOND))
    plan = disk.plan(build_entry("loras/ink.pt"))
    assert [fetch.target.path for fetch in plan.fetch] == [SECOND / "loras/ink.pt"]
    assert list_blocked_reasons(plan) == ["It is read-only."]


def test_plan_damaged_model_is_copied_from_local_file() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("checkpoints/mine.ckpt", "ink")
    assert len(disk.plan(build_entry("loras/ink.pt", "ink", keep=True)).copy_local) == 1


def test_plan_lack_of_space_places_most_desired_and_blocks_others() -> None:
    disk = SimulatedDisk(free=10 * GB)
    plan = disk.plan(
        build_entry("loras/old.pt", file_size=6 * GB, updated_at=NOW - timedelta(days=1)),
        build_entry("loras/new.pt", file_size=7 * GB),
        build_entry("loras/small.pt", file_size=2 * GB, updated_at=NOW - timedelta(days=2)),
    )
    assert list_downloaded_names(plan) == ["new.pt", "small.pt"]
    (reason,) = list_blocked_reasons(plan)
    assert reason == '"loras/old.pt" needs 6.0 GB, and the disk of "/comfy" has 3.0 GB left. Free some space.'


def test_plan_downloads_leave_keep_free_bytes_free() -> None:
    plan = SimulatedDisk(free=10 * GB).plan(build_entry("loras/x.pt", file_size=7 * GB), keep_free_bytes=4 * GB)
    assert "of which 4.0 GB must stay free" in list_blocked_reasons(plan)[0]


def test_plan_partial_download_needs_only_remaining_space() -> None:
    disk = SimulatedDisk(free=2 * GB)
    x = build_entry("loras/x.pt", file_size=7 * GB)
    disk.partial_downloads[DISK, hash_text("loras/x.pt")] = 5 * GB
    assert list_downloaded_names(disk.plan(x)) == ["x.pt"]


def test_plan_trash_counts_as_free_space() -> None:
    disk = SimulatedDisk(free=0)
    disk.spaces[DISK] = replace(disk.spaces[DISK], trash_bytes=8 * GB)
    assert list_downloaded_names(disk.plan(build_entry("loras/x.pt", file_size=7 * GB))) == ["x.pt"]


def test_plan_installs_on_one_disk_share_its_space() -> None:
    disk = SimulatedDisk(build_install(), build_install(SECOND), free=10 * GB, can_clone=True)
    plan = disk.plan(build_entry("loras/x.pt", file_size=7 * GB), build_entry("loras/y.pt", file_size=7 * GB))
    assert len(plan.fetch) == 1
    assert len(plan.copy_local) == 1
    assert len(list_blocked_reasons(plan)) == 2


def test_plan_installs_on_two_disks_need_space_on_both() -> None:
    disk = SimulatedDisk(build_install(), build_install(SECOND, OTHER_DISK), free=10 * GB)
    disk.spaces[OTHER_DISK] = replace(disk.spaces[OTHER_DISK], free_bytes=1 * GB)
    plan = disk.plan(build_entry("loras/x.pt", file_size=7 * GB))
    assert list_downloaded_names(plan) == ["x.pt"]
    assert len(list_blocked_reasons(plan)) == 1


def test_plan_model_larger_than_disk_is_blocked_with_reason() -> None:
    plan = SimulatedDisk().plan(build_entry("loras/x.pt", file_size=3000 * GB))
    assert "more than the whole disk" in list_blocked_reasons(plan)[0]


@pytest.mark.parametrize(
    ("keep_free", "begin"), [(3000, "3.0 TB must stay free"), (1999, '"loras/x.pt" has 7.0 GB and')]
)
def test_plan_disk_too_small_for_keep_free_is_blocked_with_the_setting_to_lower(keep_free: int, begin: str) -> None:
    plan = SimulatedDisk().plan(build_entry("loras/x.pt", file_size=7 * GB), keep_free_bytes=keep_free * GB)
    [reason] = list_blocked_reasons(plan)
    assert reason.startswith(begin)
    assert reason.endswith("Lower keep_free in agent.toml, or MODELYARD_AGENT_KEEP_FREE.")


@pytest.mark.parametrize(("can_clone", "hard_links"), [(True, False), (False, True)], ids=["reflinks", "hard-links"])
def test_plan_full_disk_shares_local_content_and_downloads_nothing(can_clone: bool, hard_links: bool) -> None:
    disk = SimulatedDisk(free=0, can_clone=can_clone)
    disk.add_user_file("checkpoints/mine.ckpt", "ink")
    desired = build_entry("loras/ink.pt", "ink"), build_entry("loras/x.pt", file_size=1)
    plan = disk.plan(*desired, keep_free_bytes=GB, are_hard_links_allowed=hard_links)
    assert len(plan.copy_local) == 1
    assert not plan.fetch
    assert "0 B left" in list_blocked_reasons(plan)[0]


@pytest.mark.parametrize(("budget", "count"), [(20, 2), (19, 1), (9, 0)])
def test_plan_disk_budget_counts_only_placed_files(budget: int, count: int) -> None:
    disk = SimulatedDisk()
    disk.add_user_file("loras/mine.pt", size=1000)
    plan = disk.plan(
        build_entry("loras/a.pt", file_size=10),
        build_entry("loras/b.pt", file_size=10),
        build_entry("loras/mine.pt", file_size=1000),
        disk_budget_bytes=budget,
    )
    assert len(plan.fetch) == count
    assert all("disk budget" in reason for reason in list_blocked_reasons(plan))


def test_plan_replacement_frees_old_size_in_disk_budget() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/ink.pt", "old")
    assert len(disk.plan(build_entry("loras/ink.pt", "new"), disk_budget_bytes=3).replace) == 1


def test_plan_hard_links_of_one_file_count_once_in_disk_budget() -> None:
    disk = SimulatedDisk()
    first = disk.add_placed_file("loras/a.pt", "ink")
    disk.add_placement("loras/b.pt", "ink")
    disk.add_user_file("loras/b.pt", "ink", inode=disk.files[first].inode)
    plan = disk.plan(
        build_entry("loras/a.pt", "ink"),
        build_entry("loras/b.pt", "ink"),
        build_entry("loras/c.pt", "new"),
        disk_budget_bytes=6,
    )
    assert list_downloaded_names(plan) == ["c.pt"]


def test_plan_partial_copy_needs_only_remaining_space() -> None:
    disk = SimulatedDisk(free=6 * GB)
    disk.add_user_file("checkpoints/mine.ckpt", "ink", size=10 * GB)
    desired = build_entry("loras/ink.pt", "ink", file_size=10 * GB)
    assert list_blocked_reasons(disk.plan(desired))
    disk.partial_copies[DISK, hash_text("ink")] = 5 * GB
    assert get_only_source(disk.plan(desired)).kind == "user"
