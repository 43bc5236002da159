"""The client's settings, read once at the start of a program and passed down."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import platformdirs

from modelyard.client.durations import parse_duration
from modelyard.transfer.options import DEFAULT_OPTIONS

APPLICATION = "modelyard"


@dataclass(frozen=True)
class ClientSettings:
    """Values of the environment and the global options; a profile supplies those that are None."""

    url: str | None
    token: str | None
    team: str | None  # an id or a name
    profile_file: Path
    state_dir: Path
    cache_dir: Path
    give_up_seconds: float = DEFAULT_OPTIONS.no_progress_timeout_seconds  # see ``TransferOptions``

    @property
    def has_team_key(self) -> bool:
        """Whether the token is a key that acts for no user, and so in one team, whichever is selected."""
        return (self.token or "").startswith(("sk-", "ak-"))


def parse_team_id(text: str) -> UUID | None:
    """Return the id that a text is, with or without dashes; None if it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def read_settings(environment: Mapping[str, str], url: str | None = None, team: str | None = None) -> ClientSettings:
    """Read the settings; ``url`` and ``team`` take precedence over ``MODELYARD_URL`` and ``MODELYARD_TEAM``.

    Empty texts count as None. The folders, and without ``MODELYARD_CONFIG`` the profile file, are the user's default
    ones, which the process's own environment decides. No file is read.

    Raises:
        ValueError: ``MODELYARD_GIVE_UP_AFTER`` is not a duration.
    """
    config = environment.get("MODELYARD_CONFIG")
    give_up_after = environment.get("MODELYARD_GIVE_UP_AFTER")
    return ClientSettings(
        url=url or environment.get("MODELYARD_URL") or None,
        token=environment.get("MODELYARD_TOKEN") or None,
        team=team or environment.get("MODELYARD_TEAM") or None,
        profile_file=Path(config) if config else platformdirs.user_config_path(APPLICATION) / "profiles.json",
        state_dir=platformdirs.user_state_path(APPLICATION),
        cache_dir=platformdirs.user_cache_path(APPLICATION),
        give_up_seconds=parse_duration(give_up_after) if give_up_after else DEFAULT_OPTIONS.no_progress_timeout_seconds,
    )
