"""Downloads by clients that take all bytes at once, or that have gone: other requests get their turn between pieces."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.types import Message, Scope

from modelyard.server.storage.local.routes import build_blob_app
from modelyard.server.storage.local.store import LocalStore
from tests.server.storage.conftest import SECRET
from tests.server.storage.served_store import HOUR, new_key

PIECES = 8
CONTENT = bytes(PIECES << 18)


class Download:
    """A download by a server whose ``send`` never waits, as for a client that has gone or whose socket takes all."""

    def __init__(self, store: LocalStore) -> None:
        self._app = build_blob_app(store.get_url_server())
        key = new_key()
        store.put(key, CONTENT)
        digest = hashlib.sha256(CONTENT).hexdigest()
        url = urlsplit(store.presign_download(key, "ink.safetensors", digest, HOUR).url)
        self._scope: Scope = {
            "type": "http",
            "method": "GET",
            "path": url.path.removeprefix("/blobs"),
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "headers": [],
        }
        self.sent = list[int]()
        self.has_gone = asyncio.Event()
        self.on_piece: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Download the file; ends early once ``has_gone`` is set."""
        await self._app(self._scope, self._receive, self._send)

    async def _receive(self) -> Message:
        await self.has_gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.sent.append(len(message["body"]))
            self.on_piece()


@pytest.fixture
def download(tmp_path: Path) -> Iterator[Download]:
    store = LocalStore(tmp_path / "store", SECRET)
    yield Download(store)
    store.close()


async def test_download_by_a_client_that_has_gone_ends_before_its_second_piece(download: Download) -> None:
    download.has_gone.set()
    await download.run()
    assert len(download.sent) <= 1


async def test_other_tasks_run_between_the_pieces_of_a_download_that_never_waits(download: Download) -> None:
    turns, seen = 0, list[int]()
    download.on_piece = lambda: seen.append(turns)

    async def count_turns() -> None:
        """Count the turns of a task that is always ready."""
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    await download.run()
    counting.cancel()
    assert (len(seen), sum(download.sent)) == (PIECES, len(CONTENT))
    assert sorted(set(seen)) == seen
