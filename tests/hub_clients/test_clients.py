"""Unchanged clients of Hugging Face download from a running registry.

Each version of huggingface_hub is in an environment of its own, which ``make hf-clients`` builds from a lock.
"""

import hashlib
import json
from pathlib import Path

import pytest

from tests.hub_clients.conftest import FILES, LARGE, LARGE_CONTENT, MODEL, MODEL_CONTENT, HubClient, Registry
from tests.hub_clients.cutting_proxy import CUT_AFTER, CuttingProxy
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.imports.fake_sources import COMMIT, REPOSITORY

PROGRAM = Path(__file__).with_name("use_hub.py")


def get_sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_client_reads_repositories_files_and_ranges(client: HubClient) -> None:
    process = client.run("python", str(PROGRAM), REPOSITORY, MODEL)
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    assert (found["who"], found["commit"], found["snapshot folder"]) == ("notebook", COMMIT, COMMIT)
    assert found["sizes"] == {name: [len(content), get_sha256(content)] for name, content in FILES.items()}
    assert found["files"] == list(FILES)
    assert found["tree"] == found["paths"] == ["vae", "ink.safetensors"]
    assert found["snapshot"] == {Path(name).name: get_sha256(content) for name, content in FILES.items()}
    assert found["model"] == get_sha256(MODEL_CONTENT)
    assert found["range"] == FILES["ink.safetensors"][100:150].hex()
    assert found["exists"] == [True, False, False]


def test_client_raises_the_errors_of_hugging_face_with_the_registrys_words(client: HubClient) -> None:
    found = json.loads(client.run("python", str(PROGRAM), REPOSITORY, MODEL).stdout)
    assert found["no file"][0] in ("RemoteEntryNotFoundError", "EntryNotFoundError")
    assert found["no revision"][0] == "RevisionNotFoundError"
    assert found["no repository"][0] == "RepositoryNotFoundError"
    assert "The registry has no such repository" in found["no repository"][1]
    assert found["wrong token"][0] == found["upload"][0] == "HfHubHTTPError"
    assert "modelyard push" in found["upload"][1]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), sorted(FILES)),
        (("--include", "vae/*"), ["vae/paint.safetensors"]),
        (("--exclude", "vae/*"), ["ink.safetensors"]),
        (("--revision", COMMIT, "--include", "*.safetensors"), sorted(FILES)),
    ],
    ids=["all", "include", "exclude", "revision"],
)
def test_hf_download_with_filters_writes_the_chosen_files(
    client: HubClient, arguments: tuple[str, ...], names: list[str]
) -> None:
    process = client.run("hf", "download", REPOSITORY, *arguments, "--local-dir", "out")
    assert process.returncode == 0, process.stderr
    folder = client.home / "out"
    written = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}
    assert written == {name: FILES[name] for name in names}


def test_hf_download_of_cut_connection_ends_with_the_whole_file(
    environment: Path, registry: Registry, tmp_path: Path
) -> None:
    with CuttingProxy(registry.server.port, CUT_AFTER) as proxy:
        client = HubClient(environment, tmp_path, f"http://127.0.0.1:{proxy.port}", registry.key)
        command = ("hf", "download", LARGE, "--local-dir", "out")
        first = client.run(*command)
        # 0.36 fails, and downloads the file when the command is repeated; the others continue by themselves.
        assert (first.returncode == 0) is (environment.name != ".venv-hf-0"), first.stderr
        assert client.run(*command).returncode == 0
    assert proxy.cuts == 1
    assert (tmp_path / "out" / "large.safetensors").read_bytes() == LARGE_CONTENT


def test_hf_download_from_bucket_sends_no_token_to_it(
    environment: Path, seaweed_server: RunningSeaweed, tmp_path: Path
) -> None:
    """A bucket refuses a request with a signed URL and a token, so the client must have dropped the token."""
    with (
        seaweed_server.bucket() as bucket,
        RunningServer(
            tmp_path / "data",
            storage_url=f"s3://{bucket}",
            storage_endpoint=seaweed_server.endpoint,
            storage_access_key=seaweed_server.access_key,
            storage_secret_key=seaweed_server.secret_key,
        ) as server,
    ):
        server.owner().register(MODEL_CONTENT, "loras/ink.safetensors")
        (tmp_path / "home").mkdir()
        client = HubClient(environment, tmp_path / "home", server.url, Registry(server).key)
        process = client.run("hf", "download", MODEL, "--local-dir", "out")
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "home" / "out" / "ink.safetensors").read_bytes() == MODEL_CONTENT


def test_hf_download_waits_for_files_that_the_registry_imports_meanwhile(
    environment: Path, registry: Registry, tmp_path: Path
) -> None:
    key = registry.create_pulling_team()
    client = HubClient(environment, tmp_path, registry.server.url, key)
    process = client.run("hf", "download", REPOSITORY, "--include", "vae/*", "--local-dir", "out")
    assert process.returncode == 0, process.stderr
    assert [path.name for path in (tmp_path / "out").rglob("*.safetensors")] == ["paint.safetensors"]
    assert (tmp_path / "out" / "vae" / "paint.safetensors").read_bytes() == FILES["vae/paint.safetensors"]
