"""Everything the operator can set, read once in ``main.py`` and passed down; the texts here are the reference page."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

ENVIRONMENT_PREFIX = "MODELYARD_"


def _split(text: Any) -> Any:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


Words = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Settings(BaseModel):
    """One registry's settings. Each is an environment variable ``MODELYARD_<NAME>``, some are flags as well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(
        default="127.0.0.1", description="Address to listen on. The default is reachable from this machine only."
    )
    port: int = Field(default=8400, ge=0, le=65535, description="Port to listen on; 0 takes a free one and prints it.")
    data_dir: Path = Field(default=Path("modelyard-data"), description="Folder for the database and the stored models.")
    database_url: str | None = Field(
        default=None,
        repr=False,
        pattern=r"^postgresql://.+$",
        description="A PostgreSQL database, such as `postgresql://modelyard:password@db.example/modelyard`. "
        "Without it, SQLite in the data folder.",
    )
    storage_url: str | None = Field(
        default=None,
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?$",
        description="A bucket, and a prefix in it, such as `s3://models/studio`. Without it, the data folder.",
    )
    storage_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+$",
        description="The address of an S3 service that is not AWS, such as `https://s3.studio.example:9000`.",
    )
    storage_public_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+$",
        description="Where clients reach the same S3 service, if that is another address than the server's.",
    )
    storage_region: str = Field(default="us-east-1", min_length=1, description="The bucket's region.")
    storage_path_style: bool | None = Field(
        default=None,
        description="Put the bucket into the path instead of the host name. The default is to do so where "
        "`MODELYARD_STORAGE_ENDPOINT` is set.",
    )
    storage_access_key: str | None = Field(
        default=None,
        description="The S3 access key. Without it, the usual AWS variables, profiles and machine roles are tried.",
    )
    storage_secret_key: str | None = Field(default=None, repr=False, description="The S3 secret key.")
    verification_workers: int = Field(
        default=2,
        ge=0,
        le=64,
        description="How many uploads this process reads at once to verify them, of one team one less, so that others "
        "need not wait; 0 leaves that to other processes.",
    )
    scrub_rate: int = Field(
        default=20,
        ge=0,
        description="Megabytes a second at which verified models are read again to find bytes that rotted; 0 never.",
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+$",
        description="The address that clients see, such as `https://models.example`. Without it, links use the "
        "request's Host, if that is an IP address, localhost or this machine's name.",
    )
    trusted_proxies: Words = Field(
        default=(), description="Comma-separated addresses whose `X-Forwarded-*` headers are believed."
    )
    cors_origins: Words = Field(default=(), description="Comma-separated origins whose pages may call this registry.")
    tls_cert: Path | None = Field(default=None, description="Certificate chain (PEM); serves https.")
    tls_key: Path | None = Field(default=None, description="The certificate's private key (PEM).")
    owner_email: str | None = Field(
        default=None, description="First start only: the owner's address; made up and printed once if absent."
    )
    owner_password: str | None = Field(
        default=None,
        repr=False,
        min_length=8,
        max_length=128,
        description="First start only: the owner's password; made up and printed once if absent.",
    )
    team_name: str = Field(
        default="Studio", min_length=1, max_length=100, description="First start only: the name of the first team."
    )
    single_put_limit: int = Field(
        default=500_000_000, ge=0, le=5_000_000_000, description="Files above this many bytes need a multipart upload."
    )
    part_size: int = Field(
        default=104_857_600,
        ge=5_242_880,
        description="Bytes of a part; grows for files that would have more than 10,000 parts.",
    )
    upload_days: int = Field(default=7, ge=1, description="Days that an unfinished upload lives after its last part.")
    trash_days: int = Field(default=7, ge=0, description="Days in which a deleted model or team can be restored.")
    quota_bytes: int | None = Field(
        default=None, ge=0, description="How many bytes a team may store, unless its own quota says otherwise."
    )
    open_uploads: int = Field(default=1000, ge=1, description="How many unfinished uploads a team may have at once.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="How much is logged.")
    log_format: Literal["json", "text"] = Field(default="json", description="One JSON object a line, or plain text.")


def read_settings(environment: Mapping[str, str] = os.environ, **flags: Any) -> Settings:
    """Settings from flags (those that are not None), then the environment, then defaults.

    Raises:
        pydantic.ValidationError: a value does not fit; the error names the setting.
    """
    named = {
        name: environment[ENVIRONMENT_PREFIX + name.upper()]
        for name in Settings.model_fields
        if environment.get(ENVIRONMENT_PREFIX + name.upper())
    }
    return Settings(**(named | {name: value for name, value in flags.items() if value is not None}))
