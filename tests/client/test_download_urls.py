import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from modelyard.client.api.download_urls import DownloadUrls, ExpectedDownload
from modelyard.wire.batches import DownloadRequest
from modelyard.wire.models import DownloadTicket
from modelyard.wire.problems import ModelDamaged, Problem, RouteNotFound

IDS = [uuid4() for _ in range(250)]


class Tickets:
    """A registry that numbers its URLs, has damaged models, and records the ids of each request."""

    def __init__(self) -> None:
        self.requests: list[list[UUID]] = []
        self.damaged: set[UUID] = set()
        self.has_batches = True
        self._issued = 0

    async def download_ticket(self, model_id: UUID, version: int | None = None) -> DownloadTicket:
        self.requests.append([model_id])
        ticket = self._issue(model_id, version)
        if isinstance(ticket, Problem):
            raise ticket
        return ticket

    async def download_tickets(self, downloads: Sequence[DownloadRequest]) -> list[DownloadTicket | Problem]:
        if not self.has_batches:
            raise RouteNotFound("No such route.")
        self.requests.append([each.model_id for each in downloads])
        return [self._issue(each.model_id, each.version) for each in downloads]

    def _issue(self, model_id: UUID, version: int | None) -> DownloadTicket | Problem:
        if model_id in self.damaged:
            return ModelDamaged("Damaged.")
        self._issued += 1
        url = f"http://store/{IDS.index(model_id)}/{version}?{self._issued}"
        return DownloadTicket(download_url=url, expires_at=datetime.now(UTC))


def expect(ids: Sequence[UUID], size: int = 1_000_000) -> list[ExpectedDownload]:
    return [ExpectedDownload(model_id, 1, size) for model_id in ids]


async def test_expected_downloads_share_a_request_for_each_hundred() -> None:
    tickets = Tickets()
    urls = DownloadUrls(tickets)
    urls.expect(expect(IDS))
    received = [await urls.get(model_id, 1) for model_id in IDS]
    assert [url.rpartition("?")[0] for url in received] == [f"http://store/{number}/1" for number in range(250)]
    assert tickets.requests == [IDS[:100], IDS[100:200], IDS[200:]]


async def test_concurrent_downloads_wait_for_the_request_that_includes_them() -> None:
    tickets = Tickets()
    urls = DownloadUrls(tickets)
    urls.expect(expect(IDS[:8]))
    await asyncio.gather(*(urls.get(model_id, 1) for model_id in IDS[:4]))
    assert tickets.requests == [IDS[:8]]


async def test_url_that_was_used_is_requested_anew() -> None:
    tickets = Tickets()
    urls = DownloadUrls(tickets)
    urls.expect(expect(IDS[:2]))
    assert await urls.get(IDS[0], 1) != await urls.get(IDS[0], 1)
    assert tickets.requests == [IDS[:2], IDS[:1]]


async def test_urls_of_large_downloads_are_not_requested_ahead() -> None:
    tickets = Tickets()
    urls = DownloadUrls(tickets)
    urls.expect(expect(IDS[:4], 6_000_000_000))
    await urls.get(IDS[0], 1)
    assert tickets.requests == [IDS[:1]]


async def test_problem_of_a_later_download_is_raised_by_its_own_call() -> None:
    tickets = Tickets()
    tickets.damaged = {IDS[1]}
    urls = DownloadUrls(tickets)
    urls.expect(expect(IDS[:3]))
    await urls.get(IDS[0], 1)
    with pytest.raises(ModelDamaged):
        await urls.get(IDS[1], 1)
    await urls.get(IDS[2], 1)
    assert tickets.requests == [IDS[:3], [IDS[1]]]


async def test_new_plan_keeps_urls_that_it_still_needs() -> None:
    tickets = Tickets()
    urls = DownloadUrls(tickets)
    urls.expect(expect(IDS[:3]))
    await urls.get(IDS[0], 1)
    urls.expect(expect(IDS[1:2]))
    await urls.get(IDS[1], 1)
    assert tickets.requests == [IDS[:3]]


async def test_registry_without_batches_gets_single_requests() -> None:
    tickets = Tickets()
    tickets.has_batches = False
    urls = DownloadUrls(tickets)
    urls.expect(expect(IDS[:3]))
    for model_id in IDS[:3]:
        await urls.get(model_id, 1)
    assert sorted(tickets.requests) == sorted([[model_id] for model_id in IDS[:3]])
