import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.transfer.download import Wanted, fetch
from modelyard.transfer.failures import BadAnswer, Refused, TargetTaken, TransferFailed, Unreachable, WrongBytes
from modelyard.transfer.network import Network, Pace
from modelyard.transfer.progress import Event, Received, Resumed, Retrying, Verified, unheard
from tests.transfer.misbehaving import (
    Behaviour,
    MisbehavingServer,
    announces_more,
    answers,
    behave,
    changes_etag_and_ignores_if_range,
    changes_object,
    chunks,
    chunks_too_much,
    codes_it,
    flips_a_bit,
    ignores_range,
    resets_after,
    says_another_size,
    sends_another_range,
    sends_more_than_announced,
    speaks_no_http,
    stalls_after,
    trickles,
    truncates_after,
    truncates_whole_after,
)

CONTENT = os.urandom(1_000_000)

Fetch = Callable[..., None]


@pytest.fixture
def wanted(server: MisbehavingServer, tmp_path: Path) -> Wanted:
    digest = server.put("/model", CONTENT)
    return Wanted(len(CONTENT), digest, tmp_path / "ink.safetensors")


@pytest.fixture
def fetched(server: MisbehavingServer, wanted: Wanted, impatient: Network) -> Fetch:
    """Fetches what is wanted from the server."""

    def run(report: Callable[[Event], None] = unheard, *, connections: int = 3, network: Network = impatient) -> None:
        async def source() -> str:
            return server.url("/model")

        asyncio.run(fetch(source, wanted, report, connections=connections, network=network))

    return run


def assert_is_whole_and_alone(wanted: Wanted) -> None:
    assert wanted.target.read_bytes() == CONTENT
    assert list(wanted.target.parent.iterdir()) == [wanted.target]


@pytest.mark.parametrize("connections", [1, 3])
def test_a_file_arrives_whole_and_leaves_nothing_else(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch, connections: int
) -> None:
    heard: list[Event] = []

    fetched(heard.append, connections=connections)

    assert_is_whole_and_alone(wanted)
    assert heard[-2:] == [Received(wanted.target, 1_000_000, 1_000_000), Verified(wanted.target, 1_000_000, 1_000_000)]
    server.wait_until_quiet()


def test_bytes_are_asked_for_as_they_are(server: MisbehavingServer, fetched: Fetch) -> None:
    fetched()

    assert {exchange.headers["accept-encoding"] for exchange in server.seen} == {"identity"}
    assert all("authorization" not in exchange.headers for exchange in server.seen)


def test_every_byte_is_asked_for_once(server: MisbehavingServer, fetched: Fetch) -> None:
    fetched()

    assert sorted(server.ranges_asked()) == [(at, at + 200_000) for at in range(0, 1_000_000, 200_000)]


def test_an_empty_file_needs_no_request(server: MisbehavingServer, fetched: Fetch, tmp_path: Path) -> None:
    async def source() -> str:
        raise AssertionError("not needed")

    empty = Wanted(0, hashlib.sha256().hexdigest(), tmp_path / "empty")
    asyncio.run(fetch(source, empty, unheard))

    assert empty.target.read_bytes() == b""


FAULTS_THAT_PASS = {
    "stalls": stalls_after(1000),
    "truncates": truncates_after(1000),
    "truncates at once": truncates_after(0),
    "resets": resets_after(150_000),
    "ignores range": ignores_range,
    "ignores range and truncates": truncates_whole_after(500_000),
    "another range": sends_another_range,
    "another size": says_another_size,
    "gzip": codes_it,
    "announces more": announces_more,
    "sends more": sends_more_than_announced,
    "chunks": chunks,
    "chunks too much": chunks_too_much,
    "another etag": changes_etag_and_ignores_if_range,
    "no http": speaks_no_http,
    "busy": answers(503, Retry_After="0"),
    "too many": answers(429),
    "416": answers(416, Content_Range="bytes */10"),
    "expired": answers(403, b'{"error_code": "url_expired"}'),
    "token expired": answers(400, b"<Error><Code>ExpiredToken</Code></Error>"),
}


@pytest.mark.parametrize("fault", FAULTS_THAT_PASS.values(), ids=FAULTS_THAT_PASS)
@pytest.mark.parametrize(
    ("connections", "before"), [(1, 0), (3, 0), (3, 2)], ids=["alone", "first of many", "on the way"]
)
def test_a_fault_that_passes_is_outlived(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch, fault: Behaviour, connections: int, before: int
) -> None:
    server.script.extend([*[behave] * before, fault])

    fetched(connections=connections)

    assert_is_whole_and_alone(wanted)
    server.wait_until_quiet()


