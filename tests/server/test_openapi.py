"""The OpenAPI document as a source of generated clients: names, defaults, examples and problems."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel

from modelyard import wire
from modelyard.wire.problems import list_problem_classes
from tests.server.harness import Harness

pytestmark = pytest.mark.slow

Json = dict[str, Any]
UPDATES = ("AgentUpdate", "ModelUpdate", "TeamUpdate")
# By the text of their schema, as most problems have the same: building one reads all components of the only document.
_validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
# Problems of unknown addresses, of the Hugging Face endpoint, of presigned URLs, of jobs and of the command line: no
# operation of the document has them.
PROBLEMS_OUTSIDE_OPERATIONS = {
    "source-changed",
    "malformed-request",
    "route-not-found",
    "repository-not-found",
    "repository-revision-not-found",
    "repository-file-not-found",
    "method-not-allowed",
    "account-not-found",
    "signature-refused",
    "url-expired",
    "length-required",
    "length-wrong",
    "checksum-wrong",
    "key-taken",
    "part-busy",
    "upload-stalled",
    "blob-not-found",
    "range-not-satisfiable",
}


@pytest.fixture(scope="module")
def document(shared_registry: Harness) -> Json:
    built: Json = shared_registry.anonymous.get("/openapi.json").json()
    return built


def list_operations(document: Json) -> Iterator[Json]:
    for path in document["paths"].values():
        yield from path.values()


def list_fields(document: Json) -> Iterator[tuple[str, Json]]:
    """Yield ``<schema>.<field>`` and the schema of each field."""
    for name, schema in document["components"]["schemas"].items():
        for field, field_schema in schema.get("properties", {}).items():
            yield f"{name}.{field}", field_schema


def list_request_schemas(document: Json) -> set[str]:
    """Return the names of the schemas of request bodies, without those nested in them."""
    return {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
        for operation in list_operations(document)
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }


def build_example(schema: Json) -> Json:
    """Return an object made of the first example of each field."""
    return {name: field["examples"][0] for name, field in schema["properties"].items()}


def find_wire_class(name: str) -> type[BaseModel]:
    for module in pkgutil.walk_packages(wire.__path__, "modelyard.wire."):
        found: object = getattr(importlib.import_module(module.name), name, None)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    raise LookupError(name)


def list_violations(document: Json, schema: Json, value: object) -> list[str]:
    """Return the messages of the errors of a value against a schema of the document, its formats included."""
    text = json.dumps(schema)
    if text not in _validators:
        whole = schema | ({"components": document["components"]} if "$ref" in text else {})
        _validators[text] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return [error.message for error in _validators[text].iter_errors(value)]


def test_every_operation_has_one_tag_that_the_document_describes(document: Json) -> None:
    described = [tag["name"] for tag in document["tags"]]
    assert all(tag["description"] for tag in document["tags"])
    assert {tuple(operation["tags"]) for operation in list_operations(document)} == {(name,) for name in described}


def test_operations_on_models_have_the_ids_that_a_client_method_would_have(document: Json) -> None:
    ids = {
        f"{method} {path.removeprefix('/api/v1')}": operation["operationId"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert ids["get /models"] == "list_models"
    assert ids["post /models"] == "create_model"
    assert ids["get /models/{model_id}"] == "get_model"
    assert ids["put /models/{model_id}"] == "update_model"
    assert ids["delete /models/{model_id}"] == "delete_model"


@pytest.mark.parametrize("name", UPDATES)
def test_update_schema_requires_no_field_and_shows_no_default(document: Json, name: str) -> None:
    schema = document["components"]["schemas"][name]
    assert "required" not in schema
    assert [field for field, entry in schema["properties"].items() if "default" in entry] == []


def test_default_in_the_document_is_the_value_that_an_absent_request_field_gets(document: Json) -> None:
    shown = {name: field["default"] for name, field in list_fields(document) if "default" in field}
    assert shown
    for name, default in shown.items():
        schema, field = name.split(".")
        assert find_wire_class(schema).model_fields[field].default == default, name


def test_response_schemas_show_no_defaults_and_require_every_field(document: Json) -> None:
    for name in ("Model", "Agent", "PageMeta", "Tokens", "Done", "PairingStarted"):
        schema = document["components"]["schemas"][name]
        assert set(schema["required"]) == set(schema["properties"]), name
        assert "default" not in str(schema["properties"].values()), name


def test_keys_of_a_pending_pairing_are_optional_as_they_are_not_sent(document: Json) -> None:
    assert document["components"]["schemas"]["PairingState"]["required"] == ["status"]


def test_fields_of_one_type_refer_to_one_named_enum(document: Json) -> None:
    schemas = document["components"]["schemas"]
    reference = "#/components/schemas/ModelStatus"
    [parameter] = [
        entry for entry in document["paths"]["/api/v1/models"]["get"]["parameters"] if entry["name"] == "model_status"
    ]
    assert schemas["ModelStatus"]["enum"] == ["active", "disabled"]
    for place in (schemas["Model"]["properties"]["model_status"], parameter["schema"]):
        assert place["$ref"] == reference
    assert schemas["ModelUpdate"]["properties"]["model_status"]["$ref"] == reference


def test_every_example_of_a_field_is_valid_for_its_schema(document: Json) -> None:
    for name, field in list_fields(document):
        for example in field["examples"]:
            assert list_violations(document, field, example) == [], name


def test_every_example_of_a_parameter_is_valid_for_its_schema(document: Json) -> None:
    for operation in list_operations(document):
        for parameter in operation.get("parameters", []):
            for example in parameter["schema"].get("examples", []):
                name = f"{operation['operationId']} {parameter['name']}"
                assert list_violations(document, parameter["schema"], example) == [], name


def test_object_of_the_fields_examples_is_valid_for_its_schema(document: Json) -> None:
    for name, schema in document["components"]["schemas"].items():
        if "properties" in schema:
            assert list_violations(document, schema, build_example(schema)) == [], name


def test_request_body_of_the_fields_examples_is_accepted(document: Json) -> None:
    for name in list_request_schemas(document):
        example = build_example(document["components"]["schemas"][name])
        find_wire_class(name).model_validate(example)


def test_every_problem_that_an_operation_lists_has_a_valid_example(document: Json) -> None:
    schema = document["components"]["schemas"]["ProblemBody"]
    for operation in list_operations(document):
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/problem+json")
            if content is not None:
                for slug in content["examples"]:
                    example = document["components"]["examples"][slug]["value"]
                    assert f"`{slug}`" in response["description"]
                    assert (example["type"], example["status"]) == (f"/problems/{slug}", int(status))
                    assert list_violations(document, schema, example) == [], slug


def test_every_problem_is_listed_by_an_operation_or_can_come_from_none(document: Json) -> None:
    listed = set(document["components"]["examples"])
    assert {kind.slug for kind in list_problem_classes()} - listed == PROBLEMS_OUTSIDE_OPERATIONS
