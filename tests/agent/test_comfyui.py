import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard.agent.roots import RootCache, RootFinder
from modelyard.agent.settings import AgentSettings, read_settings
from modelyard.comfyui.folders_api import fetch_install
from modelyard.comfyui.http_api import ComfyUI
from modelyard.comfyui.load_check import LoadCheck
from modelyard.sync.desired import DesiredModel, build_desired_state
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.comfyui.comfyui_server import ComfyUIServer
from tests.server.harness import ApiCaller, make_model_file
from tests.sync.factories import build_entry

pytestmark = pytest.mark.slow

UNREACHABLE_URL = "http://127.0.0.1:9"


@pytest.fixture
def comfyui(tmp_path: Path) -> Iterator[ComfyUIServer]:
    base = tmp_path / "ComfyUI"
    for folder in ("models/loras", "models/unet", "models/diffusion_models", "custom_nodes"):
        (base / folder).mkdir(parents=True)
    with ComfyUIServer(base) as server:
        yield server


@pytest.fixture
def comfyui_machine(comfyui: ComfyUIServer, new_machine: Callable[..., AgentMachine]) -> AgentMachine:
    """A machine whose agent keeps the folders of that ComfyUI."""
    return new_machine(models_dir=[], comfyui=[comfyui.listing.base], comfyui_url=[comfyui.url])


def get_desired_model(path: str) -> DesiredModel:
    return build_desired_state([build_entry(path, "bytes")]).models[0]


def read_comfyui_settings(base: Path, **settings: Any) -> AgentSettings:
    return read_settings({"MODELYARD_AGENT_CONFIG": "nowhere.toml"}, comfyui=[base], **settings)


def write_model(base: Path, path: str, content: bytes = b"bytes") -> Path:
    file = base / "models" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def find_load_problem(server: ComfyUIServer, path: str, file: Path) -> str | None:
    return LoadCheck(ComfyUI(server.url), fetch_install(server.url)).find_problem(get_desired_model(path), file)


def test_comfyui_client_running_returns_version_and_whether_it_renders(comfyui: ComfyUIServer) -> None:
    client = ComfyUI(comfyui.url)
    assert client.get_version() == "0.3.64"
    assert not client.is_rendering()
    comfyui.is_rendering = True
    assert client.is_rendering()


@pytest.mark.parametrize(
    "url", [UNREACHABLE_URL, f"http://{'a' * 64}.example", "http://[::1"], ids=["off", "idna", "bracket"]
)
def test_comfyui_client_unreachable_returns_none_and_not_rendering(url: str) -> None:
    client = ComfyUI(url)
    assert client.get_version() is None
    assert client.list_names("loras") is None
    assert not client.is_rendering()
    assert not client.unload_models()


