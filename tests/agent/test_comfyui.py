import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard.agent.comfyui import ComfyUI, Witness
from modelyard.agent.library import Finder, Memory
from modelyard.agent.settings import AgentSettings, read_settings
from modelyard.client.sync.holding.running import ask_comfyui
from modelyard.client.sync.wanted import Wanted, read_wanted
from tests.agent.box import Box, until
from tests.agent.comfyui_server import ComfyUIServer
from tests.client.sync.making import model
from tests.server.world import Someone, a_model_file

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def comfyui(tmp_path: Path) -> Iterator[ComfyUIServer]:
    base = tmp_path / "ComfyUI"
    for folder in ("models/loras", "models/unet", "models/diffusion_models", "custom_nodes"):
        (base / folder).mkdir(parents=True)
    with ComfyUIServer(base) as server:
        yield server


@pytest.fixture
def beside(comfyui: ComfyUIServer, new_box: Callable[..., Box]) -> Box:
    """A machine whose agent keeps the folders of that ComfyUI."""
    return new_box(models_dir=[], comfyui=[comfyui.listing.base], comfyui_url=[comfyui.url])


def wanted_at(path: str) -> Wanted:
    return read_wanted([model(path, "bytes")]).models[0]


def settings_for(base: Path, **settings: Any) -> AgentSettings:
    return read_settings({"MODELYARD_AGENT_CONFIG": "nowhere.toml"}, comfyui=[base], **settings)


def put(base: Path, path: str, content: bytes = b"bytes") -> Path:
    file = base / "models" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def objection(server: ComfyUIServer, path: str, file: Path) -> str | None:
    return Witness(ComfyUI(server.url), ask_comfyui(server.url)).objection(wanted_at(path), file)


def test_a_running_comfyui_says_its_version_and_whether_it_renders(comfyui: ComfyUIServer) -> None:
    there = ComfyUI(comfyui.url)
    assert there.version() == "0.3.64"
    assert not there.is_rendering()
    comfyui.is_rendering = True
    assert there.is_rendering()


def test_one_that_is_off_says_nothing_and_is_in_nobodys_way() -> None:
    away = ComfyUI(NOBODY)
    assert away.version() is None
    assert away.names("loras") is None
    assert not away.is_rendering()
    assert not away.free()


