"""Tests that compare the operator's handbook and the deployment files with the code."""

import configparser
import json
import re
import shutil
import subprocess
from dataclasses import astuple
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from typer.main import get_group

from modelyard.server.agents import manifest
from modelyard.server.agents.heartbeats.reported_states import CHANGES_PER_TRANSACTION
from modelyard.server.app import create_app
from modelyard.server.database import engine
from modelyard.server.fairness.usage import Limits
from modelyard.server.garbage.run_state import GRACE
from modelyard.server.http import connections, json_body, operation_limiter
from modelyard.server.http.execution.json_size import build_json_limits
from modelyard.server.http.json_body import BODY_BYTES, MIB, PUBLIC_BODY_BYTES
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.http.server import GRACE_SECONDS, KEEP_ALIVE_SECONDS
from modelyard.server.identity import passwords
from modelyard.server.imports import routes as imports
from modelyard.server.main import app as server_app
from modelyard.server.models.responses.record_parts import MAX_RECORD_BYTES, RECORDS_PER_ARRAY
from modelyard.server.models.trusted_files.operations import BLOBS_PER_TRANSACTION
from modelyard.server.previews import request_decoding as pictures
from modelyard.server.previews.decoder import SLOT_SECONDS
from modelyard.server.resources import open_resources
from modelyard.server.scheduler.jobs import build_jobs
from modelyard.server.settings import Settings
from modelyard.server.verification.scrub import FRESH
from modelyard.server.webhooks import routes as webhooks
from modelyard.server.webhooks import sender_share as senders
from modelyard.server.workflows import request_reading
from modelyard.transfer.options import TransferOptions
from modelyard.wire.agents.values import MAX_REASON_LENGTH, MAX_STATES_IN_RESPONSE
from modelyard.wire.hashes.lookups import ModelLookup
from tests.docs.pages import find_settings, read_page
from tools.repository import ROOT, tracked_files

