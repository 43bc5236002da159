"""Registration of folders: what is stored, checked and refused."""

import json
from typing import Any

import pytest

from modelyard.wire.folders.manifest import build_manifest
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file
from tests.server.models.folders.folder_push import (
    build_body,
    download,
    list_fields,
    list_files,
    make_folder,
    push,
    register,
    upload,
)


def test_register_folder_is_one_verified_model_of_all_files(team: ApiCaller) -> None:
    files = make_folder()

    model = team.get(f"/models/{register(team, files)}").json()

    assert (model["is_folder"], model["file_count"]) == (True, 4)
    assert model["total_size"] == sum(map(len, files.values()))
    assert (model["verification"], model["verification_error"]) == ("verified", None)
    assert model["metadata"]["format"] == "folder"
    assert download(team, model["id"]) == files


def test_register_folder_again_returns_the_same_model(team: ApiCaller) -> None:
    body = build_body(team, make_folder())

    first, again = team.post("/models", **body), team.post("/models", **body)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert push(team, make_folder()).json()["id"] == first.json()["id"]


def test_replace_folder_that_keeps_its_name_does_not_undo_a_rename(team: ApiCaller) -> None:
    model_id = register(team, make_folder("ink"))
    body = build_body(team, make_folder("oil"), replaces=model_id, keeps_name=True)
    team.put(f"/models/{model_id}", display_name="renamed meanwhile")
    assert team.post("/models", **body).status_code == 200
    assert team.get(f"/models/{model_id}").json()["display_name"] == "renamed meanwhile"


def test_register_other_content_at_the_path_is_refused_without_replaces(team: ApiCaller) -> None:
    register(team, make_folder("ink"))

    assert push(team, make_folder("oil")).json()["type"] == "/problems/model-path-taken"


def test_replace_folder_adds_a_version_and_stores_equal_files_once(team: ApiCaller) -> None:
    files = make_folder("ink")
    model_id = register(team, files)
    before = _read_stored_bytes(team)
    changed = files | {"tokenizer/merges.txt": b"another merge"}

    assert register(team, changed, replaces=model_id) == model_id

    model = team.get(f"/models/{model_id}").json()
    added = len(b"another merge") + len(build_manifest(list_files(changed)))
    assert (model["version"], _read_stored_bytes(team) - before) == (2, added)
    assert download(team, model_id) == changed


def test_replace_folder_with_one_file_is_refused(team: ApiCaller) -> None:
    model_id = register(team, make_folder())
    content = make_model_file()
    key = upload(team, content, "a.safetensors")
    body = team.new_model(content, "diffusers/sdxl", storage_key=key, replaces=model_id)

    answer = team.post("/models", **body)

    assert answer.status_code == 422


def test_register_folder_with_a_verified_model_file_uses_its_content(team: ApiCaller) -> None:
    files = make_folder()
    team.register(files["unet/model.safetensors"], "loras/ink.safetensors")
    before = _read_stored_bytes(team)

    register(team, files)

    others = sum(len(content) for path, content in files.items() if path != "unet/model.safetensors")
    assert _read_stored_bytes(team) - before == others + len(build_manifest(list_files(files)))


def test_register_equal_files_of_one_upload_is_accepted(team: ApiCaller) -> None:
    files = {"a/vocab.txt": b"same", "b/vocab.txt": b"same", "model.safetensors": make_model_file()}
    body = build_body(team, files)
    body["file_list"][1]["storage_key"] = body["file_list"][0]["storage_key"]

    answer = team.post("/models", **body)

    assert answer.status_code == 201, answer.text
    team.wait_until_verified(answer.json()["id"])
    assert download(team, answer.json()["id"]) == files


def test_register_folder_with_a_text_that_begins_like_a_windows_program_is_accepted(team: ApiCaller) -> None:
    register(team, make_folder() | {"README.md": b"MZ 3 is a small model."}, "LLM/one")


def test_register_large_tokenizer_twice_is_accepted(team: ApiCaller) -> None:
    tokenizer = json.dumps({"vocab": {f"word{number}": number for number in range(30_000)}}).encode()
    files = {"tokenizer.json": tokenizer, "model.safetensors": make_model_file()}

    first, second = register(team, files, "LLM/one"), register(team, files, "LLM/two")

    assert download(team, first) == download(team, second) == files


