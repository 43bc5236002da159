"""Pair the agent of this machine: its key and its name, and the warning that another machine has that name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from modelyard.cli.registry.pairing import describe_name_in_use, request_paired_keys
from modelyard.cli.this_machine.settings import read_agent_settings

if TYPE_CHECKING:
    from modelyard.agent.registry.keys import AgentKeyStore
    from modelyard.agent.registry.names import NameUse
    from modelyard.agent.settings import AgentSettings
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.wire.credentials import PairingState


def pair_this_machine(terminal: Terminal, **flags: object) -> str:
    """Pair this machine, store its key, and return the machine's name; waits for a user.

    The registry is that of the settings, or else the one that the machine was paired with last. ``flags`` are as in
    ``read_agent_settings``.

    Raises:
        BadParameter: neither names a registry.
        PairingNotFound: the code expired before it was confirmed.
        RegistryUnreachable: the registry did not answer.
        ValueError: the registry returned no key for an agent, or see ``_check_running_agents``.
    """
    from modelyard.agent.registry.keys import AgentKeyStore, choose_name, find_machine_name
    from modelyard.agent.state_folder import find_agent_of_team, list_agent_ids
    from modelyard.client.api.urls import normalize_url

    before, known = read_agent_settings(terminal, **flags), list_agent_ids(terminal.settings.state_dir)
    key_store = AgentKeyStore(terminal.settings.profile_file, terminal.output.warn)
    url = before.url or key_store.find_url()
    if url is None:
        raise typer.BadParameter("Name the registry: modelyard agent pair --url URL")
    name_use = _find_name_use(terminal, key_store, before, has_run=before.agent_id in known)
    _check_running_agents(terminal, url, name_use.other)
    if name_use.other is not None:
        terminal.output.warn(describe_name_in_use(name_use.other))
    keys = _request_keys(terminal, url, None if name_use.is_own else before.agent_id)
    if keys.agent_key is None:
        raise ValueError("The registry returned no key for an agent. Update the registry, then pair again.")
    address, former = normalize_url(url), before.agent_id
    if keys.team_id is not None and not key_store.has_name(before):
        # The registry may have another address now.
        former = find_agent_of_team(terminal.settings.state_dir, keys.team_id, address) or former
    confirmed = find_machine_name(keys.device_name)
    key_store.save_key(address, keys.agent_key, choose_name(confirmed, former, known))
    if former in known and (former != before.agent_id or confirmed not in (None, former)):
        terminal.output.warn(f"This machine has run as {former} before, and keeps that name.")
    name = read_agent_settings(terminal, **flags).agent_id
    is_own = name_use.is_own or former != before.agent_id
    other = None if is_own else _ask_name_use(terminal, url, keys.agent_key, name, has_run=False).other
    if other not in (None, name_use.other):
        terminal.output.warn(describe_name_in_use(name))
    return name


def _request_keys(terminal: Terminal, url: str, agent_id: str | None) -> PairingState:
    """Show a code, wait until it is confirmed, and return the machine's key. ``agent_id`` is the name to announce.

    Raises:
        PairingNotFound, RegistryUnreachable: see ``pair_this_machine``.
    """
    from modelyard.client.profile import RegistryUnreachable
    from modelyard.transfer.errors import Unreachable

    try:
        return terminal.call_anonymously(
            url, lambda registry: request_paired_keys(terminal, registry, is_for_agent=True, agent_id=agent_id)
        )
    except Unreachable as failure:
        raise RegistryUnreachable(str(failure)) from failure


def _check_running_agents(terminal: Terminal, url: str, used_name: str | None) -> None:
    """Check that no agent of this registry runs here whose name another machine uses: it would take up the new key.

    ``used_name`` is such a name, if one is known; an agent may also have heard that another one reports as it.

    Raises:
        ValueError: one runs.
    """
    from modelyard.agent.state_folder import StateFolder, read_statuses
    from modelyard.client.api.urls import normalize_url

    for agent_id, status in read_statuses(terminal.settings.state_dir):
        is_shared = status.url == normalize_url(url) and (agent_id == used_name or status.is_reported_by_two)
        if is_shared and StateFolder(terminal.settings.state_dir, agent_id).is_running():
            raise ValueError(
                f"An agent runs here as {agent_id}, as another machine does. It would take up the new key, and the"
                " other one would be refused. Stop the agent here, pair again, and run it with a name of its own:"
                " modelyard agent run --agent-id NAME, or install it again with --agent-id NAME."
            )


def _find_name_use(terminal: Terminal, key_store: AgentKeyStore, settings: AgentSettings, *, has_run: bool) -> NameUse:
    """Return how the machine may have its name with the key that it has before it is paired."""
    from modelyard.agent.registry.names import NameUse
    from modelyard.client.profile import NoKey

    try:
        credentials = key_store.get_credentials(settings)
    except NoKey:
        return NameUse(is_own=has_run)
    return _ask_name_use(terminal, credentials.url, credentials.key, settings.agent_id, has_run=has_run)


def _ask_name_use(terminal: Terminal, url: str, key: str, agent_id: str, *, has_run: bool) -> NameUse:
    """Ask a registry as ``find_name_use``, with a key."""
    from modelyard.agent.registry.names import find_name_use
    from modelyard.client.api.registry import RegistryApi

    async def ask() -> NameUse:
        """Enter the registry client, and ask."""
        async with RegistryApi(url, key, retry_seconds=0) as registry:
            return await find_name_use(registry, agent_id, has_run=has_run)

    return terminal.run(ask())
