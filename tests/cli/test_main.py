import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command, get_group

from modelyard import __version__
from modelyard.build import get_build_id
from modelyard.cli.command_search import SYNONYMS
from modelyard.cli.command_tree import app as client_app
from modelyard.cli.command_tree import move_global_options_first
from modelyard.cli.commands import CLIENT_COMMANDS, COMMAND_GROUPS, HIDDEN_COMMANDS, SERVER_COMMANDS
from modelyard.cli.registry.machines.machine import machine
from modelyard.server.main import app as server_app
from tests.cli.conftest import Command

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("arguments", "reordered"),
    [
        (["ls", "--json"], ["--json", "ls"]),
        (["push", "a", "--url", "http://x", "-q", "b"], ["--url", "http://x", "-q", "push", "a", "b"]),
        (["ls", "--team=Studio"], ["--team=Studio", "ls"]),
        (["ls", "--", "--json"], ["ls", "--", "--json"]),
        (["ls", "--url"], ["--url", "ls"]),
        (
            ["webhook", "edit", "chat", "--team", "Studio", "--url=http://y"],
            ["--team", "Studio", "webhook", "edit", "chat", "--url=http://y"],
        ),
        (["--url", "http://x", "webhook", "edit", "--url", "http://y"],) * 2,
        (["webhook", "add", "http://y", "--url", "http://x"], ["--url", "http://x", "webhook", "add", "http://y"]),
        ([], []),
    ],
)
def test_move_global_options_first_keeps_other_arguments_in_order(arguments: list[str], reordered: list[str]) -> None:
    assert move_global_options_first(arguments) == reordered


def test_version_option_prints_version_and_build(modelyard: Command) -> None:
    assert modelyard("--version") == (0, f"modelyard {__version__} (build {get_build_id()})\n", "")


@pytest.mark.parametrize("arguments", [["nonsense"], ["show"], ["ls", "--nonsense"], ["login", "not-a-url", "a@b"]])
def test_invalid_usage_exits_2(modelyard: Command, arguments: list[str]) -> None:
    assert modelyard(*arguments).code == 2


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["machne", "ls"], "'machine'"),
        (["serv"], "'serve'"),
        (["machine", "sho"], "'show'"),
        (["keys"], "'key'"),
        (["modls"], "'ls'"),
        (["pair"], "'agent pair' or 'machine add' or 'key ls'"),
    ],
)
def test_mistyped_command_exits_2_and_suggests_similar_name(
    modelyard: Command, arguments: list[str], suggestion: str
) -> None:
    ran = modelyard(*arguments)
    assert ran.code == 2
    assert f"Did you mean {suggestion}?" in ran.err


@pytest.mark.parametrize("name", ["delete", "download", "import", "list", "mv", "rename", "search", "tag", "upload"])
def test_command_of_another_program_suggests_a_command_and_options_that_there_are(
    modelyard: Command, name: str
) -> None:
    ran = modelyard(name, "ink")
    message = " ".join(re.sub("[│╭╮╰╯─]", " ", ran.err).split())
    command, *arguments = message.partition("Use: modelyard ")[2].split()
    usage = modelyard(command, "--help")
    assert (ran.code, usage.code) == (2, 0)
    assert all(option in usage.out for option in arguments if option.startswith("--"))


@pytest.mark.parametrize(
    ("name", "command"), [("rename", "modelyard edit MODEL --name"), ("mv", "modelyard edit MODEL --path")]
)
def test_command_by_the_name_that_others_have_for_it_exits_2_and_names_it(
    modelyard: Command, name: str, command: str
) -> None:
    ran = modelyard(name, "ink")
    assert (ran.code, command in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "command"),
    [(["delete"], "rm MODEL"), (["picture"], "preview set"), (["pair"], "agent pair"), (["modls"], "ls")],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_help_of_a_word_lists_commands_that_do_it_within_80_columns(
    process: Command, words: list[str], command: str
) -> None:
    ran = process("help", *words)
    assert (ran.code, max(map(len, ran.out.splitlines())) <= 80) == (0, True)
    assert ran.out.startswith(f"modelyard {command} ")


def test_help_of_a_word_has_the_lines_of_commands_below_groups(modelyard: Command) -> None:
    listed = json.loads(modelyard("help", "status", "--json").out)["command_list"]
    lines = {each["command"]: each["help"] for each in listed}
    assert lines["machine ls"].startswith("List the machines")
    assert lines["agent status"].startswith("Show what the agent of this machine is doing")
    assert "agent" not in lines


