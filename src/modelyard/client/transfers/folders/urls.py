"""The files of a folder model and their download URLs, page by page."""

import asyncio
import time

from modelyard.client.api.models import list_file_pages
from modelyard.client.api.paging import Paging
from modelyard.client.api.registry import RegistryApi
from modelyard.transfer.errors import FileListMismatch
from modelyard.wire.folders.schemas import FolderFileEntry, FolderFileList
from modelyard.wire.models import Model
from modelyard.wire.problems import ModelNotFound

# Registries issue URLs for 15 minutes, in which a download has to begin each of its requests.
_MAX_AGE_SECONDS = 300.0


class FolderUrls:
    """The files of one version of a folder model. A URL is used once and for at most five minutes.

    A new one comes with those of the other files of its page. Bound to one event loop.
    """

    def __init__(self, registry: RegistryApi, model: Model) -> None:
        self._registry, self._model = registry, model
        self._pages: dict[str, Paging] = {}  # of each path
        self._urls: dict[str, tuple[str, float]] = {}  # of a path: the URL and the time of its request
        self._lock = asyncio.Lock()

    async def load(self) -> list[FolderFileEntry]:
        """Return all files, in the order of the manifest.

        Raises:
            FileListMismatch: see ``list_file_pages``; or the list is that of another version.
            Problem, Unreachable: as ``RegistryApi.list_model_files``.
        """
        files: list[FolderFileEntry] = []
        async for page in list_file_pages(self._load_page, self._model.file_count):
            if (page.version, page.file_hash) != (self._model.version, self._model.file_hash):
                raise FileListMismatch(f"The registry lists other files than '{self._model.model_path}' has.")
            files += page.file_list
        return files

    async def get(self, path: str) -> str:
        """Return a URL for a file of the list; each call returns another one.

        Raises:
            ModelNotFound: the version has no such file any more.
            Problem, Unreachable, BadResponse: as ``RegistryApi.list_model_files``.
        """
        async with self._lock:
            url = self._take(path)
            if url is None:
                await self._load_page(self._pages[path])
                url = self._take(path)
        if url is None:
            raise ModelNotFound(f"The registry does not list '{path}' of this model any more.")
        return url

    def _take(self, path: str) -> str | None:
        """Remove the kept URL of a file and return it; None if there is none or it is old."""
        url, requested_at = self._urls.pop(path, ("", 0.0))
        return url if url and time.monotonic() < requested_at + _MAX_AGE_SECONDS else None

    async def _load_page(self, paging: Paging) -> FolderFileList:
        """Load a page and keep its URLs."""
        requested_at = time.monotonic()
        page = await self._registry.list_model_files(self._model.id, paging, self._model.version)
        for file in page.file_list:
            self._pages[file.path] = paging
            self._urls[file.path] = file.download_url, requested_at
        return page
