"""Backup and restore with the commands of the operator's handbook, of a registry that is used meanwhile."""

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

from tests.journeys.command_line import CommandLine
from tests.journeys.postgres_and_bucket import create_database_and_bucket
from tests.journeys.upload_sizes import MEBIBYTE, PART_SIZE, SINGLE_PUT_LIMIT
from tests.postgres import PROGRAMS, RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.harness import ApiCaller, make_model_file
from tests.waiting import PATIENCE_SECONDS, wait_until
from tools.repository import ROOT

SIZES = {"part_size": str(PART_SIZE), "single_put_limit": str(SINGLE_PUT_LIMIT)}
MIN_MODELS = 10


def read_handbook_commands(heading: str) -> tuple[str, str]:
    """Return the two shell blocks below a heading of docs/operate.md: the backup commands and the restore commands."""
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    section = page.split(f"\n### {heading}\n", 1)[1].split("\n#", 1)[0]
    back_up, restore = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return back_up, restore


def run_commands(text: str, replacements: Mapping[str, object], **environment: str) -> None:
    """Run commands in a shell that stops at the first failure, with the handbook's paths replaced by this test's.

    Raises:
        AssertionError: a path to replace is not in the commands, or one of them failed.
    """
    assert all(path in text for path in replacements)
    pattern = re.compile("|".join(map(re.escape, replacements)))
    text = pattern.sub(lambda match: str(replacements[match[0]]), text)
    shell = ["sh", "-eu", "-c", text]
    result = subprocess.run(shell, capture_output=True, text=True, env=os.environ | environment, check=False)
    assert result.returncode == 0, result.stderr


@contextmanager
def registering_models(caller: ApiCaller) -> Iterator[dict[str, str]]:
    """Register small models on a thread until the block ends; yield the paths of the acknowledged ones by their id.

    The block begins once ten are registered.
    """
    acknowledged: dict[str, str] = {}
    is_over, has_registered_enough = threading.Event(), threading.Event()

    def register() -> None:
        number = 0
        while not is_over.is_set():
            path = f"models/loras/small-{number}.safetensors"
            acknowledged[caller.register(make_model_file(path), path)] = path
            number += 1
            if number == MIN_MODELS:
                has_registered_enough.set()

    thread = threading.Thread(target=register)
    thread.start()
    try:
        assert has_registered_enough.wait(PATIENCE_SECONDS)
        yield acknowledged
    finally:
        is_over.set()
        thread.join()


def check_restored_registry(server: RunningServer, acknowledged: Mapping[str, str], folder: Path) -> None:
    """Assert that all acknowledged models are listed, and that all listed ones can be pulled (a pull checks hashes)."""
    owner = CommandLine(folder / "home", server.url, server.owner())
    listed = {model["id"]: model["model_path"] for model in owner.run_json("ls", "--all")["model_list"]}
    assert acknowledged.items() <= listed.items()
    # A blob that was being verified during the backup is verified again only when that lease has expired.
    wait_until(lambda: not owner.run_json("ls", "--verification", "pending")["model_list"], 4 * PATIENCE_SECONDS)
    pulled = owner.run_json("pull", *listed, "-o", folder / "pulled", "--tree")["files"]
    assert [file["outcome"] for file in pulled] == ["pulled"] * len(listed)


@pytest.mark.core
def test_handbook_backup_of_running_sqlite_registry_restores_acknowledged_models(
    tmp_path: Path, new_file: Callable[..., Path]
) -> None:
    if shutil.which("sqlite3") is None or shutil.which("rsync") is None:
        pytest.skip("the handbook's commands are sqlite3 and rsync")
    back_up, restore = read_handbook_commands("SQLite and a folder")
    backup, restored_dir = tmp_path / "backup", tmp_path / "elsewhere"
    backup.mkdir()
    with RunningServer(tmp_path / "data", port=0, **SIZES) as server:
        owner = server.owner()
        CommandLine(tmp_path / "home", server.url, owner).run_json("push", new_file(40 * MEBIBYTE))
        with registering_models(owner) as registered:
            acknowledged = dict(registered)
            run_commands(back_up, {"/var/lib/modelyard": server.data_dir, "/backup": backup})
        assert len(registered) > len(acknowledged)

    user_and_group = f"{os.getuid()}:{os.getgid()}"
    run_commands(
        restore, {"/var/lib/modelyard": restored_dir, "/backup": backup, "modelyard:modelyard": user_and_group}
    )
    with RunningServer(restored_dir, port=0, **SIZES) as restored:
        check_restored_registry(restored, acknowledged, tmp_path)


@pytest.fixture
def rclone(seaweed_server: RunningSeaweed) -> dict[str, str]:
    """Environment variables that define the rclone remotes ``store:`` and ``backup:``, here both the same service."""
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


@pytest.mark.core
def test_handbook_backup_of_postgresql_and_bucket_restores_acknowledged_models(
    tmp_path: Path,
    postgres_server: RunningPostgres,
    seaweed_server: RunningSeaweed,
    rclone: dict[str, str],
    new_file: Callable[..., Path],
) -> None:
    back_up, restore = read_handbook_commands("PostgreSQL and a bucket")
    with (
        create_database_and_bucket(postgres_server, seaweed_server) as settings,
        create_database_and_bucket(postgres_server, seaweed_server) as restored_settings,
        seaweed_server.bucket() as backup,
    ):
        replacements = {"/backup/": f"{tmp_path}/", "backup:models": f"backup:{backup}"}
        with RunningServer(tmp_path / "data", port=0, **SIZES, **settings) as server:
            owner = server.owner()
            CommandLine(tmp_path / "home", server.url, owner).run_json("push", new_file(40 * MEBIBYTE))
            with registering_models(owner) as registered:
                acknowledged = dict(registered)
                run_commands(back_up, replacements | write_settings_file(settings, tmp_path), **rclone)

        run_commands(restore, replacements | write_settings_file(restored_settings, tmp_path), **rclone)
        with RunningServer(tmp_path / "elsewhere", port=0, **SIZES, **restored_settings) as restored:
            check_restored_registry(restored, acknowledged, tmp_path)


def write_settings_file(settings: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Write a settings file; return replacements for the handbook's paths of the bucket and of the settings."""
    (folder / "modelyard.env").write_text(
        f"# What systemd reads.\nMODELYARD_DATABASE_URL={settings['database_url']}\n", encoding="utf-8"
    )
    return {"store:models/studio": settings["storage_url"].replace("s3://", "store:"), "/etc/modelyard/": f"{folder}/"}
