"""Requests to a bucket for download tickets: cached, limited in time, and never a reason to refuse a download."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.server.storage import stat_cache
from modelyard.server.storage.blob_store import StoredObject, StoreUnavailable
from modelyard.server.storage.local.store import LocalStore
from modelyard.server.storage.s3.store import S3Store
from modelyard.server.storage.stat_cache import (
    CACHE_SECONDS,
    MAX_ENTRIES,
    RETRY_PAUSE_SECONDS,
    StatCache,
    StatUnavailable,
)
from tests.journeys.fault_proxy import Exchange, Fault, FaultProxy, HoldRequest
from tests.seaweed import RunningSeaweed
from tests.server.harness import make_model_file
from tests.server.verification.test_scrub import register_verified, replace_stored_object
from tests.server.verification.unverified_team import CONTENT, UnverifiedTeam, open_bucket_team

pytestmark = pytest.mark.slow
THROUGH_PROXY = pytest.mark.extended(
    reason="seconds with a proxy; other tests have the rules of the cache, and an unreachable bucket"
)

KEY = "models/0199a1de-7c1e-7a52-8000-000000000001/0199a1de-7c1e-7a52-8000-000000000002"
SAME_TEAM, OTHER_TEAM = KEY[:-1] + "3", KEY.replace("0001/", "0009/")


@pytest.fixture
def proxy(seaweed_server: RunningSeaweed) -> Iterator[FaultProxy]:
    proxy = FaultProxy(seaweed_server.endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def proxied(seaweed_server: RunningSeaweed, proxy: FaultProxy, tmp_path: Path) -> Iterator[UnverifiedTeam]:
    """A registry whose bucket is reached through a proxy that records the requests."""
    with (
        seaweed_server.bucket() as bucket,
        open_bucket_team(tmp_path, bucket, seaweed_server, endpoint=proxy.url) as team,
    ):
        yield team


def count_head_requests(proxy: FaultProxy) -> int:
    return sum(exchange.method == "HEAD" for exchange in proxy.exchanges)


@THROUGH_PROXY
def test_40_download_tickets_within_a_minute_send_one_head_per_object(
    proxied: UnverifiedTeam, proxy: FaultProxy
) -> None:
    models = [register_verified(proxied, make_model_file(name), f"loras/{name}.safetensors") for name in ("one", "two")]
    before = count_head_requests(proxy)
    with ThreadPoolExecutor(8) as threads:
        tickets = list(threads.map(lambda n: proxied.owner.get(f"/models/{models[n % 2]}/download"), range(40)))
    assert {ticket.status_code for ticket in tickets} == {307}
    assert count_head_requests(proxy) - before == 2


@THROUGH_PROXY
def test_download_ticket_with_stalling_bucket_is_issued_without_waiting(
    proxied: UnverifiedTeam, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No pause ends during the test.
    monkeypatch.setattr(stat_cache, "RETRY_PAUSE_SECONDS", 3600.0)
    models = [register_verified(proxied, make_model_file(f"{n}"), f"loras/{n}.safetensors") for n in range(4)]
    release = threading.Event()

    def stall(exchange: Exchange) -> Fault | None:
        return HoldRequest(release)

    proxy.rule = stall
    before = count_head_requests(proxy)
    tickets = [proxied.owner.get(f"/models/{model_id}/download") for model_id in models]
    stalled = count_head_requests(proxy) - before
    release.set()
    assert [ticket.status_code for ticket in tickets] == [307] * 4
    assert stalled == 1, "Only the first request waits, for two seconds."
    assert {proxied.state(model_id) for model_id in models} == {"verified"}


def test_download_ticket_with_unreachable_bucket_is_issued(proxied: UnverifiedTeam, proxy: FaultProxy) -> None:
    model_id = register_verified(proxied)
    proxy.close()
    assert proxied.owner.get(f"/models/{model_id}/download").status_code == 307
    assert proxied.state(model_id) == "verified"


def test_push_repairs_object_damaged_after_a_cached_stat(
    proxied: UnverifiedTeam, seaweed_server: RunningSeaweed
) -> None:
    model_id = register_verified(proxied)
    assert proxied.download(model_id) == CONTENT
    assert isinstance(proxied.resources.store, S3Store)
    # Not through the proxy, which does not support the "Expect: 100-continue" of a PUT.
    direct = S3Store(replace(proxied.resources.store.bucket, endpoint=seaweed_server.endpoint))
    replace_stored_object(replace(proxied.resources, store=direct), proxied.blob(model_id).store_key, CONTENT[:50])
    proxied.register(CONTENT)
    proxied.verify_all()
    assert proxied.download(model_id) == CONTENT


class CountingStore(LocalStore):
    """A local store that counts stat calls, and fails them if the test says so."""

    stat_count = 0
    is_unavailable = False

    def stat_quickly(self, key: str) -> StoredObject | None:
        self.stat_count += 1
        if self.is_unavailable:
            raise StoreUnavailable("The store does not answer.")
        return super().stat_quickly(key)


class Clock:
    moment = 0.0

    def __call__(self) -> float:
        return self.moment


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[CountingStore]:
    store = CountingStore(tmp_path, b"x" * 32)
    yield store
    store.close()


def test_stat_cache_repeats_the_request_after_a_minute(counting: CountingStore) -> None:
    clock = Clock()
    cache = StatCache(counting, clock=clock)
    assert [cache.stat(KEY), cache.stat(KEY)] == [None, None]
    assert counting.stat_count == 1
    clock.moment = CACHE_SECONDS
    cache.stat(KEY)
    assert counting.stat_count == 2


def test_stat_cache_after_failure_pauses_for_the_same_team_only(counting: CountingStore) -> None:
    clock = Clock()
    cache = StatCache(counting, clock=clock)
    counting.is_unavailable = True
    for key in (KEY, SAME_TEAM):
        with pytest.raises(StatUnavailable):
            cache.stat(key)
    assert counting.stat_count == 1
    counting.is_unavailable = False
    assert cache.stat(OTHER_TEAM) is None
    clock.moment = RETRY_PAUSE_SECONDS
    assert cache.stat(KEY) is None


def test_stat_cache_drops_the_oldest_entry_above_its_limit(counting: CountingStore) -> None:
    cache = StatCache(counting)
    keys = [f"{KEY[:-12]}{number:012}" for number in range(MAX_ENTRIES + 1)]
    for key in keys:
        cache.stat(key)
    stat_count = counting.stat_count
    cache.stat(keys[-1])
    assert counting.stat_count == stat_count
    cache.stat(keys[0])
    assert counting.stat_count == stat_count + 1
