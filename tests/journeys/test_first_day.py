"""A studio's first day with the registry, told by the command line alone."""

import filecmp
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE
from tests.running import OWNER, RunningServer
from tests.server.world import PASSWORD
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
    """The models folder of somebody's ComfyUI."""
    folder = tmp_path / "ComfyUI" / "models"
    write_safetensors(folder / "checkpoints" / "base.safetensors", 6 * MEBIBYTE)
    write_safetensors(folder / "loras" / "portraits" / "lines.safetensors", MEBIBYTE)
    write_gguf(folder / "unet" / "ink_q.gguf", 2 * MEBIBYTE)
    (folder / "loras" / "put_loras_here").write_text("")
    return folder


@pytest.fixture
def new_user(tmp_path: Path) -> Callable[[str], Program]:
    return lambda name: Program(tmp_path / "homes" / name)


def test_the_first_day(
    server: RunningServer, library: Path, new_user: Callable[[str], Program], tmp_path: Path
) -> None:
    owner = signed_in(new_user("owner"), server.url, OWNER, PASSWORD)
    push_look_and_edit(owner, library)
    delete_and_restore(owner)
    pull_the_tree(owner, library, tmp_path / "other" / "models")
    ada = invite_ada(owner, new_user("ada"), server.url)
    hand_out_keys(owner, new_user("training"), server.url)
    pair_a_machine(ada, new_user("machine"), server.url)
    sign_out(owner)


def signed_in(user: Program, url: str, email: str, password: str) -> Program:
    assert user.run("whoami").code == NOT_SIGNED_IN
    answer = user.ask("login", url, email, "--password-stdin", typed=f"{password}\n")
    assert (answer["url"], answer["email_address"]) == (url, email)
    assert (user.home / "profiles.json").stat().st_mode & 0o777 == 0o600
    me = user.ask("whoami")
    assert (me["email_address"], me["team_list"][0]["display_name"]) == (email, "Studio")
    return user


def push_look_and_edit(user: Program, library: Path) -> None:
    pushed = user.ask("push", library, "--tag", "first-day")
    assert {(each["outcome"], each["model"]["verification"]) for each in pushed["files"]} == {
        ("registered", "verified")
    }
    assert {each["model"]["model_path"].removeprefix("models/") for each in pushed["files"]} == {
        "checkpoints/base.safetensors",
        "loras/portraits/lines.safetensors",
        "unet/ink_q.gguf",
    }
    again = user.ask("push", library)
    assert {each["outcome"] for each in again["files"]} == {"already there"}

    listed = user.ask("ls", "lines", "--type", "loras")["model_list"]
    assert [model["model_path"] for model in listed] == ["models/loras/portraits/lines.safetensors"]
    shown = user.ask("show", "loras/portraits/lines.safetensors")
    assert shown == listed[0] | {"agent_model_list": []}
    assert shown["tags"] == ["first-day"]
    edited = user.ask("edit", shown["id"], "--name", "Ink lines", "--add-tag", "portrait", "--license", "CC-BY-4.0")
    assert (edited["display_name"], edited["tags"]) == ("Ink lines", ["first-day", "portrait"])

    user.ask("disable", "Ink lines")
    assert user.ask("show", "Ink lines")["model_status"] == "disabled"
    user.ask("enable", "Ink lines")
    assert user.ask("show", "Ink lines")["model_status"] == "active"


def delete_and_restore(user: Program) -> None:
    [gone] = user.ask("rm", "Ink lines")["model_ids"]
    assert user.run("show", "Ink lines").code == REFUSED
    assert [model["id"] for model in user.ask("ls", "--deleted")["model_list"]] == [gone]
    assert user.ask("restore", gone)["model_ids"] == [gone]
    assert user.ask("show", "Ink lines")["id"] == gone


def pull_the_tree(user: Program, library: Path, folder: Path) -> None:
    names = [model["id"] for model in user.ask("ls")["model_list"]]
    pulled = user.ask("pull", *names, "-o", folder, "--tree")
    assert {each["outcome"] for each in pulled["files"]} == {"pulled"}
    files = [file.relative_to(library) for file in library.rglob("*.*")]
    assert len(files) == len(pulled["files"]) == 3
    assert all(filecmp.cmp(library / file, folder / file, shallow=False) for file in files)
    again = user.ask("pull", *names, "-o", folder, "--tree")
    assert {each["outcome"] for each in again["files"]} == {"already here"}


def invite_ada(owner: Program, ada: Program, url: str) -> Program:
    token = owner.ask("invite", "create", ADA, "--role", "member")["invitation_token"]
    assert [each["email_address"] for each in owner.ask("invite", "ls")["invitation_list"]] == [ADA]
    accept = ["--url", url, "invite", "accept", token, "--first-name", "Ada", "--last-name", "Lovelace"]
    ada.ask(*accept, "--password-stdin", typed=f"{ADAS_PASSWORD}\n")
    signed_in(ada, url, ADA, ADAS_PASSWORD)
    assert owner.ask("invite", "ls")["invitation_list"] == []
    roles = {each["email_address"]: each["member_role"] for each in owner.ask("members", "ls")["member_list"]}
    assert roles == {OWNER: "owner", ADA: "member"}
    assert len(ada.ask("ls")["model_list"]) == 3
    assert ada.run("rm", "Ink lines").code == REFUSED
    return ada


def hand_out_keys(owner: Program, training: Program, url: str) -> None:
    made = owner.ask("keys", "create", "nightly training", "--expires", "90", "--access", "read")
    training.export(MODELYARD_URL=url, MODELYARD_TOKEN=made["raw_key"])
    assert len(training.ask("ls")["model_list"]) == 3
    assert training.run("rm", "Ink lines").code == REFUSED
    assert [key["display_name"] for key in owner.ask("keys", "ls")["credentials"]] == ["nightly training"]
    owner.ask("keys", "revoke", "nightly training")
    assert training.run("ls").code == NOT_SIGNED_IN


def pair_a_machine(person: Program, machine: Program, url: str) -> None:
    pairing = machine.start("pair", "--url", url)
    code = re.search(r"[A-Z0-9]{4}-[A-Z0-9]{4}", pairing.read_line())
    assert code
    person.ask("pair", "confirm", code[0], "--name", "render-7")
    assert pairing.end().code == 0
    assert machine.ask("whoami")["email_address"] == ADA
    assert len(machine.ask("ls")["model_list"]) == 3
    assert "render-7" in {key["display_name"] for key in person.ask("keys", "ls")["credentials"]}
    machine.ask("logout")
    assert machine.run("ls").code == NOT_SIGNED_IN


def sign_out(user: Program) -> None:
    assert user.ask("logout")["is_success"]
    assert user.run("ls").code == NOT_SIGNED_IN
    assert user.run("whoami").code == NOT_SIGNED_IN
