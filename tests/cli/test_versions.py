"""The commands about versions: push as the next one, list, roll back, pull one, note, remove, restore."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from modelyard.cli.registry.model_columns import describe_state
from modelyard.cli.registry.versions import format_versions
from modelyard.cli.terminal.formatting import count_columns
from modelyard.wire.models import Model
from modelyard.wire.versions import ModelVersion, PendingVersion
from tests.cli.conftest import Command
from tests.cli.terminal_answers import run_in_terminal
from tests.client.model_files import write_model_file
from tests.server.inspection.builders import build_checkpoint, build_tensorless_checkpoint, call, named, text
from tests.server.inspection.test_pickles import CLEAN_FILES

pytestmark = pytest.mark.slow

Files = list[Path]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Three files with one name and different content."""
    return [write_model_file(tmp_path / f"{number}" / "loras" / "ink.safetensors", seed=number) for number in (1, 2, 3)]


@pytest.fixture
def pushed(signed_in: Command, files: Files) -> Command:
    """The program, after two versions of one model were pushed."""
    assert signed_in("push", files[0], "--note", "First try.").code == 0
    ran = signed_in("push", files[1], "--to", "ink", "--note", "Better\nhands.")
    assert ran.code == 0, ran.err
    return signed_in


def list_versions(command: Command, *options: str) -> list[tuple[int, str]]:
    document = json.loads(command("version", "ls", "ink", "--json", *options).out)
    return [(each["version"], each["version_status"]) for each in document["version_list"]]


def test_push_to_model_uploads_next_version_and_keeps_name_and_path(
    signed_in: Command, files: Files, tmp_path: Path
) -> None:
    signed_in("push", files[0], "--name", "Ink 1")
    trained = write_model_file(tmp_path / "epoch-20.safetensors", seed=9)
    ran = signed_in("push", trained, "--to", "Ink 1", "--json")
    (done,) = json.loads(ran.out)["files"]
    assert (ran.code, done["outcome"], done["version"]) == (0, "new version", 2)
    assert (done["model"]["display_name"], done["model"]["model_path"]) == ("Ink 1", "models/loras/ink.safetensors")


def test_push_of_version_as_large_as_the_first_needs_its_size_once_in_the_quota(
    signed_in: Command, files: Files
) -> None:
    sizes = [file.stat().st_size for file in files[:2]]
    assert sizes[0] == sizes[1]
    assert signed_in("push", files[0]).code == 0
    assert signed_in("team", "settings", "--quota", sum(sizes)).code == 0
    ran = signed_in("push", files[1], "--to", "ink")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("options", [("--path", "models/loras/x.safetensors"), ("--type", "vae"), ("more",)])
def test_push_to_model_with_path_type_or_second_file_exits_2(
    signed_in: Command, files: Files, options: tuple[str, ...]
) -> None:
    signed_in("push", files[0])
    extra = [files[2] if option == "more" else option for option in options]
    assert signed_in("push", files[1], *extra, "--to", "ink").code == 2
    assert list_versions(signed_in) == [(1, "current")]


def test_push_other_content_without_terminal_exits_4_unless_replace(
    signed_in: Command, process: Command, files: Files
) -> None:
    signed_in("push", files[0])
    refused = process("push", files[1])
    assert refused.code == 4
    assert f"modelyard push {files[1]} --replace" in refused.err
    replaced = process("push", files[1], "--replace")
    assert replaced.code == 0, replaced.err
    assert replaced.out.startswith("new version  models/loras/ink.safetensors  ")
    assert ", version 2  " in replaced.out


@pytest.mark.parametrize("number", [0, 1], ids=["the same content", "the next version"])
def test_push_other_spelling_of_path_says_that_the_model_keeps_its_own(
    signed_in: Command, files: Files, number: int
) -> None:
    signed_in("push", files[0])
    ran = signed_in("push", files[number], "--path", "models/loras/INK.safetensors", "--replace", "--json")
    kept, sent = "models/loras/ink.safetensors", "models/loras/INK.safetensors"
    [done] = json.loads(ran.out)["files"]
    assert done["ignored"] == [{"field": "model_path", "sent": sent, "kept": kept}]
    assert f'The model keeps its path "{kept}", so "{sent}" was not used.' in ran.err
    assert f"modelyard edit loras/ink.safetensors --path {sent}" in ran.err


