from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.planning.ownership import RootLookup
from tests.sync.factories import MODELS, build_install

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
def test_find_target_uses_innermost_root(path: str, root: str, name: str) -> None:
    # Twice: what was looked up once is remembered.
    places = RootLookup([(WIDE, *build_install())])
    for _ in range(2):
        target = places.find_target(Path(path))
        assert target is not None
        assert (str(target.root.path), target.name, str(target.path)) == (root, name, path)


@pytest.mark.parametrize("path", ["/elsewhere/ink.pt", "/ink.pt", "/comfy/models", "/away/ink.pt"])
def test_find_target_outside_listed_roots_returns_none(path: str) -> None:
    assert RootLookup([(WIDE, AWAY, *build_install())]).find_target(Path(path)) is None


def test_find_target_two_roots_at_one_path_uses_first() -> None:
    second = replace(WIDE, key="vae")
    target = RootLookup([(WIDE,), (second,)]).find_target(MODELS / "ink.pt")
    assert target is not None
    assert target.root.key == "loras"
