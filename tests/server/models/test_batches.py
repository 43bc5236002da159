"""``POST /models/presign-batch`` and ``/models/register-batch``: each item has the answer of its single request."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from modelyard.server.models.batches import run_each
from modelyard.server.models.tables import ModelRow
from modelyard.server.storage.blob_store import NoSuchKey, StoreUnavailable
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.problems import InvalidRequest, ModelNotFound, Unavailable
from modelyard.wire.schemas import Done, ProblemBody, Schema
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file


def build_upload(content: bytes, path: str, **changed: Any) -> dict[str, Any]:
    """Return the body that presigns an upload of this content."""
    name = path.rsplit("/", 1)[-1]
    body = {"file_name": name, "file_size": len(content), "model_type": "loras", "model_path": path}
    return body | {"file_hash": hash_of(content)} | changed


def presign(team: ApiCaller, *uploads: Any) -> list[dict[str, Any]]:
    answer = team.post("/models/presign-batch", upload_list=uploads)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["result_list"]
    return results


def register(team: ApiCaller, *models: Any) -> list[dict[str, Any]]:
    answer = team.post("/models/register-batch", model_list=models)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["result_list"]
    return results


def test_batch_uploads_and_registers_files_that_are_then_verified(team: ApiCaller) -> None:
    contents = {f"loras/ink-{number}.safetensors": make_model_file(f"ink {number}") for number in range(3)}
    tickets = presign(team, *(build_upload(content, path) for path, content in contents.items()))
    assert [ticket["status"] for ticket in tickets] == [200, 200, 200]
    for ticket, content in zip(tickets, contents.values(), strict=True):
        sent = team.client.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])
        assert sent.status_code == 200
    models = [
        team.new_model(content, path, storage_key=ticket["storage_key"])
        for ticket, (path, content) in zip(tickets, contents.items(), strict=True)
    ]
    results = register(team, *models)
    assert [result["status"] for result in results] == [201, 201, 201]
    for result, path in zip(results, contents, strict=True):
        team.wait_until_verified(result["id"])
        assert team.get(f"/models/{result['id']}").json()["model_path"] == path
    assert [result["status"] for result in register(team, *models)] == [200, 200, 200]
    assert [result["id"] for result in register(team, *models)] == [result["id"] for result in results]


def test_ticket_of_batch_has_the_members_of_a_single_ticket(team: ApiCaller) -> None:
    body = build_upload(make_model_file("single"), "loras/single.safetensors")
    [result] = presign(team, body)
    single = team.post("/models/presign", **body).json()
    assert result.keys() == single.keys() | {"status"}
    assert result["upload_headers"].keys() == single["upload_headers"].keys()


def test_presigned_file_that_the_team_has_needs_no_upload(team: ApiCaller) -> None:
    content = make_model_file("known")
    team.register(content, "loras/known.safetensors")
    [known, new] = presign(
        team,
        build_upload(content, "loras/copy.safetensors"),
        build_upload(make_model_file("new"), "loras/new.safetensors"),
    )
    assert (known["already_stored"], new["already_stored"]) == (True, False)


def test_refused_items_have_their_problem_and_the_others_are_carried_out(team: ApiCaller) -> None:
    content = make_model_file("good")
    path = "loras/good.safetensors"
    good = team.new_model(content, path)
    refused: list[Any] = [
        good | {"model_path": "../escape.safetensors"},
        good | {"storage_key": "models/nothing"},
        {"display_name": "only this"},
        "no object",
    ]
    *problems, registered = register(team, *refused, good)
    assert [(problem["status"], problem["error_code"]) for problem in problems] == [
        (422, "model_path_refused"),
        (404, "upload_not_found"),
        (422, "invalid_request"),
        (422, "invalid_request"),
    ]
    assert "file_hash" in [error["field"] for error in problems[2]["errors"]]
    assert problems[3]["errors"][0]["field"] == "body"
    assert registered["status"] == 201
    single = team.post("/models", **refused[0])
    assert {**single.json(), "request_id": None} == {**problems[0], "request_id": None}


def test_two_items_for_one_path_register_the_first_and_refuse_the_second(team: ApiCaller) -> None:
    path = "loras/same.safetensors"
    models = [team.new_model(make_model_file(text), path) for text in ("first", "second")]
    [first, second] = register(team, *models)
    assert (first["status"], second["status"], second["error_code"]) == (201, 409, "model_path_taken")


def test_quota_counts_for_each_item_of_a_batch(team: ApiCaller) -> None:
    team.put("/teams/current", quota_bytes=5000)
    contents = [make_model_file(f"quota {number}", 2000) for number in range(3)]
    tickets = presign(team, *(build_upload(content, f"loras/{n}.safetensors") for n, content in enumerate(contents)))
    assert [ticket["status"] for ticket in tickets] == [200, 200, 403]
    assert tickets[2]["error_code"] == "quota_exceeded"


@pytest.mark.parametrize(
    ("route", "field"),
    [("presign-batch", "upload_list"), ("register-batch", "model_list"), ("download-batch", "download_list")],
)
@pytest.mark.parametrize("items", [[], [{}] * 101, {}, None, "x"])
def test_batch_of_none_or_more_than_100_items_is_refused_with_the_fields_name(
    team: ApiCaller, route: str, field: str, items: Any
) -> None:
    answer = team.post(f"/models/{route}", **{field: items})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_each_registered_model_of_a_batch_is_in_the_audit_log(team: ApiCaller) -> None:
    results = register(
        team, *(team.new_model(make_model_file(f"audit {n}"), f"loras/audit-{n}.safetensors") for n in range(2))
    )
    events = team.get("/audit-events", action="model.registered").json()["audit_event_list"]
    assert {event["object_id"] for event in events} >= {result["id"] for result in results}


def test_download_batch_has_a_ticket_or_problem_for_each_model(team: ApiCaller) -> None:
    content = make_model_file("wanted")
    model_id = team.register(content, "loras/wanted.safetensors")
    items = [{"model_id": model_id}, {"model_id": model_id, "version": 1}, {"model_id": model_id, "version": 2}]
    items += [{"model_id": str(uuid4())}, {"model_id": "no-uuid"}]
    answer = team.post("/models/download-batch", download_list=items)
    first, numbered, *refused = answer.json()["result_list"]
    assert [problem["error_code"] for problem in refused] == [
        "version_not_found",
        "model_not_found",
        "invalid_request",
    ]
    for ticket in (first, numbered):
        assert team.client.get(ticket["download_url"]).content == content


def test_download_batch_of_a_damaged_model_says_so_and_serves_the_others(registry: Harness) -> None:
    contents = {path: make_model_file(path) for path in ("loras/lost.safetensors", "loras/kept.safetensors")}
    lost, kept = (registry.owner.register(content, path) for path, content in contents.items())
    with registry.resources.database.reading() as session:
        blob = session.get_one(BlobRow, session.get_one(ModelRow, UUID(lost)).blob_id)
    registry.resources.store.delete(blob.store_key)
    answer = registry.owner.post("/models/download-batch", download_list=[{"model_id": lost}, {"model_id": kept}])
    [problem, ticket] = answer.json()["result_list"]
    assert (problem["error_code"], ticket["status"]) == ("model_damaged", 200)


class Number(Schema):
    number: int


def run_numbers(failure: Exception, count: int = 5) -> tuple[list[int], list[Done | ProblemBody]]:
    """Run an operation that refuses number 1 and raises ``failure`` for 2; return what was tried, and the results."""
    tried = []

    def operation(item: Number) -> Done:
        tried.append(item.number)
        if item.number == 1:
            raise InvalidRequest("Not valid.")
        if item.number == 2:
            raise failure
        return Done()

    return tried, run_each([{"number": number} for number in range(count)], Number, operation)


def list_statuses(results: list[Done | ProblemBody]) -> list[int]:
    return [result.status if isinstance(result, ProblemBody) else 200 for result in results]


@pytest.mark.parametrize("failure", [Unavailable("The database does not answer."), StoreUnavailable("No answer.")])
def test_items_after_one_that_a_dependency_failed_are_not_tried_and_say_so(failure: Exception) -> None:
    tried, results = run_numbers(failure)
    assert tried == [0, 1, 2]
    assert list_statuses(results) == [200, 422, 503, 503, 503]
    assert [result.detail for result in results[3:] if isinstance(result, ProblemBody)] == [
        "This item was not tried, because the registry could not answer an item before it. Send it again."
    ] * 2


@pytest.mark.parametrize("failure", [NoSuchKey("No such object."), ModelNotFound("No such model.")])
def test_items_after_one_with_a_failure_of_its_own_are_tried(failure: Exception) -> None:
    tried, results = run_numbers(failure)
    assert tried == [0, 1, 2, 3, 4]
    assert list_statuses(results)[3:] == [200, 200]


def test_items_are_not_begun_after_the_time_of_a_batch() -> None:
    results = run_each([{"number": 0}] * 3, Number, lambda _: Done(), max_seconds=0)
    assert list_statuses(results) == [503, 503, 503]


def test_invalid_result_of_an_operation_is_no_problem_of_the_item() -> None:
    with pytest.raises(ValidationError):
        run_each([{"number": 0}], Number, lambda _: Number.model_validate({}))


def test_each_item_of_a_batch_needs_the_permission_of_its_single_request(shared_registry: Harness) -> None:
    registry = shared_registry
    owner = registry.create_team()
    content = make_model_file("guarded")
    model_id = owner.register(content, "loras/guarded.safetensors")
    member = registry.create_member("member", owner)
    body = member.new_model(make_model_file("overwritten"), "loras/guarded.safetensors", replaces=model_id)
    [replaced] = register(member, body)
    assert replaced["error_code"] == member.post("/models", **body).json()["error_code"] == "role_too_low"
    stranger = registry.create_other_team()
    for caller, expected in (
        (stranger, "model_not_found"),
        (registry.create_key("agent", stranger), "model_not_found"),
    ):
        answer = caller.post("/models/download-batch", download_list=[{"model_id": model_id}])
        assert [result["error_code"] for result in answer.json()["result_list"]] == [expected]
    owner.put(f"/models/{model_id}", model_status="disabled")
    machine = registry.create_key("agent", owner)
    [disabled] = machine.post("/models/download-batch", download_list=[{"model_id": model_id}]).json()["result_list"]
    assert disabled["error_code"] == "model_not_found"