def test_push_same_content_to_other_spelling_of_type_suggests_a_command_that_succeeds(
    signed_in: Command, files: Files
) -> None:
    assert signed_in("push", files[0], "--path", "models/Styles/ink.safetensors", "--new-type").code == 0
    ran = signed_in("push", files[0], "--path", "models/styles/ink.safetensors", "--new-type")
    [command] = re.findall(r"To change it: modelyard (.*)", ran.err)
    edited = signed_in(*shlex.split(command))
    assert edited.code == 0, edited.err
    assert json.loads(signed_in("show", "ink", "--json").out)["model_path"] == "models/styles/ink.safetensors"


def test_push_same_content_to_other_case_of_a_type_of_comfyui_suggests_the_path_below_its_name(
    signed_in: Command, files: Files
) -> None:
    assert signed_in("push", files[0], "--path", "models/loras/ink.safetensors").code == 0
    ran = signed_in("push", files[0], "--path", "LORAS/INK.safetensors", "--new-type")
    [command] = re.findall(r"To change it: modelyard (.*)", ran.err)
    edited = signed_in(*shlex.split(command))
    assert edited.code == 0, edited.err
    assert json.loads(signed_in("show", "ink", "--json").out)["model_path"] == "loras/INK.safetensors"


@pytest.mark.parametrize(("answer", "code", "count"), [("y", 0, 2), ("n", 4, 1)])
def test_push_other_content_in_terminal_asks_and_uploads_only_after_yes(
    signed_in: Command, files: Files, answer: str, code: int, count: int
) -> None:
    signed_in("push", files[0])
    other = write_model_file(files[1].with_name("other.safetensors"), 2000)
    ran = run_in_terminal("push", files[1], other, typed=answer)
    assert ran.returncode == code, ran.stderr
    assert "Upload ink.safetensors as version 2 of models/loras/ink.safetensors?" in ran.stderr
    assert ("Upload yours as its next version" in ran.stderr) == (answer == "n")
    assert len(list_versions(signed_in)) == count
    assert len(signed_in("ls", "-q").out.splitlines()) == 2


def test_push_same_content_suggests_each_tag_as_typed(pushed: Command, files: Files) -> None:
    ran = pushed("push", files[1], "--tag", "a, b", "--tag", "c")
    assert ran.err.endswith("To change it: modelyard edit loras/ink.safetensors --tag 'a, b' --tag c\n")


def test_push_same_content_with_other_note_and_details_says_what_is_not_used_and_how_to_set_it(
    pushed: Command, files: Files
) -> None:
    ran = pushed("push", files[1], "--note", "It's sharper", "--license", "MIT", "--tag", "a b", "--tag", "c")
    assert ran.out.startswith("already there ")
    assert f"{files[1]}: Version 2 keeps its note" in ran.err
    assert f'{files[1]}: The model is not changed and has no licence, so "MIT" was not used.' in ran.err
    commands = re.findall(r"To change it: modelyard (.*)", ran.err)
    assert len(commands) == 3
    for command in commands:
        assert pushed(*shlex.split(command)).code == 0
    shown = json.loads(pushed("show", "ink", "--json").out)
    assert (shown["license"], shown["tags"]) == ("MIT", ["a b", "c"])
    assert json.loads(pushed("version", "ls", "ink", "--json").out)["version_list"][0]["note"] == "It's sharper"
    again = pushed("push", files[1], "--note", "It's sharper", "--license", "MIT", "--tag", "c", "--tag", "a b")
    assert again.err == ""


def test_push_content_of_earlier_version_without_replace_offers_rollback(pushed: Command, files: Files) -> None:
    ran = pushed("push", files[0])
    assert ran.code == 4
    assert "This file is the same as its version 1." in ran.err
    command = next(line for line in ran.err.splitlines() if "modelyard rollback" in line)
    assert pushed(*command.partition("modelyard ")[2].split()).code == 0
    assert list_versions(pushed) == [(2, "replaced"), (1, "current")]


