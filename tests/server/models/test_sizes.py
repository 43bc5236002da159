"""Models of many files are found and sorted by the size that is shown: that of all their files."""

from typing import Any

import pytest

from tests.server.models.model_factory import ModelSpec, TeamModels

pytestmark = pytest.mark.slow

MANIFEST, FILE = {"file_size": 300, "file_count": 2}, {"total_size": None, "file_count": None}
SIZES: dict[str, dict[str, Any]] = {
    "folder of 800 kB": MANIFEST | {"total_size": 800_000},
    "folder of 2 GB": MANIFEST | {"total_size": 2_000_000_000},
    "folder of 20 kB": MANIFEST | {"total_size": 20_000},
    "file of 20 kB": FILE | {"file_size": 20_000},
    "file of 500 kB": FILE | {"file_size": 500_000},
    "file of 3 GB": FILE | {"file_size": 3_000_000_000},
}
ASCENDING = [
    *("folder of 20 kB", "file of 20 kB", "file of 500 kB", "folder of 800 kB", "folder of 2 GB", "file of 3 GB"),
]


@pytest.fixture
def sized_models(team_models: TeamModels) -> TeamModels:
    """Files and folders; of equal size, in the order of their ids."""
    team_models.insert(ModelSpec(name, number, columns=columns) for number, (name, columns) in enumerate(SIZES.items()))
    return team_models


def test_list_models_by_size_in_pages_counts_all_files_of_a_folder(sized_models: TeamModels) -> None:
    assert sized_models.list_names(sort="file_size") == ASCENDING
    assert sized_models.list_names(sort="-file_size") == ASCENDING[::-1]


@pytest.mark.parametrize(
    ("q", "names"),
    [
        ("size:>600kb", ASCENDING[3:]),
        ("size:<1kb", []),
        ("size:800kb", ["folder of 800 kB"]),
        ("size:10kb..1mb", ASCENDING[:4]),
        ("-size:>600kb", ASCENDING[:3]),
    ],
)
def test_search_size_counts_all_files_of_a_folder(sized_models: TeamModels, q: str, names: list[str]) -> None:
    assert sized_models.list_names(q=q, sort="file_size") == names
    assert sized_models.list_names(q=q, sort="-file_size") == names[::-1]
