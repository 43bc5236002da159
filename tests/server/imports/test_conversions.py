"""Conversions: pickle files become safetensors models with equal tensors, beside the model that they come from."""

import logging
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from safetensors.numpy import load
from sqlalchemy import select, update

from modelyard.server.imports import conversions
from modelyard.server.imports.tables import ImportRow
from modelyard.server.models.tables import ModelVersionRow
from modelyard.server.uploads.tables import BlobRow
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file
from tests.server.imports.calls import list_actions, wait
from tests.server.inspection import builders
from tests.server.inspection.builders import ZipEntry, build_pickle, call, named, table, text
from tests.server.inspection.pickle_parts import checkpoint
from tests.server.verification.test_scrub import flip_last_bit, replace_stored_object
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

CONTENT = builders.build_checkpoint()
UNSAFE = builders.build_tensorless_checkpoint(call(named("os", "system"), text("true")))
PATH, CONVERTED = "upscale_models/ink.pth", "upscale_models/ink.safetensors"


def push(owner: ApiCaller, content: bytes = CONTENT, path: str = PATH, policy: str = "scan", **changed: object) -> str:
    """Register a file in a team with this policy, and wait until it is read; return the model's id."""
    assert owner.put("/teams/current", pickle_policy=policy).status_code == 200
    model_id = owner.register(content, path, model_type=path.partition("/")[0], **changed)
    while owner.get(f"/models/{model_id}").json()["verification"] == "pending":
        pass
    return model_id


def convert(owner: ApiCaller, model_id: str) -> str:
    """Convert a model and wait; return the id of the converted one."""
    started = owner.post(f"/models/{model_id}/convert")
    assert started.status_code == 201, started.text
    assert started.json()["model_path"] == CONVERTED
    converted = str(wait(owner, started.json()["import_id"])["model_id"])
    owner.wait_until_verified(converted)
    return converted


def download(owner: ApiCaller, model_id: str) -> bytes:
    ticket = owner.get(f"/models/{model_id}/download", redirect="false").json()
    return bytes(owner.client.get(ticket["download_url"]).content)


@pytest.mark.parametrize("policy", ["scan", "trusted", "convert"])
def test_convert_clean_pickle_becomes_new_model_with_equal_tensors(team: ApiCaller, policy: str) -> None:
    source = push(team, policy=policy, tags=["ink"], license="MIT", description="Ours.")
    converted = convert(team, source)
    model = team.get(f"/models/{converted}").json()
    assert (model["verification"], model["model_path"]) == ("verified", CONVERTED)
    assert (model["tags"], model["license"], model["description"]) == (["ink"], "MIT", "Ours.")
    assert model["derived_from"] == {"model_id": source, "version": 1, "file_hash": hash_of(CONTENT)}
    tensors = load(download(team, converted))
    np.testing.assert_array_equal(tensors["b"], np.array([1, 1], np.float16))
    assert tensors["first_stage_model.decoder.conv_in.weight"].tobytes() == builders.WEIGHTS
    assert team.get(f"/models/{source}").json()["derived_from"] is None
    assert "model.converted" in list_actions(team)


def test_convert_same_file_again_returns_the_converted_model(team: ApiCaller) -> None:
    source = push(team)
    converted = convert(team, source)
    again = team.post(f"/models/{source}/convert")
    assert (again.status_code, again.json()["import_id"], again.json()["model_id"]) == (200, None, converted)
    assert again.json()["left_out_list"] is None


def test_convert_training_checkpoint_lists_the_entries_that_are_left_out(team: ApiCaller) -> None:
    value = table(state_dict=table(w=builders.tensor("0", 4)), epoch=builders.number(3))
    started = team.post(f"/models/{push(team, checkpoint(value))}/convert").json()
    assert (started["left_out_list"], started["left_out_count"]) == (["epoch"], 1)


def get_source(owner: ApiCaller, model_id: str) -> dict[str, Any] | None:
    """Return what the content that a model shows was converted from."""
    found: dict[str, Any] | None = owner.get(f"/models/{model_id}").json()["derived_from"]
    return found


def test_push_other_content_as_next_version_is_not_derived(team: ApiCaller) -> None:
    source = push(team)
    converted = convert(team, source)
    team.register(make_model_file("oil"), CONVERTED, model_type="upscale_models", replaces=converted)
    team.wait_until_verified(converted)
    assert team.get(f"/models/{converted}").json()["version"] == 2
    assert get_source(team, converted) is None
    refused = team.post(f"/models/{source}/convert")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_path_taken")


def test_convert_next_version_becomes_next_version_of_the_converted_model(team: ApiCaller) -> None:
    source = push(team)
    converted = convert(team, source)
    assert team.put(f"/models/{converted}", display_name="Mine").status_code == 200
    changed = CONTENT.replace(builders.WEIGHTS, flip_last_bit(builders.WEIGHTS))
    push(team, changed, replaces=source)
    assert convert(team, source) == converted
    model = team.get(f"/models/{converted}").json()
    assert (model["version"], model["display_name"]) == (2, "Mine")
    assert model["derived_from"] == {"model_id": source, "version": 2, "file_hash": hash_of(changed)}