def test_one_that_is_too_busy_to_answer_is_not_taken_for_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setattr("modelyard.agent.comfyui._SECONDS", 0.2)
        there = ComfyUI(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        assert there.is_rendering()
        assert there.version() is None


def test_a_file_that_it_lists_and_opens_has_no_objection(comfyui: ComfyUIServer) -> None:
    file = put(comfyui.listing.base, "loras/ink.safetensors")
    assert objection(comfyui, "loras/ink.safetensors", file) is None


def test_a_file_in_a_folder_of_its_own_is_asked_for_by_its_whole_name(comfyui: ComfyUIServer) -> None:
    file = put(comfyui.listing.base, "loras/flux/ink.safetensors")
    assert objection(comfyui, "loras/flux/ink.safetensors", file) is None


def test_an_ending_that_its_loaders_do_not_know_is_said(comfyui: ComfyUIServer) -> None:
    file = put(comfyui.listing.base, "diffusion_models/ink.gguf")
    said = objection(comfyui, "diffusion_models/ink.gguf", file)
    assert said is not None
    assert "does not list" in said


def test_a_file_behind_another_one_of_its_name_is_said(comfyui: ComfyUIServer) -> None:
    put(comfyui.listing.base, "unet/ink.safetensors", b"others")
    behind = put(comfyui.listing.base, "diffusion_models/ink.safetensors")
    said = objection(comfyui, "diffusion_models/ink.safetensors", behind)
    assert said is not None
    assert "unet/ink.safetensors" in said


def test_a_type_that_no_node_brings_is_said(comfyui: ComfyUIServer) -> None:
    file = put(comfyui.listing.base, "ipadapter/ink.safetensors")
    said = objection(comfyui, "ipadapter/ink.safetensors", file)
    assert said is not None
    assert "custom node" in said


def test_of_another_install_it_says_nothing(comfyui: ComfyUIServer, tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "other", "loras/ink.safetensors")
    assert objection(comfyui, "loras/ink.safetensors", elsewhere) is None


def test_each_key_is_asked_for_once(comfyui: ComfyUIServer) -> None:
    witness = Witness(ComfyUI(comfyui.url), ask_comfyui(comfyui.url))
    for name in ("a", "b", "c"):
        witness.objection(
            wanted_at(f"loras/{name}.safetensors"), put(comfyui.listing.base, f"loras/{name}.safetensors")
        )
    assert comfyui.asked.count("GET /models/loras") == 1


def test_a_running_comfyui_says_where_it_looks(comfyui: ComfyUIServer, tmp_path: Path) -> None:
    comfyui.listing.folders["ipadapter"] = [str(tmp_path / "node" / "models")]
    library = Finder(settings_for(comfyui.listing.base, comfyui_url=[comfyui.url]), {}).find()
    assert {root.key for root in library.installs[0].roots} >= {"loras", "ipadapter"}
    assert [there.url for there, _ in library.running] == [comfyui.url]


def test_without_one_its_layout_is_read(comfyui: ComfyUIServer) -> None:
    library = Finder(settings_for(comfyui.listing.base, comfyui_url=[NOBODY]), {}).find()
    assert {root.key for root in library.installs[0].roots} >= {"loras", "diffusion_models"}
    assert library.running == ()


def test_what_is_placed_is_proven_by_the_comfyui_beside_it(comfyui: ComfyUIServer, beside: Box, team: Someone) -> None:
    team.register(a_model_file("ink"), "loras/ink.safetensors")
    outcome = beside.once()
    assert outcome is not None
    assert [(standing.state, standing.reason) for standing in outcome.standings] == [("ready", None)]
    assert comfyui.listing.resolved("loras", "ink.safetensors") is not None
    assert "GET /models/loras" in comfyui.asked
    assert not [asked for asked in comfyui.asked if "object_info" in asked]


def test_a_model_that_comfyui_does_not_list_is_here_with_a_remark(
    comfyui: ComfyUIServer, beside: Box, team: Someone
) -> None:
    team.register(a_model_file("ink"), "ipadapter/ink.safetensors", model_type="ipadapter")
    beside.once()
    rows = team.get(f"/agents/{beside.agent_id}/models").json()["agent_model_list"]
    assert rows[0]["state"] == "ready"
    assert "custom node" in rows[0]["reason"]


async def test_bytes_are_replaced_once_comfyui_is_idle_and_it_lets_go_of_the_old_ones(
    comfyui: ComfyUIServer, beside: Box, team: Someone
) -> None:
    old, new = a_model_file("old"), a_model_file("new", 100)
    model_id = team.register(old, "loras/ink.safetensors")
    await beside.look()
    comfyui.is_rendering = True
    team.register(new, "loras/ink.safetensors", replaces=model_id)
    file = comfyui.listing.base / "models/loras/ink.safetensors"
    async with beside.running():
        await until(lambda: "works on its queue" in beside.waits_for)
        assert file.read_bytes() == old
        assert comfyui.freed == []
        comfyui.is_rendering = False
        # Between the old bytes and the new ones, nothing is there.
        await until(lambda: file.exists() and file.stat().st_size == len(new))
        assert file.read_bytes() == new
        await until(lambda: comfyui.freed == [{"unload_models": True, "free_memory": True}])


def test_folders_of_custom_nodes_are_known_while_comfyui_is_off(comfyui: ComfyUIServer, tmp_path: Path) -> None:
    comfyui.listing.folders["ipadapter"] = [str(tmp_path / "node" / "models")]
    memory = Memory(tmp_path / "folders.json")
    said = Finder(settings_for(comfyui.listing.base, comfyui_url=[comfyui.url]), {}, memory).find()
    off = Finder(settings_for(comfyui.listing.base, comfyui_url=[NOBODY]), {}, memory)
    assert off.find().installs == said.installs
    (comfyui.listing.base / "extra_model_paths.yaml").write_text("more:\n  loras: more\n")
    roots = off.find().installs[0].roots
    assert "ipadapter" not in {root.key for root in roots}
    assert comfyui.listing.base / "more" in {root.path for root in roots}
