"""A registry whose disk damages a stored file: machines keep their good copies, and a push repairs it."""

import asyncio
import os
import re
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.resolve_models import find_model
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import ModelOverrides, build_version_request
from modelyard.client.transfers.push import Pusher
from modelyard.client.transfers.push_results import PushSucceeded
from modelyard.wire.models import ModelUpdate
from tests.client.model_folders import write_model_folder
from tests.journeys.agent_processes import FilePoller, Machine, create_machine
from tests.journeys.command_line import CommandLine
from tests.journeys.upload_sizes import MEBIBYTE
from tests.running import RunningServer
from tests.server.harness import ApiCaller
from tests.waiting import PATIENCE_SECONDS, wait_until

INK = "loras/ink.safetensors"
# Poll rounds in which an agent has certainly received a new manifest and applied it.
POLLS_TO_WAIT = 200


@contextmanager
def running_agent(machine: Machine) -> Iterator[None]:
    """Run the machine's agent until the block ends, and check that it exits with 0."""
    agent = machine.start()
    try:
        yield
    finally:
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(PATIENCE_SECONDS) == 0


def find_newest_object(registry: RunningServer) -> Path:
    """Return the most recently stored object file of the registry."""
    return max((registry.data_dir / "objects").glob("*/*/*/bytes"), key=lambda file: file.parent.stat().st_mtime_ns)


@pytest.mark.core
def test_machine_keeps_its_copy_of_truncated_object_until_push_repairs_it(
    tmp_path: Path, registry: RunningServer, team: ApiCaller, modelyard: CommandLine, new_file: Callable[..., Path]
) -> None:
    file = new_file(6 * MEBIBYTE)
    content = file.read_bytes()
    assert modelyard.run("push", file).code == 0
    machine_with_copy, new_machine = (
        create_machine(team, tmp_path / name, registry.url) for name in ("render-01", "render-02")
    )
    with running_agent(machine_with_copy), FilePoller(machine_with_copy.models, (INK,)) as poller:
        wait_until(lambda: machine_with_copy.has_file(INK, content))
        os.truncate(find_newest_object(registry), MEBIBYTE)

        with running_agent(new_machine):
            wait_until(lambda: bool(modelyard.run_json("show", "ink")["verification"] == "failed"))
            polls = poller.polls
            wait_until(lambda: poller.polls > polls + POLLS_TO_WAIT)
            assert machine_with_copy.has_file(INK, content)
            assert not (new_machine.models / INK).exists()

            assert modelyard.run("push", file).code == 0
            wait_until(lambda: new_machine.has_file(INK, content))
    assert poller.gaps[INK] == 0
    assert modelyard.run("pull", "ink", "-o", tmp_path / "pulled").code == 0


def flip_first_bit(file: Path) -> None:
    """Flip a bit of a file, which keeps its size."""
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [lambda file: os.truncate(file, MEBIBYTE), Path.unlink, flip_first_bit],
    ids=["truncated", "deleted", "other bytes"],
)
def test_push_damaged_object_before_any_download_repairs_it(
    registry: RunningServer,
    modelyard: CommandLine,
    new_file: Callable[..., Path],
    tmp_path: Path,
    damage: Callable[[Path], None],
) -> None:
    file = new_file(3 * MEBIBYTE)
    assert modelyard.run("push", file).code == 0
    damage(find_newest_object(registry))

    assert modelyard.run("push", file).code == 0

    assert modelyard.run("pull", "ink", "-o", tmp_path / "pulled").code == 0
    assert (tmp_path / "pulled" / file.name).read_bytes() == file.read_bytes()


def test_push_of_content_whose_object_was_restored_from_a_backup_sends_nothing(
    registry: RunningServer, modelyard: CommandLine, new_file: Callable[..., Path], tmp_path: Path
) -> None:
    file, folder = new_file(3 * MEBIBYTE), write_model_folder(tmp_path / "diffusers" / "tiny")
    commands = ["push", file], ["push", folder, "--as-folder"]
    for command in commands:
        assert modelyard.run(*command).code == 0
    for stored in (registry.data_dir / "objects").glob("*/*/*/bytes"):
        copy = stored.with_name("copy")
        shutil.copyfile(stored, copy)
        copy.replace(stored)
    planned = modelyard.run("push", file, "--dry-run").out
    assert planned.startswith("would skip (already there; the registry reads its copy again)")
    for command in commands:
        assert [done["outcome"] for done in modelyard.run_json(*command)["files"]] == ["already there"]
    assert modelyard.run("push", file, "--dry-run").out.startswith("would skip (already there)  ")


