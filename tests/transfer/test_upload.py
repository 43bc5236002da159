import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from modelyard.transfer.connection import Request
from modelyard.transfer.failures import BadAnswer, DiskFailed, FileChanged, Refused, Unreachable
from modelyard.transfer.network import Network, Pace
from modelyard.transfer.parts import cut
from modelyard.transfer.progress import Event, Retrying, Sent, unheard
from modelyard.transfer.upload import SentPart, send_parts, send_whole
from tests.transfer.misbehaving import (
    Behaviour,
    Exchange,
    MisbehavingServer,
    answers,
    behave,
    loses_the_answer,
    resets_after_reading,
    speaks_no_http,
    stops_reading_after,
)


@dataclass
class Registry:
    """Gives URLs of parts, and remembers for which it was asked."""

    server: MisbehavingServer
    asked: list[list[int]] = field(default_factory=list)

    async def fresh(self, numbers: Sequence[int]) -> dict[int, Request]:
        self.asked.append(list(numbers))
        return {number: Request(self.server.url(f"/part/{number}"), {}) for number in numbers}

    def arrived(self) -> bytes:
        numbers = sorted(int(path.rpartition("/")[2]) for path in self.server.objects)
        return b"".join(self.server.objects[f"/part/{number}"] for number in numbers)


@pytest.fixture
def registry(server: MisbehavingServer) -> Registry:
    return Registry(server)


def _whole(server: MisbehavingServer, file: Path, **headers: str) -> Request:
    signed = {"Content-Length": str(file.stat().st_size), "If-None-Match": "*", "x-amz-meta-Odd": "A b"}
    return Request(server.url("/key"), signed | headers)


def test_a_file_is_sent_whole(server: MisbehavingServer, file: Path) -> None:
    heard: list[Event] = []

    etag = asyncio.run(send_whole(file, _whole(server, file), heard.append))

    assert server.objects["/key"] == file.read_bytes()
    assert etag == server.etags["/key"]
    assert heard[-1] == Sent(file, 1_000_000, 1_000_000)


def test_signed_headers_go_out_as_they_are_and_once(server: MisbehavingServer, file: Path) -> None:
    asyncio.run(send_whole(file, _whole(server, file), unheard))

    assert server.seen[0].headers == {
        "host": server.base.removeprefix("http://"),
        "content-length": "1000000",
        "if-none-match": "*",
        "x-amz-meta-odd": "A b",
    }


def test_an_empty_file_is_sent(server: MisbehavingServer, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()

    asyncio.run(send_whole(empty, _whole(server, empty), unheard))

    assert server.objects["/key"] == b""


@pytest.mark.parametrize(
    "fault",
    [
        answers(503, Retry_After="0"),
        answers(400, b"<Error><Code>BadDigest</Code></Error>"),
        resets_after_reading(300_000),
        stops_reading_after(1000),
        loses_the_answer,
        speaks_no_http,
    ],
    ids=["busy", "garbled", "reset", "stalled", "answer lost", "no http"],
)
def test_a_fault_that_passes_is_outlived(
    server: MisbehavingServer, tmp_path: Path, impatient: Network, fault: Behaviour
) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(10_000_000))  # more than the kernel takes from us unread
    server.script.append(fault)
    heard: list[Event] = []

    asyncio.run(send_whole(large, _whole(server, large), heard.append, network=impatient))

    assert server.objects["/key"] == large.read_bytes()
    assert sum(isinstance(event, Retrying) for event in heard) == 1
    assert heard[-1] == Sent(large, 10_000_000, 10_000_000)
    server.wait_until_quiet()


@pytest.mark.parametrize("status", [403, 411, 412, 413, 507])
def test_a_refusal_ends_the_upload_before_the_body_is_sent(
    server: MisbehavingServer, tmp_path: Path, status: int
) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(20_000_000_000)
    server.always = answers(status, b'{"detail": "It is so.", "error_code": "so_it_is"}')

    with pytest.raises(Refused) as refused:
        asyncio.run(send_whole(large, _whole(server, large), unheard))

    assert (refused.value.status, refused.value.detail, refused.value.code) == (status, "It is so.", "so_it_is")
    assert len(server.seen) == 1
    server.wait_until_quiet()


