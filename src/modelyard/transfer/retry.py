"""Retries: which failures are temporary, the backoff between attempts, and when a transfer gives up."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from modelyard.transfer.errors import BadResponse, Redirected, Refused, RetriesExhausted, TransferFailed, Unreachable
from modelyard.transfer.options import TransferOptions
from modelyard.transfer.progress import ByteCounter, OnProgress, Retrying

Result = TypeVar("Result")

# 409: another writer holds the part, usually our own previous attempt; S3 also answers it to concurrent conditional
# writes.
_RETRYABLE_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_EXPIRED_CODES = frozenset({"ExpiredToken", "RequestExpired", "url_expired"})
_MAX_URL_RENEWALS = 2
_MAX_RETRY_AFTER_SECONDS = 300.0


def is_retryable(failure: TransferFailed) -> bool:
    """Return whether the same request may succeed later: no or a wrong response, a temporary status, a bad checksum."""
    match failure:
        case Redirected():
            return False
        case Unreachable() | BadResponse():
            return True
        case Refused():
            return failure.status in _RETRYABLE_STATUSES or _is_checksum_mismatch(failure)
        case _:
            return False


def is_url_expired(failure: TransferFailed) -> bool:
    """Return whether a new presigned URL may help: the server answered 401, 403 or an expiry code."""
    return isinstance(failure, Refused) and (failure.status in {401, 403} or failure.code in _EXPIRED_CODES)


def _is_checksum_mismatch(refused: Refused) -> bool:
    """Return whether a refusal is a 400 with a code for wrong checksums: ``BadDigest`` (S3), ``checksum_wrong``."""
    code = (refused.code or "").lower()
    return refused.status == 400 and ("digest" in code or "checksum" in code)


class RetryDeadline:
    """The time limit without progress of a transfer, shared by its parts: one failing part waits while others progress.

    ``counter`` counts the bytes of the whole transfer; every new maximum is progress.
    """

    def __init__(self, options: TransferOptions, counter: ByteCounter, path: Path, on_progress: OnProgress) -> None:
        self.options = options
        self._counter = counter
        self._path = path
        self._on_progress = on_progress
        self._failing_since: float | None = None
        self._failures = 0
        self._reported_until = 0.0

    def wait_after(self, failure: TransferFailed, wait: float) -> float:
        """Count a failure, and return how many seconds the caller has to wait before the next try.

        That is ``wait``, or less if less time is left. Sends a ``Retrying`` event, unless the wait of the last such
        event has not ended.

        Raises:
            RetriesExhausted: there was no progress for ``options.no_progress_timeout_seconds``.
        """
        now = time.monotonic()
        # Measured from the first failure: a transfer that waits for a slot has not failed.
        if self._failing_since is None or self._counter.advanced_at > self._failing_since:
            self._failing_since, self._failures = now, 0
        self._failures += 1
        left = self.options.no_progress_timeout_seconds - (now - self._failing_since)
        if left <= 0:
            raise RetriesExhausted(failure, now - self._failing_since, self._failures) from failure
        wait = min(wait, left)
        # Parts that wait for the same store are reported once.
        if now >= self._reported_until:
            self._reported_until = now + wait
            self._counter.reported = None
            self._on_progress(Retrying(self._path, str(failure), wait, failure.store, left))
        return wait


class RetryPolicy:
    """The consecutive failures of one operation, and the backoff after them.

    ``can_renew_url``: each attempt may request a new presigned URL. Otherwise an expired URL is a final failure.
    """

    def __init__(self, deadline: RetryDeadline, *, can_renew_url: bool) -> None:
        self._deadline = deadline
        self._can_renew_url = can_renew_url
        self._failed = 0
        self._expired = 0

    def reset(self) -> None:
        """Reset the backoff and the count of expired URLs after progress; the time limit is the deadline's."""
        self._failed = 0
        self._expired = 0

    def wait_after(self, failure: TransferFailed) -> float:
        """Count a failure, and return how many seconds the caller has to wait before the next try.

        0 after an expired URL.

        Raises:
            TransferFailed: ``failure`` itself, if retrying does not help, or at the third expired URL since ``reset``.
            RetriesExhausted: the transfer made no progress within its time limit.
        """
        if self._can_renew_url and is_url_expired(failure):
            self._expired += 1
            if self._expired > _MAX_URL_RENEWALS:
                raise failure
            return 0.0
        if not is_retryable(failure):
            raise failure
        self._failed += 1
        return self._deadline.wait_after(failure, self._compute_backoff(failure))

    def _compute_backoff(self, failure: TransferFailed) -> float:
        """Return the exponential backoff in seconds, with jitter; at least ``Retry-After``, up to 300 seconds of it."""
        options = self._deadline.options
        wait = min(options.max_backoff_seconds, options.initial_backoff_seconds * 2.0 ** min(self._failed - 1, 32))
        # Jitter, so that many machines do not retry at the same moment.
        wait *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, not security-relevant
        if isinstance(failure, Refused) and failure.retry_after is not None:
            wait = max(wait, min(failure.retry_after, _MAX_RETRY_AFTER_SECONDS))
        return wait


async def retry_until_done(attempt: Callable[[], Awaitable[Result]], retries: RetryPolicy) -> Result:
    """Call ``attempt`` until it succeeds and return its result; ``retries`` decides about waiting and giving up.

    Only ``TransferFailed`` is retried.
    """
    while True:
        try:
            return await attempt()
        except TransferFailed as failure:
            wait = retries.wait_after(failure)
        await asyncio.sleep(wait)


def get_store_address(url: str) -> str | None:
    """Return the host and port of a presigned URL for messages; None if the URL is invalid."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or None
    except ValueError:
        return None
