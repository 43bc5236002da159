"""Where ``Ink.sft`` and ``ink.sft`` are one name: one right file, or a conflict that is said, and nothing lost."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.sync.folding_mount import folding_mount
from tests.client.sync.real import RealMachine, Store, sha256
from tests.client.sync.refused import refusal

INK, WASH = os.urandom(300_000), os.urandom(300_000)


@pytest.fixture
def folding(tmp_path: Path, store: Store) -> Iterator[RealMachine]:
    """A machine whose models folder takes no notice of case."""
    models = tmp_path / "models"
    models.mkdir()
    with folding_mount(models):
        yield RealMachine(models, tmp_path / "state", store)


def test_what_is_wanted_comes_and_goes(folding: RealMachine, store: Store) -> None:
    ink = store.model("loras/Flux/Ink.sft", INK)
    assert folding.sync(ink)["loras/Flux/Ink.sft"].state == "ready"
    assert folding.visible() == {"loras/Flux/Ink.sft": INK}
    assert folding.plan(ink).is_done
    folding.sync()
    assert folding.visible() == {}
    assert folding.sync(ink)["loras/Flux/Ink.sft"].done == "from trash"


def test_a_users_file_of_another_case_is_in_the_way(folding: RealMachine, store: Store) -> None:
    folding.put("loras/INK.sft", WASH)
    refused = refusal(folding.plan(store.model("loras/ink.sft", INK)))
    assert refused.state == "conflict"
    assert all(sha256(content) in refused.reason for content in (INK, WASH))
    folding.sync(store.model("loras/ink.sft", INK))
    assert folding.visible() == {"loras/INK.sft": WASH}


def test_a_users_file_of_another_case_that_came_in_between_is_not_lost(folding: RealMachine, store: Store) -> None:
    plan = folding.plan(store.model("loras/ink.sft", INK))
    folding.put("loras/INK.sft", WASH)
    assert folding.carry_out(plan)["loras/ink.sft"].state == "conflict"
    assert folding.visible() == {"loras/INK.sft": WASH}


def test_the_right_bytes_under_another_case_are_used_and_their_owner_is_told(
    folding: RealMachine, store: Store
) -> None:
    folding.put("loras/INK.sft", INK)
    ink = store.model("loras/ink.sft", INK)
    assert "lists it as" in (folding.sync(ink)["loras/ink.sft"].reason or "")
    folding.sync()
    assert folding.visible() == {"loras/INK.sft": INK}


def test_a_model_whose_name_changed_its_case_is_one_file(folding: RealMachine, store: Store) -> None:
    folding.sync(store.model("loras/Ink.sft", INK))
    renamed = store.model("loras/ink.sft", INK)
    assert folding.sync(renamed)["loras/ink.sft"].state == "ready"
    assert list(folding.visible().values()) == [INK]
    assert folding.plan(renamed).is_done
    folding.sync()
    assert folding.visible() == {}


def test_new_bytes_under_another_case_take_the_place_of_the_old_ones(folding: RealMachine, store: Store) -> None:
    folding.sync(store.model("loras/Ink.sft", INK))
    wash = store.model("loras/ink.sft", WASH)
    assert folding.sync(wash)["loras/ink.sft"].state == "ready"
    assert list(folding.visible().values()) == [WASH]
    assert folding.left() == [f"trash/{sha256(INK)}"]
    folding.sync(wash)
    assert folding.plan(wash).is_done
    folding.sync()
    assert folding.visible() == {}


def test_a_file_in_a_users_folder_of_another_case_stays_the_agents_own(folding: RealMachine, store: Store) -> None:
    mine = folding.put("loras/FLUX/mine.sft", WASH)
    ink = store.model("loras/flux/ink.sft", INK)
    assert folding.sync(ink)["loras/flux/ink.sft"].state == "ready"
    folding.sync()
    assert folding.visible() == {"loras/FLUX/mine.sft": WASH}

    # The next look notes it as the folder spells it.
    folding.sync(ink)
    folding.sync(ink)
    assert folding.plan(ink).is_done
    mine.unlink()
    folding.sync()
    assert folding.visible() == {}


def test_agents_whose_registry_names_both_cases_fetch_neither(folding: RealMachine, store: Store) -> None:
    said = folding.sync(store.model("loras/Ink.sft", INK), store.model("loras/ink.sft", WASH))
    assert {standing.state for standing in said.values()} == {"failed"}
    assert folding.visible() == {}