@pytest.mark.parametrize("name", ["model.py", "run.sh", "data.zip"])
def test_presign_a_file_that_no_folder_may_have_is_refused(team: ApiCaller, name: str) -> None:
    answer = team.presign(b"x", "LLM/own", is_folder=True, file_name=name)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/not-a-model-file")


def _take_out(body: dict[str, Any]) -> None:
    body["file_list"].pop()


def _list_twice(body: dict[str, Any]) -> None:
    body["file_list"].append(body["file_list"][0])


def _name_another(body: dict[str, Any]) -> None:
    body["file_list"][0]["path"] = "other.json"


@pytest.mark.parametrize("change", [_take_out, _list_twice, _name_another])
def test_register_file_list_other_than_the_manifest_is_refused(team: ApiCaller, change: Any) -> None:
    body = build_body(team, make_folder())
    change(body)

    answer = team.post("/models", **body)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "file_list")


def test_register_upload_of_another_file_is_refused(team: ApiCaller) -> None:
    body = build_body(team, {"a.txt": b"one", "b.txt": b"two"})
    keys = [file["storage_key"] for file in body["file_list"]]
    body["file_list"][0]["storage_key"], body["file_list"][1]["storage_key"] = reversed(keys)

    assert team.post("/models", **body).json()["type"] == "/problems/hash-mismatch"


def test_register_upload_without_a_hash_and_with_other_content_is_never_verified(team: ApiCaller) -> None:
    files = {"a.txt": b"one"}
    body = build_body(team, files)
    body["file_list"][0]["storage_key"] = upload(team, b"two", "a.txt", with_hash=False)

    answer = team.post("/models", **body)

    if answer.status_code == 201:  # a store that does not hash uploads
        team.wait_until_verified(answer.json()["id"])
        assert team.get(f"/models/{answer.json()['id']}").json()["verification"] == "failed"
    else:
        assert answer.json()["type"] == "/problems/hash-mismatch"


def test_register_upload_of_another_team_is_not_found(registry: Harness, team: ApiCaller) -> None:
    stranger = registry.create_other_team()
    body = build_body(team, {"a.txt": b"a secret text"})
    own = build_body(stranger, {"a.txt": b"another text"})
    own["file_list"] = body["file_list"]
    own |= {"file_hash": body["file_hash"], "file_size": body["file_size"]}
    manifest = build_manifest(list_files({"a.txt": b"a secret text"}))
    own["storage_key"] = upload(stranger, manifest, "manifest.json")

    answer = stranger.post("/models", **own)

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/upload-not-found")
    assert (answer.json()["path"], answer.json()["errors"][0]["field"]) == ("a.txt", "file_list.0.storage_key")


def test_register_folder_with_uploads_that_are_gone_names_all_of_them(team: ApiCaller) -> None:
    body = build_body(team, make_folder())
    for position in (1, 3):
        body["file_list"][position]["storage_key"] += "0"

    answer = team.post("/models", **body)

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/upload-not-found")
    assert answer.json()["path"] == body["file_list"][1]["path"]
    assert list_fields(answer) == ["file_list.1.storage_key", "file_list.3.storage_key"]


def test_register_file_that_was_not_uploaded_is_incomplete(team: ApiCaller) -> None:
    body = build_body(team, make_folder())
    content = make_folder()["unet/config.json"]
    ticket = team.presign(content, "diffusers/sdxl", is_folder=True, file_name="config.json").json()
    next(file for file in body["file_list"] if file["path"] == "unet/config.json")["storage_key"] = ticket[
        "storage_key"
    ]

    answer = team.post("/models", **body).json()

    assert (answer["type"], answer["path"]) == ("/problems/upload-incomplete", "unet/config.json")
    assert answer["errors"][0]["field"] == "file_list.1.storage_key"


def test_register_model_at_a_path_inside_a_folder_is_refused(team: ApiCaller) -> None:
    register(team, make_folder(), "diffusers/sdxl")
    content = make_model_file("oil")
    key = team.upload(content, "diffusers/oil.safetensors")
    body = team.new_model(content, "diffusers/SDXL/oil.safetensors", storage_key=key)

    assert team.post("/models", **body).json()["type"] == "/problems/model-path-taken"


def test_register_folder_around_a_model_is_refused(team: ApiCaller) -> None:
    team.register(make_model_file("oil"), "diffusers/sdxl/oil.safetensors")
    body = build_body(team, make_folder(), "diffusers/other", model_path="diffusers/sdxl")

    assert team.post("/models", **body).json()["type"] == "/problems/model-path-taken"


