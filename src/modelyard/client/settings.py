"""Everything a user of the client can set, read once at the edge of a program and passed down."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

APPLICATION = "modelyard"


@dataclass(frozen=True)
class ClientSettings:
    """What the environment and the global options say; a profile fills in what is None here."""

    url: str | None
    token: str | None
    team: str | None  # an id or a name
    profile_file: Path
    state_dir: Path
    cache_dir: Path


def read_settings(environment: Mapping[str, str], url: str | None = None, team: str | None = None) -> ClientSettings:
    """Options win over ``MODELYARD_URL``, ``MODELYARD_TOKEN``, ``MODELYARD_TEAM``, and these over the profile file."""
    config = environment.get("MODELYARD_CONFIG")
    return ClientSettings(
        url=url or environment.get("MODELYARD_URL") or None,
        token=environment.get("MODELYARD_TOKEN") or None,
        team=team or environment.get("MODELYARD_TEAM") or None,
        profile_file=Path(config) if config else platformdirs.user_config_path(APPLICATION) / "profiles.json",
        state_dir=platformdirs.user_state_path(APPLICATION),
        cache_dir=platformdirs.user_cache_path(APPLICATION),
    )
