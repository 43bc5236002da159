"""The model folders that one agent keeps: those of each ComfyUI, and models folders without a ComfyUI."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.agent.settings import DEFAULT_COMFYUI_URL, AgentSettings
from modelyard.agent.state_folder import StateFolder
from modelyard.client.atomic_file import write_private_file
from modelyard.comfyui.extra_model_paths import CONFIG_NAME, read_install
from modelyard.comfyui.folders_api import fetch_install
from modelyard.comfyui.http_api import ComfyUI
from modelyard.comfyui.layout import ComfyUIFoldersUnknown, Install, Root, build_plain_install
from modelyard.comfyui.quoting import quoted
from modelyard.sync.inventory.deadlines import FilesystemNotResponding, StallDeadline

# The file of a ``RootCache`` in an agent's state folder.
ROOT_CACHE = "folders.json"


class RootsNotFound(ValueError):
    """No folder is configured, or none of the configured folders can be used."""


@dataclass(frozen=True)
class FoundRoots:
    """The installs in the order of the settings, and the running ComfyUIs with their installs."""

    installs: tuple[Install, ...] = ()
    running: tuple[tuple[ComfyUI, Install], ...] = ()
    problems: tuple[str, ...] = ()  # about folders that cannot be used now; what was placed there stays


class RootCache:
    """The folders that each ComfyUI reported when it ran last, in a file.

    Only ComfyUI knows the folders that custom nodes registered. Without this cache, models in those folders would be
    downloaded again into the default folders whenever ComfyUI is off. An entry is valid until the configuration file
    of its ComfyUI changes.
    """

    def __init__(self, file: Path, *, is_read_only: bool = False) -> None:
        self._file, self._is_read_only = file, is_read_only

    def save(self, folder: Path, install: Install) -> None:
        """Store the folders of the ComfyUI in ``folder``, instead of earlier ones; write only if they changed.

        A cache that is read only stores nothing.

        Raises:
            OSError: the file cannot be written.
        """
        entry = {
            "config": _get_config_time(folder),
            "models": None if install.models is None else str(install.models),
            "roots": [[root.key, str(root.path)] for root in install.roots],
        }
        entries = self._read()
        if not self._is_read_only and entries.get(str(folder)) != entry:
            write_private_file(self._file, json.dumps(entries | {str(folder): entry}))

    def load(self, folder: Path) -> Install | None:
        """Return the stored folders of the ComfyUI in ``folder``; None if missing, outdated or invalid."""
        try:
            entry = self._read()[str(folder)]
            if entry["config"] != _get_config_time(folder):
                return None
            models = None if entry["models"] is None else Path(entry["models"])
            return Install(models, tuple(Root(str(key), Path(path)) for key, path in entry["roots"]))
        except (KeyError, TypeError, ValueError):
            return None

    def _read(self) -> dict[str, Any]:
        """Return the entries of all ComfyUIs; empty if the file is missing or invalid."""
        try:
            entries = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        return entries if isinstance(entries, dict) else {}


@dataclass(frozen=True)
class RootFinder:
    """Finds the model folders of the settings; blocking."""

    settings: AgentSettings
    environment: Mapping[str, str]
    cache: RootCache | None = None
    deadline: StallDeadline = field(default_factory=StallDeadline)

    def find(self) -> FoundRoots:
        """Return the folders as they are now; a folder that cannot be used becomes a problem in the result.

        A running ComfyUI is asked for its folders, which are written to the cache; for one that is off, they are read
        from the cache, or from its layout and configuration.

        Raises:
            RootsNotFound: no folder can be used.
        """
        installs: list[Install] = []
        running: list[tuple[ComfyUI, Install]] = []
        problems: list[str] = []
        for index, folder in enumerate((*self.settings.comfyui, *self.settings.models_dir)):
            is_comfyui = index < len(self.settings.comfyui)
            try:
                install, comfyui = self._find_install(folder, index if is_comfyui else None)
            except ComfyUIFoldersUnknown as failure:
                problems.append(str(failure))
                continue
            installs.append(install)
            if comfyui is not None:
                running.append((comfyui, install))
            elif is_comfyui and (problem := self._find_swapped_url(folder, index)) is not None:
                problems.append(problem)
        if not installs:
            raise RootsNotFound(" ".join(problems) or "Name the models folders: --comfyui DIR or --models-dir DIR.")
        return FoundRoots(tuple(installs), tuple(running), tuple(problems))

    def _find_install(self, folder: Path, index: int | None) -> tuple[Install, ComfyUI | None]:
        """Return the install in a folder, and its ComfyUI if that is running.

        ``index`` is the folder's position among those of ComfyUIs, None for a models folder.

        Raises:
            ComfyUIFoldersUnknown: the folder does not exist, cannot be read, or its file system does not respond.
        """
        try:
            if index is None:
                return self.deadline.run(folder, lambda _: (_get_models_folder(folder), None))
            return self.deadline.run(folder, lambda _: self._find_comfyui(folder, index))
        except FilesystemNotResponding:
            raise ComfyUIFoldersUnknown(
                f"The file system of {quoted(folder)} does not respond. Check that its server is running."
            ) from None
        except OSError as failure:
            raise ComfyUIFoldersUnknown(f"The folder {quoted(folder)} cannot be read: {failure.strerror}.") from failure

    def _find_comfyui(self, folder: Path, index: int) -> tuple[Install, ComfyUI | None]:
        """Return the install in a folder, with its ComfyUI if that is running.

        A ComfyUI at the default URL counts only if it has a root in this folder, one at a configured URL unless it has
        a root in another configured folder. Its folders are written to the cache.
        """
        models = folder / "models" if (folder / "models").is_dir() else None
        for url in self._list_urls(index):
            try:
                install = fetch_install(url, models)
            except ComfyUIFoldersUnknown:
                continue
            if (self.settings.comfyui_url and self._find_owner(install) is None) or has_root_in(install, folder):
                if self.cache is not None:
                    self.cache.save(folder, install)
                return install, ComfyUI(url)
        cached = None if self.cache is None else self.cache.load(folder)
        return cached or read_install(folder, self.environment), None

    def _find_owner(self, install: Install) -> Path | None:
        """Return the first configured folder in which an install has a root; None if in none of them."""
        return next((folder for folder in self.settings.comfyui if has_root_in(install, folder)), None)

    def _find_swapped_url(self, folder: Path, index: int) -> str | None:
        """Return a problem if the URL configured for a folder is that of another folder's ComfyUI, else None."""
        if index >= len(self.settings.comfyui_url):
            return None
        url = self.settings.comfyui_url[index]
        try:
            owner = self._find_owner(fetch_install(url))
        except ComfyUIFoldersUnknown:
            return None
        if owner is None or owner == folder:
            return None
        return (
            f"The ComfyUI at {url} looks for models in {quoted(owner)}, but comfyui_url names it for {quoted(folder)}."
            " Write the addresses in the order of the folders."
        )

    def _list_urls(self, index: int) -> Iterator[str]:
        """Yield the URL for the ComfyUI at this position: the default without a list, nothing beyond a shorter list."""
        if not self.settings.comfyui_url:
            yield DEFAULT_COMFYUI_URL
        elif index < len(self.settings.comfyui_url):
            yield self.settings.comfyui_url[index]


