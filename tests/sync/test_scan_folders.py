import os
import socket
from pathlib import Path

import pytest

from modelyard.comfyui.layout import Install, Root
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.planning.planner import plan_sync
from tests.sync.factories import build_desired, build_entry, build_policy, hash_text
from tests.sync.scanned_folder import ScannedFolder

pytestmark = pytest.mark.slow


def test_scan_links_out_of_folder_are_not_followed(scanned: ScannedFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.pt").write_text("ink")
    (scanned.models / "loras").mkdir()
    (scanned.models / "loras/far").symlink_to(elsewhere)
    (scanned.models / "loras/up").symlink_to(scanned.models)
    inventory = scanned.scan(build_entry("loras/ink.pt", "ink"))
    assert scanned.hashed_paths == []
    assert [inventory.files[scanned.models / "loras" / name].kind for name in ("far", "up")] == ["link", "link"]


def test_scan_desired_name_that_is_link_is_read_through_it(scanned: ScannedFolder, tmp_path: Path) -> None:
    target = tmp_path / "nas.pt"
    target.write_text("ink")
    (scanned.models / "loras").mkdir()
    link = scanned.models / "loras/ink.pt"
    link.symlink_to(target)
    file = scanned.scan(build_entry("loras/ink.pt", "ink")).files[link]
    assert (file.kind, file.sha256, file.link, file.is_regular_file) == ("link", hash_text("ink"), link, False)


def test_scan_desired_name_below_linked_folder_is_read_and_missing_one_reports_link(
    scanned: ScannedFolder, tmp_path: Path
) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far/ink.pt").write_text("ink")
    (scanned.models / "loras").mkdir()
    link = scanned.models / "loras/far"
    link.symlink_to(tmp_path / "far")
    inventory = scanned.scan(build_entry("loras/far/ink.pt", "ink"), build_entry("loras/far/other.pt"))
    assert inventory.files[link / "ink.pt"].sha256 == hash_text("ink")
    assert inventory.files[link / "other.pt"].kind == "other"
    assert inventory.files[link / "other.pt"].path == link


def test_scan_obstacles_at_desired_paths_have_their_kind(scanned: ScannedFolder) -> None:
    loras = scanned.models / "loras"
    (loras / "folder.pt").mkdir(parents=True)
    (loras / "dangling.pt").symlink_to("nowhere")
    (loras / "loop.pt").symlink_to("loop.pt")
    os.mkfifo(loras / "pipe.pt")
    with socket.socket(socket.AF_UNIX) as listener:
        # The name of a socket has at most a hundred bytes or so.
        here = Path.cwd()
        os.chdir(loras)
        listener.bind("socket.pt")
        os.chdir(here)
    scanned.write_file("loras/file.pt")
    names = ["folder.pt", "dangling.pt", "loop.pt", "pipe.pt", "socket.pt", "file.pt/x.pt"]
    inventory = scanned.scan(*(build_entry(f"loras/{name}", name) for name in names))
    kinds = [inventory.files[loras / name].kind for name in names]
    assert kinds == ["folder", "dangling", "unreadable", "other", "other", "parent_is_file"]


def test_scan_root_that_is_link_is_resolved(scanned: ScannedFolder, tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas/ink.pt").write_text("ink")
    (scanned.models / "loras").symlink_to(tmp_path / "nas")
    inventory = scanned.scan(build_entry("loras/ink.pt", "ink"))
    assert scanned.get_root(inventory, "loras").path == tmp_path / "nas"
    assert inventory.files[tmp_path / "nas/ink.pt"].is_regular_file


def test_scan_root_that_is_broken_link_has_problem(scanned: ScannedFolder) -> None:
    (scanned.models / "loras").symlink_to("/mnt/away")
    root = scanned.get_root(scanned.scan(), "loras")
    assert not root.is_listed
    assert root.problem == f'The folder "{scanned.models}/loras" does not exist. Create it, or mount its disk.'


def test_scan_missing_type_folder_may_be_created(scanned: ScannedFolder) -> None:
    root = scanned.get_root(scanned.scan(), "loras")
    assert (root.problem, root.is_listed, root.inode, root.work_folder) == (
        None,
        True,
        0,
        scanned.models / ".modelyard",
    )


def test_scan_missing_models_folder_has_problem(scanned: ScannedFolder) -> None:
    scanned.models.rmdir()
    root = scanned.get_root(scanned.scan(), "loras")
    assert root.problem is not None
    assert not root.is_listed


def test_scan_root_that_is_file_has_problem(scanned: ScannedFolder) -> None:
    (scanned.models / "loras").write_text("?")
    assert (
        scanned.get_root(scanned.scan(), "loras").problem
        == f'"{scanned.models}/loras" is not a folder. Put a folder there.'
    )


def test_scan_custom_nodes_folder_has_problem(scanned: ScannedFolder, tmp_path: Path) -> None:
    inside = scanned.models.parent / "custom_nodes" / "node" / "models"
    inside.mkdir(parents=True)
    install = Install(scanned.models, (Root("node", inside), Root("all", scanned.models.parent)))
    (node, around) = scanned.scan(installs=[install]).installs[0]
    assert (
        node.problem
        == f'"{inside}" contains code of custom nodes, so models are not placed there. Configure another folder.'
    )
    assert around.problem is not None


def test_scan_work_folder_is_not_listed(scanned: ScannedFolder) -> None:
    scanned.write_file(".modelyard/x.part", "ink")
    install = Install(scanned.models, (Root("all", scanned.models),))
    assert scanned.scan(build_entry("all/x.pt", "ink"), installs=[install]).files.keys() == {
        scanned.models / ".modelyard"
    }


def test_scan_unmounted_disk_has_problem_and_gets_no_download(scanned: ScannedFolder) -> None:
    root = scanned.get_root(scanned.scan(), "loras")
    scanned.machine.journal.confirm(
        Placement(
            scanned.models / "loras/ink.pt",
            hash_text("ink"),
            3,
            build_entry("x/x").id,
            "placed",
            device=root.device + 1,
        )
    )
    inventory = scanned.scan(build_entry("loras/ink.pt", "ink"))
    problem = scanned.get_root(inventory, "loras").problem
    assert problem is not None
    assert "Mount the right disk" in problem
    plan = plan_sync(build_desired(build_entry("loras/ink.pt", "ink")), inventory, build_policy())
    assert (plan.fetch, plan.rows_to_delete, plan.notes) == ((), (), (problem,))

    (scanned.models / ".modelyard").mkdir()
    assert scanned.get_root(scanned.scan(), "loras").problem is None


def test_scan_files_deleted_on_same_disk_is_no_problem(scanned: ScannedFolder) -> None:
    device = scanned.get_root(scanned.scan(), "loras").device
    scanned.machine.journal.confirm(
        Placement(scanned.models / "loras/ink.pt", hash_text("ink"), 3, build_entry("x/x").id, "placed", device=device)
    )
    assert scanned.get_root(scanned.scan(), "loras").problem is None


def test_scan_unknown_type_gets_folder_beside_others(scanned: ScannedFolder) -> None:
    inventory = scanned.scan(build_entry("ultralytics/face.pt"))
    (fetch,) = plan_sync(build_desired(build_entry("ultralytics/face.pt")), inventory, build_policy()).fetch
    assert fetch.target.path == scanned.models / "ultralytics/face.pt"


def test_scan_thousands_of_unknown_types_create_no_roots(scanned: ScannedFolder) -> None:
    many = [build_entry(f"type{number}/x.pt") for number in range(2000)]
    inventory = scanned.scan(*many)
    assert len(inventory.installs[0]) < 200
    plan = plan_sync(build_desired(*many), inventory, build_policy())
    assert len(plan.blocked) + len(plan.fetch) == 2000
