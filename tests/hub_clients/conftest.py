"""A running registry with an imported repository and a model, and the clients of Hugging Face."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import RunningServer
from tests.server.harness import make_model_file
from tests.server.imports.calls import start, wait
from tests.server.imports.fake_sources import REPOSITORY, run_fake_sources
from tests.server.models.folders.folder_push import register as register_folder
from tools.repository import ROOT

TIMEOUT_SECONDS = 120
FILES = {"ink.safetensors": make_model_file("ink", 100_000), "vae/paint.safetensors": make_model_file("paint", 5000)}
MODEL_CONTENT = make_model_file("own", 3000)
# More than two of the steps of 10 MiB after which clients continue.
LARGE_CONTENT = make_model_file("large", 24 << 20)
FOLDER_FILES = {
    "config.json": b'{"model_type": "ink"}',
    "text_encoder/model.safetensors": LARGE_CONTENT,
    "tokenizer/merges.txt": b"#version: 0.2",
}
FOLDER = "team/text_encoders__ink"
# With the others, more than one page of a list.
MODELS_OF_A_PAGE = 100
MODEL, LARGE = "team/loras__ink.safetensors", "team/loras__large.safetensors"


class Registry:
    """The running registry, with a key for clients."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        created = server.owner().post("/credentials", kind="integration", display_name="notebook", access="read")
        self.key = str(created.json()["raw_key"])

    def create_pulling_team(self) -> str:
        """Create a team that has no models and lets its clients import; return a key with write access."""
        team = self.server.create_team()
        assert team.put("/teams/current", hub_may_import=True).status_code == 200
        created = team.post("/credentials", kind="integration", display_name="notebook", access="write")
        return str(created.json()["raw_key"])


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with run_fake_sources() as fakes:
        fakes.huggingface.files = dict(FILES)
        hosts, address = ",".join(fakes.settings["import_hosts"]), fakes.huggingface_url
        folder = tmp_path_factory.mktemp("registry") / "data"
        with RunningServer(folder, import_hosts=hosts, import_huggingface_url=address) as server:
            owner = server.owner()
            owner.register(MODEL_CONTENT, "loras/ink.safetensors")
            owner.register(LARGE_CONTENT, "loras/large.safetensors")
            register_folder(owner, FOLDER_FILES, "text_encoders/ink")
            for number in range(MODELS_OF_A_PAGE):
                owner.register(make_model_file(f"small {number}"), f"embeddings/{number}.safetensors")
            for name in FILES:
                path = f"vae/{name.rpartition('/')[2]}"
                link = f"{address}/{REPOSITORY}/blob/main/{name}"
                done = wait(owner, start(owner, link, model_type="vae", model_path=path))
                owner.wait_until_verified(done["model_id"])
            yield Registry(server)


class HubClient:
    """A version of huggingface_hub, for a user with an empty home folder, at an address of the registry."""

    def __init__(self, environment: Path, home: Path, url: str, key: str) -> None:
        self._programs = environment / "bin"
        self.home = home
        self._variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "HF_HOME": str(home / "cache"),
            "HF_ENDPOINT": f"{url}/hf",
            "HF_TOKEN": key,
            # It would ask a package registry, and not the endpoint.
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        }

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of the environment in the home folder; it may fail."""
        return subprocess.run(
            [str(self._programs / command[0]), *command[1:]],
            cwd=self.home,
            env=self._variables,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )


@pytest.fixture(params=["hf-2", "hf-1", "hf-0"])
def environment(request: pytest.FixtureRequest) -> Path:
    """The environment with one version of huggingface_hub."""
    folder = ROOT / f".venv-{request.param}"
    if not (folder / ".ready").exists():
        pytest.fail("The clients are not installed: run `make hf-clients`, which installs them.")
    return folder


@pytest.fixture
def client(environment: Path, registry: Registry, tmp_path: Path) -> HubClient:
    return HubClient(environment, tmp_path, registry.server.url, registry.key)
