"""The fields of the API, read from its OpenAPI document, and what does not belong into each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]
# Values of each JSON type as they stand in a body; "number" has no whole ones.
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
    valid: Schema  # a body in which every field is as it should be, as far as a document can tell

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.name}"

    @property
    def choices(self) -> list[Schema]:
        found: list[Schema] = self.schema.get("anyOf", [self.schema])
        return found

    def wrong_values(self) -> Iterator[str]:
        """JSON texts that this field must refuse."""
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
                yield from ('"\\ud800"', '"a\\udfffb"', f'"{"x" * (self.longest + 1)}"')
            elif choice.get("type") == "array":
                yield from ("[null]", "[[]]", "[{}]", "[true]", '["\\ud800"]')

    @property
    def longest(self) -> int:
        """How long a text here may be: as the document says, or as a pattern, format or choice implies."""
        limits = [
            choice.get("maxLength", 200)
            for choice in self.choices
            if "maxLength" in choice or {"enum", "const", "format", "pattern"} & choice.keys()
        ]
        assert limits, f"{self}: a text without a limit"
        return int(max(limits))


def fields(document: Schema) -> Iterator[Field]:
    for method, path, operation in operations(document):
        if "requestBody" not in operation:
            continue
        schema = _resolved(operation["requestBody"]["content"]["application/json"]["schema"], document)
        properties = {name: _resolved(part, document) for name, part in schema["properties"].items()}
        valid = {name: part["examples"][0] for name, part in properties.items()}
        for name, part in properties.items():
            yield Field(method, path, name, part, name in schema.get("required", []), valid)


def operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def query_parameters(document: Schema) -> Iterator[tuple[str, Schema]]:
    for method, path, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query" and method == "GET":
                yield path, parameter


def _resolved(schema: Schema, document: Schema) -> Schema:
    if "$ref" in schema:
        found: Schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
        return found | {name: value for name, value in schema.items() if name != "$ref"}
    if "anyOf" in schema:
        return schema | {"anyOf": [_resolved(choice, document) for choice in schema["anyOf"]]}
    return schema
