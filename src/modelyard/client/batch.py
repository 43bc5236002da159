"""Pushing many files at once, so that one that fails leaves the others alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from modelyard.client.push import Prepared, Pushed, Pushing
from modelyard.client.selection import PushRequest
from modelyard.transfer.crew import together
from modelyard.transfer.failures import TransferFailed, Unreachable
from modelyard.wire.problems import Problem, SessionEnded, Unauthenticated

Settled = Callable[[Pushed], None]
Result = TypeVar("Result")

# A team may have 1,000 unfinished uploads, and other members push as well.
_ASKED_AT_ONCE = 200


async def push_all(pushing: Pushing, requests: Sequence[PushRequest], jobs: int, settled: Settled) -> list[Pushed]:
    """Push many files, ``jobs`` at once; ``settled`` hears of each as it is done.

    Of two hundred files at a time, everything refusable is asked before the first byte of any of them.

    Raises:
        Unauthenticated, SessionEnded: the registry knows the caller no longer, so no file can go on.
        Unreachable: the registry was not there when it was asked about a file.
    """
    results: list[Pushed] = []
    await pushing.sweep()
    for start in range(0, len(requests), _ASKED_AT_ONCE):
        batch = requests[start : start + _ASKED_AT_ONCE]
        prepared = await _limited(jobs, [_prepared(pushing, request) for request in batch])
        pairs = zip(batch, prepared, strict=True)
        results += await _limited(jobs, [_delivered(pushing, request, each, settled) for request, each in pairs])
    return results


async def _prepared(pushing: Pushing, request: PushRequest) -> Pushed | Prepared:
    try:
        return await pushing.prepare(request)
    except (Unauthenticated, SessionEnded, Unreachable):
        raise
    except (Problem, TransferFailed, ValueError, OSError) as failure:
        return Pushed(request.file, "failed", failure=failure)


async def _delivered(pushing: Pushing, request: PushRequest, prepared: Pushed | Prepared, settled: Settled) -> Pushed:
    try:
        result = await pushing.deliver(prepared) if isinstance(prepared, Prepared) else prepared
    except (Unauthenticated, SessionEnded):
        raise
    except (Problem, TransferFailed, ValueError, OSError) as failure:
        result = Pushed(request.file, "failed", failure=failure)
    settled(result)
    return result


async def _limited(jobs: int, works: Sequence[Awaitable[Result]]) -> list[Result]:
    """The results in order, ``jobs`` at once; the first failure ends all and comes out bare."""
    free = asyncio.Semaphore(jobs)
    results: dict[int, Result] = {}

    async def run(index: int, work: Awaitable[Result]) -> None:
        async with free:
            results[index] = await work

    await together(*(run(index, work) for index, work in enumerate(works)))
    return [results[index] for index in range(len(works))]
