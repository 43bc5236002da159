"""Finding members, invitations and keys by what people call them."""

from collections.abc import Sequence
from typing import TypeVar

from modelyard.client.paging import every_page
from modelyard.client.registry import Registry
from modelyard.wire.credentials import Credential
from modelyard.wire.problems import CredentialNotFound, InvitationNotFound, MemberNotFound, Problem
from modelyard.wire.teams import Invitation, Member

Row = TypeVar("Row")


async def all_members(registry: Registry) -> list[Member]:
    return [member async for page in every_page(registry.list_members) for member in page.member_list]


async def all_invitations(registry: Registry) -> list[Invitation]:
    return [each async for page in every_page(registry.list_invitations) for each in page.invitation_list]


async def all_credentials(registry: Registry) -> list[Credential]:
    return [each async for page in every_page(registry.list_credentials) for each in page.credentials]


async def find_member(registry: Registry, name: str) -> Member:
    """The one member with this address, id or name.

    Raises:
        MemberNotFound: none or several.
    """
    found = [
        member
        for member in await all_members(registry)
        if _same(name, member.email_address, str(member.user_id), member.display_name)
    ]
    return _only(found, MemberNotFound(f"There is no single member '{name}'."))


async def find_invitation(registry: Registry, name: str) -> Invitation:
    """The open invitation with this id or for this address.

    Raises:
        InvitationNotFound: there is none.
    """
    found = [each for each in await all_invitations(registry) if _same(name, str(each.id), each.email_address)]
    return _only(found, InvitationNotFound(f"There is no open invitation '{name}'."))


async def find_credential(registry: Registry, name: str) -> Credential:
    """The one living key with this id, prefix or name; a raw key is found by its prefix and never sent.

    Raises:
        CredentialNotFound: none or several.
    """
    found = [
        each
        for each in await all_credentials(registry)
        if name.startswith(each.key_prefix)
        or (each.key_status == "active" and _same(name, str(each.id), each.display_name))
    ]
    return _only(found, CredentialNotFound(f"There is no single key '{name[:11]}'."))


def _same(name: str, *known: str) -> bool:
    return name.casefold() in {each.casefold() for each in known}


def _only(found: Sequence[Row], otherwise: Problem) -> Row:
    if len(found) != 1:
        raise otherwise
    return found[0]
