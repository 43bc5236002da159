"""Each query parameter that the client can send is one that the registry's operation has."""

import importlib
import inspect
import json
import pkgutil
import re
import typing
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from datetime import UTC, datetime
from types import UnionType
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import anyio
from pydantic import AwareDatetime, BaseModel

from modelyard.client.api import calls
from modelyard.client.api.calls.channel import ChannelCalls
from modelyard.client.api.http import HttpChannel, RetryOptions
from modelyard.client.api.paging import Paging
from modelyard.wire import batches, models, problems
from modelyard.wire.problems import Problem
from modelyard.wire.workflows import WorkflowCheck
from tests.client.scripted_server import Responses, run_scripted_server
from tools.repository import ROOT

SOME_ID = UUID("0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10")
VALUES: dict[Any, Any] = {
    # Also a token, which has to be hexadecimal.
    str: "a" * 64,
    bytes: b"{}",
    int: 1,
    float: 1.0,
    bool: True,
    UUID: SOME_ID,
    datetime: datetime(2026, 1, 1, tzinfo=UTC),
    AwareDatetime: datetime(2026, 1, 1, tzinfo=UTC),
    Paging: Paging(7, "here"),
}


def build_value(kind: Any) -> Any:
    """Return a value of this type with all that it can have: each field of a model, an element of a list."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in VALUES:
        return VALUES[kind]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = typing.get_type_hints(kind)
        return kind.model_construct(**{name: build_value(fields[name]) for name in kind.model_fields})
    if isinstance(kind, type) and is_dataclass(kind):
        fields = typing.get_type_hints(kind)
        return kind(**{name: build_value(fields[name]) for name in inspect.signature(kind).parameters})
    if origin in (UnionType, typing.Union):
        return build_value(arguments[0])
    if origin is Literal:
        return arguments[0]
    if origin is typing.Annotated:
        return build_value(arguments[0])
    if origin in (list, tuple, set, frozenset, Sequence):
        return [build_value(arguments[0])]
    raise TypeError(f"no value for {kind}")


# Types that a module of calls imports for type checkers only.
TYPES = {
    "Sequence": Sequence,
    "UUID": UUID,
    "WorkflowCheck": WorkflowCheck,
    "batches": batches,
    "models": models,
    "problems": problems,
}


def list_methods() -> Iterator[tuple[type[ChannelCalls], str]]:
    """Yield each public method of the groups of calls, with its class."""
    for module in pkgutil.iter_modules(calls.__path__):
        for kind in vars(importlib.import_module(f"{calls.__name__}.{module.name}")).values():
            if isinstance(kind, type) and issubclass(kind, ChannelCalls) and kind is not ChannelCalls:
                yield from ((kind, name) for name in vars(kind) if not name.startswith("_"))


async def call_all(url: str) -> None:
    """Call each method with all of its arguments."""
    async with HttpChannel(url, None, None, RetryOptions()) as channel:
        for kind, name in sorted(set(list_methods()), key=str):
            group = kind()
            group._channel = channel
            method = getattr(group, name)
            hints = typing.get_type_hints(method, localns=TYPES)
            with suppress(Problem):
                await method(**{each: build_value(hints[each]) for each in inspect.signature(method).parameters})


def test_each_query_parameter_of_the_client_is_one_of_the_operation() -> None:
    answers = Responses()
    answers.add(404, {"type": "/problems/route-not-found", "detail": "There is nothing here."})
    with run_scripted_server(answers) as url:
        anyio.run(call_all, url)
    document = json.loads((ROOT / "docs" / "reference" / "openapi.json").read_text())
    # A path without parameters comes first.
    paths = sorted(document["paths"], key=lambda path: path.count("{"))
    sent = {(method, urlsplit(target)) for method, target, _, _ in answers.requests}
    assert sum(bool(target.query) for _, target in sent) > 30
    for method, target in sent:
        path = next(path for path in paths if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), target.path))
        parameters = document["paths"][path][method.lower()].get("parameters", [])
        known = {each["name"] for each in parameters if each["in"] == "query"}
        assert set(parse_qs(target.query, keep_blank_values=True)) <= known, f"{method} {target.path}"
