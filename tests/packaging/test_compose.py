"""compose.yaml: valid, and its settings start a registry on the servers that it names, which run from wheels here."""

import json
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.packaging.test_install import INSTALLERS
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.harness import make_model_file
from tools.repository import ROOT

COMPOSE = ROOT / "compose.yaml"
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)\}")


def read_compose_file(variables: dict[str, str]) -> dict[str, Any]:
    """Return the file with the variables of ``.env`` filled in, as Compose does."""
    text = COMPOSE.read_text(encoding="utf-8")
    filled: dict[str, Any] = yaml.safe_load(
        _VARIABLE.sub(lambda match: variables[match[1]] if match[1] in variables else match[2], text)
    )
    return filled


def test_compose_file_is_valid() -> None:
    command = [str(INSTALLERS / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    subprocess.run(command, check=True, timeout=60)


def test_services_of_compose_file_form_a_registry(tmp_path: Path) -> None:
    password, secret = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    storage = RunningSeaweed()
    storage.access_key, storage.secret_key = "modelyard", secret
    with RunningPostgres(password=password) as database, storage:
        database.execute("CREATE DATABASE modelyard")
        variables = {"POSTGRES_PASSWORD": password, "STORAGE_SECRET_KEY": secret, "STORAGE_ENDPOINT": storage.endpoint}
        compose = read_compose_file(variables)
        (identity,) = json.loads(compose["configs"]["s3"]["content"])["identities"]
        assert identity["credentials"] == [{"accessKey": "modelyard", "secretKey": secret}]
        environment = compose["services"]["registry"]["environment"]
        settings: dict[str, Any] = {
            name.removeprefix("MODELYARD_").lower(): str(value) for name, value in environment.items()
        }
        settings["database_url"] = settings["database_url"].replace("@database/", f"@127.0.0.1:{database.port}/")
        # The owner and the port are the test's.
        del settings["owner_email"], settings["public_url"]
        server = RunningServer(tmp_path / "data", **settings)
        assert compose["services"]["registry"]["command"] == ["serve"]
        server.run_command(*compose["services"]["bucket"]["command"])
        with server:
            server.owner().register(make_model_file("ink"))
            kind, _, *arguments = compose["services"]["registry"]["healthcheck"]["test"]
            assert kind == "CMD"
            checked = [argument.replace("http://127.0.0.1:8400", server.url) for argument in arguments]
            subprocess.run([sys.executable, *checked], check=True, timeout=60)
