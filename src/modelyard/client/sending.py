"""How a file's bytes get under a storage key: whole or in parts, from where an earlier run stopped, hashed beside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelyard.client.registry import Registry
from modelyard.client.unfinished import Unfinished, UnfinishedUploads
from modelyard.transfer.connection import Request
from modelyard.transfer.crew import together
from modelyard.transfer.failures import Refused
from modelyard.transfer.hashing import DigestCache, sha256_of
from modelyard.transfer.network import USUAL, Network
from modelyard.transfer.parts import cut
from modelyard.transfer.progress import Event, Hashed, Report, Resumed, Sent
from modelyard.transfer.retry import expired
from modelyard.transfer.upload import send_parts, send_whole
from modelyard.wire import problems
from modelyard.wire.uploads import (
    Multipart,
    MultipartCompletion,
    MultipartRequest,
    NamedPart,
    PartsRequest,
    UploadRequest,
    UploadTicket,
)

# A single PUT cannot go on where it stopped. Below this, sending again costs less than the calls for parts.
SINGLE_PUT_UP_TO = 128 * 1024 * 1024


def goes_in_parts(ticket: UploadTicket, size: int) -> bool:
    return not ticket.already_stored and (ticket.multipart_required or size > SINGLE_PUT_UP_TO)


@dataclass(frozen=True)
class Way:
    """How bytes travel: over which network, and who hears about it."""

    report: Report
    network: Network = USUAL


@dataclass(frozen=True)
class Delivery:
    """A file, what was asked for it, and under which name its upload is remembered."""

    file: Path
    asked: UploadRequest
    memory: str | None  # None: another process works on the same upload, so this one is not remembered


class Sending:
    """What sends files: a registry, the memory of earlier runs, and whoever wants to hear about it."""

    def __init__(self, registry: Registry, unfinished: UnfinishedUploads, digests: DigestCache, way: Way) -> None:
        self._registry = registry
        self._unfinished = unfinished
        self._digests = digests
        self._report = way.report
        self._network = way.network

    async def hash_of(self, file: Path) -> str:
        """The file's hash as the registry writes it."""
        return f"sha256:{await sha256_of(file, self._report, cache=self._digests)}"

    async def send(self, delivery: Delivery, ticket: UploadTicket | None) -> tuple[str, str]:
        """The storage key that holds the file now, and the file's hash.

        ``ticket`` is None where an earlier run has an upload to go on with.
        """
        storage_key = file_hash = ""
        is_sent = False

        def heard(event: Event) -> None:
            # While both run, what was sent is what people wait for.
            if is_sent or not isinstance(event, Hashed):
                self._report(event)

        async def send() -> None:
            nonlocal storage_key, is_sent
            storage_key = await self._send_bytes(delivery, ticket)
            is_sent = True

        async def digest() -> None:
            nonlocal file_hash
            file_hash = delivery.asked.file_hash or ""
            if not file_hash:
                file_hash = f"sha256:{await sha256_of(delivery.file, heard, cache=self._digests)}"

        await together(send(), digest())
        return storage_key, file_hash

    async def _send_bytes(self, delivery: Delivery, ticket: UploadTicket | None) -> str:
        if ticket is None:
            resumed = await self._resume(delivery)
            if resumed is not None:
                return resumed
            ticket = await self._registry.presign_upload(delivery.asked)
        if goes_in_parts(ticket, delivery.asked.file_size):
            return await self._begin_parts(delivery, ticket)
        return await self._send_whole(delivery, ticket)

    async def _send_whole(self, delivery: Delivery, ticket: UploadTicket) -> str:
        try:
            await self._put(delivery, ticket)
        except Refused as refused:
            if not expired(refused):
                raise
            # It waited in the queue for too long.
            ticket = await self._registry.presign_upload(delivery.asked)
            await self._put(delivery, ticket)
        return ticket.storage_key

    async def _put(self, delivery: Delivery, ticket: UploadTicket) -> None:
        request = Request(ticket.upload_url, ticket.upload_headers)
        await send_whole(delivery.file, request, self._report, network=self._network)

    async def _begin_parts(self, delivery: Delivery, ticket: UploadTicket) -> str:
        request = MultipartRequest(storage_key=ticket.storage_key, file_size=delivery.asked.file_size)
        started = await self._registry.start_multipart(request)
        unfinished = Unfinished(
            storage_key=started.storage_key, upload_id=started.upload_id, part_size=started.part_size
        )
        if delivery.memory is not None:
            await self._unfinished.keep(delivery.memory, unfinished)
        await self._send_missing(delivery, unfinished, {})
        return ticket.storage_key

    async def _resume(self, delivery: Delivery) -> str | None:
        """The key of an upload that an earlier run began, now whole; None if the registry has given it up."""
        unfinished = None if delivery.memory is None else await self._unfinished.find(delivery.memory)
        if unfinished is None:
            return None
        names = Multipart(storage_key=unfinished.storage_key, upload_id=unfinished.upload_id)
        try:
            if unfinished.sent is not None:
                await self._complete(names, unfinished.sent)
                return unfinished.storage_key
            stored = await self._registry.list_parts(names)
        except (problems.UploadNotFound, problems.PartsWrong):
            return None
        sizes = {part.number: part.size for part in cut(delivery.asked.file_size, unfinished.part_size)}
        held = {part.part_number: part.etag for part in stored.part_list if sizes.get(part.part_number) == part.size}
        kept = sum(sizes[number] for number in held)
        self._report(Resumed(delivery.file, kept, delivery.asked.file_size))
        await self._send_missing(delivery, unfinished, held)
        return unfinished.storage_key

    async def _send_missing(self, delivery: Delivery, unfinished: Unfinished, held: Mapping[int, str]) -> None:
        names = Multipart(storage_key=unfinished.storage_key, upload_id=unfinished.upload_id)
        parts = cut(delivery.asked.file_size, unfinished.part_size)
        missing = [part for part in parts if part.number not in held]
        there = sum(part.size for part in parts) - sum(part.size for part in missing)

        async def fresh(numbers: Sequence[int]) -> Mapping[int, Request]:
            request = PartsRequest(**names.model_dump(), part_numbers=list(numbers))
            tickets = await self._registry.presign_parts(request)
            return {each.part_number: Request(each.upload_url, each.upload_headers) for each in tickets.part_list}

        sent = await send_parts(
            delivery.file, missing, fresh, report=_counting_from(there, self._report), network=self._network
        )
        etags = dict(held) | {part.number: part.etag for part in sent}
        named = [NamedPart(part_number=number, etag=etag) for number, etag in sorted(etags.items())]
        if delivery.memory is not None:
            # Completing may be repeated, so from here on a killed push repeats nothing else.
            await self._unfinished.keep(delivery.memory, unfinished.model_copy(update={"sent": named}))
        await self._complete(names, named)

    async def _complete(self, names: Multipart, parts: list[NamedPart]) -> None:
        await self._registry.complete_multipart(MultipartCompletion(**names.model_dump(), part_list=parts))


def _counting_from(there: int, report: Report) -> Callable[[Event], None]:
    def counted(event: Event) -> None:
        report(Sent(event.path, event.done + there, event.total) if isinstance(event, Sent) else event)

    return counted
