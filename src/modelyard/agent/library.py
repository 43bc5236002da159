"""The folders that one agent keeps: each ComfyUI's, as it says itself when it runs, and folders that belong to none."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.agent.comfyui import ComfyUI
from modelyard.agent.settings import USUAL_COMFYUI, AgentSettings
from modelyard.client.durable import write_private
from modelyard.client.sync.holding.configured import CONFIG_NAME, read_install
from modelyard.client.sync.holding.patience import NotAnswering, Patience
from modelyard.client.sync.holding.roots import Install, Root, RootsUnknown, models_folder
from modelyard.client.sync.holding.running import ask_comfyui
from modelyard.client.sync.wording import quoted


class NoFolders(ValueError):
    """Nothing says where the models lie, or what is said is not there."""


@dataclass(frozen=True)
class Library:
    """The installs in the order in which they were named, each with the ComfyUI that runs there, if one does."""

    installs: tuple[Install, ...] = ()
    running: tuple[tuple[ComfyUI, Install], ...] = ()
    troubles: tuple[str, ...] = ()  # folders that cannot be understood now; what was placed there stays


class Memory:
    """What each ComfyUI said of its folders when it ran last, in a file.

    Nobody else knows the folders that custom nodes added. Without this, models there would be fetched a second time
    into the usual folders whenever ComfyUI is off. It holds until the configuration file changes.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def note(self, folder: Path, install: Install) -> None:
        """Remember; what cannot be written is asked for again.

        Raises:
            OSError: the file cannot be written.
        """
        said = {
            "config": _config_time(folder),
            "models": None if install.models is None else str(install.models),
            "roots": [[root.key, str(root.path)] for root in install.roots],
        }
        known = self._read()
        if known.get(str(folder)) != said:
            write_private(self._file, json.dumps(known | {str(folder): said}))

    def recall(self, folder: Path) -> Install | None:
        """What was said last, if it still holds."""
        try:
            said = self._read()[str(folder)]
            if said["config"] != _config_time(folder):
                return None
            models = None if said["models"] is None else Path(said["models"])
            return Install(models, tuple(Root(str(key), Path(path)) for key, path in said["roots"]))
        except (KeyError, TypeError, ValueError):
            return None

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


@dataclass(frozen=True)
class Finder:
    """Looks where the folders are; blocking."""

    settings: AgentSettings
    environment: Mapping[str, str]
    memory: Memory | None = None
    patience: Patience = field(default_factory=Patience)

    def find(self) -> Library:
        """Where they are now.

        Raises:
            NoFolders: none of them can be used.
        """
        installs: list[Install] = []
        running: list[tuple[ComfyUI, Install]] = []
        troubles: list[str] = []
        for place, folder in enumerate((*self.settings.comfyui, *self.settings.models_dir)):
            is_comfyui = place < len(self.settings.comfyui)
            try:
                install, comfyui = self._at(folder, place if is_comfyui else None)
            except RootsUnknown as failure:
                troubles.append(str(failure))
                continue
            installs.append(install)
            if comfyui is not None:
                running.append((comfyui, install))
        if not installs:
            raise NoFolders(" ".join(troubles) or "Say where the models lie: --comfyui DIR or --models-dir DIR.")
        return Library(tuple(installs), tuple(running), tuple(troubles))

    def _at(self, folder: Path, place: int | None) -> tuple[Install, ComfyUI | None]:
        try:
            if place is None:
                return self.patience.run(folder, lambda _: (_plain(folder), None))
            return self.patience.run(folder, lambda _: self._comfyui_at(folder, place))
        except NotAnswering:
            raise RootsUnknown(f"The file system of {quoted(folder)} does not answer. Is its server there?") from None
        except OSError as failure:
            raise RootsUnknown(f"The folder {quoted(folder)} cannot be read: {failure.strerror}.") from failure

    def _comfyui_at(self, folder: Path, place: int) -> tuple[Install, ComfyUI | None]:
        """What runs there says best where it looks; one at an address that nobody named must lie in the folder."""
        models = folder / "models" if (folder / "models").is_dir() else None
        for url in self._addresses(place):
            try:
                install = ask_comfyui(url, models)
            except RootsUnknown:
                continue
            if self.settings.comfyui_url or any(_is_below(root.path, folder) for root in install.roots):
                if self.memory is not None:
                    self.memory.note(folder, install)
                return install, ComfyUI(url)
        remembered = None if self.memory is None else self.memory.recall(folder)
        return remembered or read_install(folder, self.environment), None

    def _addresses(self, place: int) -> Iterator[str]:
        if not self.settings.comfyui_url:
            yield USUAL_COMFYUI
        elif place < len(self.settings.comfyui_url):
            yield self.settings.comfyui_url[place]


def library_at(folder: Path, url: str | None, environment: Mapping[str, str], memory: Memory) -> Library:
    """The one folder of a sync: a ComfyUI's, if one lies there, else a models folder; blocking.

    ``url`` is where that ComfyUI listens, if not where it usually does.

    Raises:
        NoFolders: it is not there, or cannot be understood.
    """
    if not folder.is_dir():
        raise NoFolders(f'There is no folder "{folder}". Make it, or name another.')
    if not (folder / "models").is_dir():
        return Finder(AgentSettings(models_dir=(folder,)), environment, memory).find()
    addresses = () if url is None else (url,)
    return Finder(AgentSettings(comfyui=(folder,), comfyui_url=addresses), environment, memory).find()


def _plain(folder: Path) -> Install:
    if not folder.is_dir():
        raise RootsUnknown(f"The models folder {quoted(folder)} is not there. Make it, or mount its disk.")
    return models_folder(folder)


def _is_below(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder) or path.resolve().is_relative_to(folder.resolve())


def _config_time(folder: Path) -> int:
    try:
        return (folder / CONFIG_NAME).stat().st_mtime_ns
    except OSError:
        return 0
