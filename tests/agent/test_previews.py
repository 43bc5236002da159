"""Pictures beside models on a machine that asks for them, with a real registry."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from modelyard.agent.loop import Agent
from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.agent.reconciliation import reconciler
from modelyard.agent.startup import open_agent
from modelyard.wire.problems import Unauthenticated
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.agent.malicious_registry import CannedResponse, MaliciousRegistry, build_entry, build_manifest_response
from tests.server.harness import ApiCaller, make_model_file
from tests.server.previews.drawings import make_png, open_picture
from tests.transfer.limits import RecordingLimit

pytestmark = pytest.mark.slow

INK, PREVIEW = "loras/ink.safetensors", "loras/ink.preview.png"


@pytest.fixture
def machine(new_machine: Callable[..., AgentMachine]) -> AgentMachine:
    return new_machine(write_previews=True)


@pytest.fixture
def model_id(team: ApiCaller) -> str:
    """A model with a picture."""
    created = team.register(make_model_file("ink"), INK)
    set_preview(team, created, "#aa5500")
    return created


def set_preview(team: ApiCaller, model_id: str, color: str, size: tuple[int, int] = (80, 100)) -> None:
    content = make_png(color, size)
    assert team.call("PUT", f"/models/{model_id}/versions/1/preview", content=content).status_code == 200


def read_color(file: Path) -> tuple[int, ...]:
    """Return the colour in the middle of a PNG, rounded because its pixels come from WebP."""
    image = open_picture(file.read_bytes())
    assert image.format == "PNG"
    pixel = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
    assert isinstance(pixel, tuple)
    return tuple(round(value / 32) for value in pixel)


def list_files(machine: AgentMachine) -> list[str]:
    """Return the files in the machine's type folders."""
    return sorted(str(file.relative_to(machine.models)) for file in machine.models.glob("[!.]*/**/*") if file.is_file())


def get_states(result: ReconcileResult | None) -> list[tuple[str, str | None, str | None]]:
    assert result is not None
    assert (result.notes, result.held, result.has_failed) == ((), None, False)
    return [(each.model_path, each.state, each.reason) for each in result.replica_states]


@pytest.mark.usefixtures("model_id")
def test_agent_without_setting_writes_no_picture(new_machine: Callable[..., AgentMachine]) -> None:
    machine = new_machine()
    machine.reconcile_once()
    assert list_files(machine) == [INK]


def test_agent_writes_picture_beside_model_and_reports_nothing_of_it(
    team: ApiCaller, machine: AgentMachine, model_id: str
) -> None:
    set_preview(team, model_id, "#aa5500", (1000, 1250))
    for _ in range(2):
        assert get_states(machine.reconcile_once()) == [(INK, "ready", None)]
        assert list_files(machine) == [PREVIEW, INK]
    assert open_picture((machine.models / PREVIEW).read_bytes()).size == (512, 640)
    shown = team.get(f"/agents/{machine.agent_id}/models").json()["agent_model_list"]
    assert [(each["model_path"], each["state"]) for each in shown] == [(INK, "ready")]


@pytest.mark.usefixtures("model_id")
def test_agent_keeps_picture_file_as_it_is_while_nothing_changes(machine: AgentMachine) -> None:
    machine.reconcile_once()
    before = (machine.models / PREVIEW).stat()
    machine.reconcile_once()
    after = (machine.models / PREVIEW).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.usefixtures("model_id")
@pytest.mark.parametrize("name", ["ink.png", "ink.preview.webp", "INK.Preview.JPG", "ink.mp4", "ink.preview.png"])
def test_agent_writes_no_picture_beside_one_of_the_user(machine: AgentMachine, name: str) -> None:
    users = machine.models / "loras" / name
    users.parent.mkdir()
    users.write_bytes(b"the user's own")
    machine.reconcile_once()
    assert list_files(machine) == sorted([INK, f"loras/{name}"])
    assert users.read_bytes() == b"the user's own"


@pytest.mark.usefixtures("model_id")
def test_agent_removes_its_picture_once_the_user_adds_one(machine: AgentMachine) -> None:
    machine.reconcile_once()
    (machine.models / "loras/ink.jpg").write_bytes(b"the user's own")
    machine.reconcile_once()
    assert list_files(machine) == ["loras/ink.jpg", INK]