def test_the_words_of_s3_are_understood(server: MisbehavingServer, file: Path) -> None:
    server.always = answers(403, b"<Error><Code>AccessDenied</Code><Message>Request has\x1b expired</Message></Error>")

    with pytest.raises(Refused, match="Request has  expired") as refused:
        asyncio.run(send_whole(file, _whole(server, file), unheard))
    assert refused.value.code == "AccessDenied"


def test_a_server_that_is_away_is_unreachable(server: MisbehavingServer, file: Path, impatient: Network) -> None:
    server.close()
    heard: list[Event] = []

    with pytest.raises(Unreachable):
        asyncio.run(send_whole(file, _whole(server, file), heard.append, network=impatient))
    assert sum(isinstance(event, Retrying) for event in heard) == impatient.tries - 1


def test_failures_never_show_the_signature(server: MisbehavingServer, file: Path, impatient: Network) -> None:
    server.close()

    with pytest.raises(Unreachable) as failed:
        asyncio.run(send_whole(file, _whole(server, file), unheard, network=impatient))
    assert "secret" not in str(failed.value)
    assert "secret" not in repr(_whole(server, file))


def test_a_file_of_another_size_than_signed_is_not_sent(server: MisbehavingServer, file: Path) -> None:
    request = _whole(server, file)
    with file.open("ab") as end:
        end.write(b"x")

    with pytest.raises(FileChanged):
        asyncio.run(send_whole(file, request, unheard))
    assert server.seen == []


def test_a_missing_file_is_a_sentence(server: MisbehavingServer, tmp_path: Path) -> None:
    with pytest.raises(DiskFailed):
        asyncio.run(send_whole(tmp_path / "absent", Request(server.url("/key"), {}), unheard))


def test_parts_arrive_and_their_etags_come_back_by_number(registry: Registry, file: Path) -> None:
    heard: list[Event] = []

    sent = asyncio.run(send_parts(file, cut(1_000_000, 64_000), registry.fresh, report=heard.append))

    assert registry.arrived() == file.read_bytes()
    assert sent == [SentPart(number, registry.server.etags[f"/part/{number}"]) for number in range(1, 17)]
    assert heard[-1] == Sent(file, 1_000_000, 1_000_000)
    registry.server.wait_until_quiet()


def test_only_the_parts_passed_in_are_sent(registry: Registry, file: Path) -> None:
    asyncio.run(send_parts(file, cut(1_000_000, 100_000)[4:6], registry.fresh, report=unheard))

    assert registry.arrived() == file.read_bytes()[400_000:600_000]


def test_urls_are_asked_for_in_advance_but_not_all_at_once(registry: Registry, file: Path) -> None:
    asyncio.run(send_parts(file, cut(1_000_000, 10_000), registry.fresh, report=unheard))

    assert len(registry.asked) < 10
    assert max(len(numbers) for numbers in registry.asked) <= 32


def test_connections_are_used_again(registry: Registry, file: Path) -> None:
    asyncio.run(send_parts(file, cut(1_000_000, 10_000), registry.fresh, connections=2, report=unheard))

    assert len({exchange.sock for exchange in registry.server.seen}) == 2


def test_an_expired_url_is_replaced_and_the_part_sent_again(registry: Registry, file: Path, impatient: Network) -> None:
    registry.server.script.extend([behave, behave, answers(403, b'{"error_code": "url_expired"}')])

    asyncio.run(
        send_parts(file, cut(1_000_000, 100_000), registry.fresh, connections=1, report=unheard, network=impatient)
    )

    assert registry.arrived() == file.read_bytes()
    assert registry.asked == [list(range(1, 11)), list(range(3, 11))]


def test_urls_that_never_work_end_the_upload(registry: Registry, file: Path, impatient: Network) -> None:
    registry.server.always = answers(403, b'{"detail": "Another team."}')

    with pytest.raises(Refused, match="Another team"):
        asyncio.run(send_parts(file, cut(1_000_000, 100_000), registry.fresh, report=unheard, network=impatient))
    registry.server.wait_until_quiet()


