"""``login``, ``account``, ``key``, ``member``, ``invite`` and ``team``."""

import json
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.conftest import Command
from tests.cli.terminal_answers import run_in_terminal
from tests.client.server_process import EMAIL, PASSWORD, Server, Team
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow


def test_login_stores_session_without_password_and_logout_deletes_it(
    process: Command, modelyard: Command, server: Server, home: Path
) -> None:
    signed_in = process("login", server.url, EMAIL, "--password-stdin", typed=f"{PASSWORD}\n")
    assert signed_in.code == 0, signed_in.err
    assert stat.S_IMODE((home / "profiles.json").stat().st_mode) == 0o600
    assert PASSWORD not in (home / "profiles.json").read_text()
    me = json.loads(modelyard("whoami", "--json").out)
    assert (me["email_address"], me["url"]) == (EMAIL, server.url)
    assert modelyard("logout").code == 0
    assert modelyard("whoami").code == 3


def test_login_with_password_from_input_and_no_known_address_refuses_and_takes_no_line_for_it(
    process: Command, server: Server
) -> None:
    ran = process("login", server.url, "--password-stdin", typed=f"{EMAIL}\n{PASSWORD}\n")
    assert ran.code == 2
    assert f"Name the e-mail address: modelyard login {server.url} EMAIL --password-stdin" in ran.err
    assert process("login", server.url, EMAIL, "--password-stdin", typed=f"{PASSWORD}\n").code == 0
    assert process("login", server.url, "--password-stdin", typed=f"{PASSWORD}\n").code == 0


@pytest.mark.parametrize("style", [(), ("--json",)], ids=["text", "json"])
def test_question_that_gets_no_answer_exits_2_and_says_how_to_answer_it(
    signed_in: Command, process: Command, style: tuple[str, ...]
) -> None:
    ran = process("team", "leave", *style)
    assert ran.code == 2
    shown = " ".join((ran.out if style else ran.err).split())
    assert "The question got no answer. Answer it in a terminal, or by an option or argument" in shown
    assert "Aborted" not in ran.err
    assert signed_in("ls").code == 0


def test_login_wrong_password_exits_3_with_hint_for_reset(process: Command, server: Server) -> None:
    ran = process("login", server.url, EMAIL, "--password-stdin", typed="wrong\n")
    assert ran.code == 3
    assert "reset-password" in ran.err