def test_agent_removes_picture_with_its_model(team: ApiCaller, machine: AgentMachine, model_id: str) -> None:
    machine.reconcile_once()
    team.put(f"/models/{model_id}", model_status="disabled")
    machine.reconcile_once()
    assert list_files(machine) == []


def test_agent_leaves_picture_that_the_user_changed(team: ApiCaller, machine: AgentMachine, model_id: str) -> None:
    machine.reconcile_once()
    (machine.models / PREVIEW).write_bytes(b"changed by its user")
    set_preview(team, model_id, "#0055aa")
    machine.reconcile_once()
    team.put(f"/models/{model_id}", model_status="disabled")
    machine.reconcile_once()
    assert list_files(machine) == [PREVIEW]
    assert (machine.models / PREVIEW).read_bytes() == b"changed by its user"


def test_agent_without_setting_any_more_removes_its_pictures(
    team: ApiCaller, machine: AgentMachine, model_id: str
) -> None:
    machine.reconcile_once()
    machine.settings["write_previews"] = None
    machine.reconcile_once()
    assert list_files(machine) == [INK]
    set_preview(team, model_id, "#0055aa")
    machine.reconcile_once()
    assert list_files(machine) == [INK]


@pytest.mark.usefixtures("model_id")
def test_agent_writes_picture_again_that_was_deleted(machine: AgentMachine) -> None:
    machine.reconcile_once()
    (machine.models / PREVIEW).unlink()
    machine.reconcile_once()
    assert list_files(machine) == [PREVIEW, INK]


async def test_running_agent_follows_picture_and_path_of_a_model(
    team: ApiCaller, machine: AgentMachine, model_id: str
) -> None:
    picture = machine.models / PREVIEW

    def shows(color: tuple[int, int, int]) -> bool:
        return picture.is_file() and read_color(picture) == tuple(round(value / 32) for value in color)

    async with machine.running() as agent:
        await wait_until(lambda: shows((0xAA, 0x55, 0x00)))
        set_preview(team, model_id, "#0055aa")
        await wait_until(lambda: shows((0x00, 0x55, 0xAA)))
        assert team.put(f"/models/{model_id}", model_path="loras/moved/oil.safetensors").status_code == 200
        moved = ["loras/moved/oil.preview.png", "loras/moved/oil.safetensors"]
        await wait_until(lambda: list_files(machine) == moved)
        assert team.delete(f"/models/{model_id}/versions/1/preview").status_code == 204
        await wait_until(lambda: list_files(machine) == moved[1:])
        assert agent.status.find_problem() is None


async def test_agent_purge_on_revoke_removes_its_pictures(
    team: ApiCaller, new_machine: Callable[..., AgentMachine], model_id: str
) -> None:
    machine = new_machine(write_previews=True, purge_on_revoke=True)
    async with machine.running():
        await wait_until(lambda: machine.has_file(PREVIEW))
        await asyncio.to_thread(team.delete, f"/credentials/{machine.key_id}")
        await wait_until(lambda: list_files(machine) == [])
        await wait_until(lambda: not any((machine.models / ".modelyard/trash").iterdir()))
    assert model_id


async def test_agent_purge_on_revoke_waits_for_the_picture_that_is_being_written(
    team: ApiCaller, new_machine: Callable[..., AgentMachine], model_id: str
) -> None:
    machine = new_machine(write_previews=True, purge_on_revoke=True)
    async with machine.running() as agent:
        await wait_until(lambda: machine.has_file(PREVIEW))
        lock = agent.status.previews_lock
        async with lock:
            await asyncio.to_thread(team.delete, f"/credentials/{machine.key_id}")
            # No update of the pictures waits for the lock now: it was asked for by a reconciliation, before.
            await wait_until(lambda: agent._runner._has_purged and lock._waiters)
            assert list_files(machine) == [PREVIEW, INK]
        await wait_until(lambda: list_files(machine) == [])
    assert model_id


def make_png_header(width: int, height: int) -> bytes:
    """Return the first bytes of a PNG of this size."""
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + width.to_bytes(4) + height.to_bytes(4)


