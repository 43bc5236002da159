import json
import subprocess
import sys

import pytest

from modelyard import __version__
from modelyard.cli.main import globals_first
from tests.cli.conftest import Command


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        (["ls", "--json"], ["--json", "ls"]),
        (["push", "a", "--url", "http://x", "-q", "b"], ["--url", "http://x", "-q", "push", "a", "b"]),
        (["ls", "--team=Studio"], ["--team=Studio", "ls"]),
        (["ls", "--", "--json"], ["ls", "--", "--json"]),
        (["ls", "--url"], ["--url", "ls"]),
        ([], []),
    ],
)
def test_global_options_may_stand_anywhere(typed: list[str], understood: list[str]) -> None:
    assert globals_first(typed) == understood


def test_the_program_says_its_version(modelyard: Command) -> None:
    assert modelyard("--version") == (0, f"modelyard {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["nonsense"], ["show"], ["ls", "--nonsense"], ["login", "not-a-url", "a@b"]])
def test_wrong_usage_is_2(modelyard: Command, arguments: list[str]) -> None:
    assert modelyard(*arguments).code == 2


def test_not_signed_in_is_3_with_the_command_that_helps(modelyard: Command) -> None:
    ran = modelyard("ls")
    assert ran.code == 3
    assert ran.out == ""
    assert "modelyard login" in ran.err


def test_an_unreachable_registry_is_5(modelyard: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_TOKEN", "sk-x")
    ran = modelyard("keys", "create", "x", "--url", "http://127.0.0.1:9")
    assert ran.code == 5
    assert "http://127.0.0.1:9" in ran.err


def test_a_failure_is_one_json_document_too(modelyard: Command) -> None:
    ran = modelyard("ls", "--json")
    error = json.loads(ran.out)["error"]
    assert (error["error_code"], error["exit_code"]) == ("unauthenticated", 3)


def test_a_command_of_an_absent_server_says_which_package_brings_it() -> None:
    """With the server's packages hidden, as in the base install."""
    code = (
        "import sys; sys.modules['sqlalchemy'] = None; sys.argv = ['modelyard', 'serve']\n"
        "from modelyard.__main__ import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "pip install 'modelyard[server]'" in ran.stderr


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import modelyard.cli.main as main, sys; main.run(['--help'])\n"
        "print(sorted({'asyncio', 'fastapi', 'httpx2', 'pydantic', 'rich'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
