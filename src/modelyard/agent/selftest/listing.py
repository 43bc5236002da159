"""Test whether a running ComfyUI lists a file as soon as it is placed, and no longer once it is removed."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from modelyard.agent.doctor.findings import Finding
from modelyard.agent.roots import FoundRoots
from modelyard.comfyui.http_api import ComfyUI
from modelyard.comfyui.layout import Root

_NAME = "selftest.safetensors"
# Some versions of ComfyUI answer from a cache for half a second.
_LISTING_SECONDS = 3.0


def check_listing(roots: FoundRoots, folder: Path) -> list[Finding]:
    """Place an empty model file in a folder, and compare the lists of the ComfyUIs that search there."""
    searching = list(_find_searching(roots, folder))
    if not roots.running:
        sentence = "No ComfyUI of this agent is running, so its list of models was not tested."
        return [Finding("warning", "comfyui", sentence, "Start ComfyUI, and run the test again.")]
    if not searching:
        sentence = "The running ComfyUI does not search this folder, so its list of models was not tested."
        return [Finding("warning", "comfyui", sentence)]
    return [_check_one(comfyui, root, folder / _NAME) for comfyui, root in searching]


def _find_searching(roots: FoundRoots, folder: Path) -> Iterator[tuple[ComfyUI, Root]]:
    """Yield each running ComfyUI that searches a folder, with the first of its roots that contains it."""
    for comfyui, install in roots.running:
        root = next((root for root in install.roots if folder.is_relative_to(root.path.resolve())), None)
        if root is not None:
            yield comfyui, root


def _check_one(comfyui: ComfyUI, root: Root, file: Path) -> Finding:
    """Create a file, remove it, and return whether a running ComfyUI listed it under the root's key in between only."""
    name = file.relative_to(root.path.resolve()).as_posix().replace("/", os.sep)
    file.touch()
    is_added = _wait_for_listing(comfyui, root.key, name, is_expected=True)
    file.unlink()
    is_removed = _wait_for_listing(comfyui, root.key, name, is_expected=False)
    where = f"ComfyUI at {comfyui.url}"
    if not is_added:
        sentence = f"{where} does not list a new file of '{root.key}'."
        return Finding("problem", "comfyui", sentence, "Restart ComfyUI; check that it may read new folders.")
    if not is_removed:
        return Finding("problem", "comfyui", f"{where} still lists a removed file of '{root.key}'.")
    return Finding("ok", "comfyui", f"{where} lists a new file of '{root.key}', and a removed one no longer.")


def _wait_for_listing(comfyui: ComfyUI, key: str, name: str, *, is_expected: bool) -> bool:
    """Return whether within three seconds a ComfyUI lists a name under a key, or lists it no longer, as expected."""
    deadline = time.monotonic() + _LISTING_SECONDS
    while not (is_right := (name in (comfyui.list_names(key) or ())) is is_expected) and time.monotonic() < deadline:
        time.sleep(0.3)
    return is_right
