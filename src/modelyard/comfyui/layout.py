"""ComfyUI's model folders: each key has roots, and the first root that contains a file name is used.

A running ComfyUI reports them (``folders_api.py``); otherwise they come from its configuration
(``extra_model_paths.py``) and from its default layout.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from modelyard.wire.paths import NON_MODEL_FOLDERS, get_canonical_type

# A folder of code: a file in it could be executed.
CODE_FOLDER = "custom_nodes"
# ComfyUI's `folder_paths.py`, as docs name it; the folders of a key in the order in which ComfyUI searches them.
LAYOUT: dict[str, tuple[str, ...]] = {
    "checkpoints": ("checkpoints",),
    "loras": ("loras",),
    "vae": ("vae",),
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("unet", "diffusion_models"),
    "clip_vision": ("clip_vision",),
    "style_models": ("style_models",),
    "embeddings": ("embeddings",),
    "diffusers": ("diffusers",),
    "vae_approx": ("vae_approx",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "gligen": ("gligen",),
    "upscale_models": ("upscale_models",),
    "latent_upscale_models": ("latent_upscale_models",),
    "hypernetworks": ("hypernetworks",),
    "photomaker": ("photomaker",),
    "classifiers": ("classifiers",),
    "model_patches": ("model_patches",),
    "audio_encoders": ("audio_encoders",),
    "background_removal": ("background_removal",),
    "frame_interpolation": ("frame_interpolation",),
    "geometry_estimation": ("geometry_estimation",),
    "optical_flow": ("optical_flow",),
    "detection": ("detection",),
}
# Appended by ComfyUI's `main.py` after all others: workflows may save models there.
OUTPUT_LAYOUT = ("checkpoints", "clip", "vae", "diffusion_models", "loras")

# Custom nodes add a handful. The limit protects against a registry that invents thousands.
MAX_OTHER_TYPES = 100


class ComfyUIFoldersUnknown(ValueError):
    """The folders of a ComfyUI cannot be determined; the message has the reason and what to do."""


class NamedModel(Protocol):
    """A model as ComfyUI identifies it: the key and folder of its type, and its name below that folder."""

    @property
    def name(self) -> str: ...

    @property
    def model_type(self) -> str: ...

    @property
    def folder(self) -> str: ...


@dataclass(frozen=True)
class Root:
    """A folder in which ComfyUI searches for the models of one key."""

    key: str
    path: Path  # absolute, as in ComfyUI; may be a symbolic link


@dataclass(frozen=True)
class Install:
    """A ComfyUI installation, or a plain models folder. ``models`` is used for types without a root."""

    models: Path | None
    roots: tuple[Root, ...]

    def with_types(self, models: Iterable[NamedModel]) -> "Install":
        """Return the install with a root for each type without one: custom nodes read ``models/<type>``.

        At most ``MAX_OTHER_TYPES`` are added; unchanged if the models folder is unknown.
        """
        if self.models is None:
            return self
        known = {root.key for root in self.roots}
        missing = sorted({(model.model_type, model.folder) for model in models if model.model_type not in known})
        added = tuple(Root(kind, self.models / folder) for kind, folder in missing[:MAX_OTHER_TYPES])
        return replace(self, roots=self.roots + added)

    def with_folders_of(self, folders: Iterable[Path]) -> "Install":
        """Return the install with a root for each folder of ``models`` that has one of these folders and no root.

        Folders whose type has a root are left out: ComfyUI does not search there for the type. At most
        ``MAX_OTHER_TYPES`` are added; unchanged if the models folder is unknown.
        """
        models = self.models
        if models is None:
            return self
        known, paths = {root.key for root in self.roots}, {root.path for root in self.roots}
        outside = [each for each in folders if models in each.parents and paths.isdisjoint((each, *each.parents))]
        names = {folder.relative_to(models).parts[0] for folder in outside}
        missing = sorted(name for name in names if get_canonical_type(name) not in known)
        added = tuple(Root(get_canonical_type(name), models / name) for name in missing[:MAX_OTHER_TYPES])
        return replace(self, roots=self.roots + added)


def build_plain_install(models: Path) -> Install:
    """Build the install for a plain models folder with ComfyUI's layout."""
    models = models.absolute()
    return Install(models, tuple(_iter_layout_roots(models)))


class SearchPathBuilder:
    """A builder of a ComfyUI's roots, with the rules of ComfyUI's ``add_model_folder_path``."""

    def __init__(self) -> None:
        self._roots: dict[str, list[Path]] = {}

    def add(self, key: str, path: Path, *, is_default: bool = False) -> None:
        """Append a root, or prepend it if ``is_default``; one that the key has already is moved only then.

        Aliases of keys are replaced; the keys in ``NON_MODEL_FOLDERS`` are ignored.
        """
        key = get_canonical_type(key)
        if key.casefold() in NON_MODEL_FOLDERS:
            return
        paths = self._roots.setdefault(key, [])
        if path in paths:
            if not is_default:
                return
            paths.remove(path)
        paths.insert(0 if is_default else len(paths), path)

    def roots(self) -> tuple[Root, ...]:
        """Return all roots, grouped by key in search order."""
        return tuple(Root(key, path) for key, paths in self._roots.items() for path in paths)


def add_layout_roots(base: Path, search: SearchPathBuilder) -> None:
    """Add the default roots below ``base``/models, without those of its output folder."""
    for root in _iter_layout_roots(base / "models"):
        search.add(root.key, root.path)


def _iter_layout_roots(models: Path) -> Iterable[Root]:
    """Yield the default roots below a models folder, in ComfyUI's search order."""
    for key, folders in LAYOUT.items():
        for folder in folders:
            yield Root(key, models / folder)
