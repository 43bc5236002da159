"""Where an agent's key comes from: the environment, its own pairing, or the pairing of this user's command line.

Of the two keys that pairing gives, an agent keeps only its own (``ak-``): a machine needs no key that acts as a person.
"""

from dataclasses import dataclass, field
from pathlib import Path

from modelyard.agent.settings import ENVIRONMENT_PREFIX, AgentSettings
from modelyard.client.profile import NoKey, Profile, ProfileFile, Warn

FILE_NAME = "agent-keys.json"


@dataclass(frozen=True)
class Identity:
    """As whom an agent speaks, and to whom."""

    url: str
    key: str = field(repr=False)
    source: str = ""  # where the key was found, for people


class KeyRing:
    """The keys that this user's agents may use; blocking. ``profiles`` is the file of the command line."""

    def __init__(self, profiles: Path, warn: Warn) -> None:
        self._own = ProfileFile(profiles.with_name(FILE_NAME), warn)
        self._profiles = ProfileFile(profiles, warn)

    def find(self, settings: AgentSettings) -> Identity:
        """The key for the registry that the settings name, or for the one that was paired last.

        Raises:
            NoKey: there is none.
        """
        paired = self._own.find(settings.url)
        profile = self._profiles.find(settings.url)
        if settings.key is not None:
            url = settings.url or (paired and paired.url) or (profile and profile.url)
            if not url:
                raise NoKey(f"Say which registry the key is for: {ENVIRONMENT_PREFIX}URL or --url URL.")
            return Identity(url, settings.key, f"{ENVIRONMENT_PREFIX}KEY")
        if paired is not None:
            return Identity(paired.url, paired.token, str(self._own.path))
        if profile is not None and profile.agent_key is not None:
            return Identity(profile.url, profile.agent_key, str(self._profiles.path))
        where = f" for {settings.url}" if settings.url else ""
        raise NoKey(
            f"This machine has no key{where}. Pair it (modelyard agent pair --url URL), or let an admin make one"
            f" (modelyard keys create NAME --kind agent) and set {ENVIRONMENT_PREFIX}KEY."
        )

    def keep(self, url: str, key: str) -> Path:
        """Remember a key that pairing gave; gives the file."""
        self._own.save(Profile(url=url, token=key))
        return self._own.path
