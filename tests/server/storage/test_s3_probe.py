"""What the probe says of real stores: one that keeps its promises, one that keeps few, one that keeps none."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.server.storage import s3_probe
from modelyard.server.storage.blob_store import StoreUnavailable
from modelyard.server.storage.s3 import S3Store
from tests.journeys.between import AnswerInstead, Between, Exchange, Fault
from tests.rclone import RunningRclone
from tests.seaweed import RunningSeaweed
from tests.server.storage.place import Place, bucket_in


def leftovers(store: S3Store) -> list[object]:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    uploads = [found for found in store.open_uploads(soon) if found.key.startswith("probe/")]
    return [*store.keys("probe/"), *uploads]


def test_an_honest_bucket_is_seen_to_keep_every_promise(seaweed_place: Place) -> None:
    assert isinstance(seaweed_place.store, S3Store)
    honesty = seaweed_place.store.probe()
    assert honesty.is_honest
    assert honesty.remarks == ()
    assert leftovers(seaweed_place.store) == []


def test_a_weak_bucket_is_seen_to_be_weak(rclone_place: Place) -> None:
    assert isinstance(rclone_place.store, S3Store)
    honesty = rclone_place.store.probe()
    assert not honesty.refuses_wrong_checksum
    assert not honesty.refuses_overwrite
    assert honesty.refuses_tampered_signature
    # It sends the right bytes of a range and says that they are the whole file (200).
    assert not honesty.reads_ranges_right
    assert honesty.reads_multipart_right
    assert leftovers(rclone_place.store) == []


@pytest.fixture
def open_place() -> Iterator[Place]:
    """A store that looks at no signature."""
    with RunningRclone(is_open=True) as running, running.bucket() as name:
        yield Place(S3Store(bucket_in(running, name)), running.port, 5 << 20)


def test_a_bucket_that_looks_at_no_signature_is_found_out(open_place: Place) -> None:
    honesty = open_place.store.probe()
    assert not honesty.refuses_tampered_signature
    assert set(honesty.remarks) == {
        s3_probe.MAY_LEAVE_OUT,
        s3_probe.MAY_BE_LONGER,
        s3_probe.MAY_CHANGE_CHECKSUM,
    }


def test_a_public_endpoint_out_of_reach_is_said_and_the_other_is_tried(
    seaweed_server: RunningSeaweed, bucket: str
) -> None:
    named = replace(bucket_in(seaweed_server, bucket, "probed"), public_endpoint="http://127.0.0.1:1")
    honesty = S3Store(named).probe()
    assert honesty.is_honest
    assert honesty.remarks == (s3_probe.NOT_REACHED,)


def test_what_stands_before_the_public_endpoint_is_tried(seaweed_server: RunningSeaweed, bucket: str) -> None:
    between = Between(seaweed_server.endpoint)
    named = replace(bucket_in(seaweed_server, bucket, "probed"), public_endpoint=between.url)
    assert S3Store(named).probe().is_honest
    assert any(exchange.method == "PUT" for exchange in between.exchanges)

    def without_conditions(exchange: Exchange) -> Fault | None:
        """A cache or a gateway that says yes to what it never passes on."""
        return AnswerInstead(200, b"") if exchange.method == "PUT" and is_second(exchange) else None

    def is_second(exchange: Exchange) -> bool:
        return sum(other.path == exchange.path for other in between.exchanges) > 1

    between.exchanges.clear()
    between.rule = without_conditions
    assert not S3Store(named).probe().refuses_overwrite
    between.close()


@pytest.mark.parametrize("status", [403, 500])
def test_a_bucket_that_takes_nothing_is_not_judged(seaweed_server: RunningSeaweed, bucket: str, status: int) -> None:
    between = Between(seaweed_server.endpoint)
    between.rule = lambda exchange: AnswerInstead(status, b"no") if exchange.method == "PUT" else None
    store = S3Store(replace(bucket_in(seaweed_server, bucket, "probed"), public_endpoint=between.url))
    with pytest.raises(StoreUnavailable, match=str(status)):
        store.probe()
    between.close()
    assert leftovers(store) == []
