"""``rm``, ``disable`` and ``restore`` of several models."""

import asyncio
import json
import os
from pathlib import Path

import pytest
import typer

from modelyard.cli.registry.listing import change_each
from modelyard.cli.terminal.output import Output
from modelyard.cli.terminal.terminal import Terminal
from modelyard.client.api.registry import RegistryApi
from modelyard.client.resolve_models import find_models
from modelyard.client.settings import read_settings
from modelyard.transfer.errors import Unreachable
from modelyard.wire.models import Model
from modelyard.wire.problems import SessionEnded, Unauthenticated
from tests.cli.conftest import Command, read_command
from tests.cli.terminal_answers import run_in_terminal
from tests.client.model_files import write_model_file
from tests.client.server_process import Team

pytestmark = pytest.mark.slow


def test_rm_with_one_unknown_name_exits_4_and_removes_nothing(signed_in: Command, ink: Path) -> None:
    signed_in("push", ink)
    ran = signed_in("rm", "ink", "nothing", "--yes")
    assert ran.code == 4
    assert signed_in("ls", "-q").out != ""


@pytest.mark.parametrize("command", ["rm", "disable"])
def test_command_about_several_unknown_names_reports_each_and_changes_nothing(
    signed_in: Command, ink: Path, command: str
) -> None:
    signed_in("push", ink)
    ran = signed_in(command, "ink", "sketch", "kaori", "in")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.splitlines() == [
        "There is no model 'sketch'.",
        "There is no model 'kaori'.",
        "There is no model 'in'.",
        "  Similar: models/loras/ink.safetensors",
        "  List the models: modelyard ls",
    ]
    refused = json.loads(signed_in(command, "ink", "sketch", "kaori", "--json").out)["error"]
    assert [each["detail"] for each in refused["errors"]] == [
        "There is no model 'sketch'.",
        "There is no model 'kaori'.",
    ]
    assert json.loads(signed_in("show", "ink", "--json").out)["model_status"] == "active"


@pytest.fixture
def trash(signed_in: Command, ink: Path) -> list[str]:
    """Return the ids of two models in the trash; the path of the first one is taken by another."""
    other = write_model_file(ink.with_name("sketch.safetensors"), 2000)
    ids = [signed_in("push", each, "--quiet").out.strip() for each in (ink, other)]
    assert signed_in("rm", *ids, "--yes").code == 0
    assert signed_in("push", write_model_file(ink, 3000)).code == 0
    return ids


def test_restore_of_several_goes_on_after_a_refused_one_and_says_what_was_done(
    signed_in: Command, trash: list[str]
) -> None:
    ran = signed_in("restore", *trash)
    assert (ran.code, ran.out) == (4, "Restored models/loras/sketch.safetensors\n")
    assert ran.err.startswith("models/loras/ink.safetensors: ")
    assert "modelyard show loras/ink.safetensors" in ran.err


