"""How the groups of calls send requests, read results of batches, and get presigned URLs."""

from dataclasses import replace
from typing import TypeVar

from pydantic import BaseModel

from modelyard.client.api.http import DEFAULT_RETRY_SECONDS, Call, HttpChannel, Shape
from modelyard.transfer.errors import Unreachable
from modelyard.wire import problems
from modelyard.wire.schemas import ProblemBody

Result = TypeVar("Result", bound=BaseModel)


class ChannelCalls:
    """The base of the groups of calls; ``RegistryApi`` opens and closes the channel."""

    _channel: HttpChannel

    async def _get(self, shape: type[Shape], path: str, query: dict[str, str] | None = None) -> Shape:
        """Send a GET, which is retried, and parse the response."""
        return await self._channel.request(shape, Call("GET", path, query=query or {}, repeatable=True))

    async def _post(
        self, shape: type[Shape], path: str, body: BaseModel | bytes | None = None, *, repeatable: bool = False
    ) -> Shape:
        """Send a POST with an optional body, and parse the response."""
        return await self._channel.request(shape, Call("POST", path, body, repeatable=repeatable))

    async def _request_urls(self, shape: type[Shape], call: Call) -> Shape:
        """Request presigned URLs for a transfer, with retries for at most 4 seconds.

        The transfer itself repeats requests that fail, reports it, and decides when to give up.

        Raises:
            Unreachable: the registry did not respond, or responded that it is unavailable.
        """
        try:
            return await self._channel.request(
                shape, replace(call, repeatable=True, max_retry_seconds=DEFAULT_RETRY_SECONDS)
            )
        except problems.Unavailable as problem:
            raise Unreachable(f"{self._channel.url} cannot answer now: {problem}") from None


def unpack_result(result: Result | ProblemBody) -> Result | problems.Problem:
    """Return an item's result of a batch, or its problem as an exception."""
    return (
        problems.parse_problem(result.status, result.model_dump(exclude_unset=True))
        if isinstance(result, ProblemBody)
        else result
    )
