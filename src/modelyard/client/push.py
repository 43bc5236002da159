"""A file becomes a model."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelyard.client.lookup import model_at
from modelyard.client.registry import Registry
from modelyard.client.selection import PushRequest
from modelyard.client.sending import Delivery, Sending, Way, goes_in_parts
from modelyard.client.settings import ClientSettings
from modelyard.client.unfinished import UnfinishedUploads
from modelyard.transfer.hashing import DigestCache
from modelyard.transfer.network import USUAL, Network
from modelyard.transfer.progress import Event
from modelyard.transfer.source import Identity
from modelyard.wire import problems
from modelyard.wire.models import Model, NewModel
from modelyard.wire.uploads import UploadRequest, UploadTicket

Outcome = Literal["registered", "replaced", "already there", "failed"]

_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class Reading:
    """The registry reads the bytes of a file before anybody may download them."""

    path: Path


PushEvent = Event | Reading


@dataclass(frozen=True)
class Pushed:
    """What became of one file; ``failure`` where it failed, ``model`` in every other case."""

    file: Path
    outcome: Outcome
    model: Model | None = None
    failure: Exception | None = None


@dataclass(frozen=True)
class Prepared:
    """A push that nothing stands in the way of, as far as can be known without its bytes."""

    request: PushRequest
    holder: Model | None
    asked: UploadRequest
    ticket: UploadTicket | None
    memory: str


class Pushing:
    """What pushes files into one team of a registry, remembering between runs what it sent and hashed."""

    def __init__(
        self,
        registry: Registry,
        settings: ClientSettings,
        report: Callable[[PushEvent], None],
        *,
        wait: bool = True,
        network: Network = USUAL,
    ) -> None:
        self._registry = registry
        self._report = report
        self._wait = wait
        self._unfinished = UnfinishedUploads(settings.state_dir / "uploads")
        self._digests = DigestCache(settings.cache_dir / "digests.sqlite")
        self._sending = Sending(registry, self._unfinished, self._digests, Way(report, network))

    async def push(self, request: PushRequest) -> Pushed:
        """Make the file a model, sending only what the registry does not have.

        Raises:
            Problem: the registry refused; before the first byte wherever that is possible.
            TransferFailed: the bytes did not get there; the next push goes on where this one stopped.
        """
        prepared = await self.prepare(request)
        return prepared if isinstance(prepared, Pushed) else await self.deliver(prepared)

    async def prepare(self, request: PushRequest) -> Pushed | Prepared:
        """Ask everything that can be refused before the first byte."""
        identity, known = await asyncio.to_thread(self._look_at, request.file)
        holder = await model_at(self._registry, request.model_type, request.model_path)
        if holder is not None and known is None and holder.file_size == identity.size:
            known = await self._sending.hash_of(request.file)
        if holder is not None and holder.file_hash == known and holder.verification != "failed":
            return Pushed(request.file, "already there", await self._verified(request, holder))
        if holder is not None and holder.file_hash != known and not request.replace:
            raise _taken(holder)

        asked = _upload_request(request, identity.size, known, holder)
        memory = self._unfinished.name(
            self._registry.url, self._registry.team, request.path_key, str(request.file.absolute()), *identity
        )
        if await self._unfinished.find(memory) is not None:
            return Prepared(request, holder, asked, None, memory)
        ticket = await self._registry.presign_upload(asked)
        if ticket.hash_first and known is None:
            asked = _upload_request(request, identity.size, await self._sending.hash_of(request.file), holder)
            ticket = await self._registry.presign_upload(asked)
        return Prepared(request, holder, asked, ticket, memory)

    async def deliver(self, prepared: Prepared) -> Pushed:
        """Send what is missing and name it; see ``push`` for what is raised."""
        request, ticket = prepared.request, prepared.ticket
        in_parts = ticket is None or goes_in_parts(ticket, prepared.asked.file_size)
        async with self._remembered(prepared.memory if in_parts else None) as memory:
            if ticket is not None and ticket.already_stored and prepared.asked.file_hash is not None:
                storage_key, file_hash = ticket.storage_key, prepared.asked.file_hash
            else:
                delivery = Delivery(request.file, prepared.asked, memory)
                storage_key, file_hash = await self._sending.send(delivery, ticket)
            created = await self._registry.create_model(_new_model(prepared, storage_key, file_hash))
        model = await self._registry.get_model(created.id)
        replaced = prepared.holder is not None and prepared.holder.id != model.id
        return Pushed(request.file, "replaced" if replaced else "registered", await self._verified(request, model))

    @asynccontextmanager
    async def _remembered(self, memory: str | None) -> AsyncIterator[str | None]:
        """Hold the memory of an upload until it is a model, or until it can never be one; None has none to hold."""
        if memory is None:
            yield None
            return
        async with self._unfinished.alone(memory) as is_alone:
            try:
                yield memory if is_alone else None
            except (problems.HashMismatch, problems.NotAModelFile, problems.UploadNotFound, problems.UploadUsed):
                await self._unfinished.forget(memory)
                raise
            if is_alone:
                await self._unfinished.forget(memory)

    async def _verified(self, request: PushRequest, model: Model) -> Model:
        """The model once the registry has read its bytes, if that is waited for."""
        wait = _FIRST_WAIT_SECONDS
        while self._wait and model.verification == "pending":
            self._report(Reading(request.file))
            await asyncio.sleep(wait)
            wait = min(_LONGEST_WAIT_SECONDS, wait * 1.5)
            model = await self._registry.get_model(model.id)
        if model.verification == "failed":
            raise problems.HashMismatch(
                model.verification_error or "The registry read other bytes than were declared.", model_id=str(model.id)
            )
        return model

    async def sweep(self) -> None:
        """Forget uploads that no registry remembers any more."""
        await self._unfinished.sweep()

    def _look_at(self, file: Path) -> tuple[Identity, str | None]:
        """What the file is now, and its hash if it was hashed before. For threads."""
        status = file.stat()
        identity = Identity(status.st_size, status.st_mtime_ns, status.st_ino)
        known = self._digests.known(file, identity)
        return identity, None if known is None else f"sha256:{known}"


def _upload_request(request: PushRequest, size: int, file_hash: str | None, holder: Model | None) -> UploadRequest:
    return UploadRequest(
        file_name=request.file.name,
        file_size=size,
        model_type=request.model_type,
        model_path=request.model_path,
        file_hash=file_hash,
        replaces=None if holder is None else holder.id,
    )


def _new_model(prepared: Prepared, storage_key: str, file_hash: str) -> NewModel:
    request, holder = prepared.request, prepared.holder
    return NewModel(
        **request.notes.model_dump(exclude_unset=True),
        display_name=request.display_name,
        model_type=request.model_type,
        model_path=request.model_path,
        storage_key=storage_key,
        file_size=prepared.asked.file_size,
        file_hash=file_hash,
        replaces=None if holder is None else holder.id,
    )


def _taken(holder: Model) -> problems.ModelPathTaken:
    """What the registry itself would say after the last byte."""
    return problems.ModelPathTaken(
        f"'{holder.model_path}' holds other bytes.",
        model_id=str(holder.id),
        model_path=holder.model_path,
        held_hash=holder.file_hash,
    )
