"""Logins, tokens, the current user."""

from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from modelyard.wire.shapes import EMAIL_PATTERN, EXAMPLE_ID, Name, Shape
from modelyard.wire.teams import Role

EmailAddress = Annotated[str, StringConstraints(strict=True, min_length=3, max_length=254, pattern=EMAIL_PATTERN)]
NewPassword = Annotated[str, StringConstraints(strict=True, min_length=8, max_length=128)]
AnyPassword = Annotated[str, StringConstraints(strict=True, max_length=1024)]
OpaqueToken = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1024)]

EXAMPLE_EMAIL = "ada@studio.example"
EXAMPLE_PASSWORD = "a long sentence is best"  # noqa: S105 - shown in the OpenAPI page, opens nothing


class Login(Shape):
    """Who wants in."""

    email_address: Annotated[str, StringConstraints(strict=True, max_length=254)] = Field(
        description="The account's address; case does not matter.", examples=[EXAMPLE_EMAIL]
    )
    user_password: AnyPassword = Field(description="Its password.", examples=[EXAMPLE_PASSWORD])


class Refresh(Shape):
    """A refresh token to turn into a fresh pair; with ``X-Session: cookie`` it comes in the cookie instead."""

    refresh_token: OpaqueToken | None = Field(
        default=None, description="The newest refresh token; left out with `X-Session: cookie`.", examples=["mr-J3k…"]
    )


class Logout(Refresh):
    """Which session ends."""

    everywhere: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="End every session of this user.", examples=[False]
    )


class Tokens(Shape):
    """A signed-in session."""

    access_token: str = Field(description="A JWT for `Authorization: Bearer`.", examples=["eyJhbGciOiJIUzI1NiJ9…"])
    refresh_token: str | None = Field(
        description="Good once, for the next pair; null with `X-Session: cookie`.", examples=["mr-J3k…"]
    )
    expires_in: int = Field(default=3600, description="Seconds that the access token lives.", examples=[3600])


class PasswordChange(Shape):
    """A new password; every other session ends."""

    current_password: AnyPassword = Field(description="The password until now.", examples=[EXAMPLE_PASSWORD])
    new_password: NewPassword = Field(description="8 to 128 characters.", examples=["an even longer sentence"])


class PasswordReset(Shape):
    """A new password by the operator's one-time link."""

    reset_token: OpaqueToken = Field(description="The token of `modelyard reset-password`.", examples=["rs-9Qd…"])
    new_password: NewPassword = Field(description="8 to 128 characters.", examples=["an even longer sentence"])


class OwnTeam(Shape):
    """A team that the user belongs to."""

    id: UUID = Field(description="The team's id, for `X-Team-ID`.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="The team's name.", examples=["Studio"])
    member_role: Role = Field(description="The user's role in it.", examples=["owner"])


class Me(Shape):
    """The signed-in user, or the one for whom a device acts."""

    id: UUID = Field(description="The user's id.", examples=[EXAMPLE_ID])
    first_name: Name = Field(description="First name.", examples=["Ada"])
    last_name: Name = Field(description="Last name.", examples=["Lovelace"])
    display_name: str = Field(description="Both names.", examples=["Ada Lovelace"])
    email_address: str = Field(description="The account's address.", examples=[EXAMPLE_EMAIL])
    team_list: list[OwnTeam] = Field(description="The user's teams.", examples=[[]])
    feature_flags: dict[str, bool] = Field(default_factory=dict, description="Neutral: we have none.", examples=[{}])
