"""Build the registry client that settings and profiles select, with its token and team, and sign out of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from modelyard.client.api.auth import Key, Session, TokenSource
from modelyard.client.api.http import DEFAULT_RETRY_SECONDS
from modelyard.client.api.registry import RegistryApi
from modelyard.client.api.urls import normalize_url
from modelyard.client.profile import Profile, ProfileFile
from modelyard.client.settings import ClientSettings, parse_team_id
from modelyard.transfer.errors import TransferFailed
from modelyard.wire.problems import NotAMember, Problem, Unauthenticated

if TYPE_CHECKING:
    from modelyard.wire.accounts import OwnTeam


class KeyHasTeam(NotAMember):
    """A team is given by name with a key that acts in its own team only, and for no user."""


def get_saved_profile(settings: ClientSettings, profiles: ProfileFile) -> Profile | None:
    """Return the profile that the settings select; None if there is none, or the settings have a token. Blocking."""
    return None if settings.token else profiles.find(get_selected_url(settings))


def get_selected_url(settings: ClientSettings) -> str | None:
    """Return the normalized registry URL of the settings; None selects the current profile.

    Raises:
        AddressRefused: the URL is not a valid address of a registry.
    """
    return None if settings.url is None else normalize_url(settings.url)


async def build_registry(
    settings: ClientSettings,
    profiles: ProfileFile,
    *,
    retry_seconds: float = DEFAULT_RETRY_SECONDS,
    notify: Callable[[str], None] | None = None,
) -> RegistryApi:
    """Build the client of the registry that the settings or the current profile select; it is not entered yet.

    A team that is given by name is looked up at the registry. ``retry_seconds`` and ``notify`` are as in
    ``RegistryApi``.

    Raises:
        Unauthenticated: neither the settings nor a profile have a token for the registry.
        AddressRefused: see ``get_selected_url``.
        ProfileUnreadable: see ``ProfileFile.find``.
        Problem, TransferFailed: the registry refused the request for the teams, or did not answer.
        NotAMember: the team is given by a name that none or several of the user's teams have, or it is not the team of
            a device's key.
        KeyHasTeam: the team is given by name with a key that acts for no user.
    """
    saved = await asyncio.to_thread(profiles.find, get_selected_url(settings))
    url = get_selected_url(settings) or (None if saved is None else saved.url)
    if url is None:
        raise Unauthenticated("You are not signed in to any registry.")
    token_source = _build_token_source(settings, profiles, saved)
    if token_source is None:
        raise Unauthenticated(f"You are not signed in to {url}.")
    # The team of a profile does not apply to a token from the environment.
    profile_team = None if saved is None or settings.token else saved.team_id
    team = str(profile_team) if settings.team is None and profile_team else settings.team
    if team is not None:
        team_id = parse_team_id(team)
        if team_id is None and settings.has_team_key:
            raise KeyHasTeam("A key acts in its own team only, whose name it cannot look up.")
        # A device's key acts in its own team, whichever is selected: another one is refused.
        is_of_device = (settings.token or (saved.token if saved else "")).startswith("dk-")
        if team_id is None or (is_of_device and team_id != profile_team):
            team_id = (await _load_team(RegistryApi(url, token_source), team)).id
        team = str(team_id)
    return RegistryApi(url, token_source, team, retry_seconds=retry_seconds, notify=notify)


async def sign_out(saved: Profile, *, everywhere: bool = False) -> bool:
    """End a profile's session, or revoke its device key, at the registry, and return whether that worked.

    Returns True also if the registry did not accept the token any more, and False if it refused or was unreachable.
    ``everywhere`` ends the user's sessions on other machines too; it has no effect for a key. Keys other than device
    keys are not revoked, and True is returned without a request. The profile file is not changed.
    """
    from modelyard.wire.accounts import Logout

    try:
        async with RegistryApi(saved.url, saved.token) as registry:
            if saved.refresh_token is not None:
                await registry.log_out(Logout(refresh_token=saved.refresh_token, everywhere=everywhere))
            elif saved.token.startswith("dk-"):
                await registry.revoke_device()
    except Unauthenticated:
        return True
    except (Problem, TransferFailed):
        return False
    return True


def _build_token_source(settings: ClientSettings, profiles: ProfileFile, saved: Profile | None) -> TokenSource | None:
    """Return the source of the settings' token, else of the profile's key or session; None without either."""
    if settings.token:
        return Key(settings.token)
    if saved is None:
        return None
    return Key(saved.token) if saved.refresh_token is None else Session(profiles, saved)


async def _load_team(registry: RegistryApi, name: str) -> OwnTeam:
    """Enter and leave the registry client, and return the caller's team, see ``find_team``."""
    async with registry:
        return find_team((await registry.me()).team_list, name)


def find_team(teams: list[OwnTeam], name: str) -> OwnTeam:
    """Return the team with this id, start of the id or display name, ignoring case; see ``references.matching``.

    Raises:
        NotAMember: no team matches, or several do.
    """
    from modelyard.client.references.matching import ReferenceKind, match_reference

    kind: ReferenceKind[OwnTeam] = ReferenceKind(
        name="team",
        get_id=lambda team: team.id,
        has_name=lambda team, text: team.display_name.casefold() == text.casefold(),
        show=lambda team: team.display_name,
    )
    matches = match_reference(kind, name, teams)
    if len(matches) != 1:
        names = ", ".join(f"'{team.display_name}' ({team.id})" for team in matches or teams)
        reason = "matches several of your teams; use an id" if matches else "is not one of your teams"
        raise NotAMember(f"'{name}' {reason}: {names or 'you are in none'}.")
    return matches[0]
