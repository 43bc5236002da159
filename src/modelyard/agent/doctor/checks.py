"""The checks of ``modelyard agent doctor``: registry, key, clock, privacy and agent. They block, and change nothing.

Checks of folders and ComfyUI are in ``folders``.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from modelyard.agent.doctor.findings import Finding, Level
from modelyard.agent.doctor.folders import check_roots
from modelyard.agent.private_folders import find_open_mode, list_private_folders
from modelyard.agent.registry.keys import AgentCredentials
from modelyard.agent.roots import ROOT_CACHE, RootCache, RootFinder, RootsNotFound, add_folders_of_last_agent
from modelyard.agent.settings import AgentSettings, get_settings_path
from modelyard.agent.state_folder import StateFolder, StatusSnapshot
from modelyard.client.api.urls import API_PREFIX, is_unencrypted_remote
from modelyard.comfyui.quoting import counted, quoted

_TIMEOUT_SECONDS = 10.0
# Presigned URLs are valid for minutes, and S3 refuses requests whose time differs by a quarter of an hour.
_CLOCK_WARNING_SECONDS, _CLOCK_PROBLEM_SECONDS = 60.0, 600.0


@dataclass(frozen=True)
class DoctorContext:
    """The machine to check: its settings, credentials, state folder and environment variables."""

    settings: AgentSettings
    get_credentials: Callable[[], AgentCredentials]
    folder: StateFolder
    environment: Mapping[str, str]

    @property
    def root_cache(self) -> RootCache:
        """Return the folders that each ComfyUI reported to the agent when it ran last."""
        return RootCache(self.folder.path / ROOT_CACHE, is_read_only=True)


def check_machine(context: DoctorContext) -> Iterator[Finding]:
    """Run all checks and yield their findings as they are made."""
    file = get_settings_path(context.environment)
    exists = f"The settings file is {quoted(file)}." if file.exists() else f"There is no settings file {quoted(file)}."
    yield Finding("ok", "settings", exists)
    context, findings = _add_folders_of_last_agent(context)
    yield from findings
    yield from _check_registry(context)
    try:
        roots = RootFinder(context.settings, context.environment, context.root_cache).find()
    except RootsNotFound as failure:
        yield Finding("problem", "folders", str(failure), "modelyard agent run --comfyui DIR")
    else:
        yield from check_roots(context.settings, roots)
    yield from _check_private_folders(context)
    yield from _check_agent(context)


def _add_folders_of_last_agent(context: DoctorContext) -> tuple[DoctorContext, list[Finding]]:
    """If the settings name no folders, return the context with those of the agent that ran last, and a finding."""
    settings = add_folders_of_last_agent(context.settings, context.folder)
    if settings is context.settings:
        return context, []
    names = ", ".join(quoted(folder) for folder in (*settings.comfyui, *settings.models_dir))
    finding = Finding("ok", "folders", f"Checking the folders of the agent that ran here last: {names}.")
    return replace(context, settings=settings), [finding]


def _check_registry(context: DoctorContext) -> Iterator[Finding]:
    """Request the manifest, if there is a key; yield findings on encryption, reachability, key and clock."""
    try:
        credentials = context.get_credentials()
    except ValueError as failure:
        yield Finding("problem", "key", str(failure), "modelyard agent pair --url URL")
        return
    url = credentials.url
    if is_unencrypted_remote(url):
        sentence = f"{url} uses plain http: anyone on the network path can read the key and the models."
        yield Finding("warning", "registry", sentence, "Serve the registry over https, or only in a trusted network.")
    query = {"agent_id": context.settings.agent_id, "wait": "0"}
    try:
        with httpx2.Client(timeout=_TIMEOUT_SECONDS) as http:
            headers = {"Authorization": f"Bearer {credentials.key}"}
            response = http.get(f"{url}{API_PREFIX}/agent/manifest", params=query, headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as failure:
        sentence = f"{url} cannot be reached: {str(failure) or type(failure).__name__}."
        fix = "Check that the registry runs, and that the network and its proxy allow the connection."
        yield Finding("problem", "registry", sentence, fix)
        return
    yield _check_key(credentials, response)
    yield from _check_clock(response)


def _check_key(credentials: AgentCredentials, response: httpx2.Response) -> Finding:
    """Return what the status says about the key: accepted, unknown, or another machine's; else a registry problem."""
    url, source, status = credentials.url, credentials.source, response.status_code
    # 409: the key is valid, but the machine has not sent a heartbeat yet.
    if status in {200, 409}:
        return Finding("ok", "key", f"{url} accepts the key ({source}).")
    pair_again = f"modelyard agent pair --url {url}"
    if status == 401:
        sentence = f"{url} does not recognize the key ({source}): it was revoked, or belongs to another registry."
        return Finding("problem", "key", sentence, pair_again)
    if status == 403:
        sentence = f"{url} refuses the key ({source}): it is another machine's, or its owner has left the team."
        return Finding("problem", "key", sentence, f"Use the agent's name: --agent-id ID; or: {pair_again}")
    sentence = f"{url} answers the request for this machine's manifest with status {status}."
    return Finding("problem", "registry", sentence, "Check that it is a Modelyard registry of this version or later.")


