"""List versions, roll back, pull one, note, remove, restore."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.versions.conftest import Files, list_versions
from tests.client.model_files import write_model_file
from tests.server.inspection.builders import build_checkpoint, build_tensorless_checkpoint, call, named, text

pytestmark = pytest.mark.slow


def test_versions_table_fits_80_columns_and_has_notes(pushed: Command) -> None:
    ran = pushed("version", "ls", "ink")
    heading, newest, oldest = ran.out.splitlines()
    assert heading.split() == ["VERSION", "STATUS", "SIZE", "HASH", "CREATED", "BY", "CREATED", "NOTE"]
    assert newest.split()[:2] == ["2", "current"]
    assert newest.endswith("Better hands.")
    assert oldest.split()[:2] == ["1", "replaced"]
    assert pushed("version", "ls", "ink", "-q").out == "2\n1\n"


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


def test_rm_of_pinned_content_names_the_collection_and_needs_force_for_the_model(pushed: Command) -> None:
    assert pushed("collection", "create", "Winter", "ink@1").code == 0
    assert pushed("collection", "pin", "Winter").code == 0
    assert pushed("collection", "subscribe", "Winter", "--label", "gpu24").code == 0
    removed = pushed("version", "rm", "ink", 1)
    assert (removed.code, "The collection 'Winter' pins version 1." in removed.err) == (0, True)
    refused = pushed("rm", "ink", "--yes")
    assert (refused.code, "'Winter'" in refused.err) == (4, True)
    assert "modelyard rm ink --yes --force\n" in refused.err
    assert pushed("rm", "ink", "--yes", "--force").code == 0


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
