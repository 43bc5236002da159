"""Presigned download URLs of models, requested together for those that are downloaded one after the other."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol
from uuid import UUID

from modelyard.client.api.coalescing import Coalescer
from modelyard.wire.batches import DownloadRequest
from modelyard.wire.long_lists import MAX_BATCH_ITEMS
from modelyard.wire.models import DownloadTicket
from modelyard.wire.problems import Problem

# Registries issue URLs for 15 minutes, in which a download has to begin each of its requests.
_MAX_AGE_SECONDS = 300.0
# Larger files take so long that the URLs requested ahead of their turn would expire.
_MAX_BYTES_AHEAD = 2 * 1024**3


class ExpectedDownload(NamedTuple):
    """A version of a model that will be downloaded, and its size in bytes."""

    model_id: UUID
    version: int
    size: int


class DownloadCalls(Protocol):
    """The calls for download URLs; ``RegistryApi`` implements them."""

    async def download_ticket(self, model_id: UUID, version: int | None = None) -> DownloadTicket:
        """Return a presigned download URL for a version of a model, by default the current one."""

    async def download_tickets(self, downloads: Sequence[DownloadRequest]) -> list[DownloadTicket | Problem]:
        """Return the presigned URL or the problem of each of up to 100 downloads."""


_Key = tuple[UUID, int]


class DownloadUrls:
    """The download URLs of one registry. A request for one also asks for those of the downloads that are expected next.

    A URL that was requested ahead is used once and for at most five minutes. Bound to one event loop.
    """

    def __init__(self, registry: DownloadCalls) -> None:
        self._registry = registry
        self._requests = Coalescer(self._request_one, registry.download_tickets, MAX_BATCH_ITEMS)
        self._expected: dict[_Key, int] = {}  # to the size in bytes, in the order of the downloads
        self._ahead: dict[_Key, tuple[str, float]] = {}  # to the URL and the time of its request
        self._lock = asyncio.Lock()

    def expect(self, downloads: Iterable[ExpectedDownload]) -> None:
        """Expect these downloads, in their order, in place of those that were expected before."""
        sizes = {(model_id, version): size for model_id, version, size in downloads}
        self._ahead = {key: requested for key, requested in self._ahead.items() if key in sizes}
        self._expected = {key: size for key, size in sizes.items() if key not in self._ahead}

    async def get(self, model_id: UUID, version: int) -> str:
        """Return a URL for the file of a version; each call for the same version returns a new one.

        Raises:
            Problem, Unreachable, BadResponse: as ``RegistryApi.download_ticket``.
        """
        key = (model_id, version)
        async with self._lock:
            url, requested_at = self._ahead.pop(key, ("", 0.0))
            if url and time.monotonic() < requested_at + _MAX_AGE_SECONDS:
                return url
            self._expected.pop(key, None)
            following = list(self._list_next())
            if following:
                return await self._request_with(key, following)
        return (await self._registry.download_ticket(model_id, version)).download_url

    def _list_next(self) -> Iterator[_Key]:
        """Yield the downloads that are expected next, as many as one request may ask for besides its own."""
        size_ahead = 0
        for key, size in islice(self._expected.items(), MAX_BATCH_ITEMS - 1):
            size_ahead += size
            if size_ahead > _MAX_BYTES_AHEAD:
                return
            yield key

    async def _request_with(self, key: _Key, following: list[_Key]) -> str:
        """Request the URL of one download and those of the following ones; return the first and keep the others.

        A problem of a following one is dropped: its URL is requested again when its download begins.
        """
        calls = (self._requests.call(DownloadRequest(model_id=each[0], version=each[1])) for each in (key, *following))
        requested_at = time.monotonic()
        first, *others = await asyncio.gather(*calls, return_exceptions=True)
        for each, ticket in zip(following, others, strict=True):
            if isinstance(ticket, DownloadTicket):
                self._ahead[each] = ticket.download_url, requested_at
            if isinstance(ticket, DownloadTicket | Problem):
                self._expected.pop(each, None)
        if isinstance(first, BaseException):
            raise first
        return first.download_url

    async def _request_one(self, download: DownloadRequest) -> DownloadTicket:
        """Request the URL of one download by itself, as a registry without batches requires."""
        return await self._registry.download_ticket(download.model_id, download.version)
