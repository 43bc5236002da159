"""API schemas of tokens that a team sends to sources."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from modelyard.wire.schemas import EXAMPLE_TIME, Schema
from modelyard.wire.versions import Creator

MAX_SOURCE_TOKENS = 100
EXAMPLE_HOST = "huggingface.co"
# What a header can have.
TokenText = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=2000, pattern=r"^[!-~]+$")]
SourceTokenState = Literal["used", "unreadable", "off"]


class NewSourceToken(Schema):
    """A token to store."""

    token: TokenText = Field(
        description="The token, sent as `Authorization: Bearer` to its host only. It is never returned.",
        examples=["hf_example"],
    )


class SourceToken(Schema):
    """A host for which a team has a token."""

    host: str = Field(
        description="The exact host to which it is sent, with its port if that is not 443.", examples=[EXAMPLE_HOST]
    )
    set_by: Creator = Field(description="Who set it.", examples=[{"kind": "user", "id": None, "display_name": "Ada"}])
    set_at: datetime = Field(description="When it was set.", examples=[EXAMPLE_TIME])
    token_state: SourceTokenState = Field(
        description="`used`; `unreadable`, if the operator's key has changed since, so that it has to be set again; or "
        "`off`, while the operator has set no key.",
        examples=["used"],
    )


class SourceTokenList(Schema):
    """The hosts for which a team has tokens."""

    source_token_list: list[SourceToken] = Field(description="The hosts, by name.", examples=[[]])
    is_enabled: bool = Field(
        description="Whether tokens can be set and are used: the operator has set a key that encrypts them.",
        examples=[True],
    )