HANDBOOK = ROOT / "docs" / "operate.md"
DEPLOY = ROOT / "docs" / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
STORE = ROOT / "src" / "modelyard" / "server" / "storage"
# What each call of S3 needs, by AWS's "Actions defined by Amazon S3". A HEAD of a bucket or an object has no action.
ACTIONS_BY_CALL = {
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


def read_first_cells(heading: str) -> list[str]:
    """Return the code span in the first cell of each row of the table below a heading."""
    section = read_page(HANDBOOK).split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


@pytest.fixture
def exposed_metrics(tmp_path: Path) -> set[str]:
    """Return the names in ``/metrics``, with the suffix ``_total`` of counters."""
    with open_resources(Settings(data_dir=tmp_path)) as resources:
        text = TestClient(create_app(resources)).get("/metrics").text
    families = text_string_to_metric_families(text)
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    return {name for name in names if not name.endswith("_created")}


@pytest.fixture
def alert_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(read_page(DEPLOY / "alerts.yaml"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_handbook_metrics_table_lists_exactly_the_exposed_metrics(exposed_metrics: set[str]) -> None:
    listed = read_first_cells("Metrics")
    assert len(listed) == len(set(listed))
    assert set(listed) == exposed_metrics


def test_handbook_row_of_failures_names_every_job(tmp_path: Path) -> None:
    (row,) = re.findall(r"^\| `modelyard_job_failures_total` .*$", read_page(HANDBOOK), re.MULTILINE)
    with open_resources(Settings(data_dir=tmp_path)) as resources:
        names = [job.name for job in build_jobs(resources, Metrics())]
    assert re.findall(r"`([\w -]+)`", row)[2:] == names


def test_alert_rule_uses_only_exposed_metrics(alert_rules: list[dict[str, Any]], exposed_metrics: set[str]) -> None:
    for rule in alert_rules:
        metrics = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bmodelyard_\w+", rule["expr"])}
        assert metrics <= exposed_metrics, rule["alert"]
        assert metrics or "up{" in rule["expr"]


def test_handbook_alarms_table_has_a_row_for_each_alert_rule(alert_rules: list[dict[str, Any]]) -> None:
    assert read_first_cells("Alarms") == [rule["alert"] for rule in alert_rules]
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in alert_rules)


def parse_unit(unit: Path) -> configparser.ConfigParser:
    """Parse a systemd unit file, keeping the letter case of its option names."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep names as they are
    parser.read(unit, encoding="utf-8")
    return parser


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_unit_starts_existing_command(unit: Path) -> None:
    program, *words = parse_unit(unit)["Service"]["ExecStart"].split()
    assert program == "/opt/modelyard/bin/modelyard"
    with pytest.raises(SystemExit) as exit_error:
        server_app([words[0], "--help", *words[1:]], prog_name="modelyard")
    assert not exit_error.value.code


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_unit_stop_timeout_exceeds_server_grace_period(unit: Path) -> None:
    assert int(parse_unit(unit)["Service"]["TimeoutStopSec"]) > GRACE_SECONDS


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_unit_passes_systemd_analyze_verify(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze comes with systemd")
    # Only the program is replaced: systemd requires one that exists.
    unit_copy = tmp_path / unit.name
    unit_copy.write_text(read_page(unit).replace("/opt/modelyard/bin/modelyard", shutil.which("true") or ""))
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit_copy)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_deployment_env_file_sets_only_existing_settings() -> None:
    text = read_page(DEPLOY / "modelyard.env")
    assert find_settings(text) <= {f"MODELYARD_{name.upper()}" for name in Settings.model_fields}
    lines = [line.removeprefix("# ") for line in text.splitlines() if "=" in line]
    assert all(re.fullmatch(r"MODELYARD_[A-Z_]+=\S+", line) for line in lines)


def find_s3_calls() -> set[str]:
    """Return every S3 call in the code of the store, its probe and the storage commands."""
    calls: set[str] = set()
    for file in [*(STORE / "s3").glob("*.py"), *STORE.parent.glob("storage_commands.py")]:
        calls |= set(re.findall(r"\b(" + "|".join(ACTIONS_BY_CALL) + r")\b", read_page(file)))
        others = set(re.findall(r"client\.([a-z]+_[a-z0-9_]+)\(", read_page(file)))
        assert others <= {*ACTIONS_BY_CALL, "get_paginator", "generate_presigned_url"}, file.name
    return calls


def test_bucket_policy_allows_exactly_the_actions_of_the_s3_calls() -> None:
    statements = json.loads(read_page(DEPLOY / "bucket-policy.json"))["Statement"]
    allowed = {action.removeprefix("s3:") for statement in statements for action in statement["Action"]}
    assert allowed == set().union(*(ACTIONS_BY_CALL[call] for call in find_s3_calls()))


def test_handbook_names_the_limits_of_the_code() -> None:
    text = read_page(HANDBOOK)
    limits = engine.Limits()
    assert f"at most {limits.connections + limits.extra_connections}." in text
    seconds = limits.statement // 1000, limits.busy // 1000, limits.connect // 1000
    assert "A statement may take {} s, a wait for a lock {} s, a connection {} s.".format(*seconds) in text
    assert ("at least two hours" in text, GRACE) == (True, timedelta(hours=2))
    assert ("every seven days" in text, FRESH) == (True, timedelta(days=7))


def test_handbook_names_the_limits_of_threads() -> None:
    text = read_page(HANDBOOK)
    limits = operation_limiter
    assert f"| {_format_limits(limits.READ_THREADS)}; others" in text
    assert (
        f"| {_format_limits(limits.WRITE_THREADS)} "
        f"({limits.WRITE_THREADS_ON_SQLITE.per_team} on SQLite, which has one writer at a time); "
        f"apart from them registrations of models, {_format_shares(limits.REGISTRATION_THREADS)}, "
        f"and heartbeats, {_format_shares(limits.HEARTBEAT_THREADS)};"
    ) in text
    assert f"is written in transactions of {CHANGES_PER_TRANSACTION}:" in text
    assert f"into the verification queue in transactions of {BLOBS_PER_TRANSACTION} contents." in text
    assert f"at most {limits.QUEUE.total:,} are kept, {_format_shares(limits.QUEUE)};" in text


def test_handbook_names_the_limits_of_manifests() -> None:
    loading, building = (_format_limits(limits) for limits in (manifest.LOADING_THREADS, manifest.BUILDING_THREADS))
    waiting = f"and {manifest.BUILDING_SECONDS:.0f} for one that builds, {_format_shares(manifest.QUEUE)} at most |"
    text = read_page(HANDBOOK)
    assert f"| loaded {loading}; built, after a change or for other labels, {building}; others" in text
    assert waiting in text


def test_handbook_names_the_limits_of_bodies() -> None:
    text = read_page(HANDBOOK)
    total, of_person, of_team = (each // MIB for each in astuple(BODY_BYTES))
    public_total, of_address, _ = (each // MIB for each in astuple(PUBLIC_BODY_BYTES))
    assert f"| {total} MiB, {of_person} MiB of one person, {of_team} MiB of one team; " in text
    assert f"in addition {public_total} MiB, {of_address} MiB of one address, where no sign-in is needed |" in text
    assert f"Nesting: {build_json_limits(ModelLookup).depth} |" in text


def test_handbook_names_the_limits_of_large_bodies() -> None:
    text = read_page(HANDBOOK)
    assert f"| parsed and validated {_format_limits(json_body.PARSING_THREADS)}; others" in text
    assert f"| workflow files that are being received | {_format_bytes(request_reading.WORKFLOW_BYTES)} |" in text
    sandboxes, seconds = request_reading.SANDBOXES, request_reading.SLOT_SECONDS
    small = request_reading.LIMITS_WITHOUT_SANDBOX
    assert (
        f"| workflow files above {request_reading.MAX_BYTES_WITHOUT_SANDBOX // 1024} KiB, {small.brackets:,} brackets, "
        f"{small.separators:,} commas and colons or {small.depth} levels of nesting, or with large subgraphs, and "
        f"those in pictures and sounds | read, and rewritten, {_format_limits(sandboxes)}; others wait up to "
        f"{seconds:.0f} seconds for a sandbox |"
    ) in text


def test_handbook_names_the_limits_of_pictures() -> None:
    text = read_page(HANDBOOK)
    seconds = f"others wait up to {SLOT_SECONDS:.0f} seconds for a sandbox"
    assert f"| pictures that are being received | {_format_bytes(pictures.PICTURE_BYTES)} |" in text
    assert f"| pictures that are decoded | {_format_limits(pictures.DECODING)}; {seconds} |" in text
    waiting = f"{_format_shares(pictures.PNG_QUEUE)} at most"
    assert f"| previews as PNG | rendered {_format_limits(pictures.RENDERING)}; {seconds}, {waiting} |" in text


def test_handbook_names_the_limits_of_passwords_and_lookups() -> None:
    text = read_page(HANDBOOK)
    assert f"| {passwords.MAX_CONCURRENT} at a time are hashed, {passwords.MAX_QUEUED} more wait |" in text
    lookups = f"{_format_limits(imports.LOOKUPS)}; others wait up to {imports.LOOKUP_WAIT_SECONDS:.0f} seconds"
    assert f" the Hugging Face endpoint imports) | {lookups} for a thread |" in text
    checks = (
        f"{_format_limits(webhooks.ADDRESS_CHECKS)}; others wait up to {operation_limiter.QUEUE_SECONDS:.0f} seconds"
    )
    assert f"| addresses of webhooks that are checked | {checks} for a thread |" in text


def test_handbook_names_the_limits_of_deliveries() -> None:
    most, unknown, slow, further = (senders.LIMITS[kind] for kind in senders.Kind)
    assert (slow, senders.SLOW_SECONDS) == (further, 2.0)
    assert (
        f"| deliveries of webhooks | {most.total} at a time in each process, {most.per_person} of one person (who "
        f"created the webhook), {most.per_team} of one team; {senders.MAX_PER_TEAM} of one team in all processes. Slow "
        f"ones {_format_limits(slow)}, from two seconds on; those of teams that the process does not know as quick "
        f"{unknown.total} at a time |"
    ) in read_page(HANDBOOK)


def test_handbook_names_the_limits_of_keys_and_invitations() -> None:
    keys, invitations = (Settings.model_fields[name].default for name in ("max_keys", "max_invitations"))
    text = read_page(HANDBOOK)
    assert f"apart from paired ones | {keys:,} that work (`MODELYARD_MAX_KEYS`) |" in text
    assert f"| open invitations of a team | {invitations:,} (`MODELYARD_MAX_INVITATIONS`) |" in text


def test_handbook_names_the_limits_of_responses() -> None:
    text = read_page(HANDBOOK)
    states = f"{MAX_STATES_IN_RESPONSE:,} states, each with {MAX_REASON_LENGTH} characters of its reason"
    assert f"(`GET /agent-states`) | {states} |" in text
    page = f"more than {RECORDS_PER_ARRAY} models | ends after the {RECORDS_PER_ARRAY} with which its records have"
    assert f"| a page of `GET /models` with {page} {MAX_RECORD_BYTES // MIB} MiB |" in text


def test_handbook_names_the_limits_of_connections() -> None:
    text = read_page(HANDBOOK)
    head = f"{connections.HEAD_BYTES // 1024} KiB, {connections.HEAD_LINES} lines (with those after a chunked body), "
    assert f"| {head}{connections.HEAD_SECONDS:.0f} seconds |" in text
    assert f"(pipelining) | {connections.WAITING_REQUESTS} |" in text
    chunks = f"{connections.CHUNK_BYTES} bytes a chunk on average; {connections.SMALL_CHUNKS} smaller ones in a row"
    assert f"| {chunks} are taken |" in text


def _format_limits(limits: Limits) -> str:
    """Return limits as the handbook writes them."""
    return f"{limits.total} at a time, {_format_shares(limits)}"


def _format_bytes(limits: Limits) -> str:
    total, of_person, of_team = (each // MIB for each in astuple(limits))
    return f"{total} MiB, {of_person} MiB of one person, {of_team} MiB of one team"


def _format_shares(limits: Limits) -> str:
    return f"{limits.per_person:,} of one person, {limits.per_team:,} of one team"


def test_help_of_collect_garbage_names_the_default_grace() -> None:
    command = get_group(server_app).commands["collect-garbage"]
    (grace,) = (parameter for parameter in command.params if parameter.name == "grace")
    assert ("by default two hours" in str(getattr(grace, "help", "")), GRACE) == (True, timedelta(hours=2))


def test_nginx_timeouts_lie_between_those_of_client_and_server() -> None:
    text = read_page(DEPLOY / "nginx.conf")
    read_timeout = re.search(r"proxy_read_timeout (\d+)s;", text)
    keepalive_timeout = re.search(r"keepalive_timeout (\d+)s;", text)
    assert read_timeout is not None
    assert keepalive_timeout is not None
    assert int(read_timeout[1]) > TransferOptions().response_timeout_seconds
    assert int(keepalive_timeout[1]) < KEEP_ALIVE_SECONDS


def test_handbook_links_every_deployment_file() -> None:
    files = [file for file in tracked_files() if file.parent == DEPLOY]
    assert files
    assert [file.name for file in files if f"(deploy/{file.name})" not in read_page(HANDBOOK)] == []
