"""The order of searches that find few models: by where their words are found, on both databases."""

import base64
from typing import Any

import pytest

from modelyard.server.http.paging import Page
from modelyard.server.models.listing import best_matches
from modelyard.server.models.search_text import Place, build_search_text, find_word, fold_value
from modelyard.wire.problems import InvalidRequest
from tests.server.harness import ApiCaller, make_model_file
from tests.server.models.model_factory import ModelSpec, TeamModels


def has_trigger(text: str) -> dict[str, Any]:
    return {"trigger_words": [{"text": text, "source": "file"}]}


# The best match is the oldest one, so that no order is that of the newest.
INK = [
    ModelSpec("Pen and Ink", 1),
    ModelSpec("Inkwash", 2),
    ModelSpec("Pinking", 3),
    ModelSpec("Brush", 4, columns={"model_path": "models/loras/my_ink.safetensors"}),
    ModelSpec("Moss", 5, columns=has_trigger("blue ink")),
    ModelSpec("Oil", 6, ("ink",)),
    ModelSpec("Fern", 7, columns={"model_path": "models/ink/fern.safetensors"}),
]


def insert(team_models: TeamModels, models: list[ModelSpec]) -> list[str]:
    team_models.insert(models)
    return [model.name for model in models]


def list_best(team_models: TeamModels, q: str, **filters: Any) -> list[str]:
    return team_models.list_names(q=q, **({"sort": None} | filters))


def get_names(page: Any) -> list[str]:
    return [model.display_name for model in page.models]


def test_search_lists_matches_in_name_file_name_trigger_word_and_tag_in_this_order(team_models: TeamModels) -> None:
    names = insert(team_models, INK)
    assert list_best(team_models, "ink") == names
    assert list_best(team_models, "ink -type:vae") == names


def test_search_for_several_words_adds_their_places(team_models: TeamModels) -> None:
    models = [
        ModelSpec("Kaori ink", 1),
        ModelSpec("Ink", 2, columns=has_trigger("kaori")),
        ModelSpec("Ink wash", 3, ("kaori",)),
        ModelSpec("Wash", 4, ("kaori", "ink")),
    ]
    names = insert(team_models, models)
    assert list_best(team_models, "ink kaori") == names
    assert list_best(team_models, "kaori ink|pen") == names


