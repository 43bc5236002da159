"""Which models an agent counts as used, what it keeps and reports of them, and that it keeps nothing else."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from modelyard.agent.reconciliation.use_counter import UseCounter, compute_next_items, find_uses
from modelyard.agent.roots import list_counted_urls
from modelyard.agent.settings import DEFAULT_COMFYUI_URL, AgentSettings
from modelyard.agent.status import AgentStatus
from modelyard.agent.use.model_names import ModelNames
from modelyard.agent.use.use_log import UseLog, open_use_log, save_use_log
from modelyard.comfyui.http_api import History
from modelyard.comfyui.layout import Install, Root
from modelyard.comfyui.prompts import Prompt
from modelyard.comfyui.workflows.references import ModelReference
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.wire.uses.reports import MAX_HEARTBEAT_USES, MAX_USE_GAP
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.agent.recording_proxy import RecordingProxy
from tests.comfyui.comfyui_server import ComfyUIServer
from tests.server.harness import ApiCaller, make_model_file

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
INK, OIL, EMBEDDING, OTHER_INK = (UUID(int=number) for number in range(1, 5))
LORAS, SHARED, VAE, EMBEDDINGS = Path("/c/models/loras"), Path("/s/loras"), Path("/c/models/vae"), Path("/c/embeddings")
NAMES = ModelNames.index(
    {LORAS: {"loras"}, SHARED: {"loras"}, VAE: {"vae"}, EMBEDDINGS: {"embeddings"}},
    [
        (LORAS / "styles" / "ink.safetensors", INK),
        (SHARED / "oil.safetensors", OIL),
        (VAE / "ink.safetensors", OTHER_INK),
        (EMBEDDINGS / "neg.pt", EMBEDDING),
        (Path("/elsewhere/ink.safetensors"), UUID(int=9)),
    ],
)


def build_reference(name: str, folder: str | None = "loras", *, is_required: bool = True) -> ModelReference:
    return ModelReference("4", "Node", "name", folder, name, None, None, is_required)


@pytest.mark.parametrize(
    ("reference", "ids"),
    [
        (build_reference("styles/ink.safetensors"), {INK}),
        (build_reference("styles\\ink.safetensors"), {INK}),
        (build_reference("oil.safetensors"), {OIL}),
        (build_reference("ink.safetensors"), {OTHER_INK}),
        (build_reference("ink.safetensors", "vae"), {OTHER_INK}),
        (build_reference("oil.safetensors", None), {OIL}),
        (build_reference("oil.safetensors", "unet_gguf"), {OIL}),
        (build_reference("neg", "embeddings"), {EMBEDDING}),
        (build_reference("ink"), {INK}),
        (build_reference("ink", None), {INK, OTHER_INK}),
        (build_reference("styles/ink"), {INK}),
        (build_reference("absent.safetensors"), set()),
        (build_reference("../../etc/passwd"), set()),
        (build_reference("/c/models/loras/styles/ink.safetensors"), set()),
    ],
    ids=lambda value: f"{value.folder} {value.name}" if isinstance(value, ModelReference) else "",
)
def test_find_ids_returns_the_models_that_a_name_means(reference: ModelReference, ids: set[UUID]) -> None:
    assert NAMES.find_ids(reference) == ids


def test_find_uses_returns_the_last_time_of_each_required_model() -> None:
    early, late = NOW - timedelta(hours=2), NOW - timedelta(hours=1)
    prompts = [
        Prompt("a", (build_reference("oil.safetensors"),), late),
        Prompt("b", (build_reference("oil.safetensors"), build_reference("neg.pt", "embeddings")), early),
        Prompt("c", (build_reference("styles/ink.safetensors", is_required=False),), early),
    ]
    assert find_uses(prompts, NAMES, NOW) == {OIL: late, EMBEDDING: early}


@pytest.mark.parametrize("ended_at", [None, NOW + timedelta(days=1)], ids=["no time", "clock ahead"])
def test_find_uses_unusable_time_is_now(ended_at: datetime | None) -> None:
    assert find_uses([Prompt("a", (build_reference("oil.safetensors"),), ended_at)], NAMES, NOW) == {OIL: NOW}


def test_use_log_reports_each_use_once_and_again_after_ten_minutes() -> None:
    use_log = UseLog()
    use_log.record({INK: NOW})
    [use] = use_log.list_unreported()
    assert (use.model_id, use.last_used_at) == (INK, NOW)
    assert use_log.list_unreported() == [use]
    use_log.record_reported([use], resend_all=False)
    use_log.record({INK: NOW + timedelta(minutes=9)})
    assert use_log.list_unreported() == []
    use_log.record({INK: NOW + timedelta(minutes=10)})
    assert [use.last_used_at for use in use_log.list_unreported()] == [NOW + timedelta(minutes=10)]


def test_use_log_earlier_use_changes_nothing() -> None:
    use_log = UseLog(last_uses={INK: NOW}, has_changed=False)
    use_log.record({INK: NOW - timedelta(days=1)})
    assert (use_log.last_uses, use_log.has_changed) == ({INK: NOW}, False)


def test_use_log_reports_many_uses_in_parts_and_all_again_when_asked() -> None:
    use_log = UseLog(last_uses={UUID(int=number): NOW for number in range(MAX_HEARTBEAT_USES + 5)})
    first = use_log.list_unreported()
    use_log.record_reported(first, resend_all=False)
    rest = use_log.list_unreported()
    assert (len(first), len(rest)) == (MAX_HEARTBEAT_USES, 5)
    use_log.record_reported(rest, resend_all=True)
    assert len(use_log.list_unreported()) == MAX_HEARTBEAT_USES


URLS = ("http://127.0.0.1:8188", "http://127.0.0.1:8189")


def test_use_log_counts_once_every_comfyui_was_read() -> None:
    use_log, starts = UseLog(URLS), []
    for urls in ((), URLS[:1], URLS[1:]):
        use_log.record_reads(urls, NOW)
        starts.append(use_log.counted_since)
    assert starts == [None, None, NOW]


def test_use_log_without_comfyui_never_counts() -> None:
    use_log = UseLog(())
    use_log.record_reads(URLS, NOW)
    assert use_log.counted_since is None


def test_use_log_counts_anew_after_a_comfyui_was_not_read_for_long() -> None:
    use_log, late = UseLog(URLS), NOW + MAX_USE_GAP + timedelta(seconds=1)
    reads = [
        (URLS, NOW),
        (URLS[:1], NOW + MAX_USE_GAP),
        (URLS[:1], late),
        (URLS[1:], late + timedelta(days=9)),
        (URLS, late + timedelta(days=10)),
    ]
    starts: list[datetime | None] = []
    for urls, moment in reads:
        use_log.record_reads(urls, moment)
        starts.append(use_log.counted_since)
    assert starts == [NOW, NOW, None, None, late + timedelta(days=10)]


@pytest.mark.parametrize(
    ("urls", "silent", "is_kept"),
    [
        (URLS, timedelta(hours=1), True),
        (URLS[:1], timedelta(hours=1), True),
        (URLS, MAX_USE_GAP + timedelta(hours=1), False),
        (URLS, timedelta(days=-1), False),
        ((*URLS, "http://127.0.0.1:8190"), timedelta(hours=1), False),
        ((), timedelta(hours=1), False),
    ],
    ids=["short stop", "one removed", "long stop", "clock was ahead", "one added", "none"],
)
def test_use_log_is_restored_from_its_file(
    tmp_path: Path, urls: tuple[str, ...], silent: timedelta, is_kept: bool
) -> None:
    file, read = tmp_path / "agent" / "use.json", datetime.now(UTC) - silent
    save_use_log(file, UseLog(URLS, read, {INK: NOW}, dict.fromkeys(URLS, read)))
    restored = open_use_log(file, urls, is_counted=True)
    assert restored is not None
    assert (restored.counted_since, restored.last_uses) == (read if is_kept else None, {INK: NOW})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"counted_since": "now"}', b"\xff"], ids=repr)
def test_use_log_damaged_file_begins_anew(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "use.json"
    file.write_bytes(content)
    begun = open_use_log(file, URLS, is_counted=True)
    assert begun is not None
    assert (begun.last_uses, begun.counted_since) == ({}, None)


def test_use_log_not_counted_deletes_the_file(tmp_path: Path) -> None:
    file = tmp_path / "use.json"
    save_use_log(file, UseLog(URLS, NOW, {INK: NOW}))
    assert open_use_log(file, URLS, is_counted=False) is None
    assert not file.exists()


@pytest.mark.parametrize(
    ("settings", "urls"),
    [
        ({"comfyui": (Path("/c"),)}, (DEFAULT_COMFYUI_URL,)),
        ({"comfyui": (Path("/c"), Path("/d")), "comfyui_url": URLS}, URLS),
        ({"comfyui": (Path("/c"),), "comfyui_url": URLS}, URLS[:1]),
        ({"comfyui": (Path("/c"), Path("/d"))}, ()),
        ({"comfyui": (Path("/c"), Path("/d")), "comfyui_url": URLS[:1]}, ()),
        ({"models_dir": (Path("/m"),)}, ()),
        ({"comfyui": (Path("/c"),), "models_dir": (Path("/m"),)}, ()),
    ],
    ids=["default", "two", "one too many", "two, no address", "two, one address", "models folder", "both"],
)
def test_list_counted_urls_needs_an_address_for_each_folder(settings: dict[str, Any], urls: tuple[str, ...]) -> None:
    assert list_counted_urls(AgentSettings(**settings)) == urls


def test_build_names_folder_is_a_loop_of_links_is_left_out(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    install = Install(None, (Root("loras", loop), Root("vae", tmp_path)))
    ink = ReplicaState(INK, "vae/ink.safetensors", "ready", path=tmp_path.resolve() / "ink.safetensors")
    assert ModelNames.build(install, [ink]).exact == {(key, "ink.safetensors"): {INK} for key in ("", "vae")}


@pytest.mark.parametrize(
    ("items", "entry_bytes", "expected"),
    [(20, 1_000, 160), (20, 100_000, 83), (20, 1_000_000, 8), (160, 1_000, 1280), (1280, 500, 10_240)],
)
def test_compute_next_items_keeps_the_response_small(items: int, entry_bytes: int, expected: int) -> None:
    assert compute_next_items(items, History([], items, items * entry_bytes)) == expected


@pytest.fixture
def comfyui(tmp_path: Path) -> Iterator[ComfyUIServer]:
    base = tmp_path / "ComfyUI"
    for folder in ("models/loras", "models/checkpoints", "custom_nodes"):
        (base / folder).mkdir(parents=True)
    with ComfyUIServer(base) as server:
        yield server


@pytest.fixture
def comfyui_machine(comfyui: ComfyUIServer, new_machine: Callable[..., AgentMachine]) -> AgentMachine:
    return new_machine(models_dir=[], comfyui=[comfyui.listing.base], comfyui_url=[comfyui.url])


def build_prompt(name: str) -> dict[str, Any]:
    return {"4": {"class_type": "LoraLoader", "inputs": {"lora_name": name, "model": ["1", 0]}}}


def get_last_use(team: ApiCaller, model_id: str) -> str | None:
    used: str | None = team.get(f"/models/{model_id}").json()["last_used_at"]
    return used


@pytest.mark.slow
def test_agent_reports_when_models_were_used(
    comfyui: ComfyUIServer, comfyui_machine: AgentMachine, team: ApiCaller
) -> None:
    ink, oil, idle = (
        team.register(make_model_file(name), f"loras/{name}.safetensors") for name in ("ink", "oil", "idle")
    )
    ended = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
    # More than the first request for the history reads.
    for number in range(30):
        comfyui.end_prompt(build_prompt("ink.safetensors"), ended - timedelta(hours=number))
    comfyui.executed = [build_prompt("oil.safetensors")]
    comfyui.queued = [build_prompt("idle.safetensors")]
    comfyui_machine.reconcile_once()

    assert datetime.fromisoformat(get_last_use(team, ink) or "") == ended
    assert datetime.fromisoformat(get_last_use(team, oil) or "") > ended
    assert get_last_use(team, idle) is None
    listed = team.get("/agents/render-07/models").json()["agent_model_list"]
    assert {row["model_id"]: row["last_used_at"] is not None for row in listed} == {ink: True, oil: True, idle: False}
    [machine] = team.get("/agents").json()["agent_list"]
    assert machine["use_counted_since"] is not None


@pytest.mark.slow
def test_agent_with_report_use_off_reads_no_history_and_reports_no_use(
    comfyui: ComfyUIServer, comfyui_machine: AgentMachine, team: ApiCaller
) -> None:
    ink = team.register(make_model_file("ink"), "loras/ink.safetensors")
    comfyui.end_prompt(build_prompt("ink.safetensors"), datetime.now(UTC))
    comfyui_machine.settings["report_use"] = False
    comfyui_machine.reconcile_once()

    assert get_last_use(team, ink) is None
    assert not [asked for asked in comfyui.asked if "history" in asked]
    [machine] = team.get("/agents").json()["agent_list"]
    assert machine["use_counted_since"] is None


@pytest.mark.slow
async def test_agent_keeps_and_sends_nothing_of_prompts_but_model_ids(
    comfyui: ComfyUIServer,
    comfyui_machine: AgentMachine,
    team: ApiCaller,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secrets = ["sk-comfy-3f9a", "a castle at night", "unregistered.safetensors"]
    ink = team.register(make_model_file("ink"), "loras/ink.safetensors")
    comfyui.extra_data = {"api_key_comfy_org": secrets[0], "auth_token_comfy_org": secrets[0]}
    prompt = build_prompt("ink.safetensors") | {
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": secrets[1]}},
        "7": {"class_type": "LoraLoader", "inputs": {"lora_name": secrets[2]}},
        "8": {"class_type": "ApiNode", "inputs": {"key": secrets[0]}},
    }
    comfyui.end_prompt(prompt, datetime.now(UTC))
    comfyui.executed = comfyui.queued = [prompt]
    with RecordingProxy(comfyui_machine.url) as proxy, caplog.at_level(logging.DEBUG):
        comfyui_machine.url = proxy.url
        async with comfyui_machine.running() as agent:
            agent.use_counter.count_seconds = 0.05
            await wait_until(lambda: get_last_use(team, ink))
    stored = [file.read_bytes() for file in comfyui_machine.folder.rglob("*") if file.is_file()]
    assert ink.encode() in proxy.sent
    assert any(ink.encode() in content for content in stored)
    for secret in secrets:
        assert secret.encode() not in proxy.sent
        assert not any(secret.encode() in content for content in stored)
        assert secret not in caplog.text


@pytest.mark.slow
def test_agent_restarted_reports_uses_again_without_the_history(
    comfyui: ComfyUIServer, comfyui_machine: AgentMachine, team: ApiCaller
) -> None:
    ink = team.register(make_model_file("ink"), "loras/ink.safetensors")
    comfyui.end_prompt(build_prompt("ink.safetensors"), datetime.now(UTC))
    comfyui_machine.reconcile_once()
    used = get_last_use(team, ink)
    counted = team.get("/agents").json()["agent_list"][0]["use_counted_since"]
    team.delete("/agents/render-07")
    comfyui.history.clear()
    comfyui_machine.reconcile_once()

    [row] = team.get("/agents/render-07/models").json()["agent_model_list"]
    assert used is not None
    assert row["last_used_at"] == used
    assert team.get("/agents").json()["agent_list"][0]["use_counted_since"] > counted
    assert json.loads(comfyui_machine.start_options.folder.use_log.read_text())["last_uses"].keys() == {ink}


@pytest.mark.slow
@pytest.mark.parametrize("refused", ["all", "history"])
def test_agent_whose_comfyui_is_not_read_does_not_count(
    comfyui: ComfyUIServer, comfyui_machine: AgentMachine, team: ApiCaller, refused: str
) -> None:
    comfyui.refused = {"system_stats", "queue", "history", "models", "experiment"} if refused == "all" else {"history"}
    comfyui_machine.reconcile_once()
    assert team.get("/agents").json()["agent_list"][0]["use_counted_since"] is None


async def test_count_twice_with_the_same_unexpected_error_logs_it_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    status = AgentStatus(AgentSettings(), "http://127.0.0.1:9", lambda: None)
    status.use_log = UseLog(URLS, read_at=dict.fromkeys(URLS, datetime.now(UTC)))
    status.result = None  # type: ignore[assignment] # so that any use of it raises
    counter = UseCounter(status, tmp_path / "use.json")
    await counter.count()
    await counter.count()
    assert caplog.text.count("cannot be counted") == 1
