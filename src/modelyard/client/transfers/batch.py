"""Push many files at once; a file that fails does not stop the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from modelyard.client.transfers.collect import PushRequest
from modelyard.client.transfers.push import PreparedPush, Pusher, PushFailed, PushResult
from modelyard.transfer.errors import TransferFailed, Unreachable
from modelyard.transfer.thread_pool import run_concurrently
from modelyard.wire.problems import Problem, SessionEnded, Unauthenticated

OnResult = Callable[[PushResult], None]
Result = TypeVar("Result")

# A team may have 1,000 unfinished uploads, and other members push as well.
_PREPARED_AT_ONCE = 200


async def push_all(pusher: Pusher, requests: Sequence[PushRequest], jobs: int, on_result: OnResult) -> list[PushResult]:
    """Push files, ``jobs`` at once, and return their results in order; ``on_result`` gets each as it is done.

    Of up to 200 files at a time, all checks that need no upload are made before the first of them is uploaded. Expired
    resume records are deleted first. A file's own failure becomes a ``PushFailed``.

    Raises:
        Unauthenticated, SessionEnded: the registry does not accept the caller any more, so no file can be pushed.
        Unreachable: the registry did not answer while files were checked; during an upload it is the file's failure.
    """
    results: list[PushResult] = []
    await pusher.delete_expired_records()
    for start in range(0, len(requests), _PREPARED_AT_ONCE):
        batch = requests[start : start + _PREPARED_AT_ONCE]
        prepared = await _run_limited(jobs, [_prepare(pusher, request) for request in batch])
        results += await _run_limited(jobs, [_deliver(pusher, each, on_result) for each in prepared])
    return results


async def _prepare(pusher: Pusher, request: PushRequest) -> PushResult | PreparedPush:
    """Prepare a push; a failure becomes a result, but those that concern all files are raised, as ``Unreachable``."""
    try:
        return await pusher.prepare(request)
    except (Unauthenticated, SessionEnded, Unreachable):
        raise
    except (Problem, TransferFailed, ValueError, OSError) as failure:
        return PushFailed(request.file, failure)


async def _deliver(pusher: Pusher, prepared: PushResult | PreparedPush, on_result: OnResult) -> PushResult:
    """Deliver a prepared push, or take the result as it is; pass the result to ``on_result`` and return it.

    A failure becomes a result, except that the registry does not accept the caller any more.
    """
    match prepared:
        case PreparedPush():
            try:
                result: PushResult = await pusher.deliver(prepared)
            except (Unauthenticated, SessionEnded):
                raise
            except (Problem, TransferFailed, ValueError, OSError) as failure:
                result = PushFailed(prepared.request.file, failure)
        case _:
            result = prepared
    on_result(result)
    return result


async def _run_limited(jobs: int, tasks: Sequence[Awaitable[Result]]) -> list[Result]:
    """Await at most ``jobs`` at once and return the results in order; the first exception cancels the others.

    The exception is raised as it is, not in a group.
    """
    free = asyncio.Semaphore(jobs)
    results: dict[int, Result] = {}

    async def run(index: int, task: Awaitable[Result]) -> None:
        """Await one task once there is a free place, and store its result."""
        async with free:
            results[index] = await task

    await run_concurrently(*(run(index, task) for index, task in enumerate(tasks)))
    return [results[index] for index in range(len(tasks))]
