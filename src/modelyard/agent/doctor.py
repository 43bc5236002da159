"""What a doctor looks at on a machine, each finding with what to do about it. Everything blocks, nothing is changed."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import httpx2

from modelyard.agent.comfyui import ComfyUI
from modelyard.agent.keys import Identity
from modelyard.agent.library import Finder, Library, NoFolders
from modelyard.agent.settings import USUAL_COMFYUI, AgentSettings, settings_file
from modelyard.agent.status import StateFolder
from modelyard.client.address import API_PREFIX, is_open_to_listeners
from modelyard.client.sync.holding.ground import look_at, space_at
from modelyard.client.sync.holding.roots import Install
from modelyard.client.sync.wording import in_bytes, quoted

Level = Literal["ok", "warning", "problem"]

_SECONDS = 10.0
# Signed addresses live for minutes, and S3 refuses requests that are a quarter of an hour off.
_CLOCK_WARNS, _CLOCK_FAILS = 60.0, 600.0
_MOST_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's."""

    level: Level
    subject: str
    sentence: str
    fix: str = ""


@dataclass(frozen=True)
class Patient:
    """The machine that is looked at."""

    settings: AgentSettings
    find_identity: Callable[[], Identity]
    folder: StateFolder
    environment: Mapping[str, str]


def examine(patient: Patient) -> Iterator[Finding]:
    """All findings, in the order in which they are met."""
    file = settings_file(patient.environment)
    yield Finding("ok", "settings", f"{quoted(file)} is read." if file.exists() else f"There is no {quoted(file)}.")
    yield from _registry(patient)
    try:
        library = Finder(patient.settings, patient.environment).find()
    except NoFolders as failure:
        yield Finding("problem", "folders", str(failure), "modelyard agent run --comfyui DIR")
    else:
        yield from _library(patient, library)
    yield from _agent(patient)


def _registry(patient: Patient) -> Iterator[Finding]:
    try:
        identity = patient.find_identity()
    except ValueError as failure:
        yield Finding("problem", "key", str(failure), "modelyard agent pair --url URL")
        return
    if is_open_to_listeners(identity.url):
        sentence = f"{identity.url} is plain http: whoever listens on the way can take the key and the models."
        yield Finding(
            "warning", "registry", sentence, "Serve the registry by https, or keep it in a network you trust."
        )
    query = {"agent_id": patient.settings.agent_id, "wait": "0"}
    try:
        with httpx2.Client(timeout=_SECONDS) as http:
            headers = {"Authorization": f"Bearer {identity.key}"}
            answer = http.get(f"{identity.url}{API_PREFIX}/agent/manifest", params=query, headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL) as failure:
        sentence = f"{identity.url} cannot be reached: {str(failure) or type(failure).__name__}."
        yield Finding("problem", "registry", sentence, "Is it running? Do the network and its proxy let it through?")
        return
    yield _key(identity, answer)
    yield from _clock(answer)


def _key(identity: Identity, answer: httpx2.Response) -> Finding:
    # 409: the key is good, and this machine was not heard of by it yet.
    if answer.status_code in {200, 409}:
        return Finding("ok", "key", f"{identity.url} accepts the key ({identity.source}).")
    again = f"modelyard agent pair --url {identity.url}"
    if answer.status_code == 401:
        sentence = f"{identity.url} does not know the key ({identity.source}): it was revoked, or never was one."
        return Finding("problem", "key", sentence, again)
    if answer.status_code == 403:
        why = "it is another machine's, or its owner has left the team"
        sentence = f"{identity.url} refuses the key ({identity.source}): {why}."
        return Finding("problem", "key", sentence, f"Name the machine as its agent does: --agent-id ID; or: {again}")
    sentence = f"{identity.url} answers {answer.status_code} when it is asked for this machine's manifest."
    return Finding("problem", "registry", sentence, "Is it a Modelyard registry, of this version or a later one?")


