"""``modelyard storage probe`` and ``modelyard storage setup``, as an operator runs them."""

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from modelyard.server.main import app
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from modelyard.server.storage.s3.bucket_rules import PAGE_RULE, UPLOADS_RULE
from tests.rclone import RunningRclone
from tests.seaweed import RunningSeaweed, create_s3_client
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class CommandResult:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Operator:
    """An operator with these settings in the environment."""

    settings: dict[str, str]

    def runs(self, *words: str, **more: str) -> CommandResult:
        return self.types("storage", *words, **more)

    def types(self, *words: str, **more: str) -> CommandResult:
        environment = {f"MODELYARD_{name.upper()}": value for name, value in (self.settings | more).items()}
        result = CliRunner().invoke(app, words, env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return CommandResult(result.exit_code, result.stdout, result.stderr)


def operator_of(running: RunningSeaweed | RunningRclone, bucket: str, prefix: str = "studio") -> Operator:
    return Operator(
        {
            "storage_url": f"s3://{bucket}/{prefix}",
            "storage_endpoint": running.endpoint,
            "storage_access_key": running.access_key,
            "storage_secret_key": running.secret_key,
        }
    )


@pytest.fixture
def operator(seaweed_server: RunningSeaweed, bucket: str) -> Operator:
    return operator_of(seaweed_server, bucket)


@pytest.fixture
def client(seaweed_server: RunningSeaweed) -> Any:
    return create_s3_client(seaweed_server.endpoint, seaweed_server.access_key, seaweed_server.secret_key)


# The probe.


def test_probe_command_capable_bucket_exits_0(operator: Operator) -> None:
    said = operator.runs("probe")
    assert said.code == 0
    assert said.out.count("yes  ") == 5
    assert "meets all requirements" in said.out


def test_probe_command_weak_bucket_exits_1_with_consequences(rclone: RunningRclone) -> None:
    with rclone.bucket() as name:
        said = operator_of(rclone, name).runs("probe")
    assert said.code == 1
    assert "no   refuses to write over a file that is there\n       Any holder of an upload URL" in said.out
    assert "does not meet all requirements" in said.out


def test_probe_command_json_prints_object(operator: Operator) -> None:
    said = json.loads(operator.runs("probe", "--json").out)
    assert said["enforces_all"] is True
    assert said["refuses_overwrite"] is True
    assert said["remarks"] == []


def test_probe_command_folder_exits_0(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with open_resources(settings):
        pass
    said = Operator({"data_dir": str(settings.data_dir)}).runs("probe")
    assert said.code == 0
    assert str(tmp_path) in said.out


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"storage_secret_key": "x" * 20}, "MODELYARD_STORAGE_SECRET_KEY"),
        ({"storage_url": "s3://no-such-bucket"}, "no such bucket"),
        ({"storage_endpoint": "http://127.0.0.1:1"}, "does not answer"),
    ],
)
def test_probe_command_cannot_run_prints_cause(operator: Operator, changed: dict[str, str], words: str) -> None:
    said = operator.runs("probe", **changed)
    assert said.code == 1
    assert words in said.err
    assert said.out == ""


def test_probe_command_invalid_setting_names_it(operator: Operator) -> None:
    said = operator.runs("probe", storage_url="s3://NOT A BUCKET")
    assert said.code == 2
    assert "MODELYARD_STORAGE_URL" in said.err


# The set-up.


def test_setup_command_adds_cors_rule_for_page(
    seaweed_server: RunningSeaweed, bucket: str, operator: Operator, client: Any
) -> None:
    said = operator.runs("setup", public_url="https://yard.example", cors_origins="https://one.example")
    assert said.code == 0
    assert "pages of https://yard.example, https://one.example may use the bucket" in said.out
    (rule,) = client.get_bucket_cors(Bucket=bucket)["CORSRules"]
    assert rule["ID"] == PAGE_RULE
    assert preflight(seaweed_server, bucket, "https://yard.example") == 200
    assert preflight(seaweed_server, bucket, "https://other.example") == 403


