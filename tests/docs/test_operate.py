"""The operator's handbook and its files are held to what the server does."""

import configparser
import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from modelyard.server.app import create_app
from modelyard.server.cleanup.rounds import GRACE
from modelyard.server.database import engine
from modelyard.server.listener import GRACE_SECONDS, KEEP_ALIVE_SECONDS
from modelyard.server.main import app as server_app
from modelyard.server.parts import opened
from modelyard.server.settings import Settings
from modelyard.server.verification.scrubbing import FRESH
from modelyard.transfer.network import Network
from tests.docs.pages import settings_in, text_of
from tools.repository import ROOT, tracked_files

HANDBOOK = ROOT / "docs" / "operate.md"
DEPLOY = ROOT / "docs" / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
STORE = ROOT / "src" / "modelyard" / "server" / "storage"
# What each call of S3 needs, by AWS's "Actions defined by Amazon S3". A HEAD of a bucket or an object has no action.
ACTIONS = {
    "abort_multipart_upload": {"AbortMultipartUpload"},
    "complete_multipart_upload": {"PutObject"},
    "copy_object": {"GetObject", "PutObject"},
    "create_bucket": set(),  # done once, with an admin's key
    "create_multipart_upload": {"PutObject"},
    "delete_object": {"DeleteObject"},
    "get_bucket_cors": {"GetBucketCORS"},
    "get_bucket_lifecycle_configuration": {"GetLifecycleConfiguration"},
    "get_object": {"GetObject"},
    "head_bucket": {"ListBucket"},
    "head_object": {"GetObject"},
    "list_multipart_uploads": {"ListBucketMultipartUploads"},
    "list_objects_v2": {"ListBucket"},
    "list_parts": {"ListMultipartUploadParts"},
    "put_bucket_cors": {"PutBucketCORS"},
    "put_bucket_lifecycle_configuration": {"PutLifecycleConfiguration"},
    "put_object": {"PutObject"},
    "upload_part": {"PutObject"},
    "upload_part_copy": {"GetObject", "PutObject"},
}


def first_cells(heading: str) -> list[str]:
    """What stands in code in the first cell of each row of the table below a heading."""
    section = text_of(HANDBOOK).split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


@pytest.fixture
def exposed(tmp_path: Path) -> set[str]:
    """The names in ``/metrics``, with the ending that counters get there."""
    with opened(Settings(data_dir=tmp_path)) as parts:
        text = TestClient(create_app(parts)).get("/metrics").text
    families = text_string_to_metric_families(text)
    names = {each.name + ("_total" if each.type == "counter" else "") for each in families}
    return {name for name in names if not name.endswith("_created")}


@pytest.fixture
def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(text_of(DEPLOY / "alerts.yaml"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_table_of_metrics_has_what_the_server_exposes_and_nothing_else(exposed: set[str]) -> None:
    listed = first_cells("Metrics")
    assert len(listed) == len(set(listed))
    assert set(listed) == exposed


def test_every_alarm_looks_at_metrics_that_are_there(rules: list[dict[str, Any]], exposed: set[str]) -> None:
    for rule in rules:
        named = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bmodelyard_\w+", rule["expr"])}
        assert named <= exposed, rule["alert"]
        assert named or "up{" in rule["expr"]


def test_every_alarm_has_a_row_that_says_what_to_do(rules: list[dict[str, Any]]) -> None:
    assert first_cells("Alarms") == [rule["alert"] for rule in rules]
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in rules)


def sections_of(unit: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep names as they are
    found.read(unit, encoding="utf-8")
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_that_exists(unit: Path) -> None:
    program, *words = sections_of(unit)["Service"]["ExecStart"].split()
    assert program == "/opt/modelyard/bin/modelyard"
    with pytest.raises(SystemExit) as ended:
        server_app([words[0], "--help", *words[1:]], prog_name="modelyard")
    assert not ended.value.code


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_waits_longer_than_the_server_needs_to_end(unit: Path) -> None:
    assert int(sections_of(unit)["Service"]["TimeoutStopSec"]) > GRACE_SECONDS


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_knows_every_line_of_a_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze comes with systemd")
    # Only the program is another: systemd wants one that is there.
    here = tmp_path / unit.name
    here.write_text(text_of(unit).replace("/opt/modelyard/bin/modelyard", shutil.which("true") or ""))
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(here)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_every_setting_in_the_file_of_settings_exists() -> None:
    text = text_of(DEPLOY / "modelyard.env")
    assert settings_in(text) <= {f"MODELYARD_{name.upper()}" for name in Settings.model_fields}
    lines = [line.removeprefix("# ") for line in text.splitlines() if "=" in line]
    assert all(re.fullmatch(r"MODELYARD_[A-Z_]+=\S+", line) for line in lines)


def calls_of_the_store() -> set[str]:
    """Every call of S3 that the store, its probe and its set-up may make."""
    found: set[str] = set()
    for file in [*STORE.glob("s3*.py"), *STORE.parent.glob("storage_commands.py")]:
        found |= set(re.findall(r"\b(" + "|".join(ACTIONS) + r")\b", text_of(file)))
        others = set(re.findall(r"client\.([a-z]+_[a-z0-9_]+)\(", text_of(file)))
        assert others <= {*ACTIONS, "get_paginator", "generate_presigned_url"}, file.name
    return found


def test_the_policy_of_the_bucket_allows_what_the_store_asks_for_and_nothing_else() -> None:
    statements = json.loads(text_of(DEPLOY / "bucket-policy.json"))["Statement"]
    allowed = {action.removeprefix("s3:") for statement in statements for action in statement["Action"]}
    assert allowed == set().union(*(ACTIONS[call] for call in calls_of_the_store()))


def test_the_handbook_gives_the_limits_that_the_code_has() -> None:
    text = text_of(HANDBOOK)
    limits = engine.Limits()
    assert f"at most {limits.connections + limits.extra_connections}." in text
    seconds = limits.statement // 1000, limits.busy // 1000, limits.connect // 1000
    assert "A statement may take {} s, a wait for a lock {} s, a connection {} s.".format(*seconds) in text
    assert ("at least two hours" in text, GRACE) == (True, timedelta(hours=2))
    assert ("every seven days" in text, FRESH) == (True, timedelta(days=7))


def test_nginx_gives_up_later_than_the_client_and_sooner_than_the_server() -> None:
    text = text_of(DEPLOY / "nginx.conf")
    read = re.search(r"proxy_read_timeout (\d+)s;", text)
    idle = re.search(r"keepalive_timeout (\d+)s;", text)
    assert read is not None
    assert idle is not None
    assert int(read[1]) > Network().answer_seconds
    assert int(idle[1]) < KEEP_ALIVE_SECONDS


def test_every_file_for_deployment_is_in_the_handbook() -> None:
    files = [file for file in tracked_files() if file.parent == DEPLOY]
    assert files
    assert [file.name for file in files if f"(deploy/{file.name})" not in text_of(HANDBOOK)] == []