def test_convert_again_after_the_result_is_damaged_repairs_it(module_registry: Harness, team: ApiCaller) -> None:
    source = push(team)
    converted = convert(team, source)
    with module_registry.resources.database.writing() as session:
        failed = {"verification": "failed", "verification_error": "Damaged."}
        session.execute(update(ModelVersionRow).where(ModelVersionRow.model_id == UUID(converted)).values(failed))
    assert team.post(f"/models/{source}/convert").status_code == 201


def test_convert_whose_sandbox_fails_returns_503_and_logs_the_blob(
    team: ApiCaller, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    source = push(team)
    request.getfixturevalue("broken_sandbox")
    with caplog.at_level(logging.ERROR, "modelyard.sandbox"):
        refused = team.post(f"/models/{source}/convert")
    assert (refused.status_code, refused.json()["error_code"]) == (503, "unavailable")
    [record] = [one for one in caplog.records if one.name == "modelyard.sandbox"]
    assert record.__dict__["output"] == "the inspector is broken\n"
    assert str(UUID(record.__dict__["blob"])) == record.__dict__["blob"]


def test_convert_hostile_pickle_is_refused_with_the_reason(team: ApiCaller) -> None:
    for policy, path in (("scan", PATH), ("convert", "upscale_models/two.pth")):
        refused = team.post(f"/models/{push(team, UNSAFE, path, policy)}/convert")
        assert (refused.status_code, refused.json()["error_code"]) == (422, "conversion_refused")
        assert "os.system" in refused.json()["detail"]
    assert team.get("/imports").json()["import_list"] == []


def test_convert_program_is_refused_with_the_reason(team: ApiCaller) -> None:
    script = builders.build_zip(
        ZipEntry("net/data.pkl", build_pickle(table(a=builders.number(1)))),
        ZipEntry("net/code/__torch__.py", b"def f(): pass"),
        ZipEntry("net/version", b"3\n"),
    )
    refused = team.post(f"/models/{push(team, script)}/convert")
    assert refused.status_code == 422
    assert "TorchScript" in refused.json()["detail"]


def test_convert_safetensors_is_refused(team: ApiCaller) -> None:
    refused = team.post(f"/models/{team.register(make_model_file('ink'))}/convert")
    assert (refused.status_code, refused.json()["error_code"]) == (422, "conversion_refused")


def test_convert_with_other_model_at_the_path_returns_409(team: ApiCaller) -> None:
    source = push(team)
    holder = team.register(make_model_file("ink"), CONVERTED, model_type="upscale_models")
    refused = team.post(f"/models/{source}/convert")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_path_taken")
    assert refused.json()["model_id"] == holder


def test_convert_above_the_quota_is_refused(team: ApiCaller) -> None:
    source = push(team)
    assert team.put("/teams/current", quota_bytes=len(CONTENT) + 10).status_code == 200
    assert team.post(f"/models/{source}/convert").json()["error_code"] == "quota_exceeded"


def damage(registry: Harness, team: ApiCaller) -> None:
    """Flip a bit of a tensor in the stored file."""
    with registry.resources.database.reading() as session:
        of_team = (BlobRow.team_id == UUID(team.team_id)) & (BlobRow.sha256 == hash_of(CONTENT)[7:])
        key = session.scalars(select(BlobRow.store_key).where(of_team)).one()
    damaged = CONTENT.replace(builders.WEIGHTS, flip_last_bit(builders.WEIGHTS))
    assert damaged != CONTENT
    replace_stored_object(registry.resources, key, damaged)


def test_convert_damaged_source_is_refused_and_verified_again(module_registry: Harness, team: ApiCaller) -> None:
    source = push(team)
    damage(module_registry, team)
    started = team.post(f"/models/{source}/convert").json()
    failed = wait(team, started["import_id"], "failed", "done")
    assert (failed["import_state"], failed["error_code"]) == ("failed", "conversion_refused")
    assert "damaged" in failed["error"]
    wait_until(lambda: team.get(f"/models/{source}").json()["verification"] == "failed")


def test_convert_above_the_time_limit_is_refused(team: ApiCaller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversions, "SECONDS_ALLOWED", -1)
    started = team.post(f"/models/{push(team)}/convert").json()
    failed = wait(team, started["import_id"], "failed", "done")
    assert (failed["error_code"], "too long" in str(failed["error"])) == ("conversion_refused", True)


def test_conversions_count_towards_a_limit_of_their_team(module_registry: Harness, team: ApiCaller) -> None:
    convert(team, push(team))
    with module_registry.resources.database.reading() as session:
        row = session.scalars(select(ImportRow).where(ImportRow.team_id == UUID(team.team_id))).one()
    assert row.host == f"model:{row.team_id}"
