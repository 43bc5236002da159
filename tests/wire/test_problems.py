"""Conversion of problems to JSON and back."""

import json
import re
from typing import Any

import pytest

from modelyard.wire.problems import (
    InternalError,
    ModelPathTaken,
    Problem,
    QuotaExceeded,
    Unavailable,
    list_problem_classes,
    parse_problem,
)

EVERY = pytest.mark.parametrize("kind", list_problem_classes(), ids=lambda kind: kind.__name__)


@EVERY
def test_problem_class_has_error_status_unique_slug_and_title(kind: type[Problem]) -> None:
    assert 400 <= kind.status < 600
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.slug)
    assert [other.slug for other in list_problem_classes()].count(kind.slug) == 1
    assert kind.title
    assert not kind.title.endswith(".")
    assert (kind.__doc__ or "").strip().endswith(".")


@EVERY
def test_parse_problem_of_own_json_returns_the_same_class_and_facts(kind: type[Problem]) -> None:
    sent = json.loads(json.dumps(kind("It happened.", number=2, names=["a"]).to_json("id-1")))
    back = parse_problem(kind.status, sent)
    assert (type(back), back.detail) == (kind, "It happened.")
    assert back.facts.items() >= {"number": 2, "names": ["a"], "request_id": "id-1"}.items()


def test_to_json_returns_rfc_9457_body_with_error_message() -> None:
    assert QuotaExceeded("Full.", quota_bytes=5).to_json() == {
        "type": "/problems/quota-exceeded",
        "title": "The team's quota is used up",
        "status": 403,
        "detail": "Full.",
        "error_message": "Full.",
        "error_code": "quota_exceeded",
        "quota_bytes": 5,
    }


@pytest.mark.parametrize("name", ["type", "title", "status", "error_message", "error_code", "request_id"])
def test_to_json_fact_named_like_a_standard_member_is_dropped(name: str) -> None:
    body = ModelPathTaken("Taken.", **{name: "mine"}).to_json("id-1")
    assert body[name] != "mine"


@pytest.mark.parametrize("body", [None, [], "text", 5, {}, {"type": 5}, {"type": "/problems/other"}, {"detail": None}])
def test_parse_problem_foreign_error_body_returns_internal_error_with_status(body: Any) -> None:
    back = parse_problem(418, body)
    assert type(back) is InternalError
    assert back.facts["http_status"] == 418
    assert back.detail


@pytest.mark.parametrize("status", [502, 503, 504])
def test_parse_problem_gateway_error_of_proxy_returns_unavailable(status: int) -> None:
    assert type(parse_problem(status, "<html>Bad gateway</html>")) is Unavailable


def test_parse_problem_source_api_error_keeps_error_message() -> None:
    assert parse_problem(400, {"error_message": "model_path is required"}).detail == "model_path is required"
