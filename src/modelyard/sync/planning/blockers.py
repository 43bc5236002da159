"""Reasons why a model is not placed, as sentences for users: what happened, then what to do."""

from pathlib import Path

from modelyard.comfyui.quoting import in_bytes, quoted
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.listing import FolderEntry
from modelyard.transfer.errors import FREE_SPACE

# The remedy if a disk is too small for what must stay free on it.
LOWER_KEEP_FREE = "Lower keep_free in agent.toml, or MODELYARD_AGENT_KEEP_FREE."


def describe_different_content(desired: DesiredModel, file: FolderEntry, *, was_placed: bool) -> str:
    """Describe a user's file, or one changed by a user, that has the model's name but other content."""
    if file.link is not None:
        subject = f"{quoted(file.path)} is a link to another file"
    elif was_placed:
        subject = f"{quoted(file.path)} was changed after it was placed, by a user, a program or a disk fault"
    else:
        subject = f"{quoted(file.path)} is another file"
    hashes = f"it has {_format_hash(file.sha256)}, the model has {_format_hash(desired.sha256)}"
    if file.link is not None or was_placed:
        return f"{subject}: {hashes}. Move it away or rename it."
    return (
        f"{subject}: {hashes}. Move it away or rename it; if it was placed here before this machine lost its state, run"
        " `modelyard agent adopt`."
    )


def describe_shadowing_file(desired: DesiredModel, file: FolderEntry, target: Path) -> str:
    """Describe a file that ComfyUI finds before the target, so that a file placed there would never be loaded."""
    return (
        f"ComfyUI looks at {quoted(file.path)} before {quoted(target)} and loads that file under this name: it has"
        f" {_format_hash(file.sha256)}, the model has {_format_hash(desired.sha256)}. Move it away or rename it."
    )


def describe_file_that_would_be_hidden(desired: DesiredModel, file: FolderEntry, target: Path) -> str:
    """Describe a user's file that ComfyUI would silently stop loading if the target were placed."""
    return (
        f"A file at {quoted(target)} would hide {quoted(file.path)}, which ComfyUI loads under this name now: it has"
        f" {_format_hash(file.sha256)}, the model has {_format_hash(desired.sha256)}. Move it away or rename it."
    )


def describe_other_folder(folder: FolderEntry) -> str:
    """Describe a user's folder in the place of a folder model, of which it lacks a file or has another."""
    differs = f"{folder.reason}" if folder.reason else "its files differ"
    return f"{quoted(folder.path)} is another folder than the model: {differs}. Move it away or rename it."


def describe_folder_to_remove(folder: Path) -> str:
    """Describe a folder that was placed earlier, without whose removal another model cannot have its place."""
    return f"Queued: {quoted(folder)}, which was placed earlier, is removed first. Approve that if it is held."


def describe_obstacle(file: FolderEntry) -> str:
    """Describe something in the model's place whose content cannot be compared: no readable file, nor a link to one."""
    match file.kind:
        case "folder":
            return f"{quoted(file.path)} is a folder, where the model's file belongs. Move it away or rename it."
        case "dangling":
            return f"{quoted(file.path)} is a broken link. Remove it, or mount its target."
        case "parent_is_file":
            return f"{quoted(file.path)} is a file, where the model needs a folder. Move it away or rename it."
        case "other" if file.link is not None:
            return f"{quoted(file.path)} is a link to a folder; models are not placed through links. Remove the link."
        case "unreadable":
            return f"{quoted(file.path)} is in the model's place, and {file.reason}. Make it readable or move it away."
        case _:
            return f"{quoted(file.path)} is not a regular file (a pipe, a socket or a device). Move it away."


def describe_missing_folder(desired: DesiredModel) -> str:
    """Describe a type for which ComfyUI has no folder and no models folder is known in which to create one."""
    return f"ComfyUI has no folder for models of type '{desired.model_type}'. Add one to its extra_model_paths.yaml."


def describe_path_conflict(desired: DesiredModel, other: DesiredModel, target: Path) -> str:
    """Describe two models whose types share a folder on this machine and that therefore have the same path."""
    return (
        f"'{other.model_path}' has the same path here, {quoted(target)}, with different content:"
        f" {_format_hash(other.sha256)} instead of {_format_hash(desired.sha256)}. Rename one of the two."
    )


def describe_full_disk(desired: DesiredModel, needed: int, free: int, keep_free: int, folder: Path) -> str:
    """Describe a file system that has too little free space now; sizes in bytes, ``free`` includes ``keep_free``."""
    reserve = f", of which {in_bytes(keep_free)} must stay free" if keep_free else ""
    left = in_bytes(max(free, 0))
    need = f"{quoted(desired.model_path)} needs {in_bytes(needed)}"
    return f"{need}, and the disk of {quoted(folder)} has {left} left{reserve}. {FREE_SPACE}"


def describe_too_small_disk(desired: DesiredModel, total: int, keep_free: int, folder: Path) -> str:
    """Describe a disk that is too small for a model and ``keep_free``, which freeing space does not change."""
    disk = f"more than the whole disk of {quoted(folder)} ({in_bytes(total)})"
    size = f"{quoted(desired.model_path)} has {in_bytes(desired.size)}"
    if desired.size > total:
        return f"{size}, {disk}. Use a larger disk."
    if keep_free >= total:
        return f"{in_bytes(keep_free)} must stay free (keep_free), {disk}. {LOWER_KEEP_FREE}"
    return f"{size} and {in_bytes(keep_free)} must stay free (keep_free), together {disk}. {LOWER_KEEP_FREE}"


def describe_exceeded_budget(desired: DesiredModel, used: int, budget: int) -> str:
    """Describe a model that does not fit into the operator's disk budget; all sizes in bytes, ``used`` without it."""
    return (
        f"{quoted(desired.model_path)} needs {in_bytes(desired.size)}, and {in_bytes(used)} of the disk budget of"
        f" {in_bytes(budget)} are used."
        " Raise the budget, or disable models that this machine does not need."
    )


def _format_hash(sha256: str | None) -> str:
    """Format a hash for a message; ``an unknown hash`` if it is None or empty."""
    return f"sha256:{sha256}" if sha256 else "an unknown hash"