def list_counted_urls(settings: AgentSettings) -> tuple[str, ...]:
    """Return the addresses of the ComfyUIs whose histories tell which models are used on this machine.

    Empty if they do not tell of all: models folders are for other programs, and each ComfyUI needs an address.
    """
    if settings.models_dir:
        return ()
    urls = settings.comfyui_url or (DEFAULT_COMFYUI_URL,)
    return urls[: len(settings.comfyui)] if len(urls) >= len(settings.comfyui) else ()


def add_folders_of_last_agent(settings: AgentSettings, state: StateFolder) -> AgentSettings:
    """Return settings with the folders of the agent that ran last; unchanged if they name some, or none has run."""
    status = state.read_status()
    if settings.comfyui or settings.models_dir or status is None or not (status.comfyui_dirs or status.models_dirs):
        return settings
    folders = {
        "comfyui": tuple(map(Path, status.comfyui_dirs)),
        "models_dir": tuple(map(Path, status.models_dirs)),
        "comfyui_url": settings.comfyui_url or tuple(status.comfyui_urls),
    }
    return settings.model_copy(update=folders)


def find_roots_at(folder: Path, url: str | None, environment: Mapping[str, str], cache: RootCache) -> FoundRoots:
    """Return the roots of the one folder of a sync: a ComfyUI if it contains ``models``, else a models folder.

    Blocking. ``url`` is where that ComfyUI listens, None for the default URL.

    Raises:
        RootsNotFound: the folder does not exist, or cannot be used.
    """
    if not folder.is_dir():
        raise RootsNotFound(f'There is no folder "{folder}". Create it, or name another.')
    if not (folder / "models").is_dir():
        return RootFinder(AgentSettings(models_dir=(folder,)), environment, cache).find()
    urls = () if url is None else (url,)
    return RootFinder(AgentSettings(comfyui=(folder,), comfyui_url=urls), environment, cache).find()


def _get_models_folder(folder: Path) -> Install:
    """Return the install of a models folder without a ComfyUI.

    Raises:
        ComfyUIFoldersUnknown: the folder does not exist.
    """
    if not folder.is_dir():
        raise ComfyUIFoldersUnknown(f"The models folder {quoted(folder)} does not exist. Create it, or mount its disk.")
    return build_plain_install(folder)


def has_root_in(install: Install, folder: Path) -> bool:
    """Return whether any root of an install is in a folder, as written or with symbolic links resolved."""
    return any(_is_below(root.path, folder) for root in install.roots)


def _is_below(path: Path, folder: Path) -> bool:
    """Return whether a path is in a folder, as written or with symbolic links resolved."""
    return path.is_relative_to(folder) or path.resolve().is_relative_to(folder.resolve())


def _get_config_time(folder: Path) -> int:
    """Return the modification time of a ComfyUI's extra_model_paths.yaml in nanoseconds; 0 if it cannot be read."""
    try:
        return (folder / CONFIG_NAME).stat().st_mtime_ns
    except OSError:
        return 0
