"""``outdated``, and ``add --replace`` of what it lists."""

import json
import os
from http.server import BaseHTTPRequestHandler

import httpx2
import pytest

from modelyard.wire import problems
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
