"""Deciding what the team has for each model file that a workflow names. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from modelyard.comfyui.workflows.references import ModelReference
from modelyard.wire.paths import ModelPathInvalid, build_path_key, parse_model_path
from modelyard.wire.workflows import ReferenceState

# ComfyUI's folder keys that read more than the folder of their name (folder_paths.py).
_FOLDERS_OF_KEY = {"controlnet": ("controlnet", "t2i_adapter")}
# What ComfyUI tries after the name of an embedding (comfy/sd1_clip.py, load_embed).
_EMBEDDING_EXTENSIONS = ("", ".safetensors", ".pt", ".bin")
# Of the files among which nodes look for a LoRA by its name (folder_paths.py, supported_pt_extensions).
_LORA_EXTENSIONS = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")


class Content(NamedTuple):
    """One content of a model of the team, with the model's path relative to the models folder."""

    model_id: UUID
    version: int
    model_path: str

    @property
    def folder(self) -> str:
        """The first folder of the path, as the team wrote it."""
        return self.model_path.partition("/")[0]

    @property
    def name(self) -> str:
        """The path below the type folder: what a ComfyUI node names."""
        return self.model_path.partition("/")[2]


@dataclass(frozen=True)
class TeamContents:
    """What was found in the team: the shown content at each path key, and contents with each hash as written."""

    by_path_key: Mapping[str, Content] = field(default_factory=dict)
    by_hash: Mapping[str, Sequence[Content]] = field(default_factory=dict)


class Match(NamedTuple):
    """What the team has for a reference; ``suggestion`` is the name that would load a file which the team has."""

    state: ReferenceState
    content: Content | None = None
    suggestion: str | None = None


UNKNOWN = Match("unknown")


def list_path_keys(reference: ModelReference) -> list[str]:
    """Return the path keys from which ComfyUI could load a reference, the first choice first; none without a folder."""
    if reference.folder is None:
        return []
    name = normalize_name(reference.name)
    folders = _FOLDERS_OF_KEY.get(reference.folder, (reference.folder,))
    extensions = _list_extensions(reference)
    return [build_path_key(folder, name + extension) for folder in folders for extension in extensions]


def _list_extensions(reference: ModelReference) -> tuple[str, ...]:
    """Return what a node adds to the name to find a file, the first choice first."""
    if reference.is_bare:
        return _LORA_EXTENSIONS
    return _EMBEDDING_EXTENSIONS if reference.folder == "embeddings" else ("",)


def explain_impossible_name(reference: ModelReference) -> str | None:
    """Return why no model can have the path that a reference names; None if one can."""
    name = normalize_name(reference.name)
    extension = next(iter(_list_extensions(reference)))
    folder = reference.folder or "loras"
    try:
        parse_model_path(folder, f"{folder}/{name}{extension}")
    except ModelPathInvalid as invalid:
        return str(invalid)
    return None


def normalize_name(name: str) -> str:
    """Return a name with slashes, whichever system wrote it."""
    return name.replace("\\", "/")


def match_reference(reference: ModelReference, found: TeamContents) -> Match:
    """Decide what the team has for a reference, without a search for similar names.

    A name is compared exactly, as ComfyUI does; one that differs in case only is ``similar``. Without a declared hash
    the name decides.
    """
    keys = list_path_keys(reference)
    at_path = next((found.by_path_key[key] for key in keys if key in found.by_path_key), None)
    with_hash = found.by_hash.get(reference.hash, ()) if reference.hash else ()
    if at_path is None:
        return Match("other_name", with_hash[0], with_hash[0].name) if with_hash else UNKNOWN
    if not _is_named(reference, at_path):
        return Match("similar", at_path, at_path.name)
    if reference.hash and at_path not in with_hash:
        elsewhere = next((content for content in with_hash if content.model_id != at_path.model_id), None)
        return Match("other_content", at_path, elsewhere and elsewhere.name)
    return Match("present", at_path)


def _is_named(reference: ModelReference, content: Content) -> bool:
    """Return whether ComfyUI loads this file for the name, which it compares with case."""
    name = normalize_name(reference.name)
    return any(name + extension == content.name for extension in _list_extensions(reference))