def test_push_of_damaged_content_to_a_chosen_model_that_was_moved_repairs_it_at_its_path(
    registry: RunningServer, team: ApiCaller, modelyard: CommandLine, new_file: Callable[..., Path], tmp_path: Path
) -> None:
    file = new_file(3 * MEBIBYTE)
    assert modelyard.run("push", file).code == 0
    os.truncate(find_newest_object(registry), MEBIBYTE)
    settings = ClientSettings(None, None, None, tmp_path / "profiles.json", tmp_path / "state", tmp_path / "cache")

    async def move_and_push() -> PushSucceeded:
        async with RegistryApi(registry.url, team.token, team.team_id) as api:
            request = build_version_request(file, await find_model(api, "ink"), ModelOverrides())
            assert request.replaces is not None
            await api.update_model(request.replaces, ModelUpdate(model_path="loras/moved.safetensors"))
            return await Pusher(api, settings, lambda _: None).push(request)

    pushed = asyncio.run(move_and_push())

    assert (pushed.version, pushed.model.model_path) == (1, "loras/moved.safetensors")
    assert len(modelyard.run_json("ls")["model_list"]) == 1
    assert modelyard.run("pull", "moved", "-o", tmp_path / "pulled").code == 0


def test_push_dry_run_of_damaged_object_says_that_it_would_be_repaired(
    registry: RunningServer, modelyard: CommandLine, new_file: Callable[..., Path]
) -> None:
    file = new_file(3 * MEBIBYTE)
    assert modelyard.run("push", file).code == 0
    os.truncate(find_newest_object(registry), MEBIBYTE)

    (plan,) = modelyard.run_json("push", file, "--dry-run")["plan"]

    assert plan["action"].startswith("repair")


def find_command(printed: str, label: str) -> tuple[list[str], list[str]]:
    """Return the words of the command that a line names after the label, and those after "then"."""
    line = next(line for line in printed.splitlines() if label in line)
    command, _, following = line.partition("modelyard ")[2].partition(" (then: modelyard ")
    return shlex.split(command), shlex.split(following.removesuffix(")"))


def test_remedy_of_a_damaged_earlier_version_repairs_it_and_needs_a_label(
    registry: RunningServer, modelyard: CommandLine, new_file: Callable[..., Path], tmp_path: Path
) -> None:
    file = new_file(3 * MEBIBYTE)
    assert modelyard.run("push", file).code == 0
    damaged = find_newest_object(registry)
    old = file.rename(tmp_path / "old.safetensors")
    assert modelyard.run("push", new_file(4 * MEBIBYTE), "--to", "ink").code == 0
    os.truncate(damaged, MEBIBYTE)
    refused = modelyard.run("pull", "ink@1", "-o", tmp_path / "pulled")
    assert (refused.code, refused.err.count("modelyard push")) == (6, 1)

    push, remove = find_command(refused.err, "Push an intact copy")
    assert modelyard.run(*(str(old) if word == "FILE" else word for word in push)).code == 0
    assert modelyard.run_json("show", remove[-1])["required_labels"] == ["only-for-repair"]
    assert modelyard.run(*remove).code == 0

    assert modelyard.run("pull", "ink@1", "-o", tmp_path / "pulled").code == 0
    assert [each["version"] for each in modelyard.run_json("version", "ls", "ink")["version_list"]] == [2, 1]


def test_remedy_of_a_damaged_current_version_repairs_it(
    registry: RunningServer, modelyard: CommandLine, new_file: Callable[..., Path], tmp_path: Path
) -> None:
    file = new_file(3 * MEBIBYTE)
    assert modelyard.run("push", file, "--path", "loras/my ink.safetensors").code == 0
    os.truncate(find_newest_object(registry), MEBIBYTE)
    refused = modelyard.run("pull", "my ink", "-o", tmp_path / "pulled")
    assert (refused.code, refused.err.count("modelyard push")) == (6, 1)

    push, _ = find_command(refused.err, "Push an intact copy")
    assert modelyard.run(*(str(file) if word == "FILE" else word for word in push)).code == 0

    assert modelyard.run("pull", "my ink", "-o", tmp_path / "pulled").code == 0


def test_repair_that_show_says_of_a_damaged_folder_repairs_it(
    registry: RunningServer, modelyard: CommandLine, tmp_path: Path
) -> None:
    folder = write_model_folder(tmp_path / "tiny")
    assert modelyard.run("push", folder, "--as-folder", "--path", "diffusers/my tiny").code == 0
    weights = next(folder.rglob("*.safetensors")).read_bytes()
    objects = (registry.data_dir / "objects").glob("*/*/*/bytes")
    next(each for each in objects if each.read_bytes() == weights).unlink()
    assert modelyard.run("pull", "my tiny", "-o", tmp_path / "pulled").code == 6

    repair = re.search(
        r"^repair +Push an intact copy: modelyard (.*)$", modelyard.run("show", "my tiny").out, re.MULTILINE
    )
    assert repair is not None
    assert modelyard.run(*(str(folder) if word == "DIR" else word for word in shlex.split(repair[1]))).code == 0

    assert modelyard.run("pull", "my tiny", "-o", tmp_path / "pulled").code == 0
