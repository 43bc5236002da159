"""Waiting for the end of imports: of models that cannot be verified yet, and of those that another person started."""

from pathlib import Path
from typing import Any

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.imports import EndedImport, RefusedImport, run_imports, wait_for_import
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.push import Pusher
from modelyard.wire.imports.jobs import NewImport
from modelyard.wire.models import Model
from modelyard.wire.problems import ImportRunning
from tests.client.model_files import write_model_file
from tests.client.pushed_models import build_request
from tests.client.scripted_server import Responses


def build_record(model: Model) -> dict[str, Any]:
    """Return the record of an import that is done."""
    return {
        "id": str(model.id),
        "url": "https://models.example/ink.safetensors",
        "import_state": "done",
        "display_name": "Ink",
        "model_type": "loras",
        "model_path": "loras/ink.safetensors",
        "file_size": model.file_size,
        "bytes_done": model.file_size,
        "model_id": str(model.id),
        "error": None,
        "error_code": None,
        "retry_at": None,
        "finished_at": None,
        "created_at": "2026-01-01T00:00:00Z",
        "created_by": {"kind": "user", "id": None, "display_name": "Ada"},
    }


async def test_import_whose_model_could_not_be_verified_yet_is_not_waited_for(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path, responses: Responses, url: str
) -> None:
    pusher = Pusher(registry, settings, lambda _: None)
    model = (await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors")))).model
    record = build_record(model)
    being_verified = model.model_dump(mode="json") | {"verification": "pending", "verification_error": None}
    responses.add(200, record)
    responses.add(200, being_verified)
    responses.add(200, being_verified | {"verification_error": "Its inspection failed."})
    async with RegistryApi(url, "sk-x") as scripted:
        ended = await wait_for_import(scripted, model.id, lambda _: None)
    assert (ended.is_waiting, ended.error) == (True, "Its inspection failed.")
    state = {name: ended.to_json()[name] for name in ("import_state", "verification", "verification_error")}
    assert state == {
        "import_state": "done",
        "verification": "pending",
        "verification_error": "Its inspection failed.",
    }


@pytest.mark.parametrize("other_fields", [[], ["tags"]], ids=["equal request", "other tags"])
async def test_import_that_another_person_runs_is_followed_if_the_requests_are_equal(
    registry: RegistryApi,
    settings: ClientSettings,
    tmp_path: Path,
    responses: Responses,
    url: str,
    other_fields: list[str],
) -> None:
    pusher = Pusher(registry, settings, lambda _: None)
    model = (await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors")))).model
    facts = {"import_id": str(model.id), "created_by": "Ada", "other_fields": other_fields}
    responses.add(409, ImportRunning("Ada is importing this link already.", **facts).to_json())
    responses.add(200, build_record(model))
    responses.add(200, model.model_dump(mode="json"))
    new = NewImport(
        url="https://models.example/ink.safetensors",
        display_name="Ink",
        model_type="loras",
        model_path="loras/ink.safetensors",
    )
    names = list[str]()
    async with RegistryApi(url, "sk-x") as scripted:
        [ended] = await run_imports(scripted, [new], lambda: lambda _: None, lambda _, name: names.append(name))
    is_followed = not other_fields
    assert names == (["Ada"] if is_followed else [])
    assert isinstance(ended, EndedImport if is_followed else RefusedImport)
    assert (ended.error is None) is is_followed
