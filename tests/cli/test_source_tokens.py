"""``source-token``: tokens that imports send to sources."""

import base64
import json
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Command
from tests.server.imports.fake_sources import FakeSources

pytestmark = pytest.mark.slow


@pytest.fixture
def with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_SECRETS_KEY", base64.b64encode(b"k" * 32).decode())


def test_source_token_set_from_input_is_listed_used_and_removed(
    with_key: None, importing: Command, process: Command, fakes: FakeSources
) -> None:
    fakes.huggingface.is_gated, fakes.huggingface.token = True, "hf_right"
    host, link = urlsplit(fakes.huggingface_url).netloc, f"{fakes.huggingface_url}/studio/ink"
    refused = importing("add", link, "--yes")
    assert (refused.code, f"modelyard source-token set {host}" in refused.err) == (4, True)
    done = process("source-token", "set", host, typed="hf_right\n")
    assert (done.code, "hf_right" in done.out + done.err) == (0, False), done.err
    assert host in importing("source-token", "ls").out
    listed = json.loads(importing("source-token", "ls", "--json").out)
    assert [each["host"] for each in listed["source_token_list"]] == [host]
    assert "hf_right" not in str(listed)
    assert importing("add", link, "--yes").code == 0
    assert importing("source-token", "rm", host).code == 0
    again = importing("source-token", "rm", host)
    assert (again.code, "source-token ls" in again.err) == (4, True)


def test_source_token_set_without_key_says_what_the_operator_does(importing: Command, process: Command) -> None:
    refused = process("source-token", "set", "huggingface.co", typed="hf_right\n")
    assert (refused.code, "MODELYARD_SECRETS_KEY" in refused.err) == (4, True)
    listed = importing("source-token", "ls")
    assert "No tokens." in listed.out
    assert "MODELYARD_SECRETS_KEY" in listed.err


def test_source_token_set_empty_input_is_refused(importing: Command, process: Command) -> None:
    refused = process("source-token", "set", "huggingface.co", typed="")
    assert (refused.code, "token" in refused.err) == (2, True)
