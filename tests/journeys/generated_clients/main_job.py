"""The main job of a program with the Python client: sign in, upload, register, list, update, download, compare.

Arguments: the registry's URL, the model file, the e-mail address, the password.
Output: a JSON object with what the test compares.
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from uuid import UUID

import httpx
from generated_client import AuthenticatedClient, Client
from generated_client.api.accounts import get_me, log_in
from generated_client.api.models import (
    create_model,
    download_model,
    get_model,
    list_models,
    presign_upload,
    update_model,
)
from generated_client.models import (
    DownloadTicket,
    Login,
    Me,
    Model,
    ModelList,
    ModelUpdate,
    NewModel,
    ProblemBody,
    RegisteredModel,
    Tokens,
    Updated,
    UploadRequest,
    UploadTicket,
    Verification,
)

MODEL_PATH = "loras/python.safetensors"
UNKNOWN_ID = UUID("0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10")


def sign_in(url: str, email_address: str, password: str) -> AuthenticatedClient:
    """Return a client that acts as the user in their first team."""
    tokens = log_in.sync(client=Client(url), body=Login(email_address=email_address, user_password=password))
    assert isinstance(tokens, Tokens), tokens
    client = AuthenticatedClient(url, token=tokens.access_token)
    me = get_me.sync(client=client)
    assert isinstance(me, Me), me
    return client.with_headers({"X-Team-ID": str(me.team_list[0].id)})


def upload(client: AuthenticatedClient, content: bytes, file_hash: str) -> UUID:
    """Upload a file, register it as a model and return its id."""
    request = UploadRequest(
        file_name="python.safetensors",
        file_size=len(content),
        model_type="loras",
        model_path=MODEL_PATH,
        file_hash=file_hash,
    )
    ticket = presign_upload.sync(client=client, body=request)
    assert isinstance(ticket, UploadTicket), ticket
    httpx.put(ticket.upload_url, content=content, headers=ticket.upload_headers.to_dict()).raise_for_status()
    new = NewModel(
        display_name="From Python",
        model_type="loras",
        storage_key=ticket.storage_key,
        file_size=len(content),
        file_hash=file_hash,
        model_path=MODEL_PATH,
    )
    created = create_model.sync(client=client, body=new)
    assert isinstance(created, RegisteredModel), created
    return created.id


def wait_until_verified(client: AuthenticatedClient, model_id: UUID) -> None:
    while True:
        model = get_model.sync(model_id, client=client)
        assert isinstance(model, Model), model
        if model.verification != Verification.PENDING:
            return
        time.sleep(0.1)


def download(client: AuthenticatedClient, model_id: UUID) -> bytes:
    ticket = download_model.sync(model_id, client=client, redirect=False)
    assert isinstance(ticket, DownloadTicket), ticket
    return httpx.get(ticket.download_url).raise_for_status().content


def main() -> None:
    url, file, email_address, password = sys.argv[1:]
    content = Path(file).read_bytes()
    client = sign_in(url, email_address, password)
    model_id = upload(client, content, compute_hash(content))
    wait_until_verified(client, model_id)
    updated = update_model.sync(model_id, client=client, body=ModelUpdate(tags=["python"]))
    assert isinstance(updated, Updated), updated
    listed = list_models.sync(client=client, tag="python", model_type="loras")
    assert isinstance(listed, ModelList), listed
    [model] = [each for each in listed.model_list if each.id == model_id]
    problem = get_model.sync(UNKNOWN_ID, client=client)
    assert isinstance(problem, ProblemBody), problem
    result = {
        "display_name": model.display_name,
        "model_path": model.model_path,
        "model_status": model.model_status.value,
        "tags": model.tags,
        "total_count": listed.page_meta.total_count,
        "downloaded_hash": compute_hash(download(client, model_id)),
        "problem": problem.error_code,
    }
    sys.stdout.write(json.dumps(result))


def compute_hash(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


if __name__ == "__main__":
    main()
