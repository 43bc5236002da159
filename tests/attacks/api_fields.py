"""The body fields and query parameters of the API, read from its OpenAPI document, and invalid values for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]
# A JSON text of each type; the one for "number" is not an integer.
SAMPLES = {
    "null": "null",
    "boolean": "true",
    "integer": "5",
    "number": "1.5",
    "string": '"text"',
    "array": '["text"]',
    "object": '{"a": 1}',
}


@dataclass(frozen=True)
class Field:
    """One field of one JSON body."""

    method: str
    path: str
    name: str
    schema: Schema
    is_required: bool
    valid: Schema  # a body with the documented example of every field

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.name}"

    @property
    def choices(self) -> list[Schema]:
        resolved: list[Schema] = self.schema.get("anyOf", [self.schema])
        return resolved

    def generate_wrong_values(self) -> Iterator[str]:
        """Generate JSON texts that this field must refuse: of a wrong type, out of range, or too long."""
        types = {choice.get("type") for choice in self.choices}
        yield from (text for kind, text in SAMPLES.items() if kind not in types)
        for choice in self.choices:
            if choice.get("type") == "integer":
                yield from (
                    "1.0",
                    '"5"',
                    "-1",
                    str(2**63),
                    str(2**64),
                    str(-(2**63) - 1),
                    "9" * 4000,
                    "1e400",
                    "-1e400",
                )
            elif choice.get("type") == "string":
                yield from ('"\\ud800"', '"a\\udfffb"', f'"{"x" * (self.max_length + 1)}"')
            elif choice.get("type") == "array":
                yield from ("[null]", "[[]]", "[{}]", "[true]", '["\\ud800"]')

    @property
    def max_length(self) -> int:
        """The documented maximum length, or 200 where a pattern, format or choice limits the text.

        Raises:
            AssertionError: the document gives no limit.
        """
        limits = [
            choice.get("maxLength", 200)
            for choice in self.choices
            if "maxLength" in choice or {"enum", "const", "format", "pattern"} & choice.keys()
        ]
        assert limits, f"{self}: a text without a limit"
        return int(max(limits))


def iterate_body_fields(document: Schema) -> Iterator[Field]:
    """Iterate over every field of every JSON request body."""
    for method, path, operation in iterate_operations(document):
        if "application/json" not in operation.get("requestBody", {}).get("content", {}):
            continue
        schema = _resolve_references(operation["requestBody"]["content"]["application/json"]["schema"], document)
        properties = {name: _resolve_references(part, document) for name, part in schema["properties"].items()}
        valid = {name: part["examples"][0] for name, part in properties.items()}
        for name, part in properties.items():
            yield Field(method, path, name, part, name in schema.get("required", []), valid)


def iterate_operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    """Iterate over method, path and operation of the whole document."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def iterate_query_parameters(document: Schema) -> Iterator[tuple[str, Schema]]:
    """Iterate over path and parameter of every query parameter of a GET operation."""
    for method, path, operation in iterate_operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query" and method == "GET":
                yield path, parameter


def _resolve_references(schema: Schema, document: Schema) -> Schema:
    """Replace a ``$ref``, also inside ``anyOf``, by the schema that it names."""
    if "$ref" in schema:
        resolved: Schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
        return resolved | {name: value for name, value in schema.items() if name != "$ref"}
    if "anyOf" in schema:
        return schema | {"anyOf": [_resolve_references(choice, document) for choice in schema["anyOf"]]}
    return schema
