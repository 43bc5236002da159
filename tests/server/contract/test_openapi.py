"""The OpenAPI document: whole, and true of the routes. ``documented`` holds every test's answers against it as well."""

from collections.abc import Iterator
from typing import Any

import pytest

from modelyard.wire.problems import every_problem
from tests.server.world import World

Schema = dict[str, Any]


@pytest.fixture(scope="module")
def document(shared_world: World) -> Schema:
    found: Schema = shared_world.nobody.get("/openapi.json").json()
    return found


def operations(document: Schema) -> Iterator[tuple[str, Schema]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_operation_has_a_name_a_tag_a_summary_and_a_sentence(document: Schema) -> None:
    for route, operation in operations(document):
        assert operation["tags"], route
        assert operation["summary"], route
        assert operation["description"].rstrip().endswith("."), route
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)


def test_every_parameter_is_described_with_an_example(document: Schema) -> None:
    for route, operation in operations(document):
        for parameter in operation.get("parameters", []):
            name = f"{route} {parameter['name']}"
            assert _is_described(parameter) or parameter["in"] == "path", name
            assert _has_example(parameter) or parameter["name"].lower() in ("x-team-id", "x-session"), name


def _is_described(parameter: Schema) -> bool:
    return bool(parameter.get("description") or parameter["schema"].get("description"))


def _has_example(parameter: Schema) -> bool:
    return bool({"example", "examples"} & (parameter.keys() | parameter["schema"].keys()))


def test_every_field_of_every_shape_is_described_with_an_example(document: Schema) -> None:
    lacking = [
        f"{shape}.{field}"
        for shape, schema in document["components"]["schemas"].items()
        for field, entry in schema.get("properties", {}).items()
        if not entry.get("description") or "examples" not in entry
    ]
    assert lacking == []


def test_every_problem_that_is_listed_is_one_of_ours_under_its_own_status(document: Schema) -> None:
    statuses = {kind.slug: str(kind.status) for kind in every_problem()}
    for route, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) < 400 or route == "GET /readyz":
                continue
            assert list(answer["content"]) == ["application/problem+json"], f"{route} {status}"
            lines = [line for line in answer["description"].splitlines() if line]
            slugs = [line.split("`")[1] for line in lines]
            assert slugs, f"{route} {status}"
            assert {statuses[slug] for slug in slugs} == {status}, f"{route} {status}"


def test_every_operation_below_a_team_says_how_to_name_it(document: Schema) -> None:
    for route, operation in operations(document):
        if "team-header-missing" in str(operation["responses"]):
            [header] = [entry for entry in operation["parameters"] if entry["name"] == "X-Team-ID"]
            assert header["required"] is False, route
            assert header["schema"]["format"] == "uuid", route


def test_the_sources_path_pattern_is_published_verbatim(document: Schema) -> None:
    for shape in ("NewModel", "UploadRequest"):
        path = document["components"]["schemas"][shape]["properties"]["model_path"]
        assert path["pattern"] == r"^(?!/)(?!.*\.\.)(?!.*\\)[\w./ -]+$"


def test_registering_takes_the_sources_fields_with_their_limits(document: Schema) -> None:
    shape = document["components"]["schemas"]["NewModel"]
    source = {"display_name", "model_type", "storage_key", "file_size", "file_hash", "model_path"}
    assert set(shape["required"]) == source
    name, kind = shape["properties"]["display_name"], shape["properties"]["model_type"]
    assert (name["minLength"], name["maxLength"], kind["minLength"], kind["maxLength"]) == (1, 255, 1, 50)


def test_the_document_shows_no_validator_of_the_framework(document: Schema) -> None:
    assert "HTTPValidationError" not in str(document)


def test_what_needs_a_token_says_so(document: Schema) -> None:
    for route, operation in operations(document):
        assert ("unauthenticated" in str(operation["responses"])) is bool(
            operation.get("security") or route == "POST /api/v1/invitations/accept"
        ), route