def test_move_model_into_a_folder_and_restore_around_one_are_refused(team: ApiCaller) -> None:
    model_id = team.register(make_model_file("oil"), "diffusers/oil.safetensors")
    folder_id = register(team, make_folder(), "diffusers/sdxl")

    moved = team.put(f"/models/{model_id}", model_path="diffusers/sdxl/oil.safetensors")
    team.delete(f"/models/{folder_id}")
    team.put(f"/models/{model_id}", model_path="diffusers/sdxl/oil.safetensors")
    restored = team.post(f"/models/{folder_id}/restore")

    assert (moved.json()["type"], restored.json()["type"]) == ("/problems/model-path-taken",) * 2


def test_move_folder_keeps_it_a_folder(team: ApiCaller) -> None:
    model_id = register(team, make_folder())

    assert team.put(f"/models/{model_id}", model_path="diffusers/other").status_code == 200
    refused = team.put(f"/models/{model_id}", model_path="diffusers/other.safetensors")
    too_long = team.put(f"/models/{model_id}", model_path="diffusers/a/b/c/d/e/f")

    assert {refused.json()["type"], too_long.json()["type"]} == {"/problems/model-path-refused"}


def test_register_text_of_a_folder_as_a_model_is_refused_and_the_folder_stays(team: ApiCaller) -> None:
    team.put("/teams/current", pickle_policy="scan")
    files = make_folder() | {"vocab.txt": b"PK\x03\x04 no archive at all"}
    model_id = register(team, files)
    body = team.new_model(files["vocab.txt"], "checkpoints/x.ckpt")
    body["storage_key"] = team.upload(files["vocab.txt"], "checkpoints/x.ckpt", file_hash=hash_of(files["vocab.txt"]))

    answer = team.post("/models", **body)

    assert answer.status_code == 422, answer.text
    assert team.get(f"/models/{model_id}").json()["verification"] == "verified"


def test_register_model_file_as_another_kind_is_refused_and_the_model_stays(team: ApiCaller) -> None:
    team.put("/teams/current", pickle_policy="scan")
    content = make_model_file()
    model_id = team.register(content)

    answer = push(team, {"weights.bin": content})

    assert answer.status_code == 422, answer.text
    assert team.get(f"/models/{model_id}").json()["verification"] == "verified"


def _read_stored_bytes(team: ApiCaller) -> int:
    return int(team.get("/teams/current").json()["stored_bytes"])


def test_list_files_of_a_folder_comes_in_pages(team: ApiCaller) -> None:
    model_id = register(team, make_folder())

    first = team.get(f"/models/{model_id}/files", per_page=3, cursor="").json()
    rest = team.get(f"/models/{model_id}/files", per_page=3, cursor=first["page_meta"]["next_cursor"]).json()

    paths = [file["path"] for page in (first, rest) for file in page["file_list"]]
    assert paths == sorted(make_folder())
    assert rest["page_meta"]["next_cursor"] is None


def test_list_files_of_one_file_has_its_name(team: ApiCaller) -> None:
    content = make_model_file()
    model_id = team.register(content, "loras/people/ink.safetensors")

    assert download(team, model_id) == {"ink.safetensors": content}
    assert team.get(f"/models/{model_id}").json()["is_folder"] is False


def test_download_folder_as_one_file_is_refused_with_the_path_of_the_list(team: ApiCaller) -> None:
    model_id = register(team, make_folder())

    answer = team.get(f"/models/{model_id}/download")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/model-is-folder")
    assert answer.json()["files_path"] == f"/api/v1/models/{model_id}/files"


def test_register_equal_files_of_two_uploads_stores_their_content_once(team: ApiCaller) -> None:
    files = {"a/vocab.txt": b"same text", "b/vocab.txt": b"same text"}
    before = _read_stored_bytes(team)

    model_id = register(team, files)

    added = len(b"same text") + len(build_manifest(list_files(files)))
    assert _read_stored_bytes(team) - before == added
    assert download(team, model_id) == files


def test_presign_inside_a_folder_is_refused(team: ApiCaller) -> None:
    register(team, make_folder(), "diffusers/sdxl")

    model = team.presign(b"x", "diffusers/sdxl/own.safetensors")
    folder = team.presign(b"x", "diffusers/sdxl/own", is_folder=True, file_name="a.txt")

    assert {model.json()["type"], folder.json()["type"]} == {"/problems/model-path-taken"}
