import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.client.sync.holding.holdings import Watch, scan
from modelyard.client.sync.holding.index import Index
from modelyard.client.sync.holding.listing import Listing
from modelyard.client.sync.holding.patience import Patience
from modelyard.client.sync.holding.reading import Stopped
from modelyard.client.sync.holding.roots import models_folder
from modelyard.client.sync.planning.plan import plan_sync
from tests.client.sync.making import model, policy_of, sha256_of, wanted
from tests.client.sync.yard import Yard


def test_only_files_that_could_be_wanted_are_read(yard: Yard) -> None:
    same_size = yard.file("checkpoints/mine.ckpt", "abc")
    yard.file("checkpoints/long.ckpt", "abcdef")
    held = yard.scan(model("loras/ink.pt", "ink"))
    assert yard.hashed == [same_size]
    assert held.files[same_size].sha256 == sha256_of("abc")


def test_a_file_in_the_way_is_read_whatever_its_size(yard: Yard) -> None:
    path = yard.file("loras/ink.pt", "much longer than it should be")
    held = yard.scan(model("loras/ink.pt", "ink"))
    assert held.files[path].sha256 == sha256_of("much longer than it should be")


def test_a_second_scan_reads_nothing(yard: Yard) -> None:
    path = yard.file("loras/ink.pt", "ink")
    yard.scan(model("loras/ink.pt", "ink"))
    held = yard.scan(model("loras/ink.pt", "ink"))
    assert yard.hashed == []
    assert held.files[path].sha256 == sha256_of("ink")


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("new"),
        lambda path: os.utime(path, (1.1e9, 1.1e9)),
        lambda path: (path.with_name("x").write_text("new"), path.with_name("x").replace(path)),
    ],
)
def test_a_file_that_changed_is_read_again(yard: Yard, change: Callable[[Path], object]) -> None:
    path = yard.file("loras/ink.pt", "ink")
    yard.scan(model("loras/ink.pt", "ink"))
    change(path)
    yard.scan(model("loras/ink.pt", "ink"))
    assert yard.hashed == [path]


def test_two_names_of_one_file_are_read_once(yard: Yard) -> None:
    first = yard.file("loras/a.pt", "ink")
    (yard.models / "loras/b.pt").hardlink_to(first)
    held = yard.scan(model("loras/c.pt", "ink"))
    assert len(yard.hashed) == 1
    assert held.files[yard.models / "loras/b.pt"].sha256 == sha256_of("ink")


def test_the_trash_and_unfinished_downloads_are_known(yard: Yard) -> None:
    old, new = sha256_of("old"), sha256_of("new")
    trashed = yard.file(f".modelyard/trash/{old}.1700000000", "old")
    yard.file(f".modelyard/{new}.agent.part", "ne")
    yard.file(f".modelyard/{sha256_of('x')}.another.part", "x")
    held = yard.scan()
    device = yard.models.stat().st_dev
    assert held.trash == {(device, old): trashed}
    assert held.partial == {(device, new): 2}
    assert held.spaces[device].trash == 3
    assert held.spaces[device].total > held.spaces[device].free > 0


def test_another_case_of_a_name_is_another_file_where_the_file_system_says_so(yard: Yard) -> None:
    yard.file("loras/INK.pt", "other")
    held = yard.scan(model("loras/ink.pt", "ink"))
    assert yard.models / "loras/ink.pt" not in held.files


def test_another_case_of_a_name_is_the_same_file_where_the_file_system_says_so(yard: Yard) -> None:
    there = yard.file("loras/Style/INK.pt", "ink")
    listing = Listing(yard.models, lambda: None)
    assert listing.at("loras/style/ink.pt", Patience()) is None
    # What a file system that folds case answers for the other name: the same file.
    (yard.models / "loras/style").mkdir()
    (yard.models / "loras/style/ink.pt").hardlink_to(there)
    found = listing.at("loras/style/ink.pt", Patience())
    assert found is not None
    assert (found.path, found.kind) == (there, "file")


def test_names_that_are_no_text_are_no_trouble(yard: Yard) -> None:
    (yard.models / "loras").mkdir()
    name = yard.models / "loras" / os.fsdecode(b"\xff\xfe.pt")
    name.write_text("ink")
    held = yard.scan(model("loras/ink.pt", "ink"))
    (adopt,) = plan_sync(wanted(model("loras/ink.pt", "ink")), held, policy_of()).adopt
    assert adopt.source.path == name


def test_a_scan_can_be_stopped(yard: Yard) -> None:
    yard.file("loras/ink.pt", "ink")
    watch = Watch()
    watch.stopped.set()
    with pytest.raises(Stopped):
        scan([models_folder(yard.models)], wanted(model("loras/ink.pt", "ink")).models, yard.machine, watch)


def test_what_cannot_be_read_is_said(yard: Yard) -> None:
    (yard.models / "loras").mkdir()
    path = yard.models / "loras/ink.pt"
    # Its first page is nobody's, so that reading fails.
    path.symlink_to("/proc/self/mem")
    file = yard.scan(model("loras/ink.pt", "ink")).files[path]
    assert (file.kind, file.reason) == ("unreadable", f"it cannot be read ({os.strerror(errno.EIO)})")


def test_a_plan_of_a_real_folder_names_what_is_there(yard: Yard) -> None:
    there = yard.file("checkpoints/mine.ckpt", "ink")
    yard.file("loras/taken.pt", "mine")
    asked = [model("loras/ink.pt", "ink"), model("loras/taken.pt", "theirs"), model("vae/new.pt", "new")]
    plan = plan_sync(wanted(*asked), yard.scan(*asked), policy_of())
    assert [adopt.source.path for adopt in plan.adopt] == [there]
    assert [fetch.target.path for fetch in plan.fetch] == [yard.models / "vae/new.pt"]
    assert [refuse.state for refuse in plan.refuse] == ["conflict"]


def test_thousands_of_known_files_are_not_read_again(yard: Yard) -> None:
    asked = []
    for number in range(3000):
        yard.file(f"loras/{number % 100}/{number}.pt", str(number))
        asked.append(model(f"loras/{number % 100}/{number}.pt", str(number)))
    yard.scan(*asked)
    assert len(yard.hashed) == 3000
    fresh = replace(yard.machine, index=Index(yard.machine.journal._state))
    watch = Watch(lambda path, *_: pytest.fail(f"{path} was read again"))
    scan([models_folder(yard.models)], wanted(*asked).models, fresh, watch)
