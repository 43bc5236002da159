"""API schemas of teams, members, invitations, roles and the audit log."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StringConstraints

from modelyard.wire.agent_requests.loaders import LoaderInput
from modelyard.wire.people.roles import Role
from modelyard.wire.schemas import (
    EXAMPLE_ID,
    EXAMPLE_PAGE,
    EXAMPLE_TIME,
    MAX_INT64,
    EmailAddress,
    Name,
    PageMeta,
    PartialUpdate,
    Schema,
)

AssignableRole = Literal[Role.VIEWER, Role.MEMBER, Role.ADMIN]
PicklePolicy = Literal["block", "scan", "trusted", "convert"]
Quota = Annotated[StrictInt, Field(ge=0, le=MAX_INT64)]
# Older versions of a model that are neither among its newest nor younger than this are removed.
DEFAULT_KEPT_VERSIONS, DEFAULT_KEPT_VERSION_DAYS = 5, 30
KeptVersions = Annotated[StrictInt, Field(ge=1, le=1_000)]
KeptVersionDays = Annotated[StrictInt, Field(ge=0, le=36_500)]


# Of a team's own table: custom nodes that no machine reports.
MAX_TEAM_LOADERS = 500


def _refuse_repeated(loaders: list[LoaderInput]) -> list[LoaderInput]:
    """Return the inputs; raise ValueError if one is there twice."""
    if len({(each.node_type, each.input) for each in loaders}) < len(loaders):
        raise ValueError("each input of a node may be there once")
    return loaders


TeamLoaders = Annotated[list[LoaderInput], Field(max_length=MAX_TEAM_LOADERS), AfterValidator(_refuse_repeated)]


class NewTeam(Schema):
    """A team to create."""

    display_name: Name = Field(description="The team's name, 1 to 100 characters.", examples=["Studio"])


class TeamUpdate(PartialUpdate):
    """Changes to a team; absent fields are unchanged, null resets a setting to its default."""

    display_name: Name = Field(default="", description="The team's name.", examples=["Studio North"])
    pickle_policy: PicklePolicy | None = Field(
        default=None,
        description="`block` refuses pickle formats (they can run code); `scan` accepts clean ones; `trusted` too, "
        "and accepts files that an admin has allowed by their hash; `convert` keeps them only to convert them to "
        "safetensors; null is `block`.",
        examples=["block"],
    )
    quota_bytes: Quota | None = Field(
        default=None, description="How many bytes the team may store; null for no limit.", examples=[2_000_000_000_000]
    )
    kept_versions: KeptVersions | None = Field(
        default=None,
        description=f"How many of the newest versions of each model are kept; null is {DEFAULT_KEPT_VERSIONS}.",
        examples=[5],
    )
    kept_version_days: KeptVersionDays | None = Field(
        default=None,
        description=f"For how many days every version is kept; null is {DEFAULT_KEPT_VERSION_DAYS}.",
        examples=[30],
    )
    machines_may_request: StrictBool | None = Field(
        default=None,
        description="Whether a machine may list the team's models and assign some to itself, as the extension in "
        "ComfyUI does; null is true.",
        examples=[True],
    )
    hub_may_import: StrictBool | None = Field(
        default=None,
        description="Whether a file that a client of the Hugging Face endpoint asks for is imported from there if the "
        "team does not have it; null is false.",
        examples=[False],
    )
    loader_list: TeamLoaders | None = Field(
        default=None,
        description="All inputs of custom nodes that name models, for checks of workflows, each once; at most "
        f"{MAX_TEAM_LOADERS}; null is none. Nodes that the registry knows by itself are refused.",
        examples=[[]],
    )
    expected_loader_list: TeamLoaders | None = Field(
        default=None,
        description="The inputs that the caller has read: 409 if the team has others; null is none.",
        examples=[[]],
    )


class Team(Schema):
    """A team with its settings and storage use."""

    id: UUID = Field(description="The team's id.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="Its name.", examples=["Studio"])
    pickle_policy: PicklePolicy = Field(description="How pickle formats are handled.", examples=["block"])
    quota_bytes: int | None = Field(description="How many bytes it may store; null for no limit.", examples=[None])
    kept_versions: int = Field(
        description="How many of the newest versions of each model are kept; older ones are removed once they are "
        "older than `kept_version_days`. The current, the pending and the newest verified version always stay.",
        examples=[5],
    )
    kept_version_days: int = Field(description="For how many days every version is kept.", examples=[30])
    machines_may_request: bool = Field(
        description="Whether a machine may list the team's models and assign some to itself, as the extension in "
        "ComfyUI does.",
        examples=[True],
    )
    hub_may_import: bool = Field(
        description="Whether a file that a client of the Hugging Face endpoint asks for is imported from there if the "
        "team does not have it.",
        examples=[False],
    )
    loader_list: list[LoaderInput] = Field(
        description="Inputs of custom nodes that name models, which the team has added for checks of workflows.",
        examples=[[]],
    )
    stored_bytes: int = Field(description="Stored bytes, without duplicates.", examples=[6_800_000_000])
    created_at: datetime = Field(description="When it was created.", examples=[EXAMPLE_TIME])


class Transfer(Schema):
    """A transfer of ownership."""

    new_owner_id: UUID = Field(description="The user id of the member who becomes the owner.", examples=[EXAMPLE_ID])


class Member(Schema):
    """A user in a team."""

    user_id: UUID = Field(description="The user's id.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="The user's name.", examples=["Ada Lovelace"])
    email_address: str = Field(description="The user's address.", examples=["ada@studio.example"])
    member_role: Role = Field(description="The role in this team.", examples=["member"])
    joined_at: datetime = Field(description="When the user joined the team.", examples=[EXAMPLE_TIME])


class MemberList(Schema):
    """A page of members."""

    member_list: list[Member] = Field(description="The members, oldest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class RoleChange(Schema):
    """A member's new role. To make a member the owner, transfer the team."""

    member_role: AssignableRole = Field(description="admin, member or viewer.", examples=["admin"])


