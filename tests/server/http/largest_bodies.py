"""The routes that take a JSON body, and the largest body of each that the OpenAPI document allows."""

from typing import Any

from modelyard.server.app import API_ROUTERS
from modelyard.server.http.api_route import ApiRoute
from modelyard.wire.schemas import EXAMPLE_ID, EXAMPLE_KEY

Schema = dict[str, Any]
BODY_ROUTES = {
    f"{method} {route.path}": route
    for router in API_ROUTERS
    for route in router.routes
    if isinstance(route, ApiRoute) and route.body_field is not None
    for method in sorted(route.methods or ())
}
BATCH = "POST /api/v1/models/register-batch"
# In each of 100 folders: a megabyte has no more files, since each has the key of its upload.
MAX_FILES_OF_BATCH_ITEM = 90


def build_largest_body(document: Schema, name: str, text: str = "x") -> Any:
    """Build the body of a route with every field, each list as long as it may be, and this text for every text."""
    method, path = name.split()
    body = document["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]["schema"]
    files = MAX_FILES_OF_BATCH_ITEM if name == BATCH else None
    return _build_largest(body, document, text, files)


def _build_largest(schema: Schema, document: Schema, text: str, most_files: int | None) -> Any:
    """Build the largest value of a schema; the entries of a list are one object."""
    if "$ref" in schema:
        named = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return _build_largest(named, document, text, most_files)
    if "anyOf" in schema:
        [schema] = [each for each in schema["anyOf"] if each.get("type") != "null"]
        return _build_largest(schema, document, text, most_files)
    kind = schema["type"]
    if kind == "object":
        return {name: _build_largest(each, document, text, most_files) for name, each in schema["properties"].items()}
    if kind == "array":
        is_file_list = schema["items"].get("$ref", "").endswith("/NewFolderFile")
        length = most_files if is_file_list and most_files is not None else schema["maxItems"]
        return [_build_largest(schema["items"], document, text, most_files)] * length
    return {"string": text, "integer": 1, "boolean": True}[kind]


def build_batch_of_folders() -> Any:
    """Build a batch that registers folders, with as many short paths as a megabyte has."""
    entry = {"path": "a.json", "storage_key": EXAMPLE_KEY}
    item = {"display_name": "x", "replaces": EXAMPLE_ID, "file_list": [entry] * MAX_FILES_OF_BATCH_ITEM}
    return {"model_list": [item] * 100}