def _check_clock(response: httpx2.Response) -> Iterator[Finding]:
    """Yield how far the clock is from the response's ``Date``; nothing if that is missing or malformed."""
    try:
        registry_time = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        return
    behind = (registry_time.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    difference = abs(behind)
    level: Level = (
        "ok" if difference < _CLOCK_WARNING_SECONDS else "warning" if difference < _CLOCK_PROBLEM_SECONDS else "problem"
    )
    sentence = f"This machine's clock is {difference:.0f} s {'behind' if behind > 0 else 'ahead of'} the registry's."
    yield Finding(level, "clock", sentence, "" if level == "ok" else "Set it by NTP: timedatectl set-ntp true")


def _check_private_folders(context: DoctorContext) -> Iterator[Finding]:
    """Yield for each private folder that exists whether other users of this machine have access to it."""
    for purpose, folder in list_private_folders(context.environment, context.folder.path):
        mode = find_open_mode(folder)
        if mode is None:
            yield Finding("ok", "privacy", f"The {purpose} in {quoted(folder)} is closed to other users.")
        else:
            sentence = f"Other users of this machine can enter {quoted(folder)} (mode {mode}), the {purpose}."
            yield Finding("problem", "privacy", sentence, f'chmod 700 "{folder}"')


def _find_blocked_models(status: StatusSnapshot) -> Finding | None:
    """Return how many models wait until a person acts, with the reason of the first; None for none."""
    count = status.counts.get("blocked", 0)
    if not count:
        return None
    reason = next((model.reason for model in status.models if model.state == "blocked" and model.reason), "")
    return Finding("problem", "models", f"The agent cannot place {counted(count, 'model')}. {reason}".rstrip())


def _check_agent(context: DoctorContext) -> Iterator[Finding]:
    """Yield whether the agent runs and what it waits for, and a finding if systemd is missing."""
    status = context.folder.read_status()
    if not context.folder.is_running():
        fix = "modelyard agent run, or permanently: modelyard agent install"
        yield Finding("warning", "agent", "No agent runs here.", fix)
    elif status is not None and (finding := _find_blocked_models(status)) is not None:
        yield finding
    elif status is not None and status.waiting_for:
        fix = "modelyard agent approve" if status.held else ""
        yield Finding("warning", "agent", f"The agent is waiting: {status.waiting_for}", fix)
    else:
        yield Finding("ok", "agent", "The agent runs.")
    if os.name == "posix" and shutil.which("systemctl") is None:
        yield Finding("ok", "agent", "systemd is not available; start the agent with your system's service manager.")
