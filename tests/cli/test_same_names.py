"""Two machines with the same host name: what their users are told, and whether the commands of the remedies work."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.agent.settings import get_default_agent_id
from modelyard.agent.state_folder import StateFolder
from modelyard.transfer.portable.locks import try_lock
from tests.cli.conftest import Command, Ran
from tests.cli.pairing import Paired, pair_machine, sign_in_owner, use_machine
from tests.client.server_process import Team

pytestmark = pytest.mark.slow

HOST = get_default_agent_id()
IN_USE = f"The team has a machine named {HOST} already."
Pair = Callable[..., Paired]
Use = Callable[[str], None]


@pytest.fixture
def use(home: Path, monkeypatch: pytest.MonkeyPatch) -> Use:
    """Return a function that makes this computer one of two machines with the same host name."""
    return lambda name: use_machine(monkeypatch, home / name)


@pytest.fixture
def pair(use: Use, team: Team, modelyard: Command, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return lambda *options: pair_machine(modelyard, team, monkeypatch, *options)


@pytest.fixture
def as_owner(team: Team, modelyard: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs a command as the owner of the team, which must succeed."""

    def run_command(*arguments: object) -> Ran:
        with monkeypatch.context() as owner:
            sign_in_owner(owner, team)
            ran = modelyard(*arguments)
        assert ran.code == 0, ran.err
        return ran

    return run_command


def run_once(process: Command, *options: str) -> None:
    ran = process("agent", "run", "--once", *options)
    assert ran.code == 0, ran.err


def test_second_machine_with_the_host_name_of_another_one_is_paired_with_a_warning(
    use: Use, pair: Pair, process: Command
) -> None:
    use("first")
    assert IN_USE not in "".join(pair())
    run_once(process)
    use("second")
    paired = pair()
    assert [IN_USE in each for each in paired] == [True, True]
    assert "modelyard agent run --agent-id NAME" in paired.on_machine


def test_second_machine_that_follows_the_warning_leaves_the_first_one_its_key(
    use: Use, pair: Pair, process: Command, as_owner: Command
) -> None:
    use("first")
    pair()
    run_once(process)
    use("second")
    pair()
    run_once(process, "--agent-id", "render-02")
    use("first")
    run_once(process)
    assert as_owner("machine", "ls", "--quiet").out.split() == sorted([HOST, "render-02"])


def test_machine_whose_name_another_one_has_taken_follows_the_remedies_and_both_run(
    use: Use, pair: Pair, process: Command, as_owner: Command
) -> None:
    for machine in ("first", "second"):
        use(machine)
        pair()
        run_once(process)
    use("first")

    refused = process("agent", "run", "--once")
    doctor = process("agent", "doctor").out
    paired_again = pair()
    run_once(process, "--agent-id", "render-01")

    assert f"a machine with another key uses its name, '{HOST}'" in refused.err
    commands = [line.partition(": ")[2] for line in refused.err.splitlines()]
    again = commands.index("modelyard agent run --agent-id NAME")
    assert commands[again - 1].startswith("modelyard agent pair --url ")
    assert "modelyard agent run --agent-id NAME" in doctor
    assert [IN_USE in each for each in paired_again] == [True, True]
    use("second")
    run_once(process)
    assert as_owner("machine", "ls", "--quiet").out.split() == sorted([HOST, "render-01"])


def test_machine_that_runs_without_the_name_of_its_key_gets_the_command_with_that_name(
    use: Use, pair: Pair, process: Command
) -> None:
    use("first")
    pair()
    run_once(process, "--agent-id", "render-01")

    refused = process("agent", "run", "--once")

    line = next(line for line in refused.err.splitlines() if "the name that its key belongs to" in line)
    assert shlex.split(line.partition(": ")[2]) == ["modelyard", "agent", "run", "--once", "--agent-id", "render-01"]
    assert "it is the machine's 'render-01'" in process("agent", "doctor").out


@pytest.mark.parametrize("is_revoked", [False, True])
def test_machine_that_is_paired_again_itself_gets_no_warning(
    is_revoked: bool, use: Use, pair: Pair, process: Command, as_owner: Command
) -> None:
    use("first")
    pair()
    run_once(process)
    if is_revoked:
        as_owner("key", "rm", json.loads(as_owner("key", "ls", "--json").out)["credentials"][0]["key_prefix"])
    paired = pair()
    run_once(process)
    assert [IN_USE in each for each in paired] == [False, False]


@pytest.mark.parametrize("is_reported_by_two", [False, True], ids=["another key", "same key"])
def test_machine_with_a_running_agent_whose_name_another_one_uses_is_paired_after_that_is_stopped(
    is_reported_by_two: bool, use: Use, pair: Pair, process: Command, home: Path
) -> None:
    use("first")
    pair()
    run_once(process)
    folder = StateFolder(home / "first" / "XDG_STATE_HOME" / "modelyard", HOST)
    status = folder.read_status()
    assert status is not None
    folder.write_status(status.model_copy(update={"is_reported_by_two": is_reported_by_two}))
    if not is_reported_by_two:
        use("second")
        pair()
        run_once(process)
        use("first")
    with folder.lock.open("r+b") as lock:
        assert try_lock(lock.fileno())
        refused = process("agent", "pair")
    assert refused.code == 2
    assert f"An agent runs here as {HOST}, as another machine does." in refused.err
    assert "modelyard agent run --agent-id NAME" in refused.err
    pair()
    run_once(process, "--agent-id", "render-01")