def test_help_of_several_words_lists_only_commands_that_have_most_of_them(modelyard: Command) -> None:
    listed = modelyard("help", "remove", "machine", "--quiet").out.splitlines()
    assert "machine rm" in listed
    assert not {"rm MODEL", "machine ls"} & set(listed)


def test_help_of_a_command_equals_its_own_help(modelyard: Command) -> None:
    assert modelyard("help", "machine", "ls").out == modelyard("machine", "ls", "--help").out
    assert modelyard("help").out == modelyard("--help").out


def test_help_of_a_word_that_no_command_has_exits_2_and_names_the_list_of_all(modelyard: Command) -> None:
    ran = modelyard("help", "xyzzy")
    assert (ran.code, "modelyard --help" in ran.err) == (2, True)


@pytest.mark.parametrize("name", SYNONYMS)
def test_synonym_is_of_commands_that_there_are(name: str) -> None:
    assert name not in {*CLIENT_COMMANDS, *SERVER_COMMANDS}
    client: Any = get_command(client_app)
    for command in SYNONYMS[name]:
        first, *others = command.split()
        assert first in {*CLIENT_COMMANDS, *SERVER_COMMANDS}
        below: Any = None if first in SERVER_COMMANDS else client.get_command(None, first)
        assert not hasattr(below, "commands") or others[0] in below.commands


def test_groups_of_the_help_have_each_command_once() -> None:
    assert sorted(name for names in COMMAND_GROUPS.values() for name in names) == sorted(CLIENT_COMMANDS)


def test_login_device_with_email_or_without_url_exits_2(modelyard: Command) -> None:
    assert modelyard("login", "http://127.0.0.1:9", "ada@studio.example", "--device").code == 2
    assert "modelyard login URL --device" in modelyard("login", "--device").err


def test_server_commands_equal_those_of_server_app_in_order() -> None:
    assert list(SERVER_COMMANDS) == list(get_command(server_app).commands)  # type: ignore[attr-defined] # a group


def test_ls_without_session_exits_3_with_login_command(modelyard: Command) -> None:
    ran = modelyard("ls")
    assert ran.code == 3
    assert ran.out == ""
    assert "modelyard login" in ran.err


