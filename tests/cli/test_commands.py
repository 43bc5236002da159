import asyncio
import json
import os
import pty
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelyard.wire.models import ModelUpdate
from tests.cli.conftest import Command
from tests.client.model_files import write_model_file
from tests.client.server_process import EMAIL, PASSWORD, Server, Team

pytestmark = pytest.mark.slow


@pytest.fixture
def ink(tmp_path: Path) -> Path:
    return write_model_file(tmp_path / "models" / "loras" / "ink.safetensors")


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


def test_login_wrong_password_exits_3_with_hint_for_reset(process: Command, server: Server) -> None:
    ran = process("login", server.url, EMAIL, "--password-stdin", typed="wrong\n")
    assert ran.code == 3
    assert "reset-password" in ran.err


def test_pushed_model_is_listed_shown_and_pulled_by_cli(signed_in: Command, ink: Path, tmp_path: Path) -> None:
    pushed = signed_in("push", ink, "--tag", "portrait", "--quiet")
    assert pushed.code == 0, pushed.err
    model_id = pushed.out.strip()
    assert signed_in("ls", "portrait", "-q").out == f"{model_id}\n"
    assert "models/loras/ink.safetensors" in signed_in("ls").out
    assert json.loads(signed_in("show", "ink", "--json").out)["id"] == model_id
    pulled = signed_in("pull", "ink", "-o", tmp_path / "new", "--tree", "-q")
    assert pulled.out == f"{tmp_path}/new/loras/ink.safetensors\n"
    assert Path(pulled.out.strip()).read_bytes() == ink.read_bytes()


def test_push_folder_with_invalid_files_exits_4_and_reports_each_in_json(signed_in: Command, ink: Path) -> None:
    write_model_file(ink.with_name("mystery (1).safetensors"))
    (ink.parent / "page.safetensors").write_text("<html>" * 10)
    ran = signed_in("push", ink.parent, "--json")
    files = {Path(each["file"]).name: each for each in json.loads(ran.out)["files"]}
    assert ran.code == 4
    assert files["ink.safetensors"]["model"]["verification"] == "verified"
    assert files["page.safetensors"]["error"]["error_code"] == "not_a_model_file"
    assert files["mystery (1).safetensors"]["error"]["suggestion"] == "models/loras/mystery_1.safetensors"


def test_push_dry_run_prints_action_and_registers_nothing(signed_in: Command, ink: Path) -> None:
    ran = signed_in("push", ink, "--dry-run")
    assert ran.code == 0
    assert "would push" in ran.out
    assert signed_in("ls", "-q").out == ""


def test_rm_prints_restore_command_that_restores_the_model(signed_in: Command, ink: Path) -> None:
    signed_in("push", ink)
    removed = signed_in("rm", "ink")
    assert signed_in("ls", "-q").out == ""
    line = re.search(r"modelyard (restore \S+)", removed.err)
    assert line is not None
    assert signed_in(*line[1].split()).code == 0
    assert signed_in("ls", "-q").out != ""


def test_rm_with_one_unknown_name_exits_4_and_removes_nothing(signed_in: Command, ink: Path) -> None:
    signed_in("push", ink)
    ran = signed_in("rm", "ink", "nothing", "--yes")
    assert ran.code == 4
    assert signed_in("ls", "-q").out != ""


def test_rm_two_models_without_terminal_exits_2_unless_yes(signed_in: Command, process: Command, ink: Path) -> None:
    signed_in("push", ink, write_model_file(ink.with_name("sketch.safetensors"), 2000))
    refused = process("rm", "ink", "sketch")
    assert refused.code == 2
    assert "add --yes" in refused.err
    assert len(signed_in("ls", "-q").out.splitlines()) == 2
    assert signed_in("rm", "ink", "sketch", "--yes").code == 0
    assert signed_in("ls", "-q").out == ""


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_rm_two_models_in_terminal_asks_and_removes_only_after_yes(
    signed_in: Command, ink: Path, answer: str, code: int
) -> None:
    signed_in("push", ink, write_model_file(ink.with_name("sketch.safetensors"), 2000))
    removed = run_in_terminal("rm", "ink", "sketch", typed=answer)
    assert removed.returncode == code
    assert "Remove these 2 models?" in removed.stderr
    assert (signed_in("ls", "-q").out == "") == (answer == "y")


def run_in_terminal(*arguments: str, typed: str) -> subprocess.CompletedProcess[str]:
    """Run the program with a terminal as its standard input, at which one line was typed."""
    keyboard, stdin = pty.openpty()
    os.write(keyboard, f"{typed}\n".encode())
    command = [sys.executable, "-m", "modelyard", *arguments]
    try:
        return subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False, timeout=120)
    finally:
        os.close(stdin)
        os.close(keyboard)


