"""What a registry says of folder models: the lists of their files, which are verified, and the URLs of the files."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from modelyard.client.api.paging import Paging, list_pages
from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.folder_lists import FolderLists
from modelyard.transfer.errors import TransferFailed, is_without_response
from modelyard.transfer.thread_pool import Result, ThreadPool
from modelyard.wire.agents.manifests import ManifestEntry
from modelyard.wire.folders.manifest import (
    FolderFile,
    build_manifest,
    get_file_hash,
    is_encodable,
    parse_manifest,
    sort_files,
)
from modelyard.wire.folders.names import MAX_FILES, FolderInvalid
from modelyard.wire.folders.schemas import FolderFileList
from modelyard.wire.problems import Problem

# Registries issue URLs for 15 minutes, in which a download has to begin each of its requests.
_MAX_AGE_SECONDS = 300.0
_hash = re.compile(r"sha256:([0-9a-f]{64})")


class FileListCalls(Protocol):
    """The call for lists of files; ``RegistryApi`` implements it."""

    async def list_model_files(
        self, model_id: UUID, paging: Paging = ..., version: int | None = None
    ) -> FolderFileList:
        """Return one page of the files of a version."""


@dataclass
class _UrlPage:
    """The URLs of one page of files that are not used yet, by path, and where this page and the next one begin."""

    urls: dict[str, str]
    cursor: str
    next_cursor: str | None
    requested_at: float


class FolderSources:
    """The lists and URLs of one registry. Bound to one event loop.

    A list is requested once for each content, and kept in the state file.
    """

    def __init__(self, registry: FileListCalls, lists: FolderLists) -> None:
        self._registry = registry
        self._lists = lists
        self._known: dict[str, tuple[FolderFile, ...]] = {}
        self._pages: dict[tuple[UUID, int], _UrlPage] = {}
        self._unreachable_reason: str | None = None  # of this ``load_lists``: a second request would fail too

    async def load_lists(self, entries: Iterable[ManifestEntry]) -> dict[str, tuple[FolderFile, ...] | str]:
        """Return the files of each folder among the entries by the hash of its manifest, or why they are not known.

        Lists that are not stored on this machine are requested and, once verified, stored. After a request without a
        response, no more are sent in this call. Pages of URLs of other versions are dropped.

        Raises:
            StateFileError: see ``StateFile``.
        """
        files: dict[str, tuple[FolderFile, ...] | str] = {}
        versions: set[tuple[UUID, int]] = set()
        self._unreachable_reason = None
        for entry in entries:
            if entry.is_folder and (match := _hash.fullmatch(entry.file_hash)):
                versions.add((entry.id, entry.version))
                if match[1] not in files:
                    files[match[1]] = await self._load_list(entry, match[1])
        self._known = {sha256: listed for sha256, listed in files.items() if not isinstance(listed, str)}
        # Downloads that run continue with their pages.
        self._pages = {key: page for key, page in self._pages.items() if key in versions}
        return files

    async def get_url(self, desired: DesiredModel) -> str:
        """Return a URL of one file of a folder, whose path is ``desired.file_path``; requested pages of URLs are kept.

        Files are downloaded in the order of the list, so one page serves many of them. Each URL is returned once.

        Raises:
            NotPlaced: the registry does not list the file.
            Problem, TransferFailed: see ``RegistryApi.list_model_files``.
        """
        key, path = (desired.id, desired.version), desired.file_path or ""
        page = self._pages.get(key)
        if page is not None and path in page.urls and time.monotonic() - page.requested_at < _MAX_AGE_SECONDS:
            return page.urls.pop(path)
        starts = ([page.next_cursor, page.cursor] if page is not None else []) + [""]
        for start in dict.fromkeys(each for each in starts if each is not None):
            cursor: str | None = start
            for _ in range(MAX_FILES):
                if cursor is None:
                    break
                page = self._pages[key] = await self._request_urls(desired, cursor)
                if path in page.urls:
                    return page.urls.pop(path)
                # Only the search from the first page goes through all of them.
                cursor = page.next_cursor if start == "" else None
        raise NotPlaced(
            "failed", f"The registry does not list {quoted(path)} of {quoted(desired.model_path)} any more."
        )

    async def _request_urls(self, desired: DesiredModel, cursor: str) -> _UrlPage:
        """Return the URLs of one page."""
        listed = await self._registry.list_model_files(desired.id, Paging(cursor=cursor), desired.version)
        urls = {file.path: file.download_url for file in listed.file_list}
        return _UrlPage(urls, cursor, listed.page_meta.next_cursor, time.monotonic())

    async def _load_list(self, entry: ManifestEntry, sha256: str) -> tuple[FolderFile, ...] | str:
        """Return a folder's list of files, known, stored or requested; or a sentence that says why there is none.

        A requested list is verified by its hash and stored. A registry that does not respond is not asked again in this
        round.
        """
        if (known := self._known.get(sha256)) is not None:
            return known
        if (kept := await _run_in_thread(lambda: self._lists.find(sha256))) is not None:
            return kept
        if self._unreachable_reason is not None:
            return self._unreachable_reason
        try:
            files = await self._request_list(entry)
        except (Problem, TransferFailed) as failure:
            reason = f"Its list of files cannot be read: {failure}"
            if is_without_response(failure):
                self._unreachable_reason = reason
            return reason
        if files is None or get_file_hash(build_manifest(files)) != f"sha256:{sha256}":
            return (
                "The registry's list of its files does not have the hash that the registry gives for the model. It is"
                " not downloaded."
            )
        try:
            # Its names are checked for each path that has the list, see ``sync.desired``.
            parse_manifest(build_manifest(files))
        except FolderInvalid as invalid:
            return f"The registry's list of its files is invalid: {invalid}"
        await _run_in_thread(lambda: self._lists.save(sha256, files))
        return files

    async def _request_list(self, entry: ManifestEntry) -> tuple[FolderFile, ...] | None:
        """Return the registry's list of the files of an entry, sorted; None if it is not one of a folder."""
        files: list[FolderFile] = []

        async def load_page(paging: Paging) -> FolderFileList:
            """Request one page."""
            return await self._registry.list_model_files(entry.id, paging, entry.version)

        async for page in list_pages(load_page):
            if not page.file_list:
                break  # so at most MAX_FILES pages are requested, whatever their cursors say
            for file in page.file_list:
                match = _hash.fullmatch(file.file_hash)
                if match is None or file.file_size < 1 or len(files) >= MAX_FILES:
                    return None
                files.append(FolderFile(file.path, match[1], file.file_size))
        return tuple(sort_files(files)) if is_encodable(files) else None


async def _run_in_thread(work: Callable[[], Result]) -> Result:
    """Run ``work``, which reads or writes the state file, in a thread."""
    async with ThreadPool(1) as threads:
        return await threads.run(work, timeout_seconds=None)