def test_read_key_lists_but_cannot_remove_and_stops_when_revoked(
    signed_in: Command, ink: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in("push", ink)
    key = signed_in("key", "create", "nightly", "--access", "read", "-q").out.strip()
    with monkeypatch.context() as key_environment:
        key_environment.setenv("MODELYARD_TOKEN", key)
        key_environment.delenv("MODELYARD_TEAM")
        assert signed_in("ls", "-q").out != ""
        refused = signed_in("rm", "ink")
        assert (refused.code, "login" in refused.err) == (4, False)
        assert "Set MODELYARD_TOKEN to a key that may do it" in refused.err
        assert key not in signed_in("whoami").out
        named = signed_in("ls", "--team", "Studio")
        assert (named.code, named.err.splitlines()[1:]) == (4, ["  Leave out --team, and unset MODELYARD_TEAM."])
    assert signed_in("key", "rm", key[:11]).code == 0
    monkeypatch.setenv("MODELYARD_TOKEN", key)
    assert signed_in("ls").code == 3


def test_account_rename_sessions_and_end_session(process: Command, modelyard: Command, server: Server) -> None:
    process("login", server.url, EMAIL, "--password-stdin", typed=f"{PASSWORD}\n")
    assert modelyard("account", "rename").code == 2
    me = json.loads(modelyard("whoami", "--json").out)
    renamed = modelyard("account", "rename", "--last", "King")
    assert (renamed.code, "keep the name that you had then" in renamed.err) == (0, True)
    assert json.loads(modelyard("whoami", "--json").out)["display_name"] == f"{me['first_name']} King"
    assert modelyard("account", "rename", "--last", me["last_name"]).code == 0
    assert "(this one)" in modelyard("account", "sessions").out
    listed = json.loads(modelyard("account", "sessions", "--json").out)["session_list"]
    [current] = [session for session in listed if session["is_current"]]
    assert current["user_agent"].startswith("modelyard")
    assert modelyard("account", "end-session", str(uuid4())).code == 4
    assert modelyard("account", "end-session", current["id"]).code == 0
    assert modelyard("account", "sessions").code == 3


def test_key_rotate_prints_new_secret_and_old_one_stops_after_zero_grace(
    signed_in: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = signed_in("key", "create", "nightly", "-q").out.strip()
    rotated = signed_in("key", "rotate", "nightly", "--grace-hours", "2")
    new = rotated.out.strip()
    assert new.startswith("sk-")
    assert "the old one works until" in rotated.err
    last = json.loads(signed_in("key", "rotate", new[:11], "--grace-hours", "0", "--json").out)
    assert last["raw_key"].startswith("sk-")
    for key, code in ((old, 3), (new, 3), (last["raw_key"], 0)):
        monkeypatch.setenv("MODELYARD_TOKEN", key)
        assert signed_in("ls").code == code
    assert signed_in("key", "rotate", "nightly", "--grace-hours", "169").code == 2


def test_member_rm_of_admin_with_keys_requires_keys_to_or_stop_keys(
    signed_in: Command, process: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = f"ann{time.monotonic_ns()}@studio.example"
    key = _key_of_new_admin(signed_in, process, email, monkeypatch)
    refused = signed_in("member", "rm", email)
    assert refused.code == 4
    assert "--keys-to ADMIN" in refused.err
    assert "--stop-keys" in refused.err
    assert signed_in("member", "rm", email, "--stop-keys", "--keys-to", email).code == 2
    owner = signed_in("whoami", "-q").out.strip()
    handed_over = signed_in("member", "role", email, "member", "--keys-to", owner)
    assert handed_over.code == 0
    assert "may still know the secrets" in handed_over.err
    assert signed_in("member", "rm", email).code == 0
    monkeypatch.setenv("MODELYARD_TOKEN", key)
    assert signed_in("ls").code == 0


def test_member_rm_of_admin_in_terminal_lists_keys_and_prompts(
    signed_in: Command, process: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = f"ann{time.monotonic_ns()}@studio.example"
    key = _key_of_new_admin(signed_in, process, email, monkeypatch)
    removed = run_in_terminal("member", "rm", email, typed="stop")
    assert removed.returncode == 0, removed.stderr
    assert f"{key[:11]}…  integration  of ann" in removed.stderr
    monkeypatch.setenv("MODELYARD_TOKEN", key)
    assert signed_in("ls").code == 3


def _key_of_new_admin(signed_in: Command, process: Command, email: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Invite an admin who accepts and creates a key, and return the key."""
    token = signed_in("invite", "create", email, "--role", "admin", "-q").out.strip()
    names = ("--first-name", "Ann", "--last-name", "Doe", "--password-stdin")
    with monkeypatch.context() as invited:
        for name in ("MODELYARD_TOKEN", "MODELYARD_TEAM"):
            invited.delenv(name)
        typed = "another long sentence\n"
        assert process("invite", "accept", token, *names, typed=typed).code == 0
        created = signed_in("key", "create", "of ann", "-q")
        assert signed_in("logout").code == 0
    return created.out.strip()


@pytest.mark.parametrize(("kind", "variable"), [("integration", "MODELYARD_TOKEN"), ("agent", "MODELYARD_AGENT_KEY")])
def test_key_create_names_the_environment_variable_for_its_kind(signed_in: Command, kind: str, variable: str) -> None:
    assert f"from {variable}" in signed_in("key", "create", "render-07", "--kind", kind).err


def test_key_show_prints_access_and_prefix_without_the_secret(signed_in: Command) -> None:
    key = signed_in("key", "create", "nightly", "--access", "read", "-q").out.strip()
    shown = signed_in("key", "show", "nightly").out
    assert re.search(r"^access +read$", shown, re.MULTILINE)
    assert key[:11] in shown
    assert key not in shown


def test_invite_show_and_member_show_find_by_email_address(signed_in: Command) -> None:
    signed_in("invite", "create", "eve@studio.example", "--role", "viewer")
    assert json.loads(signed_in("invite", "show", "eve@studio.example", "--json").out)["invitation_role"] == "viewer"
    assert json.loads(signed_in("member", "show", EMAIL, "--json").out)["member_role"] == "owner"
    assert signed_in("member", "show", "eve@studio.example").code == 4


def test_invited_person_accepts_once_gets_role_and_is_removed(
    signed_in: Command, process: Command, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = f"joe{time.monotonic_ns()}@studio.example"
    token = signed_in("invite", "create", email, "--role", "viewer", "-q").out.strip()
    assert re.search(rf"{re.escape(email)} +viewer +Registry Owner ", signed_in("invite", "ls").out)
    with monkeypatch.context() as invited:
        invited.delenv("MODELYARD_TOKEN")
        options = ("--first-name", "Joe", "--last-name", "Doe", "--password-stdin")
        joined = process("invite", "accept", token, *options, typed="another long sentence\n")
        assert joined.code == 0, joined.err
        assert process("logout").code == 0
        again = process("invite", "accept", token, *options, typed="another long sentence\n")
        assert again.code == 4
    assert signed_in("member", "role", email, "admin").code == 0
    assert re.search(rf"{re.escape(email)} .* admin ", signed_in("member", "ls").out)
    assert signed_in("member", "rm", email).code == 0
    assert email not in signed_in("member", "ls").out
    assert "invitation.created" in signed_in("audit").out


def test_invite_accept_names_team_and_registry_before_it_needs_names_and_signs_in(
    signed_in: Command, process: Command, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = f"joe{time.monotonic_ns()}@studio.example"
    team = json.loads(signed_in("team", "rename", "Studio Süd", "--json").out)["display_name"]
    token = signed_in("invite", "create", email, "--role", "viewer", "-q").out.strip()
    for name in ("MODELYARD_TOKEN", "MODELYARD_TEAM"):
        monkeypatch.delenv(name)
    secret = "another long sentence\n"
    refused = process("invite", "accept", token, "--first-name", "Joe", "--password-stdin", typed=secret)
    assert refused.code == 2
    before, _, missing = refused.err.partition("Error: ")
    assert "--first-name and --last-name" in missing
    names = ("--first-name", "Joe", "--last-name", "Doe")
    joined = process("invite", "accept", token, *names, "--password-stdin", typed=secret)
    assert joined.code == 0, joined.err
    assert all(text in before for text in (f"'{team}'", server.url, email, "viewer"))
    me = json.loads(process("whoami", "--json").out)
    assert (me["email_address"], me["url"]) == (email, server.url)
    assert f"{team}  viewer" in process("whoami").out


def test_invite_accept_that_cannot_sign_in_says_what_is_done_and_how_to_go_on(
    signed_in: Command, process: Command, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    email = f"joe{time.monotonic_ns()}@studio.example"
    token = signed_in("invite", "create", email, "-q").out.strip()
    for name in ("MODELYARD_TOKEN", "MODELYARD_TEAM"):
        monkeypatch.delenv(name)
    secret = "another long sentence\n"
    with monkeypatch.context() as unwritable:
        # As long as a name may be: none is left for the temporary file beside it.
        unwritable.setenv("MODELYARD_CONFIG", str(tmp_path / ("p" * 255)))
        names = ("--first-name", "Joe", "--last-name", "Doe")
        joined = process("invite", "accept", token, *names, "--password-stdin", typed=secret)
    assert joined.code == 1
    assert f"Your account {email} is made, and you have joined the team" in joined.err
    login = f"modelyard login {server.url} {email}"
    assert f"to sign in later: {login}\n" in joined.err
    assert process(*login.split()[1:], "--password-stdin", typed=secret).code == 0
    assert len(json.loads(process("account", "sessions", "--json").out)["session_list"]) == 1


def test_invite_accept_with_an_account_asks_for_its_password_and_signs_in(
    signed_in: Command, process: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = f"joe{time.monotonic_ns()}@studio.example"
    secret = "another long sentence\n"
    names = ("--first-name", "Joe", "--last-name", "Doe", "--password-stdin")
    first = signed_in("invite", "create", email, "-q").out.strip()
    with monkeypatch.context() as invited:
        for name in ("MODELYARD_TOKEN", "MODELYARD_TEAM"):
            invited.delenv(name)
        assert process("invite", "accept", first, *names, typed=secret).code == 0
        assert process("logout").code == 0
    assert signed_in("member", "rm", email).code == 0
    again = signed_in("invite", "create", email, "--role", "viewer", "-q").out.strip()
    for name in ("MODELYARD_TOKEN", "MODELYARD_TEAM"):
        monkeypatch.delenv(name)
    wrong = process("invite", "accept", again, "--password-stdin", typed="a wrong sentence\n")
    assert wrong.code == 3
    joined = process("invite", "accept", again, "--password-stdin", typed=secret)
    assert joined.code == 0, joined.err
    assert "  viewer  " in process("whoami").out


def test_invite_rm_removes_invitation_from_list(signed_in: Command) -> None:
    invited = signed_in("invite", "create", "eve@studio.example")
    assert re.search(r"^  http://\S+/join#in-\S+$", invited.out, re.MULTILINE)
    assert signed_in("invite", "rm", "eve@studio.example").code == 0
    assert "eve" not in signed_in("invite", "ls").out


def test_invite_create_at_loopback_address_warns_that_others_cannot_use_the_link(signed_in: Command) -> None:
    invited = signed_in("invite", "create", "eve@studio.example")
    assert "http://127.0.0.1:" in invited.err
    assert "MODELYARD_PUBLIC_URL" in invited.err
    assert "MODELYARD_PUBLIC_URL" not in invited.out


def test_quota_below_what_is_stored_warns_with_a_quota_that_suffices(signed_in: Command, ink: Path) -> None:
    assert signed_in("push", ink).code == 0
    ran = signed_in("team", "settings", "--quota", "1")
    assert ran.code == 0
    assert "more than its quota" in ran.err
    command = ran.err.splitlines()[-1].split()
    assert command[:2] == ["modelyard", "team"]
    assert "quota" not in signed_in(*command[1:]).err
    assert "quota" not in signed_in("team", "show").err


def test_team_rename_and_settings_change_what_is_shown(signed_in: Command) -> None:
    assert signed_in("team", "rename", "Studio North").code == 0
    ran = signed_in("team", "settings", "--quota", "2TB", "--pickle-policy", "scan", "--json")
    shown = json.loads(ran.out)
    assert (shown["display_name"], shown["quota_bytes"], shown["pickle_policy"]) == ("Studio North", 2 * 10**12, "scan")
    assert json.loads(signed_in("team", "settings", "--quota", "none", "--json").out)["quota_bytes"] is None
    assert signed_in("team", "settings", "--pickle-policy", "trust").code == 2
    kept = json.loads(signed_in("team", "settings", "--keep-versions", 9, "--keep-version-days", 0, "--json").out)
    assert (kept["kept_versions"], kept["kept_version_days"]) == (9, 0)
    assert "the newest 9, and all of 0 days" in signed_in("team", "show").out
    assert signed_in("team", "settings", "--keep-versions", 0).code == 2
    changed = signed_in("team", "settings", "--no-machines-may-request", "--json")
    assert json.loads(changed.out)["machines_may_request"] is False
    assert "may not request models" in signed_in("team", "show").out
    assert "may request models" in signed_in("team", "settings", "--machines-may-request").out
    assert json.loads(signed_in("team", "settings", "--hub-may-import", "--json").out)["hub_may_import"] is True
    assert "clients may import what" in signed_in("team", "show").out
    assert "clients may not import what" in signed_in("team", "settings", "--no-hub-may-import").out


def test_team_is_selected_by_name_with_option_and_switch(process: Command, modelyard: Command, server: Server) -> None:
    name = f"Team {time.monotonic_ns()}"
    server.new_team(name)
    process("login", server.url, EMAIL, "--password-stdin", typed=f"{PASSWORD}\n")
    assert json.loads(modelyard("team", "show", "--team", name, "--json").out)["display_name"] == name
    assert modelyard("team", "switch", name.lower()).code == 0
    assert re.search(rf"^{name} +owner +yes ", modelyard("team", "ls").out, re.MULTILINE)
    assert json.loads(modelyard("team", "show", "--json").out)["display_name"] == name
    assert modelyard("ls", "--team", "Unknown").code == 4
    assert modelyard("team", "rm", "--yes").code == 0
    assert modelyard("team", "switch", name).code == 4


def test_login_device_with_confirmed_code_stores_keys_of_its_team_only(
    signed_in: Command, server: Server, team: Team, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = home / "machine.json"
    machine_environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
    command = [sys.executable, "-m", "modelyard", "login", team.url, "--device"]
    environment = machine_environment | {"MODELYARD_CONFIG": str(profile)}
    machine = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert machine.stderr is not None
    code = machine.stderr.readline().removeprefix("Code: ").strip()
    assert f"/pair?code={code} or with" in machine.stderr.readline()
    assert signed_in("machine", "add", code, "--name", "render-03").code == 0
    output, _ = machine.communicate(timeout=PATIENCE_SECONDS)
    assert machine.returncode == 0
    assert team.url in output
    assert "render-03" in signed_in("key", "ls").out
    monkeypatch.setenv("MODELYARD_CONFIG", str(profile))
    for name in ("MODELYARD_URL", "MODELYARD_TOKEN", "MODELYARD_TEAM"):
        monkeypatch.delenv(name)
    assert signed_in("ls", "-q").code == 0
    assert signed_in("--team", team.id, "ls", "-q").code == 0
    refused = signed_in("--team", server.new_team("Farm").id, "ls")
    assert refused.code == 4
    assert f"is not one of your teams: 'Studio' ({team.id})" in refused.err
    assert json.loads(profile.read_text())["profiles"][team.url]["agent_key"].startswith("ak-")
    assert signed_in("logout").code == 0
    assert signed_in("ls").code == 3
