import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.client.sync.holding.holdings import Machine, Watch, scan
from modelyard.client.sync.holding.index import Index
from modelyard.client.sync.holding.journal import Journal
from modelyard.client.sync.holding.patience import NotAnswering, Patience
from modelyard.client.sync.holding.roots import models_folder
from modelyard.client.sync.holding.state import StateFile
from modelyard.client.sync.planning.plan import plan_sync
from tests.client.sync.dead_mount import dead_mount
from tests.client.sync.making import model, policy_of, wanted

SHORT = 0.05
# What a file system that answers may take on a machine that is busy with other tests.
PATIENT = 0.7


def test_work_that_is_done_gives_its_result() -> None:
    assert Patience().run(Path("x"), lambda _: 42) == 42


def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(PermissionError):
        Patience().run(Path("x"), lambda _: (_ for _ in ()).throw(PermissionError()))


def test_work_that_goes_on_may_take_as_long_as_it_likes() -> None:
    def slow(moved: Callable[[], None]) -> str:
        for _ in range(20):
            threading.Event().wait(PATIENT / 10)
            moved()
        return "done"

    assert Patience(PATIENT).run(Path("x"), slow) == "done"


def test_work_that_stands_still_is_left_and_not_piled_up(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    patience = Patience(SHORT)
    for _ in range(3):
        with pytest.raises(NotAnswering):
            patience.run(pipe, lambda _: pipe.read_text())
    assert [thread.name for thread in threading.enumerate()].count("modelyard looks at pipe") == 1
    # The end of whom it waited for is the end of the wait.
    with pipe.open("w"):
        pass


def test_a_dead_mount_costs_its_own_folder_only(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for folder in ("loras", "vae"):
        (models / folder).mkdir(parents=True)
    asked = model("loras/ink.pt"), model("vae/x.pt")
    with StateFile(tmp_path / "state.sqlite") as state, dead_mount(models / "loras"):
        watch = Watch(patience=Patience(PATIENT))
        held = scan([models_folder(models)], wanted(*asked).models, Machine("a", Index(state), Journal(state)), watch)
    plan = plan_sync(wanted(*asked), held, policy_of())
    assert [fetch.wanted.name for fetch in plan.fetch] == ["x.pt"]
    assert [refuse.reason for refuse in plan.refuse] == [
        f'The file system of "{models}/loras" does not answer. Is its server there?'
    ]


def test_a_link_into_a_dead_mount_costs_its_own_model_only(tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "loras").mkdir(parents=True)
    (tmp_path / "nas").mkdir()
    (models / "loras/ink.pt").symlink_to(tmp_path / "nas/ink.pt")
    asked = model("loras/ink.pt"), model("loras/x.pt")
    with StateFile(tmp_path / "state.sqlite") as state, dead_mount(tmp_path / "nas"):
        watch = Watch(patience=Patience(PATIENT))
        held = scan([models_folder(models)], wanted(*asked).models, Machine("a", Index(state), Journal(state)), watch)
    plan = plan_sync(wanted(*asked), held, policy_of())
    assert [fetch.wanted.name for fetch in plan.fetch] == ["x.pt"]
    assert "its file system does not answer" in plan.refuse[0].reason
