"""The settings of a machine's agent, read once at startup. Their descriptions become the reference page.

Precedence: flags, environment variables (``MODELYARD_AGENT_<NAME>``), the file ``agent.toml`` in the configuration
folder, defaults.
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

from modelyard.client.api.urls import normalize_url
from modelyard.client.settings import APPLICATION
from modelyard.sync.apply.transfer_window import TransferWindow, parse_window
from modelyard.wire.agents.values import AGENT_ID_PATTERN, AgentId
from modelyard.wire.models import Labels
from modelyard.wire.search.sizes import parse_size

ENVIRONMENT_PREFIX = "MODELYARD_AGENT_"
FILE_NAME = "agent.toml"
# Where ComfyUI listens by default.
DEFAULT_COMFYUI_URL = "http://127.0.0.1:8188"


class SettingsUnreadable(ValueError):
    """The settings file is not valid TOML, or contains a key or an unknown setting."""


def _split_commas(text: Any) -> Any:
    """Split a text into its comma-separated parts, stripped and without empty ones; return other values unchanged."""
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


def _parse_size(text: Any) -> Any:
    """Parse a size such as ``20MB`` into bytes, see ``parse_size``; return values that are not text unchanged."""
    return parse_size(text) if isinstance(text, str) else text


def _to_absolute(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Make paths absolute and expand ``~``; symbolic links stay."""
    return tuple(path.expanduser().absolute() for path in paths)


def _normalize_window(text: str) -> str:
    """Validate hours and return them in their normal form, such as ``22:00-07:00``."""
    return str(parse_window(text))


Size = Annotated[int, BeforeValidator(_parse_size), Field(ge=0)]
Folders = Annotated[tuple[Path, ...], BeforeValidator(_split_commas), AfterValidator(_to_absolute)]
Urls = Annotated[tuple[Annotated[str, AfterValidator(normalize_url)], ...], BeforeValidator(_split_commas)]
Hours = Annotated[str, AfterValidator(_normalize_window)]


class AgentSettings(BaseModel):
    """The settings of one agent."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    url: Annotated[str, AfterValidator(normalize_url)] | None = Field(
        default=None, description="The registry's address. Default: the registry that this machine was paired with."
    )
    key: str | None = Field(
        default=None,
        repr=False,
        pattern=r"^ak-\S+$",
        description="The machine's key (`ak-`); in the environment only. Default: the key from pairing.",
    )
    agent_id: AgentId = Field(
        default_factory=lambda: get_default_agent_id(),  # noqa: PLW0108 - the function is defined below
        description="The machine's name in the registry. Default: its host name.",
    )
    labels: Annotated[Labels, BeforeValidator(_split_commas)] = Field(
        default_factory=list,
        description="Comma-separated labels. A model that requires labels is placed only where all of them are set.",
    )
    comfyui: Folders = Field(
        default=(),
        description="Comma-separated folders of ComfyUI installations; several of them share one copy of a model.",
    )
    comfyui_url: Urls = Field(
        default=(),
        description="The addresses of these ComfyUIs, comma-separated and in the same order. Default: "
        f"`{DEFAULT_COMFYUI_URL}`, if the ComfyUI there has its models in one of the folders.",
    )
    models_dir: Folders = Field(
        default=(), description="Comma-separated models folders without a ComfyUI, with the same layout as in one."
    )
    parallel: int = Field(
        default=4, ge=1, le=32, description="Maximum number of concurrent requests of all downloads together."
    )
    rate_limit: Annotated[Size, Field(gt=0)] | None = Field(
        default=None, description="Maximum download rate in bytes per second, such as `20MB`. Default: no limit."
    )
    hours: Hours | None = Field(
        default=None, description="Download only in these hours of local time, such as `22:00-07:00`. Default: always."
    )
    disk_budget: Size | None = Field(
        default=None,
        description="Maximum total size of the placed models, such as `500GB`, without their pictures. "
        "Default: no limit.",
    )
    keep_free: Size = Field(default=5_000_000_000, description="Bytes to leave free on each disk, such as `50GB`.")
    hard_links: bool = Field(
        default=False,
        description="Where a file system has no reflinks (ext4), make files with the same content hard links of one "
        "file instead of copies, so that several ComfyUIs need the disk space once. A program that overwrites one of "
        "them in place, as a resumed training does, then changes the model under all its names, even while "
        "ComfyUI reads it.",
    )
    write_previews: bool = Field(
        default=False,
        description="Write the picture of each model beside it, as `<name>.preview.png`, at most 512 pixels wide, if "
        "no picture of yours is there. ComfyUI and LoRA managers show it.",
    )
    report_use: bool = Field(
        default=True,
        description="Count which models ComfyUI uses, from its history and queue, and report their ids with the time "
        "of the last use. Prompts never leave the machine. `off`: nothing is read or reported.",
    )
    local_api: bool = Field(
        default=True,
        description="Serve the extension in ComfyUI on a socket that only the user of the agent can open; `off`: not.",
    )
    scrub_days: int = Field(
        default=30,
        ge=0,
        le=3650,
        description="Re-read each model after this many days, while the agent is idle, to detect disk corruption; "
        "0: never.",
    )
    purge_on_revoke: bool = Field(
        default=False,
        description="If the registry has revoked this machine's key, remove every unchanged file that it placed.",
    )
    log_level: Annotated[str, Field(pattern=r"^(debug|info|warning|error)$")] = Field(
        default="info", description="Minimum level of log messages: debug, info, warning or error."
    )

    @cached_property
    def window(self) -> TransferWindow | None:
        """The parsed ``hours``; None if downloads may always run."""
        return None if self.hours is None else parse_window(self.hours)

    def find_disk_budget(self, of_team: int | None) -> int | None:
        """Return the smaller of this machine's disk budget and the team's; None without any."""
        return min((budget for budget in (self.disk_budget, of_team) if budget is not None), default=None)


def get_default_agent_id() -> str:
    """Return this machine's host name, restricted to the characters and length of an agent id, or else "machine"."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()).strip("-")[:64]
    return name if re.fullmatch(AGENT_ID_PATTERN, name) else "machine"


