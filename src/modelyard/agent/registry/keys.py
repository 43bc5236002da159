"""The sources of an agent's key: the environment, its own pairing, or the pairing of this user's command line.

Pairing returns two keys, of which an agent stores only the machine's (``ak-``): a machine needs no key that acts as a
person.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.agent.settings import ENVIRONMENT_PREFIX, AgentSettings
from modelyard.agent.state_folder import list_agent_ids
from modelyard.client.profile import NoKey, Profile, ProfileFile, Warn
from modelyard.wire.agents.values import AGENT_ID_PATTERN

FILE_NAME = "agent-keys.json"


@dataclass(frozen=True)
class AgentCredentials:
    """The registry's URL, the agent's key, and where the key was found (for messages)."""

    url: str
    key: str = field(repr=False)
    source: str = ""
    agent_id: str | None = None  # the name that the machine got when it was paired


class AgentKeyStore:
    """The keys that this user's agents may use; blocking. ``profiles`` is the command line's profile file."""

    def __init__(self, profiles: Path, warn: Warn) -> None:
        self._own = ProfileFile(profiles.with_name(FILE_NAME), warn)
        self._profiles = ProfileFile(profiles, warn)

    def get_credentials(self, settings: AgentSettings) -> AgentCredentials:
        """Return the key for the registry in the settings, or else for the one that was paired or signed in to last.

        The settings' own key takes precedence, then this agent's pairing, then that of the command line.

        Raises:
            NoKey: there is none, or the settings have a key but nothing names its registry.
        """
        paired = self._own.find(settings.url)
        profile = self._profiles.find(settings.url)
        if settings.key is not None:
            url = settings.url or (paired and paired.url) or (profile and profile.url)
            if not url:
                raise NoKey(f"Name the registry that the key is for: {ENVIRONMENT_PREFIX}URL or --url URL.")
            return AgentCredentials(url, settings.key, f"{ENVIRONMENT_PREFIX}KEY")
        if paired is not None:
            return AgentCredentials(paired.url, paired.token, str(self._own.path), paired.agent_id)
        if profile is not None and profile.agent_key is not None:
            return AgentCredentials(profile.url, profile.agent_key, str(self._profiles.path))
        where = f" for {settings.url}" if settings.url else ""
        raise NoKey(
            f"This machine has no key{where}. Pair it (modelyard agent pair --url URL), or ask an admin to create one"
            f" (modelyard key create NAME --kind agent) and set {ENVIRONMENT_PREFIX}KEY."
        )

    def save_key(self, url: str, key: str, name: str | None = None) -> Path:
        """Store a key that pairing returned, and make its registry the current one; return the file.

        A ``name`` that no machine can have, as older registries return, is dropped.
        """
        agent_id = name if name is not None and re.fullmatch(AGENT_ID_PATTERN, name) else None
        self._own.save(Profile(url=url, token=key, agent_id=agent_id))
        return self._own.path


def use_paired_name(settings: AgentSettings, credentials: AgentCredentials, state_dir: Path) -> AgentSettings:
    """Return the settings with the name from pairing, unless they have one or an agent of the host's name has run here.

    That one has placed files under its own name.
    """
    known = list_agent_ids(state_dir)
    name = credentials.agent_id
    if name is None or "agent_id" in settings.model_fields_set or (settings.agent_id in known and name not in known):
        return settings
    return settings.model_copy(update={"agent_id": name})
