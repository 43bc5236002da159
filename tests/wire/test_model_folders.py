import pytest

from modelyard.wire.model_folders import CORE_FOLDERS, NODE_FOLDERS
from modelyard.wire.paths import parse_model_type

NAMES = [*CORE_FOLDERS, *(folder.name for folder in NODE_FOLDERS)]


def test_model_folders_each_name_is_listed_once() -> None:
    assert len(NAMES) == len({name.casefold() for name in NAMES})


@pytest.mark.parametrize("name", NAMES)
def test_model_folders_each_name_is_an_accepted_model_type(name: str) -> None:
    parse_model_type(name)
