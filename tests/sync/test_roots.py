import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from modelyard.comfyui.extra_model_paths import read_install
from modelyard.comfyui.folders_api import fetch_install, parse_install
from modelyard.comfyui.layout import ComfyUIFoldersUnknown, Install, build_plain_install
from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.placement_journal import PlacementJournal
from modelyard.sync.inventory.scan import MachineState, scan_roots
from modelyard.sync.inventory.state_db import StateFile
from modelyard.sync.planning.planner import plan_sync
from tests.sync.comfy_listing import ComfyListing
from tests.sync.factories import build_desired, build_entry, build_policy

HOME = {"HOME": "/home/artist", "MODELS": "/mnt/models"}
NO_MODELS = {"custom_nodes", "configs"}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "ComfyUI" / "models").mkdir(parents=True)
    return tmp_path / "ComfyUI"


def list_folders_by_key(install: Install) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = {}
    for root in install.roots:
        folders.setdefault(root.key, []).append(str(root.path))
    return folders


CONFIGS = [
    "",
    "# nothing but a remark\n",
    "empty:\n",
    "webui:\n    base_path: /webui/\n    checkpoints: models/Stable-diffusion\n    loras: |\n        models/Lora\n"
    "        models/LyCORIS\n    configs: models/Stable-diffusion\n",
    "near:\n    base_path: ../shared\n    vae: vae/../vae_files\n",
    "home:\n    base_path: ~/models\n    unet: flux\n    clip: t5\n",
    "plain:\n    loras: /mnt/loras\n    vae: beside\n",
    "first:\n    base_path: /data\n    is_default: true\n    checkpoints: checkpoints\n    diffusion_models: |\n"
    "        unet\n        diffusion_models\n",
    "twice:\n    base_path: models\n    is_default: true\n    loras: loras\n    diffusion_models: diffusion_models\n",
    "again:\n    base_path: models\n    loras: loras\n",
    "own:\n    base_path: /data\n    my_node: my_node\n    custom_nodes: nodes\n",
    "a:\n    loras: /a\n    is_default: true\nb:\n    loras: /b\n    is_default: true\nc:\n    loras: /c\n",
]


@pytest.mark.parametrize("config", CONFIGS)
def test_comfyui_roots_of_stopped_comfyui_match_its_configuration(base: Path, config: str) -> None:
    (base / "extra_model_paths.yaml").write_text(config)
    listing = ComfyListing(base, HOME["HOME"]).start()
    expected = {key: folders for key, folders in listing.folders.items() if key not in NO_MODELS}
    assert list_folders_by_key(read_install(base, HOME)) == expected


def test_comfyui_roots_without_configuration_are_default_folders(base: Path) -> None:
    install = read_install(base, HOME)
    listing = ComfyListing(base).start()
    assert list_folders_by_key(install) == {
        key: paths for key, paths in listing.folders.items() if key not in NO_MODELS
    }
    assert install.models == base / "models"


def test_comfyui_roots_environment_variable_is_expanded(base: Path) -> None:
    config = "a:\n    base_path: $MODELS/${UNKNOWN}x\n    loras: loras\n"
    (base / "extra_model_paths.yaml").write_text(config)
    assert list_folders_by_key(read_install(base, HOME))["loras"][1] == "/mnt/models/${UNKNOWN}x/loras"


def test_comfyui_roots_extra_configuration_follows_and_base_directory_moves_all(base: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    (moved / "models").mkdir(parents=True)
    (tmp_path / "more.yaml").write_text("more:\n    loras: /more\n")
    install = read_install(base, HOME, base=moved, configs=[tmp_path / "more.yaml"])
    assert list_folders_by_key(install)["loras"] == [f"{moved}/models/loras", "/more", f"{moved}/output/loras"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("a: [", "is invalid"),
        ("- a\n- b\n", "it has no sections"),
        ("a: /models\n", '"a" is not a list of folders'),
        ("a:\n    loras: [x, y]\n", '"loras" in section "a" is not a path'),
        ("a:\n    loras:\n", '"loras" in section "a" is not a path'),
        ("a: !!python/object/apply:os.system ['true']\n", "is invalid"),
        ('a:\n    loras: "\\xff\x07"\n', "is invalid"),
        ("[" * 5000, "is invalid"),
    ],
)
def test_comfyui_roots_invalid_configuration_is_reported(base: Path, config: str, words: str) -> None:
    (base / "extra_model_paths.yaml").write_text(config)
    with pytest.raises(ComfyUIFoldersUnknown, match="ComfyUI would not start with it") as refused:
        read_install(base, HOME)
    assert words in str(refused.value)
    assert str(refused.value).isprintable()


