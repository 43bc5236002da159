"""The profile file: the registries that a user has signed in to, with their tokens; readable by its owner only.

    {"current": "http://models.example:8400",
     "profiles": {"http://models.example:8400": {"token": "…", "refresh_token": "…", "team_id": "…", …}}}

A profile belongs to one URL, so a token is never sent to another registry than the one that issued it.
"""

import stat
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelyard.client.atomic_file import write_private_file
from modelyard.transfer.errors import Unreachable
from modelyard.wire import ValidatorDeferral

Warn = Callable[[str], None]


class ProfileUnreadable(Exception):
    """The profile file is not valid."""


class NoKey(ValueError):
    """This machine has no key for a registry."""


class KeyRefused(NoKey):
    """The registry refused this machine's key.

    ``url``: the registry's address, with which the machine can be paired again; None if that would not help.
    ``used_name``: the machine's name, if that is used with another key. ``key_name``: the name that the key belongs to,
    if that is another one.
    """

    def __init__(
        self, message: str, url: str | None, *, used_name: str | None = None, key_name: str | None = None
    ) -> None:
        super().__init__(message)
        self.url, self.used_name, self.key_name = url, used_name, key_name


class AccountRequired(NoKey):
    """A command needs a person's account, or a key for programs; a machine's key is not enough.

    ``url``: the registry's address, if it is known.
    """

    def __init__(self, message: str, url: str | None) -> None:
        super().__init__(message)
        self.url = url


class RegistryUnreachable(Unreachable):
    """The registry of this machine's agent cannot be reached."""


class Profile(BaseModel):
    """One registry, with the tokens, the account and the team that are used there."""

    model_config = ConfigDict(frozen=True, defer_build=ValidatorDeferral.is_on)

    url: str
    token: str = Field(repr=False)
    refresh_token: str | None = Field(default=None, repr=False)
    expires_at: datetime | None = None  # of the token, by this machine's clock
    email_address: str | None = None
    team_id: UUID | None = None
    team_name: str | None = None
    agent_key: str | None = Field(default=None, repr=False)
    agent_id: str | None = None  # of a paired machine: the name that it got


class _Contents(BaseModel):
    model_config = ConfigDict(defer_build=ValidatorDeferral.is_on)

    current: str | None = None
    profiles: dict[str, Profile] = Field(default_factory=dict)


def ignore_warning(text: str) -> None:
    """Do nothing with a warning; for callers that print nothing."""


class ProfileFile:
    """The file with all profiles. If other users can read it, its mode is set to 0600, with a warning."""

    def __init__(self, path: Path, warn: Warn = ignore_warning) -> None:
        self.path = path
        self._warn = warn

    @property
    def lock(self) -> Path:
        """The lock file of this file, for refreshing a session: two programs must not use one refresh token."""
        return self.path.with_name(f".{self.path.name}.lock")

    def find(self, url: str | None = None) -> Profile | None:
        """Return the profile of a normalized ``url``, or the current one without ``url``; None if there is none.

        Raises:
            ProfileUnreadable: the file is not valid.
        """
        contents = self._read()
        return contents.profiles.get(url or contents.current or "")

    def save(self, profile: Profile) -> None:
        """Store a profile in the file, in place of that of its URL, and make it the current one."""
        contents = self._read()
        self._write(_Contents(current=profile.url, profiles=contents.profiles | {profile.url: profile}))

    def update(self, profile: Profile) -> None:
        """Store a profile in the file, in place of that of its URL; the current one stays the same."""
        contents = self._read()
        self._write(_Contents(current=contents.current, profiles=contents.profiles | {profile.url: profile}))

    def remove(self, url: str) -> None:
        """Delete the profile of ``url``, if there is one, from the file; if it was current, none is afterwards."""
        contents = self._read()
        profiles = {name: profile for name, profile in contents.profiles.items() if name != url}
        self._write(_Contents(current=None if contents.current == url else contents.current, profiles=profiles))

    def _read(self) -> _Contents:
        """Read and validate the file, and restrict its mode; empty if it does not exist.

        Raises:
            ProfileUnreadable: the file is not valid.
        """
        try:
            contents = self.path.read_bytes()
        except FileNotFoundError:
            return _Contents()
        self._restrict_mode()
        try:
            return _Contents.model_validate_json(contents)
        except ValidationError:
            raise ProfileUnreadable(f'"{self.path}" is damaged. Remove it and sign in again.') from None

    def _write(self, contents: _Contents) -> None:
        """Replace the file atomically and durably."""
        write_private_file(self.path, contents.model_dump_json(indent=2, exclude_none=True) + "\n")

    def _restrict_mode(self) -> None:
        """Set the file's mode to 0600 and warn, if other users have access to it; does nothing on Windows."""
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if sys.platform != "win32" and mode & 0o077:
            self.path.chmod(0o600)
            self._warn(
                f'"{self.path}" holds keys and was accessible to other users (mode {mode:03o}). Its mode is now 600.'
            )
