"""Lookups of hashes that have very many models: what is asked again, and what is unclear."""

import json
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

from modelyard.client.api.registry import RegistryApi
from modelyard.client.locks import compare_lock
from modelyard.client.lookup import look_up, look_up_questions
from modelyard.comfyui.locks.locked_models import LockedModel, parse_locked_path
from modelyard.transfer.hashing import DigestCache
from modelyard.wire.hashes.lookups import MAX_MATCHES_PER_HASH, MAX_UNSHARED_HASHES
from tests.client.scripted_server import Responses

PATH = "loras/ink.safetensors"


def build_hash(number: int) -> str:
    return f"sha256:{number:064x}"


def build_matches(asked: str, count: int, **changed: Any) -> list[dict[str, Any]]:
    match = {"asked": asked, "matched_by": "sha256", "version": 1, "model_path": PATH} | changed
    return [{"id": str(uuid4())} | match for _ in range(count)]


def list_asked(responses: Responses) -> list[list[str]]:
    return [json.loads(body)["hashes"] for *_, body in responses.requests]


async def test_hashes_that_share_the_matches_of_a_request_are_asked_for_again_in_smaller_ones(
    responses: Responses, url: str
) -> None:
    asked = [build_hash(number) for number in range(MAX_UNSHARED_HASHES + 10)]
    full, shared = build_matches(asked[0], MAX_MATCHES_PER_HASH), [build_matches(text, 3) for text in asked[1:]]
    again = [build_matches(text, 4) for text in asked[1:]]
    parts = again[:MAX_UNSHARED_HASHES], again[MAX_UNSHARED_HASHES:]
    responses.add(200, {"match_list": [*full, *chain(*shared)], "capped_list": asked})
    responses.add(200, {"match_list": [*chain(*parts[0])], "capped_list": asked[1:2]})
    responses.add(200, {"match_list": [*chain(*parts[1])]})
    async with RegistryApi(url, "sk-x", None) as registry:
        found = await look_up_questions(registry, asked)
    assert [len(found.by_question[text]) for text in asked] == [MAX_MATCHES_PER_HASH] + [4] * (len(asked) - 1)
    assert found.capped == {*asked[:2]}
    assert list_asked(responses) == [asked, asked[1 : 1 + MAX_UNSHARED_HASHES], asked[1 + MAX_UNSHARED_HASHES :]]


async def test_few_hashes_are_asked_for_once(responses: Responses, url: str) -> None:
    asked = [build_hash(number) for number in range(MAX_UNSHARED_HASHES)]
    responses.add(200, {"match_list": [], "capped_list": asked})
    async with RegistryApi(url, "sk-x", None) as registry:
        found = await look_up_questions(registry, asked)
    assert not found.by_question
    assert found.capped == {*asked}
    assert len(responses.requests) == 1


async def test_hash_whose_newest_models_are_hidden_is_unclear(responses: Responses, url: str, tmp_path: Path) -> None:
    hidden, unknown = build_hash(1), build_hash(2)
    responses.add(200, {"match_list": [], "capped_list": [hidden]})
    models = [
        LockedModel(parse_locked_path(f"loras/{number}.safetensors"), text.removeprefix("sha256:"), None)
        for number, text in enumerate((hidden, unknown))
    ]
    async with RegistryApi(url, "sk-x", None) as registry:
        answers = await look_up(registry, [hidden, unknown], DigestCache(tmp_path / "digests"))
        compared = await compare_lock(registry, models)
    assert [answer.state for answer in answers] == ["unclear", "not found"]
    assert [(each.state, each.is_available) for each in compared] == [("unclear", False), ("missing", False)]