@contextmanager
def serving_models(*names: str) -> Iterator[MaliciousRegistry]:
    """Serve LoRAs, each with a picture whose hash repeats the first character of its name."""
    content = b"good" * 100
    entries = [build_entry(f"loras/{name}.pt", content, preview_sha256=name[0] * 64) for name in names]
    manifest = build_manifest_response(*entries)
    with MaliciousRegistry([manifest] * 1000, {entry["id"]: content for entry in entries}) as registry_server:
        registry_server.picture = CannedResponse(make_png("#aa5500"))
        yield registry_server


def create_machine(folder: Path, registry_server: MaliciousRegistry, **settings: object) -> AgentMachine:
    return AgentMachine(
        folder / "machine", registry_server.url, "ak-x", "render-07", settings={"write_previews": True} | settings
    )


@asynccontextmanager
async def open_reconciled_agent(machine: AgentMachine) -> AsyncIterator[Agent]:
    """Open an agent that has its models and no pictures yet."""
    async with open_agent(machine.start_options) as agent:
        await agent.poller.send_heartbeat()
        await agent.poller.poll_manifest(0)
        await agent.reconcile_and_wait()
        yield agent


def list_pictures(machine: AgentMachine) -> list[str]:
    return [name for name in list_files(machine) if name.endswith(".png")]


UNAVAILABLE = CannedResponse(b'{"type": "/problems/unavailable"}', 503, {"Retry-After": "1"})


@pytest.mark.parametrize(
    "broken", [UNAVAILABLE, CannedResponse(b'{"type": "/problems/internal-error"}', 500)], ids=["busy", "error"]
)
async def test_agent_with_broken_picture_writes_the_others(tmp_path: Path, broken: CannedResponse) -> None:
    with serving_models("a", "b", "c") as registry_server:
        registry_server.pictures["a" * 64] = broken
        machine = create_machine(tmp_path, registry_server)
        async with open_reconciled_agent(machine) as agent:
            await agent.previews.update()
    assert list_pictures(machine) == ["loras/b.preview.png", "loras/c.preview.png"]


async def test_agent_asks_for_no_more_pictures_after_three_failures_in_a_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving_models(*"abcdef") as registry_server:
        registry_server.picture = UNAVAILABLE
        machine = create_machine(tmp_path, registry_server)
        async with open_reconciled_agent(machine) as agent:
            await agent.previews.update()
            assert registry_server.picture_requests == 3
            registry_server.picture = CannedResponse(make_png("#aa5500"))
            await agent.previews.update()
    assert list_pictures(machine) == [f"loras/{name}.preview.png" for name in "def"]
    assert len([record for record in caplog.records if "icture" in record.message]) == 3


async def test_agent_downloads_pictures_at_its_rate_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[RecordingLimit] = []

    def record_limit(bytes_per_second: float) -> RecordingLimit:
        assert bytes_per_second == 200_000
        limits.append(RecordingLimit(bytes_per_second))
        return limits[-1]

    monkeypatch.setattr(reconciler, "BandwidthLimit", record_limit)
    with serving_models("a", "b") as registry_server:
        registry_server.picture = CannedResponse(make_png("#aa5500").ljust(100_000, b"\0"))
        machine = create_machine(tmp_path, registry_server, rate_limit="200KB")
        async with open_reconciled_agent(machine) as agent:
            [limit] = limits
            before = sum(limit.counts)
            await agent.previews.update()
    assert len(list_pictures(machine)) == 2
    assert sum(limit.counts) - before == 2 * 100_000


async def test_agent_does_not_scan_again_for_pictures_while_nothing_changed(tmp_path: Path) -> None:
    with serving_models("a") as registry_server:
        machine = create_machine(tmp_path, registry_server)
        folder, users = machine.models / "loras", machine.models / "loras/a.jpg"
        async with open_reconciled_agent(machine) as agent:
            for _ in range(2):
                await agent.previews.update()
            before = folder.stat()
            users.write_bytes(b"the user's own")
            os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
            await agent.previews.update()
            assert list_pictures(machine) == ["loras/a.preview.png"]
            os.utime(folder)
            await agent.previews.update()
    assert list_pictures(machine) == []


