"""List and find members, invitations, keys and webhooks of the team, over all pages of the registry's lists."""

from collections.abc import Sequence
from typing import TypeVar

from modelyard.client.api.paging import list_pages
from modelyard.client.api.registry import RegistryApi
from modelyard.wire.accounts import AccountSession
from modelyard.wire.credentials import Credential
from modelyard.wire.problems import (
    CredentialNotFound,
    InvitationNotFound,
    MemberNotFound,
    Problem,
    SessionNotFound,
    WebhookNotFound,
)
from modelyard.wire.teams import Invitation, Member
from modelyard.wire.webhooks import Webhook

Row = TypeVar("Row")


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
    """Return the webhook with this id, name or address, ignoring case.

    Raises:
        WebhookNotFound: no webhook matches, or several do.
    """
    matches = [
        webhook
        for webhook in await list_all_webhooks(registry)
        if _equals_any(name, str(webhook.id), webhook.display_name, webhook.url)
    ]
    return _get_only(matches, WebhookNotFound(_explain("webhook", name, len(matches))))


async def list_all_sessions(registry: RegistryApi) -> list[AccountSession]:
    """Return all sessions of the signed-in user that have not ended, from all pages."""
    return [session async for page in list_pages(registry.list_sessions) for session in page.session_list]


async def find_session(registry: RegistryApi, name: str) -> AccountSession:
    """Return the signed-in user's session with this id.

    Raises:
        SessionNotFound: there is none.
    """
    matches = [session for session in await list_all_sessions(registry) if _equals_any(name, str(session.id))]
    return _get_only(matches, SessionNotFound(_explain("session", name, len(matches))))


async def find_member(registry: RegistryApi, name: str) -> Member:
    """Return the member with this e-mail address, user id or display name, ignoring case.

    Raises:
        MemberNotFound: no member matches, or several do.
    """
    matches = [
        member
        for member in await list_all_members(registry)
        if _equals_any(name, member.email_address, str(member.user_id), member.display_name)
    ]
    return _get_only(matches, MemberNotFound(_explain("member", name, len(matches))))


async def find_invitation(registry: RegistryApi, name: str) -> Invitation:
    """Return the open invitation with this id or for this e-mail address, ignoring case.

    Raises:
        InvitationNotFound: no open invitation matches, or several do.
    """
    matches = [
        invitation
        for invitation in await list_all_invitations(registry)
        if _equals_any(name, str(invitation.id), invitation.email_address)
    ]
    return _get_only(matches, InvitationNotFound(_explain("open invitation", name, len(matches))))


async def find_credential(registry: RegistryApi, name: str) -> Credential:
    """Return the key with this prefix, or the active or stopped key with this id or name, ignoring case.

    Case matters for the prefix, the first 11 characters of the key. ``name`` may be a whole raw key: it is
    compared on this machine and not sent, and messages have its prefix only.

    Raises:
        CredentialNotFound: no key matches, or several do.
    """
    matches = [
        key
        for key in await list_all_credentials(registry)
        if name.startswith(key.key_prefix)
        or (key.key_status in ("active", "stopped") and _equals_any(name, str(key.id), key.display_name))
    ]
    return _get_only(matches, CredentialNotFound(_explain("key", name[:11], len(matches))))


def _equals_any(name: str, *values: str) -> bool:
    """Return whether ``name`` equals one of the values, ignoring case."""
    return name.casefold() in {value.casefold() for value in values}


def _explain(kind: str, name: str, count: int) -> str:
    """Return a sentence that no object of this kind matches a name, or that ``count`` do."""
    return f"'{name}' matches {count} {kind}s. Use the id." if count else f"There is no {kind} '{name}'."


def _get_only(matches: Sequence[Row], otherwise: Problem) -> Row:
    """Return the only match; raise ``otherwise`` if there is none or more than one."""
    if len(matches) != 1:
        raise otherwise
    return matches[0]
