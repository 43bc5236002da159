"""Query parameters that an operation does not have are refused, or ignored in operations of the source API."""

import re
from typing import Any
from uuid import uuid4

import pytest

from modelyard.server.http.execution.unknown_parameters import SOURCE_OPERATIONS, find_nearest
from tests.server.contract.request_bodies import RAW_BODIES
from tests.server.harness import ApiCaller, Harness, make_model_file

# Monitoring is outside: what calls it may add parameters.
API = "/api/v1"


@pytest.fixture(scope="module")
def operations(shared_registry: Harness) -> list[tuple[str, str, dict[str, Any]]]:
    """Return method, path below the API's prefix, and declaration of each operation."""
    document = shared_registry.anonymous.get("/openapi.json").json()
    return [
        (method.upper(), path.removeprefix(API), operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith(API)
    ]


@pytest.fixture(scope="module")
def callers(shared_registry: Harness) -> list[ApiCaller]:
    """Return one caller of each kind; each operation is allowed to one of them or more."""
    team = shared_registry.create_team("Parameters")
    return [team, shared_registry.create_key("agent", team), shared_registry.create_device(team)]


def test_every_operation_but_those_of_the_source_api_refuses_an_unknown_parameter(
    operations: list[tuple[str, str, dict[str, Any]]], callers: list[ApiCaller]
) -> None:
    ours = [entry for entry in operations if entry[2]["operationId"] not in SOURCE_OPERATIONS]
    assert len(ours) > 80
    # Operations that take a file read it first, and look for what it is for.
    found, files = {"{model_id}": callers[0].register(), "{version}": "1"}, {"set_preview": RAW_BODIES["picture"]}
    for method, path, operation in ours:
        address = re.sub(r"{\w+}", lambda name: found.get(name[0], str(uuid4())), path)
        body = files.get(operation["operationId"], RAW_BODIES["workflow"])
        answers = [caller.call(method, f"{address}?no-such-thing=1", content=body) for caller in callers]
        refused = next(answer for answer in answers if answer.status_code not in (401, 403))
        assert refused.status_code == 422, f"{operation['operationId']}: {refused.text}"
        fields = [error["field"] for error in refused.json().get("errors", [])]
        assert fields == ["no-such-thing"], f"{operation['operationId']}: {refused.text}"


def test_operations_of_the_source_api_exist_and_none_is_a_list(
    operations: list[tuple[str, str, dict[str, Any]]],
) -> None:
    found = {operation["operationId"]: operation for _, _, operation in operations}
    assert found.keys() >= SOURCE_OPERATIONS
    for name in SOURCE_OPERATIONS:
        assert "current_page" not in str(found[name].get("parameters")), name


def test_register_with_an_unknown_parameter_creates_the_model(callers: list[ApiCaller]) -> None:
    team, content = callers[0], make_model_file("more")
    new = team.new_model(content, "loras/more.safetensors")
    assert team.call("POST", "/models?trace=1", json=new).status_code == 201


def test_list_with_misspelt_parameters_names_each_with_the_nearest(callers: list[ApiCaller]) -> None:
    refused = callers[0].get("/models", page=2, perpage=5, q="ink")
    assert refused.status_code == 422
    assert {error["field"]: error["message"] for error in refused.json()["errors"]} == {
        "page": "There is no query parameter 'page' here. Did you mean 'current_page'?",
        "perpage": "There is no query parameter 'perpage' here. Did you mean 'per_page'?",
    }
    assert "Did you mean 'current_page'?" in refused.json()["detail"]


def test_unknown_parameter_of_an_operation_that_has_few_is_answered_with_those(callers: list[ApiCaller]) -> None:
    refused = callers[0].get("/teams/current", colour="red")
    assert refused.json()["detail"] == "There is no query parameter 'colour' here. There are none."


def test_thousands_of_unknown_parameters_are_answered_with_ten_short_names(callers: list[ApiCaller]) -> None:
    names = {f"{number}{'x' * 100}": "" for number in range(300)}
    errors = callers[0].get("/models", **names).json()["errors"]
    assert len(errors) == 10
    assert max(len(error["field"]) for error in errors) == 64


def test_unknown_parameter_of_a_caller_without_a_token_is_answered_with_401(shared_registry: Harness) -> None:
    assert shared_registry.anonymous.get("/models", page=2).status_code == 401


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("page", "current_page"),
        ("curent_page", "current_page"),
        ("Per-Page", "per_page"),
        ("limit", "per_page"),
        ("type", "model_type"),
        ("model-type", "model_type"),
        ("search", "q"),
        ("colour", None),
    ],
)
def test_find_nearest_parameter(name: str, nearest: str | None) -> None:
    assert find_nearest(name, ["q", "model_type", "current_page", "per_page", "cursor"]) == nearest
