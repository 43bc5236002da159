"""Remedies have the words of the command, so that they can be pasted as they stand."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from modelyard.cli.terminal.formatting import quote_word
from tests.cli.conftest import Command
from tests.client.model_files import write_model_file
from tests.client.server_process import Team


def _find_command(text: str, start: str) -> list[str]:
    """Return the words, after ``modelyard``, of the command on the line that begins with ``start``."""
    line = next(each for each in text.splitlines() if each.strip().startswith(start) and "modelyard " in each)
    return shlex.split(line.partition("modelyard ")[2])


@pytest.mark.parametrize(
    "words",
    [("rollback", "ink", "--to", 7), ("pull", "ink@7"), ("collection", "create", "Look", "ink@7")],
    ids=lambda words: words[0],
)
def test_remedies_name_the_model_that_was_typed(pushed: Command, words: tuple[object, ...]) -> None:
    ran = pushed(*words)
    assert ran.code == 4
    commands = re.findall(r"modelyard (.*)", ran.err)
    assert commands == ["version ls ink", "version ls ink --deleted"]
    for command in commands:
        assert pushed(*shlex.split(command)).code == 0


def test_remedy_of_pull_replaces_the_refused_file_and_no_other(pushed: Command, tmp_path: Path) -> None:
    here, there = tmp_path / "ink.safetensors", tmp_path / "other folder"
    there.mkdir()
    for folder in (tmp_path, there):
        (folder / "ink.safetensors").write_bytes(b"other")
    ran = pushed("pull", "-o", there, "ink@1")
    again = _find_command(ran.err, "Replace")
    assert again == ["pull", "-o", str(there), "ink@1", "--force"]
    assert pushed(*again).code == 0
    assert here.read_bytes() == b"other"


def test_remedy_of_pull_adds_its_option_before_the_end_of_options(pushed: Command, tmp_path: Path) -> None:
    (tmp_path / "ink.safetensors").write_bytes(b"other")
    ran = pushed("pull", "-o", tmp_path, "--", "ink")
    again = _find_command(ran.err, "Replace")
    assert again == ["pull", "-o", str(tmp_path), "--force", "--", "ink"]
    assert pushed(*again).code == 0


def test_remedy_of_pull_of_several_models_replaces_the_refused_file_and_no_other(
    pushed: Command, tmp_path: Path
) -> None:
    (tmp_path / "ink.safetensors").write_bytes(b"other")
    moss = write_model_file(tmp_path / "moss" / "moss.safetensors", seed=8)
    assert pushed("push", moss, "--type", "loras").code == 0
    ran = pushed("pull", "ink@1", "-o", tmp_path, "--", "moss")
    assert (ran.code, ran.out.startswith(f"pulled  {tmp_path / 'moss.safetensors'}")) == (4, True)
    assert ran.err.startswith("models/loras/ink.safetensors: ")
    assert ran.err.splitlines()[-1].startswith("2 files: 1 pulled, 1 not pulled.")
    again = _find_command(ran.err, "Replace")
    assert again == ["pull", "ink@1", "-o", str(tmp_path), "--force", "--"]
    assert pushed(*again).code == 0


def test_pull_of_several_models_as_json_has_an_entry_for_each(pushed: Command, tmp_path: Path) -> None:
    (tmp_path / "ink.safetensors").write_bytes(b"other")
    moss = write_model_file(tmp_path / "moss" / "moss.safetensors", seed=8)
    assert pushed("push", moss, "--type", "loras").code == 0
    ran = pushed("pull", "moss", "ink", "-o", tmp_path, "--json")
    done, failed = json.loads(ran.out)["files"]
    assert (ran.code, done["outcome"], failed["outcome"], failed["file"]) == (4, "pulled", "failed", None)
    assert failed["error"]["error_code"] == "TargetExists"
    assert failed["model"]["model_path"] == "models/loras/ink.safetensors"


def test_remedies_and_undos_are_about_the_typed_team(pushed: Command, tmp_path: Path) -> None:
    assert pushed("team", "create", "Team B").code == 0
    for seed in (11, 12):
        file = write_model_file(tmp_path / "ink.safetensors", seed=seed)
        assert pushed("--team", "Team B", "push", file, "--type", "loras", "--replace").code == 0
    refused = pushed("version", "rm", "ink", 2, "--team", "Team B")
    assert _find_command(refused.err, "Make the version")[:2] == ["--team", "Team B"]
    assert _find_command(refused.err, "Remove the whole")[:2] == ["--team", "Team B"]
    moved = pushed("--team", "Team B", "rollback", "ink")
    undo = _find_command(moved.err, "To undo")
    assert undo == ["--team", "Team B", "rollback", "loras/ink.safetensors", "--to", "2"]
    assert pushed(*undo).code == 0


def test_remedy_of_a_file_whose_name_begins_with_a_hyphen_names_it_as_a_file(
    pushed: Command, process: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_model_file(Path("-ink.safetensors"), seed=7)
    write_model_file(Path("moss.safetensors"), seed=8)
    assert pushed("push", tmp_path / "moss.safetensors", "--path", "loras/-ink.safetensors").code == 0
    ran = process("push", ".", "--type", "loras", "--no-wait")
    again = _find_command(ran.err, "Upload yours")
    assert again[:2] == ["push", "./-ink.safetensors"]
    assert process(*again).code == 0


def test_command_that_sets_an_unused_note_repeats_it_exactly(pushed: Command, tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "new.safetensors", seed=9)
    assert pushed("push", file, "--type", "loras").code == 0
    note = "first line\nit's the \\ second\t" + "long " * 150
    ran = pushed("push", file, "--type", "loras", "--note", note)
    command = next(line for line in ran.err.splitlines() if "version note" in line).partition("modelyard ")[2]
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True
    ).stdout.split("\0")[:-1]
    assert words == ["version", "note", "loras/new.safetensors", "1", note]


def test_remedies_of_a_push_name_each_file(pushed: Command, tmp_path: Path) -> None:
    folder = tmp_path / "my models" / "loras"
    write_model_file(folder / "ink.safetensors", seed=7)
    write_model_file(folder / "moss.safetensors", seed=8)
    ran = pushed("push", folder, "--tag", "own")
    again = _find_command(ran.err, "Upload yours")
    assert again == ["push", str(folder / "ink.safetensors"), "--tag", "own", "--replace"]
    assert pushed(*again).code == 0


def test_remedies_of_a_push_keep_its_options(pushed: Command, tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "new.safetensors", seed=9)
    ran = pushed("push", file, "--path", "loras/ink.safetensors", "--note", "a note", "--no-wait")
    replace = _find_command(ran.err, "Upload yours")
    assert replace[2:] == ["--path", "loras/ink.safetensors", "--note", "a note", "--no-wait", "--replace"]
    assert pushed(*replace).code == 0


def test_remedies_of_several_models_name_none(pushed: Command) -> None:
    ran = pushed("pull", "ink@7", "loras/ink.safetensors")
    assert _find_command(ran.err, "List them") == ["version", "ls", "MODEL"]


def test_remedies_of_a_used_up_quota_do_not_remove_the_typed_model(pushed: Command, tmp_path: Path) -> None:
    assert pushed("team", "settings", "--quota", 1).code == 0
    ran = pushed("push", write_model_file(tmp_path / "new.safetensors", seed=9), "--to", "ink")
    assert ran.code == 4
    assert "modelyard rm" not in ran.err


def test_remedy_signs_in_to_the_selected_registry(
    signed_in: Command, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELYARD_TOKEN")
    ran = signed_in("ls")
    assert ran.code == 3
    assert _find_command(ran.err, "Sign in") == ["login", team.url, "EMAIL"]


def test_remedy_of_a_refused_token_names_its_variable(signed_in: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_TOKEN", "sk-unknown")
    ran = signed_in("ls")
    assert ran.code == 3
    assert ran.err.splitlines()[1:] == ["  Unset MODELYARD_TOKEN, or set a valid key."]


def test_remedy_of_an_address_that_is_invited_withdraws_its_invitation(signed_in: Command) -> None:
    assert signed_in("invite", "create", "joe@studio.example").code == 0
    ran = signed_in("invite", "create", "Joe@studio.example", "--role", "viewer")
    assert ran.code == 4
    withdraw, again = _find_command(ran.err, "Withdraw"), _find_command(ran.err, "Then")
    assert again == ["invite", "create", "Joe@studio.example", "--role", "viewer"]
    assert signed_in(*withdraw).code == 0
    assert signed_in(*again).code == 0


def test_remedy_of_pairing_with_a_dead_address_is_that_of_machines(modelyard: Command) -> None:
    ran = modelyard("agent", "pair", "--url", "http://127.0.0.1:9")
    assert ran.code == 5
    assert "modelyard agent pair --url URL" in ran.err
    assert "modelyard login" not in ran.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ink", "ink"),
        ("ink@2", "ink@2"),
        (r"C:\models\ink.safetensors", r"C:\models\ink.safetensors"),
        ("my ink", '"my ink"'),
        ("a&b", '"a&b"'),
        ("a,b", '"a,b"'),
        ("", '""'),
        ('say "hi"', r'"say \"hi\""'),
        ("my models\\", '"my models\\\\"'),
    ],
)
def test_quote_word_on_windows_uses_double_quotes(text: str, expected: str) -> None:
    assert quote_word(text, "win32") == expected
