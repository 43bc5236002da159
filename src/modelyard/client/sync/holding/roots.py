"""The folders in which a ComfyUI looks for models: each key has roots, and the first one that has a name wins.

What they are is said by a running ComfyUI (``running.py``), else by its configuration (``configured.py``), else by
the layout that every ComfyUI starts with.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from modelyard.client.sync.wanted import Wanted
from modelyard.wire.paths import NEVER_MODELS, canonical_type

# The work folder of this program: partial files, trash. No key of ComfyUI lists what is beside its type folders.
WORK_FOLDER = ".modelyard"
# Folders of code: a file there could run.
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
# What ComfyUI's `main.py` adds behind everything else: a workflow may save models there.
OUTPUT_LAYOUT = ("checkpoints", "clip", "vae", "diffusion_models", "loras")

# Custom nodes bring a handful; a registry that invents thousands is not followed.
MOST_OTHER_TYPES = 100


class RootsUnknown(ValueError):
    """What a ComfyUI says of its folders cannot be understood; the text says why, and what to do."""


@dataclass(frozen=True)
class Root:
    """A folder in which ComfyUI looks for the models of one key."""

    key: str
    path: Path  # absolute, as ComfyUI has it; it may be a link


@dataclass(frozen=True)
class Install:
    """One ComfyUI, or one folder without any: ``models`` is where a type goes that no root is for."""

    models: Path | None
    roots: tuple[Root, ...]

    def with_types(self, wanted: Iterable[Wanted]) -> "Install":
        """The same with a root for each type that ComfyUI does not know: custom nodes read ``models/<type>``."""
        if self.models is None:
            return self
        known = {root.key for root in self.roots}
        missing = sorted({(model.model_type, model.folder) for model in wanted if model.model_type not in known})
        added = tuple(Root(kind, self.models / folder) for kind, folder in missing[:MOST_OTHER_TYPES])
        return replace(self, roots=self.roots + added)


@dataclass(frozen=True)
class RootOnDisk:
    """A root as a scan met it. Nothing below it may be a link on the way to a file that is written."""

    key: str
    given: Path  # as ComfyUI has it
    path: Path  # with all links resolved
    work: Path  # partial files and trash, on the root's own file system where that is possible
    device: int
    inode: int  # 0: it is not there yet, and may be made since its models folder is there
    trouble: str | None = None  # why nothing is written there, in a sentence
    is_listed: bool = True  # its files are known

    def holds(self, path: Path | str) -> bool:
        """Whether the path lies in this root; so does its own, written with a separator at its end."""
        # Asked for each file and root: ``is_relative_to`` takes ten times as long.
        return str(path).startswith(f"{self.path}/")


def models_folder(models: Path) -> Install:
    """A models folder by itself, laid out like ComfyUI's."""
    models = models.absolute()
    return Install(models, tuple(_layout(models)))


def root_for(roots: tuple[RootOnDisk, ...], wanted: Wanted) -> RootOnDisk | None:
    """Which of the roots of its key a model goes to that is nowhere yet.

    ComfyUI's own downloads go to the first root of the key, which is the one that the operator made the default. A
    key with two folders side by side there (``unet``, ``diffusion_models``) gives the choice to the model's path.
    """
    if not roots:
        return None
    beside = [root for root in roots if root.given.parent == roots[0].given.parent]
    return next((root for root in beside if root.given.name == wanted.folder), roots[0])


class Search:
    """The keys and roots of a ComfyUI while they are put together, by the rules of its ``add_model_folder_path``."""

    def __init__(self) -> None:
        self._roots: dict[str, list[Path]] = {}

    def add(self, key: str, path: Path, *, is_default: bool = False) -> None:
        """A root behind the others, or before them; a key's alias is the key. Keys that hold no models are left out."""
        key = canonical_type(key)
        if key.casefold() in NEVER_MODELS:
            return
        paths = self._roots.setdefault(key, [])
        if path in paths:
            if not is_default:
                return
            paths.remove(path)
        paths.insert(0 if is_default else len(paths), path)

    def roots(self) -> tuple[Root, ...]:
        """All of them, each key's in its order."""
        return tuple(Root(key, path) for key, paths in self._roots.items() for path in paths)


def by_layout(base: Path, search: Search) -> None:
    """Add what every ComfyUI at ``base`` starts with."""
    for root in _layout(base / "models"):
        search.add(root.key, root.path)


def _layout(models: Path) -> Iterable[Root]:
    for key, folders in LAYOUT.items():
        for folder in folders:
            yield Root(key, models / folder)
