"""A walk through the command line: login, push, edit, delete, pull, invitations, keys, pairing, logout."""

import filecmp
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.command_line import CommandLine
from tests.journeys.upload_sizes import MEBIBYTE
from tests.running import OWNER, RunningServer
from tests.server.harness import PASSWORD
from tools.model_files import write_gguf, write_safetensors

ADA = "ada@studio.test"
ADAS_PASSWORD = "another long sentence"
NOT_SIGNED_IN, REFUSED = 3, 4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "data") as server:
        yield server


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Create a ComfyUI models folder with three model files and one placeholder."""
    folder = tmp_path / "ComfyUI" / "models"
    write_safetensors(folder / "checkpoints" / "base.safetensors", 6 * MEBIBYTE)
    write_safetensors(folder / "loras" / "portraits" / "lines.safetensors", MEBIBYTE)
    write_gguf(folder / "unet" / "ink_q.gguf", 2 * MEBIBYTE)
    (folder / "loras" / "put_loras_here").write_text("")
    return folder


@pytest.fixture
def new_user(tmp_path: Path) -> Callable[[str], CommandLine]:
    return lambda name: CommandLine(tmp_path / "homes" / name)


@pytest.mark.core
def test_command_line_walkthrough_from_login_to_logout_succeeds(
    server: RunningServer, library: Path, new_user: Callable[[str], CommandLine], tmp_path: Path
) -> None:
    owner = sign_in(new_user("owner"), server.url, OWNER, PASSWORD)
    push_list_and_edit(owner, library)
    delete_and_restore(owner)
    pull_all_models(owner, library, tmp_path / "other" / "models")
    ada = invite_ada(owner, new_user("ada"), server.url)
    use_and_revoke_key(owner, new_user("training"), server.url)
    pair_a_machine(ada, new_user("machine"), server.url)
    sign_out(owner)


def sign_in(user: CommandLine, url: str, email: str, password: str) -> CommandLine:
    """Sign a new user in and check the stored profile; return the user."""
    assert user.run("whoami").code == NOT_SIGNED_IN
    response = user.run_json("login", url, email, "--password-stdin", stdin_text=f"{password}\n")
    assert (response["url"], response["email_address"]) == (url, email)
    assert (user.home / "profiles.json").stat().st_mode & 0o777 == 0o600
    me = user.run_json("whoami")
    assert (me["email_address"], me["team_list"][0]["display_name"]) == (email, "Studio")
    return user


def push_list_and_edit(user: CommandLine, library: Path) -> None:
    """Push a models folder twice, then list, show, edit, disable and enable a model."""
    pushed = user.run_json("push", library, "--tag", "first-day")
    assert {(item["outcome"], item["model"]["verification"]) for item in pushed["files"]} == {
        ("registered", "verified")
    }
    assert {item["model"]["model_path"].removeprefix("models/") for item in pushed["files"]} == {
        "checkpoints/base.safetensors",
        "loras/portraits/lines.safetensors",
        "unet/ink_q.gguf",
    }
    repeated = user.run_json("push", library)
    assert {item["outcome"] for item in repeated["files"]} == {"already there"}

    listed = user.run_json("ls", "lines", "--type", "loras")["model_list"]
    assert [model["model_path"] for model in listed] == ["models/loras/portraits/lines.safetensors"]
    shown = user.run_json("show", "loras/portraits/lines.safetensors")
    hub_file = {"repository": "team/loras__portraits__lines.safetensors", "path": "lines.safetensors"}
    assert shown == listed[0] | {"agent_model_list": [], "hashes": shown["hashes"], "hub_file": hub_file}
    assert shown["tags"] == ["first-day"]
    edited = user.run_json(
        "edit", shown["id"], "--name", "Ink lines", "--add-tag", "portrait", "--license", "CC-BY-4.0"
    )
    assert (edited["display_name"], edited["tags"]) == ("Ink lines", ["first-day", "portrait"])

    user.run_json("disable", "Ink lines")
    assert user.run_json("show", "Ink lines")["model_status"] == "disabled"
    user.run_json("enable", "Ink lines")
    assert user.run_json("show", "Ink lines")["model_status"] == "active"


def delete_and_restore(user: CommandLine) -> None:
    """Delete a model, find it in the trash, and restore it."""
    [deleted_id] = user.run_json("rm", "Ink lines")["model_ids"]
    assert user.run("show", "Ink lines").code == REFUSED
    assert [model["id"] for model in user.run_json("ls", "--deleted")["model_list"]] == [deleted_id]
    assert user.run_json("restore", deleted_id)["model_ids"] == [deleted_id]
    assert user.run_json("show", "Ink lines")["id"] == deleted_id


def pull_all_models(user: CommandLine, library: Path, folder: Path) -> None:
    """Pull all models into a folder tree, compare the files, and pull again without downloads."""
    names = [model["id"] for model in user.run_json("ls")["model_list"]]
    pulled = user.run_json("pull", *names, "-o", folder, "--tree")
    assert {item["outcome"] for item in pulled["files"]} == {"pulled"}
    files = [file.relative_to(library) for file in library.rglob("*.*")]
    assert len(files) == len(pulled["files"]) == 3
    assert all(filecmp.cmp(library / file, folder / file, shallow=False) for file in files)
    repeated = user.run_json("pull", *names, "-o", folder, "--tree")
    assert {item["outcome"] for item in repeated["files"]} == {"already here"}


def invite_ada(owner: CommandLine, ada: CommandLine, url: str) -> CommandLine:
    """Invite a member, accept the invitation, and check what the member may do."""
    token = owner.run_json("invite", "create", ADA, "--role", "member")["invitation_token"]
    assert [item["email_address"] for item in owner.run_json("invite", "ls")["invitation_list"]] == [ADA]
    accept = ["--url", url, "invite", "accept", token, "--first-name", "Ada", "--last-name", "Lovelace"]
    ada.run_json(*accept, "--password-stdin", stdin_text=f"{ADAS_PASSWORD}\n")
    me = ada.run_json("whoami")
    assert (me["email_address"], me["team_list"][0]["display_name"]) == (ADA, "Studio")
    assert owner.run_json("invite", "ls")["invitation_list"] == []
    roles = {item["email_address"]: item["member_role"] for item in owner.run_json("member", "ls")["member_list"]}
    assert roles == {OWNER: "owner", ADA: "member"}
    assert len(ada.run_json("ls")["model_list"]) == 3
    assert ada.run("rm", "Ink lines").code == REFUSED
    return ada


def use_and_revoke_key(owner: CommandLine, training: CommandLine, url: str) -> None:
    """Create a read-only key, use it, and check that it is refused after it was revoked."""
    created = owner.run_json("key", "create", "nightly training", "--expires", "90", "--access", "read")
    training.set_environment(MODELYARD_URL=url, MODELYARD_TOKEN=created["raw_key"])
    assert len(training.run_json("ls")["model_list"]) == 3
    assert training.run("rm", "Ink lines").code == REFUSED
    assert [key["display_name"] for key in owner.run_json("key", "ls")["credentials"]] == ["nightly training"]
    owner.run_json("key", "rm", "nightly training")
    assert training.run("ls").code == NOT_SIGNED_IN


def pair_a_machine(person: CommandLine, machine: CommandLine, url: str) -> None:
    """Pair a device by its code, use its key, and log out."""
    pairing = machine.start("login", url, "--device")
    code = re.search(r"[A-Z0-9]{4}-[A-Z0-9]{4}", pairing.read_line())
    assert code
    person.run_json("machine", "add", code[0], "--name", "render-7")
    assert pairing.wait_for_exit().code == 0
    assert machine.run_json("whoami")["email_address"] == ADA
    assert len(machine.run_json("ls")["model_list"]) == 3
    assert "render-7" in {key["display_name"] for key in person.run_json("key", "ls")["credentials"]}
    machine.run_json("logout")
    assert machine.run("ls").code == NOT_SIGNED_IN


def sign_out(user: CommandLine) -> None:
    assert user.run_json("logout")["is_success"]
    assert user.run("ls").code == NOT_SIGNED_IN
    assert user.run("whoami").code == NOT_SIGNED_IN
