from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from modelyard.client.sync.planning.actions import Plan, Source
from tests.client.sync.making import DISK, GB, MODELS, NOW, Disk, install, model, sha256_of

OTHER_DISK = 6
SECOND = Path("/second/models")


def blocked(plan: Plan) -> list[str]:
    assert all(refuse.state == "blocked" for refuse in plan.refuse)
    return [refuse.reason for refuse in plan.refuse]


def fetched(plan: Plan) -> list[str]:
    return [fetch.wanted.name for fetch in plan.fetch]


def source_of(plan: Plan) -> Source:
    (adopt,) = plan.adopt
    return adopt.source


def test_a_file_with_these_bytes_under_another_name_is_adopted() -> None:
    disk = Disk()
    there = disk.file("checkpoints/mine.ckpt", "ink")
    assert source_of(disk.plan(model("loras/ink.pt", "ink"))) == Source(there, "user", may_link=True)


def test_a_users_file_that_was_written_just_now_is_copied_rather_than_linked() -> None:
    disk = Disk()
    lately = int((NOW - timedelta(minutes=5)).timestamp() * 1e9)
    disk.file("checkpoints/mine.ckpt", "ink", mtime_ns=lately)
    assert not source_of(disk.plan(model("loras/ink.pt", "ink"))).may_link


def test_the_agents_own_file_is_a_better_source_than_a_users() -> None:
    disk = Disk()
    disk.file("checkpoints/a.ckpt", "ink")
    own = disk.placed("vae/z.pt", "ink")
    plan = disk.plan(model("loras/ink.pt", "ink"), model("vae/z.pt", "ink"))
    assert source_of(plan) == Source(own, "ours")


def test_bytes_on_the_same_disk_are_a_better_source_than_those_on_another() -> None:
    disk = Disk()
    disk.file("checkpoints/a.ckpt", "ink", device=OTHER_DISK)
    here = disk.file("checkpoints/b.ckpt", "ink")
    assert source_of(disk.plan(model("loras/ink.pt", "ink"))).path == here


def test_a_link_is_no_source() -> None:
    disk = Disk()
    disk.file("checkpoints/a.ckpt", "ink", kind="link", link=MODELS / "checkpoints/a.ckpt")
    assert fetched(disk.plan(model("loras/ink.pt", "ink"))) == ["ink.pt"]


def test_a_model_that_moved_is_adopted_from_its_old_path_which_then_goes() -> None:
    disk = Disk()
    old = disk.placed("loras/old.pt", "ink")
    plan = disk.plan(model("loras/new.pt", "ink"))
    assert source_of(plan).path == old
    assert [removal.target.path for removal in plan.remove] == [old]


def test_bytes_that_are_about_to_be_replaced_are_no_source() -> None:
    disk = Disk()
    disk.placed("loras/a.pt", "one")
    disk.placed("loras/b.pt", "two")
    swapped = model("loras/a.pt", "two"), model("loras/b.pt", "one")
    plan = disk.plan(*swapped)
    assert [step.source for step in plan.replace] == [None, None]
    disk.carry_out(plan)
    assert disk.plan(*swapped).is_done


def test_what_rests_in_the_trash_comes_back_instead_of_a_download() -> None:
    disk = Disk()
    disk.trash[DISK, sha256_of("ink")] = MODELS / ".modelyard/trash/x.1"
    plan = disk.plan(model("loras/a.pt", "ink"), model("loras/b.pt", "ink"))
    assert [adopt.source.kind for adopt in plan.adopt] == ["trash", "planned"]
    assert not plan.fetch


def test_trash_of_another_disk_is_no_source() -> None:
    disk = Disk()
    disk.trash[OTHER_DISK, sha256_of("ink")] = MODELS / ".modelyard/trash/x.1"
    assert fetched(disk.plan(model("loras/ink.pt", "ink"))) == ["ink.pt"]


def test_several_installs_share_one_download() -> None:
    disk = Disk(install(), install(SECOND))
    plan = disk.plan(model("loras/ink.pt"))
    (fetch,) = plan.fetch
    (adopt,) = plan.adopt
    assert adopt.source == Source(fetch.target.path, "planned")
    assert adopt.target.path == SECOND / "loras/ink.pt"


def test_two_installs_with_one_models_folder_hold_one_file() -> None:
    disk = Disk(install(), install())
    plan = disk.plan(model("loras/ink.pt"))
    assert len(plan.fetch) == 1
    assert not plan.adopt
    disk.carry_out(plan)
    assert len(disk.plan(model("loras/ink.pt")).keep) == 1


def test_a_model_that_one_install_refuses_is_placed_in_the_other() -> None:
    disk = Disk(install(trouble="It is read-only."), install(SECOND))
    plan = disk.plan(model("loras/ink.pt"))
    assert [fetch.target.path for fetch in plan.fetch] == [SECOND / "loras/ink.pt"]
    assert blocked(plan) == ["It is read-only."]