def test_push_content_of_earlier_version_in_terminal_asks_with_rollback_command(pushed: Command, files: Files) -> None:
    ran = run_in_terminal("push", files[0], typed="n")
    assert ran.returncode == 4
    command = "modelyard rollback loras/ink.safetensors --to 1"
    assert f"ink.safetensors is the same as version 1. To go back to that one: {command}" in ran.stderr
    assert list_versions(pushed) == [(2, "current"), (1, "replaced")]


@pytest.mark.parametrize(
    ("option", "start"), [((), "would be refused"), (("--replace",), "would make version 3 (the same as version 1)")]
)
def test_dry_run_of_content_of_earlier_version_has_the_command_that_goes_back_to_it(
    pushed: Command, files: Files, option: tuple[str, ...], start: str
) -> None:
    ran = pushed("push", files[0], *option, "--dry-run")
    assert ran.out.startswith(start)
    command = ran.out.partition("To go back to version 1 instead: modelyard ")[2].splitlines()[0]
    assert pushed(*command.split()).code == 0
    assert list_versions(pushed) == [(2, "replaced"), (1, "current")]
    # The newest version is not the current one now.
    again = pushed("push", files[1], "--dry-run")
    assert (again.code, "modelyard rollback loras/ink.safetensors --to 2" in again.out) == (4, True)


def test_push_content_of_earlier_version_with_replace_makes_a_version_and_says_which_it_equals(
    pushed: Command, files: Files
) -> None:
    dry = pushed("push", files[0], "--replace", "--dry-run")
    assert dry.out.startswith("would make version 3 (the same as version 1)  ")
    ran = pushed("push", files[0], "--replace")
    assert (ran.code, list_versions(pushed)[0]) == (0, (3, "current"))
    back, removal = re.findall(r"modelyard ((?:rollback|version rm) [^,\n]*)", ran.err)
    assert "Version 3 is the same as version 1." in ran.err
    assert pushed(*back.split()).code == 0
    assert pushed(*removal.split()).code == 0
    assert list_versions(pushed) == [(2, "replaced"), (1, "current")]


def test_push_of_refused_content_that_is_an_older_version_offers_rollback_first(
    signed_in: Command, tmp_path: Path
) -> None:
    """What is at the path comes before the checks of the content, of which the team's rule may have changed."""
    assert signed_in("team", "settings", "--pickle-policy", "scan").code == 0
    files = [tmp_path / f"{number}" / "checkpoints" / "ink.ckpt" for number in (1, 2)]
    for file, content in zip(files, (CLEAN_FILES["torch zip"], CLEAN_FILES["one tensor"]), strict=True):
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        pushed = signed_in("push", file, "--replace")
        assert pushed.code == 0, pushed.err
    assert signed_in("rollback", "ink").code == 0
    assert signed_in("team", "settings", "--pickle-policy", "block").code == 0

    newest, other = signed_in("push", files[1]), tmp_path / "3" / "checkpoints" / "ink.ckpt"
    other.parent.mkdir(parents=True)
    other.write_bytes(CLEAN_FILES["torch zip"] + b" ")
    assert "modelyard rollback checkpoints/ink.ckpt --to 2" in newest.err
    assert "not current" in signed_in("push", files[1], "--dry-run").out
    assert "other content is at" in signed_in("push", other).err
    assert "other content is there" in signed_in("push", other, "--dry-run").out
    assert "This is a pickle file" in signed_in("push", other, "--replace").err
    assert "This is a pickle file" in signed_in("push", other, "--replace", "--dry-run").out


def test_push_newest_content_after_rollback_exits_4_with_command_that_makes_it_current(
    pushed: Command, files: Files
) -> None:
    pushed("rollback", "ink")
    ran = pushed("push", files[1], "--to", "ink")
    assert ran.code == 4
    command = next(line for line in ran.err.splitlines() if "modelyard rollback" in line)
    assert pushed(*command.partition("modelyard ")[2].split()).code == 0
    assert list_versions(pushed) == [(2, "current"), (1, "replaced")]


