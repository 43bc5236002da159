"""Builds the OpenAPI document: FastAPI's own, completed and corrected so that generated clients can rely on it."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from modelyard.server.http.execution.unknown_parameters import SOURCE_OPERATIONS
from modelyard.server.http.problems import answers
from modelyard.wire import problems
from modelyard.wire.agents.values import AgentStatus, ModelState, SyncPhase
from modelyard.wire.credentials import Access, KeyStatus, Kind
from modelyard.wire.models import ModelStatus
from modelyard.wire.problems import Problem, list_problem_classes
from modelyard.wire.schemas import EXAMPLE_ERRORS, EXAMPLE_REQUEST_ID, MAX_INT64, ProblemBody
from modelyard.wire.teams import AssignableRole, PicklePolicy
from modelyard.wire.versions import Verification, VersionStatus
from modelyard.wire.webhooks import EventType

SCHEMA_REF = "#/components/schemas/"

# One tag per resource, in the order of the API documentation.
TAGS = {
    "accounts": "Sign-in, sessions, passwords and the current user.",
    "credentials": "Keys for programs and machines, also those that came by pairing.",
    "pairing": "Pairing a device with a user by a short code.",
    "teams": "Teams and their settings.",
    "members": "Members of a team and their roles.",
    "audit": "The audit log of a team.",
    "invitations": "Invitations to a team.",
    "models": "Models: presign an upload, register, list, update, delete, restore, download.",
    "versions": "Versions of a model: list, annotate, activate, delete, restore.",
    "previews": "Pictures of versions.",
    "uploads": "Multipart uploads of large files.",
    "workflows": "ComfyUI workflows: which models they need, and where they can run.",
    "collections": "Named, versioned lists of models.",
    "trusted files": "Pickle files that admins have allowed although the scan refused them.",
    "imports": "Models that the registry downloads from Hugging Face, Civitai or an https address.",
    "webhooks": "Addresses of the team that get its events, and the deliveries to them.",
    "agents": "Machines and the models on them, and the calls of the agents themselves.",
    "operation": "Health, readiness and metrics of the server.",
}

# OpenAPI links: the operation that creates an object, the path parameter for its id, and the operations that take it.
LINKS = (
    (
        "create_model",
        "model_id",
        (
            "get_model",
            "update_model",
            "delete_model",
            "restore_model",
            "download_model",
            "list_model_agents",
            "list_versions",
        ),
    ),
    (
        "create_collection",
        "collection_id",
        ("get_collection", "update_collection", "delete_collection", "list_collection_versions"),
    ),
    (
        "create_webhook",
        "webhook_id",
        ("get_webhook", "update_webhook", "delete_webhook", "test_webhook", "list_webhook_deliveries"),
    ),
    ("create_credential", "credential_id", ("rotate_credential", "revoke_credential")),
    ("create_invitation", "invitation_id", ("delete_invitation",)),
)

# Types that become schemas with a name, so that a generated client has one type for all fields that use them.
NAMED_ENUMS: dict[str, Any] = {
    "AgentStatus": AgentStatus,
    "AssignableRole": AssignableRole,
    "CredentialAccess": Access,
    "CredentialKind": Kind,
    "CredentialStatus": KeyStatus,
    "ModelStatus": ModelStatus,
    "PicklePolicy": PicklePolicy,
    "ReplicaState": ModelState,
    "SyncPhase": SyncPhase,
    "Verification": Verification,
    "VersionStatus": VersionStatus,
    "WebhookEventType": EventType,
}


def build_openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application, which keeps it after the first call."""
    if not app.openapi_schema:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            license_info=app.license_info,
            routes=app.routes,
            tags=[{"name": name, "description": text} for name, text in TAGS.items()],
        )
        _add_problem_schema(document)
        document["paths"] = dict(sorted(document["paths"].items(), key=_get_tag_index))
        for method, operation in _list_operations(document):
            _complete_operation(method, operation, document)
        _remove_response_defaults(document)
        _remove_generated_titles(document)
        _restore_nulls_in_examples(document)
        document = _name_enums(_convert_bounds_to_integers(document))
        _add_problem_examples(document)
        app.openapi_schema = document
    return app.openapi_schema


