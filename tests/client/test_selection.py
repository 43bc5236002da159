import os
from pathlib import Path

import pytest

from modelyard.client.library import NameUnfit, TypeUnknown
from modelyard.client.selection import NothingToPush, PushRequest, SamePlaceTwice, Unfit, Wishes, select_files
from tests.client.files import model_file

LORA = Wishes(model_type="loras")


def paths(selected: list[PushRequest | Unfit]) -> list[str]:
    return [each.model_path for each in selected if isinstance(each, PushRequest)]


def refusals(selected: list[PushRequest | Unfit]) -> list[type[Exception]]:
    return [type(each.why) for each in selected if isinstance(each, Unfit)]


def test_a_folder_means_all_models_below_it(tmp_path: Path) -> None:
    model_file(tmp_path / "set" / "a.safetensors")
    model_file(tmp_path / "set" / "sub" / "b.safetensors")
    assert paths(select_files([str(tmp_path / "set")], LORA)) == [
        "models/loras/a.safetensors",
        "models/loras/sub/b.safetensors",
    ]


def test_a_models_folder_gives_every_file_its_own_type(tmp_path: Path) -> None:
    model_file(tmp_path / "models" / "loras" / "a.safetensors")
    model_file(tmp_path / "models" / "vae" / "b.safetensors")
    assert paths(select_files([str(tmp_path)], Wishes())) == ["models/loras/a.safetensors", "models/vae/b.safetensors"]


def test_a_pattern_is_for_shells_that_leave_it_to_us(tmp_path: Path) -> None:
    model_file(tmp_path / "a1.safetensors")
    model_file(tmp_path / "a2.safetensors")
    model_file(tmp_path / "b.safetensors")
    assert len(select_files([str(tmp_path / "a*.safetensors")], LORA)) == 2


def test_a_file_with_brackets_in_its_name_is_itself(tmp_path: Path) -> None:
    model_file(tmp_path / "a[1].safetensors")
    model_file(tmp_path / "a1.safetensors")
    selected = select_files([str(tmp_path / "a[1].safetensors")], LORA)
    assert [each.file.name for each in selected] == ["a[1].safetensors"]
    assert refusals(selected) == [NameUnfit]


def test_a_path_with_a_slash_at_its_end_is_a_folder_for_all(tmp_path: Path) -> None:
    files = [model_file(tmp_path / name) for name in ("a.safetensors", "b.safetensors")]
    wishes = Wishes(model_path="models/loras/house/")
    assert paths(select_files([str(file) for file in files], wishes)) == [
        "models/loras/house/a.safetensors",
        "models/loras/house/b.safetensors",
    ]


@pytest.mark.parametrize("wishes", [Wishes(display_name="Ink"), Wishes(model_path="models/loras/ink.safetensors")])
def test_one_name_is_not_for_two_files(tmp_path: Path, wishes: Wishes) -> None:
    files = [model_file(tmp_path / name) for name in ("a.safetensors", "b.safetensors")]
    with pytest.raises(NothingToPush):
        select_files([str(file) for file in files], wishes)


def test_two_files_never_become_one_model(tmp_path: Path) -> None:
    files = [model_file(tmp_path / "one" / "Ink.safetensors"), model_file(tmp_path / "other" / "ink.safetensors")]
    selected = select_files([str(file) for file in files], LORA)
    assert paths(selected) == ["models/loras/Ink.safetensors"]
    assert refusals(selected) == [SamePlaceTwice]


def test_what_cannot_be_pushed_is_refused_and_the_rest_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty.safetensors").touch()
    os.mkfifo(tmp_path / "pipe.safetensors")
    model_file(tmp_path / "mystery.safetensors", tensor="x")
    model_file(tmp_path / "ink.safetensors")
    names = ("empty", "pipe", "absent", "mystery", "ink")
    selected = select_files([str(tmp_path / f"{name}.safetensors") for name in names], Wishes())
    assert refusals(selected) == [NothingToPush, NothingToPush, NothingToPush, TypeUnknown]
    assert paths(selected) == ["models/loras/ink.safetensors"]


def test_a_folder_without_models_is_nothing_to_push(tmp_path: Path) -> None:
    with pytest.raises(NothingToPush):
        select_files([str(tmp_path)], LORA)
