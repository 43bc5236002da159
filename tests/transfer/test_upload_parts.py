"""Uploads of parts to a server with faults."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from modelyard.transfer.errors import FileChanged, Refused, RetriesExhausted, Unreachable
from modelyard.transfer.http.connection import Request
from modelyard.transfer.options import TransferOptions
from modelyard.transfer.part_plan import plan_parts
from modelyard.transfer.progress import ProgressEvent, Retrying, Sent, ignore_progress
from modelyard.transfer.upload import SentPart, upload_parts
from tests.transfer.fake_clock import FakeClock
from tests.transfer.faults import lose_response, reset_after_reading, respond, stop_reading_after
from tests.transfer.faulty_server import Behavior, Exchange, FaultyServer, serve_correctly
from tests.transfer.limits import RecordingLimit, StoppingLimit
from tests.waiting import PATIENCE_SECONDS, wait_until_async

pytestmark = pytest.mark.slow


@dataclass
class Registry:
    """A registry that presigns parts and records the requested numbers."""

    server: FaultyServer
    requested: list[list[int]] = field(default_factory=list)

    async def fresh(self, numbers: Sequence[int]) -> dict[int, Request]:
        self.requested.append(list(numbers))
        return {number: Request(self.server.url(f"/part/{number}"), {}) for number in numbers}

    def arrived(self) -> bytes:
        numbers = sorted(int(path.rpartition("/")[2]) for path in self.server.objects)
        return b"".join(self.server.objects[f"/part/{number}"] for number in numbers)


@pytest.fixture
def registry(server: FaultyServer) -> Registry:
    return Registry(server)


def test_upload_parts_stores_all_and_returns_etags_by_number(registry: Registry, file: Path) -> None:
    events: list[ProgressEvent] = []

    sent = asyncio.run(upload_parts(file, plan_parts(1_000_000, 64_000), registry.fresh, on_progress=events.append))

    assert registry.arrived() == file.read_bytes()
    assert sent == [SentPart(number, registry.server.etags[f"/part/{number}"]) for number in range(1, 17)]
    assert events[-1] == Sent(file, 1_000_000, 1_000_000)
    registry.server.wait_until_quiet()


def test_upload_parts_subset_sends_only_these(registry: Registry, file: Path) -> None:
    asyncio.run(upload_parts(file, plan_parts(1_000_000, 100_000)[4:6], registry.fresh, on_progress=ignore_progress))

    assert registry.arrived() == file.read_bytes()[400_000:600_000]


def test_upload_parts_requests_urls_in_batches(registry: Registry, file: Path) -> None:
    asyncio.run(upload_parts(file, plan_parts(1_000_000, 10_000), registry.fresh, on_progress=ignore_progress))

    assert len(registry.requested) < 10
    assert max(len(numbers) for numbers in registry.requested) <= 32


def test_upload_parts_reuses_connections(registry: Registry, file: Path) -> None:
    asyncio.run(
        upload_parts(file, plan_parts(1_000_000, 10_000), registry.fresh, connections=2, on_progress=ignore_progress)
    )

    assert len({exchange.sock for exchange in registry.server.seen}) == 2


def test_upload_parts_expired_url_is_renewed_and_part_resent(
    registry: Registry, file: Path, options: TransferOptions
) -> None:
    registry.server.script.extend([serve_correctly, serve_correctly, respond(403, b'{"error_code": "url_expired"}')])

    asyncio.run(
        upload_parts(
            file,
            plan_parts(1_000_000, 100_000),
            registry.fresh,
            connections=1,
            on_progress=ignore_progress,
            options=options,
        )
    )

    assert registry.arrived() == file.read_bytes()
    assert registry.requested == [list(range(1, 11)), list(range(3, 11))]


def test_upload_parts_urls_always_refused_raises_refused(
    registry: Registry, file: Path, options: TransferOptions
) -> None:
    registry.server.always = respond(403, b'{"detail": "Another team."}')

    with pytest.raises(Refused, match="Another team"):
        asyncio.run(
            upload_parts(
                file,
                plan_parts(1_000_000, 100_000),
                registry.fresh,
                on_progress=ignore_progress,
                options=options,
            )
        )
    registry.server.wait_until_quiet()


@pytest.mark.parametrize(
    ("fault", "stall_timeout_seconds"),
    [
        (respond(409), None),
        (respond(500), None),
        (reset_after_reading(10_000), None),
        # Must not expire for another part.
        (stop_reading_after(10), 5),
        (lose_response, None),
    ],
    ids=["still held", "broken", "reset", "stalled", "answer lost"],
)
def test_upload_parts_failed_part_alone_is_resent(
    registry: Registry, tmp_path: Path, options: TransferOptions, fault: Behavior, stall_timeout_seconds: float | None
) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(30_000_000))
    registry.server.script.append(fault)
    if stall_timeout_seconds is not None:
        options = replace(options, stall_timeout_seconds=stall_timeout_seconds)

    asyncio.run(
        upload_parts(
            large,
            plan_parts(30_000_000, 10_000_000),
            registry.fresh,
            on_progress=ignore_progress,
            options=options,
        )
    )

    assert registry.arrived() == large.read_bytes()
    assert len(registry.server.seen) == 4


def test_upload_parts_response_without_etag_is_retried(
    registry: Registry, file: Path, options: TransferOptions
) -> None:
    def respond_without_etag(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.respond(200)

    registry.server.always = respond_without_etag

    with pytest.raises(RetriesExhausted, match="ETag"):
        asyncio.run(
            upload_parts(
                file,
                plan_parts(1_000_000, 500_000),
                registry.fresh,
                on_progress=ignore_progress,
                options=replace(options, no_progress_timeout_seconds=0.5),
            )
        )


@pytest.mark.parametrize("change", ["rewritten", "cut", "replaced", "removed"])
def test_upload_parts_file_changed_meanwhile_raises_file_changed(
    registry: Registry, file: Path, options: TransferOptions, change: str
) -> None:
    def change_file_and_serve(exchange: Exchange) -> None:
        if exchange.path == "/part/3":
            _change_file(file, change)
        serve_correctly(exchange)

    registry.server.always = change_file_and_serve

    with pytest.raises(FileChanged):
        asyncio.run(
            upload_parts(
                file,
                plan_parts(1_000_000, 100_000),
                registry.fresh,
                on_progress=ignore_progress,
                options=options,
            )
        )
    registry.server.wait_until_quiet()


def _change_file(file: Path, change: str) -> None:
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


def test_upload_parts_one_fails_while_others_progress_does_not_give_up(
    registry: Registry, file: Path, options: TransferOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of fifty parts fails for three times the time limit while the others progress slowly."""
    clock = FakeClock(monkeypatch)
    ends = clock.now + 3 * options.no_progress_timeout_seconds

    def refuse_first_part(exchange: Exchange) -> None:
        if exchange.path == "/part/1" and clock.now < ends:
            exchange.read_body()
            exchange.respond(503)
        else:
            clock.now += options.no_progress_timeout_seconds / 10
            serve_correctly(exchange)

    registry.server.always = refuse_first_part
    asyncio.run(
        upload_parts(
            file,
            plan_parts(1_000_000, 20_000),
            registry.fresh,
            connections=2,
            on_progress=ignore_progress,
            options=options,
        )
    )

    assert registry.arrived() == file.read_bytes()
    assert clock.now > ends
    assert [exchange.path for exchange in registry.server.seen].count("/part/1") > 1


