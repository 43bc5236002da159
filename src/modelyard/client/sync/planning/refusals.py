"""Why a model is not brought to a machine, in sentences: what happened, then what to do."""

from pathlib import Path

from modelyard.client.sync.holding.listing import Held
from modelyard.client.sync.wanted import Wanted
from modelyard.client.sync.wording import in_bytes, quoted


def other_bytes(wanted: Wanted, held: Held, *, was_placed: bool) -> str:
    """A file of the user's, or one that the user changed, has the name."""
    if held.link is not None:
        what = f"{quoted(held.path)} is a link to another file"
    elif was_placed:
        what = f"{quoted(held.path)} was changed after it was placed, by somebody or by its disk"
    else:
        what = f"{quoted(held.path)} is another file"
    return f"{what}: it has {_hash(held.sha256)}, the model has {_hash(wanted.sha256)}. Move it away or rename it."


def shadowed(wanted: Wanted, held: Held, target: Path) -> str:
    """ComfyUI would find another file first: what is placed behind it is never loaded."""
    return (
        f"ComfyUI looks at {quoted(held.path)} before {quoted(target)} and loads that file under this name: it has"
        f" {_hash(held.sha256)}, the model has {_hash(wanted.sha256)}. Move it away or rename it."
    )


def would_hide(wanted: Wanted, held: Held, target: Path) -> str:
    """A user's file would silently stop being loaded."""
    return (
        f"A file at {quoted(target)} would hide {quoted(held.path)}, which ComfyUI loads under this name now: it has"
        f" {_hash(held.sha256)}, the model has {_hash(wanted.sha256)}. Move it away or rename it."
    )


def in_the_way(held: Held) -> str:
    """Something has the name that is no file to compare with."""
    match held.kind:
        case "folder":
            return f"{quoted(held.path)} is a folder, where the model's file belongs. Move it away or rename it."
        case "dangling":
            return f"{quoted(held.path)} is a link that leads nowhere. Remove it, or mount what it leads to."
        case "barred":
            return f"{quoted(held.path)} is a file, where the model needs a folder. Move it away or rename it."
        case "other" if held.link is not None:
            return f"{quoted(held.path)} is a link to a folder; models are not placed through links. Remove the link."
        case "unreadable":
            return f"{quoted(held.path)} is in the model's place, and {held.reason}. Make it readable or move it away."
        case _:
            return f"{quoted(held.path)} is no file (a pipe, a socket or a device). Move it away."


def damaged_and_absent() -> str:
    """Nobody fetches what the registry knows to be rotten."""
    return "The registry's own copy is damaged, so it cannot be fetched. Whoever has the file should push it again."


def no_place(wanted: Wanted) -> str:
    """ComfyUI has no folder of this type, and no models folder is known to make one in."""
    return f"ComfyUI has no folder for models of type '{wanted.model_type}'. Add one to its extra_model_paths.yaml."


def same_file(wanted: Wanted, other: Wanted, target: Path) -> str:
    """Two types share a folder on this machine."""
    return (
        f"'{other.model_path}' has the same place here, {quoted(target)}, with other bytes: {_hash(other.sha256)}"
        f" instead of {_hash(wanted.sha256)}. Give one of the two another name."
    )


def no_room(needed: int, free: int, keep_free: int, folder: Path) -> str:
    """The file system is too full now."""
    kept = f", of which {in_bytes(keep_free)} must stay free" if keep_free else ""
    left = in_bytes(max(free, 0))
    return f"It needs {in_bytes(needed)}, and the disk of {quoted(folder)} has {left} left{kept}. Free some space."


def too_large(size: int, total: int, folder: Path) -> str:
    """No amount of tidying helps."""
    return f"It has {in_bytes(size)}, more than the whole disk of {quoted(folder)} ({in_bytes(total)})."


def over_budget(needed: int, used: int, budget: int) -> str:
    """The operator's limit is reached."""
    return (
        f"It needs {in_bytes(needed)}, and {in_bytes(used)} of the disk budget of {in_bytes(budget)} are used."
        " Raise the budget, or disable models that this machine does not need."
    )


def _hash(sha256: str | None) -> str:
    return f"sha256:{sha256}" if sha256 else "an unknown hash"
