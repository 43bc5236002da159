from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.client.sync.holding.roots import RootOnDisk
from modelyard.client.sync.planning.ownership import Places
from tests.client.sync.making import MODELS, install

WIDE = RootOnDisk("loras", MODELS, MODELS, MODELS / ".modelyard", 5, 1)
AWAY = RootOnDisk("vae", Path("/away"), Path("/away"), Path("/away/.modelyard"), 5, 1, "It is away.", is_listed=False)


@pytest.mark.parametrize(
    ("path", "root", "name"),
    [
        ("/comfy/models/loras/ink.pt", "/comfy/models/loras", "ink.pt"),
        ("/comfy/models/loras/a/b/ink.pt", "/comfy/models/loras", "a/b/ink.pt"),
        ("/comfy/models/loras_old/ink.pt", "/comfy/models", "loras_old/ink.pt"),
        ("/comfy/models/ink.pt", "/comfy/models", "ink.pt"),
    ],
)
def test_a_file_belongs_to_the_innermost_root_above_it(path: str, root: str, name: str) -> None:
    # Twice: what was looked up once is remembered.
    places = Places([(WIDE, *install())])
    for _ in range(2):
        target = places.target_at(Path(path))
        assert target is not None
        assert (str(target.root.path), target.name, str(target.path)) == (root, name, path)


@pytest.mark.parametrize("path", ["/elsewhere/ink.pt", "/ink.pt", "/comfy/models", "/away/ink.pt"])
def test_a_file_outside_of_all_listed_roots_belongs_to_none(path: str) -> None:
    assert Places([(WIDE, AWAY, *install())]).target_at(Path(path)) is None


def test_of_two_roots_in_one_folder_the_first_has_its_files() -> None:
    second = replace(WIDE, key="vae")
    target = Places([(WIDE,), (second,)]).target_at(MODELS / "ink.pt")
    assert target is not None
    assert target.root.key == "loras"
