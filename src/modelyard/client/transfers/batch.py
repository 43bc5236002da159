"""Push many files at once; a file that fails does not stop the others."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from modelyard.client.transfers.collect import PushRequest
from modelyard.client.transfers.push import DoubtfulPush, IdentifiedFile, PreparedPush, Pusher
from modelyard.client.transfers.push_results import PushFailed, PushResult
from modelyard.transfer.errors import TransferFailed, Unreachable
from modelyard.transfer.thread_pool import run_all, run_concurrently
from modelyard.wire.problems import Problem, SessionEnded, Unauthenticated

OnResult = Callable[[PushResult], None]
Result = TypeVar("Result")
Prepared = PreparedPush | DoubtfulPush

# A team may have 1,000 unfinished uploads, and other members push as well. Of two batches at a time.
_PREPARED_AT_ONCE = 100


async def push_all(pusher: Pusher, requests: Sequence[PushRequest], on_result: OnResult) -> list[PushResult]:
    """Push files and return their results in order; ``on_result`` gets each as it is done.

    Of up to 100 files at a time, all checks that need no upload are made before the first of them is uploaded, while
    the files before them are uploaded. Expired resume records are deleted first. A file's own failure becomes a
    ``PushFailed``.

    Raises:
        Unauthenticated, SessionEnded: the registry does not accept the caller any more, so no file can be pushed.
        Unreachable: the registry did not answer while files were checked; during an upload it is the file's failure.
    """
    results: list[PushResult] = []
    prepared: list[PushResult | Prepared] = []

    async def prepare(batch: Sequence[PushRequest]) -> None:
        """Make the checks of a batch, which is delivered next; of all files at once, as they share requests."""
        identified = await run_all([_catch(request.file, pusher.identify(request)) for request in batch])
        prepared[:] = await run_all([_prepare(pusher, each) for each in identified])

    async def deliver(batch: Sequence[PushResult | Prepared]) -> None:
        """Upload and register a batch."""
        results.extend(await run_all([_deliver(pusher, each, on_result) for each in batch]))

    await pusher.delete_expired_records()
    try:
        for start in range(0, len(requests) + _PREPARED_AT_ONCE, _PREPARED_AT_ONCE):
            await run_concurrently(prepare(requests[start : start + _PREPARED_AT_ONCE]), deliver(list(prepared)))
    finally:
        await pusher.close()
    return results


async def _prepare(pusher: Pusher, identified: PushFailed | IdentifiedFile) -> PushResult | Prepared:
    """Prepare the push of an identified file, or return its failure."""
    if isinstance(identified, PushFailed):
        return identified
    return await _catch(identified.request.file, pusher.prepare(identified))


async def _catch(file: Path, work: Awaitable[Result]) -> Result | PushFailed:
    """Await work on one file; a failure becomes a result, but those that concern all files are raised."""
    try:
        return await work
    except (Unauthenticated, SessionEnded, Unreachable):
        raise
    except (Problem, TransferFailed, ValueError, OSError) as failure:
        return PushFailed(file, failure)


async def _deliver(pusher: Pusher, prepared: PushResult | Prepared, on_result: OnResult) -> PushResult:
    """Deliver a prepared push, or take the result as it is; pass the result to ``on_result`` and return it.

    A failure becomes a result, except that the registry does not accept the caller any more.
    """
    match prepared:
        case PreparedPush() | DoubtfulPush():
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
