"""What is named like the id of something else: ids find what they belong to, and messages list what to write."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.client.model_files import write_model_file
from tests.client.server_process import Server

pytestmark = pytest.mark.slow


def list_ids(text: str) -> list[str]:
    return re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)


def test_pull_version_that_is_the_name_of_another_model_lists_a_reference_to_each(
    pushed: Command, tmp_path: Path
) -> None:
    other = write_model_file(tmp_path / "other.safetensors", seed=7)
    assert pushed("push", other, "--path", "models/loras/a b.safetensors", "--name", "ink@1").code == 0
    ran = pushed("pull", "ink@1", "-o", tmp_path / "new")
    assert ran.code == 4
    assert "models/loras/ink.safetensors@1 " in ran.err
    assert "'models/loras/a b.safetensors' " in ran.err
    assert not (tmp_path / "new").exists()
    assert pushed("pull", "models/loras/ink.safetensors@1", "-o", tmp_path / "new").code == 0
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["ink.safetensors"]


def test_commands_without_versions_refuse_a_version_that_is_a_name_with_a_path_of_each(
    pushed: Command, tmp_path: Path
) -> None:
    other = write_model_file(tmp_path / "other.safetensors", seed=7)
    assert pushed("push", other, "--path", "models/loras/a b.safetensors", "--name", "ink@1").code == 0
    for command in (["version", "note", "ink@1", "1", "x"], ["show", "ink@1"]):
        refused = json.loads(pushed(*command, "--json").out)["error"]
        assert (refused["error_code"], refused["candidate_count"]) == ("ModelAmbiguous", 2)
        assert {each["reference"] for each in refused["candidates"]} == {
            "models/loras/ink.safetensors",
            "models/loras/a b.safetensors",
        }


def test_collection_remove_of_unknown_model_names_the_collection_and_how_to_list_its_models(pushed: Command) -> None:
    created = json.loads(pushed("collection", "create", "Winter", "ink", "--json").out)
    refused = pushed("collection", "remove", "Winter", "nope")
    assert refused.code == 4
    assert "'Winter' has no model 'nope'" in refused.err
    assert f"modelyard collection show {created['id']}" in refused.err
    assert "modelyard ls" not in refused.err


def test_collection_named_like_the_id_of_another_is_not_found_by_it(pushed: Command) -> None:
    created = json.loads(pushed("collection", "create", "Winter", "ink", "--json").out)
    assert pushed("collection", "create", created["id"], "ink").code == 0
    assert pushed("collection", "create", created["id"][:13], "ink").code == 0
    assert json.loads(pushed("collection", "show", created["id"], "--json").out)["name"] == "Winter"
    refused = pushed("collection", "rm", created["id"][:13], "--yes")
    assert refused.code == 4
    assert created["id"] in list_ids(refused.err)
    assert pushed("collection", "rm", created["id"], "--yes").code == 0
    listed = json.loads(pushed("collection", "ls", "--json").out)["collection_list"]
    assert {each["name"] for each in listed} == {created["id"], created["id"][:13]}


def test_key_named_like_the_id_or_prefix_of_another_is_not_found_by_it(signed_in: Command) -> None:
    created = json.loads(signed_in("key", "create", "nightly", "--json").out)
    for name in (created["id"], created["key_prefix"], "nightly"):
        assert signed_in("key", "create", name).code == 0
    refused = signed_in("key", "rm", "nightly")
    assert refused.code == 4
    assert created["id"] in list_ids(refused.err)
    assert len(list_ids(refused.err)) == 2
    assert f"'{created['key_prefix']}…, nightly, of 20" in refused.err
    assert json.loads(signed_in("key", "show", created["key_prefix"], "--json").out)["id"] == created["id"]
    assert signed_in("key", "rm", created["id"]).code == 0
    keys = json.loads(signed_in("key", "ls", "--all", "--json").out)["credentials"]
    assert [each["id"] for each in keys if each["key_status"] == "revoked"] == [created["id"]]


@pytest.mark.parametrize("before", ["", " ", "Bearer ", "KEY=", "'"])
@pytest.mark.parametrize("prefix", ["sk-", "ak-", "dk-", "SK-"])
def test_unknown_key_with_something_before_it_is_not_printed(signed_in: Command, before: str, prefix: str) -> None:
    refused = signed_in("key", "show", f"{before}{prefix}J3kPq0aZSECRETSECRET", "--json")
    assert refused.code == 4
    assert "SECRET" not in refused.out + refused.err


def test_webhook_named_like_the_id_of_another_is_not_found_by_it(signed_in: Command) -> None:
    def add(name: str) -> str:
        ran = signed_in("webhook", "add", "https://hooks.studio.example/x", "--name", name, "--json")
        assert ran.code == 0, ran.err
        return str(json.loads(ran.out)["id"])

    first = add("Farm")
    second = add(first)
    refused = signed_in("webhook", "rm", "https://hooks.studio.example/x")
    assert refused.code == 4
    assert set(list_ids(refused.err)) == {first, second}
    assert signed_in("webhook", "rm", first, "--yes").code == 0
    listed = json.loads(signed_in("webhook", "ls", "--json").out)["webhook_list"]
    assert [each["id"] for each in listed] == [second]


def test_team_by_name_with_a_key_of_a_team_says_that_it_acts_in_its_own(
    signed_in: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = signed_in("key", "create", "nightly", "-q").out.strip()
    monkeypatch.setenv("MODELYARD_TOKEN", key)
    refused = signed_in("--team", "Studio", "ls")
    assert refused.code == 4
    assert "own team only" in refused.err


def test_team_by_id_with_a_key_of_a_team_warns_that_it_acts_in_its_own(
    pushed: Command, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = pushed("key", "create", "nightly", "-q").out.strip()
    monkeypatch.setenv("MODELYARD_TOKEN", key)
    ran = pushed("--team", server.new_team("Farm").id, "ls")
    assert "loras/ink.safetensors" in ran.out
    assert "own team only: --team does not change that" in ran.err
    assert pushed("ls").err == ""
