import asyncio
import json
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelyard.wire.models import ModelChange
from tests.cli.conftest import Command
from tests.client.files import model_file
from tests.client.serving import EMAIL, PASSWORD, Server, Team


@pytest.fixture
def ink(tmp_path: Path) -> Path:
    return model_file(tmp_path / "models" / "loras" / "ink.safetensors")


def test_signing_in_is_remembered_and_signing_out_forgets(
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


def test_a_wrong_password_is_3(process: Command, server: Server) -> None:
    ran = process("login", server.url, EMAIL, "--password-stdin", typed="wrong\n")
    assert ran.code == 3
    assert "reset-password" in ran.err


def test_what_is_pushed_is_listed_shown_and_pulled(signed_in: Command, ink: Path, tmp_path: Path) -> None:
    pushed = signed_in("push", ink, "--tag", "portrait", "--quiet")
    assert pushed.code == 0, pushed.err
    model_id = pushed.out.strip()
    assert signed_in("ls", "portrait", "-q").out == f"{model_id}\n"
    assert "models/loras/ink.safetensors" in signed_in("ls").out
    assert json.loads(signed_in("show", "ink", "--json").out)["id"] == model_id
    pulled = signed_in("pull", "ink", "-o", tmp_path / "new", "--tree", "-q")
    assert pulled.out == f"{tmp_path}/new/loras/ink.safetensors\n"
    assert Path(pulled.out.strip()).read_bytes() == ink.read_bytes()


def test_a_push_of_many_has_the_exit_code_of_the_worst(signed_in: Command, ink: Path) -> None:
    model_file(ink.with_name("mystery (1).safetensors"))
    (ink.parent / "page.safetensors").write_text("<html>" * 10)
    ran = signed_in("push", ink.parent, "--json")
    files = {Path(each["file"]).name: each for each in json.loads(ran.out)["files"]}
    assert ran.code == 4
    assert files["ink.safetensors"]["model"]["verification"] == "verified"
    assert files["page.safetensors"]["error"]["error_code"] == "not_a_model_file"
    assert files["mystery (1).safetensors"]["error"]["suggestion"] == "models/loras/mystery_1.safetensors"


def test_a_rehearsed_push_changes_nothing(signed_in: Command, ink: Path) -> None:
    ran = signed_in("push", ink, "--dry-run")
    assert ran.code == 0
    assert "would push" in ran.out
    assert signed_in("ls", "-q").out == ""


def test_a_deleted_model_comes_back_by_the_line_that_is_shown(signed_in: Command, ink: Path) -> None:
    signed_in("push", ink)
    removed = signed_in("rm", "ink")
    assert signed_in("ls", "-q").out == ""
    line = re.search(r"modelyard (restore \S+)", removed.err)
    assert line is not None
    assert signed_in(*line[1].split()).code == 0
    assert signed_in("ls", "-q").out != ""


def test_names_that_fit_nothing_stop_a_command_before_it_changes_anything(signed_in: Command, ink: Path) -> None:
    signed_in("push", ink)
    ran = signed_in("rm", "ink", "nothing")
    assert ran.code == 4
    assert signed_in("ls", "-q").out != ""


def test_a_name_of_two_models_lists_both_and_is_4(signed_in: Command, ink: Path) -> None:
    signed_in("push", ink)
    signed_in("push", ink, "--path", "models/loras/sd/ink.safetensors")
    ran = signed_in("show", "ink")
    assert ran.code == 4
    assert "models/loras/ink.safetensors" in ran.err
    assert "models/loras/sd/ink.safetensors" in ran.err


def test_a_record_is_edited_and_cleared(signed_in: Command, ink: Path) -> None:
    signed_in("push", ink, "--tag", "a", "--license", "MIT")
    ran = signed_in("edit", "ink", "--add-tag", "b", "--remove-tag", "a", "--license", "", "--type", "vae", "--json")
    model = json.loads(ran.out)
    assert (model["tags"], model["license"], model["model_path"]) == (["b"], None, "models/vae/ink.safetensors")
    assert signed_in("edit", "ink").code == 2
    signed_in("disable", "ink")
    assert json.loads(signed_in("show", "ink", "--json").out)["model_status"] == "disabled"


def test_a_hostile_name_does_not_reach_the_terminal(signed_in: Command, team: Team, ink: Path) -> None:
    signed_in("push", ink)

    async def rename() -> None:
        async with team.registry() as registry:
            (model,) = (await registry.list_models()).model_list
            change = ModelChange(display_name="evil\x9b31m\u202e[bold]", description="a\tb\x85c")
            await registry.update_model(model.id, change)

    asyncio.run(rename())
    for ran in (signed_in("ls"), signed_in("show", "ink.safetensors")):
        assert ran.code == 0, ran.err
        assert not {"\x9b", "\u202e", "\x85", "\t"} & set(ran.out)
        assert "[bold]" in ran.out


def test_a_file_in_the_way_is_4_and_force_replaces_it(signed_in: Command, ink: Path, tmp_path: Path) -> None:
    signed_in("push", ink)
    (tmp_path / "ink.safetensors").write_bytes(b"mine")
    assert signed_in("pull", "ink", "-o", tmp_path).code == 4
    assert signed_in("pull", "ink", "-o", tmp_path, "--force").code == 0
    assert (tmp_path / "ink.safetensors").read_bytes() == ink.read_bytes()


def test_a_key_reads_what_it_may_and_ends_when_revoked(
    signed_in: Command, ink: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in("push", ink)
    key = signed_in("keys", "create", "nightly", "--access", "read", "-q").out.strip()
    with monkeypatch.context() as program:
        program.setenv("MODELYARD_TOKEN", key)
        program.delenv("MODELYARD_TEAM")
        assert signed_in("ls", "-q").out != ""
        assert signed_in("rm", "ink").code == 4
        assert key not in signed_in("whoami").out
    assert signed_in("keys", "revoke", key[:11]).code == 0
    monkeypatch.setenv("MODELYARD_TOKEN", key)
    assert signed_in("ls").code == 3


@pytest.mark.parametrize(("kind", "variable"), [("integration", "MODELYARD_TOKEN"), ("agent", "MODELYARD_AGENT_KEY")])
def test_a_new_key_comes_with_the_variable_that_takes_it(signed_in: Command, kind: str, variable: str) -> None:
    assert f"from {variable}" in signed_in("keys", "create", "render-07", "--kind", kind).err


def test_an_invited_person_joins_and_is_managed(
    signed_in: Command, process: Command, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = f"joe{time.monotonic_ns()}@studio.example"
    token = signed_in("invite", "create", email, "--role", "viewer", "-q").out.strip()
    assert email in signed_in("invite", "ls").out
    with monkeypatch.context() as other:
        other.delenv("MODELYARD_TOKEN")
        options = ("--first-name", "Joe", "--last-name", "Doe", "--password-stdin")
        joined = process("invite", "accept", token, *options, typed="another long sentence\n")
        assert joined.code == 0, joined.err
        again = process("invite", "accept", token, *options, typed="another long sentence\n")
        assert again.code == 4
    assert signed_in("members", "role", email, "admin").code == 0
    assert re.search(rf"{re.escape(email)} .* admin ", signed_in("members", "ls").out)
    assert signed_in("members", "rm", email).code == 0
    assert email not in signed_in("members", "ls").out
    assert "invitation.created" in signed_in("audit").out


def test_a_withdrawn_invitation_is_gone(signed_in: Command) -> None:
    invited = signed_in("invite", "create", "eve@studio.example")
    assert re.search(r"^  http://\S+/join#in-\S+$", invited.out, re.MULTILINE)
    assert signed_in("invite", "rm", "eve@studio.example").code == 0
    assert "eve" not in signed_in("invite", "ls").out


def test_team_settings_are_changed_and_shown(signed_in: Command) -> None:
    assert signed_in("team", "rename", "Studio North").code == 0
    ran = signed_in("team", "settings", "--quota", "2TB", "--pickle-policy", "scan", "--json")
    shown = json.loads(ran.out)
    assert (shown["display_name"], shown["quota_bytes"], shown["pickle_policy"]) == ("Studio North", 2 * 10**12, "scan")
    assert json.loads(signed_in("team", "settings", "--quota", "none", "--json").out)["quota_bytes"] is None
    assert signed_in("team", "settings", "--pickle-policy", "trust").code == 2


def test_a_team_is_chosen_by_name(process: Command, modelyard: Command, server: Server) -> None:
    name = f"Team {time.monotonic_ns()}"
    server.new_team(name)
    process("login", server.url, EMAIL, "--password-stdin", typed=f"{PASSWORD}\n")
    assert json.loads(modelyard("team", "show", "--team", name, "--json").out)["display_name"] == name
    assert modelyard("team", "switch", name.lower()).code == 0
    assert json.loads(modelyard("team", "show", "--json").out)["display_name"] == name
    assert modelyard("ls", "--team", "Nobody's").code == 4
    assert modelyard("team", "delete", "--yes").code == 0
    assert modelyard("team", "switch", name).code == 4


def test_a_machine_is_paired_by_a_person_elsewhere(
    signed_in: Command, team: Team, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = home / "machine.json"
    of_the_machine = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
    command = [sys.executable, "-m", "modelyard", "pair", "--url", team.url]
    environment = of_the_machine | {"MODELYARD_CONFIG": str(profile)}
    machine = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert machine.stderr is not None
    code = machine.stderr.readline().removeprefix("Code: ").strip()
    assert f"/pair?code={code} or with" in machine.stderr.readline()
    assert signed_in("pair", "confirm", code, "--name", "render-03").code == 0
    said, _ = machine.communicate(timeout=30)
    assert machine.returncode == 0
    assert team.url in said
    assert "render-03" in signed_in("keys", "ls").out
    monkeypatch.setenv("MODELYARD_CONFIG", str(profile))
    for name in ("MODELYARD_URL", "MODELYARD_TOKEN", "MODELYARD_TEAM"):
        monkeypatch.delenv(name)
    assert signed_in("ls", "-q").code == 0
    assert json.loads(profile.read_text())["profiles"][team.url]["agent_key"].startswith("ak-")
    assert signed_in("logout").code == 0
    assert signed_in("ls").code == 3
