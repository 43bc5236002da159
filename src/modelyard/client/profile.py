"""Saved registries and keys: one file that only its owner may read.

    {"current": "http://models.example:8400",
     "profiles": {"http://models.example:8400": {"token": "…", "refresh_token": "…", "team_id": "…", …}}}

A profile belongs to one URL, so a token never goes to another registry than the one that gave it.
"""

import stat
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelyard.client.durable import write_private

Warn = Callable[[str], None]


class ProfileUnreadable(Exception):
    """The profile file is not what this program writes."""


class NoKey(ValueError):
    """This machine has no key for a registry."""


class KeyRefused(NoKey):
    """The registry does not let this machine's key in."""


class Profile(BaseModel):
    """One registry and how to be known there."""

    model_config = ConfigDict(frozen=True)

    url: str
    token: str = Field(repr=False)
    refresh_token: str | None = Field(default=None, repr=False)
    expires_at: datetime | None = None  # of the token, by this machine's clock
    email_address: str | None = None
    team_id: UUID | None = None
    team_name: str | None = None
    agent_key: str | None = Field(default=None, repr=False)


class _Contents(BaseModel):
    current: str | None = None
    profiles: dict[str, Profile] = Field(default_factory=dict)


class ProfileFile:
    """The file with all profiles. A mode that lets others read it is put right, with a warning."""

    def __init__(self, path: Path, warn: Warn) -> None:
        self.path = path
        self._warn = warn

    @property
    def lock(self) -> Path:
        """Held while a session's tokens are exchanged, so that two programs do not spend the same one."""
        return self.path.with_name(f".{self.path.name}.lock")

    def find(self, url: str | None = None) -> Profile | None:
        """The profile of ``url``, or the one last signed in to."""
        contents = self._read()
        return contents.profiles.get(url or contents.current or "")

    def save(self, profile: Profile) -> None:
        """Keep this profile and make it the current one."""
        contents = self._read()
        self._write(_Contents(current=profile.url, profiles=contents.profiles | {profile.url: profile}))

    def update(self, profile: Profile) -> None:
        """Keep this profile; which one is current stays as it is."""
        contents = self._read()
        self._write(_Contents(current=contents.current, profiles=contents.profiles | {profile.url: profile}))

    def remove(self, url: str) -> None:
        """Forget the profile of ``url``; may be called twice."""
        contents = self._read()
        left = {name: profile for name, profile in contents.profiles.items() if name != url}
        self._write(_Contents(current=None if contents.current == url else contents.current, profiles=left))

    def _read(self) -> _Contents:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return _Contents()
        self._close_to_others()
        try:
            return _Contents.model_validate_json(text)
        except ValidationError:
            raise ProfileUnreadable(f'"{self.path}" is damaged. Remove it and sign in again.') from None

    def _write(self, contents: _Contents) -> None:
        write_private(self.path, contents.model_dump_json(indent=2, exclude_none=True) + "\n")

    def _close_to_others(self) -> None:
        if sys.platform == "win32":
            return
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & 0o077:
            self.path.chmod(0o600)
            self._warn(
                f'"{self.path}" holds keys and was open to others (mode {mode:03o}). It is yours alone now (600).'
            )