def test_a_damaged_model_is_adopted_where_the_bytes_are_on_the_disk() -> None:
    disk = Disk()
    disk.file("checkpoints/mine.ckpt", "ink")
    assert len(disk.plan(model("loras/ink.pt", "ink", keep=True)).adopt) == 1


def test_the_most_wanted_gets_the_room_and_the_others_say_what_they_need() -> None:
    disk = Disk(free=10 * GB)
    plan = disk.plan(
        model("loras/old.pt", file_size=6 * GB, updated_at=NOW - timedelta(days=1)),
        model("loras/new.pt", file_size=7 * GB),
        model("loras/small.pt", file_size=2 * GB, updated_at=NOW - timedelta(days=2)),
    )
    assert fetched(plan) == ["new.pt", "small.pt"]
    (reason,) = blocked(plan)
    assert reason == 'It needs 6.0 GB, and the disk of "/comfy" has 3.0 GB left. Free some space.'


def test_the_space_that_must_stay_free_is_left() -> None:
    plan = Disk(free=10 * GB).plan(model("loras/x.pt", file_size=7 * GB), keep_free=4 * GB)
    assert "of which 4.0 GB must stay free" in blocked(plan)[0]


def test_what_was_fetched_before_needs_no_room_again() -> None:
    disk = Disk(free=2 * GB)
    x = model("loras/x.pt", file_size=7 * GB)
    disk.partial[DISK, sha256_of("loras/x.pt")] = 5 * GB
    assert fetched(disk.plan(x)) == ["x.pt"]


def test_what_rests_in_the_trash_counts_as_room() -> None:
    disk = Disk(free=0)
    disk.spaces[DISK] = replace(disk.spaces[DISK], trash=8 * GB)
    assert fetched(disk.plan(model("loras/x.pt", file_size=7 * GB))) == ["x.pt"]


def test_two_installs_on_one_disk_share_its_room() -> None:
    disk = Disk(install(), install(SECOND), free=10 * GB)
    plan = disk.plan(model("loras/x.pt", file_size=7 * GB), model("loras/y.pt", file_size=7 * GB))
    assert len(plan.fetch) == 1
    assert len(plan.adopt) == 1
    assert len(blocked(plan)) == 2


def test_two_installs_on_two_disks_need_room_on_both() -> None:
    disk = Disk(install(), install(SECOND, OTHER_DISK), free=10 * GB)
    disk.spaces[OTHER_DISK] = replace(disk.spaces[OTHER_DISK], free=1 * GB)
    plan = disk.plan(model("loras/x.pt", file_size=7 * GB))
    assert fetched(plan) == ["x.pt"]
    assert len(blocked(plan)) == 1


def test_a_model_larger_than_the_disk_is_told_so() -> None:
    plan = Disk().plan(model("loras/x.pt", file_size=3000 * GB))
    assert "more than the whole disk" in blocked(plan)[0]


def test_a_disk_that_is_over_full_already_fetches_nothing_and_links_all_the_same() -> None:
    disk = Disk(free=0)
    disk.file("checkpoints/mine.ckpt", "ink")
    plan = disk.plan(model("loras/ink.pt", "ink"), model("loras/x.pt", file_size=1), keep_free=GB)
    assert len(plan.adopt) == 1
    assert not plan.fetch
    assert "0 B left" in blocked(plan)[0]


@pytest.mark.parametrize(("budget", "count"), [(20, 2), (19, 1), (9, 0)])
def test_the_budget_counts_what_the_agent_placed(budget: int, count: int) -> None:
    disk = Disk()
    disk.file("loras/mine.pt", size=1000)
    plan = disk.plan(
        model("loras/a.pt", file_size=10), model("loras/b.pt", file_size=10), model("loras/mine.pt", file_size=1000),
        disk_budget=budget,
    )  # fmt: skip
    assert len(plan.fetch) == count
    assert all("disk budget" in reason for reason in blocked(plan))


def test_a_replacement_gives_its_old_bytes_back_to_the_budget() -> None:
    disk = Disk()
    disk.placed("loras/ink.pt", "old")
    assert len(disk.plan(model("loras/ink.pt", "new"), disk_budget=3).replace) == 1


def test_names_of_one_file_count_once() -> None:
    disk = Disk()
    first = disk.placed("loras/a.pt", "ink")
    disk.row("loras/b.pt", "ink")
    disk.file("loras/b.pt", "ink", inode=disk.files[first].inode)
    plan = disk.plan(model("loras/a.pt", "ink"), model("loras/b.pt", "ink"), model("loras/c.pt", "new"), disk_budget=6)
    assert fetched(plan) == ["c.pt"]
