"""One round of the S3 benchmark: a fresh bucket, a registry on it, two model files, and the measured operations."""

import asyncio
import os
import shlex
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import Measurement, run_measured
from bench.s3_peers import Command, Peers
from bench.s3_registry import MODELYARD, build_client_environment, run_registry
from modelyard.transfer.hashing import DigestCache, compute_sha256
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tools.model_files import write_safetensors

LONGEST_VERIFICATION_SECONDS = 300.0


class S3Environment:
    """Two new model files, a bucket and a client for one round; all are deleted at its end.

    ``source`` is a file that was not hashed before; the hash of ``hashed_source`` is in modelyard's digest cache. Both
    have new content in each round, as the registry does not store the same content twice.
    """

    def __init__(self, home: Path, size: int, seaweed: RunningSeaweed) -> None:
        self.size = size
        self.source = home / "plain.safetensors"
        self.hashed_source = home / "hashed.safetensors"
        self._home = home
        self._seaweed = seaweed
        self._resources = ExitStack()
        home.mkdir()
        self.peers = Peers(home, seaweed.endpoint, seaweed.access_key, seaweed.secret_key)
        self._environment = build_client_environment(home)

    def __enter__(self) -> Self:
        self._bucket = self._resources.enter_context(self._seaweed.bucket())
        for source in (self.source, self.hashed_source):
            write_safetensors(source, self.size)
            # The hash of a file that was written moments ago is not cached.
            os.utime(source, (time.time() - 60,) * 2)
        cache = DigestCache(self._home / "cache" / "modelyard" / "digests.sqlite")
        asyncio.run(compute_sha256(self.hashed_source, cache=cache))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()
        shutil.rmtree(self._home)

    @contextmanager
    def registry(self, *, verification_workers: int) -> Iterator[RunningServer]:
        """Run a registry on the round's bucket and database, and sign the client in."""
        with run_registry(self._home, self._seaweed, self._bucket, self._environment, verification_workers) as server:
            yield server

    def push(self, source: Path) -> Measurement:
        """Measure a push until the client exits; the later verification is not included."""
        return self._modelyard("push", str(source), "--path", f"loras/{source.name}", "--no-wait")

    def pull(self) -> Measurement:
        """Measure a pull of ``source``, as pushed before."""
        target = self._home / "pulled"
        run = self._modelyard("pull", f"loras/{self.source.name}", "-o", str(target))
        self._check_and_delete(target / self.source.name)
        return run

    def upload_with_peer(self, command: Callable[[Path, str, str], Command]) -> Measurement:
        """Measure a peer's upload of the same file to another bucket, which holds an object already, as ours does."""
        with self._seaweed.bucket() as other_bucket:
            client = self._seaweed.client()
            client.put_object(Bucket=other_bucket, Key="first", Body=b"first")
            run = run_measured(command(self.source, other_bucket, "copied"), self.peers.environment)
            assert client.head_object(Bucket=other_bucket, Key="copied")["ContentLength"] == self.size
        return run

    def download_with_peer(self, command: Callable[[Path, str, str], Command], after: str = "") -> Measurement:
        """Measure a peer's download of the object that ``pull`` fetches, then a shell command with ``{file}``."""
        target = self._home / "copied"
        command_words = command(target, self._bucket, self._find_storage_key())
        if after:
            command_words = ["sh", "-ec", f"{shlex.join(command_words)}; {after.format(file=shlex.quote(str(target)))}"]
        run = run_measured(command_words, self.peers.environment)
        self._check_and_delete(target)
        return run

    def measure_verification(self, server: RunningServer) -> float:
        """Return the seconds between the verification of the first and of the second file, by one worker."""
        owner = server.owner()
        deadline = time.monotonic() + LONGEST_VERIFICATION_SECONDS
        while any(model["verification"] != "verified" for model in owner.get("/models").json()["model_list"]):
            assert time.monotonic() < deadline, "The registry did not verify what was pushed."
            time.sleep(0.2)
        [first], [second] = self._query_database("SELECT verified_at FROM models ORDER BY verified_at")
        return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()

    def _modelyard(self, *arguments: str) -> Measurement:
        return run_measured([MODELYARD, "--quiet", *arguments], self._environment)

    def _check_and_delete(self, fetched: Path) -> None:
        """Check the size of a downloaded file, and delete it."""
        assert fetched.stat().st_size == self.size
        fetched.unlink()

    def _find_storage_key(self) -> str:
        """Read the storage key of the pushed ``source`` from the registry's database."""
        [[key]] = self._query_database(
            "SELECT store_key FROM blobs JOIN models ON models.blob_id = blobs.id WHERE model_path = ?",
            f"loras/{self.source.name}",
        )
        return key

    def _query_database(self, query: str, *values: str) -> list[tuple[str, ...]]:
        """Run a query on the registry's SQLite database and return all rows."""
        connection = sqlite3.connect(self._home / "data" / "modelyard.sqlite3")
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()
