"""The operator's commands where there is no registry: they say where they looked, and create nothing."""

from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from modelyard.server.database.migrations import read_schema_version
from modelyard.server.database.session import Database
from modelyard.server.main import app
from tests.client.server_process import EMAIL, run_server
from tests.postgres import RunningPostgres

pytestmark = pytest.mark.slow

COMMANDS = {
    "collect-garbage --dry-run": ("collect-garbage", "--dry-run"),
    "collect-garbage": ("collect-garbage",),
    "reset-password": ("reset-password", "ada@studio.example"),
    "restore-team": ("restore-team", str(uuid4())),
}
FOLDER_COMMANDS = COMMANDS | {"migrate": ("migrate",), "storage probe": ("storage", "probe")}


@pytest.mark.parametrize("command", FOLDER_COMMANDS.values(), ids=FOLDER_COMMANDS)
def test_command_without_a_registry_in_the_folder_creates_nothing_and_names_the_folder(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1, result.output
    assert [*tmp_path.iterdir()] == []
    assert f'no registry in the folder "{tmp_path / "modelyard-data"}"' in result.stderr
    assert "--data-dir" in result.stderr
    assert "MODELYARD_DATA_DIR" in result.stderr


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_command_on_an_empty_postgresql_database_creates_nothing(
    command: tuple[str, ...], postgres_server: RunningPostgres, tmp_path: Path
) -> None:
    with postgres_server.database() as url:
        environment = {"MODELYARD_DATABASE_URL": url, "MODELYARD_DATA_DIR": str(tmp_path / "data")}
        result = CliRunner().invoke(app, command, env=environment)
        assert result.exit_code == 1, result.output
        assert "MODELYARD_DATABASE_URL is empty" in result.stderr
        database = Database(url)
        assert read_schema_version(database.engine) is None
        database.close()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("public_url", "address"), [("", "http://127.0.0.1:8400"), ("https://models.example", "https://models.example")]
)
def test_reset_password_warns_of_the_default_address_if_no_public_one_is_set(
    public_url: str, address: str, tmp_path: Path
) -> None:
    with run_server(tmp_path):
        environment = {"MODELYARD_PUBLIC_URL": public_url} if public_url else {}
        command = ("reset-password", EMAIL, "--data-dir", str(tmp_path / "data"))
        result = CliRunner().invoke(app, command, env=environment)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{address}/reset-password?token=")
    assert ("MODELYARD_PUBLIC_URL" in result.stderr) is not bool(public_url)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "many", "Use a whole number."),
        ("STORAGE_URL", "models", "It is: A bucket, and a prefix in it, such as `s3://models/studio`."),
        ("METRICS_PORT", "-1", "Use a number greater than or equal to 0."),
    ],
)
def test_command_with_an_invalid_setting_says_what_the_setting_is(
    name: str, value: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ("migrate",), env={f"MODELYARD_{name}": value})
    assert (result.exit_code, result.stderr) == (2, f"modelyard: MODELYARD_{name} is not valid. {reason}\n")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--port", "70000"), "--port is not valid. Use a number less than or equal to 65535."),
        (("--log-format", "xml"), "--log-format is not valid. Use 'auto', 'json' or 'text'."),
    ],
)
def test_serve_with_an_invalid_option_names_the_option_also_if_the_variable_is_set(
    option: tuple[str, str], message: str
) -> None:
    result = CliRunner().invoke(app, ("serve", *option), env={"MODELYARD_PORT": "8400"})
    assert (result.exit_code, result.stderr) == (2, f"modelyard: {message}\n")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--tls-cert", "nowhere"), 'The file "nowhere" of MODELYARD_TLS_CERT or --tls-cert cannot be read'),
        (("--tls-cert", "text"), '"text" and its key do not belong together, or are no PEM files'),
        (("--tls-cert", "text", "--tls-key", "nowhere"), "of MODELYARD_TLS_KEY or --tls-key cannot be read"),
        (("--tls-key", "text"), "Set MODELYARD_TLS_CERT"),
    ],
)
def test_serve_with_a_certificate_that_cannot_be_used_creates_nothing_and_says_which(
    options: tuple[str, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no certificate")
    result = CliRunner().invoke(app, ("serve", "--port", "0", *options))
    assert result.exit_code == 1, result.output
    assert reason in result.stderr
    assert not (tmp_path / "modelyard-data").exists()
