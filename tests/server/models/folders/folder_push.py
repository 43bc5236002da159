"""Uploads and registers folders through the API."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import httpx2

from modelyard.wire.folders.manifest import FolderFile, build_manifest
from tests.server.harness import ApiCaller, hash_of, make_model_file

PATH = "diffusers/sdxl"


def make_folder(word: str = "ink") -> dict[str, bytes]:
    """Return the files of a small folder in the diffusers layout; another word gives other content."""
    return {
        "model_index.json": json.dumps({"_class_name": "StableDiffusionPipeline", "of": word}).encode(),
        "unet/config.json": json.dumps({"sample_size": 64, "of": word}).encode(),
        "unet/model.safetensors": make_model_file(word),
        "tokenizer/merges.txt": f"#version: 0.2\n{word}".encode(),
    }


def list_files(files: Mapping[str, bytes]) -> list[FolderFile]:
    """Return the entries of the manifest of these files."""
    return [FolderFile(path, hashlib.sha256(content).hexdigest(), len(content)) for path, content in files.items()]


def upload(caller: ApiCaller, content: bytes, name: str, path: str = PATH, *, with_hash: bool = True) -> str:
    """Upload content as a file of a folder, unless the team has it already; return the storage key."""
    sent = {"file_hash": hash_of(content)} if with_hash else {}
    answer = caller.presign(content, path, is_folder=True, file_name=name.rsplit("/", 1)[-1], **sent)
    assert answer.status_code == 200, answer.text
    ticket = answer.json()
    if not ticket["already_stored"]:
        put = caller.client.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])
        assert put.status_code == 200, put.text
    return str(ticket["storage_key"])


def build_body(caller: ApiCaller, files: Mapping[str, bytes], path: str = PATH, **changed: Any) -> dict[str, Any]:
    """Upload all files and the manifest of a folder; return the body that registers it."""
    keys = [{"path": name, "storage_key": upload(caller, content, name, path)} for name, content in files.items()]
    manifest = build_manifest(list_files(files))
    body = {
        "display_name": path.rsplit("/", 1)[-1],
        "model_type": path.split("/", maxsplit=1)[0],
        "model_path": path,
        "storage_key": upload(caller, manifest, "manifest.json", path),
        "file_size": len(manifest),
        "file_hash": hash_of(manifest),
        "file_list": keys,
    }
    return body | changed


def push(caller: ApiCaller, files: Mapping[str, bytes], path: str = PATH, **changed: Any) -> httpx2.Response:
    """Upload and register a folder, and wait until it is verified if it was registered."""
    answer = caller.post("/models", **build_body(caller, files, path, **changed))
    if answer.status_code in (200, 201):
        caller.wait_until_verified(answer.json()["id"])
    return answer


def register(caller: ApiCaller, files: Mapping[str, bytes], path: str = PATH, **changed: Any) -> str:
    """Upload and register a folder; return its id once it is verified or failed."""
    answer = push(caller, files, path, **changed)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["id"])


def download(caller: ApiCaller, model_id: str) -> dict[str, bytes]:
    """Return the content of each file of a model by its path, downloaded from the listed URLs."""
    answer = caller.get(f"/models/{model_id}/files", per_page=100)
    assert answer.status_code == 200, answer.text
    return {file["path"]: caller.client.get(file["download_url"]).content for file in answer.json()["file_list"]}


def list_fields(answer: httpx2.Response) -> list[str]:
    """Return the fields that a problem names."""
    return [error["field"] for error in answer.json()["errors"]]
