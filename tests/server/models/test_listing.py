"""Lists of models: filters, search, sort, pages and cursors."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.world import Someone, World, a_model_file, hash_of

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
CONTENTS = [a_model_file(path, 200 - 10 * number) for number, (path, _, _) in enumerate(ROWS)]


@pytest.fixture(scope="module")
def shop(shared_world: World) -> Someone:
    """A team with the models above; nobody changes them."""
    team = shared_world.new_team()
    for content, (path, name, tags) in zip(CONTENTS, ROWS, strict=True):
        team.register(content, path, display_name=name, tags=tags)
    listed = team.get("/models", q="wan").json()["model_list"]
    team.put(f"/models/{listed[0]['id']}", model_status="disabled")
    gone = team.register(a_model_file("gone"), "loras/gone.safetensors", display_name="Gone", tags=["portrait"])
    team.delete(f"/models/{gone}")
    return team


def names(shop: Someone, **query: Any) -> list[str]:
    answer = shop.get("/models", **query)
    assert answer.status_code == 200, answer.text
    return [model["display_name"] for model in answer.json()["model_list"]]


def walked(shop: Someone, **query: Any) -> Iterator[dict[str, Any]]:
    """All rows by cursor, with a check of every page's meta."""
    cursor: str | None = ""
    while cursor is not None:
        page = shop.get("/models", cursor=cursor, **query).json()
        yield from page["model_list"]
        cursor = page["page_meta"]["next_cursor"]
        assert page["page_meta"]["total_count"] is None


def test_the_newest_come_first(shop: Someone) -> None:
    assert names(shop) == [name for _, name, _ in reversed(ROWS)]


@pytest.mark.parametrize(
    ("query", "found"),
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
def test_a_filter_finds(shop: Someone, query: dict[str, str], found: set[str]) -> None:
    assert set(names(shop, **query)) == found
    assert shop.get("/models", **query).json()["page_meta"]["total_count"] == len(found)


@pytest.mark.parametrize(
    ("q", "found"),
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
def test_every_word_is_a_part_of_name_path_or_a_tag_and_means_itself(shop: Someone, q: str, found: set[str]) -> None:
    assert set(names(shop, q=q)) == found


@pytest.mark.parametrize("sort", ["created_at", "display_name", "file_size"])
def test_a_sort_goes_both_ways_and_a_cursor_goes_the_same_way(shop: Someone, sort: str) -> None:
    models = shop.get("/models", sort=sort).json()["model_list"]
    assert [model[sort] for model in models] == sorted(model[sort] for model in models)
    assert names(shop, sort=f"-{sort}") == [model["display_name"] for model in reversed(models)]
    assert list(walked(shop, sort=sort, per_page=2)) == models
    assert list(walked(shop, sort=f"-{sort}", per_page=3)) == models[::-1]


def test_rows_that_sort_alike_come_once_each(shared_world: World) -> None:
    team = shared_world.new_team()
    made = {team.register(path=f"loras/{number}.safetensors", display_name="same") for number in range(5)}
    for sort in ("display_name", "-display_name", "file_size", "-file_size"):
        rows = [model["id"] for model in walked(team, sort=sort, per_page=2)]
        assert len(rows) == 5
        assert set(rows) == made


def test_a_cursor_keeps_to_the_filter(shop: Someone) -> None:
    assert [model["display_name"] for model in walked(shop, q="flux", per_page=1)] == ["Flux UNet", "Flux Dev"]


def test_what_is_registered_during_a_walk_moves_no_row(shared_world: World) -> None:
    team = shared_world.new_team()
    old = [team.register(path=f"loras/{number}.safetensors") for number in range(3)]
    seen = []
    for model in walked(team, per_page=1):
        seen.append(model["id"])
        team.register(path=f"loras/later-{len(seen)}.safetensors")
    assert seen == old[::-1]


def test_pages_have_their_rows_and_the_total(shop: Someone) -> None:
    first = shop.get("/models", per_page=3).json()
    assert first["page_meta"] == {"current_page": 1, "per_page": 3, "total_count": len(ROWS), "next_cursor": None}
    last = shop.get("/models", per_page=3, current_page=3).json()
    assert [model["display_name"] for model in last["model_list"]] == ["SDXL Base 1.0"]


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "name"},
        {"sort": "--created_at"},
        {"model_status": "on"},
        {"verification": ""},
        {"deleted": "maybe"},
        {"file_hash": "a" * 64},
        {"q": "x" * 256},
        {"q": "a\x00b"},
        {"tag": "\n"},
    ],
)
def test_a_filter_that_is_none_names_its_field(shop: Someone, query: dict[str, str]) -> None:
    refused = shop.get("/models", **query)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == list(query)


def test_the_total_follows_every_way_in_and_out(team: Someone) -> None:
    def total() -> int:
        return int(team.get("/models").json()["page_meta"]["total_count"])

    one = team.register(path="loras/one.safetensors")
    two = team.register(path="loras/two.safetensors")
    assert total() == 2
    team.delete(f"/models/{one}")
    assert total() == 1
    team.post(f"/models/{one}/restore")
    assert total() == 2
    team.register(a_model_file("new"), "loras/two.safetensors", replaces=two)
    assert total() == 2


@pytest.mark.parametrize("sort", ["created_at", "display_name", "-display_name", "file_size"])
def test_a_cursor_of_another_sort_is_refused(shop: Someone, sort: str) -> None:
    cursor = shop.get("/models", sort="-created_at", cursor="", per_page=2).json()["page_meta"]["next_cursor"]
    refused = shop.get("/models", sort=sort, cursor=cursor)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["cursor"]


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-11-24T12:00:00"])
def test_a_cursor_at_no_moment_is_refused(shop: Someone, moment: str) -> None:
    position = json.dumps(["-created_at", moment, "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"])
    refused = shop.get("/models", cursor=base64.urlsafe_b64encode(position.encode()).decode())
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["cursor"]


def test_without_machines_nothing_is_missing_on_one(team: Someone) -> None:
    team.register()
    assert team.get("/models", missing_on="any").json()["model_list"] == []
    assert team.get("/models", missing_on="render-03").json()["page_meta"]["total_count"] == 0
    assert team.get("/models", missing_on="no such/name").status_code == 422


def test_a_list_comes_packed_to_whoever_takes_that_and_says_the_same(shop: Someone) -> None:
    plain = shop.call("GET", "/models", headers={"Accept-Encoding": "identity"})
    packed = shop.call("GET", "/models", headers={"Accept-Encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["vary"]
    assert packed.json() == plain.json()
    assert packed.num_bytes_downloaded < plain.num_bytes_downloaded / 2
