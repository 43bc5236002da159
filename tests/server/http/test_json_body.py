import json

import pytest

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import Limits
from modelyard.server.http.json_body import LIMITS, MAX_BODY_BYTES, BodyBudget, parse_json
from modelyard.wire.problems import MalformedJson, Unavailable
from modelyard.wire.uploads import MultipartCompletion


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


def test_parse_json_largest_client_body_is_accepted() -> None:
    parts = [{"part_number": number + 1, "etag": '"' + "9" * 32 + '"'} for number in range(10_000)]
    body = {"storage_key": "models/a/b", "upload_id": "c" * 64, "part_list": parts}
    document = json.dumps(body).encode()
    assert len(document) < MAX_BODY_BYTES
    assert len(MultipartCompletion.model_validate(parse_json(document)).part_list) == 10_000


@pytest.mark.parametrize(
    "document",
    [
        b"[" + b"[]," * LIMITS.commas + b"0,[]]",
        b"[" + b'"",' * (LIMITS.quotes // 2) + b'""]',
        b"[" * 100 + b"]" * 100,
        b'{"a":1,"a":2}',
        b"[NaN]",
        b"[1}",
    ],
    ids=["commas", "quotes", "depth", "duplicate key", "constant", "brackets"],
)
def test_parse_json_beyond_a_limit_raises_malformed(document: bytes) -> None:
    with pytest.raises(MalformedJson):
        parse_json(document)


def test_parse_json_brackets_and_commas_in_strings_are_not_counted() -> None:
    text = "[{" * 1000 + "," * LIMITS.commas + '\\"'
    assert parse_json(json.dumps({"a": text}).encode()) == {"a": text}