def revoke_key(agent: Agent) -> None:
    agent.status.connection.record_failure(Unauthenticated("The key was revoked."))


def replace_manifest(agent: Agent) -> None:
    assert agent.status.manifest is not None
    agent.status.manifest = agent.status.manifest.model_copy(update={"model_list": []})


@pytest.mark.parametrize("change", [revoke_key, replace_manifest])
async def test_agent_does_not_write_a_downloaded_picture_after_a_change(
    tmp_path: Path, change: Callable[[Agent], None]
) -> None:
    hold = threading.Event()
    with serving_models("a") as registry_server:
        registry_server.picture = CannedResponse(make_png("#aa5500"), hold=hold)
        machine = create_machine(tmp_path, registry_server)
        async with open_reconciled_agent(machine) as agent:
            update = asyncio.create_task(agent.previews.update())
            await wait_until(lambda: registry_server.picture_requests == 1)
            change(agent)
            hold.set()
            await update
    assert list_pictures(machine) == []


async def test_agent_that_runs_once_reports_its_models_before_it_writes_pictures(tmp_path: Path) -> None:
    hold = threading.Event()
    with serving_models("a") as registry_server:
        registry_server.picture = CannedResponse(make_png("#aa5500"), hold=hold)
        machine = create_machine(tmp_path, registry_server)
        run = asyncio.create_task(machine.reconcile())
        await wait_until(lambda: registry_server.picture_requests == 1)
        reported = [model["state"] for heartbeat in registry_server.heartbeats for model in heartbeat["model_list"]]
        hold.set()
        await run
    assert "ready" in reported
    assert list_pictures(machine) == ["loras/a.preview.png"]


@pytest.mark.parametrize(
    ("picture", "requests"),
    [
        pytest.param(CannedResponse(b"<html>"), 1, id="html"),
        pytest.param(CannedResponse(b""), 1, id="empty"),
        pytest.param(CannedResponse(make_png_header(513, 10)), 1, id="too wide"),
        pytest.param(CannedResponse(make_png_header(512, 1024) + bytes(5_000_000)), 1, id="too long"),
        pytest.param(CannedResponse(b'{"type": "/problems/preview-not-found"}', 404), 1, id="missing"),
        pytest.param(CannedResponse(b'{"type": "/problems/unavailable"}', 503), 1, id="busy"),
        pytest.param(CannedResponse(b'{"type": "/problems/key-not-allowed"}', 403), 3, id="refused"),
        pytest.param(CannedResponse(b"", 302, {"Location": "file:///etc/passwd"}), 3, id="redirect"),
    ],
)
async def test_agent_with_unusable_picture_has_ready_model_and_logs_it_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, picture: CannedResponse, requests: int
) -> None:
    """What is wrong with one picture is tried again later; where the registry sends none at all, after each round."""
    good = b"good" * 100
    entry = build_entry("loras/good.pt", good, preview_sha256="a" * 64)
    with MaliciousRegistry([build_manifest_response(entry)] * 1000, {entry["id"]: good}) as registry_server:
        registry_server.picture = picture
        machine = create_machine(tmp_path, registry_server)
        async with open_reconciled_agent(machine) as agent:
            for _ in range(3):
                await agent.previews.update()
            assert get_states(agent.status.result) == [("loras/good.pt", "ready", None)]
            assert agent.status.find_problem() is None
            assert agent.status.connection.is_up
    assert registry_server.picture_requests == requests
    assert len([record for record in caplog.records if "icture" in record.message]) == 1
    assert list_files(machine) == ["loras/good.pt"]


@pytest.mark.parametrize("picture", ["../../etc/passwd", "A" * 64, "a" * 63, ""])
def test_agent_requests_nothing_for_invalid_hash_of_picture(tmp_path: Path, picture: str) -> None:
    good = b"good" * 100
    entry = build_entry("loras/good.pt", good, preview_sha256=picture)
    with MaliciousRegistry([build_manifest_response(entry)], {entry["id"]: good}) as registry_server:
        machine = create_machine(tmp_path, registry_server)
        assert get_states(machine.reconcile_once()) == [("loras/good.pt", "ready", None)]
    assert registry_server.picture_requests == 0
