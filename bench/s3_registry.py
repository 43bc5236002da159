"""A registry on an S3 bucket for the S3 benchmarks, with a command line that is signed in to it."""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.processes import run_measured
from tests.running import OWNER, RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.harness import PASSWORD

MODELYARD = str(Path(sys.executable).with_name("modelyard"))


def build_client_environment(home: Path) -> dict[str, str]:
    """Return the variables of a command line whose profile, cache and state are in ``home``."""
    return os.environ | {
        "MODELYARD_CONFIG": str(home / "profiles.json"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
    }


@contextmanager
def run_registry(
    home: Path, seaweed: RunningSeaweed, bucket: str, client_environment: Mapping[str, str], verification_workers: int
) -> Iterator[RunningServer]:
    """Run a registry on a bucket and the database in ``home``, and sign the command line in as its owner."""
    with RunningServer(
        home / "data",
        log_level="warning",
        storage_url=f"s3://{bucket}",
        storage_endpoint=seaweed.endpoint,
        storage_access_key=seaweed.access_key,
        storage_secret_key=seaweed.secret_key,
        verification_workers=str(verification_workers),
        scrub_rate="0",
    ) as server:
        password = home / "password"
        password.write_text(PASSWORD)
        login = shlex.join([MODELYARD, "login", server.url, OWNER, "--password-stdin"])
        run_measured(["sh", "-c", f"{login} < {shlex.quote(str(password))}"], client_environment)
        yield server
