"""A line of limited speed in front of a server, which all connections share; it can refuse single objects."""

import asyncio
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

_CHUNK = 16 * 1024
_REFUSED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Fault = Literal["refuse", "stall"]


class SlowLine:
    """A proxy on loopback that forwards to ``url``; answers come at ``bytes_per_second`` in all.

    Requests whose head contains an entry of ``faults`` get status 500, or nothing; ``faults_met`` counts them.
    """

    def __init__(self, url: str, bytes_per_second: float) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "127.0.0.1", target.port or 80)
        self._rate = bytes_per_second
        self._free_at = 0.0
        self.faults: dict[bytes, Fault] = {}
        self.faults_met = self.bytes_sent = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._forward, "127.0.0.1", 0, limit=_CHUNK)
        server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _forward(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Forward one connection until one side closes it."""
        from_server, to_server = await asyncio.open_connection(*self._target, limit=_CHUNK)
        answers = asyncio.create_task(self._send_answers(from_server, to_client))
        with suppress(OSError):
            while data := await client.read(_CHUNK):
                fault = next((fault for part, fault in self.faults.items() if part in data), None)
                self.faults_met += fault is not None
                if fault == "refuse":
                    to_client.write(_REFUSED)
                    await to_client.drain()
                    break
                if fault is None:
                    to_server.write(data)
                    await to_server.drain()
        to_server.close()
        answers.cancel()
        to_client.close()

    async def _send_answers(self, from_server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Send what the server sends at the rate of the line, in turn with other connections."""
        with suppress(OSError):
            while data := await from_server.read(_CHUNK):
                now = time.monotonic()
                self._free_at = max(now, self._free_at) + len(data) / self._rate
                await asyncio.sleep(self._free_at - now)
                to_client.write(data)
                await to_client.drain()
                self.bytes_sent += len(data)
        to_client.close()
