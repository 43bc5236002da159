"""A program that uses huggingface_hub as other programs do; it runs in an environment with one version of it.

Prints as JSON what it got. Arguments: an imported repository with a file in a sub-folder, and a model's repository.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download

IMPORTED, MODEL = sys.argv[1:]
api = HfApi()


def get_sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def get_error(action: Callable[[], Any]) -> list[str]:
    """Return the class and the text of the error that an action raises; the class is empty if it raises none."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - the classes are what is tested
        return [type(error).__name__, str(error)]
    return ["", ""]


def read_range() -> str:
    with HfFileSystem().open(f"{IMPORTED}/ink.safetensors") as file:
        file.seek(100)
        return str(file.read(50).hex())


info = api.model_info(IMPORTED, files_metadata=True)
snapshot = Path(snapshot_download(IMPORTED))
sys.stdout.write(
    json.dumps(
        {
            "who": api.whoami()["name"],
            "commit": info.sha,
            "sizes": {each.rfilename: [each.size, each.lfs.sha256] for each in info.siblings},
            "files": api.list_repo_files(IMPORTED),
            "tree": [each.path for each in api.list_repo_tree(IMPORTED)],
            "paths": [each.path for each in api.get_paths_info(IMPORTED, ["vae", "ink.safetensors", "none"])],
            "snapshot": {path.name: get_sha256(str(path)) for path in snapshot.rglob("*.safetensors")},
            "snapshot folder": snapshot.name,
            "model": get_sha256(hf_hub_download(MODEL, "ink.safetensors")),
            "range": read_range(),
            "exists": [
                api.repo_exists(IMPORTED),
                api.file_exists(IMPORTED, "none"),
                api.revision_exists(IMPORTED, "v1"),
            ],
            "no file": get_error(lambda: hf_hub_download(MODEL, "config.json")),
            "no revision": get_error(lambda: hf_hub_download(MODEL, "ink.safetensors", revision="v1")),
            "no repository": get_error(lambda: snapshot_download("studio/none")),
            "wrong token": get_error(lambda: api.model_info(IMPORTED, token="hf_unknown")),
            "upload": get_error(
                lambda: api.upload_file(path_or_fileobj=b"x", path_in_repo="x.safetensors", repo_id=IMPORTED)
            ),
        }
    )
)
