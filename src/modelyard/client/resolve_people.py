"""List and find members, invitations, keys and webhooks of the team, over all pages of the registry's lists."""

from modelyard.client.api.paging import list_pages
from modelyard.client.api.registry import RegistryApi
from modelyard.client.references.matching import ReferenceKind, get_only_match
from modelyard.wire.accounts import AccountSession
from modelyard.wire.credentials import Credential
from modelyard.wire.problems import (
    CredentialNotFound,
    InvitationNotFound,
    MemberNotFound,
    SessionNotFound,
    WebhookNotFound,
)
from modelyard.wire.teams import Invitation, Member
from modelyard.wire.webhooks import Webhook

# Of a key, so much is no secret.
_PREFIX_LENGTH = 11


async def list_all_members(registry: RegistryApi) -> list[Member]:
    """Return all members of the team, from all pages."""
    return [member async for page in list_pages(registry.list_members) for member in page.member_list]


async def list_all_invitations(registry: RegistryApi) -> list[Invitation]:
    """Return all open invitations of the team, from all pages."""
    return [invitation async for page in list_pages(registry.list_invitations) for invitation in page.invitation_list]


async def list_all_credentials(registry: RegistryApi) -> list[Credential]:
    """Return all keys that the caller may see, expired and revoked ones included, without their secrets."""
    return [key async for page in list_pages(registry.list_credentials) for key in page.credentials]


async def list_all_webhooks(registry: RegistryApi) -> list[Webhook]:
    """Return all webhooks of the team, oldest first, from all pages."""
    return [webhook async for page in list_pages(registry.list_webhooks) for webhook in page.webhook_list]


async def find_webhook(registry: RegistryApi, name: str) -> Webhook:
    """Return the webhook with this id, start of the id, name or address, ignoring case; see ``references.matching``.

    Raises:
        WebhookNotFound: no webhook matches, or several do.
    """
    return get_only_match(_WEBHOOK, name, await list_all_webhooks(registry), WebhookNotFound)


async def list_all_sessions(registry: RegistryApi) -> list[AccountSession]:
    """Return all sessions of the signed-in user that have not ended, from all pages."""
    return [session async for page in list_pages(registry.list_sessions) for session in page.session_list]


async def find_session(registry: RegistryApi, name: str) -> AccountSession:
    """Return the signed-in user's session with this id or start of the id.

    Raises:
        SessionNotFound: there is none, or several match.
    """
    return get_only_match(_SESSION, name, await list_all_sessions(registry), SessionNotFound)


async def find_member(registry: RegistryApi, name: str) -> Member:
    """Return the member with this e-mail address, user id, start of that or display name, ignoring case.

    Raises:
        MemberNotFound: no member matches, or several do.
    """
    return get_only_match(_MEMBER, name, await list_all_members(registry), MemberNotFound)


async def find_invitation(registry: RegistryApi, name: str) -> Invitation:
    """Return the open invitation with this id or start of the id, or for this e-mail address, ignoring case.

    Raises:
        InvitationNotFound: no open invitation matches, or several do.
    """
    return get_only_match(_INVITATION, name, await list_all_invitations(registry), InvitationNotFound)


async def find_credential(registry: RegistryApi, name: str) -> Credential:
    """Return the key with this id, prefix or start of the id, or the active or stopped key with this name.

    Case matters only for the prefix, the first 11 characters of the key. ``name`` may be a whole raw key: it is
    compared on this machine and not sent. Messages have the first 11 characters of any text, since a key may be pasted
    with something before it.

    Raises:
        CredentialNotFound: no key matches, or several do.
    """
    text = name if len(name) <= _PREFIX_LENGTH else f"{name[:_PREFIX_LENGTH]}…"
    keys = await list_all_credentials(registry)
    return get_only_match(_KEY, name, keys, CredentialNotFound, text_in_messages=text)


def _equals_any(name: str, *values: str) -> bool:
    """Return whether ``name`` equals one of the values, ignoring case."""
    return name.casefold() in {value.casefold() for value in values}


def _is_usable(key: Credential) -> bool:
    """Return whether a key is neither revoked nor expired."""
    return key.key_status in ("active", "stopped")


_WEBHOOK = ReferenceKind[Webhook](
    name="webhook",
    get_id=lambda webhook: webhook.id,
    has_name=lambda webhook, text: _equals_any(text, webhook.display_name, webhook.url),
    show=lambda webhook: f"{webhook.display_name}, {webhook.url}",
)
_SESSION = ReferenceKind[AccountSession](
    name="session",
    get_id=lambda session: session.id,
    show=lambda session: session.user_agent or "unknown program",
)
_MEMBER = ReferenceKind[Member](
    name="member",
    get_id=lambda member: member.user_id,
    is_unique_value=lambda member, text: _equals_any(text, member.email_address),
    has_name=lambda member, text: _equals_any(text, member.display_name),
    show=lambda member: member.email_address,
)
_INVITATION = ReferenceKind[Invitation](
    name="open invitation",
    get_id=lambda invitation: invitation.id,
    is_unique_value=lambda invitation, text: _equals_any(text, invitation.email_address),
    show=lambda invitation: invitation.email_address,
)
_KEY = ReferenceKind[Credential](
    name="key",
    get_id=lambda key: key.id,
    is_unique_value=lambda key, text: text.startswith(key.key_prefix),
    has_name=lambda key, text: _is_usable(key) and _equals_any(text, key.display_name),
    show=lambda key: f"{key.key_prefix}…, {key.display_name}, of {key.created_at:%Y-%m-%d}",
)
