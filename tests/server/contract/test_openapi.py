"""The OpenAPI document is complete; ``tests.server.openapi_check`` compares the responses of all tests with it."""

from collections.abc import Iterator
from typing import Any

import pytest

from modelyard.wire.problems import list_problem_classes
from tests.server.harness import Harness

Schema = dict[str, Any]


@pytest.fixture(scope="module")
def document(shared_registry: Harness) -> Schema:
    found: Schema = shared_registry.anonymous.get("/openapi.json").json()
    return found


def test_get_openapi_with_current_etag_returns_304(shared_registry: Harness) -> None:
    first = shared_registry.anonymous.get("/openapi.json")
    tag = first.headers["ETag"]
    for known in (tag, f'"other", W/{tag}'):
        again = shared_registry.anonymous.call("GET", "/openapi.json", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    other = shared_registry.anonymous.call("GET", "/openapi.json", headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.json()) == (200, first.json())


def test_get_openapi_with_and_without_gzip_returns_the_same_document(shared_registry: Harness) -> None:
    sent = {
        coding: shared_registry.anonymous.call("GET", "/openapi.json", headers={"Accept-Encoding": coding})
        for coding in ("gzip", "identity")
    }
    assert [answer.headers.get("Content-Encoding") for answer in sent.values()] == ["gzip", None]
    assert sent["gzip"].json() == sent["identity"].json()


def operations(document: Schema) -> Iterator[tuple[str, Schema]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_operation_has_unique_id_tag_summary_and_description(document: Schema) -> None:
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


def test_every_schema_field_has_description_and_example(document: Schema) -> None:
    incomplete = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, entry in schema.get("properties", {}).items()
        if not entry.get("description") or "examples" not in entry
    ]
    assert incomplete == []


def test_every_documented_problem_is_a_known_slug_under_its_status(document: Schema) -> None:
    statuses = {kind.slug: str(kind.status) for kind in list_problem_classes()}
    for route, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) < 400 or route == "GET /readyz":
                continue
            assert list(answer["content"]) == ["application/problem+json"], f"{route} {status}"
            lines = [line for line in answer["description"].splitlines() if line]
            slugs = [line.split("`")[1] for line in lines]
            assert slugs, f"{route} {status}"
            assert {statuses[slug] for slug in slugs} == {status}, f"{route} {status}"


def test_text_of_problems_has_no_indentation_and_the_detail_of_an_example_is_one_paragraph(document: Schema) -> None:
    answers = [answer for _, operation in operations(document) for answer in operation["responses"].values()]
    assert [answer["description"] for answer in answers if "\n " in answer["description"]] == []
    details = [example["value"]["detail"] for example in document["components"]["examples"].values()]
    assert [detail for detail in details if "\n" in detail or "Facts, if" in detail] == []


def test_every_team_operation_documents_the_team_header(document: Schema) -> None:
    for route, operation in operations(document):
        if "team-header-missing" in str(operation["responses"]):
            [header] = [entry for entry in operation["parameters"] if entry["name"] == "X-Team-ID"]
            assert header["required"] is False, route
            assert header["schema"]["format"] == "uuid", route


def test_model_path_schema_has_the_pattern_of_the_source_api(document: Schema) -> None:
    for name in ("NewModel", "UploadRequest"):
        path = document["components"]["schemas"][name]["properties"]["model_path"]
        assert path["pattern"] == r"^(?!/)(?!.*\.\.)(?!.*\\)[\w./ -]+$"


def test_register_schema_has_fields_and_limits_of_the_source_api(document: Schema) -> None:
    name = document["components"]["schemas"]["NewModel"]
    source = {"display_name", "model_type", "storage_key", "file_size", "file_hash", "model_path"}
    assert set(name["required"]) == source
    name, kind = name["properties"]["display_name"], name["properties"]["model_type"]
    assert (name["minLength"], name["maxLength"], kind["minLength"], kind["maxLength"]) == (1, 255, 1, 50)


def test_document_contains_no_http_validation_error_schema(document: Schema) -> None:
    assert "HTTPValidationError" not in str(document)


def test_every_operation_that_needs_a_token_documents_security(document: Schema) -> None:
    for route, operation in operations(document):
        assert ("unauthenticated" in str(operation["responses"])) is bool(
            operation.get("security") or route == "POST /api/v1/invitations/accept"
        ), route
