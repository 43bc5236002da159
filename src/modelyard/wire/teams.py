"""Teams, members, invitations, roles."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StrictInt, StringConstraints

from modelyard.wire.shapes import EMAIL_PATTERN, EXAMPLE_ID, EXAMPLE_TIME, MAX_INT64, Name, PageMeta, Shape


class Role(StrEnum):
    """What a member may do, from the least to the most."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


AssignableRole = Literal[Role.VIEWER, Role.MEMBER, Role.ADMIN]
PicklePolicy = Literal["block", "scan"]
Quota = Annotated[StrictInt, Field(ge=0, le=MAX_INT64)]


class NewTeam(Shape):
    """A team to be."""

    display_name: Name = Field(description="The team's name, 1 to 100 characters.", examples=["Studio"])


class TeamChange(Shape):
    """What to change; absent fields stay, null brings the two settings back to their defaults."""

    display_name: Name = Field(default="", description="The team's name.", examples=["Studio North"])
    pickle_policy: PicklePolicy | None = Field(
        default=None,
        description="`block` refuses pickle formats (they can run code); `scan` lets clean ones pass; null is `block`.",
        examples=["block"],
    )
    quota_bytes: Quota | None = Field(
        default=None, description="How many bytes the team may store; null for no limit.", examples=[2_000_000_000_000]
    )


class Team(Shape):
    """A team and what it holds."""

    id: UUID = Field(description="The team's id.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="Its name.", examples=["Studio"])
    pickle_policy: PicklePolicy = Field(description="What happens to pickle formats.", examples=["block"])
    quota_bytes: int | None = Field(description="How many bytes it may store; null for no limit.", examples=[None])
    stored_bytes: int = Field(description="How many bytes it stores, each once.", examples=[6_800_000_000])
    created_at: datetime = Field(description="When it was made.", examples=[EXAMPLE_TIME])


class Transfer(Shape):
    """Who owns the team from now on."""

    new_owner_id: UUID = Field(description="A member's user id.", examples=[EXAMPLE_ID])


class Member(Shape):
    """A user in a team."""

    user_id: UUID = Field(description="The user's id.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="The user's name.", examples=["Ada Lovelace"])
    email_address: str = Field(description="The user's address.", examples=["ada@studio.example"])
    member_role: Role = Field(description="The role in this team.", examples=["member"])
    joined_at: datetime = Field(description="Member since.", examples=[EXAMPLE_TIME])


class MemberList(Shape):
    """A page of members."""

    member_list: list[Member] = Field(description="The members, oldest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[{"per_page": 20}])


class RoleChange(Shape):
    """A member's new role; owner only by transfer."""

    member_role: AssignableRole = Field(description="admin, member or viewer.", examples=["admin"])


class NewInvitation(Shape):
    """Whom to invite."""

    email_address: Annotated[
        str,
        StringConstraints(strict=True, min_length=3, max_length=254, pattern=EMAIL_PATTERN),
    ] = Field(description="The address of the account, existing or new.", examples=["grace@studio.example"])
    invitation_role: AssignableRole = Field(description="The role after accepting.", examples=["member"])


class InvitationMade(Shape):
    """A new invitation; the token is shown once."""

    id: UUID = Field(description="The invitation's id.", examples=[EXAMPLE_ID])
    invitation_token: str = Field(
        description="Hand this, or a link with it, to the invited person.", examples=["in-7Yq…"]
    )


class Invitation(Shape):
    """An open invitation."""

    id: UUID = Field(description="The invitation's id.", examples=[EXAMPLE_ID])
    email_address: str = Field(description="Who is invited.", examples=["grace@studio.example"])
    invitation_role: Role = Field(description="The role after accepting.", examples=["member"])
    created_at: datetime = Field(description="When it was made.", examples=[EXAMPLE_TIME])
    expires_at: datetime = Field(description="When it ends.", examples=[EXAMPLE_TIME])


class InvitationList(Shape):
    """A page of open invitations."""

    invitation_list: list[Invitation] = Field(description="Open invitations, newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[{"per_page": 20}])


class InvitationToken(Shape):
    """An invitation, by what was handed over."""

    invitation_token: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1024)] = Field(
        description="The token that was handed over.", examples=["in-7Yq…"]
    )


class InvitationPreview(Shape):
    """What an invitation says, to whoever holds its token."""

    team_id: UUID = Field(description="The team to join.", examples=[EXAMPLE_ID])
    team_name: str = Field(description="Its name.", examples=["Studio"])
    email_address: str = Field(description="Who is invited.", examples=["grace@studio.example"])
    invitation_role: Role = Field(description="The role after accepting.", examples=["member"])
    expires_at: datetime = Field(description="When it ends.", examples=[EXAMPLE_TIME])
    has_account: bool = Field(description="Whether the address has an account to sign in to.", examples=[False])


class Acceptance(InvitationToken):
    """An invitation accepted, by a signed-in user or for a new account."""

    first_name: Name | None = Field(default=None, description="For a new account.", examples=["Grace"])
    last_name: Name | None = Field(default=None, description="For a new account.", examples=["Hopper"])
    user_password: Annotated[str, StringConstraints(strict=True, min_length=8, max_length=128)] | None = Field(
        default=None, description="For a new account: 8 to 128 characters.", examples=["a long sentence is best"]
    )


class AuditEvent(Shape):
    """Who did what to which object, when."""

    id: UUID = Field(description="The event's id.", examples=[EXAMPLE_ID])
    created_at: datetime = Field(description="When it happened.", examples=[EXAMPLE_TIME])
    action: str = Field(description="What happened, as `<object>.<verb>`.", examples=["model.registered"])
    object_id: str | None = Field(description="To which object.", examples=[EXAMPLE_ID])
    actor_kind: str = Field(description="user, integration, device, agent or system.", examples=["user"])
    actor_id: str | None = Field(description="The user or key.", examples=[EXAMPLE_ID])
    actor_name: str = Field(description="Its name at that time.", examples=["Ada Lovelace"])
    facts: dict[str, object] = Field(description="What changed, without secrets.", examples=[{}])


class AuditEventList(Shape):
    """A page of the audit trail."""

    audit_event_list: list[AuditEvent] = Field(description="Events, newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[{"per_page": 20}])