def test_key_create_with_unreachable_registry_exits_5_with_address(
    modelyard: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_TOKEN", "sk-x")
    ran = modelyard("key", "create", "x", "--url", "http://127.0.0.1:9")
    assert ran.code == 5
    assert "http://127.0.0.1:9" in ran.err


def test_ls_json_failure_prints_error_document(modelyard: Command) -> None:
    ran = modelyard("ls", "--json")
    error = json.loads(ran.out)["error"]
    assert (error["error_code"], error["exit_code"]) == ("unauthenticated", 3)


@pytest.mark.parametrize(
    ("arguments", "code", "detail"),
    [
        (["login", "http://x", "a@b", "--device", "--json"], "BadParameter", "--device takes no e-mail address"),
        (["show", "--json"], "MissingParameter", "Missing argument 'MODEL'"),
        (["nonsense", "--json"], "UsageError", "No such command 'nonsense'"),
        (["ls", "--json", "--url"], "UsageError", "Missing command"),
    ],
)
def test_usage_error_with_json_prints_one_document(
    modelyard: Command, arguments: list[str], code: str, detail: str
) -> None:
    ran = modelyard(*arguments)
    error = json.loads(ran.out)["error"]
    assert (ran.code, error["error_code"], error["exit_code"], error["fix"]) == (2, code, 2, [])
    assert detail in error["detail"]
    assert detail in ran.err


def test_serve_without_server_packages_names_pip_command() -> None:
    """Hide the server's packages, as in a base installation."""
    code = (
        "import sys; sys.modules['sqlalchemy'] = None; sys.argv = ['modelyard', 'serve']\n"
        "from modelyard.__main__ import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "pip install 'modelyard[server]'" in ran.stderr


def test_serve_whose_run_lacks_a_module_reports_that_module() -> None:
    code = (
        "import sys; sys.argv = ['modelyard', 'serve']\n"
        "import modelyard.server.operator_commands as commands\n"
        "def run(**options): import a_plugin_of_the_server\n"
        "commands.run_registry = run\n"
        "from modelyard.__main__ import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "No module named 'a_plugin_of_the_server'" in ran.stderr
    assert "pip install" not in ran.stderr


HEAVY_PACKAGES = (
    *("PIL", "alembic", "argon2", "asyncio", "botocore", "fastapi", "httpx2", "prometheus_client", "pydantic"),
    *("pydantic_settings", "rich", "sqlalchemy", "tqdm", "uvicorn"),
)


def list_imports(*words: str) -> tuple[set[str], str]:
    """Run a command in a process of its own; return the modules that it has imported, and its standard output."""
    code = (
        f"import sys; sys.argv = ['modelyard', *{words}]\n"
        "from modelyard.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    output, _, modules = ran.stdout.rstrip().rpartition("\n")
    return set(modules.split()), output


@pytest.mark.parametrize(
    ("command", "packages"),
    [
        ("--help", set()),
        ("--version", set()),
        ("serve --help", set()),
        ("storage --help", set()),
        ("collect-garbage --help", set()),
        *((f"{name} --help", {"pydantic"}) for name in CLIENT_COMMANDS if name != "sync"),
        ("sync --help", {"asyncio", "pydantic"}),
    ],
)
def test_help_of_command_imports_only_these_heavy_packages(command: str, packages: set[str], home: Path) -> None:
    modules, _ = list_imports(*command.split())
    assert modules & set(HEAVY_PACKAGES) == packages


# The commands that people run all day: each sends a request or two.
@pytest.mark.parametrize(
    ("command", "calls"),
    [
        ("ls", {"models"}),
        ("facets", {"models"}),
        ("whoami", {"accounts"}),
        ("show loras/ink.safetensors", {"model_batches", "models"}),
    ],
)
def test_command_imports_only_the_calls_and_schemas_of_its_resource(
    command: str, calls: set[str], pushed: Command
) -> None:
    modules, output = list_imports(*command.split())
    prefix = "modelyard.client.api.calls."
    imported = {name.removeprefix(prefix) for name in modules if name.startswith(prefix)}
    assert output
    assert imported - {"channel", "methods"} == calls
    assert not modules & {f"modelyard.wire.{name}" for name in ("batches", "model_folders", "uploads", "workflows")}
    assert modules & set(HEAVY_PACKAGES) == {"asyncio", "httpx2", "pydantic"}


def test_client_commands_are_those_that_their_modules_add() -> None:
    for module in {command.module for command in CLIENT_COMMANDS.values()}:
        app = typer.Typer()
        import_module(f"modelyard.cli.{module}").add_to(app)
        added = get_group(app).commands
        assert set(added) == {
            *(name for name, each in CLIENT_COMMANDS.items() if each.module == module),
            *(name for name, hidden in HIDDEN_COMMANDS.items() if hidden == module),
        }
        groups = {name: command.help for name, command in added.items() if hasattr(command, "commands")}
        assert groups == {name: CLIENT_COMMANDS[name].help for name in groups}


def list_helps(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command below a group or command, itself included."""
    yield words
    context: Any = None
    names = command.list_commands(context) if hasattr(command, "commands") else []
    for name in names:
        yield from list_helps(command.get_command(context, name), (*words, name))


# Without words, the help is that of the client's commands.
SERVER_HELPS = [words for words in list_helps(get_command(server_app)) if words]


@pytest.mark.parametrize("words", [*list_helps(get_command(client_app)), *SERVER_HELPS], ids=" ".join)
def test_help_fits_80_columns_with_whole_summaries_and_no_types_of_lists(
    process: Command, words: tuple[str, ...]
) -> None:
    ran = process(*words, "--help")
    assert ran.code == 0
    assert max(map(len, ran.out.splitlines())) <= 80
    assert not [line for line in ran.out.splitlines() if line.endswith("...") and not line.startswith("Usage")]
    assert "list[" not in ran.out


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (("invite", "create"), "EMAIL"),
        (("login",), "[URL] [EMAIL]"),
        (("show",), "MODEL"),
        (("enable",), "MODEL..."),
        (("pull",), "MODEL[@N]..."),
        (("collection", "rename"), "COLLECTION NEW_NAME"),
        (("ls",), "[QUERY...]"),
        (("reset-password",), "EMAIL"),
    ],
)
def test_usage_line_names_arguments_as_messages_do(process: Command, words: tuple[str, ...], arguments: str) -> None:
    usage = process(*words, "--help").out.splitlines()[0]
    assert usage == f"Usage: modelyard {' '.join(words)} [OPTIONS] {arguments}"


def test_run_again_in_one_process_adds_no_command_twice(modelyard: Command) -> None:
    modelyard("machine", "--help")
    registered = len(machine.registered_commands)
    modelyard("machine", "--help")
    assert len(machine.registered_commands) == registered
