"""Which failures pass, and how long to wait for that."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from modelyard.transfer.failures import BadAnswer, Refused, TransferFailed, Unreachable
from modelyard.transfer.network import Network
from modelyard.transfer.progress import Report, Retrying

Result = TypeVar("Result")

# 409: another writer holds the part, usually our own last try that the store has not given up yet; S3 answers it to
# racing conditional writes.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_EXPIRED_CODES = frozenset({"ExpiredToken", "RequestExpired", "url_expired"})
_FRESH_URLS_IN_A_ROW = 2
_LONGEST_RETRY_AFTER_SECONDS = 300.0


def passes(failure: TransferFailed) -> bool:
    """Whether the same request may work later."""
    match failure:
        case Unreachable() | BadAnswer():
            return True
        case Refused():
            return failure.status in _PASSING or _garbled_on_the_way(failure)
        case _:
            return False


def expired(failure: TransferFailed) -> bool:
    """Whether a fresh URL may help."""
    return isinstance(failure, Refused) and (failure.status in {401, 403} or failure.code in _EXPIRED_CODES)


def _garbled_on_the_way(refused: Refused) -> bool:
    """The store found another checksum than was signed: ``BadDigest`` in S3, ``checksum_wrong`` in ours."""
    code = (refused.code or "").lower()
    return refused.status == 400 and ("digest" in code or "checksum" in code)


class Tries:
    """The failures in a row of one piece of work. ``renews``: each try may ask for a fresh URL."""

    def __init__(self, network: Network, *, renews: bool) -> None:
        self._network = network
        self._renews = renews
        self._failed = 0
        self._expired = 0

    def progressed(self) -> None:
        """Start counting anew: something got through."""
        self._failed = 0
        self._expired = 0

    def wait_after(self, failure: TransferFailed) -> float:
        """Seconds to wait before the next try.

        Raises:
            TransferFailed: the failure itself, if it does not pass or was one too many.
        """
        if self._renews and expired(failure):
            self._expired += 1
            if self._expired > _FRESH_URLS_IN_A_ROW:
                raise failure
            return 0.0
        self._failed += 1
        if not passes(failure) or self._failed >= self._network.tries:
            raise failure
        return self._wait(failure)

    def _wait(self, failure: TransferFailed) -> float:
        longest = self._network.longest_wait_seconds
        wait = min(longest, self._network.first_wait_seconds * 2.0 ** (self._failed - 1))
        # Jitter, so that fifty machines that lost one server do not come back as one.
        wait *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        if isinstance(failure, Refused) and failure.retry_after is not None:
            wait = max(wait, min(failure.retry_after, _LONGEST_RETRY_AFTER_SECONDS))
        return wait


async def until_done(attempt: Callable[[], Awaitable[Result]], tries: Tries, path: Path, report: Report) -> Result:
    """The result of ``attempt``, called until it works or ``tries`` gives up."""
    while True:
        try:
            return await attempt()
        except TransferFailed as failure:
            wait = tries.wait_after(failure)
            report(Retrying(path, str(failure), wait))
        await asyncio.sleep(wait)
