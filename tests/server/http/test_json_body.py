import json

import pytest

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import Limits
from modelyard.server.http.json_body import BodyBudget, parse_json
from modelyard.wire.problems import MalformedJson, Unavailable
from modelyard.wire.texts.strict_json import JsonLimits

LIMITS = JsonLimits(depth=4, brackets=100, separators=100)


def test_add_chunk_beyond_budget_of_person_raises_unavailable() -> None:
    budget = BodyBudget(Limits(100, per_person=10, per_team=10))
    with (
        budget.buffer_for(Account("ada", "studio")) as first,
        budget.buffer_for(Account("ada", "lab")) as second,
        budget.buffer_for(Account("bob", "lab")) as other,
    ):
        first.add(b"x" * 6)
        with pytest.raises(Unavailable) as refused:
            second.add(b"x" * 6)
        other.add(b"x" * 6)
    assert refused.value.facts["retry_after"] > 0
    assert budget.held.total == 0


def test_add_chunk_beyond_total_budget_raises_until_released() -> None:
    budget = BodyBudget(Limits(10, per_person=10, per_team=10))
    with budget.buffer_for(Account("b")) as second:
        with budget.buffer_for(Account("a")) as first:
            first.add(b"x" * 8)
            with pytest.raises(Unavailable):
                second.add(b"x" * 8)
        second.add(b"x" * 8)
        assert second.get_bytes() == b"x" * 8


@pytest.mark.parametrize(
    "document",
    [
        b"[" + b"[]," * LIMITS.brackets + b"[]]",
        b"[" + b"0," * LIMITS.separators + b"0,0]",
        b"{" + b'"a":0,' * LIMITS.separators + b'"b":0}',
        b"[" * 5 + b"]" * 5,
        b'{"a":1,"a":2}',
        b'{"x":{"a":1,"\\u0061":2}}',
        b"[NaN]",
        b"[-Infinity]",
        b"[" + b"1" * 5_000 + b"]",
        b"[1}",
        b'["a" "b"]',
        b'["\xff"]',
        b"\xef\xbb\xbf[]",
        "[]".encode("utf-16"),
    ],
    ids=ascii,
)
def test_parse_json_that_is_broken_or_beyond_a_limit_raises_malformed(document: bytes) -> None:
    with pytest.raises(MalformedJson):
        parse_json(document, LIMITS)


def test_parse_json_beyond_a_limit_names_the_limit() -> None:
    with pytest.raises(MalformedJson, match="more than 100 commas and colons"):
        parse_json(b"[" + b"0," * 101 + b"0]", LIMITS)


def test_parse_json_brackets_and_commas_in_strings_are_not_counted() -> None:
    text = "[{" * 1000 + "," * 1000 + '\\"'
    assert parse_json(json.dumps({"a": text}).encode(), LIMITS) == {"a": text}
