import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from modelyard.agent.settings import read_settings as read_agent_settings
from modelyard.cli.command_tree import app as client_app
from modelyard.cli.command_tree import move_global_options_first, run
from modelyard.cli.commands import CLIENT_COMMANDS, SERVER_COMMANDS
from modelyard.client.settings import read_settings
from modelyard.server.main import app as server_app
from modelyard.server.settings import Settings
from modelyard.wire.problems import list_problem_classes
from tests.docs.pages import (
    GUIDES,
    find_api_paths,
    find_commands,
    find_problem_names,
    find_settings,
    find_test_names,
    read_page,
)
from tools.reference import build_openapi_document
from tools.repository import ROOT, tracked_files

ALL_COMMANDS = sorted({tuple(words) for page in GUIDES for words in find_commands(read_page(page))})
SETTINGS_OF_TESTS = {"MODELYARD_TEST_PATIENCE"}
PAGES = pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.relative_to(ROOT)))


def find_help_position(words: list[str]) -> int:
    """Return the position at which ``--help`` can be inserted: after the command, or at the end for an unknown one."""
    command: Any = get_command(client_app)
    position = next((position for position, word in enumerate(words) if word in CLIENT_COMMANDS), len(words))
    while position < len(words) and hasattr(command, "commands"):
        below = command.get_command(None, words[position])
        if below is None:
            break
        command, position = below, position + 1
    # A group with ``--help`` would ignore a following word that is none of its commands.
    has_unknown_command = hasattr(command, "commands") and position < len(words) and words[position][0] != "-"
    return len(words) if has_unknown_command else position


def get_help_exit_code(words: list[str]) -> int:
    """Run the command with ``--help``, so that nothing is executed; return the exit code, 2 for an unknown word."""
    if words[0] in SERVER_COMMANDS:
        with pytest.raises(SystemExit) as exit_error:
            server_app([words[0], "--help", *words[1:]], prog_name="modelyard")
        return int(str(exit_error.value.code or 0))
    words = move_global_options_first(words)
    position = find_help_position(words)
    return run([*words[:position], "--help", *words[position:]])


@pytest.mark.parametrize("words", ALL_COMMANDS, ids=" ".join)
def test_command_named_in_docs_is_accepted_by_command_line(words: tuple[str, ...]) -> None:
    assert get_help_exit_code(list(words)) == 0


@pytest.mark.parametrize("line", ["$ modelyard pusch x", "$ modelyard ls --colour", "$ modelyard team destroy --yes"])
def test_unknown_command_or_option_in_docs_is_detected(line: str) -> None:
    (words,) = find_commands(f"```console\n{line}\n```\n")
    assert get_help_exit_code(words) == 2


def test_find_commands_finds_code_blocks_and_inline_code() -> None:
    text = (
        "```sh\nA=b modelyard ls | modelyard show x  # why\n```\n"
        "```console\n$ modelyard rm 'a b'\nmodelyard says\n```\n`modelyard`"
    )
    assert find_commands(text + " and `modelyard whoami`") == [["ls"], ["show", "x"], ["rm", "a b"], ["whoami"]]


class RecordingEnvironment(dict[str, str]):
    """An environment without variables that records the names that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return default


@PAGES
def test_setting_named_in_docs_exists(page: Path) -> None:
    environment = RecordingEnvironment()
    read_settings(environment)
    read_agent_settings(environment)
    server = {f"MODELYARD_{name.upper()}" for name in Settings.model_fields}
    assert find_settings(read_page(page)) - server - environment.names - SETTINGS_OF_TESTS == set()


@pytest.fixture(scope="module")
def patterns() -> list[re.Pattern[str]]:
    """Return a pattern for each path of the API; for an id, a page may have ``{id}``, ``$ID`` or a UUID."""
    paths = ["/api/v1/openapi.json", *build_openapi_document()["paths"]]
    return [
        re.compile(re.sub(r"\\\{\w+\\\}", r"(\\{\\w+\\}|\\$\\w+|[0-9a-f-]{36})", re.escape(path))) for path in paths
    ]


@PAGES
def test_api_path_named_in_docs_is_in_openapi_document(page: Path, patterns: list[re.Pattern[str]]) -> None:
    unknown = {
        path for path in find_api_paths(read_page(page)) if not any(pattern.fullmatch(path) for pattern in patterns)
    }
    assert unknown == set()


def test_unknown_api_path_in_docs_is_detected(patterns: list[re.Pattern[str]]) -> None:
    (path,) = find_api_paths("see `/api/v1/models/$ID/upload`.")
    assert not any(pattern.fullmatch(path) for pattern in patterns)


@pytest.fixture(scope="module")
def test_names() -> set[str]:
    """The names of all tests in Python."""
    files = [file for file in tracked_files(".py") if "tests" in file.parts]
    definition = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
    return {name for file in files for name in definition.findall(file.read_text(encoding="utf-8"))}


@PAGES
def test_test_named_in_docs_exists(page: Path, test_names: set[str]) -> None:
    assert find_test_names(read_page(page)) - test_names == set()


def test_problem_named_in_decision_on_refusals_exists() -> None:
    named = find_problem_names(read_page(ROOT / "docs" / "decisions" / "0004-our-refusals.md"))
    assert len(named) > 20
    assert named - {kind.slug for kind in list_problem_classes()} == set()


def test_readme_first_commands_are_make_demo_and_make_test() -> None:
    first = re.search(r"```sh\n(.*?)```", read_page(ROOT / "README.md"), re.DOTALL)
    assert first is not None
    assert first[1].split() == ["make", "demo", "make", "test"]