FAULTS_THAT_STAY = {
    "stalls": (stalls_after(0), Unreachable),
    "truncates": (truncates_after(0), Unreachable),
    "another range": (sends_another_range, BadAnswer),
    "another size": (says_another_size, BadAnswer),
    "gzip": (codes_it, BadAnswer),
    "announces more": (announces_more, BadAnswer),
    "no http": (speaks_no_http, Unreachable),
    "busy": (answers(503, Retry_After="0"), Refused),
    "forbidden": (answers(403), Refused),
    "gone": (answers(404), Refused),
    "redirected": (answers(302, Location="http://127.0.0.1:1/"), Refused),
    "wrong bit": (flips_a_bit, WrongBytes),
    "too short": (answers(200, b"short"), BadAnswer),
    "an error page": (answers(200, b"<html>Log in</html>"), BadAnswer),
}


@pytest.mark.parametrize(("fault", "failure"), FAULTS_THAT_STAY.values(), ids=FAULTS_THAT_STAY)
def test_a_fault_that_stays_ends_the_download_without_a_file(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch, fault: Behaviour, failure: type[TransferFailed]
) -> None:
    server.always = fault

    with pytest.raises(failure):
        fetched()

    assert list(wanted.target.parent.iterdir()) == []
    server.wait_until_quiet()


def test_one_wrong_bit_is_noticed_and_the_bytes_are_gone(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch
) -> None:
    server.script.extend([behave, behave, flips_a_bit])

    with pytest.raises(WrongBytes) as failed:
        fetched()

    assert failed.value.expected == wanted.sha256
    assert list(wanted.target.parent.iterdir()) == []


def test_a_broken_connection_goes_on_where_it_stopped(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch
) -> None:
    server.script.append(truncates_after(123_456))

    fetched(connections=1)

    assert server.ranges_asked() == [(0, 1_000_000), (123_456, 1_000_000)]


def test_a_download_that_gets_a_little_further_each_time_arrives(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch
) -> None:
    server.script.extend([truncates_after(40_000)] * 20)

    fetched(connections=1)

    assert_is_whole_and_alone(wanted)


def test_an_expired_url_is_replaced_and_the_download_goes_on(
    server: MisbehavingServer, wanted: Wanted, impatient: Network
) -> None:
    asked = 0

    async def source() -> str:
        nonlocal asked
        asked += 1
        return server.url("/model")

    server.script.extend([truncates_after(300_000), answers(403, b'{"error_code": "url_expired"}')])
    asyncio.run(fetch(source, wanted, unheard, connections=1, network=impatient))

    assert asked == 2
    assert server.ranges_asked()[-1] == (300_000, 1_000_000)


def test_an_object_that_changes_on_the_way_is_fetched_anew(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch
) -> None:
    server.put("/model", os.urandom(1_000_000))
    server.script.extend([behave, behave, changes_object(CONTENT)])

    fetched()

    assert_is_whole_and_alone(wanted)


def test_a_server_without_ranges_is_read_as_one_stream(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch
) -> None:
    server.always = ignores_range

    fetched()

    assert_is_whole_and_alone(wanted)
    assert len(server.seen) == 2


def test_a_server_without_ranges_that_always_breaks_is_given_up(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch
) -> None:
    server.always = truncates_whole_after(500_000)

    with pytest.raises(Unreachable):
        fetched()

    assert not wanted.target.exists()


def test_an_interrupted_download_leaves_no_file_but_goes_on_next_time(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch
) -> None:
    server.script.extend([behave, behave, *[answers(404)] * 3])
    with pytest.raises(Refused):
        fetched()
    assert not wanted.target.exists()
    server.script.clear()
    server.seen.clear()
    heard: list[Event] = []

    fetched(heard.append)

    assert_is_whole_and_alone(wanted)
    asked_again = sum(end - start for start, end in server.ranges_asked())
    assert 0 < asked_again < 1_000_000
    assert heard[0] == Resumed(wanted.target, 1_000_000 - asked_again, 1_000_000)


def test_what_was_left_of_other_bytes_is_not_used(server: MisbehavingServer, wanted: Wanted, fetched: Fetch) -> None:
    wanted.partial_path.write_bytes(b"x" * 500_000)
    journal = wanted.partial_path.with_name(wanted.partial_path.name + ".journal")
    lines = ['{"version": 1, "size": 1000000, "sha256": "other"}', '{"etag": null, "spans": [[0, 500000]]}', ""]
    journal.write_text("\n".join(lines))

    fetched()

    assert_is_whole_and_alone(wanted)


