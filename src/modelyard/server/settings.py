"""The operator's settings, read once in ``main.py`` and passed down. Their descriptions are the reference page."""

import os
from collections.abc import Mapping
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from modelyard.wire.texts.web_addresses import parse_address

ENVIRONMENT_PREFIX = "MODELYARD_"


def _split_commas(text: Any) -> Any:
    """Return the non-empty parts of a comma-separated text, stripped; other values as they are."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


def _validate_address(text: str) -> str:
    """Return the text; raise ValueError if it is no address."""
    parse_address(text)
    return text


def _validate_listed_host(host: str) -> str:
    """Return the text; raise ValueError if it ends with a port that does not exist, or is no IPv6 address in brackets.

    The server's ``outbound.policy`` parses it, and refuses the same.
    """
    if host.startswith("["):
        IPv6Address(host[1:].partition("]")[0])
    port = host.rpartition("]")[2].rpartition(":")[2] if ":" in host.rpartition("]")[2] else "443"
    if int(port) not in range(1, 65536):
        raise ValueError(f"'{host}' has no port from 1 to 65535")
    return host


Address = Annotated[str, Field(pattern=r"^https?://[^\s/]+$"), AfterValidator(_validate_address)]
ProxyAddress = Annotated[
    str, Field(pattern=r"^http://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"), AfterValidator(_validate_address)
]
ListedHost = Annotated[
    str,
    StringConstraints(
        max_length=259,
        pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?)(:[0-9]{1,5})?$",
    ),
    AfterValidator(_validate_listed_host),
]
CommaSeparated = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]


class Settings(BaseModel):
    """The settings of one registry. Each is an environment variable ``MODELYARD_<NAME>``; some are also flags."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(
        default="127.0.0.1", description="Address to listen on. The default is reachable from this machine only."
    )
    port: int = Field(default=8400, ge=0, le=65535, description="Port to listen on; 0 takes a free one and prints it.")
    metrics_host: str = Field(
        default="127.0.0.1", description="Address on which a worker (`serve --no-http`) serves its metrics."
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port on which a worker (`serve --no-http`) serves `/metrics`, `/healthz` and `/readyz`; 0 takes a "
        "free one and prints it. Without it, a worker listens nowhere. A server has them on its own port.",
    )
    data_dir: Path = Field(default=Path("modelyard-data"), description="Folder for the database and the stored models.")
    data_dir_shared: bool = Field(
        default=False,
        description="Accept a data folder that its group may enter, such as a Kubernetes volume with `fsGroup`. Files "
        "in it stay the server's alone. Without it, the folder is closed to everybody but the server's user.",
    )
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
    storage_endpoint: Address | None = Field(
        default=None,
        description="The address of an S3 service that is not AWS, such as `https://s3.studio.example:9000`.",
    )
    storage_public_endpoint: Address | None = Field(
        default=None,
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
        description="How many uploads this process verifies at once; 0 leaves verification to other processes. Of "
        "several, one team never uses all, so that other teams need not wait. What is expensive to inspect runs in a "
        "process of its own, at most one for each worker and processor, with up to 512 MiB.",
    )
    verification_queue: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="How many files of one team, and of one person in all teams, may wait to be verified, and ten "
        "times as many of all; beyond, registration answers 503.",
    )
    scrub_rate: int = Field(
        default=20,
        ge=0,
        description="Megabytes a second at which verified models are re-read to detect corruption; 0 disables it.",
    )
    hash_rate: int = Field(
        default=50,
        ge=0,
        description="Megabytes a second at which verified models are read once to compute the hashes AutoV3 and CRC32, "
        "by which they can be found; 0 disables it.",
    )
    public_url: Address | None = Field(
        default=None,
        description="The address that clients see, such as `https://models.example`. Without it, links use the "
        "request's Host, if that is an IP address, localhost or this machine's name.",
    )
    trusted_proxies: CommaSeparated = Field(
        default=(), description="Comma-separated addresses of proxies whose `X-Forwarded-*` headers are trusted."
    )
    cors_origins: CommaSeparated = Field(
        default=(), description="Comma-separated origins whose pages may call this registry."
    )
    tls_cert: Path | None = Field(default=None, description="Certificate chain (PEM); serves https.")
    tls_key: Path | None = Field(default=None, description="The certificate's private key (PEM).")
    owner_email: str | None = Field(
        default=None, description="First start only: the owner's address. Default: `owner@modelyard.local`."
    )
    owner_password: str | None = Field(
        default=None,
        repr=False,
        min_length=8,
        max_length=128,
        description="First start only: the owner's password, not easily guessed. "
        "Without it, one is generated, and printed at each start until it is used.",
    )
    team_name: str = Field(default="Studio", description="First start only: the name of the first team.")
    single_put_limit: int = Field(
        default=500_000_000, ge=0, le=5_000_000_000, description="Files above this many bytes need a multipart upload."
    )
    part_size: int | None = Field(
        default=None,
        ge=5_242_880,
        description="Bytes of a part of an upload. Without it, a 64th of the file, at least 8 MiB and at most 16 MiB. "
        "Grows for files that would have more than 10,000 parts.",
    )
    upload_days: int = Field(
        default=7, ge=1, description="Days for which an unfinished upload is kept after its last part."
    )
    trash_days: int = Field(default=7, ge=0, description="Days in which a deleted model or team can be restored.")
    quota_bytes: int | None = Field(
        default=None, ge=0, description="How many bytes a team may store, unless its own quota says otherwise."
    )
    open_uploads: int = Field(default=1000, ge=1, description="How many unfinished uploads a team may have at once.")
    import_workers: int = Field(
        default=4,
        ge=0,
        le=16,
        description="How many imports this process downloads at once; 0 leaves them to other processes. Of several, "
        "the last free one is only for a person and team of which none runs, so that they need not wait. At most three "
        "come from one host at a time, two for one person or team.",
    )
    import_hosts: Annotated[tuple[ListedHost, ...], BeforeValidator(_split_commas)] = Field(
        default=(),
        description="Comma-separated hosts (`host` or `host:port`; without a port 443) that imports may also reach "
        "over http, on that port, and inside your network. Others are reached over https on port 443, and only if they "
        "are public.",
    )
    import_huggingface_url: Address = Field(
        default="https://huggingface.co",
        description="Hugging Face, or a mirror of it, for imports; imports may always reach a mirror.",
    )
    import_civitai_url: Address = Field(
        default="https://civitai.com",
        description="Civitai, or a mirror of it, for imports; imports may always reach a mirror.",
    )
    egress_proxy: ProxyAddress | None = Field(
        default=None,
        description="The HTTP proxy (`http://host:port`) for requests of imports, checks for newer versions and "
        "webhooks. The proxy resolves host names, so it has to refuse addresses inside your network.",
    )
    secrets_key: str | None = Field(
        default=None,
        repr=False,
        description="The key that encrypts secrets which the registry has to use itself, such as tokens of sources: 32 "
        "bytes in base64 (`openssl rand -base64 32`). Of several, separated by commas, the first encrypts and all "
        "decrypt. Without a key, no such secrets are stored.",
    )
    secrets_key_file: Path | None = Field(
        default=None,
        description="A file with that key instead, closed to other users (mode 0600), outside the data folder and its "
        "backups.",
    )
    webhook_hosts: Annotated[tuple[ListedHost, ...], BeforeValidator(_split_commas)] = Field(
        default=(),
        description="Comma-separated hosts (`host` or `host:port`; without a port 443) that webhooks may also reach "
        "over http, on that port, and inside your network. Others are reached over https on port 443, and only if they "
        "are public.",
    )
    max_machines: int = Field(
        default=500,
        ge=1,
        le=5_000,
        description="How many machines a team may have; beyond, the first heartbeat of another one answers 403.",
    )
    max_teams: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="How many teams a user may own; creating another one then answers 403.",
    )
    max_keys: int = Field(
        default=1_000,
        ge=1,
        le=10_000,
        description="How many working keys for programs and machines a team may have, apart from paired ones; creating "
        "another one then answers 403.",
    )
    max_invitations: int = Field(
        default=1_000,
        ge=1,
        le=10_000,
        description="How many open invitations a team may have; creating another one then answers 403.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="How much is logged.")
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="One JSON object a line, or plain text; `auto` is text on a terminal, else JSON."
    )


def read_settings(environment: Mapping[str, str] = os.environ, **flags: Any) -> Settings:
    """Read the settings from flags (those that are not None), then the environment, then defaults.

    Empty environment variables count as not set.

    Raises:
        pydantic.ValidationError: a value is not valid; the error names the setting.
    """
    named = {
        name: environment[ENVIRONMENT_PREFIX + name.upper()]
        for name in Settings.model_fields
        if environment.get(ENVIRONMENT_PREFIX + name.upper())
    }
    return Settings(**(named | {name: value for name, value in flags.items() if value is not None}))
