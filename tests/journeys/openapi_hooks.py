"""Schemathesis hooks that make generated requests valid: integers without ``.0``, storage keys of uploaded files."""

import os
import re
from typing import Any
from uuid import uuid4

import httpx2
import schemathesis
from pydantic import ValidationError

from modelyard.wire.models import NewModel
from modelyard.wire.paths import SOURCE_PATTERN
from tests.server.harness import hash_of, make_model_file

_CLIENT = httpx2.Client(
    base_url=os.environ["MODELYARD_TEST_URL"],
    headers={
        "Authorization": f"Bearer {os.environ['MODELYARD_TEST_TOKEN']}",
        "X-Team-ID": os.environ["MODELYARD_TEST_TEAM"],
    },
    trust_env=False,
)


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Replace ``2.0`` by ``2`` (the API refuses ``2.0``, JSON Schema does not); upload a file for a registration."""
    label = context.operation.label if context.operation is not None else ""
    return (
        _with_uploaded_file(_convert_whole_floats(body))
        if label == "POST /api/v1/models"
        else _convert_whole_floats(body)
    )


def _convert_whole_floats(value: Any) -> Any:
    """Convert floats without a fraction to integers, in nested lists and objects too."""
    if isinstance(value, dict):
        return {name: _convert_whole_floats(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_convert_whole_floats(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _with_uploaded_file(body: Any) -> Any:
    """Point a valid registration at a file uploaded for it, so that it can succeed; return an invalid one unchanged."""
    try:
        NewModel.model_validate(body)
    except ValidationError:
        return body
    # The published pattern of paths, which the schema does not enforce: a path rule of the registry does.
    if re.search(SOURCE_PATTERN, body["model_path"]) is None:
        return body
    content = make_model_file(uuid4().hex)
    path = f"loras/{uuid4().hex}.safetensors"
    upload = {"file_name": "a.safetensors", "file_size": len(content), "model_type": "loras", "model_path": path}
    ticket = _CLIENT.post("/api/v1/models/presign", json=upload).raise_for_status().json()
    _CLIENT.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])
    uploaded = {"storage_key": ticket["storage_key"], "file_size": len(content), "file_hash": hash_of(content)}
    uploaded |= {"model_type": "loras", "model_path": path}
    return body | uploaded
