"""What an agent reports of the loader nodes of its ComfyUIs, and when it asks them."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelyard.agent.reconciliation.loader_reports import merge_loaders
from modelyard.comfyui import http_api
from modelyard.comfyui.loader_inputs import ANY_INPUT, FoundLoader
from modelyard.wire.agent_requests.loaders import MAX_LOADER_INPUTS
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.comfyui.comfyui_server import ComfyUIServer
from tests.server.harness import ApiCaller

STYLE = FoundLoader("StyleLoader", "style", "style_models")


@pytest.fixture
def comfyui(tmp_path: Path) -> Iterator[ComfyUIServer]:
    base = tmp_path / "ComfyUI"
    for folder in ("models/style_models", "models/loras", "custom_nodes"):
        (base / folder).mkdir(parents=True)
    (base / "models/style_models/ink.safetensors").write_bytes(b"ink")
    with ComfyUIServer(base) as server:
        server.object_info = {"StyleLoader": {"input": {"required": {"style": [["ink.safetensors"]]}}}}
        yield server


def find_folder(team: ApiCaller) -> str | None:
    workflow = {"1": {"class_type": "StyleLoader", "inputs": {"style": "oil.safetensors"}}}
    checked = team.call("POST", "/workflows/check", content=json.dumps(workflow).encode()).json()
    folder: str | None = checked["reference_list"][0]["folder"]
    return folder


@pytest.mark.slow
async def test_agent_reports_the_loaders_of_a_comfyui_once_per_start(
    comfyui: ComfyUIServer, new_machine: Callable[..., AgentMachine], team: ApiCaller
) -> None:
    machine = new_machine(models_dir=[], comfyui=[comfyui.listing.base], comfyui_url=[comfyui.url])

    def count_readings() -> int:
        return comfyui.asked.count("GET /object_info")

    async with machine.running() as agent:
        await wait_until(lambda: bool(agent.status.result.roots.running) and agent.status.connection.is_up)
        await agent.loader_reporter.check()
        assert find_folder(team) == "style_models"
        await agent.loader_reporter.check()
        assert count_readings() == 1

        comfyui.refused.add("system_stats")
        await agent.loader_reporter.check()
        assert find_folder(team) == "style_models"
        comfyui.refused.clear()
        comfyui.object_info = {}
        await agent.loader_reporter.check()
        assert (count_readings(), find_folder(team)) == (2, None)


def shorten_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only shortly for responses of ComfyUI, until ``monkeypatch`` undoes it."""
    monkeypatch.setattr(http_api, "_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(http_api, "_OBJECT_INFO_SECONDS", 0.3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failing", "part"),
    [("refused", "object_info"), ("silent", "object_info"), ("silent", "models")],
    ids=["nodes are refused", "nodes take too long", "lists take too long"],
)
async def test_agent_keeps_its_report_and_reads_again_at_growing_intervals_if_comfyui_cannot_be_read(
    comfyui: ComfyUIServer, new_machine: Callable[..., AgentMachine], team: ApiCaller, failing: str, part: str
) -> None:
    machine = new_machine(models_dir=[], comfyui=[comfyui.listing.base], comfyui_url=[comfyui.url])
    async with machine.running() as agent:
        await wait_until(lambda: bool(agent.status.result.roots.running) and agent.status.connection.is_up)
        await agent.loader_reporter.check()
        comfyui.refused.add("system_stats")
        await agent.loader_reporter.check()
        comfyui.refused.clear()

        getattr(comfyui, failing).add(part)
        comfyui.object_info = {}
        comfyui.asked.clear()
        with pytest.MonkeyPatch.context() as patch:
            shorten_timeouts(patch)
            for _ in range(12):
                await agent.loader_reporter.check()
        assert find_folder(team) == "style_models"
        assert len([each for each in comfyui.asked if each.startswith(f"GET /{part}")]) <= 5

        getattr(comfyui, failing).clear()
        for _ in range(40):
            await agent.loader_reporter.check()
        assert find_folder(team) is None


@pytest.mark.slow
async def test_agent_does_not_read_a_comfyui_again_that_was_only_busy(
    comfyui: ComfyUIServer, new_machine: Callable[..., AgentMachine]
) -> None:
    machine = new_machine(models_dir=[], comfyui=[comfyui.listing.base], comfyui_url=[comfyui.url])
    async with machine.running() as agent:
        await wait_until(lambda: bool(agent.status.result.roots.running) and agent.status.connection.is_up)
        await agent.loader_reporter.check()
        comfyui.silent.add("system_stats")
        with pytest.MonkeyPatch.context() as patch:
            shorten_timeouts(patch)
            await agent.loader_reporter.check()
        comfyui.silent.clear()
        await agent.loader_reporter.check()
        assert comfyui.asked.count("GET /object_info") == 1


