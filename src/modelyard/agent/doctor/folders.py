"""The checks of ``modelyard agent doctor`` on model folders, links, file names, disk space and ComfyUI."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from modelyard.agent.doctor.agent import SPACE
from modelyard.agent.doctor.findings import Finding
from modelyard.agent.doctor.unusable_roots import UnusableRoot, describe_cause, find_cause
from modelyard.agent.roots import FoundRoots, has_root_in
from modelyard.agent.settings import DEFAULT_COMFYUI_URL, AgentSettings
from modelyard.comfyui.http_api import ComfyUI
from modelyard.comfyui.layout import Install
from modelyard.comfyui.quoting import in_bytes, quoted
from modelyard.sync.inventory.filesystem import FilesystemSpace, get_filesystem_space, inspect_root
from modelyard.sync.planning.blockers import LOWER_KEEP_FREE
from modelyard.transfer.errors import FREE_SPACE

# Most findings of one kind.
_MAX_SHOWN = 5


def check_roots(settings: AgentSettings, roots: FoundRoots) -> Iterator[Finding]:
    """Yield findings on the folders, their files, the free disk space and the running ComfyUIs; blocking."""
    for problem in roots.problems:
        yield Finding("problem", "folders", problem, explains=frozenset({problem}))
    yield from _check_folders(roots.installs)
    for install in roots.installs:
        yield from _check_names(install)
    yield from _check_disk_space(settings, roots)
    yield from _check_comfyui(settings, roots)


def _check_folders(installs: Sequence[Install]) -> Iterator[Finding]:
    """Yield where models go, the links that lead to a root, and problems of the roots, each cause once."""
    for install in installs:
        if install.models is not None and os.access(install.models, os.W_OK | os.X_OK):
            yield Finding("ok", "folders", f"Models go to {quoted(install.models)}.")
    checked: set[Path] = set()
    unusable: list[UnusableRoot] = []
    for root, ground in [(root, inspect_root(root, install)) for install in installs for root in install.roots]:
        if ground.path in checked:
            continue
        checked.add(ground.path)
        if not root.path.exists() and root.path.parent.name == "output":
            continue  # ComfyUI creates it when a workflow saves a model
        if ground.problem is not None:
            unusable.append(UnusableRoot(root.key, ground.path, ground.problem, find_cause(ground)))
        elif ground.path != root.path.absolute() and root.path.is_symlink():
            yield Finding("ok", "links", f"{quoted(root.path)} is a link to {quoted(ground.path)}; it is followed.")
    for cause in dict.fromkeys(root.cause for root in unusable):
        yield describe_cause(cause, [root for root in unusable if root.cause == cause])


def _check_names(install: Install) -> Iterator[Finding]:
    """Yield at most five dangling links and five files that an earlier root hides, and how many more there are."""
    dangling, hidden = _find_unusable_files(install)
    for path in dangling[:_MAX_SHOWN]:
        sentence = f"The target of the link {quoted(path)} does not exist."
        yield Finding("warning", "links", sentence, "Remove the link, or mount the disk of its target.")
    for path, first in hidden[:_MAX_SHOWN]:
        sentence = f"ComfyUI never loads {quoted(path)}: {quoted(first)} has the same name and comes first."
        yield Finding("warning", "names", sentence, "Rename or remove one of the two.")
    more = max(0, len(dangling) - _MAX_SHOWN) + max(0, len(hidden) - _MAX_SHOWN)
    if more:
        yield Finding("warning", "names", f"There are {more} more such files.")


def _find_unusable_files(install: Install) -> tuple[list[Path], list[tuple[Path, Path]]]:
    """Return the dangling links, and each hidden file with the file that hides it.

    A file is hidden by another file with its relative path in an earlier root of the same type; two links to one file
    are not a conflict.
    """
    dangling: list[Path] = []
    hidden: list[tuple[Path, Path]] = []
    first_by_name: dict[tuple[str, str], Path] = {}
    for root in install.roots:
        for path in _walk_files(root.path):
            if not path.exists():
                dangling.append(path)
                continue
            first = first_by_name.setdefault((root.key, str(path.relative_to(root.path))), path)
            if first != path and not _is_same_file(first, path):
                hidden.append((path, first))
    return dangling, hidden


def _walk_files(root: Path) -> Iterable[Path]:
    """Yield all files and links to files below a root, except hidden ones; links to folders are not followed."""
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(folder) / name for name in names if not name.startswith("."))


def _is_same_file(first: Path, second: Path) -> bool:
    """Return whether both paths are one file, through a link or hard link; False if one cannot be read."""
    try:
        return first.samefile(second)
    except OSError:
        return False


def _check_disk_space(settings: AgentSettings, roots: FoundRoots) -> Iterator[Finding]:
    """Yield for each readable disk whether it has the free space that ``keep_free`` reserves."""
    for path in _list_one_folder_per_disk(roots):
        space = get_filesystem_space(path)
        if space is None:
            continue
        yield describe_disk_space(path, space, settings.keep_free)


def describe_disk_space(path: Path, space: FilesystemSpace, keep_free: int) -> Finding:
    """Return the finding about the free space of the disk of ``path``. Pure."""
    disk, kept, total = f"The disk of {quoted(path)} has", in_bytes(keep_free), in_bytes(space.total_bytes)
    free = f"{disk} {in_bytes(space.free_bytes)} of {total} free"
    if space.total_bytes <= keep_free:
        sentence = f"{disk} {total} in all, not more than the {kept} kept free."
        return Finding("problem", "space", sentence, LOWER_KEEP_FREE, frozenset({SPACE}))
    if space.free_bytes < keep_free:
        sentence = f"{free}, less than the {kept} kept free."
        fix = f"{FREE_SPACE} Or: {LOWER_KEEP_FREE}"
        return Finding("problem", "space", sentence, fix, frozenset({SPACE}))
    return Finding("ok", "space", f"{free}, which is enough: the agent keeps {kept} free.")


def _list_one_folder_per_disk(roots: FoundRoots) -> Iterator[Path]:
    """Yield one existing models folder or root on each disk."""
    devices: set[int] = set()
    for install in roots.installs:
        for path in [*([install.models] if install.models else []), *(root.path for root in install.roots)]:
            if path.exists() and (device := path.stat().st_dev) not in devices:
                devices.add(device)
                yield path


def _check_comfyui(settings: AgentSettings, roots: FoundRoots) -> Iterator[Finding]:
    """Yield which ComfyUIs run, those whose model folders are outside the configured ones, and whether one is off."""
    for comfyui, install in roots.running:
        version = comfyui.get_version()
        yield Finding("ok", "comfyui", f"ComfyUI {version or 'of an unknown version'} runs at {comfyui.url}.")
        if not any(has_root_in(install, folder) for folder in settings.comfyui):
            sentence = f"The ComfyUI at {comfyui.url} looks for models in none of the configured folders."
            yield Finding("warning", "comfyui", sentence, "Check comfyui_url, or add its folder (--comfyui).")
    installs = [install for _, install in roots.running]
    silent = [folder for folder in settings.comfyui if not any(has_root_in(each, folder) for each in installs)]
    if not silent:
        return
    if not settings.comfyui_url and not roots.running and ComfyUI(DEFAULT_COMFYUI_URL).get_version() is not None:
        sentence = f"The ComfyUI at {DEFAULT_COMFYUI_URL} looks for models in none of the configured folders."
        fix = "Add its folder (--comfyui), or set comfyui_url if it belongs to one of the configured folders."
        yield Finding("warning", "comfyui", sentence, fix)
    else:
        urls = ", ".join(settings.comfyui_url or (DEFAULT_COMFYUI_URL,))
        sentence = (
            f"No ComfyUI of {' or '.join(map(quoted, silent))} answers at {urls}. Its folders are those that it"
            " reported when it ran last, or else those of its layout and extra_model_paths.yaml."
        )
        yield Finding("ok", "comfyui", sentence, "If it runs at another address, set comfyui_url.")