def test_comfyui_client_timeout_counts_as_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr("modelyard.comfyui.http_api._TIMEOUT_SECONDS", 0.2)
        client = ComfyUI(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert client.is_rendering()
        assert client.get_version() is None


def test_load_check_listed_file_returns_none(comfyui: ComfyUIServer) -> None:
    file = write_model(comfyui.listing.base, "loras/ink.safetensors")
    assert find_load_problem(comfyui, "loras/ink.safetensors", file) is None


def test_load_check_file_in_subfolder_returns_none(comfyui: ComfyUIServer) -> None:
    file = write_model(comfyui.listing.base, "loras/flux/ink.safetensors")
    assert find_load_problem(comfyui, "loras/flux/ink.safetensors", file) is None


# What the message about an unlisted file names, and what it does not.
UNLISTED = {
    "diffusion_models/ink.gguf": (["ComfyUI-GGUF", "'Unet Loader (GGUF)'"], "folders changed"),
    "text_encoders/t5.GGUF": (["ComfyUI-GGUF", "'CLIPLoader (GGUF)'"], "folders changed"),
    "loras/ink.gguf": (["'diffusion_models' (Unet Loader (GGUF))", "'text_encoders' (CLIPLoader (GGUF))"], "restart"),
    "vae/ink.onnx": ([".onnx", "custom node"], "ComfyUI-GGUF"),
}


@pytest.mark.parametrize("path", UNLISTED)
def test_load_check_extension_that_comfyui_does_not_list_names_what_loads_it(comfyui: ComfyUIServer, path: str) -> None:
    named, not_named = UNLISTED[path]
    problem = find_load_problem(comfyui, path, write_model(comfyui.listing.base, path))
    assert problem is not None
    assert "does not list" in problem
    assert [text for text in named if text not in problem] == []
    assert not_named not in problem


def test_load_check_gguf_unlisted_although_its_node_is_installed_advises_restart(comfyui: ComfyUIServer) -> None:
    comfyui.listing.folders["unet_gguf"] = list(comfyui.listing.folders["diffusion_models"])
    comfyui.listing.extensions["unet_gguf"] = frozenset({".other"})
    problem = find_load_problem(comfyui, "diffusion_models/a.gguf", write_model(comfyui.listing.base, "unet/a.gguf"))
    assert problem is not None
    assert "restart ComfyUI. The node 'Unet Loader (GGUF)'" in problem
    assert "Install" not in problem


def test_load_check_gguf_listed_under_other_key_of_same_folder_returns_none(comfyui: ComfyUIServer) -> None:
    comfyui.listing.folders["unet_gguf"] = list(comfyui.listing.folders["diffusion_models"])
    comfyui.listing.extensions["unet_gguf"] = frozenset({".gguf"})
    file = write_model(comfyui.listing.base, "diffusion_models/flux/ink.gguf")

    assert find_load_problem(comfyui, "diffusion_models/flux/ink.gguf", file) is None


def test_load_check_file_listed_under_key_of_subfolder_returns_none(comfyui: ComfyUIServer) -> None:
    models = comfyui.listing.base / "models"
    comfyui.listing.folders["ultralytics_bbox"] = [str(models / "ultralytics" / "bbox")]
    comfyui.listing.extensions["ultralytics_bbox"] = frozenset({".pt"})
    file = write_model(comfyui.listing.base, "ultralytics/bbox/face.pt")

    assert find_load_problem(comfyui, "ultralytics/bbox/face.pt", file) is None


def test_load_check_file_hidden_by_same_name_returns_path_of_other_file(comfyui: ComfyUIServer) -> None:
    write_model(comfyui.listing.base, "unet/ink.safetensors", b"others")
    behind = write_model(comfyui.listing.base, "diffusion_models/ink.safetensors")
    problem = find_load_problem(comfyui, "diffusion_models/ink.safetensors", behind)
    assert problem is not None
    assert "unet/ink.safetensors" in problem


def test_load_check_unregistered_type_returns_problem_about_missing_custom_node(comfyui: ComfyUIServer) -> None:
    file = write_model(comfyui.listing.base, "ipadapter/ink.safetensors")
    problem = find_load_problem(comfyui, "ipadapter/ink.safetensors", file)
    assert problem is not None
    assert "custom node" in problem


def test_load_check_unregistered_known_folder_returns_name_of_its_custom_node(comfyui: ComfyUIServer) -> None:
    file = write_model(comfyui.listing.base, "ipadapter/ink.safetensors")
    problem = find_load_problem(comfyui, "ipadapter/ink.safetensors", file)
    assert problem is not None
    assert "ComfyUI_IPAdapter_plus" in problem


@pytest.mark.parametrize("is_registered", [False, True], ids=["no key", "key of another node that lists other endings"])
def test_load_check_folder_that_custom_node_reads_directly_returns_none(
    comfyui: ComfyUIServer, is_registered: bool
) -> None:
    if is_registered:
        comfyui.listing.folders["insightface"] = [str(comfyui.listing.base / "models/insightface")]
        comfyui.listing.extensions["insightface"] = frozenset({".pth"})
    file = write_model(comfyui.listing.base, "insightface/models/buffalo_l/det_10g.onnx")

    assert find_load_problem(comfyui, "insightface/models/buffalo_l/det_10g.onnx", file) is None


def test_load_check_file_outside_install_returns_none(comfyui: ComfyUIServer, tmp_path: Path) -> None:
    elsewhere = write_model(tmp_path / "other", "loras/ink.safetensors")
    assert find_load_problem(comfyui, "loras/ink.safetensors", elsewhere) is None


def test_load_check_requests_each_key_once(comfyui: ComfyUIServer) -> None:
    load_check = LoadCheck(ComfyUI(comfyui.url), fetch_install(comfyui.url))
    for name in ("a", "b", "c"):
        load_check.find_problem(
            get_desired_model(f"loras/{name}.safetensors"),
            write_model(comfyui.listing.base, f"loras/{name}.safetensors"),
        )
    assert comfyui.asked.count("GET /models/loras") == 1


def test_root_finder_running_comfyui_returns_its_reported_roots(comfyui: ComfyUIServer, tmp_path: Path) -> None:
    comfyui.listing.folders["ipadapter"] = [str(tmp_path / "node" / "models")]
    roots = RootFinder(read_comfyui_settings(comfyui.listing.base, comfyui_url=[comfyui.url]), {}).find()
    assert {root.key for root in roots.installs[0].roots} >= {"loras", "ipadapter"}
    assert [client.url for client, _ in roots.running] == [comfyui.url]


def test_root_finder_comfyui_off_reads_its_layout(comfyui: ComfyUIServer) -> None:
    roots = RootFinder(read_comfyui_settings(comfyui.listing.base, comfyui_url=[UNREACHABLE_URL]), {}).find()
    assert {root.key for root in roots.installs[0].roots} >= {"loras", "diffusion_models"}
    assert roots.running == ()


def test_reconcile_placed_model_is_checked_with_comfyui(
    comfyui: ComfyUIServer, comfyui_machine: AgentMachine, team: ApiCaller
) -> None:
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    result = comfyui_machine.reconcile_once()
    assert result is not None
    assert [(replica_state.state, replica_state.reason) for replica_state in result.replica_states] == [("ready", None)]
    assert comfyui.listing.resolve_name("loras", "ink.safetensors") is not None
    assert "GET /models/loras" in comfyui.asked
    assert not [asked for asked in comfyui.asked if "object_info" in asked]


def test_reconcile_unlisted_model_is_ready_with_reason(
    comfyui: ComfyUIServer, comfyui_machine: AgentMachine, team: ApiCaller
) -> None:
    team.register(make_model_file("ink"), "ipadapter/ink.safetensors", model_type="ipadapter")
    comfyui_machine.reconcile_once()
    rows = team.get(f"/agents/{comfyui_machine.agent_id}/models").json()["agent_model_list"]
    assert rows[0]["state"] == "ready"
    assert "custom node" in rows[0]["reason"]
    [machine] = team.get("/agents").json()["agent_list"]
    assert (machine["models_ready"], machine["models_unloaded"]) == (1, 1)


def build_prompt(lora: str) -> dict[str, object]:
    return {"4": {"class_type": "LoraLoader", "inputs": {"lora_name": lora, "model": ["1", 0]}}}


async def test_agent_replacement_waits_for_queued_prompts_that_use_the_model_and_frees_comfyui_memory(
    comfyui: ComfyUIServer, comfyui_machine: AgentMachine, team: ApiCaller
) -> None:
    old, new = make_model_file("old"), make_model_file("new", 100)
    ids = [team.register(old, f"loras/{name}.safetensors") for name in ("ink", "other")]
    await comfyui_machine.reconcile()
    comfyui.executed = [build_prompt("ink.safetensors")]
    for name, model_id in zip(("ink", "other"), ids, strict=True):
        team.register(new, f"loras/{name}.safetensors", replaces=model_id)
    ink, other = (comfyui.listing.base / f"models/loras/{name}.safetensors" for name in ("ink", "other"))
    async with comfyui_machine.running():
        await wait_until(lambda: "queue uses" in comfyui_machine.waiting_for)
        # Between the old bytes and the new ones, nothing is there.
        await wait_until(lambda: other.exists() and other.read_bytes() == new)
        assert ink.read_bytes() == old
        # A prompt that is queued later uses the new bytes, so the queue need not become empty.
        comfyui.queued = [build_prompt("ink.safetensors")]
        comfyui.executed = []
        await wait_until(lambda: ink.exists() and ink.read_bytes() == new)
        await wait_until(lambda: {"unload_models": True, "free_memory": True} in comfyui.freed)


@pytest.mark.parametrize("text", ["ink.safetensors", "a <lora:ink:0.8> cat"], ids=["loader", "text"])
async def test_agent_removal_waits_for_queued_prompt_that_uses_model(
    comfyui: ComfyUIServer, comfyui_machine: AgentMachine, team: ApiCaller, text: str
) -> None:
    model_id = team.register(make_model_file("ink"), "loras/ink.safetensors")
    other_id = team.register(make_model_file("other"), "loras/other.safetensors")
    await comfyui_machine.reconcile()
    loras = comfyui.listing.base / "models/loras"
    comfyui.queued = [build_prompt(text)]
    async with comfyui_machine.running():
        for each in (model_id, other_id):
            team.put(f"/models/{each}", model_status="disabled")
        await wait_until(lambda: "queue uses" in comfyui_machine.waiting_for)
        await wait_until(lambda: not (loras / "other.safetensors").exists())
        assert (loras / "ink.safetensors").exists()
        comfyui.queued = []
        await wait_until(lambda: not (loras / "ink.safetensors").exists())


def test_texts_of_queued_prompts_with_the_same_id_are_all_listed(comfyui: ComfyUIServer) -> None:
    comfyui.prompt_id = "chosen"
    comfyui.queued = [build_prompt("ink.safetensors"), build_prompt("other.safetensors")]
    texts = ComfyUI(comfyui.url).list_queued_texts()
    assert texts is not None
    assert texts["chosen"] >= {"ink.safetensors", "other.safetensors"}


def test_root_finder_comfyui_off_uses_cache_until_config_changes(comfyui: ComfyUIServer, tmp_path: Path) -> None:
    comfyui.listing.folders["ipadapter"] = [str(tmp_path / "node" / "models")]
    cache = RootCache(tmp_path / "folders.json")
    on = RootFinder(read_comfyui_settings(comfyui.listing.base, comfyui_url=[comfyui.url]), {}, cache).find()
    off = RootFinder(read_comfyui_settings(comfyui.listing.base, comfyui_url=[UNREACHABLE_URL]), {}, cache)
    assert off.find().installs == on.installs
    (comfyui.listing.base / "extra_model_paths.yaml").write_text("more:\n  loras: more\n")
    roots = off.find().installs[0].roots
    assert "ipadapter" not in {root.key for root in roots}
    assert comfyui.listing.base / "more" in {root.path for root in roots}


async def test_agent_removes_last_model_of_a_type_that_comfyui_does_not_list(
    comfyui: ComfyUIServer, comfyui_machine: AgentMachine, team: ApiCaller
) -> None:
    path = "ipadapter/ink.safetensors"
    model_id = team.register(make_model_file("ink"), path, model_type="ipadapter")
    file = comfyui.listing.base / "models" / path
    async with comfyui_machine.running():
        await wait_until(file.is_file)
        assert team.delete(f"/models/{model_id}").status_code == 204
        await wait_until(lambda: not file.exists())


def test_reconcile_type_that_comfyui_now_lists_elsewhere_places_the_model_there(
    comfyui: ComfyUIServer, comfyui_machine: AgentMachine, team: ApiCaller, tmp_path: Path
) -> None:
    team.register(make_model_file("ink"), "ipadapter/ink.safetensors", model_type="ipadapter")
    comfyui_machine.reconcile_once()
    assert (comfyui.listing.base / "models/ipadapter/ink.safetensors").is_file()
    listed = tmp_path / "data" / "ipadapter"
    listed.mkdir(parents=True)
    comfyui.listing.folders["ipadapter"] = [str(listed)]
    comfyui_machine.reconcile_once()
    assert (listed / "ink.safetensors").is_file()
