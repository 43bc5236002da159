import errno
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from modelyard.client.sync.holdings import Holdings, Machine, Watch, scan
from modelyard.client.sync.index import Index
from modelyard.client.sync.journal import Entry, Journal
from modelyard.client.sync.plan import plan_sync
from modelyard.client.sync.reading import Stopped
from modelyard.client.sync.roots import Install, Root, RootOnDisk, models_folder
from modelyard.client.sync.state import StateFile
from modelyard.wire.agents import WantedModel
from tests.client.sync.making import model, policy_of, sha256_of, wanted


@dataclass
class Yard:
    """A real models folder and what an agent remembers of it."""

    models: Path
    machine: Machine
    hashed: list[Path]

    def file(self, name: str, content: str = "") -> Path:
        path = self.models / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content or name)
        # As if it had been written long ago: lately written files are not remembered.
        os.utime(path, (1e9, 1e9))
        return path

    def scan(self, *models: WantedModel, installs: list[Install] | None = None) -> Holdings:
        self.hashed.clear()
        watch = Watch(lambda path, *_: self.hashed.append(path))
        return scan(installs or [models_folder(self.models)], wanted(*models).models, self.machine, watch)

    def root(self, held: Holdings, folder: str) -> RootOnDisk:
        return next(root for root in held.installs[0] if root.given == self.models / folder)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    (tmp_path / "models").mkdir()
    with StateFile(tmp_path / "state" / "agent.sqlite") as state:
        yield Yard(tmp_path / "models", Machine("agent", Index(state), Journal(state)), [])


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


def test_ten_thousand_known_files_are_not_read_again(yard: Yard) -> None:
    asked = []
    for number in range(10_000):
        yard.file(f"loras/{number % 100}/{number}.pt", str(number))
        asked.append(model(f"loras/{number % 100}/{number}.pt", str(number)))
    yard.scan(*asked)
    assert len(yard.hashed) == 10_000
    fresh = replace(yard.machine, index=Index(yard.machine.journal._state))
    watch = Watch(lambda path, *_: pytest.fail(f"{path} was read again"))
    scan([models_folder(yard.models)], wanted(*asked).models, fresh, watch)