def test_comfyui_roots_configuration_in_other_encoding_is_reported(base: Path) -> None:
    (base / "extra_model_paths.yaml").write_bytes("a:\n    loras: /größe\n".encode("latin-1"))
    with pytest.raises(ComfyUIFoldersUnknown):
        read_install(base, HOME)


def test_comfyui_roots_folder_without_comfyui_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ComfyUIFoldersUnknown, match="Give the folder in which ComfyUI is installed"):
        read_install(tmp_path, HOME)


def test_comfyui_roots_of_running_comfyui_come_from_its_api(base: Path) -> None:
    (base / "extra_model_paths.yaml").write_text(CONFIGS[7])
    listing = ComfyListing(base).start()
    listing.folders["unet_gguf"] = listing.folders["diffusion_models"]
    install = parse_install(json.dumps(listing.build_api_response()).encode())
    assert list_folders_by_key(install) == {
        key: paths for key, paths in listing.folders.items() if key not in NO_MODELS
    }
    assert install.models == base / "models"


@pytest.mark.parametrize("answer", ["", "{}", "[1]", '[{"name": "loras"}]', '[{"name": 1, "folders": []}]', "[[[["])
def test_comfyui_roots_invalid_api_response_is_reported(answer: str) -> None:
    with pytest.raises(ComfyUIFoldersUnknown, match="not from ComfyUI"):
        parse_install(answer.encode())


def test_comfyui_roots_relative_nul_and_non_model_api_folders_are_left_out() -> None:
    answer = [{"name": "loras", "folders": ["relative", "/a\0b", "/a"]}, {"name": "custom_nodes", "folders": ["/c"]}]
    assert list_folders_by_key(parse_install(json.dumps(answer).encode())) == {"loras": ["/a"]}


@contextmanager
def serve_response(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/experiment/models" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class names it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_comfyui_roots_running_comfyui_is_queried_over_http(base: Path) -> None:
    with serve_response(200, json.dumps(ComfyListing(base).start().build_api_response()).encode()) as url:
        install = fetch_install(url)
    assert install.models == base / "models"


def test_comfyui_roots_comfyui_without_api_is_reported() -> None:
    with serve_response(404, b"not found") as url, pytest.raises(ComfyUIFoldersUnknown, match="answered 404"):
        fetch_install(url)


def test_comfyui_roots_unreachable_comfyui_is_reported() -> None:
    with serve_response(200, b"") as url:
        pass
    with pytest.raises(ComfyUIFoldersUnknown, match="does not answer"):
        fetch_install(url)


@pytest.mark.parametrize(
    "path", ["loras/a.pt", "unet/s/a.safetensors", "diffusion_models/a.sft", "clip/a.pt", "checkpoints/deep/er/a.ckpt"]
)
@pytest.mark.parametrize("config", CONFIGS[3:])
def test_comfyui_roots_placed_model_is_listed_and_resolved_by_comfyui(
    base: Path, tmp_path: Path, config: str, path: str
) -> None:
    for folder in ("/webui", "/data", "/mnt", "/home", "/a", "/b", "/c", "~"):
        config = config.replace(f" {folder}", f" {tmp_path}/roots{folder}")
    (base / "extra_model_paths.yaml").write_text(config)
    listing = ComfyListing(base).start()
    for paths in listing.folders.values():
        for root in paths:
            Path(root).mkdir(parents=True, exist_ok=True)

    asked = build_desired(build_entry(path))
    with StateFile(tmp_path / "state.sqlite") as state:
        held = scan_roots(
            [read_install(base, HOME)], asked.models, MachineState("a", HashIndex(state), PlacementJournal(state))
        )
    (fetch,) = plan_sync(asked, held, build_policy()).fetch
    fetch.target.root.work_folder.mkdir(parents=True, exist_ok=True)
    (fetch.target.root.work_folder / "x.part").write_text("")
    fetch.target.path.parent.mkdir(parents=True, exist_ok=True)
    fetch.target.path.write_text(path)

    assert listing.list_names(asked.models[0].model_type) == [asked.models[0].name]
    assert listing.resolve_name(asked.models[0].model_type, asked.models[0].name) == str(fetch.target.path)


def test_comfyui_roots_models_folder_alone_has_default_folders(base: Path) -> None:
    listing = ComfyListing(base)
    expected = {key: paths for key, paths in listing.folders.items() if key not in NO_MODELS}
    assert list_folders_by_key(build_plain_install(base / "models")) == expected