def preflight(seaweed: RunningSeaweed, bucket: str, origin: str) -> int:
    """Return the status of a browser's preflight request for a PUT from this origin."""
    connection = http.client.HTTPConnection("127.0.0.1", seaweed.port, timeout=PATIENCE_SECONDS)
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "if-none-match,x-amz-checksum-sha256",
    }
    connection.request("OPTIONS", f"/{bucket}/studio/models/x", headers=asked)
    status = connection.getresponse().status
    connection.close()
    return status


def test_setup_command_adds_lifecycle_rule(bucket: str, operator: Operator, client: Any) -> None:
    assert operator.runs("setup", upload_days="3").code == 0
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rule["ID"] == UPLOADS_RULE
    assert rule["Filter"] == {"Prefix": "studio/"}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 4}


def test_setup_command_repeated_keeps_foreign_rules(bucket: str, operator: Operator, client: Any) -> None:
    other_page = {"ID": "other", "AllowedMethods": ["GET"], "AllowedOrigins": ["https://x.example"]}
    other_rule = {"ID": "other", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 9}}
    client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [other_page]})
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [other_rule]})
    for days in ("3", "5"):
        assert operator.runs("setup", public_url="https://yard.example", upload_days=days).code == 0
    pages = client.get_bucket_cors(Bucket=bucket)["CORSRules"]
    rules = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert [page["ID"] for page in pages] == ["other", PAGE_RULE]
    assert [rule["ID"] for rule in rules] == ["other", UPLOADS_RULE]
    assert rules[1]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 6}


def test_setup_command_dry_run_prints_rules_and_changes_nothing(operator: Operator) -> None:
    said = operator.runs("setup", "--dry-run", "--create", storage_url="s3://no-bucket-here")
    assert said.code == 1
    assert "no such bucket" in said.err
    said = operator.runs("setup", "--dry-run", public_url="https://dry.example")
    planned = json.loads(said.out)
    assert planned["CORSRules"][-1]["AllowedOrigins"] == ["https://dry.example"]
    assert planned["Rules"][-1]["ID"] == UPLOADS_RULE
    said = operator.runs("setup", "--dry-run")
    assert "https://dry.example" not in said.out


def test_setup_command_create_makes_bucket(operator: Operator, client: Any) -> None:
    said = operator.runs("setup", storage_url="s3://made-by-setup")
    assert (said.code, "no such bucket" in said.err) == (1, True)
    for words in ("was created", "exists already"):
        said = operator.runs("setup", "--create", storage_url="s3://made-by-setup")
        assert said.code == 0
        assert words in said.out
        assert "No page needs access to the bucket" in said.out
    client.delete_bucket(Bucket="made-by-setup")


def test_setup_command_store_without_rules_reports_it(rclone: RunningRclone) -> None:
    with rclone.bucket() as name:
        said = operator_of(rclone, name).runs("setup", public_url="https://yard.example")
    assert said.code == 1
    assert said.err.count("Not done: ") == 2


def test_setup_command_folder_does_nothing(tmp_path: Path) -> None:
    said = Operator({"data_dir": str(tmp_path / "data")}).runs("setup")
    assert said.code == 0
    assert "needs no set-up" in said.out
    assert not (tmp_path / "data").exists()


# The server.


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"storage_secret_key": "x" * 20}, "MODELYARD_STORAGE_SECRET_KEY"),
        ({"storage_access_key": "nobody"}, "MODELYARD_STORAGE_ACCESS_KEY"),
        ({"storage_url": "s3://no-such-bucket"}, "no such bucket"),
    ],
)
def test_open_bucket_needing_operator_fails(
    operator: Operator, tmp_path: Path, changed: dict[str, str], words: str
) -> None:
    said = operator.types("serve", "--port", "0", data_dir=str(tmp_path), **changed)
    assert said.code == 1
    assert words in said.err


def test_open_unreachable_bucket_starts_unprobed(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        storage_url="s3://away",
        storage_endpoint="http://127.0.0.1:1",
        storage_access_key="key",
        storage_secret_key="secret",
    )
    with open_resources(settings) as resources:
        assert resources.capabilities.probed is None
        assert resources.capabilities.needs_copies
