"""From settings and profiles to a registry that knows who calls and for which team."""

import asyncio
from uuid import UUID

from modelyard.client.address import checked_url
from modelyard.client.bearer import Bearer, Key, Session
from modelyard.client.profile import Profile, ProfileFile
from modelyard.client.registry import Registry
from modelyard.client.settings import ClientSettings
from modelyard.transfer.failures import TransferFailed
from modelyard.wire.accounts import Logout, OwnTeam
from modelyard.wire.problems import NotAMember, Problem, Unauthenticated

# Long enough for a registry to be restarted under a running push or pull.
LONG_PATIENCE_SECONDS = 60.0
SHORT_PATIENCE_SECONDS = 4.0


def saved_profile(settings: ClientSettings, profiles: ProfileFile) -> Profile | None:
    """The profile that the settings mean, if they do not carry a key of their own."""
    return None if settings.token else profiles.find(wanted_url(settings))


def wanted_url(settings: ClientSettings) -> str | None:
    """The registry that is asked for by name; None leaves it to the profile file.

    Raises:
        AddressRefused: it is no address.
    """
    return None if settings.url is None else checked_url(settings.url)


async def connected(
    settings: ClientSettings, profiles: ProfileFile, *, patience_seconds: float = SHORT_PATIENCE_SECONDS
) -> Registry:
    """The registry that the settings or the current profile mean, not yet opened.

    Raises:
        Unauthenticated: neither has a token for it.
        NotAMember: the team is given by a name that none of the user's teams has.
    """
    saved = await asyncio.to_thread(profiles.find, wanted_url(settings))
    url = wanted_url(settings) or (None if saved is None else saved.url)
    if url is None:
        raise Unauthenticated("You are not signed in to any registry.")
    bearer = _bearer(settings, profiles, saved)
    if bearer is None:
        raise Unauthenticated(f"You are not signed in to {url}.")
    # A key from the environment has nothing to do with the team of a profile.
    profile_team = None if saved is None or settings.token else saved.team_id
    team = str(profile_team) if settings.team is None and profile_team else settings.team
    if team is not None and not _is_id(team):
        team = str((await _team_named(Registry(url, bearer), team)).id)
    return Registry(url, bearer, team, patience_seconds=patience_seconds)


async def sign_out(saved: Profile, *, everywhere: bool = False) -> bool:
    """End the session, or the device's key, of a profile; whether the registry knows that it is over."""
    try:
        async with Registry(saved.url, saved.token) as registry:
            if saved.refresh_token is not None:
                await registry.log_out(Logout(refresh_token=saved.refresh_token, everywhere=everywhere))
            elif saved.token.startswith("dk-"):
                await registry.revoke_device()
    except Unauthenticated:
        return True
    except (Problem, TransferFailed):
        return False
    return True


def _bearer(settings: ClientSettings, profiles: ProfileFile, saved: Profile | None) -> Bearer | None:
    if settings.token:
        return Key(settings.token)
    if saved is None:
        return None
    return Key(saved.token) if saved.refresh_token is None else Session(profiles, saved)


async def _team_named(registry: Registry, name: str) -> OwnTeam:
    async with registry:
        return team_in((await registry.me()).team_list, name)


def team_in(teams: list[OwnTeam], name: str) -> OwnTeam:
    """The one team that ``name``, an id or a display name, means.

    Raises:
        NotAMember: none or several.
    """
    found = [team for team in teams if str(team.id) == name or team.display_name.casefold() == name.casefold()]
    if len(found) != 1:
        names = ", ".join(f"'{team.display_name}' ({team.id})" for team in teams)
        raise NotAMember(f"'{name}' is not one of your teams: {names or 'you are in none'}.")
    return found[0]


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
