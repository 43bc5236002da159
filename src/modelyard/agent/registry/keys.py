"""The sources of an agent's key: the environment, its own pairing, or the pairing of this user's command line.

An agent stores only a machine's key (``ak-``), which cannot act as a person, and the machine's name.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.agent.settings import ENVIRONMENT_PREFIX, AgentSettings
from modelyard.client.profile import NoKey, Profile, ProfileFile, Warn, ignore_warning
from modelyard.wire.agents.values import AGENT_ID_PATTERN

FILE_NAME = "agent-keys.json"


@dataclass(frozen=True)
class AgentCredentials:
    """The registry's URL, the agent's key, and where the key was found (for messages)."""

    url: str
    key: str = field(repr=False)
    source: str = ""


class AgentKeyStore:
    """The keys that this user's agents may use; blocking. ``profiles`` is the command line's profile file."""

    def __init__(self, profiles: Path, warn: Warn = ignore_warning) -> None:
        self._own = ProfileFile(profiles.with_name(FILE_NAME), warn)
        self._profiles = ProfileFile(profiles, warn)

    def get_credentials(self, settings: AgentSettings) -> AgentCredentials:
        """Return the key for the registry in the settings, or else for the one that was paired or signed in to last.

        The settings' own key takes precedence, then this agent's pairing, then that of the command line.

        Raises:
            NoKey: there is none, or the settings have a key but nothing names its registry.
        """
        if settings.key is not None:
            return AgentCredentials(self._get_url(settings), settings.key, f"{ENVIRONMENT_PREFIX}KEY")
        if (paired := self._own.find(settings.url)) is not None:
            return AgentCredentials(paired.url, paired.token, str(self._own.path))
        profile = self._profiles.find(settings.url)
        if profile is not None and profile.agent_key is not None:
            return AgentCredentials(profile.url, profile.agent_key, str(self._profiles.path))
        where = f" for {settings.url}" if settings.url else ""
        raise NoKey(
            f"This machine has no key{where}. Pair it (modelyard agent pair --url {settings.url or 'URL'}), or ask an"
            " admin to create one"
            f" (modelyard key create NAME --kind agent) and set {ENVIRONMENT_PREFIX}KEY."
        )

    def find_url(self) -> str | None:
        """Return the address of the registry that was paired last, or else signed in to; None without either."""
        saved = self._own.find() or self._profiles.find()
        return None if saved is None else saved.url

    def _get_url(self, settings: AgentSettings) -> str:
        """Return the registry of the settings' key: theirs, or else the one that was paired or signed in to last.

        Raises:
            NoKey: there is none.
        """
        url = settings.url or self.find_url()
        if url is None:
            raise NoKey(f"Name the registry that the key is for: {ENVIRONMENT_PREFIX}URL or --url URL.")
        return url

    def use_paired_name(self, settings: AgentSettings) -> AgentSettings:
        """Return the settings with the machine's name from pairing, unless they have a name or a key of their own."""
        if "agent_id" in settings.model_fields_set or settings.key is not None:
            return settings
        paired = self._own.find(settings.url)
        name = None if paired is None else paired.agent_id
        return settings if name is None else settings.model_copy(update={"agent_id": name})

    def has_name(self, settings: AgentSettings) -> bool:
        """Return whether the machine's name is a setting, or that of a pairing with the registry of the settings."""
        return "agent_id" in settings.model_fields_set or self._own.find(settings.url) is not None

    def save_key(self, url: str, key: str, agent_id: str) -> None:
        """Store a key that pairing returned for the machine of this name, and make its registry the current one."""
        self._own.save(Profile(url=url, token=key, agent_id=agent_id))


def find_machine_name(device_name: str | None) -> str | None:
    """Return the name that was confirmed for a device; None if no machine can have it, such as ``Device X``."""
    is_valid = device_name is not None and re.fullmatch(AGENT_ID_PATTERN, device_name)
    return device_name if is_valid else None


def choose_name(confirmed: str | None, before: str, known: Collection[str]) -> str:
    """Return the name of a machine that was paired: the ``confirmed`` one, unless it has run as ``before``.

    ``known`` agents have run here. One that has run keeps its name, under which it has placed files and is known to the
    registry.
    """
    return before if confirmed is None or before in known else confirmed