def test_versions_table_fits_80_columns_and_has_notes(pushed: Command) -> None:
    ran = pushed("version", "ls", "ink")
    heading, newest, oldest = ran.out.splitlines()
    assert heading.split() == ["VERSION", "STATUS", "SIZE", "HASH", "CREATED", "BY", "CREATED", "NOTE"]
    assert newest.split()[:2] == ["2", "current"]
    assert newest.endswith("Better hands.")
    assert oldest.split()[:2] == ["1", "replaced"]
    assert pushed("version", "ls", "ink", "-q").out == "2\n1\n"


def build_version(**changed: Any) -> ModelVersion:
    return ModelVersion.model_validate(
        {
            "version": 123,
            "version_status": "superseded",
            "file_hash": "sha256:" + "ab" * 32,
            "file_size": 123_456_789,
            "blake3_hash": None,
            "verification": "verified",
            "verification_error": None,
            "created_by": {"kind": "user", "id": None, "display_name": "Augusta Ada King, Countess of Lovelace"},
            "created_at": "2026-01-01T00:00:00Z",
            "promoted_at": None,
            "note": "Trained on forty more pictures of hands.",
            "metadata": {},
            "preview_url": None,
            "preview_color": None,
        }
        | changed
    )


def test_format_versions_wraps_notes_to_given_columns() -> None:
    each = build_version()
    table = list(map(str, format_versions([each], 80)))
    assert max(map(count_columns, table)) <= 80
    assert " ".join(" ".join(table[2:]).split()) == " ".join((each.note or "").split())
    assert str(format_versions([each], None)[1]).endswith("of hands.")


def test_rollback_activates_previous_version_and_prints_command_that_undoes_it(pushed: Command) -> None:
    ran = pushed("rollback", "ink")
    assert ran.code == 0
    assert "Version 1 of models/loras/ink.safetensors is current now; it was version 2." in ran.out
    assert list_versions(pushed) == [(2, "replaced"), (1, "current")]
    undo = next(line for line in ran.err.splitlines() if line.startswith("To undo: modelyard "))
    document = json.loads(pushed(*undo.removeprefix("To undo: modelyard ").split(), "--json").out)
    assert (document["version"], document["previous_version"]) == (2, 1)
    assert list_versions(pushed) == [(2, "current"), (1, "replaced")]


def test_rollback_after_another_push_does_not_return_to_what_was_rolled_back(pushed: Command, files: Files) -> None:
    pushed("push", files[2], "--replace")
    assert json.loads(pushed("rollback", "ink", "--json").out)["version"] == 2
    pushed("push", write_model_file(files[2], seed=4), "--replace")
    rolled_back = [json.loads(pushed("rollback", "ink", "--json").out)["version"] for _ in range(2)]
    assert rolled_back == [2, 1]
    assert list_versions(pushed) == [(4, "replaced"), (3, "replaced"), (2, "replaced"), (1, "current")]


def test_rollback_without_earlier_version_exits_4_and_to_unknown_one_too(signed_in: Command, files: Files) -> None:
    signed_in("push", files[0])
    assert "no earlier version" in signed_in("rollback", "ink").err
    assert signed_in("rollback", "ink").code == 4
    assert signed_in("rollback", "ink", "--to", "7").code == 4
    current = signed_in("rollback", "ink", "--to", "1")
    assert (current.code, "current already" in current.out) == (0, True)


def test_rollback_skips_versions_that_were_never_current(pushed: Command, files: Files) -> None:
    pushed("push", files[2], "--replace")
    pushed("version", "rm", "ink", "2")
    assert json.loads(pushed("rollback", "ink", "--json").out)["version"] == 1


def test_pull_version_downloads_its_content(pushed: Command, files: Files, tmp_path: Path) -> None:
    ran = pushed("pull", "ink@1", "-o", tmp_path / "old")
    assert ran.code == 0, ran.err
    assert ran.out.rstrip().endswith(", version 1")
    assert (tmp_path / "old/ink.safetensors").read_bytes() == files[0].read_bytes()
    assert pushed("pull", "ink", "-o", tmp_path / "new").code == 0
    assert (tmp_path / "new/ink.safetensors").read_bytes() == files[1].read_bytes()
    assert pushed("pull", "ink@9", "-o", tmp_path).code == 4


