"""The list of a team's repositories, as ``HfApi.list_models`` asks for it."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest

from modelyard.server.database.base import now
from modelyard.server.models.repositories.tables import ImportedFileRow
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file
from tests.server.hub.test_endpoint import ask, get_revision, reader, team
from tests.server.models.folders.folder_push import make_folder, register

__all__ = ["reader", "team"]
# In this order: the folder `unet` is that of diffusion models.
FOLDER, UNET, INK = "team/diffusers__sdxl", "team/unet__paint.safetensors", "team/loras__ink.safetensors"
IMPORTED = ("Studio/Ink", "studio/zebra")
COMMIT = "1" * 40


def add_import(registry: Harness, team: ApiCaller, model_id: str, content: bytes, repository: str) -> None:
    """Record that a model was imported from a repository, as an import does."""
    row = ImportedFileRow(
        model_id=UUID(model_id),
        repository_key=repository.lower(),
        repository_revision=COMMIT,
        path="ink.safetensors",
        team_id=UUID(team.team_id),
        repository=repository,
        file_hash=hash_of(content),
        imported_at=now() - timedelta(hours=1),
    )
    with registry.resources.database.writing() as session:
        session.add(row)


@pytest.fixture
def repositories(shared_registry: Harness, team: ApiCaller) -> list[str]:
    """The ids of all repositories of the team, in the order of the list: two were imported."""
    register(team, make_folder())
    content = make_model_file("ink")
    model_id = team.register(content, "loras/ink.safetensors")
    team.register(make_model_file("paint"), "unet/paint.safetensors")
    disabled = team.register(make_model_file("off"), "loras/off.safetensors")
    team.put(f"/models/{disabled}", model_status="disabled")
    for repository in (*IMPORTED, "team/taken"):
        add_import(shared_registry, team, model_id, content, repository)
    add_import(shared_registry, team, disabled, make_model_file("off"), "studio/off")
    return [*IMPORTED, FOLDER, UNET, INK]


def list_pages(caller: ApiCaller, **query: Any) -> list[list[str]]:
    """Return the ids on each page of a list, as clients follow the links."""
    pages = list[list[str]]()
    parameters: Any = query
    while True:
        answer = ask(caller, "api/models", params=parameters)
        assert answer.status_code == 200, answer.text
        pages.append([each["id"] for each in answer.json()])
        link = answer.links.get("next")
        if link is None:
            return pages
        parameters = parse_qsl(urlsplit(link["url"]).query)


def test_list_has_what_can_be_downloaded_with_its_commit(
    team: ApiCaller, reader: ApiCaller, repositories: list[str]
) -> None:
    listed = ask(reader, "api/models", params={"full": "true"}).json()
    assert [each["id"] for each in listed] == repositories
    assert [each["sha"] for each in listed] == [get_revision(team, each) for each in repositories]
    assert all(each.keys() >= {"lastModified", "private", "tags"} and "siblings" not in each for each in listed)


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_list_by_pages_has_each_repository_once(reader: ApiCaller, repositories: list[str], limit: int) -> None:
    pages = list_pages(reader, limit=limit)
    assert [each for page in pages for each in page] == repositories
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"author": "studio"}, [0, 1]),
        ({"author": "STUDIO", "search": "INK"}, [0]),
        ({"author": "team"}, [2, 3, 4]),
        ({"author": "stud"}, []),
        ({"author": "stud_o"}, []),
        ({"search": "ink"}, [0, 4]),
        ({"search": "team/loras__ink"}, [4]),
        ({"search": "tensors PAINT"}, [3]),
        ({"search": "team"}, [2, 3, 4]),
        ({"search": "unet"}, [3]),
        ({"search": "i%k"}, []),
        ({"search": "\0"}, []),
    ],
)
def test_list_with_filters_has_only_what_matches(
    reader: ApiCaller, repositories: list[str], query: dict[str, str], found: list[int]
) -> None:
    expected = [repositories[place] for place in found]
    assert list_pages(reader, **query) == [expected]
    assert [each for page in list_pages(reader, limit=1, **query) for each in page] == expected


@pytest.mark.parametrize("search", ["NDER", "ünder", "ÜNDER__ink_v", "team/loras__ünder__INK", "a_b__c"])
def test_search_finds_letters_of_any_case_and_names_with_underscores(
    team: ApiCaller, reader: ApiCaller, search: str
) -> None:
    team.register(make_model_file("ink"), "loras/Ünder/ink_v2_a_b__c.safetensors")
    [[found]] = list_pages(reader, search=search)
    assert found.startswith("team/loras__nder__ink_v2_a_b-c.safetensors__")


def test_link_to_next_page_keeps_the_filters(reader: ApiCaller, repositories: list[str]) -> None:
    link = ask(reader, "api/models", params={"author": "team", "limit": 2}).links["next"]["url"]
    assert urlsplit(link).path == "/hf/api/models"
    query = {"author": "team", "limit": "2", "cursor": "models:diffusion_models/paint.safetensors"}
    assert dict(parse_qsl(urlsplit(link).query)) == query
    assert list_pages(reader, **query) == [[repositories[4]]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"filter": "gguf"}, "filter"),
        ({"sort": "lastModified"}, "sort"),
        ({"cursor": "next"}, "cursor"),
        ({"cursor": "models:\0"}, "cursor"),
        ({"limit": "0"}, "limit"),
        ({"search": "x" * 1001}, "search"),
        ({"search": "a " * 25}, "search"),
    ],
)
def test_list_with_unknown_filter_order_or_cursor_or_long_search_is_refused(
    reader: ApiCaller, query: dict[str, str], field: str
) -> None:
    refused = ask(reader, "api/models", params=query)
    assert (refused.status_code, refused.json()["errors"][0]["field"].split(".")[-1]) == (422, field)


def test_list_is_that_of_the_keys_team_and_needs_the_right_to_read(
    shared_registry: Harness, team: ApiCaller, repositories: list[str]
) -> None:
    assert list_pages(shared_registry.create_member("viewer", team)) == [repositories]
    assert list_pages(shared_registry.create_key("integration", shared_registry.create_team("Other"))) == [[]]
    assert ask(shared_registry.create_key("agent", team), "api/models").status_code == 403
    assert ask(ApiCaller(team.client, None), "api/models").status_code == 401
