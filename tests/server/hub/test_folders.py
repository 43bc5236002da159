"""A folder model is a repository of the Hugging Face endpoint: each of its files at its path."""

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from modelyard.wire.folders.manifest import build_manifest
from tests.server.harness import ApiCaller, Harness
from tests.server.hub.test_endpoint import ask, get_revision, reader, team
from tests.server.models.folders.folder_push import PATH, list_files, make_folder, register

__all__ = ["reader", "team"]
NAME = "team/diffusers__sdxl"
FILES = make_folder()
UNET = "unet/model.safetensors"


def build_commit(files: Mapping[str, bytes]) -> str:
    """Return the commit of a folder: the first 40 digits of the SHA-256 of its manifest."""
    return hashlib.sha256(build_manifest(list_files(files))).hexdigest()[:40]


def ask_json(caller: ApiCaller, path: str, **query: str) -> Any:
    return ask(caller, path, params=query).json()


def test_info_of_folder_names_all_files_and_the_commit_of_its_manifest(team: ApiCaller, reader: ApiCaller) -> None:
    register(team, FILES)
    info = ask_json(reader, f"api/models/{NAME}", blobs="true")
    assert (info["id"], info["sha"]) == (NAME, build_commit(FILES))
    found = {each["rfilename"]: (each["size"], each["lfs"]["sha256"]) for each in info["siblings"]}
    assert found == {path: (len(content), hashlib.sha256(content).hexdigest()) for path, content in FILES.items()}
    assert ask_json(reader, f"api/models/{NAME}/revision/{info['sha']}")["siblings"] == [
        {"rfilename": path} for path in sorted(FILES)
    ]


def test_tree_and_paths_info_of_folder_have_its_sub_folders(team: ApiCaller, reader: ApiCaller) -> None:
    register(team, FILES)
    flat = ask_json(reader, f"api/models/{NAME}/tree/main", recursive="false")
    assert {each["path"]: each["type"] for each in flat} == {
        "tokenizer": "directory",
        "unet": "directory",
        "model_index.json": "file",
    }
    below = ask_json(reader, f"api/models/{NAME}/tree/{build_commit(FILES)}/unet")
    assert [each["path"] for each in below] == ["unet/config.json", UNET]
    form = {"paths": ["unet", "model_index.json", "none"]}
    entries = ask(reader, f"api/models/{NAME}/paths-info/main", "POST", data=form).json()
    assert [each["path"] for each in entries] == ["unet", "model_index.json"]


@pytest.mark.parametrize("path", FILES)
def test_file_of_folder_is_served_with_commit_hash_and_ranges(team: ApiCaller, reader: ApiCaller, path: str) -> None:
    register(team, FILES)
    content = FILES[path]
    head = ask(reader, f"{NAME}/resolve/main/{path}", "HEAD", headers={"Accept-Encoding": "identity"})
    expected = {
        "X-Repo-Commit": build_commit(FILES),
        "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
        "X-Linked-Size": str(len(content)),
        "Content-Length": str(len(content)),
    }
    assert (head.status_code, {name: head.headers[name] for name in expected}) == (200, expected)
    redirect = ask(reader, f"{NAME}/resolve/{build_commit(FILES)}/{path}")
    assert (redirect.status_code, redirect.headers["X-Repo-Commit"]) == (307, build_commit(FILES))
    part = team.client.get(redirect.headers["Location"], headers={"Range": "bytes=3-"})
    assert (part.status_code, part.content) == (206, content[3:])


@pytest.mark.parametrize(
    "path", ["unet", "unet/none.json", "UNET/config.json", "sdxl", "manifest.json", "unet%00config.json"]
)
def test_missing_file_of_folder_is_reported_with_the_commit(team: ApiCaller, reader: ApiCaller, path: str) -> None:
    register(team, FILES)
    missing = ask(reader, f"{NAME}/resolve/main/{path}")
    assert (missing.status_code, missing.headers["X-Error-Code"]) == (404, "EntryNotFound")
    assert missing.headers["X-Repo-Commit"] == build_commit(FILES)


def test_earlier_version_of_folder_is_served_at_its_commit(team: ApiCaller, reader: ApiCaller) -> None:
    model_id = register(team, FILES)
    newer = {**make_folder("newer"), "unet/extra.json": b"{}"}
    register(team, newer, replaces=model_id)
    assert get_revision(reader, NAME) == build_commit(newer)
    first = build_commit(FILES)
    for path in ("unet/config.json", UNET):
        redirect = ask(reader, f"{NAME}/resolve/{first}/{path}")
        assert team.client.get(redirect.headers["Location"]).content == FILES[path]
    assert ask(reader, f"{NAME}/resolve/{first}/unet/extra.json").headers["X-Error-Code"] == "EntryNotFound"
    assert ask(reader, f"{NAME}/resolve/main/unet/extra.json").status_code == 307


def test_roles_and_keys_that_read_models_read_folders_and_others_do_not(
    shared_registry: Harness, team: ApiCaller
) -> None:
    register(team, FILES)
    allowed = [team, shared_registry.create_key("integration", team, access="write")]
    allowed += [shared_registry.create_member(role, team) for role in ("viewer", "member")]
    assert [ask(caller, f"{NAME}/resolve/main/{UNET}").status_code for caller in allowed] == [307] * 4
    machine = shared_registry.create_key("agent", team)
    assert ask(machine, f"{NAME}/resolve/main/{UNET}").status_code == 403
    stranger = shared_registry.create_key("integration", shared_registry.create_team("Other"))
    for path in (f"api/models/{NAME}", f"api/models/{NAME}/tree/main", f"{NAME}/resolve/main/{UNET}"):
        hidden = ask(stranger, path)
        assert (hidden.status_code, hidden.headers["X-Error-Code"]) == (404, "RepoNotFound")


def test_disabled_or_deleted_folder_looks_absent(team: ApiCaller, reader: ApiCaller) -> None:
    model_id = register(team, FILES)
    team.put(f"/models/{model_id}", model_status="disabled")
    assert ask(reader, f"{NAME}/resolve/main/{UNET}").headers["X-Error-Code"] == "RepoNotFound"
    team.put(f"/models/{model_id}", model_status="active")
    assert ask(reader, f"{NAME}/resolve/main/{UNET}").status_code == 307
    team.delete(f"/models/{model_id}")
    assert ask(reader, f"{NAME}/resolve/main/{UNET}").headers["X-Error-Code"] == "RepoNotFound"


def test_record_of_folder_names_its_repository_without_a_file(team: ApiCaller) -> None:
    model_id = register(team, FILES)
    assert team.get(f"/models/{model_id}").json()["hub_file"] == {"repository": NAME, "path": ""}
    moved = register(team, make_folder("spaces"), f"{PATH} two")
    hub_file = team.get(f"/models/{moved}").json()["hub_file"]
    assert hub_file["repository"].startswith("team/diffusers__sdxl-two__")
    assert ask(team, f"{hub_file['repository']}/resolve/main/{UNET}").status_code == 307
