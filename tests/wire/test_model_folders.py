import json
from pathlib import Path

import pytest

from modelyard.wire.model_folders import CORE_FOLDERS, NODE_FOLDERS, is_known_folder, suggest_folder
from modelyard.wire.paths import parse_model_type

CASES = json.loads(Path(__file__).with_name("model_type_suggestions.json").read_text(encoding="utf-8"))
NAMES = [*CORE_FOLDERS, *(folder.name for folder in NODE_FOLDERS)]


def test_model_folders_each_name_is_listed_once() -> None:
    assert len(NAMES) == len({name.casefold() for name in NAMES})


@pytest.mark.parametrize("name", NAMES)
def test_model_folders_each_name_is_an_accepted_model_type(name: str) -> None:
    parse_model_type(name)


@pytest.mark.parametrize(("name", "folder"), CASES["near_misses"])
def test_suggest_folder_near_miss_returns_the_known_folder(name: str, folder: str) -> None:
    assert suggest_folder(name) == folder
    assert not is_known_folder(name)


@pytest.mark.parametrize("name", CASES["known"])
def test_suggest_folder_known_name_returns_none(name: str) -> None:
    assert is_known_folder(name)
    assert suggest_folder(name) is None


@pytest.mark.parametrize("name", CASES["new"])
def test_suggest_folder_new_name_returns_none(name: str) -> None:
    assert not is_known_folder(name)
    assert suggest_folder(name) is None


@pytest.mark.parametrize("folder", NAMES)
def test_suggest_folder_listed_folder_returns_none(folder: str) -> None:
    assert suggest_folder(folder) is None
