"""Lists and results in a real pseudo-terminal: no row is wider than it."""

import csv
import json
import re
from pathlib import Path
from uuid import UUID

import pytest

import modelyard as python_api
from modelyard.cli.terminal.formatting import count_columns
from tests.cli.conftest import Command, sign_in
from tests.cli.terminal_process import run_in_terminal
from tests.client.model_files import write_model_file
from tests.client.server_process import Server, Team

pytestmark = pytest.mark.slow

WIDER = pytest.mark.extended(reason="the same in more columns; 40 columns are in `make check`")
WIDTHS = [40, pytest.param(80, marks=WIDER), pytest.param(200, marks=WIDER)]
NAMES = ("ink", "portrait-of-a-lady-" * 5 + "v2", "墨絵の女" * 6)


@pytest.fixture(scope="module")
def team_with_models(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Return a team with models of a short, a long and a wide name."""
    team, folder = server.new_team(), tmp_path_factory.mktemp("models")
    for number, name in enumerate(NAMES):
        file = write_model_file(folder / f"{name}.safetensors", seed=number)
        with python_api.Registry(team.url, team.token, team.id) as registry:
            registry.push(file, model_type="loras", notes=python_api.Notes(tags=["portrait"]))
    return team


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, team_with_models: Team, modelyard: Command) -> Command:
    """Return a function that runs the program as the owner of a team with models of short, long and wide names."""
    return sign_in(monkeypatch, team_with_models, modelyard)


@pytest.mark.parametrize("columns", WIDTHS)
def test_ls_in_terminal_fits_its_width_and_its_ids_are_usable(listed: Command, columns: int) -> None:
    shown = run_in_terminal("ls", columns=columns)
    assert shown.code == 0
    heading, *rows = shown.rows
    assert heading.split()[0] == "PATH"
    assert heading.split()[-1] == "ID"
    assert max(map(count_columns, shown.rows)) <= columns
    assert len(rows) == 3
    for row in rows:
        assert listed("show", row.split()[-1]).code == 0


@pytest.mark.parametrize("columns", WIDTHS)
def test_lines_about_pushed_files_fit_the_terminal_and_are_whole_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, server: Server, modelyard: Command, tmp_path: Path, columns: int
) -> None:
    in_pipe = sign_in(monkeypatch, server.new_team(), modelyard)
    for number, name in enumerate(NAMES):
        write_model_file(tmp_path / "loras" / f"{name}.safetensors", seed=number)
    shown = run_in_terminal("push", tmp_path, columns=columns)
    assert shown.code == 0, shown.raw
    lines = [row for row in shown.rows if row.startswith("registered")]
    assert len(lines) == 3
    assert max(map(count_columns, lines)) <= columns
    again = [line.split() for line in in_pipe("push", tmp_path).out.splitlines()]
    assert {words[2] for words in again} == {f"models/loras/{name}.safetensors" for name in NAMES}
    assert all(UUID(words[-1]) for words in again)


@pytest.mark.parametrize("columns", WIDTHS[:2])
@pytest.mark.parametrize("command", ["key ls", "member ls", "team ls", "audit", "machine ls", "versions ink"])
def test_other_lists_in_terminal_fit_its_width(listed: Command, command: str, columns: int) -> None:
    shown = run_in_terminal(*command.split(), columns=columns)
    assert shown.code == 0
    assert max(map(count_columns, shown.rows)) <= columns


def test_ls_in_terminal_colours_a_disabled_model_unless_no_color_is_set(listed: Command) -> None:
    listed("disable", "ink")
    assert run_in_terminal("ls", columns=80).has_colors
    assert not run_in_terminal("ls", columns=80, environment={"NO_COLOR": "1"}).has_colors


def test_ls_into_a_pipe_has_whole_paths_and_ids(listed: Command) -> None:
    ran = listed("ls", "ink")
    assert re.search(
        r"^models/loras/ink\.safetensors .* [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", ran.out, re.MULTILINE
    )


def test_ls_wide_in_terminal_cuts_nothing(listed: Command) -> None:
    shown = run_in_terminal("ls", "--format", "wide", columns=40)
    assert "models/loras/ink.safetensors" in shown.raw
    assert any(len(row) > 40 for row in shown.rows)


def test_ls_columns_are_printed_in_the_given_order(listed: Command) -> None:
    heading, row = listed("ls", "ink", "--columns", "size, TYPE,tags").out.splitlines()
    assert heading.split() == ["SIZE", "TYPE", "TAGS"]
    assert row.split()[-2:] == ["loras", "portrait"]


def test_ls_unknown_column_exits_2_and_lists_the_columns(listed: Command) -> None:
    ran = listed("ls", "--columns", "path,colour")
    assert ran.code == 2
    assert "There is no column 'colour'. The columns are: path, name," in ran.err


def test_ls_csv_has_values_for_spreadsheets(listed: Command) -> None:
    ran = listed("ls", "ink", "--columns", "path,size,created", "--format", "csv")
    heading, row = csv.reader(ran.out.splitlines())
    assert heading == ["path", "size", "created"]
    assert row[0] == "models/loras/ink.safetensors"
    assert row[1].isdigit()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", row[2])


def test_ls_csv_without_models_prints_the_names_of_the_columns(listed: Command) -> None:
    assert listed("ls", "nothing", "--columns", "path,id", "--format", "csv").out == "path,id\n"


def test_ls_csv_has_no_formula_and_json_the_exact_name(listed: Command) -> None:
    assert listed("edit", "ink", "--name", "=1+1").code == 0
    query = ("ls", "ink.safetensors")
    assert listed(*query, "--columns", "name,size", "--format", "csv").out.splitlines()[1].startswith("'=1+1,")
    assert json.loads(listed(*query, "--json").out)["model_list"][0]["display_name"] == "=1+1"


def test_version_ls_in_terminal_shows_all_words_of_a_long_note(pushed: Command) -> None:
    note = "Trained on 40 more pictures of hands and faces, with captions that a person wrote; 2,000 steps of batch 4."
    assert pushed("version", "note", "ink", 1, note).code == 0
    shown = run_in_terminal("version", "ls", "ink", columns=80)
    assert max(map(count_columns, shown.rows)) <= 80
    assert note in " ".join(" ".join(shown.rows).split())


def test_versions_is_an_earlier_spelling_of_version_ls(pushed: Command) -> None:
    assert pushed("versions", "ink").out == pushed("version", "ls", "ink").out
    assert "  versions " not in pushed("--help").out


@pytest.mark.parametrize("asked", ["lora", "LoRAs", "loars"])
def test_ls_near_miss_of_a_type_lists_the_known_type_and_says_so(pushed: Command, asked: str) -> None:
    ran = pushed("ls", "--type", asked)
    assert "loras/ink.safetensors" in ran.out
    assert ran.err == f"There is no type '{asked}'. These are the models of the type 'loras'.\n"


@pytest.mark.parametrize("option", ["-q", "--json"])
def test_ls_near_miss_of_a_type_in_a_script_is_refused_with_the_command(pushed: Command, option: str) -> None:
    ran = pushed("ls", option, "--type", "lora", "ink")
    assert ran.code == 4
    assert "loras/ink" not in ran.out
    assert ran.err == (f"There is no type 'lora'.\n  Use the known type: modelyard ls {option} ink --type loras\n")


def test_ls_unknown_type_names_those_of_the_team(pushed: Command) -> None:
    ran = pushed("ls", "--type", "our_masks")
    assert ran.out == "No models.\n"
    assert ran.err == "No model is of the type 'our_masks'. The team's types: loras.\n"


@pytest.mark.parametrize("columns", [80, 400])
def test_audit_in_terminal_has_whole_ids_of_objects_as_its_option_needs_them(listed: Command, columns: int) -> None:
    [event] = json.loads(listed("audit", "--action", "team.created", "--json").out)["audit_event_list"]
    shown = run_in_terminal("audit", columns=columns)
    assert event["object_id"] in "\n".join(shown.rows)
    assert ("OBJECT" in shown.rows[0]) is (columns == 400)
