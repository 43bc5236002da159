"""``outdated``, and ``add --replace`` of what it lists."""

import json
import os
from http.server import BaseHTTPRequestHandler
from uuid import uuid4

import httpx2
import pytest

from modelyard.cli.transfers.outdated import has_failed_check
from modelyard.wire import problems
from modelyard.wire.imports.source_checks import SourceCheckRun
from tests.cli.conftest import Command
from tests.server.imports.fake_sources import FakeSources
from tests.server.outbound.loopback import send, serve

pytestmark = pytest.mark.slow


def test_outdated_check_lists_newer_version_that_add_replace_imports(importing: Command, fakes: FakeSources) -> None:
    added = importing("add", f"{fakes.civitai_url}/models/111", "--yes", "-q")
    assert added.code == 0, added.err
    assert "No newer versions" in importing("outdated", "--check").out
    fakes.civitai.versions.insert(0, {"id": 223, "name": "v3.0"})
    listed = importing("outdated", "--check")
    assert (listed.code, "Ink v3.0" in listed.out) == (0, True), listed.err
    [newer] = json.loads(importing("outdated", "--json").out)["outdated_list"]
    assert newer["model_id"] == added.out.strip()
    refused = importing("add", newer["newer_at_source"]["url"], "--replace", "ink", "--type", "vae")
    assert (refused.code, "--replace" in refused.err) == (2, True)

    # The fake has one version only: a file of the other source takes its place.
    replaced = importing("add", f"{fakes.huggingface_url}/studio/ink", "--replace", newer["model_id"], "--yes")
    assert replaced.code == 0, replaced.err
    model = json.loads(importing("show", newer["model_id"], "--json").out)
    assert (model["version"], model["model_path"]) == (2, "loras/ink_portraits_.safetensors")
    assert model["newer_at_source"] is None


def test_outdated_source_that_fails_is_named_and_does_not_stop_the_others(
    importing: Command, fakes: FakeSources
) -> None:
    for link in build_links(fakes):
        assert importing("add", link, "--yes").code == 0
    fakes.civitai.versions.insert(0, {"id": 223, "name": "v3.0"})
    fakes.huggingface.is_gated = True
    listed = importing("outdated", "--check")
    assert (listed.code, "Ink v3.0" in listed.out) == (0, True)
    assert "loras/ink.safetensors: not checked." in listed.err
    assert "MODELYARD_SECRETS_KEY" in listed.err


@pytest.mark.parametrize("named", [True, False])
def test_outdated_check_that_can_ask_no_source_exits_1(importing: Command, fakes: FakeSources, named: bool) -> None:
    link, _ = build_links(fakes)
    assert importing("add", link, "--yes").code == 0
    fakes.huggingface.is_gated = True
    listed = importing("outdated", "--check", *(["loras/ink.safetensors"] if named else []))
    assert (listed.code, listed.out) == (1, "No newer versions are known.\n")
    assert "loras/ink.safetensors: not checked." in listed.err
    assert importing("outdated").code == 0


@pytest.mark.parametrize(
    ("changed", "has_failed"),
    [
        ({}, False),
        ({"model_count": 0, "checked_count": 0}, False),
        ({"failure_count": 1}, False),
        ({"failure_count": 2}, True),
        ({"checked_count": 1, "check_state": "failed", "error": "The account was disabled."}, True),
    ],
)
def test_has_failed_check_is_true_of_a_check_that_ended_early_or_asked_no_source(
    changed: dict[str, object], has_failed: bool
) -> None:
    whole = {"id": uuid4(), "check_state": "done", "model_count": 2, "checked_count": 2, "newer_count": 0}
    whole |= {"failure_count": 0, "failure_list": [], "retry_at": None, "error": None, "finished_at": None}
    whole |= {"created_at": "2026-01-01T00:00:00Z", "created_by": {"kind": "user", "id": None, "display_name": "Ada"}}
    assert has_failed_check(SourceCheckRun.model_validate(whole | changed)) is has_failed


def test_outdated_registry_that_is_busy_for_one_model_checks_the_others(
    monkeypatch: pytest.MonkeyPatch, importing: Command, fakes: FakeSources
) -> None:
    added = [importing("add", link, "--yes", "-q") for link in build_links(fakes)]
    fakes.civitai.versions.insert(0, {"id": 223, "name": "v3.0"})
    target, busy_id = os.environ["MODELYARD_URL"], added[0].out.strip()

    def relay(handler: BaseHTTPRequestHandler) -> None:
        if handler.path.endswith(f"/{busy_id}/check-source"):
            busy = json.dumps(problems.Unavailable("The registry is busy.", retry_after=600).to_json()).encode()
            return send(handler, 503, busy, {"Content-Type": "application/problem+json", "Retry-After": "600"})
        headers = {name: handler.headers[name] for name in ("Authorization", "X-Team-Id") if name in handler.headers}
        answer = httpx2.request(handler.command, target + handler.path, headers=headers)
        return send(handler, answer.status_code, answer.content, {"Content-Type": answer.headers["Content-Type"]})

    with serve(relay) as server:
        monkeypatch.setenv("MODELYARD_URL", server.address)
        listed = importing("outdated", "--check", *(each.out.strip() for each in added))
    assert (listed.code, "Ink v3.0" in listed.out) == (0, True), listed.err
    assert "loras/ink.safetensors: not checked. The registry is busy." in listed.err
    assert "Ink v3.0 is newer." in listed.err


def build_links(fakes: FakeSources) -> tuple[str, str]:
    return f"{fakes.huggingface_url}/studio/ink", f"{fakes.civitai_url}/models/111"
