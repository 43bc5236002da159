import ast
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from modelyard.__main__ import SERVER_COMMANDS
from modelyard.agent.settings import read_settings as read_agent_settings
from modelyard.cli.main import app as client_app
from modelyard.cli.main import globals_first, run
from modelyard.client.settings import read_settings
from modelyard.server.main import app as server_app
from modelyard.server.settings import Settings
from modelyard.wire.problems import every_problem
from tests.docs.pages import GUIDES, addresses_in, commands_in, problems_in, proofs_in, settings_in, text_of
from tools.reference import openapi_document
from tools.repository import ROOT, tracked_files

ALL_COMMANDS = sorted({tuple(words) for page in GUIDES for words in commands_in(text_of(page))})
PAGES = pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.relative_to(ROOT)))


def place_for_help(words: list[str]) -> int:
    """Where ``--help`` may stand: behind the command, in front of which only global options stand."""
    command: Any = get_command(client_app)
    place = next((place for place, word in enumerate(words) if word in command.commands), len(words))
    while place < len(words) and words[place] in getattr(command, "commands", {}):
        command = command.commands[words[place]]
        place += 1
    # A group would show its own help and not look at a word that names none of its commands.
    stands_before_a_stranger = hasattr(command, "commands") and place < len(words) and words[place][0] != "-"
    return len(words) if stands_before_a_stranger else place


def exit_code_of_help(words: list[str]) -> int:
    """What ``--help`` with these words ends with: 2 if a command or an option is none; nothing is executed."""
    if words[0] in SERVER_COMMANDS:
        with pytest.raises(SystemExit) as ended:
            server_app([words[0], "--help", *words[1:]], prog_name="modelyard")
        return int(str(ended.value.code or 0))
    words = globals_first(words)
    place = place_for_help(words)
    return run([*words[:place], "--help", *words[place:]])


@pytest.mark.parametrize("words", ALL_COMMANDS, ids=" ".join)
def test_every_command_that_a_page_names_can_be_typed(words: tuple[str, ...]) -> None:
    assert exit_code_of_help(list(words)) == 0


@pytest.mark.parametrize("line", ["$ modelyard pusch x", "$ modelyard ls --colour", "$ modelyard team destroy --yes"])
def test_a_command_that_is_none_is_noticed(line: str) -> None:
    (words,) = commands_in(f"```console\n{line}\n```\n")
    assert exit_code_of_help(words) == 2


def test_commands_are_found_wherever_a_reader_types_them() -> None:
    text = (
        "```sh\nA=b modelyard ls | modelyard show x  # why\n```\n"
        "```console\n$ modelyard rm 'a b'\nmodelyard says\n```\n`modelyard`"
    )
    assert commands_in(text + " and `modelyard whoami`") == [["ls"], ["show", "x"], ["rm", "a b"], ["whoami"]]


class Asked(dict[str, str]):
    """An environment that remembers which names were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return default


@PAGES
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    environment = Asked()
    read_settings(environment)
    read_agent_settings(environment)
    server = {f"MODELYARD_{name.upper()}" for name in Settings.model_fields}
    assert settings_in(text_of(page)) - server - environment.names == set()


@pytest.fixture(scope="module")
def patterns() -> list[re.Pattern[str]]:
    """One pattern an address of the API; where an object's id belongs, a page may have ``{id}``, ``$ID`` or an id."""
    addresses = ["/api/v1/openapi.json", *openapi_document()["paths"]]
    return [
        re.compile(re.sub(r"\\\{\w+\\\}", r"(\\{\\w+\\}|\\$\\w+|[0-9a-f-]{36})", re.escape(one))) for one in addresses
    ]


@PAGES
def test_every_address_that_a_page_names_exists(page: Path, patterns: list[re.Pattern[str]]) -> None:
    unknown = {one for one in addresses_in(text_of(page)) if not any(each.fullmatch(one) for each in patterns)}
    assert unknown == set()


def test_an_address_that_is_none_is_noticed(patterns: list[re.Pattern[str]]) -> None:
    (address,) = addresses_in("see `/api/v1/models/$ID/upload`.")
    assert not any(each.fullmatch(address) for each in patterns)


@PAGES
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = proofs_in(text_of(page))
    if named:
        trees = [ast.parse(file.read_text(encoding="utf-8")) for file in tracked_files(".py") if "tests" in file.parts]
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        assert named - {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, functions)} == set()


def test_every_refusal_of_ours_is_a_problem() -> None:
    named = problems_in(text_of(ROOT / "docs" / "decisions" / "0004-our-refusals.md"))
    assert len(named) > 20
    assert named - {kind.slug for kind in every_problem()} == set()


def test_the_first_commands_of_the_readme_are_two_targets() -> None:
    first = re.search(r"```sh\n(.*?)```", text_of(ROOT / "README.md"), re.DOTALL)
    assert first is not None
    assert first[1].split() == ["make", "demo", "make", "test"]