def _add_problem_schema(document: dict[str, Any]) -> None:
    """Replace the framework's schemas of errors with ``ProblemBody``."""
    schemas = document["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schema = ProblemBody.model_json_schema(ref_template=SCHEMA_REF + "{model}")
    document["components"]["schemas"] = schemas | schema.pop("$defs", {}) | {"ProblemBody": schema}


def _get_tag_index(path: tuple[str, dict[str, Any]]) -> int:
    """Return the sort key of a path: the position of the first tag of its operations in ``TAGS``."""
    return min(list(TAGS).index(tag) for operation in path[1].values() for tag in operation["tags"])


def _list_operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the HTTP method, in lower case, and the body of each operation."""
    for path in document["paths"].values():
        yield from path.items()


def _complete_operation(method: str, operation: dict[str, Any], document: dict[str, Any]) -> None:
    """Add links and the problems that every operation of this kind can return; describe responses and parameters."""
    _add_links(operation)
    _add_common_problems(method, operation)
    for response in operation["responses"].values():
        if response["description"] == "Successful Response":
            response["description"] = _describe_response(response, document)
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _simplify_parameter(parameter["schema"])


def _add_links(operation: dict[str, Any]) -> None:
    """Add OpenAPI links to the operations that take the id that this operation returns."""
    for name, parameter, followers in LINKS:
        if operation["operationId"] == name:
            operation["responses"]["201"]["links"] = {
                follower: {"operationId": follower, "parameters": {parameter: "$response.body#/id"}}
                for follower in followers
            }


def _add_common_problems(method: str, operation: dict[str, Any]) -> None:
    """Add the problems that every operation of this method, or with a body, can return to those that it lists.

    The framework's own response for invalid requests is removed.
    """
    kinds: list[type[Problem]] = [problems.Unavailable, problems.InternalError]
    if "application/json" in operation.get("requestBody", {}).get("content", {}):
        kinds += [problems.MalformedJson, problems.RequestStalled, problems.BodyTooLarge]
        kinds += [problems.UnsupportedMediaType, problems.InvalidRequest]
    elif "operation" not in operation["tags"] and operation["operationId"] not in SOURCE_OPERATIONS:
        kinds.append(problems.InvalidRequest)
    if method != "get":
        kinds.append(problems.StorageFull)
    responses: dict[str, Any] = {
        status: entry for status, entry in operation["responses"].items() if "HTTPValidationError" not in str(entry)
    }
    for status, entry in answers(*kinds).items():
        listed = responses.setdefault(str(status), {"description": "", "content": {}})
        lines = [line for line in entry["description"].split("\n\n") if line not in listed["description"]]
        listed["description"] = "\n\n".join([listed["description"], *lines]).strip()
        for media_type, content in entry["content"].items():
            examples = listed["content"].setdefault(media_type, dict(content)).get("examples", {})
            listed["content"][media_type]["examples"] = examples | content["examples"]
    operation["responses"] = dict(sorted(responses.items()))


def _describe_response(response: dict[str, Any], document: dict[str, Any]) -> str:
    """Return the description of the schema that a response has, or that there is no body."""
    for content in response.get("content", {}).values():
        name = content.get("schema", {}).get("$ref", "").removeprefix(SCHEMA_REF)
        description: str = document["components"]["schemas"].get(name, {}).get("description", "")
        return description.split("\n\n", maxsplit=1)[0].replace("\n", " ") or "The response."
    return "Success; the response has no body."


def _simplify_parameter(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema without null, and with ``enum`` instead of ``const``. The argument may be changed.

    A parameter may be omitted, but a header or query cannot be null. Generators of clients skip operations whose
    headers have a ``const``.
    """
    choices: list[dict[str, Any]] = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        schema = {name: value for name, value in schema.items() if name != "anyOf"} | choices[0]
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    return schema


def _remove_response_defaults(document: dict[str, Any]) -> None:
    """Remove ``default`` from the schemas that only responses use: defaults fill in what a request omits."""
    schemas = document["components"]["schemas"]
    requested = {
        name
        for _, operation in _list_operations(document)
        for name in _list_references(operation.get("requestBody", {}), schemas)
    }
    for name, schema in schemas.items():
        if name not in requested:
            for field in schema.get("properties", {}).values():
                field.pop("default", None)


def _list_references(part: Any, schemas: dict[str, Any]) -> set[str]:
    """Return the names of the schemas that a part of the document refers to, and of those that they refer to."""
    found: set[str] = set()
    remaining = [part]
    while remaining:
        part = remaining.pop()
        if isinstance(part, list):
            remaining.extend(part)
        elif isinstance(part, dict):
            remaining.extend(part.values())
            name = str(part.get("$ref", "")).removeprefix(SCHEMA_REF)
            if name in schemas and name not in found:
                found.add(name)
                remaining.append(schemas[name])
    return found


def _remove_generated_titles(document: dict[str, Any]) -> None:
    """Remove the titles of fields and parameters, which the framework generates from their names."""
    for schema in document["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            field.pop("title", None)
    for _, operation in _list_operations(document):
        for parameter in operation.get("parameters", []):
            parameter["schema"].pop("title", None)


def _restore_nulls_in_examples(document: dict[str, Any]) -> None:
    """Add the required fields that examples of objects lack: the framework has removed them because they are null."""
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            required = schemas.get(field.get("$ref", "").removeprefix(SCHEMA_REF), {}).get("required", [])
            if required:
                field["examples"] = [dict.fromkeys(required) | example for example in field["examples"]]


def _convert_bounds_to_integers(part: Any) -> Any:
    """Return the document with each whole float as an integer, at most ``MAX_INT64``.

    The framework makes bounds floats, which are inexact beyond 2^53.
    """
    if isinstance(part, dict):
        return {name: _convert_bounds_to_integers(value) for name, value in part.items()}
    if isinstance(part, list):
        return [_convert_bounds_to_integers(value) for value in part]
    return min(int(part), MAX_INT64) if isinstance(part, float) and part.is_integer() else part


def _name_enums(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with each type of ``NAMED_ENUMS`` as a schema of its own that fields refer to."""
    names = {tuple(str(value) for value in get_args(type_)): name for name, type_ in NAMED_ENUMS.items()}
    document = _replace_enums(document, names)
    for values, name in names.items():
        document["components"]["schemas"][name] = {"type": "string", "title": name, "enum": list(values)}
    return document


def _replace_enums(part: Any, names: dict[tuple[str, ...], str]) -> Any:
    """Return a part of the document in which each enum with these values refers to the schema of its name."""
    if isinstance(part, list):
        return [_replace_enums(value, names) for value in part]
    if not isinstance(part, dict):
        return part
    values = part.get("enum")
    if isinstance(values, list) and tuple(values) in names:
        rest = {key: value for key, value in part.items() if key not in ("enum", "type")}
        return rest | {"$ref": SCHEMA_REF + names[tuple(values)]}
    return {key: _replace_enums(value, names) for key, value in part.items()}


def _add_problem_examples(document: dict[str, Any]) -> None:
    """Add an example of each problem that an operation lists."""
    text = str(document["paths"])
    document["components"]["examples"] = {
        kind.slug: {
            "summary": kind.title,
            "value": _build_example(kind),
        }
        for kind in list_problem_classes()
        if f"#/components/examples/{kind.slug}'" in text
    }


def _build_example(kind: type[Problem]) -> dict[str, Any]:
    """Return an example of a problem, with the first paragraph of its class's docstring as its detail."""
    facts = {"errors": EXAMPLE_ERRORS} if kind is problems.InvalidRequest else {}
    detail, _, _ = (inspect.getdoc(kind) or "").partition("\n\n")
    return kind(detail.replace("``", "'"), **facts).to_json(EXAMPLE_REQUEST_ID)
