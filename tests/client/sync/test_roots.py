import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from modelyard.client.sync.holding.configured import read_install
from modelyard.client.sync.holding.holdings import Machine, scan
from modelyard.client.sync.holding.index import Index
from modelyard.client.sync.holding.journal import Journal
from modelyard.client.sync.holding.roots import Install, RootsUnknown, models_folder
from modelyard.client.sync.holding.running import ask_comfyui, read_answer
from modelyard.client.sync.holding.state import StateFile
from modelyard.client.sync.planning.plan import plan_sync
from tests.client.sync.comfy_listing import ComfyListing
from tests.client.sync.making import model, policy_of, wanted

HOME = {"HOME": "/home/artist", "MODELS": "/mnt/models"}
NO_MODELS = {"custom_nodes", "configs"}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "ComfyUI" / "models").mkdir(parents=True)
    return tmp_path / "ComfyUI"


def folders_of(install: Install) -> dict[str, list[str]]:
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
def test_a_comfyui_that_is_off_has_the_folders_that_it_will_have(base: Path, config: str) -> None:
    (base / "extra_model_paths.yaml").write_text(config)
    listing = ComfyListing(base, HOME["HOME"]).started()
    expected = {key: folders for key, folders in listing.folders.items() if key not in NO_MODELS}
    assert folders_of(read_install(base, HOME)) == expected


def test_a_comfyui_without_a_configuration_has_its_own_folders(base: Path) -> None:
    install = read_install(base, HOME)
    listing = ComfyListing(base).started()
    assert folders_of(install) == {key: paths for key, paths in listing.folders.items() if key not in NO_MODELS}
    assert install.models == base / "models"


def test_a_variable_is_what_comfyui_will_see(base: Path) -> None:
    config = "a:\n    base_path: $MODELS/${UNKNOWN}x\n    loras: loras\n"
    (base / "extra_model_paths.yaml").write_text(config)
    assert folders_of(read_install(base, HOME))["loras"][1] == "/mnt/models/${UNKNOWN}x/loras"


def test_another_configuration_comes_behind_and_another_base_moves_all(base: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    (moved / "models").mkdir(parents=True)
    (tmp_path / "more.yaml").write_text("more:\n    loras: /more\n")
    install = read_install(base, HOME, base=moved, configs=[tmp_path / "more.yaml"])
    assert folders_of(install)["loras"] == [f"{moved}/models/loras", "/more", f"{moved}/output/loras"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("a: [", "is not understood"),
        ("- a\n- b\n", "it has no sections"),
        ("a: /models\n", '"a" is no list of folders'),
        ("a:\n    loras: [x, y]\n", '"loras" in section "a" is no path'),
        ("a:\n    loras:\n", '"loras" in section "a" is no path'),
        ("a: !!python/object/apply:os.system ['true']\n", "is not understood"),
        ('a:\n    loras: "\\xff\x07"\n', "is not understood"),
        ("[" * 5000, "is not understood"),
    ],
)
def test_a_configuration_that_comfyui_would_die_of_is_said(base: Path, config: str, words: str) -> None:
    (base / "extra_model_paths.yaml").write_text(config)
    with pytest.raises(RootsUnknown, match="ComfyUI would not start with it") as refused:
        read_install(base, HOME)
    assert words in str(refused.value)
    assert str(refused.value).isprintable()


def test_a_configuration_in_another_encoding_is_said(base: Path) -> None:
    (base / "extra_model_paths.yaml").write_bytes("a:\n    loras: /größe\n".encode("latin-1"))
    with pytest.raises(RootsUnknown):
        read_install(base, HOME)


def test_a_folder_without_a_comfyui_is_said(tmp_path: Path) -> None:
    with pytest.raises(RootsUnknown, match="Name the folder in which ComfyUI lies"):
        read_install(tmp_path, HOME)


def test_a_running_comfyui_says_its_folders_itself(base: Path) -> None:
    (base / "extra_model_paths.yaml").write_text(CONFIGS[7])
    listing = ComfyListing(base).started()
    listing.folders["unet_gguf"] = listing.folders["diffusion_models"]
    install = read_answer(json.dumps(listing.answer()).encode())
    assert folders_of(install) == {key: paths for key, paths in listing.folders.items() if key not in NO_MODELS}
    assert install.models == base / "models"


@pytest.mark.parametrize("answer", ["", "{}", "[1]", '[{"name": "loras"}]', '[{"name": 1, "folders": []}]', "[[[["])
def test_what_answers_nonsense_is_no_comfyui(answer: str) -> None:
    with pytest.raises(RootsUnknown, match="no ComfyUI"):
        read_answer(answer.encode())


def test_folders_that_cannot_be_are_left_out() -> None:
    answer = [{"name": "loras", "folders": ["relative", "/a\0b", "/a"]}, {"name": "custom_nodes", "folders": ["/c"]}]
    assert folders_of(read_answer(json.dumps(answer).encode())) == {"loras": ["/a"]}


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
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


def test_a_running_comfyui_is_asked(base: Path) -> None:
    with answering(200, json.dumps(ComfyListing(base).started().answer()).encode()) as url:
        install = ask_comfyui(url)
    assert install.models == base / "models"


def test_a_comfyui_that_is_too_old_is_said() -> None:
    with answering(404, b"not found") as url, pytest.raises(RootsUnknown, match="answers 404"):
        ask_comfyui(url)


def test_a_comfyui_that_is_off_is_said() -> None:
    with answering(200, b"") as url:
        pass
    with pytest.raises(RootsUnknown, match="does not answer"):
        ask_comfyui(url)


@pytest.mark.parametrize(
    "path", ["loras/a.pt", "unet/s/a.safetensors", "diffusion_models/a.sft", "clip/a.pt", "checkpoints/deep/er/a.ckpt"]
)
@pytest.mark.parametrize("config", CONFIGS[3:])
def test_comfyui_lists_and_loads_what_is_placed(base: Path, tmp_path: Path, config: str, path: str) -> None:
    for folder in ("/webui", "/data", "/mnt", "/home", "/a", "/b", "/c", "~"):
        config = config.replace(f" {folder}", f" {tmp_path}/roots{folder}")
    (base / "extra_model_paths.yaml").write_text(config)
    listing = ComfyListing(base).started()
    for paths in listing.folders.values():
        for root in paths:
            Path(root).mkdir(parents=True, exist_ok=True)

    asked = wanted(model(path))
    with StateFile(tmp_path / "state.sqlite") as state:
        held = scan([read_install(base, HOME)], asked.models, Machine("a", Index(state), Journal(state)))
    (fetch,) = plan_sync(asked, held, policy_of()).fetch
    fetch.target.root.work.mkdir(parents=True, exist_ok=True)
    (fetch.target.root.work / "x.part").write_text("")
    fetch.target.path.parent.mkdir(parents=True, exist_ok=True)
    fetch.target.path.write_text(path)

    assert listing.names(asked.models[0].model_type) == [asked.models[0].name]
    assert listing.resolved(asked.models[0].model_type, asked.models[0].name) == str(fetch.target.path)


def test_a_models_folder_alone_has_the_usual_folders(base: Path) -> None:
    listing = ComfyListing(base)
    expected = {key: paths for key, paths in listing.folders.items() if key not in NO_MODELS}
    assert folders_of(models_folder(base / "models")) == expected