def get_settings_path(environment: Mapping[str, str]) -> Path:
    """Return the file that ``MODELYARD_AGENT_CONFIG`` in ``environment`` names, or else the default.

    The default is in the user's configuration folder, which the process's own environment decides. The file need not
    exist.
    """
    named = environment.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    return Path(named) if named else platformdirs.user_config_path(APPLICATION) / FILE_NAME


def read_settings(environment: Mapping[str, str], **flags: Any) -> AgentSettings:
    """Return the settings from flags, environment variables, settings file and defaults, in this order of precedence.

    Flags that are None or an empty list, and empty variables, are ignored. ``MODELYARD_URL`` is used if
    ``MODELYARD_AGENT_URL`` is not set. The file is that of ``get_settings_path``, and need not exist.

    Raises:
        OSError: the settings file cannot be read.
        SettingsUnreadable: the settings file is not valid TOML, or contains a key or an unknown setting.
        pydantic.ValidationError: a value is invalid; the error names the setting.
    """
    from_environment = {
        name: environment[ENVIRONMENT_PREFIX + name.upper()]
        for name in AgentSettings.model_fields
        if environment.get(ENVIRONMENT_PREFIX + name.upper())
    }
    if "url" not in from_environment and environment.get("MODELYARD_URL"):
        from_environment["url"] = environment["MODELYARD_URL"]
    given = {name: value for name, value in flags.items() if value not in (None, [], ())}
    return AgentSettings(**(_read_file(get_settings_path(environment)) | from_environment | given))


def _read_file(file: Path) -> dict[str, Any]:
    """Return the values of the settings file; empty if it does not exist.

    Raises:
        SettingsUnreadable: see ``read_settings``.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise SettingsUnreadable(f'"{file}" is not valid TOML: {failure}. Correct it.') from failure
    if "key" in values:
        raise SettingsUnreadable(
            f'"{file}" contains a key. Remove it and pair the machine (modelyard agent pair), or set'
            f" {ENVIRONMENT_PREFIX}KEY where only the agent can read it."
        )
    unknown = sorted(values.keys() - AgentSettings.model_fields.keys())
    if unknown:
        known = ", ".join(name for name in AgentSettings.model_fields if name != "key")
        raise SettingsUnreadable(
            f'"{file}" sets {", ".join(unknown)}, which is not a setting. The settings are: {known}.'
        )
    return values
