"""The commands about collections, and the warning of ``rm`` about models in one."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.terminal_answers import run_in_terminal as answer_in_terminal
from tests.cli.terminal_process import run_in_terminal
from tests.client.model_files import write_model_file

pytestmark = pytest.mark.slow


@pytest.fixture
def pushed(signed_in: Command, tmp_path: Path) -> Command:
    """The program, in a team with the models ink (two versions) and kaori."""
    folder = tmp_path / "models" / "loras"
    for name in ("ink", "kaori"):
        assert signed_in("push", write_model_file(folder / f"{name}.safetensors", seed=len(name))).code == 0
    assert signed_in("push", write_model_file(tmp_path / "new.safetensors", seed=9), "--to", "ink").code == 0
    return signed_in


def list_models(command: Command, *options: str) -> list[tuple[str, int]]:
    ran = command("collection", "show", "winter", "--json", *options)
    assert ran.code == 0, ran.err
    models = json.loads(ran.out)["model_list"]
    return [(each["model_path"].rpartition("/")[2], each["version"]) for each in models]


def test_collection_is_created_changed_and_removed(pushed: Command) -> None:
    created = pushed("collection", "create", "Winter", "ink@1", "--note", "Act 2.")
    assert (created.code, created.out) == (0, "Created 'Winter': version 1 with 1 model.\n"), created.err
    assert list_models(pushed) == [("ink.safetensors", 1)]
    assert "the model has version 2 now" in pushed("collection", "show", "winter").out

    added = pushed("collection", "add", "winter", "kaori", "ink", "--note", "More.")
    assert added.out == "Changed 'Winter': version 2 with 2 models.\n"
    assert list_models(pushed) == [("ink.safetensors", 2), ("kaori.safetensors", 1)]
    assert list_models(pushed, "--version", "1") == [("ink.safetensors", 1)]
    assert pushed("collection", "add", "winter", "ink").out == "'Winter' has these models already, in version 2.\n"

    assert pushed("collection", "remove", "winter", "ink").code == 0
    versions = json.loads(pushed("collection", "versions", "winter", "--json").out)["version_list"]
    assert [(each["version"], each["model_count"], each["note"]) for each in versions] == [
        (3, 1, None),
        (2, 2, "More."),
        (1, 1, None),
    ]
    assert pushed("collection", "rename", "winter", "Summer").code == 0
    listed = json.loads(pushed("collection", "ls", "--json").out)["collection_list"]
    assert [(each["name"], each["note"], each["version"]) for each in listed] == [("Summer", "Act 2.", 3)]
    assert pushed("collection", "rm", "summer", "--yes").code == 0
    assert pushed("collection", "ls", "-q").out == ""


def test_diff_names_models_that_were_added_removed_and_changed(pushed: Command) -> None:
    pushed("collection", "create", "Winter", "ink@1", "kaori")
    pushed("collection", "add", "winter", "ink@2")
    pushed("collection", "remove", "winter", "kaori")
    ran = pushed("collection", "diff", "winter", "1")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("'Winter': version 3 compared with version 1.\n")
    assert [line.split()[0] for line in ran.out.splitlines()[3:]] == ["removed", "changed"]
    assert "1 -> 2" in ran.out
    newest = json.loads(pushed("collection", "diff", "winter", "--json").out)
    assert (newest["since"], newest["changed_list"], len(newest["removed_list"])) == (2, [], 1)
    back = json.loads(pushed("collection", "diff", "winter", "3", "2", "--json").out)
    assert [each["model_path"] for each in back["added_list"]] == ["models/loras/kaori.safetensors"]
    assert "Both have the same models." in pushed("collection", "diff", "winter", "2", "2").out
    assert pushed("collection", "diff", "winter", "9").code == 4


def test_collection_from_workflow_has_the_models_that_the_team_has(pushed: Command, tmp_path: Path) -> None:
    names = ["ink.safetensors", "zz-none.safetensors", "kaori.safetensors"]
    nodes = [{"class_type": "LoraLoader", "inputs": {"lora_name": name}} for name in names]
    workflow = tmp_path / "scene.json"
    workflow.write_text(json.dumps({str(number): node for number, node in enumerate(nodes)}))
    created = pushed("collection", "create", "Winter", "ink@1", "--from-workflow", workflow)
    assert created.code == 0, created.err
    assert "zz-none.safetensors" in created.err
    assert list_models(pushed) == [("ink.safetensors", 1), ("kaori.safetensors", 1)]


def test_collection_from_workflow_names_models_with_other_content(pushed: Command, tmp_path: Path) -> None:
    name = "ink.safetensors"
    models = [{"name": name, "directory": "loras", "hash": "e" * 64, "hash_type": "SHA256"}]
    node = {"id": 1, "type": "LoraLoader", "widgets_values": [name, 1, 1], "properties": {"models": models}}
    workflow = tmp_path / "scene.json"
    workflow.write_text(json.dumps({"nodes": [node]}))
    for command in (("create", "Winter"), ("add", "winter")):
        ran = pushed("collection", *command, "--from-workflow", workflow)
        assert (ran.code, "other content" in ran.err, name in ran.err) == (0, True, True), ran.err
    assert list_models(pushed) == [(name, 2)]


def test_collection_is_found_by_another_spelling_of_its_name(pushed: Command) -> None:
    pushed("collection", "create", "Gew\u00e4sser", "ink")
    for name in ("GEWA\u0308SSER", " gew\u00e4sser "):
        assert pushed("collection", "show", name).code == 0


def test_remove_collection_names_what_is_subscribed(pushed: Command) -> None:
    pushed("collection", "create", "Winter", "ink")
    pushed("collection", "subscribe", "winter", "--label", "gpu24")
    asked = pushed("collection", "rm", "winter")
    assert (asked.code != 0, "machines with the label 'gpu24'" in asked.err) == (True, True), asked.err
    assert pushed("collection", "show", "winter").code == 0
    assert pushed("collection", "rm", "winter", "--yes").code == 0


def test_create_collection_with_taken_name_names_the_other_one(pushed: Command) -> None:
    pushed("collection", "create", "Winter", "ink")
    ran = pushed("collection", "create", "WINTER", "kaori")
    assert ran.code == 4
    assert "modelyard collection show" in ran.err
    assert "version 2: modelyard collection create " in ran.err
    assert ran.err.endswith(" --replace\n")
    assert list_models(pushed) == [("ink.safetensors", 2)]


def test_create_collection_with_replace_makes_the_next_version_of_the_one_with_the_name(
    pushed: Command, tmp_path: Path
) -> None:
    pushed("collection", "create", "Winter", "ink")
    workflow = tmp_path / "scene.json"
    workflow.write_text(json.dumps({"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "kaori.safetensors"}}}))
    command = "collection", "create", "winter", "--from-workflow", workflow, "--replace"
    assert pushed(*command).out == "Changed 'Winter': version 2 with 1 model.\n"
    assert list_models(pushed) == [("kaori.safetensors", 1)]
    assert pushed(*command).out == "'Winter' has these models already, in version 2.\n"
    assert (
        pushed("collection", "create", "Summer", "ink", "--replace").out
        == "Created 'Summer': version 1 with 1 model.\n"
    )


def test_create_collection_with_replace_sets_its_note_and_that_of_the_version(pushed: Command) -> None:
    pushed("collection", "create", "Winter", "ink", "--note", "Act 2.", "--version-note", "ignored")
    replaced = pushed(
        "collection", "create", "Winter", "kaori", "--note", "Act 3.", "--version-note", "Oil.", "--replace"
    )
    assert (replaced.code, "Changed the note of 'Winter'." in replaced.err) == (0, True), replaced.err
    assert pushed("collection", "create", "Winter", "ink", "--replace").code == 0
    shown = json.loads(pushed("collection", "show", "winter", "--json").out)
    assert (shown["note"], shown["version"]) == ("Act 3.", 3)
    versions = json.loads(pushed("collection", "versions", "winter", "--json").out)["version_list"]
    assert [each["note"] for each in versions] == [None, "Oil.", None]


def test_create_collection_with_replace_and_the_same_models_changes_its_note_only(pushed: Command) -> None:
    pushed("collection", "create", "Winter", "ink")
    ran = pushed("collection", "create", "Winter", "ink", "--note", "Act 3.", "--replace")
    assert ran.out == "'Winter' has these models already, in version 1.\n"
    assert json.loads(pushed("collection", "show", "winter", "--json").out)["note"] == "Act 3."


@pytest.fixture
def incomplete(tmp_path: Path) -> Path:
    """A workflow with a model that the team lacks beside ink."""
    names = {"1": "ink.safetensors", "2": "gone.safetensors"}
    nodes = {key: {"class_type": "LoraLoader", "inputs": {"lora_name": name}} for key, name in names.items()}
    workflow = tmp_path / "incomplete.json"
    workflow.write_text(json.dumps(nodes))
    return workflow


def test_create_collection_with_replace_and_a_workflow_that_lacks_models_is_refused(
    pushed: Command, incomplete: Path
) -> None:
    pushed("collection", "create", "Winter", "kaori")
    command = "collection", "create", "winter", "--from-workflow", incomplete, "--replace"
    ran = pushed(*command)
    assert (ran.code, "gone.safetensors" in ran.err, "--leave-out-missing" in ran.err) == (2, True, True), ran.err
    assert list_models(pushed) == [("kaori.safetensors", 1)]
    replaced = pushed(*command, "--leave-out-missing")
    assert (replaced.code, replaced.err.count("gone.safetensors")) == (0, 1), replaced.err
    assert list_models(pushed) == [("ink.safetensors", 2)]


@pytest.mark.parametrize("options", [("--replace",), ("--replace", "--leave-out-missing")], ids=["plain", "left out"])
def test_create_collection_with_replace_and_no_models_is_refused(
    pushed: Command, tmp_path: Path, options: tuple[str, ...]
) -> None:
    pushed("collection", "create", "Winter", "kaori")
    workflow = tmp_path / "scene.json"
    workflow.write_text(json.dumps({"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "gone.safetensors"}}}))
    for models in ((), ("--from-workflow", workflow)):
        ran = pushed("collection", "create", "winter", *models, *options)
        assert (ran.code, "no models" in ran.err) == (2, True), ran.err
    assert list_models(pushed) == [("kaori.safetensors", 1)]


def test_create_collection_with_taken_name_names_missing_models_before_it_asks(
    pushed: Command, incomplete: Path
) -> None:
    pushed("collection", "create", "Winter", "kaori")
    command = "collection", "create", "Winter", "--from-workflow", str(incomplete)
    shown = answer_in_terminal(*command, typed="n")
    assert shown.returncode != 0
    before, question, _ = shown.stderr.partition("'Winter' exists")
    assert (question != "", "gone.safetensors" in before, "1 model" in before) == (True, True, True), shown.stderr
    assert "version 1 with 1 model. Add version 2 with yours, 1 model, in place of them?" in shown.stderr
    assert list_models(pushed) == [("kaori.safetensors", 1)]
    assert answer_in_terminal(*command, typed="y").returncode == 0
    assert list_models(pushed) == [("ink.safetensors", 2)]


def test_create_collection_with_replace_and_an_invalid_note_makes_no_version(pushed: Command) -> None:
    pushed("collection", "create", "Winter", "kaori")
    ran = pushed("collection", "create", "Winter", "ink", "--replace", "--note", "n" * 10_001)
    assert (ran.code != 0, "note" in ran.err) == (True, True), ran.err
    assert list_models(pushed) == [("kaori.safetensors", 1)]


def test_create_new_collection_says_that_the_version_note_was_not_used(pushed: Command) -> None:
    command = "collection", "create", "Winter", "ink", "--version-note", "Oil.", "--replace"
    assert "--version-note was not used" in pushed(*command).err
    replaced = pushed(*command)
    assert (replaced.code, "--version-note" in replaced.err) == (0, False), replaced.err


@pytest.mark.parametrize("models", [("none",), ("ink", "--from-workflow", "none.json")], ids=["name", "workflow"])
def test_create_collection_of_unknown_models_with_taken_name_does_not_ask(
    pushed: Command, models: tuple[str, ...]
) -> None:
    pushed("collection", "create", "Winter", "ink")
    shown = run_in_terminal("collection", "create", "Winter", *models, columns=100, environment=dict(os.environ))
    assert (shown.code != 0, "exists" in shown.raw) == (True, False), shown.raw


def test_show_unknown_collection_exits_4(signed_in: Command) -> None:
    ran = signed_in("collection", "show", "none")
    assert (ran.code, "modelyard collection ls" in ran.err) == (4, True)


def test_remove_model_that_the_collection_lacks_changes_nothing(pushed: Command) -> None:
    pushed("collection", "create", "Winter", "ink")
    assert pushed("collection", "remove", "winter", "kaori").code == 4
    assert list_models(pushed) == [("ink.safetensors", 2)]


def test_add_and_remove_of_several_unknown_models_name_each(pushed: Command) -> None:
    assert pushed("collection", "create", "Winter", "ink").code == 0
    added = pushed("collection", "add", "Winter", "sketch", "ink@7", "ink")
    assert added.code == 4
    assert added.err.splitlines()[:2] == [
        "There is no model 'sketch'.",
        "'models/loras/ink.safetensors' has no version 7.",
    ]
    removed = pushed("collection", "remove", "Winter", "kaori", "sketch", "ink")
    assert removed.code == 4
    assert removed.err.splitlines()[:2] == [f"'Winter' has no model '{name}'." for name in ("kaori", "sketch")]
    assert json.loads(pushed("collection", "show", "Winter", "--json").out)["version"] == 1


def test_add_without_models_is_refused(pushed: Command) -> None:
    pushed("collection", "create", "Winter")
    assert pushed("collection", "add", "winter").code == 2


def test_rm_names_the_collections_of_a_model(pushed: Command) -> None:
    pushed("collection", "create", "Winter", "ink")
    ran = pushed("rm", "ink", "--yes")
    assert ran.code == 0
    assert "models/loras/ink.safetensors is in the collection 'Winter'." in ran.err
    assert "the model was deleted" in pushed("collection", "show", "winter").out
    assert "collection" not in pushed("rm", "kaori").err


def test_rm_names_collection_of_which_machines_get_an_older_version_with_the_model(pushed: Command) -> None:
    pushed("collection", "create", "Winter", "ink")
    pushed("collection", "subscribe", "winter", "--label", "gpu24")
    pushed("collection", "hold", "winter")
    pushed("collection", "add", "winter", "kaori")
    assert "ink.safetensors is in the collection 'Winter', also in version 1, which subscribed machines get." in (
        pushed("rm", "ink", "--yes").err
    )
    pushed("restore", "ink")
    pushed("collection", "remove", "winter", "ink")
    assert (
        "ink.safetensors is in the collection 'Winter', in version 1, which subscribed machines get; "
        "its newest version does not have it." in pushed("rm", "ink", "--yes").err
    )


def test_subscribe_label_to_a_collection_and_end_it(pushed: Command) -> None:
    pushed("collection", "create", "Winter", "ink")
    ran = pushed("collection", "subscribe", "winter", "--label", "gpu24")
    assert (ran.code, ran.out) == (0, "Subscribed machines with the label 'gpu24' to 'Winter'.\n"), ran.err
    document = json.loads(pushed("collection", "show", "winter", "--json").out)
    assert [(each["label"], each["agent_id"]) for each in document["subscription_list"]] == [("gpu24", None)]
    assert "labels   gpu24" in pushed("collection", "show", "winter", "--version", "1").out
    assert pushed("collection", "unsubscribe", "winter", "--label", "gpu24").code == 0
    again = pushed("collection", "unsubscribe", "winter", "--label", "gpu24")
    assert (again.code, "is not subscribed" in again.err) == (4, True)


def test_pin_and_unpin_a_collection(pushed: Command) -> None:
    pushed("collection", "create", "Winter", "ink@1")
    assert pushed("collection", "pin", "winter").out == "'Winter' is pinned.\n"
    assert json.loads(pushed("collection", "show", "winter", "--json").out)["is_pinned"]
    assert " pinned " in pushed("collection", "ls").out
    assert pushed("collection", "unpin", "winter").out == "'Winter' is no longer pinned.\n"
    assert not json.loads(pushed("collection", "show", "winter", "--json").out)["is_pinned"]


@pytest.mark.parametrize("options", [(), ("--label", "a", "--machine", "b")], ids=["neither", "both"])
def test_subscribe_needs_exactly_one_target(pushed: Command, options: tuple[str, ...]) -> None:
    pushed("collection", "create", "Winter")
    assert pushed("collection", "subscribe", "winter", *options).code == 2
