"""Pairing of the agent of this machine: the code, the name that the machine has, and what is said about the name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from modelyard.cli.this_machine.settings import read_agent_settings

if TYPE_CHECKING:
    from modelyard.agent.registry.keys import AgentKeyStore
    from modelyard.agent.registry.names import NameUse
    from modelyard.agent.settings import AgentSettings
    from modelyard.cli.terminal.terminal import Terminal


def pair_this_machine(terminal: Terminal) -> str:
    """Pair this machine, store its key, and return the machine's name; waits for a user.

    The registry is that of the settings, or else the one that the machine was paired with last.

    Raises:
        BadParameter: neither names a registry.
        PairingNotFound: the code expired before it was confirmed.
        RegistryUnreachable: the registry did not answer.
        ValueError: the registry returned no key for an agent.
    """
    from modelyard.agent.registry.keys import AgentKeyStore, choose_name, find_machine_name
    from modelyard.agent.state_folder import find_agent_of_team, list_agent_ids
    from modelyard.cli.registry.pairing import describe_name_in_use, request_paired_keys
    from modelyard.client.api.urls import normalize_url
    from modelyard.client.profile import RegistryUnreachable
    from modelyard.transfer.errors import Unreachable

    before, known = read_agent_settings(terminal), list_agent_ids(terminal.settings.state_dir)
    key_store = AgentKeyStore(terminal.settings.profile_file, terminal.output.warn)
    url = before.url or key_store.find_url()
    if url is None:
        raise typer.BadParameter("Name the registry: modelyard agent pair --url URL")
    name_use = _find_name_use_before(terminal, key_store, before)
    if name_use == "other":
        terminal.output.warn(
            f"{describe_name_in_use(before.agent_id)} Stop the agent here first: a running one takes up the new key."
        )
    # A machine whose key was revoked keeps its name, unless it is used with another key.
    announced = None if name_use == "own" or (name_use == "unknown" and before.agent_id in known) else before.agent_id
    try:
        keys = terminal.call_anonymously(
            url, lambda registry: request_paired_keys(terminal, registry, is_for_agent=True, agent_id=announced)
        )
    except Unreachable as failure:
        raise RegistryUnreachable(str(failure)) from failure
    if keys.agent_key is None:
        raise ValueError("The registry returned no key for an agent. Update the registry, then pair again.")
    address, former = normalize_url(url), before.agent_id
    if keys.team_id is not None and not key_store.has_name(before):
        # The registry has another address now.
        former = find_agent_of_team(terminal.settings.state_dir, keys.team_id, address) or former
    confirmed = find_machine_name(keys.device_name)
    key_store.save_key(address, keys.agent_key, choose_name(confirmed, former, known))
    if former in known and (former != before.agent_id or confirmed not in (None, former)):
        terminal.output.warn(f"This machine has run as {former} before, and keeps that name.")
    name = read_agent_settings(terminal).agent_id
    if before.agent_id not in known and _ask_name_use(terminal, url, keys.agent_key, name) == "other":
        terminal.output.warn(describe_name_in_use(name))
    return name


def _find_name_use_before(terminal: Terminal, key_store: AgentKeyStore, settings: AgentSettings) -> NameUse:
    """Return whether the machine's name is used with the key that it has before it is paired, or with another one."""
    from modelyard.client.profile import NoKey

    try:
        credentials = key_store.get_credentials(settings)
    except NoKey:
        return "unknown"
    return _ask_name_use(terminal, credentials.url, credentials.key, settings.agent_id)


def _ask_name_use(terminal: Terminal, url: str, key: str, agent_id: str) -> NameUse:
    """Ask a registry once whether a name is used with this key of a machine, or with another one."""
    from modelyard.agent.registry.names import find_name_use
    from modelyard.client.api.registry import RegistryApi

    async def ask() -> NameUse:
        """Enter the registry client, and ask."""
        async with RegistryApi(url, key, retry_seconds=0) as registry:
            return await find_name_use(registry, agent_id)

    return terminal.run(ask())
