"""One round of the S3 bench: a fresh bucket, a registry on it, two model files, and what is done with them."""

import asyncio
import os
import shlex
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import Run, measured
from bench.s3_peers import Command, Peers
from modelyard.transfer.hashing import DigestCache, sha256_of
from tests.running import OWNER, RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.world import PASSWORD
from tools.model_files import write_safetensors

MODELYARD = str(Path(sys.executable).with_name("modelyard"))
LONGEST_VERIFICATION_SECONDS = 300.0


class Round:
    """``source`` is a file that nobody has read; ``hashed_source`` has other bytes, whose hash modelyard remembers.

    The registry knows bytes by their hash, so that both are new in each round. All goes at the end of the round.
    """

    def __init__(self, home: Path, size: int, seaweed: RunningSeaweed) -> None:
        self.size = size
        self.source = home / "plain.safetensors"
        self.hashed_source = home / "hashed.safetensors"
        self._home = home
        self._seaweed = seaweed
        self._held = ExitStack()
        home.mkdir()
        self.peers = Peers(home, seaweed.endpoint, seaweed.access_key, seaweed.secret_key)
        self._environment = os.environ | {
            "MODELYARD_CONFIG": str(home / "profiles.json"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_STATE_HOME": str(home / "state"),
        }

    def __enter__(self) -> Self:
        self._bucket = self._held.enter_context(self._seaweed.bucket())
        for source in (self.source, self.hashed_source):
            write_safetensors(source, self.size)
            # The hash of a file that was written a moment ago is not remembered.
            os.utime(source, (time.time() - 60,) * 2)
        cache = DigestCache(self._home / "cache" / "modelyard" / "digests.sqlite")
        asyncio.run(sha256_of(self.hashed_source, cache=cache))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()
        shutil.rmtree(self._home)

    @contextmanager
    def registry(self, *, verification_workers: int) -> Iterator[RunningServer]:
        """A registry on the round's bucket, with the round's database, that the client is signed in to."""
        with RunningServer(
            self._home / "data",
            log_level="warning",
            storage_url=f"s3://{self._bucket}",
            storage_endpoint=self._seaweed.endpoint,
            storage_access_key=self._seaweed.access_key,
            storage_secret_key=self._seaweed.secret_key,
            verification_workers=str(verification_workers),
            scrub_rate="0",
        ) as server:
            password = self._home / "password"
            password.write_text(PASSWORD)
            words = [MODELYARD, "login", server.url, OWNER, "--password-stdin"]
            measured(["sh", "-c", f"{shlex.join(words)} < {shlex.quote(str(password))}"], self._environment)
            yield server

    def push(self, source: Path) -> Run:
        """The client's work, to its exit; what the registry reads later is not waited for."""
        return self._modelyard("push", str(source), "--path", f"loras/{source.name}", "--no-wait")

    def pull(self) -> Run:
        target = self._home / "pulled"
        run = self._modelyard("pull", f"loras/{self.source.name}", "-o", str(target))
        self._check(target / self.source.name)
        return run

    def copy_up(self, command: Callable[[Path, str, str], Command]) -> Run:
        """A peer's copy of the same file into a bucket of its own, which had its first object already, as ours had."""
        with self._seaweed.bucket() as apart:
            client = self._seaweed.client()
            client.put_object(Bucket=apart, Key="first", Body=b"first")
            run = measured(command(self.source, apart, "copied"), self.peers.environment)
            assert client.head_object(Bucket=apart, Key="copied")["ContentLength"] == self.size
        return run

    def copy_down(self, command: Callable[[Path, str, str], Command], then: str = "") -> Run:
        """A peer's copy of the object that ``pull`` fetches, and a shell line about ``{file}`` after it."""
        target = self._home / "copied"
        words = command(target, self._bucket, self._key())
        if then:
            words = ["sh", "-ec", f"{shlex.join(words)}; {then.format(file=shlex.quote(str(target)))}"]
        run = measured(words, self.peers.environment)
        self._check(target)
        return run

    def verified_seconds(self, server: RunningServer) -> float:
        """How long one worker took for one of the two files: from the end of the first to the end of the second."""
        owner = server.owner()
        deadline = time.monotonic() + LONGEST_VERIFICATION_SECONDS
        while any(model["verification"] != "verified" for model in owner.get("/models").json()["model_list"]):
            assert time.monotonic() < deadline, "The registry did not verify what was pushed."
            time.sleep(0.2)
        [first], [second] = self._asked("SELECT verified_at FROM models ORDER BY verified_at")
        return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()

    def _modelyard(self, *arguments: str) -> Run:
        return measured([MODELYARD, "--quiet", *arguments], self._environment)

    def _check(self, fetched: Path) -> None:
        """Make sure that the file came whole, and make room for the next."""
        assert fetched.stat().st_size == self.size
        fetched.unlink()

    def _key(self) -> str:
        [[key]] = self._asked(
            "SELECT store_key FROM blobs JOIN models ON models.blob_id = blobs.id WHERE model_path = ?",
            f"loras/{self.source.name}",
        )
        return key

    def _asked(self, query: str, *values: str) -> list[tuple[str, ...]]:
        connection = sqlite3.connect(self._home / "data" / "modelyard.sqlite3")
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()