@pytest.mark.parametrize("command", [("show",), ("pull",), ("edit", "--name", "Sketch 2"), ("rm",)], ids=lambda c: c[0])
def test_command_about_a_model_in_the_trash_names_the_command_that_restores_it(
    signed_in: Command, trash: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = signed_in(*command, "sketch")
    assert (ran.code, ran.err.splitlines()[0]) == (4, "'sketch' is in the trash.")
    assert read_command(ran.err, "Restore loras/sketch.safetensors") == ["restore", trash[1]]
    assert signed_in(*read_command(ran.err, "Restore ")).code == 0
    assert signed_in(*command, "sketch").code == 0


def test_command_about_a_name_of_several_models_in_the_trash_names_the_list_of_the_trash(
    signed_in: Command, trash: list[str]
) -> None:
    assert signed_in("rm", "ink").code == 0
    ran = signed_in("show", "ink")
    assert (ran.code, ran.err.splitlines()) == (
        4,
        ["2 models 'ink' are in the trash.", "  List these 2, to restore one by its id: modelyard ls --deleted"],
    )


def test_restore_of_unknown_name_says_that_it_is_not_in_the_trash_and_how_to_list_that(
    signed_in: Command, trash: list[str]
) -> None:
    ran = signed_in("restore", "inc")
    assert (ran.code, ran.err.splitlines()) == (
        4,
        ["There is no model 'inc' in the trash.", "  List the trash: modelyard ls --deleted"],
    )


def test_restore_of_several_in_json_lists_what_was_done_and_what_failed(signed_in: Command, trash: list[str]) -> None:
    ran = signed_in("restore", *trash, "--json")
    document = json.loads(ran.out)
    (failed,) = document.pop("failed_list")
    assert (ran.code, document) == (4, {"is_success": False, "model_ids": trash[1:], "not_tried_ids": []})
    assert (failed["model_id"], failed["error"]["error_code"]) == (trash[0], "model_path_taken")


@pytest.mark.parametrize(
    ("error", "code"),
    [(Unreachable("The connection was lost."), 5), (SessionEnded("It ended."), 3), (Unauthenticated("Sign in."), 3)],
    ids=["lost connection", "ended session", "no sign-in"],
)
def test_change_each_after_an_error_of_all_models_ends_and_names_those_that_were_not_tried(
    signed_in: Command, ink: Path, team: Team, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    signed_in("push", ink, *(write_model_file(ink.with_name(f"{name}.safetensors"), 2000) for name in ("one", "two")))

    async def change(registry: RegistryApi, model: Model) -> None:
        if "ink" not in model.model_path:
            raise error
        await registry.delete_model(model.id)

    async def load() -> list[Model]:
        async with team.registry() as registry:
            return await find_models(registry, ["ink", "one", "two"])

    terminal = Terminal(read_settings(os.environ, None, None), Output("human"))
    with pytest.raises(typer.Exit) as exit_error:
        change_each(terminal, asyncio.run(load()), change, "Removed {}".format)
    printed = capsys.readouterr()
    assert printed.out == "Removed models/loras/ink.safetensors\n"
    assert exit_error.value.exit_code == code
    assert f"models/loras/one.safetensors: {error}" in printed.err
    assert "Not tried: models/loras/two.safetensors" in printed.err


def test_rm_of_a_model_by_two_names_removes_it_once(signed_in: Command, ink: Path) -> None:
    signed_in("push", ink)
    ran = signed_in("rm", "ink", "loras/ink.safetensors")
    assert (ran.code, ran.out) == (0, "Removed models/loras/ink.safetensors\n")


def test_rm_two_models_without_terminal_exits_2_unless_yes(signed_in: Command, process: Command, ink: Path) -> None:
    signed_in("push", ink, write_model_file(ink.with_name("sketch.safetensors"), 2000))
    refused = process("rm", "ink", "sketch")
    assert refused.code == 2
    assert "add --yes" in refused.err
    assert len(signed_in("ls", "-q").out.splitlines()) == 2
    assert signed_in("rm", "ink", "sketch", "--yes").code == 0
    assert signed_in("ls", "-q").out == ""


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_rm_two_models_in_terminal_asks_and_removes_only_after_yes(
    signed_in: Command, ink: Path, answer: str, code: int
) -> None:
    signed_in("push", ink, write_model_file(ink.with_name("sketch.safetensors"), 2000))
    removed = run_in_terminal("rm", "ink", "sketch", typed=answer)
    assert removed.returncode == code
    assert "Remove these 2 models?" in removed.stderr
    assert (signed_in("ls", "-q").out == "") == (answer == "y")


def test_models_whose_paths_were_sent_with_and_without_their_first_folder_are_shown_alike(
    signed_in: Command, ink: Path
) -> None:
    for path in ("loras/ink.safetensors", "models/loras/sketch.safetensors"):
        assert signed_in("push", write_model_file(ink, len(path) * 100), "--path", path).code == 0
    shown = ["models/loras/ink.safetensors", "models/loras/sketch.safetensors"]
    assert sorted(signed_in("ls", "--columns", "path", "--format", "wide").out.split()) == ["PATH", *shown]
    assert all(path in signed_in("show", path).out for path in shown)
    assert signed_in("disable", *shown).out.splitlines() == [f"Disabled {path}" for path in shown]


def test_ls_as_csv_has_paths_as_they_are_stored(signed_in: Command, ink: Path) -> None:
    assert signed_in("push", ink, "--path", "loras/ink.safetensors").code == 0
    assert signed_in("ls", "--columns", "path", "--format", "csv").out.split() == ["path", "loras/ink.safetensors"]


def test_push_and_rollback_show_a_path_with_models_and_json_has_it_as_stored(signed_in: Command, ink: Path) -> None:
    pushed = signed_in("push", ink, "--path", "loras/ink.safetensors")
    assert pushed.out.startswith("registered  models/loras/ink.safetensors  ")
    assert signed_in("push", write_model_file(ink, seed=2), "--to", "ink").code == 0
    rolled_back = signed_in("rollback", "ink", "--to", "1", "--json")
    assert json.loads(rolled_back.out)["model_path"] == "loras/ink.safetensors"
