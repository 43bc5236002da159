"""The capability probe of real stores with all, few and no capabilities."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.server.storage.blob_store import StoreUnavailable
from modelyard.server.storage.s3 import probe
from modelyard.server.storage.s3.store import S3Store
from tests.journeys.fault_proxy import Exchange, Fault, FaultProxy, RespondInstead
from tests.rclone import RunningRclone
from tests.seaweed import RunningSeaweed
from tests.server.storage.served_store import ServedStore, bucket_in

pytestmark = pytest.mark.slow


def leftovers(store: S3Store) -> list[object]:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    uploads = [found for found in store.list_open_uploads(soon) if found.key.startswith("probe/")]
    return [*store.list_keys("probe/"), *uploads]


def test_probe_capable_bucket_reports_all_capabilities(seaweed_served_store: ServedStore) -> None:
    assert isinstance(seaweed_served_store.store, S3Store)
    capabilities = seaweed_served_store.store.probe()
    assert capabilities.enforces_all
    assert capabilities.remarks == ()
    assert leftovers(seaweed_served_store.store) == []


def test_probe_weak_bucket_reports_missing_capabilities(rclone_served_store: ServedStore) -> None:
    assert isinstance(rclone_served_store.store, S3Store)
    capabilities = rclone_served_store.store.probe()
    assert not capabilities.refuses_wrong_checksum
    assert not capabilities.refuses_overwrite
    assert capabilities.refuses_tampered_signature
    # It sends the right bytes of a range and says that they are the whole file (200).
    assert not capabilities.reads_ranges_right
    assert capabilities.reads_multipart_right
    assert leftovers(rclone_served_store.store) == []


@pytest.fixture
def open_place() -> Iterator[ServedStore]:
    """A store that checks no signatures."""
    with RunningRclone(is_open=True) as running, running.bucket() as name:
        yield ServedStore(S3Store(bucket_in(running, name)), running.port, 5 << 20)


def test_probe_bucket_ignoring_signatures_reports_it(open_place: ServedStore) -> None:
    capabilities = open_place.store.probe()
    assert not capabilities.refuses_tampered_signature
    assert set(capabilities.remarks) == {
        probe.HEADER_MAY_BE_OMITTED,
        probe.BODY_MAY_BE_LONGER,
        probe.CHECKSUM_MAY_CHANGE,
    }


def test_probe_unreachable_public_endpoint_uses_own_endpoint_and_remarks(
    seaweed_server: RunningSeaweed, bucket: str
) -> None:
    named = replace(bucket_in(seaweed_server, bucket, "probed"), public_endpoint="http://127.0.0.1:1")
    capabilities = S3Store(named).probe()
    assert capabilities.enforces_all
    assert capabilities.remarks == (probe.PUBLIC_ENDPOINT_UNREACHABLE,)


def test_probe_proxy_at_public_endpoint_is_probed(seaweed_server: RunningSeaweed, bucket: str) -> None:
    proxy = FaultProxy(seaweed_server.endpoint)
    named = replace(bucket_in(seaweed_server, bucket, "probed"), public_endpoint=proxy.url)
    assert S3Store(named).probe().enforces_all
    assert any(exchange.method == "PUT" for exchange in proxy.exchanges)

    def without_conditions(exchange: Exchange) -> Fault | None:
        """A cache or a gateway that says yes to what it never passes on."""
        return RespondInstead(200, b"") if exchange.method == "PUT" and is_second(exchange) else None

    def is_second(exchange: Exchange) -> bool:
        return sum(other.path == exchange.path for other in proxy.exchanges) > 1

    proxy.exchanges.clear()
    proxy.rule = without_conditions
    assert not S3Store(named).probe().refuses_overwrite
    proxy.close()


@pytest.mark.parametrize("status", [403, 500])
def test_probe_bucket_refusing_all_puts_raises_store_unavailable(
    seaweed_server: RunningSeaweed, bucket: str, status: int
) -> None:
    proxy = FaultProxy(seaweed_server.endpoint)
    proxy.rule = lambda exchange: RespondInstead(status, b"no") if exchange.method == "PUT" else None
    store = S3Store(replace(bucket_in(seaweed_server, bucket, "probed"), public_endpoint=proxy.url))
    with pytest.raises(StoreUnavailable, match=str(status)):
        store.probe()
    proxy.close()
    assert leftovers(store) == []
