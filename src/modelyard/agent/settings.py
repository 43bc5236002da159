"""Everything that can be set on a machine's agent, read once at the edge of the program; the texts are its reference.

Flags win over the environment (``MODELYARD_AGENT_<NAME>``), that over the file ``agent.toml`` in the configuration
folder, that over the defaults.
"""

import re
import socket
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import platformdirs
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from modelyard.client.address import checked_url
from modelyard.client.settings import APPLICATION
from modelyard.client.sizes import size_of
from modelyard.client.sync.acting.budget import Window, read_window
from modelyard.wire.agents import AgentId
from modelyard.wire.models import Labels

ENVIRONMENT_PREFIX = "MODELYARD_AGENT_"
FILE_NAME = "agent.toml"
# Where a ComfyUI listens unless it is told otherwise.
USUAL_COMFYUI = "http://127.0.0.1:8188"


class SettingsUnreadable(ValueError):
    """The settings file is no TOML, or says what no setting is called."""


def _split(text: Any) -> Any:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


def _size(text: Any) -> Any:
    return size_of(text) if isinstance(text, str) else text


def _in_full(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(path.expanduser().absolute() for path in paths)


def _window_text(text: str) -> str:
    return str(read_window(text))


Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
Folders = Annotated[tuple[Path, ...], BeforeValidator(_split), AfterValidator(_in_full)]
Addresses = Annotated[tuple[Annotated[str, AfterValidator(checked_url)], ...], BeforeValidator(_split)]
Hours = Annotated[str, AfterValidator(_window_text)]


class AgentSettings(BaseModel):
    """One machine's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    url: Annotated[str, AfterValidator(checked_url)] | None = Field(
        default=None, description="The registry's address. Without it, the one that this machine was paired with."
    )
    key: str | None = Field(
        default=None,
        repr=False,
        pattern=r"^ak-\S+$",
        description="The machine's key (`ak-`), in the environment only. Without it, the one that pairing gave.",
    )
    agent_id: AgentId = Field(
        default_factory=lambda: usual_agent_id(),  # noqa: PLW0108 - it stands further down
        description="The machine's name in the registry. Without it, its host name.",
    )
    labels: Annotated[Labels, BeforeValidator(_split)] = Field(
        default_factory=list, description="Comma-separated labels: a model that needs labels comes only where all are."
    )
    comfyui: Folders = Field(
        default=(), description="Comma-separated folders in which a ComfyUI lies; several share one copy of a model."
    )
    comfyui_url: Addresses = Field(
        default=(),
        description="Where they listen, in the same order. Without it, one that listens at "
        f"`{USUAL_COMFYUI}` is asked if its folders lie in one of those.",
    )
    models_dir: Folders = Field(
        default=(), description="Comma-separated models folders that belong to no ComfyUI, laid out like one."
    )
    parallel: int = Field(default=4, ge=1, le=32, description="Requests at once, over all downloads.")
    rate_limit: Annotated[Size, Field(gt=0)] | None = Field(
        default=None, description="At most so many bytes a second, such as `20MB`. Without it, no limit."
    )
    hours: Hours | None = Field(
        default=None, description="Downloads run only in these hours of this machine's clock, such as `22:00-07:00`."
    )
    disk_budget: Size | None = Field(
        default=None, description="At most so many bytes of models are placed here, such as `500GB`."
    )
    keep_free: Size = Field(default=5_000_000_000, description="Bytes that stay free on each disk, such as `50GB`.")
    reread_days: int = Field(
        default=30,
        ge=0,
        le=3650,
        description="Each model here is read again after so many days, while nothing else is to be done, so that a "
        "disk that damaged one is noticed; 0: never.",
    )
    purge_on_revoke: bool = Field(
        default=False, description="When the registry has revoked this machine's key, remove everything it placed."
    )
    log_level: Annotated[str, Field(pattern=r"^(debug|info|warning|error)$")] = Field(
        default="info", description="How much is logged: debug, info, warning or error."
    )

    @cached_property
    def window(self) -> Window | None:
        """The hours as a window."""
        return None if self.hours is None else read_window(self.hours)


def usual_agent_id() -> str:
    """This machine's host name, as far as an agent's id can say it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()).strip("-")[:64] or "machine"


def settings_file(environment: Mapping[str, str]) -> Path:
    """Where the settings file lies, whether it is there or not."""
    named = environment.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    return Path(named) if named else platformdirs.user_config_path(APPLICATION) / FILE_NAME


def read_settings(environment: Mapping[str, str], **flags: Any) -> AgentSettings:
    """The settings from flags (those that are neither None nor empty), environment, file and defaults.

    Raises:
        SettingsUnreadable: see the class.
        pydantic.ValidationError: a value does not fit; the error names the setting.
    """
    from_environment = {
        name: environment[ENVIRONMENT_PREFIX + name.upper()]
        for name in AgentSettings.model_fields
        if environment.get(ENVIRONMENT_PREFIX + name.upper())
    }
    if "url" not in from_environment and environment.get("MODELYARD_URL"):
        from_environment["url"] = environment["MODELYARD_URL"]
    given = {name: value for name, value in flags.items() if value not in (None, [], ())}
    return AgentSettings(**(_read_file(settings_file(environment)) | from_environment | given))


def _read_file(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise SettingsUnreadable(f'"{file}" is no TOML: {failure}. Correct it.') from failure
    if "key" in values:
        raise SettingsUnreadable(
            f'"{file}" holds a key. Take it out and pair the machine (modelyard agent pair), or set'
            f" {ENVIRONMENT_PREFIX}KEY where only the agent can read it."
        )
    unknown = sorted(values.keys() - AgentSettings.model_fields.keys())
    if unknown:
        known = ", ".join(name for name in AgentSettings.model_fields if name != "key")
        raise SettingsUnreadable(f'"{file}" sets {", ".join(unknown)}, which is no setting. There are: {known}.')
    return values
