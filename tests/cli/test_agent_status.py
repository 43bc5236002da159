"""``agent status``: its text about the connection to the registry, and its exit code for several agents."""

import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelyard.agent.state_folder import ModelStatus, ReasonStatus, StateFolder, StatusSnapshot, to_json_document
from modelyard.cli.terminal.formatting import format_time
from modelyard.cli.this_machine.status import format_status
from modelyard.transfer.portable.locks import try_lock
from modelyard.wire.agents.values import REPORTED_BY_TWO_REASON
from tests.cli.conftest import Command

URL = "http://models.example:8400"
REASON = f"{URL} cannot be reached: the connection was refused."


def build_status(link: str, since: datetime | None, reason: str | None = None) -> StatusSnapshot:
    now = datetime.now(UTC)
    fields = {"agent_id": "render-07", "version": "1", "pid": 1, "started_at": now, "written_at": now, "url": URL}
    return StatusSnapshot.model_validate(
        fields | {"phase": "idle", "link": link, "link_since": since, "link_reason": reason}
    )


def get_link_lines(status: StatusSnapshot, *, is_running: bool = True) -> list[str]:
    """Return the line about the registry and the one below it, without the name of the field."""
    lines = [str(line) for line in format_status(status, is_running, 80)]
    at = next(number for number, line in enumerate(lines) if line.startswith("registry"))
    return [line.removeprefix("registry").strip() for line in lines[at : at + 2]]


def test_status_of_lost_connection_has_reason_and_local_time() -> None:
    since = datetime.now(UTC) - timedelta(minutes=12, seconds=30)
    status = build_status("lost", since, REASON)
    assert get_link_lines(status) == [f"{URL}: lost since {format_time(since)} (12 minutes ago)", REASON]
    document = to_json_document(status, is_running=True)
    assert (document["link"], document["link_reason"]) == ("lost", REASON)
    assert datetime.fromisoformat(str(document["link_since"])) == since


def test_status_says_when_the_registry_and_when_failed_models_are_tried_again() -> None:
    now = datetime.now(UTC)
    retries = {"link_retry_at": now + timedelta(hours=1, minutes=30), "retry_at": now - timedelta(seconds=1)}
    status = build_status("lost", now, REASON).model_copy(update=retries)
    assert get_link_lines(status)[0].partition(", next try ")[2][:6] in {"in 1:3", "in 1:2"}
    lines = [str(line).split() for line in format_status(status, True, 80)]
    assert ["next", "try", "now"] in lines
    assert ["next", "try", "now"] not in [str(line).split() for line in format_status(status, False, 80)]


def test_status_says_a_shared_reason_once_with_the_first_models() -> None:
    models = [
        ModelStatus(
            model_path=f"loras/{number}.sft", state="blocked", reason=f'"loras/{number}.sft" needs {number} GB.'
        )
        for number in range(1, 6)
    ]
    other = ModelStatus(model_path="vae/x.sft", state="conflict", reason="Another file is there.")
    paths = [each.model_path for each in models[:3]]
    shared = ReasonStatus(state="blocked", count=300, reason=models[0].reason or "", model_paths=paths)
    status = build_status("connected", None).model_copy(update={"models": [*models, other], "reasons": [shared]})

    lines = [str(line).rstrip() for line in format_status(status, True, 80)]

    assert lines[-4:-2] == [
        '300 models blocked, for example: "loras/1.sft" needs 1 GB.',
        "    loras/1.sft, loras/2.sft, loras/3.sft and 297 more",
    ]
    assert [line.split()[0] for line in lines[-2:]] == ["MODEL", "vae/x.sft"]


def test_status_of_agent_without_time_of_its_connection_shows_the_state() -> None:
    assert get_link_lines(build_status("connecting", None))[0] == f"{URL}: connecting"


def test_status_of_refused_connection_says_the_reason_once() -> None:
    status = build_status("refused", datetime.now(UTC), "The key was revoked.")
    lines = format_status(status.model_copy(update={"waiting_for": "The key was revoked."}), True, 80)
    assert sum("The key was revoked." in str(line) for line in lines) == 1


@pytest.mark.parametrize("link", ["lost", "stopped"])
def test_status_of_ended_agent_says_not_connected(link: str) -> None:
    assert get_link_lines(build_status(link, datetime.now(UTC)), is_running=False)[0] == f"{URL}: not connected"


def test_status_says_that_another_agent_reports_as_this_machine_while_this_one_runs() -> None:
    status = build_status("connected", None).model_copy(update={"is_reported_by_two": True})
    texts = [" ".join(str(line) for line in format_status(status, is_running, 80)) for is_running in (True, False)]
    assert [REPORTED_BY_TWO_REASON in text for text in texts] == [True, False]


@pytest.fixture
def write_agent(home: Path) -> Iterator[Callable[..., None]]:
    """Return a function that writes the status of an agent, and holds its lock if it is running."""
    held: list[int] = []

    def write(agent_id: str, *, is_running: bool, url: str = URL, folders: list[str]) -> None:
        status = build_status("connected", None).model_copy(
            update={"agent_id": agent_id, "url": url, "folders": folders}
        )
        state = StateFolder(home / "XDG_STATE_HOME" / "modelyard", agent_id)
        state.write_status(status)
        if is_running:
            held.append(os.open(state.lock, os.O_RDWR | os.O_CREAT))
            assert try_lock(held[-1])

    yield write
    for descriptor in held:
        os.close(descriptor)


def test_status_of_agent_that_runs_under_another_name_by_now_exits_0(
    modelyard: Command, write_agent: Callable[..., None]
) -> None:
    write_agent("vm", is_running=False, folders=["/srv/models"])
    write_agent("render-02", is_running=True, folders=["/srv/models", "/srv/more"])
    ran = modelyard("agent", "status")
    assert (ran.code, ran.err) == (0, "")
    assert "vm (not running, render-02 has its folders now, version 1)" in ran.out
    agents = json.loads(modelyard("agent", "status", "--json").out)["agents"]
    assert [each["successor"] for each in agents] == [None, "render-02"]
    assert modelyard("agent", "status", "--agent-id", "vm").code == 1
    assert modelyard("agent", "status", "--agent-id", "render-02").code == 0


@pytest.mark.parametrize(
    ("folders", "url"),
    [(["/srv/models", "/srv/vm"], URL), (["/srv/models"], "http://other.example:8400"), ([], URL)],
    ids=["another folder", "another registry", "no folder"],
)
def test_status_of_ended_agent_whose_place_no_other_has_exits_1_until_it_is_removed(
    modelyard: Command, write_agent: Callable[..., None], folders: list[str], url: str
) -> None:
    write_agent("vm", is_running=False, folders=folders, url=url)
    write_agent("render-02", is_running=True, folders=["/srv/models"])
    ran = modelyard("agent", "status")
    assert (ran.code, "vm (not running, version 1)" in ran.out) == (1, True)
    remove, flag, folder = shlex.split(ran.err.partition(": ")[2])
    assert (remove, flag, Path(folder).name) == ("rm", "-r", "vm")
    shutil.rmtree(folder)
    assert modelyard("agent", "status").code == 0


def test_status_of_two_ended_agents_with_the_same_folders_exits_1_without_advice(
    modelyard: Command, write_agent: Callable[..., None]
) -> None:
    for name in ("vm", "render-02"):
        write_agent(name, is_running=False, folders=["/srv/models"])
    ran = modelyard("agent", "status")
    assert (ran.code, ran.err) == (1, "")
