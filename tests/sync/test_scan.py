import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.comfyui.layout import build_plain_install
from modelyard.sync.inventory.deadlines import StallDeadline
from modelyard.sync.inventory.file_hashes import ScanOptions
from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.listing import RootListing
from modelyard.sync.inventory.safe_open import ReadStopped
from modelyard.sync.inventory.scan import scan_roots
from modelyard.sync.planning.planner import plan_sync
from tests.sync.factories import build_desired, build_entry, build_policy, hash_text
from tests.sync.scanned_folder import ScannedFolder

pytestmark = pytest.mark.slow


def test_scan_reads_only_files_of_desired_size(scanned: ScannedFolder) -> None:
    same_size = scanned.write_file("checkpoints/mine.ckpt", "abc")
    scanned.write_file("checkpoints/long.ckpt", "abcdef")
    inventory = scanned.scan(build_entry("loras/ink.pt", "ink"))
    assert scanned.hashed_paths == [same_size]
    assert inventory.files[same_size].sha256 == hash_text("abc")


def test_scan_file_at_desired_path_is_read_despite_other_size(scanned: ScannedFolder) -> None:
    path = scanned.write_file("loras/ink.pt", "much longer than it should be")
    inventory = scanned.scan(build_entry("loras/ink.pt", "ink"))
    assert inventory.files[path].sha256 == hash_text("much longer than it should be")


def test_scan_second_scan_reads_nothing(scanned: ScannedFolder) -> None:
    path = scanned.write_file("loras/ink.pt", "ink")
    scanned.scan(build_entry("loras/ink.pt", "ink"))
    inventory = scanned.scan(build_entry("loras/ink.pt", "ink"))
    assert scanned.hashed_paths == []
    assert inventory.files[path].sha256 == hash_text("ink")


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("new"),
        lambda path: os.utime(path, (1.1e9, 1.1e9)),
        lambda path: (path.with_name("x").write_text("new"), path.with_name("x").replace(path)),
    ],
)
def test_scan_changed_file_is_read_again(scanned: ScannedFolder, change: Callable[[Path], object]) -> None:
    path = scanned.write_file("loras/ink.pt", "ink")
    scanned.scan(build_entry("loras/ink.pt", "ink"))
    change(path)
    scanned.scan(build_entry("loras/ink.pt", "ink"))
    assert scanned.hashed_paths == [path]


def test_scan_hard_links_of_one_file_are_read_once(scanned: ScannedFolder) -> None:
    first = scanned.write_file("loras/a.pt", "ink")
    (scanned.models / "loras/b.pt").hardlink_to(first)
    inventory = scanned.scan(build_entry("loras/c.pt", "ink"))
    assert len(scanned.hashed_paths) == 1
    assert inventory.files[scanned.models / "loras/b.pt"].sha256 == hash_text("ink")


def test_scan_reports_trash_and_partial_downloads(scanned: ScannedFolder) -> None:
    old, new = hash_text("old"), hash_text("new")
    trashed = scanned.write_file(f".modelyard/trash/{old}.1700000000", "old")
    scanned.write_file(f".modelyard/{new}.agent.part", "ne")
    scanned.write_file(f".modelyard/{hash_text('x')}.another.part", "x")
    inventory = scanned.scan()
    device = scanned.models.stat().st_dev
    assert inventory.trash_files == {(device, old): trashed}
    assert inventory.partial_downloads == {(device, new): 2}
    assert inventory.spaces[device].trash_bytes == 3
    assert inventory.spaces[device].total_bytes > inventory.spaces[device].free_bytes > 0


def test_scan_case_sensitive_disk_treats_other_case_as_other_file(scanned: ScannedFolder) -> None:
    scanned.write_file("loras/INK.pt", "other")
    inventory = scanned.scan(build_entry("loras/ink.pt", "ink"))
    assert scanned.models / "loras/ink.pt" not in inventory.files


def test_scan_case_insensitive_disk_treats_other_case_as_same_file(scanned: ScannedFolder) -> None:
    there = scanned.write_file("loras/Style/INK.pt", "ink")
    listing = RootListing(scanned.models, lambda: None)
    assert listing.find_entry("loras/style/ink.pt", StallDeadline()) is None
    # What a file system that folds case answers for the other name: the same file.
    (scanned.models / "loras/style").mkdir()
    (scanned.models / "loras/style/ink.pt").hardlink_to(there)
    found = listing.find_entry("loras/style/ink.pt", StallDeadline())
    assert found is not None
    assert (found.path, found.kind) == (there, "file")


def test_scan_undecodable_names_are_accepted(scanned: ScannedFolder) -> None:
    (scanned.models / "loras").mkdir()
    name = scanned.models / "loras" / os.fsdecode(b"\xff\xfe.pt")
    name.write_text("ink")
    inventory = scanned.scan(build_entry("loras/ink.pt", "ink"))
    (adopt,) = plan_sync(build_desired(build_entry("loras/ink.pt", "ink")), inventory, build_policy()).copy_local
    assert adopt.source.path == name


def test_scan_stopped_raises_read_stopped(scanned: ScannedFolder) -> None:
    scanned.write_file("loras/ink.pt", "ink")
    watch = ScanOptions()
    watch.stopped.set()
    with pytest.raises(ReadStopped):
        scan_roots(
            [build_plain_install(scanned.models)],
            build_desired(build_entry("loras/ink.pt", "ink")).models,
            scanned.machine,
            watch,
        )


def test_scan_unreadable_file_has_reason(scanned: ScannedFolder) -> None:
    (scanned.models / "loras").mkdir()
    path = scanned.models / "loras/ink.pt"
    # Its first page is not mapped, so that reading fails.
    path.symlink_to("/proc/self/mem")
    file = scanned.scan(build_entry("loras/ink.pt", "ink")).files[path]
    assert (file.kind, file.reason) == ("unreadable", f"it cannot be read ({os.strerror(errno.EIO)})")


def test_scan_real_folder_leads_to_expected_plan(scanned: ScannedFolder) -> None:
    there = scanned.write_file("checkpoints/mine.ckpt", "ink")
    scanned.write_file("loras/taken.pt", "mine")
    asked = [
        build_entry("loras/ink.pt", "ink"),
        build_entry("loras/taken.pt", "theirs"),
        build_entry("vae/new.pt", "new"),
    ]
    plan = plan_sync(build_desired(*asked), scanned.scan(*asked), build_policy())
    assert [adopt.source.path for adopt in plan.copy_local] == [there]
    assert [fetch.target.path for fetch in plan.fetch] == [scanned.models / "vae/new.pt"]
    assert [refuse.state for refuse in plan.blocked] == ["conflict"]


def test_scan_thousands_of_known_files_reads_none(scanned: ScannedFolder) -> None:
    asked = []
    for number in range(3000):
        scanned.write_file(f"loras/{number % 100}/{number}.pt", str(number))
        asked.append(build_entry(f"loras/{number % 100}/{number}.pt", str(number)))
    scanned.scan(*asked)
    assert len(scanned.hashed_paths) == 3000
    fresh = replace(scanned.machine, index=HashIndex(scanned.machine.journal._state))
    watch = ScanOptions(lambda path, *_: pytest.fail(f"{path} was read again"))
    scan_roots([build_plain_install(scanned.models)], build_desired(*asked).models, fresh, watch)
