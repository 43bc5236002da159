import os
import socket
from pathlib import Path

from modelyard.client.sync.holding.journal import Entry
from modelyard.client.sync.holding.roots import Install, Root
from modelyard.client.sync.planning.plan import plan_sync
from tests.client.sync.making import model, policy_of, sha256_of, wanted
from tests.client.sync.yard import Yard


def test_links_are_not_followed_out_of_the_folder(yard: Yard, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.pt").write_text("ink")
    (yard.models / "loras").mkdir()
    (yard.models / "loras/far").symlink_to(elsewhere)
    (yard.models / "loras/up").symlink_to(yard.models)
    held = yard.scan(model("loras/ink.pt", "ink"))
    assert yard.hashed == []
    assert [held.files[yard.models / "loras" / name].kind for name in ("far", "up")] == ["link", "link"]


def test_a_wanted_name_is_looked_up_through_links(yard: Yard, tmp_path: Path) -> None:
    target = tmp_path / "nas.pt"
    target.write_text("ink")
    (yard.models / "loras").mkdir()
    link = yard.models / "loras/ink.pt"
    link.symlink_to(target)
    file = yard.scan(model("loras/ink.pt", "ink")).files[link]
    assert (file.kind, file.sha256, file.link, file.is_plain) == ("link", sha256_of("ink"), link, False)


def test_a_wanted_name_below_a_link_to_a_folder_is_looked_up_too(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far/ink.pt").write_text("ink")
    (yard.models / "loras").mkdir()
    link = yard.models / "loras/far"
    link.symlink_to(tmp_path / "far")
    held = yard.scan(model("loras/far/ink.pt", "ink"), model("loras/far/other.pt"))
    assert held.files[link / "ink.pt"].sha256 == sha256_of("ink")
    assert held.files[link / "other.pt"].kind == "other"
    assert held.files[link / "other.pt"].path == link


def test_every_odd_thing_in_the_place_of_a_file_has_its_kind(yard: Yard) -> None:
    loras = yard.models / "loras"
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
    yard.file("loras/file.pt")
    names = ["folder.pt", "dangling.pt", "loop.pt", "pipe.pt", "socket.pt", "file.pt/x.pt"]
    held = yard.scan(*(model(f"loras/{name}", name) for name in names))
    kinds = [held.files[loras / name].kind for name in names]
    assert kinds == ["folder", "dangling", "unreadable", "other", "other", "barred"]


def test_a_folder_may_be_a_link_itself(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas/ink.pt").write_text("ink")
    (yard.models / "loras").symlink_to(tmp_path / "nas")
    held = yard.scan(model("loras/ink.pt", "ink"))
    assert yard.root(held, "loras").path == tmp_path / "nas"
    assert held.files[tmp_path / "nas/ink.pt"].is_plain


def test_a_folder_that_is_a_link_to_nowhere_is_said(yard: Yard) -> None:
    (yard.models / "loras").symlink_to("/mnt/away")
    root = yard.root(yard.scan(), "loras")
    assert not root.is_listed
    assert root.trouble == f'The folder "{yard.models}/loras" is not there. Make it, or mount its disk.'


def test_a_type_folder_that_was_never_made_may_be_made(yard: Yard) -> None:
    root = yard.root(yard.scan(), "loras")
    assert (root.trouble, root.is_listed, root.inode, root.work) == (None, True, 0, yard.models / ".modelyard")


def test_a_models_folder_that_is_gone_is_said(yard: Yard) -> None:
    yard.models.rmdir()
    root = yard.root(yard.scan(), "loras")
    assert root.trouble is not None
    assert not root.is_listed


def test_a_file_in_the_place_of_a_folder_is_said(yard: Yard) -> None:
    (yard.models / "loras").write_text("?")
    assert yard.root(yard.scan(), "loras").trouble == f'"{yard.models}/loras" is no folder.'


def test_folders_of_code_are_never_written(yard: Yard, tmp_path: Path) -> None:
    inside = yard.models.parent / "custom_nodes" / "node" / "models"
    inside.mkdir(parents=True)
    install = Install(yard.models, (Root("node", inside), Root("all", yard.models.parent)))
    (node, around) = yard.scan(installs=[install]).installs[0]
    assert node.trouble == f'"{inside}" holds code of custom nodes; models are not placed there.'
    assert around.trouble is not None


def test_the_work_folder_is_not_looked_into(yard: Yard) -> None:
    yard.file(".modelyard/x.part", "ink")
    install = Install(yard.models, (Root("all", yard.models),))
    assert yard.scan(model("all/x.pt", "ink"), installs=[install]).files.keys() == {yard.models / ".modelyard"}


def test_a_disk_that_is_not_mounted_is_not_filled(yard: Yard) -> None:
    root = yard.root(yard.scan(), "loras")
    yard.machine.journal.confirm(
        Entry(yard.models / "loras/ink.pt", sha256_of("ink"), 3, model("x/x").id, "placed", device=root.device + 1)
    )
    held = yard.scan(model("loras/ink.pt", "ink"))
    trouble = yard.root(held, "loras").trouble
    assert trouble is not None
    assert "Mount the right disk" in trouble
    plan = plan_sync(wanted(model("loras/ink.pt", "ink")), held, policy_of())
    assert (plan.fetch, plan.forget, plan.notes) == ((), (), (trouble,))

    (yard.models / ".modelyard").mkdir()
    assert yard.root(yard.scan(), "loras").trouble is None


def test_files_that_somebody_deleted_are_fetched_again(yard: Yard) -> None:
    device = yard.root(yard.scan(), "loras").device
    yard.machine.journal.confirm(
        Entry(yard.models / "loras/ink.pt", sha256_of("ink"), 3, model("x/x").id, "placed", device=device)
    )
    assert yard.root(yard.scan(), "loras").trouble is None


def test_a_type_that_comfyui_does_not_know_goes_beside_the_others(yard: Yard) -> None:
    held = yard.scan(model("ultralytics/face.pt"))
    (fetch,) = plan_sync(wanted(model("ultralytics/face.pt")), held, policy_of()).fetch
    assert fetch.target.path == yard.models / "ultralytics/face.pt"


def test_thousands_of_made_up_types_make_no_thousands_of_folders(yard: Yard) -> None:
    many = [model(f"type{number}/x.pt") for number in range(2000)]
    held = yard.scan(*many)
    assert len(held.installs[0]) < 200
    plan = plan_sync(wanted(*many), held, policy_of())
    assert len(plan.refuse) + len(plan.fetch) == 2000
