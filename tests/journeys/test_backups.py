"""The restore drill: the commands of the operator's handbook, on a registry that is used meanwhile."""

import os
import re
import shutil
import subprocess
import sysconfig
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.journeys.large import large
from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE, PART_SIZE, SINGLE_PUT_LIMIT
from tests.journeys.waiting import wait_for
from tests.postgres import PROGRAMS, RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.world import Someone, a_model_file
from tools.repository import ROOT

SIZES = {"part_size": str(PART_SIZE), "single_put_limit": str(SINGLE_PUT_LIMIT)}
AT_LEAST = 10


def commands(heading: str) -> tuple[str, str]:
    """What the handbook tells to type below a heading: to back up, and to restore."""
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    section = page.split(f"\n### {heading}\n", 1)[1].split("\n#", 1)[0]
    back_up, restore = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return back_up, restore


def typed(text: str, here: Mapping[str, object], **environment: str) -> None:
    """Run commands in a shell that stops at the first failure, with the places of this test."""
    assert all(stands in text for stands in here)
    places = re.compile("|".join(map(re.escape, here)))
    text = places.sub(lambda found: str(here[found[0]]), text)
    shell = ["sh", "-eu", "-c", text]
    ran = subprocess.run(shell, capture_output=True, text=True, env=os.environ | environment, check=False)
    assert ran.returncode == 0, ran.stderr


@contextmanager
def somebody_registers(someone: Someone) -> Iterator[dict[str, str]]:
    """One small model after the other, until the block ends; those that were acknowledged, by id, with their paths."""
    acknowledged: dict[str, str] = {}
    is_over, enough = threading.Event(), threading.Event()

    def register() -> None:
        number = 0
        while not is_over.is_set():
            path = f"models/loras/small-{number}.safetensors"
            acknowledged[someone.register(a_model_file(path), path)] = path
            number += 1
            if number == AT_LEAST:
                enough.set()

    busy = threading.Thread(target=register)
    busy.start()
    try:
        assert enough.wait(60)
        yield acknowledged
    finally:
        is_over.set()
        busy.join()


def everything_is_there(server: RunningServer, acknowledged: Mapping[str, str], folder: Path) -> None:
    """All that was acknowledged is listed, and all that is listed comes down with the hash that it should have."""
    owner = Program(folder / "home", server.url, server.owner())
    listed = {model["id"]: model["model_path"] for model in owner.ask("ls", "--all")["model_list"]}
    assert acknowledged.items() <= listed.items()
    # What somebody was reading when the copy was made is read by nobody else until his lease is over.
    wait_for(lambda: not owner.ask("ls", "--verification", "pending")["model_list"], 150)
    pulled = owner.ask("pull", *listed, "-o", folder / "pulled", "--tree")["files"]
    assert [each["outcome"] for each in pulled] == ["pulled"] * len(listed)


def test_a_running_registry_is_backed_up_and_restored_elsewhere(tmp_path: Path, new_file: Callable[..., Path]) -> None:
    if shutil.which("sqlite3") is None or shutil.which("rsync") is None:
        pytest.skip("the handbook's commands are sqlite3 and rsync")
    back_up, restore = commands("SQLite and a folder")
    backup, elsewhere = tmp_path / "backup", tmp_path / "elsewhere"
    backup.mkdir()
    with RunningServer(tmp_path / "data", port=0, **SIZES) as server:
        owner = server.owner()
        Program(tmp_path / "home", server.url, owner).ask("push", new_file(40 * MEBIBYTE))
        with somebody_registers(owner) as registered:
            acknowledged = dict(registered)
            typed(back_up, {"/var/lib/modelyard": server.data_dir, "/backup": backup})
        assert len(registered) > len(acknowledged)

    ours = f"{os.getuid()}:{os.getgid()}"
    typed(restore, {"/var/lib/modelyard": elsewhere, "/backup": backup, "modelyard:modelyard": ours})
    with RunningServer(elsewhere, port=0, **SIZES) as restored:
        everything_is_there(restored, acknowledged, tmp_path)


@pytest.fixture
def rclone(seaweed_server: RunningSeaweed) -> dict[str, str]:
    """The environment in which ``store:`` and ``backup:`` are two remotes of rclone, here the same service."""
    service = {
        "TYPE": "s3",
        "PROVIDER": "SeaweedFS",
        "ENDPOINT": seaweed_server.endpoint,
        "ACCESS_KEY_ID": seaweed_server.access_key,
        "SECRET_ACCESS_KEY": seaweed_server.secret_key,
    }
    remotes = {f"RCLONE_CONFIG_{name}_{key}": value for name in ("STORE", "BACKUP") for key, value in service.items()}
    path = os.pathsep.join((str(PROGRAMS), sysconfig.get_path("scripts"), os.environ["PATH"]))
    return remotes | {"RCLONE_CONFIG": os.devnull, "PATH": path}


def test_a_registry_on_postgresql_and_a_bucket_is_backed_up_and_restored(
    tmp_path: Path,
    postgres_server: RunningPostgres,
    seaweed_server: RunningSeaweed,
    rclone: dict[str, str],
    new_file: Callable[..., Path],
) -> None:
    back_up, restore = commands("PostgreSQL and a bucket")
    with (
        large(postgres_server, seaweed_server) as settings,
        large(postgres_server, seaweed_server) as elsewhere,
        seaweed_server.bucket() as backup,
    ):
        here = {"/backup/": f"{tmp_path}/", "backup:models": f"backup:{backup}"}
        with RunningServer(tmp_path / "data", port=0, **SIZES, **settings) as server:
            owner = server.owner()
            Program(tmp_path / "home", server.url, owner).ask("push", new_file(40 * MEBIBYTE))
            with somebody_registers(owner) as registered:
                acknowledged = dict(registered)
                typed(back_up, here | places_of(settings, tmp_path), **rclone)

        typed(restore, here | places_of(elsewhere, tmp_path), **rclone)
        with RunningServer(tmp_path / "elsewhere", port=0, **SIZES, **elsewhere) as restored:
            everything_is_there(restored, acknowledged, tmp_path)


def places_of(settings: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Where a registry with these settings has its bucket and its settings, which are written down here."""
    (folder / "modelyard.env").write_text(
        f"# What systemd reads.\nMODELYARD_DATABASE_URL={settings['database_url']}\n", encoding="utf-8"
    )
    return {"store:models/studio": settings["storage_url"].replace("s3://", "store:"), "/etc/modelyard/": f"{folder}/"}
