"""What the generated calls need to reach the registry's rules: whole numbers, and real bytes behind a key."""

import os
from typing import Any
from uuid import uuid4

import httpx2
import schemathesis
from pydantic import ValidationError

from modelyard.wire.models import NewModel
from tests.server.world import a_model_file, hash_of

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
    """Whole numbers without ``.0``: to JSON Schema 2.0 is an integer, to the contract it is not."""
    label = context.operation.label if context.operation is not None else ""
    return _with_real_bytes(_whole(body)) if label == "POST /api/v1/models" else _whole(body)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _with_real_bytes(body: Any) -> Any:
    """A registration that could succeed, when everything but the bytes is as documented."""
    try:
        NewModel.model_validate(body)
    except ValidationError:
        return body
    content = a_model_file(uuid4().hex)
    path = f"loras/{uuid4().hex}.safetensors"
    asked = {"file_name": "a.safetensors", "file_size": len(content), "model_type": "loras", "model_path": path}
    ticket = _CLIENT.post("/api/v1/models/presign", json=asked).json()
    _CLIENT.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])
    real = {"storage_key": ticket["storage_key"], "file_size": len(content), "file_hash": hash_of(content)}
    real |= {"model_type": "loras", "model_path": path}
    return body | real
