"""Lists of models: filters, search, sort, pages and cursors."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

# (path, name, tags), oldest first; sizes fall from row to row.
ROWS = [
    ("checkpoints/sdxl_base_1.0.safetensors", "SDXL Base 1.0", ["base"]),
    ("checkpoints/flux dev.safetensors", "Flux Dev", ["base", "portrait"]),
    ("unet/flux_unet.safetensors", "Flux UNet", []),
    ("diffusion_models/wan.safetensors", "Wan 2.2", []),
    ("loras/portrait/ink.safetensors", "Ink 100%", ["portrait"]),
    ("loras/ink100x.safetensors", "Ink 100x", []),
    ("loras/straße.safetensors", "STRASSE", ["Größe"]),
]
CONTENTS = [make_model_file(path, 200 - 10 * number) for number, (path, _, _) in enumerate(ROWS)]


@pytest.fixture(scope="module")
def listed_team(shared_registry: Harness) -> ApiCaller:
    """Return a team with the models above, which no test changes."""
    team = shared_registry.create_team()
    for content, (path, name, tags) in zip(CONTENTS, ROWS, strict=True):
        team.register(content, path, display_name=name, tags=tags)
    listed = team.get("/models", q="wan").json()["model_list"]
    team.put(f"/models/{listed[0]['id']}", model_status="disabled")
    gone = team.register(make_model_file("gone"), "loras/gone.safetensors", display_name="Gone", tags=["portrait"])
    team.delete(f"/models/{gone}")
    return team


def list_names(listed_team: ApiCaller, **query: Any) -> list[str]:
    answer = listed_team.get("/models", **query)
    assert answer.status_code == 200, answer.text
    return [model["display_name"] for model in answer.json()["model_list"]]


def list_by_cursor(listed_team: ApiCaller, **query: Any) -> Iterator[dict[str, Any]]:
    """Yield all models by cursor; check that no page has a total count."""
    cursor: str | None = ""
    while cursor is not None:
        page = listed_team.get("/models", cursor=cursor, **query).json()
        yield from page["model_list"]
        cursor = page["page_meta"]["next_cursor"]
        assert page["page_meta"]["total_count"] is None


def test_list_models_default_order_is_newest_first(listed_team: ApiCaller) -> None:
    assert list_names(listed_team) == [name for _, name, _ in reversed(ROWS)]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"model_type": "loras"}, {"Ink 100%", "Ink 100x", "STRASSE"}),
        ({"model_type": "unet"}, {"Flux UNet", "Wan 2.2"}),
        ({"model_type": "diffusion_models"}, {"Flux UNet", "Wan 2.2"}),
        ({"model_status": "disabled"}, {"Wan 2.2"}),
        ({"verification": "verified", "model_type": "checkpoints"}, {"SDXL Base 1.0", "Flux Dev"}),
        ({"verification": "pending"}, set()),
        ({"tag": "portrait"}, {"Flux Dev", "Ink 100%"}),
        ({"tag": "portrai"}, set()),
        ({"file_hash": hash_of(CONTENTS[0])}, {"SDXL Base 1.0"}),
        ({"file_hash": hash_of(CONTENTS[0]).upper().replace("SHA", "sha")}, {"SDXL Base 1.0"}),
        ({"deleted": "true"}, {"Gone"}),
        ({"deleted": "true", "tag": "portrait"}, {"Gone"}),
        ({"tag": "portrait", "model_type": "loras"}, {"Ink 100%"}),
    ],
)
def test_list_models_filter_returns_matching_models_and_their_count(
    listed_team: ApiCaller, query: dict[str, str], names: set[str]
) -> None:
    assert set(list_names(listed_team, **query)) == names
    assert listed_team.get("/models", **query).json()["page_meta"]["total_count"] == len(names)


@pytest.mark.parametrize(
    ("q", "names"),
    [
        ("sdxl base", {"SDXL Base 1.0"}),
        ("base SDXL", {"SDXL Base 1.0"}),
        ("flux", {"Flux Dev", "Flux UNet"}),
        ("flux dev", {"Flux Dev"}),
        ("checkpoints/", {"SDXL Base 1.0", "Flux Dev"}),
        ("portrait", {"Flux Dev", "Ink 100%"}),
        ("ortrai", {"Flux Dev", "Ink 100%"}),
        ("%", {"Ink 100%"}),
        ("100%", {"Ink 100%"}),
        ("x_b", set()),
        ("l_b", {"SDXL Base 1.0"}),
        ("strasse", {"STRASSE"}),
        ("straße", {"STRASSE"}),
        ("größe", {"STRASSE"}),
        ("flux nothing", set()),
        ("   ", {name for _, name, _ in ROWS}),
        ("'; drop table models --", set()),
        ("\\", set()),
    ],
)
def test_list_models_search_matches_every_word_literally_in_name_path_or_tag(
    listed_team: ApiCaller, q: str, names: set[str]
) -> None:
    assert set(list_names(listed_team, q=q)) == names


@pytest.mark.parametrize("sort", ["created_at", "display_name", "file_size"])
def test_list_models_sort_ascending_and_descending_also_with_cursor(listed_team: ApiCaller, sort: str) -> None:
    models = listed_team.get("/models", sort=sort).json()["model_list"]
    assert [model[sort] for model in models] == sorted(model[sort] for model in models)
    assert list_names(listed_team, sort=f"-{sort}") == [model["display_name"] for model in reversed(models)]
    assert list(list_by_cursor(listed_team, sort=sort, per_page=2)) == models
    assert list(list_by_cursor(listed_team, sort=f"-{sort}", per_page=3)) == models[::-1]


def test_list_models_equal_sort_values_by_cursor_returns_each_model_once(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    model_ids = {team.register(path=f"loras/{number}.safetensors", display_name="same") for number in range(5)}
    for sort in ("display_name", "-display_name", "file_size", "-file_size"):
        rows = [model["id"] for model in list_by_cursor(team, sort=sort, per_page=2)]
        assert len(rows) == 5
        assert set(rows) == model_ids


def test_list_models_by_cursor_applies_the_filter(listed_team: ApiCaller) -> None:
    assert [model["display_name"] for model in list_by_cursor(listed_team, q="flux", per_page=1)] == [
        "Flux UNet",
        "Flux Dev",
    ]


def test_list_models_by_cursor_while_others_register_returns_each_old_model_once(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    old = [team.register(path=f"loras/{number}.safetensors") for number in range(3)]
    seen = []
    for model in list_by_cursor(team, per_page=1):
        seen.append(model["id"])
        team.register(path=f"loras/later-{len(seen)}.safetensors")
    assert seen == old[::-1]


def test_list_models_numbered_pages_have_total_count(listed_team: ApiCaller) -> None:
    first = listed_team.get("/models", per_page=3).json()
    assert first["page_meta"] == {"current_page": 1, "per_page": 3, "total_count": len(ROWS), "next_cursor": None}
    last = listed_team.get("/models", per_page=3, current_page=3).json()
    assert [model["display_name"] for model in last["model_list"]] == ["SDXL Base 1.0"]


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "name"},
        {"sort": "--created_at"},
        {"model_status": "on"},
        {"verification": ""},
        {"deleted": "maybe"},
        {"file_hash": "a" * 65},
        {"file_hash": "a" * 7},
        {"file_hash": "md5:" + "a" * 32},
        {"q": "x" * 1001},
        {"q": "size:>banana"},
        {"q": "ink is:broken"},
        {"q": "a\x00b"},
        {"tag": "\n"},
    ],
)
def test_list_models_invalid_filter_returns_422_with_its_field(listed_team: ApiCaller, query: dict[str, str]) -> None:
    refused = listed_team.get("/models", **query)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == list(query)


def test_list_models_total_count_follows_register_delete_restore_and_replace(team: ApiCaller) -> None:
    def total() -> int:
        return int(team.get("/models").json()["page_meta"]["total_count"])

    one = team.register(path="loras/one.safetensors")
    two = team.register(path="loras/two.safetensors")
    assert total() == 2
    team.delete(f"/models/{one}")
    assert total() == 1
    team.post(f"/models/{one}/restore")
    assert total() == 2
    team.register(make_model_file("new"), "loras/two.safetensors", replaces=two)
    assert total() == 2


@pytest.mark.parametrize("sort", ["created_at", "display_name", "-display_name", "file_size"])
def test_list_models_cursor_of_another_sort_returns_422(listed_team: ApiCaller, sort: str) -> None:
    cursor = listed_team.get("/models", sort="-created_at", cursor="", per_page=2).json()["page_meta"]["next_cursor"]
    refused = listed_team.get("/models", sort=sort, cursor=cursor)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["cursor"]


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-11-24T12:00:00"])
def test_list_models_cursor_with_invalid_time_returns_422(listed_team: ApiCaller, moment: str) -> None:
    position = json.dumps(["-created_at", moment, "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"])
    refused = listed_team.get("/models", cursor=base64.urlsafe_b64encode(position.encode()).decode())
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["cursor"]


def test_list_models_missing_on_without_machines_is_empty(team: ApiCaller) -> None:
    team.register()
    assert team.get("/models", missing_on="any").json()["model_list"] == []
    assert team.get("/models", missing_on="render-03").json()["page_meta"]["total_count"] == 0
    assert team.get("/models", missing_on="no such/name").status_code == 422


def test_list_models_accepting_gzip_returns_compressed_equal_list(listed_team: ApiCaller) -> None:
    plain = listed_team.call("GET", "/models", headers={"Accept-Encoding": "identity"})
    compressed = listed_team.call("GET", "/models", headers={"Accept-Encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert compressed.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in compressed.headers["vary"]
    assert compressed.json() == plain.json()
    assert compressed.num_bytes_downloaded < plain.num_bytes_downloaded / 2