def test_version_note_changes_and_clears_note(pushed: Command) -> None:
    assert pushed("version", "note", "ink", 1, "Only a test.").code == 0
    assert "Only a test." in pushed("version", "ls", "ink").out
    assert pushed("version", "note", "ink", 1, "").code == 0
    assert "Only a test." not in pushed("version", "ls", "ink").out


def test_version_rm_prints_restore_command_that_restores_it(pushed: Command) -> None:
    removed = pushed("version", "rm", "ink", 1)
    assert removed.code == 0
    assert list_versions(pushed) == [(2, "current")]
    assert list_versions(pushed, "--deleted") == [(1, "replaced")]
    line = next(line for line in removed.err.splitlines() if "version restore" in line)
    assert pushed(*line.partition("modelyard ")[2].split()).code == 0
    assert list_versions(pushed) == [(2, "current"), (1, "replaced")]


def test_version_rm_current_version_exits_4_with_rollback_command(pushed: Command) -> None:
    ran = pushed("version", "rm", "ink", 2)
    assert ran.code == 4
    assert "modelyard rollback ink --to 1\n" in ran.err
    assert "modelyard rm ink\n" in ran.err


def test_version_rm_only_version_advises_no_rollback(signed_in: Command, tmp_path: Path) -> None:
    assert signed_in("push", write_model_file(tmp_path / "loras" / "ink.safetensors")).code == 0
    ran = signed_in("version", "rm", "ink", 1)
    assert ran.code == 4
    assert "modelyard rollback" not in ran.err
    assert "modelyard rm ink\n" in ran.err
    back = signed_in("rollback", "ink")
    assert (back.code, back.err.count("modelyard version ls")) == (4, 2)
    assert "no earlier version" in back.err.splitlines()[0]


def test_failed_version_is_shown_with_reason_and_marked_in_list(signed_in: Command, tmp_path: Path) -> None:
    signed_in("team", "settings", "--pickle-policy", "scan")
    file = tmp_path / "checkpoints" / "ink.pt"
    file.parent.mkdir()
    file.write_bytes(build_checkpoint())
    assert signed_in("push", file).code == 0
    file.write_bytes(build_tensorless_checkpoint(call(named("os", "system"), text("true"))))
    refused = signed_in("push", file, "--replace")
    assert refused.code == 4
    assert "Version 1 stays the current one." in refused.err

    shown = signed_in("show", "ink").out
    assert re.search(r"^version +1 \(2 versions\)$", shown, re.MULTILINE)
    assert re.search(r"^hugging face +team/checkpoints__ink\.", shown, re.MULTILINE)
    assert re.search(r"^new version +2, failed: This file names 'os.system'", shown, re.MULTILINE)
    assert "verified, v2 failed" in signed_in("ls").out
    listed = signed_in("version", "ls", "ink").out
    assert "Version 2 failed: This file names 'os.system'" in listed
    assert list_versions(signed_in) == [(2, "failed"), (1, "current")]


def test_format_versions_says_why_one_failed_one_is_damaged_and_one_waits() -> None:
    failed = build_version(
        version=1, version_status="failed", verification="failed", verification_error="It is no model."
    )
    damaged = build_version(
        version=3, version_status="current", verification="failed", verification_error="The file is missing."
    )
    waiting = build_version(version=2, verification="pending", verification_error="The inspection failed.")
    lines = list(map(str, format_versions([damaged, waiting, failed], 80)))
    assert "current, damaged" in lines[1]
    assert lines[-3:] == [
        "Version 3 is damaged: The file is missing.",
        "Version 2 is not verified yet: The inspection failed.",
        "Version 1 failed: It is no model.",
    ]


@pytest.mark.parametrize(
    ("pending", "state"),
    [
        (None, "damaged"),
        (PendingVersion(version=1, verification="failed", verification_error="It is no model."), "failed"),
        (PendingVersion(version=2, verification="pending", verification_error=None), "damaged, v2 pending"),
    ],
    ids=["verified once", "never verified", "verified once, and pushed anew"],
)
def test_describe_state_calls_damaged_what_was_verified_once(pending: PendingVersion | None, state: str) -> None:
    fields: dict[str, Any] = {"version": 1, "verification": "failed", "model_status": "active"}
    model = Model.model_construct(**fields | {"pending_version": pending})
    assert describe_state(model) == state
