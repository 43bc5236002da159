"""The roots that an install gets for folders that its ComfyUI does not list."""

from pathlib import Path

import pytest

from modelyard.comfyui.layout import Install, Root

MODELS = Path("/comfyui/models")


def build_install(*roots: tuple[str, str]) -> Install:
    return Install(MODELS, tuple(Root(key, Path(path)) for key, path in roots))


@pytest.mark.parametrize(
    ("roots", "folder", "added"),
    [
        ([], "/comfyui/models/ipadapter/styles", Root("ipadapter", MODELS / "ipadapter")),
        ([("loras", "/comfyui/models/loras")], "/comfyui/models/loras/styles", None),
        ([("ipadapter", "/data/ipadapter")], "/comfyui/models/ipadapter", None),
        ([("text_encoders", "/data/encoders")], "/comfyui/models/clip", None),
        ([], "/comfyui/models/clip", Root("text_encoders", MODELS / "clip")),
        ([], "/data/ipadapter", None),
        ([], "/comfyui/models", None),
        ([("checkpoints", "/comfyui/models")], "/comfyui/models/styles", None),
    ],
    ids=[
        "unlisted",
        "listed",
        "listed elsewhere",
        "alias listed elsewhere",
        "alias unlisted",
        "outside",
        "itself",
        "below a root",
    ],
)
def test_with_folders_of_adds_roots_for_types_without_one(
    roots: list[tuple[str, str]], folder: str, added: Root | None
) -> None:
    install = build_install(*roots)
    expected = install.roots if added is None else (*install.roots, added)
    assert install.with_folders_of([Path(folder)]).roots == expected
