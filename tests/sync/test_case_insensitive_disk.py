"""Case-insensitive disks, where ``Ink.sft`` and ``ink.sft`` are one file: one right file or a conflict, no loss."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sync.blocked_models import get_only_blocked
from tests.sync.case_insensitive_mount import case_insensitive_mount
from tests.sync.real_machine import ModelStore, RealMachine, hash_bytes

pytestmark = pytest.mark.slow

INK, WASH = os.urandom(300_000), os.urandom(300_000)


@pytest.fixture
def folding(tmp_path: Path, store: ModelStore) -> Iterator[RealMachine]:
    """A machine whose models folder is case-insensitive."""
    models = tmp_path / "models"
    models.mkdir()
    with case_insensitive_mount(models):
        yield RealMachine(models, tmp_path / "state", store)


def test_apply_case_insensitive_disk_places_and_removes_models(folding: RealMachine, store: ModelStore) -> None:
    ink = store.add_model("loras/Flux/Ink.sft", INK)
    assert folding.sync(ink)["loras/Flux/Ink.sft"].state == "ready"
    assert folding.read_files() == {"loras/Flux/Ink.sft": INK}
    assert folding.plan(ink).is_empty
    folding.sync()
    assert folding.read_files() == {}
    assert folding.sync(ink)["loras/Flux/Ink.sft"].origin == "from trash"


def test_apply_user_file_in_other_case_is_conflict(folding: RealMachine, store: ModelStore) -> None:
    folding.write_user_file("loras/INK.sft", WASH)
    refused = get_only_blocked(folding.plan(store.add_model("loras/ink.sft", INK)))
    assert refused.state == "conflict"
    assert all(hash_bytes(content) in refused.reason for content in (INK, WASH))
    folding.sync(store.add_model("loras/ink.sft", INK))
    assert folding.read_files() == {"loras/INK.sft": WASH}


def test_apply_user_file_in_other_case_created_after_plan_is_not_lost(folding: RealMachine, store: ModelStore) -> None:
    plan = folding.plan(store.add_model("loras/ink.sft", INK))
    folding.write_user_file("loras/INK.sft", WASH)
    assert folding.apply(plan)["loras/ink.sft"].state == "conflict"
    assert folding.read_files() == {"loras/INK.sft": WASH}


def test_apply_right_content_in_other_case_is_used_and_reported(folding: RealMachine, store: ModelStore) -> None:
    folding.write_user_file("loras/INK.sft", INK)
    ink = store.add_model("loras/ink.sft", INK)
    assert "lists it as" in (folding.sync(ink)["loras/ink.sft"].reason or "")
    folding.sync()
    assert folding.read_files() == {"loras/INK.sft": INK}


def test_apply_model_with_changed_case_stays_one_file(folding: RealMachine, store: ModelStore) -> None:
    folding.sync(store.add_model("loras/Ink.sft", INK))
    renamed = store.add_model("loras/ink.sft", INK)
    assert folding.sync(renamed)["loras/ink.sft"].state == "ready"
    assert list(folding.read_files().values()) == [INK]
    assert folding.plan(renamed).is_empty
    folding.sync()
    assert folding.read_files() == {}


def test_apply_new_content_in_other_case_replaces_old_file(folding: RealMachine, store: ModelStore) -> None:
    folding.sync(store.add_model("loras/Ink.sft", INK))
    wash = store.add_model("loras/ink.sft", WASH)
    assert folding.sync(wash)["loras/ink.sft"].state == "ready"
    assert list(folding.read_files().values()) == [WASH]
    assert folding.list_work_files() == [f"trash/{hash_bytes(INK)}"]
    folding.sync(wash)
    assert folding.plan(wash).is_empty
    folding.sync()
    assert folding.read_files() == {}


def test_apply_file_in_user_folder_of_other_case_stays_owned(folding: RealMachine, store: ModelStore) -> None:
    mine = folding.write_user_file("loras/FLUX/mine.sft", WASH)
    ink = store.add_model("loras/flux/ink.sft", INK)
    assert folding.sync(ink)["loras/flux/ink.sft"].state == "ready"
    folding.sync()
    assert folding.read_files() == {"loras/FLUX/mine.sft": WASH}

    # The next look notes it as the folder spells it.
    folding.sync(ink)
    folding.sync(ink)
    assert folding.plan(ink).is_empty
    mine.unlink()
    folding.sync()
    assert folding.read_files() == {}


def test_apply_two_models_differing_in_case_are_not_downloaded(folding: RealMachine, store: ModelStore) -> None:
    said = folding.sync(store.add_model("loras/Ink.sft", INK), store.add_model("loras/ink.sft", WASH))
    assert {replica_state.state for replica_state in said.values()} == {"failed"}
    assert folding.read_files() == {}
