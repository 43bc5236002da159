"""The checks of ``modelyard agent doctor``: registry, key, clock and privacy. They block, and change nothing.

Checks of folders and ComfyUI are in ``folders``, those of the running agent in ``agent``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from modelyard.agent.doctor.agent import KEY, REGISTRY, check_agent
from modelyard.agent.doctor.findings import Finding, Level, fold_findings
from modelyard.agent.doctor.folders import check_roots
from modelyard.agent.private_folders import find_open_mode, list_private_folders
from modelyard.agent.registry.keys import AgentCredentials
from modelyard.agent.roots import ROOT_CACHE, RootCache, RootFinder, RootsNotFound, add_folders_of_last_agent
from modelyard.agent.settings import AgentSettings, get_settings_path
from modelyard.agent.state_folder import StateFolder
from modelyard.client.api.http_responses import describe_transport_error
from modelyard.client.api.urls import API_PREFIX, is_unencrypted_remote
from modelyard.comfyui.quoting import quoted
from modelyard.transfer.http.redirects import build_registry_redirected

_TIMEOUT_SECONDS = 10.0
# Presigned URLs are valid for minutes, and S3 refuses requests whose time differs by a quarter of an hour.
_CLOCK_WARNING_SECONDS, _CLOCK_PROBLEM_SECONDS = 60.0, 600.0
_RENAMED = "modelyard agent run --agent-id NAME"
_KEY, _REGISTRY = frozenset({KEY}), frozenset({REGISTRY})


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


def check_machine(context: DoctorContext) -> list[Finding]:
    """Run all checks and return what they found, one finding for each cause."""
    return fold_findings(_run_checks(context))


def _run_checks(context: DoctorContext) -> Iterator[Finding]:
    """Run all checks, and yield their findings, a cause before what follows from it.

    The registry is requested, and the folders and ComfyUIs of the settings are looked up.
    """
    file = get_settings_path(context.environment)
    exists = f"The settings file is {quoted(file)}." if file.exists() else f"There is no settings file {quoted(file)}."
    yield Finding("ok", "settings", exists)
    context, findings = _add_folders_of_last_agent(context)
    yield from findings
    yield from _check_registry(context)
    try:
        roots = RootFinder(context.settings, context.environment, context.root_cache).find()
    except RootsNotFound as failure:
        reason = str(failure)
        yield Finding("problem", "folders", reason, _suggest_folder(context.settings), frozenset({reason}))
    else:
        yield from check_roots(context.settings, roots)
    yield from _check_private_folders(context)
    yield from check_agent(context.folder)


def _suggest_folder(settings: AgentSettings) -> str:
    """Return what to do if no folder of the settings can be used. Pure: a folder may not respond."""
    if not settings.comfyui and not settings.models_dir:
        return "modelyard agent run --comfyui DIR"
    option = "--comfyui" if settings.comfyui else "--models-dir"
    return f"Create the folder, or mount its disk, or name another: {option} DIR"


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
        fix = f"modelyard agent pair --url {context.settings.url or 'URL'}"
        yield Finding("problem", "key", str(failure), fix, _KEY)
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
        sentence = f"{url} cannot be reached: {_describe_failure(failure)}."
        fix = "Check that the registry runs, and that the network and its proxy allow the connection."
        yield Finding("problem", "registry", sentence, fix, _REGISTRY)
        return
    yield _check_key(credentials, response)
    yield from _check_clock(response)


def _describe_failure(failure: Exception) -> str:
    """Return why there is no response, as the end of a sentence, without a period."""
    if isinstance(failure, httpx2.TransportError):
        return describe_transport_error(failure)
    return str(failure).rstrip(".") or type(failure).__name__


def _check_key(credentials: AgentCredentials, response: httpx2.Response) -> Finding:
    """Return what the status says about the key: accepted, unknown, or another machine's; else a registry problem."""
    url, source, status = credentials.url, credentials.source, response.status_code
    # 409: the key is valid, but the machine has not sent a heartbeat yet.
    name = _find_name(response)
    if status in {200, 409}:
        used = f" A machine with another key uses the name '{name}'." if name else ""
        fix = f"If that is another machine, run this one with another name: {_RENAMED}" if name else ""
        return Finding("warning" if name else "ok", "key", f"{url} accepts the key ({source}).{used}", fix)
    pair_again = f"modelyard agent pair --url {url}"
    if status == 401:
        why = f"and a machine with another key uses the name '{name}'" if name else "or belongs to another registry"
        sentence = f"{url} does not recognize the key ({source}): it was revoked, {why}."
        fix = f"{pair_again}; then, if '{name}' is another machine: {_RENAMED}" if name else pair_again
        return Finding("problem", "key", sentence, fix, _KEY)
    if status == 403:
        whose = f"the machine's '{name}'" if name else "another machine's, or its owner has left the team"
        sentence = f"{url} refuses the key ({source}): it is {whose}."
        fix = f"Use the agent's name: --agent-id {name or 'ID'}; or, for a name of its own: {pair_again}; {_RENAMED}"
        return Finding("problem", "key", sentence, fix, _KEY)
    if response.is_redirect:
        redirected = build_registry_redirected(url, response.headers.get("Location"))
        return Finding("problem", "registry", str(redirected), explains=_REGISTRY)
    sentence = f"{url} answers the request for this machine's manifest with status {status}."
    fix = "Check that it is a Modelyard registry of this version or later."
    return Finding("problem", "registry", sentence, fix, _REGISTRY)


def _find_name(response: httpx2.Response) -> str | None:
    """Return the name in a refusal: that of a machine with another key, or the one that the key belongs to."""
    try:
        document = response.json()
    except ValueError:
        return None
    name = document.get("agent_id") if response.is_client_error and isinstance(document, dict) else None
    return name if isinstance(name, str) else None


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
