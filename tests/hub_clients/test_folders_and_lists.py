"""Unchanged clients of Hugging Face download folder models, and list the repositories that their key may read."""

import json
from pathlib import Path

from tests.hub_clients.conftest import (
    FOLDER,
    FOLDER_FILES,
    LARGE,
    MODEL,
    MODELS_OF_A_PAGE,
    HubClient,
    Registry,
)
from tests.hub_clients.cutting_proxy import CUT_AFTER, CuttingProxy
from tests.server.imports.fake_sources import REPOSITORY

SNAPSHOT = "from huggingface_hub import snapshot_download; print(snapshot_download(__import__('sys').argv[1]))"
LISTS = """
import json
from huggingface_hub import HfApi
api = HfApi()
found = {
    "all": [model.id for model in api.list_models()],
    "author": [model.id for model in api.list_models(author="studio")],
    "search": [model.id for model in api.list_models(search="loras", author="team")],
    "limit": [model.id for model in api.list_models(limit=2)],
    "sha": [model.sha for model in api.list_models(search="text_encoders")],
    "info": [api.model_info(model.id).sha for model in api.list_models(search="text_encoders")],
}
print(json.dumps(found))
"""


def test_snapshot_download_of_folder_that_was_cut_ends_with_all_files(
    environment: Path, registry: Registry, tmp_path: Path
) -> None:
    with CuttingProxy(registry.server.port, CUT_AFTER) as proxy:
        client = HubClient(environment, tmp_path, f"http://127.0.0.1:{proxy.port}", registry.key)
        first = client.run("python", "-c", SNAPSHOT, FOLDER)
        # 0.36 fails, and downloads the file when the program is repeated; the others continue by themselves.
        assert (first.returncode == 0) is (environment.name != ".venv-hf-0"), first.stderr
        second = client.run("python", "-c", SNAPSHOT, FOLDER)
    assert (proxy.cuts, second.returncode) == (1, 0), second.stderr
    snapshot = Path(second.stdout.strip())
    written = {str(path.relative_to(snapshot)): path.read_bytes() for path in snapshot.rglob("*") if path.is_file()}
    assert written == FOLDER_FILES


def test_list_models_follows_the_pages_and_has_what_the_key_may_read(client: HubClient) -> None:
    process = client.run("python", "-c", LISTS)
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    small = {f"team/embeddings__{number}.safetensors" for number in range(MODELS_OF_A_PAGE)}
    imported = {REPOSITORY, "team/vae__ink.safetensors", "team/vae__paint.safetensors"}
    assert set(found["all"]) == {MODEL, LARGE, FOLDER} | imported | small
    assert len(found["all"]) == MODELS_OF_A_PAGE + 6
    assert (found["author"], found["search"]) == ([REPOSITORY], [MODEL, LARGE])
    assert found["limit"] == found["all"][:2]
    assert found["sha"] == found["info"]
    assert [len(sha) for sha in found["sha"]] == [40]