def test_search_lists_equally_good_matches_newest_first(team_models: TeamModels) -> None:
    names = insert(team_models, [ModelSpec(f"ink {number}", number // 2) for number in range(8)])
    found = list_best(team_models, "ink")
    assert sorted(found) == names
    assert [int(name[-1]) // 2 for name in found] == [3, 3, 2, 2, 1, 1, 0, 0]


@pytest.mark.parametrize("q", ["type:loras", "-oil type:loras", "tag:ink|drawn"])
def test_search_without_words_to_find_lists_the_newest_first(team_models: TeamModels, q: str) -> None:
    names = insert(team_models, [ModelSpec(f"ink {number}", number, ("drawn",)) for number in range(4)])
    assert list_best(team_models, q) == names[::-1]


def test_search_in_another_order_keeps_it(team_models: TeamModels) -> None:
    names = insert(team_models, INK)
    assert team_models.list_names(q="ink", sort="-created_at") == names[::-1]
    assert team_models.list_names(q="ink", sort="display_name") == sorted(names)


def test_search_that_finds_many_models_lists_the_newest_first(
    team_models: TeamModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(best_matches, "MAX_RANKED_MODELS", len(INK))
    names = insert(team_models, INK)
    assert list_best(team_models, "ink") == names[::-1]
    assert list_best(team_models, "ink -fern") == names[:-1]


def test_numbered_pages_of_best_matches_have_their_exact_count(team_models: TeamModels) -> None:
    names = insert(team_models, INK)
    pages = [team_models.list_page(Page(number, 3, None), q="ink", sort=None) for number in (1, 2, 3, 4)]
    assert [get_names(page) for page in pages] == [names[:3], names[3:6], names[6:], []]
    assert {page.meta.total_count for page in pages} == {len(names)}


def test_cursor_of_best_matches_continues_after_them_while_others_come(
    team_models: TeamModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(best_matches, "MAX_RANKED_MODELS", len(INK) + 1)
    names = insert(team_models, INK)
    first = team_models.list_page(Page(1, 2, ""), q="ink", sort=None)
    insert(team_models, [ModelSpec("Ink", 8), ModelSpec("Ivy", 9, ("ink",)), ModelSpec("Ash", 10, ("ink",))])

    def read_on() -> list[str]:
        return get_names(team_models.list_page(Page(1, 9, first.meta.next_cursor), q="ink", sort=None))

    assert [*get_names(first), *read_on()] == [*names[:5], "Ash", "Ivy", *names[5:]]
    insert(team_models, [ModelSpec(f"Ink {number}", number) for number in range(6)])
    with pytest.raises(InvalidRequest):
        read_on()


def test_cursor_of_the_newest_continues_with_them_when_few_are_left(
    team_models: TeamModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = insert(team_models, INK)
    monkeypatch.setattr(best_matches, "MAX_RANKED_MODELS", len(INK))
    first = team_models.list_page(Page(1, 2, ""), q="ink", sort=None)
    monkeypatch.undo()
    rest = team_models.list_page(Page(1, 9, first.meta.next_cursor), q="ink", sort=None)
    assert get_names(first) + get_names(rest) == names[::-1]


POSITIONS = {
    "too short": '["best"]',
    "no rank": '["best", ["1", "2026-01-01T00:00:00+00:00"], "00000000-0000-0000-0000-000000000000"]',
    "no time zone": '["best", [-1, "2026-01-01T00:00:00"], "00000000-0000-0000-0000-000000000000"]',
    "no id": '["best", [-1, "2026-01-01T00:00:00+00:00"], 7]',
    "no pair": '["best", 7, "00000000-0000-0000-0000-000000000000"]',
}


@pytest.mark.parametrize("position", POSITIONS.values(), ids=POSITIONS)
def test_malformed_cursor_of_best_matches_returns_422(team: ApiCaller, position: str) -> None:
    refused = team.get("/models", q="ink", cursor=encode(position))
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize("other", [{"sort": "-created_at"}, {"q": "type:loras"}, {"deleted": "true"}])
def test_cursor_of_best_matches_for_a_list_in_another_order_returns_422(team: ApiCaller, other: dict[str, str]) -> None:
    for name in ("ink a", "ink b"):
        team.register(make_model_file(name), f"models/loras/{name}.safetensors")
    cursor = team.get("/models", q="ink", cursor="", per_page=1).json()["page_meta"]["next_cursor"]
    assert team.get("/models", q="ink", cursor=cursor).is_success
    refused = team.get("/models", **({"q": "ink", "cursor": cursor} | other))
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "cursor")


def encode(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("name", "word", "place"),
    [
        ("ink", "ink", Place.WORD_OF_NAME),
        ("pinking ink", "ink", Place.WORD_OF_NAME),
        ("my_ink-v2", "ink", Place.WORD_OF_NAME),
        ("ink2", "ink", Place.START_IN_NAME),
        ("pinking inks", "ink", Place.START_IN_NAME),
        ("pinking", "ink", Place.NAME),
        ("a-b", "-", Place.WORD_OF_NAME),
        ("夜の墨絵", "墨", Place.WORD_OF_NAME),
        ("Straße", "STRASSE", Place.WORD_OF_NAME),
        ("oil", "ink", Place.ELSEWHERE),
    ],
)
def test_find_word_tells_whole_words_of_a_name_from_starts_and_parts(name: str, word: str, place: Place) -> None:
    text = build_search_text({"display_name": name, "model_path": "models/loras/file", "tags": []})
    assert find_word(text, fold_value(word)) is place