def _clock(answer: httpx2.Response) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        return
    behind = (theirs.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    off = f"This machine's clock is {abs(behind):.0f} s {'behind' if behind > 0 else 'ahead of'} the registry's."
    level: Level = "ok" if abs(behind) < _CLOCK_WARNS else "warning" if abs(behind) < _CLOCK_FAILS else "problem"
    yield Finding(level, "clock", off, "" if level == "ok" else "Set it by NTP: timedatectl set-ntp true")


def _library(patient: Patient, library: Library) -> Iterator[Finding]:
    for trouble in library.troubles:
        yield Finding("problem", "folders", trouble)
    for install in library.installs:
        yield from _folders(install)
        yield from _names(install)
    yield from _space(patient.settings, library)
    yield from _comfyui(patient.settings, library)


def _folders(install: Install) -> Iterator[Finding]:
    if install.models is not None:
        yield Finding("ok", "folders", f"Models go to {quoted(install.models)}.")
    told: set[Path] = set()
    for root in install.roots:
        ground = look_at(root, install)
        if ground.path in told:
            continue
        told.add(ground.path)
        if not root.path.exists() and root.path.parent.name == "output":
            continue  # ComfyUI makes it when a workflow saves a model
        if ground.trouble is not None:
            level: Level = "problem" if root.path.exists() else "warning"
            yield Finding(level, "folders", f"{root.key}: {ground.trouble}")
        elif ground.path != root.path.absolute() and root.path.is_symlink():
            yield Finding("ok", "links", f"{quoted(root.path)} is a link to {quoted(ground.path)}; it is followed.")


def _names(install: Install) -> Iterator[Finding]:
    """Links that lead nowhere, and names that an earlier root hides."""
    dangling: list[Path] = []
    hidden: list[tuple[Path, Path]] = []
    first: dict[tuple[str, str], Path] = {}
    for root in install.roots:
        for path in _files(root.path):
            if not path.exists():
                dangling.append(path)
                continue
            known = first.setdefault((root.key, str(path.relative_to(root.path))), path)
            if known != path and not _is_same(known, path):
                hidden.append((path, known))
    for path in dangling[:_MOST_SHOWN]:
        yield Finding(
            "warning", "links", f"{quoted(path)} leads nowhere.", "Remove the link, or mount what it leads to."
        )
    for path, known in hidden[:_MOST_SHOWN]:
        sentence = f"ComfyUI never loads {quoted(path)}: {quoted(known)} has the same name and comes first."
        yield Finding("warning", "names", sentence, "Rename or remove one of the two.")
    more = max(0, len(dangling) - _MOST_SHOWN) + max(0, len(hidden) - _MOST_SHOWN)
    if more:
        yield Finding("warning", "names", f"There are {more} more of the kind.")


def _files(root: Path) -> Iterable[Path]:
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(folder) / name for name in names if not name.startswith("."))


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _space(settings: AgentSettings, library: Library) -> Iterator[Finding]:
    seen: set[int] = set()
    for install in library.installs:
        for path in [*([install.models] if install.models else []), *(root.path for root in install.roots)]:
            if not path.exists() or (device := path.stat().st_dev) in seen:
                continue
            seen.add(device)
            space = space_at(path)
            if space is None:
                continue
            told = f"The disk of {quoted(path)} has {in_bytes(space.free)} of {in_bytes(space.total)} free"
            if space.free < settings.keep_free:
                fix = "Free some space, or lower keep_free."
                yield Finding(
                    "problem", "space", f"{told}, less than the {in_bytes(settings.keep_free)} kept free.", fix
                )
            else:
                yield Finding("ok", "space", f"{told}; {in_bytes(settings.keep_free)} stay free.")


def _comfyui(settings: AgentSettings, library: Library) -> Iterator[Finding]:
    for comfyui, _ in library.running:
        version = comfyui.version()
        yield Finding("ok", "comfyui", f"ComfyUI {version or 'of an unknown version'} runs at {comfyui.url}.")
    if not settings.comfyui or len(library.running) == len(settings.comfyui):
        return
    usual = ComfyUI(USUAL_COMFYUI)
    if not settings.comfyui_url and not library.running and usual.version() is not None:
        sentence = f"The ComfyUI at {USUAL_COMFYUI} looks for models elsewhere than in the folders named here."
        yield Finding(
            "warning", "comfyui", sentence, "Name its folder (--comfyui), or set comfyui_url if it is the one."
        )
    else:
        sentence = "ComfyUI does not run; its folders are read from its layout and extra_model_paths.yaml."
        yield Finding("ok", "comfyui", sentence)


def _agent(patient: Patient) -> Iterator[Finding]:
    status = patient.folder.read()
    if not patient.folder.is_running():
        yield Finding(
            "warning", "agent", "No agent runs here.", "modelyard agent run, or once and for all: agent install"
        )
    elif status is not None and status.waiting_for:
        fix = "modelyard agent approve-removal" if status.held else ""
        yield Finding("warning", "agent", f"The agent waits: {status.waiting_for}", fix)
    else:
        yield Finding("ok", "agent", "The agent runs.")
    if os.name == "posix" and shutil.which("systemctl") is None:
        yield Finding("ok", "agent", "There is no systemd here; start the agent as your system starts programs.")
