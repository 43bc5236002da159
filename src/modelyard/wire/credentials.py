"""Keys and device pairing."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StrictInt, StringConstraints

from modelyard.wire.shapes import EXAMPLE_ID, EXAMPLE_TIME, Name, PageMeta, Shape

Kind = Literal["integration", "agent", "device"]
Access = Literal["read", "write"]
KeyStatus = Literal["active", "expired", "revoked"]
PREFIXES: dict[Kind, str] = {"integration": "sk-", "device": "dk-", "agent": "ak-"}


class NewCredential(Shape):
    """A key to be."""

    kind: Literal["integration", "agent"] = Field(
        description="`sk-` for programs, `ak-` for machines.", examples=["integration"]
    )
    display_name: Name = Field(description="What it is for.", examples=["nightly training"])
    expires_in_days: Annotated[StrictInt, Field(ge=1, le=365)] | None = Field(
        default=None, description="1 to 365; absent for no end.", examples=[90]
    )
    access: Access | None = Field(default=None, description="Integration keys only; default write.", examples=["read"])


class CredentialMade(Shape):
    """A new key; ``raw_key`` is shown this once."""

    id: UUID = Field(description="The key's id.", examples=[EXAMPLE_ID])
    kind: Kind = Field(description="What it is.", examples=["integration"])
    key_prefix: str = Field(description="Its first 11 characters, to recognise it.", examples=["sk-J3kPq0aZ"])
    raw_key: str = Field(description="The key itself, shown once.", examples=["sk-J3kPq0aZ…"])


class Credential(Shape):
    """A key as listed."""

    id: UUID = Field(description="The key's id.", examples=[EXAMPLE_ID])
    kind: Kind = Field(description="integration, agent or device.", examples=["integration"])
    display_name: str = Field(description="What it is for.", examples=["nightly training"])
    key_prefix: str = Field(description="Its first 11 characters.", examples=["sk-J3kPq0aZ"])
    user_id: UUID | None = Field(description="Who made it, or for whom a device acts.", examples=[EXAMPLE_ID])
    access: Access = Field(description="What it may do.", examples=["write"])
    key_status: KeyStatus = Field(description="active, expired or revoked.", examples=["active"])
    created_at: datetime = Field(description="When it was made.", examples=[EXAMPLE_TIME])
    last_used_at: datetime | None = Field(description="When it was last seen, to the minute.", examples=[EXAMPLE_TIME])
    expires_at: datetime | None = Field(description="When it ends; null for never.", examples=[None])


class CredentialList(Shape):
    """A page of keys."""

    credentials: list[Credential] = Field(description="The keys, newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[{"per_page": 20}])


class PairingStarted(Shape):
    """What a device shows while it waits for a person."""

    device_code: str = Field(description="The device's secret, for polling.", examples=["pc-Zk4…"])
    user_code: str = Field(description="What the person types.", examples=["AB7K-PNQ3"])
    verification_uri: str = Field(description="Where the person types it.", examples=["http://registry.example/pair"])
    expires_in: int = Field(default=300, description="Seconds until the codes end.", examples=[300])
    interval: int = Field(default=2, description="Seconds between two polls.", examples=[2])


class PairingPoll(Shape):
    """A device asking whether it was confirmed."""

    device_code: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1024)] = Field(
        description="The code of the start.", examples=["pc-Zk4…"]
    )


class PairingAnswer(Shape):
    """Pending, or approved with both keys, once."""

    status: Literal["pending", "approved"] = Field(description="pending or approved.", examples=["approved"])
    raw_key: str | None = Field(default=None, description="The `dk-` key, once.", examples=["dk-J3k…"])
    agent_key: str | None = Field(
        default=None, description="The `ak-` key of the machine's agent, once.", examples=["ak-9Qd…"]
    )


class PairingConfirmation(Shape):
    """A person letting a device in."""

    user_code: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=32)] = Field(
        description="The code on the device's screen; case and dashes do not matter.", examples=["AB7K-PNQ3"]
    )
    device_name: Name | None = Field(default=None, description="A name for the device.", examples=["render-03"])
