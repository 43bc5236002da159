"""API schemas of keys and device pairing."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StrictInt, StringConstraints

from modelyard.wire.schemas import EXAMPLE_ID, EXAMPLE_PAGE, EXAMPLE_TIME, Done, Name, PageMeta, Schema

Kind = Literal["integration", "agent", "device"]
Access = Literal["read", "write"]
KeyStatus = Literal["active", "expired", "revoked", "stopped"]
PREFIXES: dict[Kind, str] = {"integration": "sk-", "device": "dk-", "agent": "ak-"}


class NewCredential(Schema):
    """A key to create."""

    kind: Literal["integration", "agent"] = Field(
        description="`sk-` for programs, `ak-` for machines.", examples=["integration"]
    )
    display_name: Name = Field(description="What it is for.", examples=["nightly training"])
    expires_in_days: Annotated[StrictInt, Field(ge=1, le=365)] | None = Field(
        default=None, description="1 to 365; absent for no expiry.", examples=[90]
    )
    access: Access | None = Field(default=None, description="Integration keys only; default write.", examples=["read"])


class CreatedCredential(Schema):
    """A new key; ``raw_key`` is returned only this once."""

    id: UUID = Field(description="The key's id.", examples=[EXAMPLE_ID])
    kind: Kind = Field(description="What it is.", examples=["integration"])
    key_prefix: str = Field(description="Its first 11 characters, to identify it.", examples=["sk-J3kPq0aZ"])
    raw_key: str = Field(description="The key itself, returned only once.", examples=["sk-J3kPq0aZ…"])


class Rotation(Schema):
    """Options of a key rotation."""

    grace_hours: Annotated[StrictInt, Field(ge=0, le=168)] = Field(
        default=24, description="How many hours the old secret stays valid, 0 to 168.", examples=[24]
    )


class RotatedCredential(CreatedCredential):
    """A rotated key with its new secret; ``raw_key`` is returned only this once."""

    previous_key_until: datetime = Field(description="When the old secret expires.", examples=[EXAMPLE_TIME])


class Credential(Schema):
    """A key without its secret."""

    id: UUID = Field(description="The key's id.", examples=[EXAMPLE_ID])
    kind: Kind = Field(description="integration, agent or device.", examples=["integration"])
    display_name: str = Field(description="What it is for.", examples=["nightly training"])
    key_prefix: str = Field(description="Its first 11 characters.", examples=["sk-J3kPq0aZ"])
    user_id: UUID | None = Field(
        description="The user responsible for the key: its creator, the admin who took it over or rotated it last, "
        "or the user who paired the device or machine.",
        examples=[EXAMPLE_ID],
    )
    access: Access = Field(description="The access that it grants.", examples=["write"])
    key_status: KeyStatus = Field(
        description="active, expired, revoked, or stopped (the responsible user is no longer an admin or, for a key "
        "from pairing, no longer a member).",
        examples=["active"],
    )
    created_at: datetime = Field(description="When it was made.", examples=[EXAMPLE_TIME])
    last_used_at: datetime | None = Field(description="When it was last used, to the minute.", examples=[EXAMPLE_TIME])
    expires_at: datetime | None = Field(description="When it ends; null for never.", examples=[None])
    is_paired: bool = Field(
        default=False,
        description="Whether it came by pairing: such a key cannot be rotated, and ends with its user's membership.",
        examples=[False],
    )
    paired_with: UUID | None = Field(
        default=None,
        description="The device key that was created with this agent key; null for an agent key of its own.",
        examples=[None],
    )
    previous_key_until: datetime | None = Field(
        default=None,
        description="Until when the secret from before the last rotation is valid; null if it is not.",
        examples=[EXAMPLE_TIME],
    )


class CredentialList(Schema):
    """A page of keys."""

    credentials: list[Credential] = Field(description="The keys, newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class PairingStarted(Schema):
    """A started pairing: the codes that the device shows and polls with."""

    device_code: str = Field(description="The device's secret for polling.", examples=["pc-Zk4…"])
    user_code: str = Field(description="The code that the user enters.", examples=["AB7K-PNQ3"])
    verification_uri: str = Field(
        description="The page on which the user enters it.", examples=["http://registry.example/pair"]
    )
    expires_in: int = Field(default=300, description="Seconds until the codes expire.", examples=[300])
    interval: int = Field(default=2, description="Seconds between two polls.", examples=[2])


class PairingPoll(Schema):
    """A device's query whether its pairing was confirmed."""

    device_code: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1024)] = Field(
        description="The `device_code` of the started pairing.", examples=["pc-Zk4…"]
    )
    repeat: bool = Field(
        default=False,
        strict=True,
        description="Whether to return the keys again, for five minutes: an earlier response may have been lost.",
        examples=[False],
    )


class PairingState(Schema):
    """The state of a pairing; its keys are returned with the first `approved`, and again to polls with `repeat`."""

    # A pending pairing has no keys, not even null.
    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    status: Literal["pending", "approved"] = Field(description="pending or approved.", examples=["approved"])
    raw_key: str | None = Field(
        default=None, description="The device key (`dk-`); absent if the pairing is for an agent.", examples=["dk-J3k…"]
    )
    agent_key: str | None = Field(
        default=None,
        description="The machine's key (`ak-`).",
        examples=["ak-9Qd…"],
    )
    team_id: UUID | None = Field(default=None, description="The team of the keys.", examples=[EXAMPLE_ID])
    device_name: str | None = Field(
        default=None,
        description="The name that the user gave at the confirmation, or `Device` and half of the code.",
        examples=["render-03"],
    )


class PairingConfirmed(Done):
    """The response to the confirmation of a pairing."""

    address: str | None = Field(
        default=None, description="The address from which the machine asked for the code.", examples=["192.0.2.7"]
    )
    agent_id: str | None = Field(
        default=None,
        description="The name that a new machine will have, if its pairing is for an agent: the confirmed one, or "
        "else the one that it announced. One that has run before may keep its own.",
        examples=["render-03"],
    )
    is_name_in_use: bool = Field(
        default=False,
        description="Whether the team has a machine with this name already: perhaps another one, whose key ends once "
        "this one uses its name.",
        examples=[False],
    )


class PairingConfirmation(Schema):
    """A user's confirmation of a pairing."""

    user_code: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=32)] = Field(
        description="The code on the machine's screen; case and dashes do not matter.", examples=["AB7K-PNQ3"]
    )
    device_name: Name | None = Field(
        default=None,
        description="A name for the device. If its pairing is for an agent, the name of the machine: letters, digits "
        "and `._-` only, and not that of another person's machine. Until the keys were fetched, another confirmation "
        "changes it.",
        examples=["render-03"],
    )