def test_a_partial_file_that_rotted_is_noticed(server: MisbehavingServer, wanted: Wanted, fetched: Fetch) -> None:
    server.script.extend([behave, behave, *[answers(404)] * 3])
    with pytest.raises(Refused):
        fetched()
    server.script.clear()
    with wanted.partial_path.open("r+b") as file:
        file.write(b"rot")

    with pytest.raises(WrongBytes):
        fetched()
    fetched()

    assert_is_whole_and_alone(wanted)


def test_a_file_that_is_there_already_is_not_fetched(server: MisbehavingServer, wanted: Wanted, fetched: Fetch) -> None:
    wanted.target.write_bytes(CONTENT)

    fetched()

    assert server.seen == []


@pytest.mark.parametrize("other", [b"short", b"x" * 1_000_000], ids=["another size", "same size"])
def test_another_file_is_never_replaced_unasked(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch, other: bytes
) -> None:
    wanted.target.write_bytes(other)

    with pytest.raises(TargetTaken):
        fetched()

    assert wanted.target.read_bytes() == other
    assert server.seen == []


def test_another_file_that_appears_meanwhile_is_not_replaced(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch
) -> None:
    def someone_saves(exchange: object) -> None:
        wanted.target.write_bytes(b"mine")
        behave(server.seen[-1])

    server.script.append(someone_saves)

    with pytest.raises(TargetTaken):
        fetched(connections=1)

    assert wanted.target.read_bytes() == b"mine"


def test_a_dangling_link_counts_as_another_file(server: MisbehavingServer, wanted: Wanted, fetched: Fetch) -> None:
    wanted.target.symlink_to("nowhere")

    with pytest.raises(TargetTaken):
        fetched()

    assert wanted.target.readlink() == Path("nowhere")


def test_another_file_is_replaced_when_asked(server: MisbehavingServer, wanted: Wanted, impatient: Network) -> None:
    wanted.target.write_bytes(b"old")

    async def source() -> str:
        return server.url("/model")

    asyncio.run(fetch(source, replace(wanted, replace=True), unheard, network=impatient))

    assert_is_whole_and_alone(wanted)


def test_two_downloads_of_one_file_do_not_meet(server: MisbehavingServer, wanted: Wanted, impatient: Network) -> None:
    server.always = trickles(20_000, 0.005)

    async def source() -> str:
        return server.url("/model")

    async def both() -> None:
        await asyncio.gather(*(fetch(source, wanted, unheard, network=impatient) for _ in range(2)))

    asyncio.run(both())

    assert_is_whole_and_alone(wanted)


def test_a_cancelled_download_stops_at_once_and_can_go_on(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch
) -> None:
    server.always = trickles(10_000, 0.2)

    async def source() -> str:
        return server.url("/model")

    async def work() -> float:
        came = asyncio.Event()

        def hear(event: Event) -> None:
            if isinstance(event, Received) and event.done > 0:
                came.set()

        fetching = asyncio.create_task(fetch(source, wanted, hear, connections=1))
        await came.wait()
        started = time.monotonic()
        fetching.cancel()
        await asyncio.wait([fetching])
        assert fetching.cancelled()
        return time.monotonic() - started

    assert asyncio.run(work()) < 0.5
    server.wait_until_quiet()
    assert not wanted.target.exists()
    heard: list[Event] = []
    server.always = None

    fetched(heard.append)

    assert isinstance(heard[0], Resumed)
    assert_is_whole_and_alone(wanted)


def test_a_source_that_fails_ends_the_download_with_its_own_words(wanted: Wanted) -> None:
    async def source() -> str:
        raise LookupError("no such model")

    with pytest.raises(LookupError, match="no such model"):
        asyncio.run(fetch(source, wanted, unheard))
    assert list(wanted.target.parent.iterdir()) == []


def test_a_retry_is_told(server: MisbehavingServer, wanted: Wanted, fetched: Fetch) -> None:
    server.script.append(answers(503, b'{"detail": "Restarting."}'))
    heard: list[Event] = []

    fetched(heard.append)

    told = [event for event in heard if isinstance(event, Retrying)]
    assert [event.why for event in told] == ["Restarting. (HTTP 503)"]


def test_a_pace_is_kept_by_all_connections_together(
    server: MisbehavingServer, wanted: Wanted, fetched: Fetch, impatient: Network
) -> None:
    started = time.monotonic()

    fetched(network=replace(impatient, pace=Pace(2_000_000)))

    assert 0.4 < time.monotonic() - started < 1.5


def test_other_schemes_are_not_followed(wanted: Wanted) -> None:
    async def source() -> str:
        return "file:///etc/passwd"

    with pytest.raises(TransferFailed, match="http and https"):
        asyncio.run(fetch(source, wanted, unheard))
