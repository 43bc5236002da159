"""API schemas of sign-in, sessions, passwords and the current user."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from modelyard.wire.people.roles import Role
from modelyard.wire.schemas import EXAMPLE_ID, EXAMPLE_PAGE, EXAMPLE_TIME, Name, PageMeta, PartialUpdate, Schema

NewPassword = Annotated[str, StringConstraints(strict=True, min_length=8, max_length=128)]
AnyPassword = Annotated[str, StringConstraints(strict=True, max_length=1024)]
OpaqueToken = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1024)]

EXAMPLE_EMAIL = "ada@studio.example"
EXAMPLE_PASSWORD = "a long sentence is best"  # noqa: S105 - an example in the OpenAPI document, not a real password


class Login(Schema):
    """The e-mail address and password to sign in with."""

    email_address: Annotated[str, StringConstraints(strict=True, max_length=254)] = Field(
        description="The account's address; case does not matter.", examples=[EXAMPLE_EMAIL]
    )
    user_password: AnyPassword = Field(description="Its password.", examples=[EXAMPLE_PASSWORD])


class Refresh(Schema):
    """A refresh token to exchange for a new token pair; with ``X-Session: cookie`` it is sent in a cookie instead."""

    refresh_token: OpaqueToken | None = Field(
        default=None, description="The newest refresh token; omitted with `X-Session: cookie`.", examples=["mr-J3k…"]
    )


class Logout(Refresh):
    """The session to end."""

    everywhere: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="End every session of this user.", examples=[False]
    )


class Tokens(Schema):
    """The tokens of a signed-in session."""

    access_token: str = Field(description="A JWT for `Authorization: Bearer`.", examples=["eyJhbGciOiJIUzI1NiJ9…"])
    refresh_token: str | None = Field(
        description="Valid for one refresh; null with `X-Session: cookie`.", examples=["mr-J3k…"]
    )
    expires_in: int = Field(default=3600, description="Seconds until the access token expires.", examples=[3600])


class PasswordChange(Schema):
    """A password change; all other sessions of the user end."""

    current_password: AnyPassword = Field(description="The current password.", examples=[EXAMPLE_PASSWORD])
    new_password: NewPassword = Field(
        description="8 to 128 characters, not easily guessed.", examples=["an even longer sentence"]
    )


class PasswordReset(Schema):
    """A password reset with the one-time token that an operator created."""

    reset_token: OpaqueToken = Field(
        description="The token printed by `modelyard reset-password`.", examples=["rs-9Qd…"]
    )
    new_password: NewPassword = Field(
        description="8 to 128 characters, not easily guessed.", examples=["an even longer sentence"]
    )


class OwnTeam(Schema):
    """A team of the current user, with the user's role."""

    id: UUID = Field(description="The team's id, for `X-Team-ID`.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="The team's name.", examples=["Studio"])
    member_role: Role = Field(description="The user's role in it.", examples=["owner"])


class Me(Schema):
    """The signed-in user, or the user on whose behalf a device acts."""

    id: UUID = Field(description="The user's id.", examples=[EXAMPLE_ID])
    first_name: str = Field(description="First name.", examples=["Ada"])
    last_name: str = Field(description="Last name.", examples=["Lovelace"])
    display_name: str = Field(description="Both names.", examples=["Ada Lovelace"])
    email_address: str = Field(description="The account's address.", examples=[EXAMPLE_EMAIL])
    team_list: list[OwnTeam] = Field(description="The user's teams.", examples=[[]])
    feature_flags: dict[str, bool] = Field(
        default_factory=dict, description="Always empty; kept for compatibility with the source API.", examples=[{}]
    )


class ProfileUpdate(PartialUpdate):
    """Changes to the caller's own account; absent fields are unchanged."""

    first_name: Name = Field(default="", description="First name.", examples=["Ada"])
    last_name: Name = Field(default="", description="Last name.", examples=["Lovelace"])


class AccountSession(Schema):
    """A session of the current user that has not ended."""

    id: UUID = Field(description="The session's id.", examples=[EXAMPLE_ID])
    is_current: bool = Field(description="Whether this request belongs to it.", examples=[True])
    user_agent: str | None = Field(
        description="The `User-Agent` that signed in, at most 255 characters; null if it sent none.",
        examples=["Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"],
    )
    created_at: datetime = Field(description="When it was signed in.", examples=[EXAMPLE_TIME])
    last_used_at: datetime = Field(
        description="When it last got an access token: while it is used, at least every hour.", examples=[EXAMPLE_TIME]
    )
    expires_at: datetime = Field(description="When it ends unless it is used before.", examples=[EXAMPLE_TIME])


class AccountSessionList(Schema):
    """A page of the current user's sessions."""

    session_list: list[AccountSession] = Field(description="Sessions, newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])
