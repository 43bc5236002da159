from pathlib import Path

import pytest

from modelyard.transfer.errors import (
    BadResponse,
    DigestMismatch,
    DiskFull,
    FileChanged,
    Refused,
    RetriesExhausted,
    TransferFailed,
    Unreachable,
)
from modelyard.transfer.options import TransferOptions
from modelyard.transfer.progress import ByteCounter, Sent, ignore_progress
from modelyard.transfer.retry import RetryDeadline, RetryPolicy, is_retryable, is_url_expired
from tests.transfer.fake_clock import FakeClock


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_is_retryable_temporary_status_returns_true(status: int) -> None:
    assert is_retryable(Refused(status, "Not now."))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 411, 412, 413, 416, 501, 507])
def test_is_retryable_permanent_status_returns_false(status: int) -> None:
    assert not is_retryable(Refused(status, "Never."))


@pytest.mark.parametrize("code", ["BadDigest", "checksum_wrong"])
def test_is_retryable_checksum_mismatch_returns_true(code: str) -> None:
    assert is_retryable(Refused(400, "The checksum is another one.", code=code))


@pytest.mark.parametrize("failure", [DigestMismatch("a", "b"), FileChanged(Path("x")), DiskFull("full")])
def test_is_retryable_local_failure_returns_false(failure: TransferFailed) -> None:
    assert not is_retryable(failure)


@pytest.mark.parametrize("failure", [Refused(403, "Expired."), Refused(400, "Old.", code="ExpiredToken")])
def test_is_url_expired_expiry_refusal_returns_true(failure: TransferFailed) -> None:
    assert is_url_expired(failure)


def retries(
    options: TransferOptions, counter: ByteCounter | None = None, *, can_renew_url: bool = False
) -> RetryPolicy:
    path = Path("ink.safetensors")
    counter = counter or ByteCounter(lambda done: Sent(path, done, 100))
    return RetryPolicy(RetryDeadline(options, counter, path, ignore_progress), can_renew_url=can_renew_url)


def test_retry_wait_after_failures_doubles_up_to_the_maximum() -> None:
    work = retries(TransferOptions(initial_backoff_seconds=1, max_backoff_seconds=8))

    waits = [work.wait_after(Unreachable("gone")) for _ in range(10)]

    longest = [1, 2, 4, 8, 8, 8, 8, 8, 8, 8]
    assert all(top / 2 <= wait <= top for wait, top in zip(waits, longest, strict=True))


def test_retry_wait_after_retry_after_header_waits_at_least_that_long() -> None:
    work = retries(TransferOptions(initial_backoff_seconds=0.1))

    assert work.wait_after(Refused(503, "Busy.", retry_after=7)) == 7


def test_retry_wait_after_long_retry_after_header_is_capped() -> None:
    wait = retries(TransferOptions()).wait_after(Refused(503, "Busy.", retry_after=86_400))

    assert wait == pytest.approx(300, abs=1)


def test_retry_wait_after_five_minutes_without_progress_gives_up_with_the_last_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = FakeClock(monkeypatch)
    work = retries(TransferOptions(no_progress_timeout_seconds=0.2))
    assert work.wait_after(Unreachable("first")) <= 0.2
    clock.now += 0.25

    with pytest.raises(RetriesExhausted, match="third") as failed:
        work.wait_after(BadResponse("third"))
    assert isinstance(failed.value.last, BadResponse)


def test_retry_wait_after_progress_of_another_part_restarts_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(monkeypatch)
    counter = ByteCounter(lambda done: Sent(Path("ink"), done, 100))
    work = retries(TransferOptions(no_progress_timeout_seconds=0.2), counter)
    for _ in range(3):
        work.wait_after(Unreachable("gone"))
        clock.now += 0.15
        counter.add(1)


def test_retry_wait_after_resending_lost_bytes_counts_as_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(monkeypatch)
    counter = ByteCounter(lambda done: Sent(Path("ink"), done, 100))
    counter.add(10)
    work = retries(TransferOptions(no_progress_timeout_seconds=0.2), counter)
    work.wait_after(Unreachable("gone"))
    counter.add(-10)
    clock.now += 0.25
    counter.add(10)

    with pytest.raises(RetriesExhausted):
        work.wait_after(Unreachable("gone"))


def test_retry_wait_after_reset_starts_with_a_short_wait() -> None:
    work = retries(TransferOptions(initial_backoff_seconds=1))
    for _ in range(5):
        assert work.wait_after(Unreachable("gone")) <= 1
        work.reset()


def test_retry_wait_after_expired_url_is_zero_twice_and_then_raises() -> None:
    work = retries(TransferOptions(), can_renew_url=True)

    assert [work.wait_after(Refused(403, "Expired.")) for _ in range(2)] == [0, 0]
    with pytest.raises(Refused):
        work.wait_after(Refused(403, "Expired."))