@pytest.mark.parametrize(
    "fault",
    [answers(409), answers(500), resets_after_reading(10_000), stops_reading_after(10), loses_the_answer],
    ids=["still held", "broken", "reset", "stalled", "answer lost"],
)
def test_only_the_part_that_failed_is_sent_again(
    registry: Registry, tmp_path: Path, impatient: Network, fault: Behaviour
) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(30_000_000))
    registry.server.script.append(fault)

    asyncio.run(send_parts(large, cut(30_000_000, 10_000_000), registry.fresh, report=unheard, network=impatient))

    assert registry.arrived() == large.read_bytes()
    assert len(registry.server.seen) == 4


def test_a_store_without_etags_is_not_believed(registry: Registry, file: Path, impatient: Network) -> None:
    def keeps_quiet(exchange: Exchange) -> None:
        exchange.body()
        exchange.answer(200)

    registry.server.always = keeps_quiet

    with pytest.raises(BadAnswer, match="ETag"):
        asyncio.run(send_parts(file, cut(1_000_000, 500_000), registry.fresh, report=unheard, network=impatient))


@pytest.mark.parametrize("change", ["rewritten", "cut", "replaced", "removed"])
def test_a_file_that_changes_on_the_way_is_not_sent(
    registry: Registry, file: Path, impatient: Network, change: str
) -> None:
    def changes_file(exchange: Exchange) -> None:
        if exchange.path == "/part/3":
            _change(file, change)
        behave(exchange)

    registry.server.always = changes_file

    with pytest.raises(FileChanged):
        asyncio.run(send_parts(file, cut(1_000_000, 100_000), registry.fresh, report=unheard, network=impatient))
    registry.server.wait_until_quiet()


def _change(file: Path, change: str) -> None:
    match change:
        case "rewritten":
            file.write_bytes(os.urandom(1_000_000))
        case "cut":
            os.truncate(file, 10)
        case "replaced":
            other = file.with_name("other")
            other.write_bytes(file.read_bytes())
            other.replace(file)
        case "removed":
            file.unlink(missing_ok=True)


def test_a_registry_that_fails_ends_the_upload_with_its_own_words(registry: Registry, file: Path) -> None:
    async def fail(numbers: Sequence[int]) -> dict[int, Request]:
        raise LookupError("no such upload")

    with pytest.raises(LookupError, match="no such upload"):
        asyncio.run(send_parts(file, cut(1_000_000, 100_000), fail, report=unheard))


def test_a_registry_that_is_away_for_a_moment_is_asked_again(
    registry: Registry, file: Path, impatient: Network
) -> None:
    away = [Unreachable("restarting")]

    async def fresh(numbers: Sequence[int]) -> dict[int, Request]:
        if away:
            raise away.pop()
        return await registry.fresh(numbers)

    asyncio.run(send_parts(file, cut(1_000_000, 100_000), fresh, report=unheard, network=impatient))

    assert registry.arrived() == file.read_bytes()


def test_a_cancelled_upload_stops_at_once_and_leaves_no_socket(registry: Registry, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1_000_000_000)
    registry.server.always = stops_reading_after(100)

    async def work() -> float:
        sending = asyncio.create_task(send_parts(large, cut(10**9, 10**8), registry.fresh, report=unheard))
        await asyncio.sleep(0.3)
        started = time.monotonic()
        sending.cancel()
        await asyncio.wait([sending])
        assert sending.cancelled()
        return time.monotonic() - started

    assert asyncio.run(work()) < 0.5
    registry.server.wait_until_quiet()


def test_a_pace_is_kept_by_all_connections_together(registry: Registry, file: Path, impatient: Network) -> None:
    started = time.monotonic()

    paced = replace(impatient, pace=Pace(2_000_000))
    asyncio.run(send_parts(file, cut(1_000_000, 100_000), registry.fresh, report=unheard, network=paced))

    assert 0.4 < time.monotonic() - started < 1.5
