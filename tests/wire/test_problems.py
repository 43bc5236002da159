"""Problems: there and back."""

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
    every_problem,
    from_json,
)

EVERY = pytest.mark.parametrize("kind", every_problem(), ids=lambda kind: kind.__name__)


@EVERY
def test_a_problem_has_an_error_status_a_slug_of_its_own_and_a_title(kind: type[Problem]) -> None:
    assert 400 <= kind.status < 600
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.slug)
    assert [other.slug for other in every_problem()].count(kind.slug) == 1
    assert kind.title
    assert not kind.title.endswith(".")
    assert (kind.__doc__ or "").strip().endswith(".")


@EVERY
def test_a_problem_comes_back_as_what_it_was(kind: type[Problem]) -> None:
    sent = json.loads(json.dumps(kind("It happened.", number=2, names=["a"]).as_json("id-1")))
    back = from_json(kind.status, sent)
    assert (type(back), back.detail) == (kind, "It happened.")
    assert back.facts.items() >= {"number": 2, "names": ["a"], "request_id": "id-1"}.items()


def test_the_body_is_rfc_9457_with_the_sources_name_beside_it() -> None:
    assert QuotaExceeded("Full.", quota_bytes=5).as_json() == {
        "type": "/problems/quota-exceeded",
        "title": "The team's quota is used up",
        "status": 403,
        "detail": "Full.",
        "error_message": "Full.",
        "error_code": "quota_exceeded",
        "quota_bytes": 5,
    }


@pytest.mark.parametrize("name", ["type", "title", "status", "error_message", "error_code", "request_id"])
def test_a_fact_never_hides_a_standard_member(name: str) -> None:
    body = ModelPathTaken("Taken.", **{name: "mine"}).as_json("id-1")
    assert body[name] != "mine"


@pytest.mark.parametrize("body", [None, [], "text", 5, {}, {"type": 5}, {"type": "/problems/other"}, {"detail": None}])
def test_an_error_that_is_none_of_ours_is_still_a_problem_with_its_status(body: Any) -> None:
    back = from_json(418, body)
    assert type(back) is InternalError
    assert back.facts["http_status"] == 418
    assert back.detail


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_a_proxy_says_of_a_server_that_is_away_can_be_tried_again(status: int) -> None:
    assert type(from_json(status, "<html>Bad gateway</html>")) is Unavailable


def test_the_sources_own_errors_keep_their_message() -> None:
    assert from_json(400, {"error_message": "model_path is required"}).detail == "model_path is required"
