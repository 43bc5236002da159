"""The bodies that the permission matrix sends, by the names in its rows."""

import json
from typing import Any
from uuid import uuid4

from tests.server.contract.callers import CONTENT, OURS, THEIRS, MatrixSetup
from tests.server.harness import PASSWORD, hash_of, make_model_file
from tests.server.previews.drawings import make_png

# Bodies that are files.
RAW_BODIES = {
    "picture": make_png(),
    "workflow": json.dumps({"1": {"class_type": "VAELoader", "inputs": {"vae_name": "none.sft"}}}).encode(),
}


def build_body(name: str, target: str, setup: MatrixSetup) -> dict[str, Any]:
    """Build the body with this name for a target, such as a model's id."""
    key, _, upload_id = target.partition(" ")
    upload = {"storage_key": key, "upload_id": upload_id}
    names = {"file_name": "lantern.safetensors", "model_type": "loras", "model_path": setup.fresh_path()}
    presign = names | {"file_size": 999}
    bodies: dict[str, dict[str, Any]] = {
        "presign": presign,
        "presign batch": {"upload_list": [presign]},
        "download batch": {"download_list": [{"model_id": setup.get_target("model:owner")}]},
        "register batch": {"model_list": [build_new_model(setup, target, CONTENT)]},
        "lookup": {"hashes": [hash_of(CONTENT)], "paths": [f"loras/{OURS}.safetensors", f"loras/{THEIRS}.safetensors"]},
        "register": build_new_model(setup, target, CONTENT),
        "import": setup.build_import(),
        "import batch": {"import_list": [setup.build_import()]},
        "link": {"url": "https://127.0.0.1/ink.safetensors"},
        "trust": {"reason": "checked"},
        "source token": {"token": "hf_example"},
        "note": {"description": str(uuid4())},
        "version note": {"note": str(uuid4())},
        "off": {"model_status": "disabled"},
        "collection": {"name": str(uuid4()), "model_list": []},
        "subscription": {"label": OURS},
        "rollout": {"version": 2},
        "collection version": {"note": str(uuid4()), "model_list": []},
        "initiate": {"storage_key": key, "file_size": len(make_model_file("parts", 100))},
        "parts": upload | {"part_numbers": [1]},
        "complete": upload | {"part_list": [{"part_number": 1, "etag": "0"}]},
        "abort": upload,
        "credential": {"kind": "integration", "display_name": "a key"},
        "rotation": {"grace_hours": 1},
        "pair": {"user_code": target},
        "role": {"member_role": "viewer"},
        "invite": {"email_address": setup.fresh_email(), "invitation_role": "viewer"},
        "admin role": {"member_role": "admin"},
        "invite an admin": {"email_address": setup.fresh_email(), "invitation_role": "admin"},
        "team settings": {"quota_bytes": None},
        "transfer": {"new_owner_id": str(uuid4())},
        "new team": {"display_name": "another"},
        "names": {"first_name": "Ada"},
        "password": {"current_password": PASSWORD, "new_password": PASSWORD},
        "accept": {"invitation_token": "in-unknown"},
        "machine": {"agent_labels": [OURS], "paused": False},
        "heartbeat": {"agent_id": OURS},
        "model request": {"agent_id": target, "model_ids": [str(uuid4())]},
        "loaders": {"agent_id": target, "loader_list": []},
        "junk": {"email_address": 5, "refresh_token": 5},
        "poll": {"device_code": "pc-unknown"},
    }
    return (bodies | setup.build_webhook_bodies())[name]


def build_new_model(setup: MatrixSetup, key: str, content: bytes, **more: Any) -> dict[str, Any]:
    return {
        "display_name": OURS,
        "model_type": "loras",
        "storage_key": key,
        "file_size": len(content),
        "file_hash": hash_of(content),
        "model_path": setup.fresh_path(),
    } | more


def build_new_version(setup: MatrixSetup, model_id: str) -> dict[str, Any]:
    """Build the body that adds a version with content that the owner has uploaded; only the permission is tested."""
    content = make_model_file(str(uuid4()))
    path = setup.owner.get(f"/models/{model_id}").json()["model_path"]
    key = setup.owner.upload(content, path)
    return build_new_model(setup, key, content, replaces=model_id, model_path=path)