class NewInvitation(Schema):
    """An invitation to create."""

    email_address: EmailAddress = Field(
        description="The address of the account, existing or new.", examples=["grace@studio.example"]
    )
    invitation_role: AssignableRole = Field(description="The role after accepting.", examples=["member"])


class CreatedInvitation(Schema):
    """A new invitation; the token is returned only this once."""

    id: UUID = Field(description="The invitation's id.", examples=[EXAMPLE_ID])
    invitation_token: str = Field(
        description="Give this, or a link with it, to the invited person.", examples=["in-7Yq…"]
    )
    public_url: str | None = Field(
        default=None,
        description="The address of the registry for such a link, `MODELYARD_PUBLIC_URL`; null if it is not set. Then "
        "the address of this request is the best guess, which others cannot reach if it is a loopback address.",
        examples=["https://models.example"],
    )


class Inviter(Schema):
    """The user who made an invitation."""

    id: UUID = Field(description="The user's id.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="The user's name.", examples=["Ada Lovelace"])


class Invitation(Schema):
    """An open invitation, without its token."""

    id: UUID = Field(description="The invitation's id.", examples=[EXAMPLE_ID])
    email_address: str = Field(description="The invited e-mail address.", examples=["grace@studio.example"])
    invitation_role: Role = Field(description="The role after accepting.", examples=["member"])
    invited_by: Inviter = Field(
        description="Who created it; it ends when this user is no longer an admin or owner of the team.",
        examples=[{"id": EXAMPLE_ID, "display_name": "Ada Lovelace"}],
    )
    created_at: datetime = Field(description="When it was created.", examples=[EXAMPLE_TIME])
    expires_at: datetime = Field(description="When it expires.", examples=[EXAMPLE_TIME])


class InvitationList(Schema):
    """A page of open invitations."""

    invitation_list: list[Invitation] = Field(description="Open invitations, newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class InvitationToken(Schema):
    """An invitation, identified by its token."""

    invitation_token: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1024)] = Field(
        description="The token of the invitation.", examples=["in-7Yq…"]
    )


class InvitationPreview(Schema):
    """The contents of an invitation for a caller who has its token."""

    team_id: UUID = Field(description="The team to join.", examples=[EXAMPLE_ID])
    team_name: str = Field(description="Its name.", examples=["Studio"])
    email_address: str = Field(description="The invited e-mail address.", examples=["grace@studio.example"])
    invitation_role: Role = Field(description="The role after accepting.", examples=["member"])
    expires_at: datetime = Field(description="When it expires.", examples=[EXAMPLE_TIME])
    has_account: bool = Field(description="Whether the address has an account to sign in to.", examples=[False])


class Acceptance(InvitationToken):
    """The acceptance of an invitation, by a signed-in user or with a new account."""

    first_name: Name | None = Field(default=None, description="For a new account.", examples=["Grace"])
    last_name: Name | None = Field(default=None, description="For a new account.", examples=["Hopper"])
    user_password: Annotated[str, StringConstraints(strict=True, min_length=8, max_length=128)] | None = Field(
        default=None,
        description="For a new account: 8 to 128 characters, not easily guessed.",
        examples=["a long sentence is best"],
    )


class AuditEvent(Schema):
    """An entry of the audit log."""

    id: UUID = Field(description="The event's id.", examples=[EXAMPLE_ID])
    created_at: datetime = Field(description="When it happened.", examples=[EXAMPLE_TIME])
    action: str = Field(description="What happened, as `<object>.<verb>`.", examples=["model.registered"])
    object_id: str | None = Field(description="The id of the affected object.", examples=[EXAMPLE_ID])
    actor_kind: str = Field(description="user, integration, device, agent or system.", examples=["user"])
    actor_id: str | None = Field(description="The user or key.", examples=[EXAMPLE_ID])
    actor_name: str = Field(description="Its name at that time.", examples=["Ada Lovelace"])
    facts: dict[str, object] = Field(description="What changed, without secrets.", examples=[{}])


class AuditEventList(Schema):
    """A page of the audit log."""

    audit_event_list: list[AuditEvent] = Field(description="Events, newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])