def test_upload_parts_no_progress_gives_up_at_the_time_limit(
    registry: Registry, file: Path, options: TransferOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(monkeypatch, tick_seconds=options.no_progress_timeout_seconds / 100)
    started, events = clock.now, list[ProgressEvent]()
    registry.server.always = respond(503, b'{"detail": "Restarting."}')

    with pytest.raises(RetriesExhausted, match="Restarting") as failed:
        asyncio.run(
            upload_parts(
                file, plan_parts(1_000_000, 100_000), registry.fresh, on_progress=events.append, options=options
            )
        )

    assert clock.now - started >= options.no_progress_timeout_seconds
    assert [event for event in events if isinstance(event, Retrying)]
    assert isinstance(failed.value.last, Refused)


def test_upload_parts_registry_unreachable_error_names_the_registry(file: Path, options: TransferOptions) -> None:
    async def fresh(numbers: Sequence[int]) -> dict[int, Request]:
        raise Unreachable("http://registry.test cannot be reached: connection refused.")

    impatient = replace(options, no_progress_timeout_seconds=0.5)
    with pytest.raises(RetriesExhausted, match=r"The registry cannot be reached.*registry\.test"):
        asyncio.run(
            upload_parts(file, plan_parts(1_000_000, 100_000), fresh, on_progress=ignore_progress, options=impatient)
        )


def test_upload_parts_error_of_url_source_is_re_raised(registry: Registry, file: Path) -> None:
    async def fail(numbers: Sequence[int]) -> dict[int, Request]:
        raise LookupError("no such upload")

    with pytest.raises(LookupError, match="no such upload"):
        asyncio.run(upload_parts(file, plan_parts(1_000_000, 100_000), fail, on_progress=ignore_progress))


def test_upload_parts_registry_unreachable_for_a_moment_is_retried(
    registry: Registry, file: Path, options: TransferOptions
) -> None:
    away = [Unreachable("restarting")]

    async def fresh(numbers: Sequence[int]) -> dict[int, Request]:
        if away:
            raise away.pop()
        return await registry.fresh(numbers)

    asyncio.run(upload_parts(file, plan_parts(1_000_000, 100_000), fresh, on_progress=ignore_progress, options=options))

    assert registry.arrived() == file.read_bytes()


def test_upload_parts_cancelled_stops_before_the_requests_end_and_closes_sockets(
    registry: Registry, tmp_path: Path, options: TransferOptions
) -> None:
    never_stalled = replace(options, stall_timeout_seconds=10 * PATIENCE_SECONDS)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1_000_000_000)
    registry.server.always = stop_reading_after(100)

    async def work() -> None:
        parts = plan_parts(10**9, 10**8)
        upload = asyncio.create_task(
            upload_parts(large, parts, registry.fresh, on_progress=ignore_progress, options=never_stalled)
        )
        await wait_until_async(lambda: registry.server.seen)
        upload.cancel()
        await asyncio.wait([upload], timeout=PATIENCE_SECONDS)
        assert upload.cancelled()

    asyncio.run(work())
    registry.server.wait_until_quiet()


def test_upload_parts_bandwidth_limit_applies_to_all_connections_together(
    registry: Registry, file: Path, options: TransferOptions
) -> None:
    limit = RecordingLimit(2_000_000)
    paced = replace(options, bandwidth_limit=limit)
    asyncio.run(
        upload_parts(file, plan_parts(1_000_000, 100_000), registry.fresh, on_progress=ignore_progress, options=paced)
    )

    assert sum(limit.counts) == 1_000_000


def test_upload_parts_connections_wait_as_long_as_the_bandwidth_limit_says(
    registry: Registry, file: Path, options: TransferOptions
) -> None:
    """Each of three connections sends one piece; none sends another while a whole other upload runs."""
    limit, parts = StoppingLimit(), plan_parts(1_000_000, 100_000)
    stopped = replace(options, bandwidth_limit=limit)

    async def work() -> None:
        upload = partial(upload_parts, file, parts, registry.fresh, on_progress=ignore_progress, connections=3)
        waiting = asyncio.create_task(upload(options=stopped))
        await wait_until_async(lambda: len(limit.waiting) == 3)
        await upload(options=options)
        assert len(limit.counts) == 3
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(work())
    assert max(limit.counts) <= limit.chunk_size
