import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.client.api.auth import Session, build_session_profile
from modelyard.client.api.registry import RegistryApi
from modelyard.client.profile import Profile, ProfileFile
from modelyard.client.settings import ClientSettings
from modelyard.wire.accounts import Login, Logout
from modelyard.wire.problems import SessionEnded, Unauthenticated
from tests.client.server_process import EMAIL, PASSWORD, Server

pytestmark = pytest.mark.slow

LONG_AGO = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
def profiles(settings: ClientSettings) -> ProfileFile:
    return ProfileFile(settings.profile_file, print)


@pytest.fixture
async def signed_in(server: Server, profiles: ProfileFile) -> Profile:
    async with RegistryApi(server.url) as registry:
        tokens = await registry.log_in(Login(email_address=EMAIL, user_password=PASSWORD))
    profile = build_session_profile(Profile(url=server.url, token=""), tokens)
    await asyncio.to_thread(profiles.save, profile)
    return profile


async def save_as_expired(profiles: ProfileFile, profile: Profile) -> Profile:
    """Save the profile with an access token that has expired, and return it."""
    expired = profile.model_copy(update={"expires_at": LONG_AGO})
    await asyncio.to_thread(profiles.save, expired)
    return expired


async def test_session_token_about_to_expire_is_refreshed_and_stored(profiles: ProfileFile, signed_in: Profile) -> None:
    expired = await save_as_expired(profiles, signed_in)
    async with RegistryApi(expired.url, Session(profiles, expired)) as registry:
        await registry.me()
    stored = await asyncio.to_thread(profiles.find)
    assert stored is not None
    assert stored.refresh_token != expired.refresh_token
    assert stored.expires_at is not None
    assert stored.expires_at > datetime.now(UTC)


async def test_session_used_by_two_clients_refreshes_once(profiles: ProfileFile, signed_in: Profile) -> None:
    expired = await save_as_expired(profiles, signed_in)
    async with (
        RegistryApi(expired.url, Session(profiles, expired)) as first,
        RegistryApi(expired.url, Session(profiles, expired)) as second,
    ):
        await asyncio.gather(first.me(), second.me(), first.me(), second.me())
        # A refresh token that is used twice would have ended the session.
        stored = await asyncio.to_thread(profiles.find)
        assert stored is not None
        await save_as_expired(profiles, stored)
        await second.me()


async def test_session_access_token_refused_with_401_is_refreshed_and_call_succeeds(
    profiles: ProfileFile, signed_in: Profile
) -> None:
    broken = signed_in.model_copy(update={"token": signed_in.token[:-4] + "AAAA"})
    await asyncio.to_thread(profiles.save, broken)
    async with RegistryApi(broken.url, Session(profiles, broken)) as registry:
        assert (await registry.me()).email_address == EMAIL


async def test_session_refresh_after_logout_raises_session_ended(profiles: ProfileFile, signed_in: Profile) -> None:
    expired = await save_as_expired(profiles, signed_in)
    async with RegistryApi(expired.url, Session(profiles, expired)) as registry:
        await registry.log_out(Logout(refresh_token=expired.refresh_token))
        with pytest.raises(SessionEnded):
            await registry.me()


async def test_client_call_with_unknown_key_raises_unauthenticated(server: Server) -> None:
    async with RegistryApi(server.url, "sk-" + "a" * 49) as registry:
        with pytest.raises(Unauthenticated):
            await registry.list_models()
