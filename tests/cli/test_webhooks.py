"""The commands about webhooks."""

import json

import pytest

from tests.cli.conftest import Command

pytestmark = pytest.mark.slow
URL = "https://1.1.1.1/hooks"


def test_webhook_is_added_shown_changed_and_removed(signed_in: Command) -> None:
    # Disabled before anything could be sent.
    added = signed_in("webhook", "add", URL, "--event", "model.failed", "--event", "quota.reached_80_percent")
    assert (added.code, added.out.startswith("whsec_")) == (0, True), added.err
    assert "shown only once" in added.err
    assert signed_in("webhook", "edit", "1.1.1.1", "--off", "--name", "Chat").code == 0
    shown = signed_in("webhook", "show", "chat")
    assert "model.failed, quota.reached_80_percent" in shown.out
    assert added.out.strip() not in shown.out
    [listed] = json.loads(signed_in("webhook", "ls", "--json").out)["webhook_list"]
    assert (listed["display_name"], listed["url"], listed["is_enabled"]) == ("Chat", URL, False)
    assert signed_in("webhook", "edit", URL, "--event", "model.verified").code == 0
    assert json.loads(signed_in("webhook", "show", "chat", "--json").out)["event_list"] == ["model.verified"]
    rotated = signed_in("webhook", "rotate-secret", "chat")
    assert (rotated.code, rotated.out.startswith("whsec_"), rotated.out == added.out) == (0, True, False)
    assert signed_in("webhook", "deliveries", "chat").out == "No deliveries.\n"
    moved = f"{URL}/moved"
    assert signed_in("webhook", "edit", "chat", "--url", moved).code == 0
    assert json.loads(signed_in("webhook", "show", "chat", "--json").out)["url"] == moved
    assert signed_in("webhook", "rm", "chat", "--yes").code == 0
    assert signed_in("webhook", "ls", "-q").out == ""


def test_webhook_refusals_name_what_is_wrong(signed_in: Command) -> None:
    refused = signed_in("webhook", "add", "https://127.0.0.1/hooks")
    assert refused.code != 0
    assert "MODELYARD_WEBHOOK_HOSTS" in refused.err
    unknown = signed_in("webhook", "add", URL, "--event", "model.deleted")
    assert unknown.code != 0
    assert "model.registered" in unknown.err
    assert "There is no webhook 'chat'" in signed_in("webhook", "test", "chat").err
    assert signed_in("webhook", "edit", "chat").code == 2
