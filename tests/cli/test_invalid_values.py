"""Messages about values that are not valid name the option or argument, in words of the rule."""

import json
from pathlib import Path

import pytest

from modelyard.cli.terminal.errors import explain_failure
from modelyard.wire.problems import InvalidRequest
from modelyard.wire.texts.validation_messages import reword_message
from tests.cli.conftest import Command
from tests.client.model_files import write_model_file

_SHORT_NAME = "Use up to 64 letters, digits, dots, hyphens and underscores, without spaces"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["edit", "ink", "--source-url", "ftp://x"], 2, "--source-url: Use an address that begins with"),
        (["edit", "ink", "--name", ""], 2, "--name: Use at least 1 character"),
        (["collection", "rename", "portraits", ""], 2, "NEW_NAME: Use at least 1 character"),
        (["collection", "rollout", "start", "portraits"], 4, "version: Subscribed machines get this version already"),
        (["collection", "rollout", "start", "portraits", "--version", "1"], 4, "--version: Subscribed machines"),
        (["webhook", "edit", "chat", "--name", ""], 2, "--name: Use at least 1 character"),
        (["webhook", "add", "https://1.1.1.1/", "--event", "x"], 2, "--event: Use 'model.registered'"),
        (
            ["audit", "--since", "1764720000"],
            4,
            "--since: A time is written like 2026-11-24T12:00:00Z, not as a number",
        ),
        (["edit", "ink", "--label", "a b"], 2, f"--label: {_SHORT_NAME}"),
        (["edit", "ink", "--tag", "ok", "--tag", "x" * 65], 2, f"--tag {'x' * 65}: Use at most 64 characters"),
        (["ls", "--status", "on"], 2, "--status: Use 'active' or 'disabled'"),
        (["ls", "--hash", "xyz"], 2, "--hash: Use a hash, or at least its first 8 digits"),
        (["audit", "--since", "foo"], 4, "--since: A time is written like 2026-11-24T12:00:00Z\n"),
        (["audit", "--action", ""], 4, "--action: Use at least 1 character"),
        (["invite", "create", "foo"], 2, "EMAIL: It is not an e-mail address"),
        (["invite", "create", "a@b.example", "--role", "king"], 2, "--role: Use 'viewer', 'member' or 'admin'"),
        (["team", "rename", ""], 2, "NAME: Use at least 1 character"),
        (["team", "settings", "--keep-versions", "0"], 2, "--keep-versions: Use a number greater than or equal to 1"),
        (["machine", "label", "render-07", "a b"], 2, f"LABELS: {_SHORT_NAME}"),
        (["version", "note", "ink", "1", "x" * 10_001], 2, "TEXT: Use at most 10000 characters"),
        (["version", "note", "ink", "1", "\x01"], 2, "TEXT: Use visible characters, tabs and line ends"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_message_begins_with_the_name_of_the_option(pushed: Command, words: list[str], code: int, message: str) -> None:
    assert pushed("collection", "create", "portraits", "ink").code == 0
    ran = pushed(*words)
    assert ran.code == code
    assert ran.err.startswith(message), ran.err
    assert len(ran.err.splitlines()) == 1


def test_push_refuses_invalid_details_by_the_names_of_their_options(signed_in: Command, tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "loras" / "ink.safetensors")
    ran = signed_in("push", file, "--source-url", "ftp://x")
    assert ran.code == 2
    assert "--source-url: Use an address" in ran.err


def test_value_that_is_no_number_is_refused_in_plain_words(process: Command) -> None:
    ran = process("key", "create", "x", "--expires", "soon")
    assert ran.code == 2
    assert "Invalid value for '--expires': Use a whole number" in ran.err


def test_option_of_the_agent_is_named_as_typed(modelyard: Command, tmp_path: Path) -> None:
    ran = modelyard("agent", "run", "--agent-id", "render 07", "--models-dir", tmp_path, "--once")
    assert (ran.code, ran.err) == (2, f"--agent-id: {_SHORT_NAME}\n")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("keep_free", "much", "'much' is not a size. Write it like 500GB, 2TiB or 1000."),
        ("key", "sk-1", "It is: The machine's key (`ak-`); in the environment only"),
        ("agent_id", "render 07", _SHORT_NAME),
        ("parallel", "many", "Use a whole number"),
    ],
)
def test_setting_of_the_agent_is_named_as_in_environment_and_file(
    modelyard: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, reason: str
) -> None:
    variable = f"MODELYARD_AGENT_{name.upper()}"
    monkeypatch.setenv(variable, value)
    ran = modelyard("agent", "run", "--models-dir", tmp_path, "--once")
    assert (ran.code, ran.err) == (2, f"{variable} (in agent.toml: {name}): {reason}\n")


def test_json_of_an_invalid_value_has_the_same_message(pushed: Command) -> None:
    ran = pushed("ls", "--status", "on", "--json")
    assert json.loads(ran.out)["error"]["detail"] == "--status: Use 'active' or 'disabled'"


@pytest.mark.parametrize("errors", [[{}], [{"field": "name"}], [{"field": 1, "message": "x"}], ["x"], "x", None])
def test_refused_values_without_texts_leave_the_detail(errors: object) -> None:
    explanation = explain_failure(InvalidRequest("Not valid.", errors=errors))
    assert explanation is not None
    assert explanation.sentence == "Not valid."


def test_webhook_without_an_address_blames_the_address(modelyard: Command) -> None:
    ran = modelyard("webhook", "add", "chat")
    assert ran.code == 2
    assert "Invalid value for URL: Use an address that begins with https://." in ran.err
    assert "--name" not in ran.err


def test_refused_values_are_listed_once_each() -> None:
    errors = [
        {"field": "device_name", "message": "It has no visible characters"},
        {"field": "model_type", "message": "String should have at most 64 characters"},
    ]
    refused = InvalidRequest("Not valid: 'device_name', 'model_type'. It has no visible characters.", errors=errors)
    explanation = explain_failure(refused)
    assert explanation is not None
    assert explanation.sentence.splitlines() == [
        "device name: It has no visible characters",
        "model type: Use at most 64 characters",
    ]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Value error, It is too old", "It is too old"),
        ("Input should be greater than 0", "Use a number greater than 0"),
        ("Input should be a valid UUID, invalid character", "Use a whole id"),
        ("List should have at most 64 items after validation, not 65", "Use at most 64 of them"),
        ("String should match pattern '^a$'", "Use visible characters on one line"),
        ("Field required for a new account", "This is missing for a new account"),
        ("A sentence of ours.", "A sentence of ours."),
    ],
)
def test_reword_message_replaces_words_of_the_validator(message: str, expected: str) -> None:
    assert reword_message(message) == expected