def test_show_name_of_two_models_exits_4_and_lists_both_paths(signed_in: Command, ink: Path) -> None:
    signed_in("push", ink)
    signed_in("push", ink, "--path", "models/loras/sd/ink.safetensors")
    ran = signed_in("show", "ink")
    assert ran.code == 4
    assert "models/loras/ink.safetensors" in ran.err
    assert "models/loras/sd/ink.safetensors" in ran.err


def test_edit_changes_tags_type_and_clears_license(signed_in: Command, ink: Path) -> None:
    signed_in("push", ink, "--tag", "a", "--license", "MIT")
    ran = signed_in("edit", "ink", "--add-tag", "b", "--remove-tag", "a", "--license", "", "--type", "vae", "--json")
    model = json.loads(ran.out)
    assert (model["tags"], model["license"], model["model_path"]) == (["b"], None, "models/vae/ink.safetensors")
    assert signed_in("edit", "ink").code == 2
    signed_in("disable", "ink")
    assert json.loads(signed_in("show", "ink", "--json").out)["model_status"] == "disabled"


def test_ls_and_show_escape_control_characters_in_names(signed_in: Command, team: Team, ink: Path) -> None:
    signed_in("push", ink)

    async def rename() -> None:
        async with team.registry() as registry:
            (model,) = (await registry.list_models()).model_list
            change = ModelUpdate(display_name="evil\u200f[bold]", description="a\tb\x85c\x9b31m\u202e")
            await registry.update_model(model.id, change)

    asyncio.run(rename())
    for ran in (signed_in("ls"), signed_in("show", "ink.safetensors")):
        assert ran.code == 0, ran.err
        assert not {"\x9b", "\u202e", "\u200f", "\x85", "\t"} & set(ran.out)
        assert "[bold]" in ran.out


def test_pull_over_different_file_exits_4_and_force_replaces_it(signed_in: Command, ink: Path, tmp_path: Path) -> None:
    signed_in("push", ink)
    (tmp_path / "ink.safetensors").write_bytes(b"user file")
    assert signed_in("pull", "ink", "-o", tmp_path).code == 4
    assert signed_in("pull", "ink", "-o", tmp_path, "--force").code == 0
    assert (tmp_path / "ink.safetensors").read_bytes() == ink.read_bytes()


def test_read_key_lists_but_cannot_remove_and_stops_when_revoked(
    signed_in: Command, ink: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in("push", ink)
    key = signed_in("key", "create", "nightly", "--access", "read", "-q").out.strip()
    with monkeypatch.context() as key_environment:
        key_environment.setenv("MODELYARD_TOKEN", key)
        key_environment.delenv("MODELYARD_TEAM")
        assert signed_in("ls", "-q").out != ""
        assert signed_in("rm", "ink").code == 4
        assert key not in signed_in("whoami").out
    assert signed_in("key", "rm", key[:11]).code == 0
    monkeypatch.setenv("MODELYARD_TOKEN", key)
    assert signed_in("ls").code == 3


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
        signed = process("login", os.environ["MODELYARD_URL"], email, "--password-stdin", typed=typed)
        assert signed.code == 0, signed.err
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
        again = process("invite", "accept", token, *options, typed="another long sentence\n")
        assert again.code == 4
    assert signed_in("member", "role", email, "admin").code == 0
    assert re.search(rf"{re.escape(email)} .* admin ", signed_in("member", "ls").out)
    assert signed_in("member", "rm", email).code == 0
    assert email not in signed_in("member", "ls").out
    assert "invitation.created" in signed_in("audit").out


def test_invite_rm_removes_invitation_from_list(signed_in: Command) -> None:
    invited = signed_in("invite", "create", "eve@studio.example")
    assert re.search(r"^  http://\S+/join#in-\S+$", invited.out, re.MULTILINE)
    assert signed_in("invite", "rm", "eve@studio.example").code == 0
    assert "eve" not in signed_in("invite", "ls").out


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


def test_login_device_with_confirmed_code_stores_working_keys(
    signed_in: Command, team: Team, home: Path, monkeypatch: pytest.MonkeyPatch
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
    output, _ = machine.communicate(timeout=30)
    assert machine.returncode == 0
    assert team.url in output
    assert "render-03" in signed_in("key", "ls").out
    monkeypatch.setenv("MODELYARD_CONFIG", str(profile))
    for name in ("MODELYARD_URL", "MODELYARD_TOKEN", "MODELYARD_TEAM"):
        monkeypatch.delenv(name)
    assert signed_in("ls", "-q").code == 0
    assert json.loads(profile.read_text())["profiles"][team.url]["agent_key"].startswith("ak-")
    assert signed_in("logout").code == 0
    assert signed_in("ls").code == 3