@pytest.fixture
def other(tmp_path: Path) -> Iterator[ComfyUIServer]:
    """A second ComfyUI, with a file of the same name in another folder."""
    base = tmp_path / "other"
    (base / "models/loras").mkdir(parents=True)
    (base / "models/loras/ink.safetensors").write_bytes(b"ink")
    with ComfyUIServer(base) as server:
        yield server


@pytest.mark.slow
async def test_agent_reports_nothing_before_all_running_comfyuis_were_read(
    comfyui: ComfyUIServer, other: ComfyUIServer, new_machine: Callable[..., AgentMachine], team: ApiCaller
) -> None:
    folders, urls = [comfyui.listing.base, other.listing.base], [comfyui.url, other.url]
    machine = new_machine(models_dir=[], comfyui=folders, comfyui_url=urls)
    async with machine.running() as agent:
        await wait_until(lambda: len(agent.status.result.roots.running) == 2 and agent.status.connection.is_up)
        await agent.loader_reporter.check()
        assert find_folder(team) is None
        other.object_info = {}
        for _ in range(3):
            await agent.loader_reporter.check()
        assert find_folder(team) == "style_models"


@pytest.mark.slow
async def test_agent_forgets_the_loaders_of_a_comfyui_whose_folder_was_removed(
    comfyui: ComfyUIServer, other: ComfyUIServer, new_machine: Callable[..., AgentMachine], team: ApiCaller
) -> None:
    folders, urls = [comfyui.listing.base, other.listing.base], [comfyui.url, other.url]
    other.object_info = {}
    machine = new_machine(models_dir=[], comfyui=folders, comfyui_url=urls)
    async with machine.running() as agent:
        await wait_until(lambda: len(agent.status.result.roots.running) == 2 and agent.status.connection.is_up)
        await agent.loader_reporter.check()
        assert find_folder(team) == "style_models"

        comfyui.refused.add("system_stats")
        await agent.loader_reporter.check()
        assert find_folder(team) == "style_models"
        shutil.rmtree(comfyui.listing.base)
        await agent.loader_reporter.check()
        assert find_folder(team) is None


@pytest.mark.slow
async def test_agent_reports_no_loaders_once_the_folder_of_its_only_comfyui_was_removed(
    comfyui: ComfyUIServer, new_machine: Callable[..., AgentMachine], team: ApiCaller
) -> None:
    machine = new_machine(models_dir=[], comfyui=[comfyui.listing.base], comfyui_url=[comfyui.url])
    async with machine.running() as agent:
        await wait_until(lambda: bool(agent.status.result.roots.running) and agent.status.connection.is_up)
        await agent.loader_reporter.check()
        comfyui.refused.add("system_stats")
        shutil.rmtree(comfyui.listing.base)
        await agent.loader_reporter.check()
        assert find_folder(team) is None


def test_merge_loaders_leaves_out_inputs_in_which_comfyuis_differ_and_names_that_are_refused() -> None:
    other = FoundLoader("OtherLoader", "name", "vae")
    found = [[STYLE, other], [STYLE, other._replace(folder="loras"), other._replace(node_type="a\nb")]]
    assert [(each.node_type, each.input, each.folder) for each in merge_loaders(found)] == [STYLE]


ANY = STYLE._replace(input=ANY_INPUT)
SECOND = STYLE._replace(input="second")


@pytest.mark.parametrize(
    ("found", "is_only"),
    [
        ([[STYLE, ANY], [STYLE, ANY]], True),
        ([[STYLE, ANY], [FoundLoader("Other", "name", "vae")]], True),
        ([[STYLE, ANY], [STYLE]], False),
        ([[STYLE, ANY], [SECOND._replace(folder="vae"), ANY._replace(folder="vae")]], False),
        ([[STYLE, ANY], [STYLE, SECOND._replace(folder="vae")]], False),
    ],
    ids=["all agree", "another node", "one does not say so", "two folders", "another folder"],
)
def test_merge_loaders_says_that_a_node_loads_from_one_folder_if_all_comfyuis_agree(
    found: list[list[FoundLoader]], is_only: bool
) -> None:
    assert (ANY_INPUT in [each.input for each in merge_loaders(found)]) == is_only


def test_merge_loaders_returns_a_limited_number() -> None:
    many = [STYLE._replace(node_type=f"Loader {number}") for number in range(MAX_LOADER_INPUTS + 10)]
    assert len(merge_loaders([many])) == MAX_LOADER_INPUTS
