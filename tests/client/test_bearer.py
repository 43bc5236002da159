import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.client.bearer import Session, with_tokens
from modelyard.client.profile import Profile, ProfileFile
from modelyard.client.registry import Registry
from modelyard.client.settings import ClientSettings
from modelyard.wire.accounts import Login, Logout
from modelyard.wire.problems import SessionEnded, Unauthenticated
from tests.client.serving import EMAIL, PASSWORD, Server

LONG_AGO = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
def profiles(settings: ClientSettings) -> ProfileFile:
    return ProfileFile(settings.profile_file, print)


@pytest.fixture
async def signed_in(server: Server, profiles: ProfileFile) -> Profile:
    async with Registry(server.url) as registry:
        tokens = await registry.log_in(Login(email_address=EMAIL, user_password=PASSWORD))
    profile = with_tokens(Profile(url=server.url, token=""), tokens)
    await asyncio.to_thread(profiles.save, profile)
    return profile


async def aged(profiles: ProfileFile, profile: Profile) -> Profile:
    old = profile.model_copy(update={"expires_at": LONG_AGO})
    await asyncio.to_thread(profiles.save, old)
    return old


async def test_a_session_that_ends_soon_renews_itself_and_keeps_the_new_pair(
    profiles: ProfileFile, signed_in: Profile
) -> None:
    old = await aged(profiles, signed_in)
    async with Registry(old.url, Session(profiles, old)) as registry:
        await registry.me()
    kept = await asyncio.to_thread(profiles.find)
    assert kept is not None
    assert kept.refresh_token != old.refresh_token
    assert kept.expires_at is not None
    assert kept.expires_at > datetime.now(UTC)


async def test_two_programs_spend_one_refresh_token_once(profiles: ProfileFile, signed_in: Profile) -> None:
    old = await aged(profiles, signed_in)
    async with (
        Registry(old.url, Session(profiles, old)) as one,
        Registry(old.url, Session(profiles, old)) as other,
    ):
        await asyncio.gather(one.me(), other.me(), one.me(), other.me())
        # The family lives on: a token spent twice would have ended it.
        kept = await asyncio.to_thread(profiles.find)
        assert kept is not None
        await aged(profiles, kept)
        await other.me()


async def test_a_refused_access_token_is_renewed_once(profiles: ProfileFile, signed_in: Profile) -> None:
    broken = signed_in.model_copy(update={"token": signed_in.token[:-4] + "AAAA"})
    await asyncio.to_thread(profiles.save, broken)
    async with Registry(broken.url, Session(profiles, broken)) as registry:
        assert (await registry.me()).email_address == EMAIL


async def test_an_ended_session_says_so(profiles: ProfileFile, signed_in: Profile) -> None:
    old = await aged(profiles, signed_in)
    async with Registry(old.url, Session(profiles, old)) as registry:
        await registry.log_out(Logout(refresh_token=old.refresh_token))
        with pytest.raises(SessionEnded):
            await registry.me()


async def test_a_key_that_is_refused_is_refused(server: Server) -> None:
    async with Registry(server.url, "sk-" + "a" * 49) as registry:
        with pytest.raises(Unauthenticated):
            await registry.list_models()
