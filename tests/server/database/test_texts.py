"""Names of all scripts, and what no database takes: the same order and the same answers on both databases."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from modelyard.server.teams.context import TeamContext, resolve_team_context
from modelyard.server.uploads.operations import open_upload
from modelyard.wire.problems import QuotaExceeded
from modelyard.wire.uploads import UploadRequest
from tests.postgres import RunningPostgres
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT
from tests.server.harness import MAX_TEAMS, ApiCaller, Harness, make_model_file

CONTENT = make_model_file()
# In the order of their characters, which is not that of any language.
NAMES = [
    *("1", "10", "2", "A b", "Ab", "B", "_", "a", "a b", "ab", "b", "z", "Ä", "ß", "é", "İ", "ı", "Ж", "中", "ﬁ"),
    *("\U0001f4a5", "\U0001f4a5\u200d"),
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    folder: Path = tmp_path_factory.mktemp("texts")
    with ExitStack() as stack:
        url: str | None = None
        if request.param == "postgresql":
            postgres: RunningPostgres = request.getfixturevalue("postgres_server")
            url = stack.enter_context(postgres.database())
        settings = Settings(
            data_dir=folder / "data", database_url=url, public_url="http://registry.test", max_teams=MAX_TEAMS
        )
        resources = stack.enter_context(open_resources(settings, Identity(CHEAP), PATIENT))
        yield stack.enter_context(Harness(resources))


@pytest.fixture
def team(registry: Harness) -> ApiCaller:
    return registry.create_team()


def names(team: ApiCaller, **query: Any) -> list[str]:
    answer = team.get("/models", **query)
    assert answer.status_code == 200, answer.text
    return [model["display_name"] for model in answer.json()["model_list"]]


def walked(team: ApiCaller, sort: str) -> list[str]:
    """All names, three a page, by cursor."""
    found = list[str]()
    cursor: str | None = ""
    while cursor is not None:
        page = team.get("/models", cursor=cursor, per_page=3, sort=sort).json()
        found += [model["display_name"] for model in page["model_list"]]
        cursor = page["page_meta"]["next_cursor"]
    return found


def test_list_models_by_name_sorts_by_code_point_in_pages_and_cursors(team: ApiCaller) -> None:
    team.register(CONTENT, "loras/first.safetensors")
    for number, name in enumerate(reversed(NAMES)):
        team.register(make_model_file(str(number)), f"loras/{number}.safetensors", display_name=name)
    first = team.get("/models", q="first").json()["model_list"][0]["id"]
    team.delete(f"/models/{first}")
    assert sorted(NAMES) == NAMES
    assert names(team, sort="display_name", per_page=100) == NAMES
    assert walked(team, "display_name") == NAMES
    assert walked(team, "-display_name") == NAMES[::-1]


def test_migrate_postgresql_gives_model_names_collation_c(postgres_server: RunningPostgres) -> None:
    with postgres_server.database() as url:
        database = Database(url)
        migrate(database.engine)
        database.close()
        where = "table_name = 'models' AND column_name = 'display_name'"
        sorting = f"SELECT collation_name FROM information_schema.columns WHERE {where}"  # noqa: S608 - our own names
        assert postgres_server.execute(sorting, url.rpartition("/")[2]) == [("C",)]


@pytest.mark.parametrize(
    ("name", "word", "is_found"),
    [
        ("STRASSE", "straße", True),
        ("Straße", "STRASSE", True),
        ("ÀÉÎ", "àéî", True),
        ("ΣΊΣΥΦΟΣ", "σίσυφος", True),
        ("ДЫМ", "дым", True),
        ("İstanbul", "i\u0307stanbul", True),
        ("İstanbul", "ıstanbul", False),
        ("éclair", "eclair", False),
        ("100% [a]_b", "% [a]_", True),
        ("back\\slash", "k\\s", True),
        ("\U0001f4a5", "\U0001f4a5", True),
    ],
)
def test_search_models_ignores_case_only(team: ApiCaller, name: str, word: str, is_found: bool) -> None:
    team.register(CONTENT, display_name=name)
    assert names(team, q=word) == [name] * is_found


NUL = "a\x00b"
ID = "00000000-0000-7000-8000-000000000001"
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/models/presign", {"file_name": NUL, "file_size": 1, "model_type": "loras", "model_path": "loras/a.sft"}),
    ("POST", "/models/presign", {"file_name": "a", "file_size": 1, "model_type": NUL, "model_path": "loras/a.sft"}),
    ("POST", "/models/presign", {"file_name": "a", "file_size": 1, "model_type": "loras", "model_path": NUL}),
    ("POST", "/uploads/multipart/initiate", {"storage_key": NUL, "file_size": 1}),
    ("POST", "/uploads/multipart/abort", {"storage_key": NUL, "upload_id": NUL}),
    ("POST", "/uploads/multipart/presign", {"storage_key": NUL, "upload_id": NUL, "part_numbers": [1]}),
    ("POST", "/teams", {"display_name": NUL}),
    ("PUT", "/teams/current", {"display_name": NUL}),
    ("POST", "/credentials", {"kind": "agent", "display_name": NUL}),
    ("POST", "/invitations", {"email_address": f"{NUL}@studio.test", "invitation_role": "viewer"}),
    ("POST", "/invitations/preview", {"invitation_token": NUL}),
    ("POST", "/invitations/accept", {"invitation_token": NUL}),
    ("POST", "/auth/login", {"email_address": f"{NUL}@studio.test", "user_password": NUL}),
    ("POST", "/auth/refresh", {"refresh_token": NUL}),
    ("POST", "/auth/logout", {"refresh_token": NUL}),
    ("POST", "/auth/password-reset", {"reset_token": NUL, "new_password": "long enough"}),
    ("POST", "/desktop/pair/confirm", {"user_code": NUL, "device_name": NUL}),
    ("POST", "/desktop/pair/poll", {"device_code": NUL}),
    ("PUT", f"/members/{ID}", {"member_role": NUL}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
@pytest.mark.parametrize("text", [NUL, "a\ud800b", "\udfff"])
def test_request_text_invalid_for_databases_returns_422(
    team: ApiCaller, method: str, path: str, body: dict[str, Any], text: str
) -> None:
    sent = {name: value.replace(NUL, text) if isinstance(value, str) else value for name, value in body.items()}
    # As escapes in JSON: that way any text can be sent.
    answer = team.call(method, path, content=json.dumps(sent), headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 401, 404, 422) or path == "/auth/logout", answer.text
    assert answer.status_code < 500


@pytest.mark.parametrize("text", [NUL, "%00", "\ufffe"])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/models", "q"),
        ("/models", "tag"),
        ("/models", "model_type"),
        ("/models", "cursor"),
        ("/audit-events", "action"),
        ("/audit-events", "object_id"),
        ("/audit-events", "actor_id"),
        ("/audit-events", "cursor"),
        ("/members", "cursor"),
        ("/uploads/multipart/parts", "storage_key"),
    ],
)
def test_query_text_invalid_for_databases_is_answered(team: ApiCaller, path: str, name: str, text: str) -> None:
    assert team.get(path, **{name: text}).status_code < 500


def test_request_number_beyond_64_bits_returns_422(team: ApiCaller) -> None:
    for size in (2**63, 2**64, 10**30, -1):
        assert team.presign(CONTENT, file_size=size).status_code == 422
        assert team.put("/teams/current", quota_bytes=size).status_code == 422


def test_announced_sizes_beyond_64_bits_in_total_are_summed(registry: Harness) -> None:
    """A bucket never says that it is full, so that anything may be announced."""
    free_bytes, team = None, _acting(registry)
    new = UploadRequest(file_name="a", file_size=2**63 - 1, model_type="loras", model_path="loras/a.safetensors")
    with registry.resources.database.writing(team.team_id) as session:
        for _ in range(3):
            open_upload(session, team, registry.resources.settings, new, free_bytes)
            session.flush()
        with pytest.raises(QuotaExceeded):
            open_upload(
                session, team, registry.resources.settings.model_copy(update={"quota_bytes": 2**62}), new, free_bytes
            )


def _acting(registry: Harness) -> TeamContext:
    team = registry.create_team()
    assert team.token is not None
    with registry.resources.database.reading() as session:
        return resolve_team_context(session, registry.resources.identity, team.token, [str(team.team_id)])
