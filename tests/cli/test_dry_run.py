"""``push --dry-run`` promises no more than a push does."""

import json
import os
import pickle
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.client.model_files import write_model_file
from tests.client.model_folders import write_model_folder
from tests.server.inspection.test_gguf import TENSOR, build_gguf
from tests.server.inspection.test_onnx import VALID as ONNX_MODEL
from tests.server.inspection.test_pickles import CLEAN_FILES


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with one good file and four that a registry refuses."""
    folder = tmp_path / "models" / "loras"
    ink = write_model_file(folder / "ink.safetensors", 5000)
    (folder / "page.safetensors").write_text("<!DOCTYPE html><html><body>Sign in</body></html>")
    (folder / "cut.safetensors").write_bytes(ink.read_bytes()[:3000])
    (folder / "header.safetensors").write_bytes(ink.read_bytes()[:20])
    (folder / "old.ckpt").write_bytes(pickle.dumps({"weight": 1}))
    (folder / "renamed.gguf").write_bytes(ink.read_bytes())
    return folder


def test_dry_run_refuses_what_a_push_refuses_for_the_same_reason(signed_in: Command, mixed: Path) -> None:
    dry = signed_in("push", mixed, "--dry-run")
    planned = json.loads(signed_in("push", mixed, "--dry-run", "--json").out)["plan"]
    plans = {Path(each["file"]).name: each for each in planned}
    pushed = signed_in("push", mixed, "--json")
    refused = {
        Path(each["file"]).name: each["error"]["detail"] for each in json.loads(pushed.out)["files"] if each["error"]
    }
    assert set(refused) == {"page.safetensors", "cut.safetensors", "header.safetensors", "old.ckpt", "renamed.gguf"}
    assert {name: plan["reason"] for name, plan in plans.items() if plan["is_refused"]} == refused
    assert dry.code == pushed.code == 4
    assert f"would be refused (html page)  {mixed / 'page.safetensors'}  as models/loras/page.safetensors" in dry.out
    assert "\n  This is an HTML page, not a model" in dry.out
    assert f"would push  {mixed / 'ink.safetensors'}" in dry.out
    assert "6 files: would push 1 (5.09 kB), refuse 5.\n" in dry.err
    assert "The registry reads each whole file" in dry.err


def test_dry_run_with_pickle_policy_scan_leaves_pickles_to_the_registry(signed_in: Command, mixed: Path) -> None:
    assert signed_in("team", "settings", "--pickle-policy", "scan").code == 0
    dry = signed_in("push", mixed / "old.ckpt", "--dry-run")
    assert dry.code == 0
    assert dry.out.startswith("would push ")


def test_dry_run_refuses_truncated_files_of_every_format_as_a_push_does(signed_in: Command, tmp_path: Path) -> None:
    assert signed_in("team", "settings", "--pickle-policy", "scan").code == 0
    big_endian = build_gguf(TENSOR, version=0x03000000)
    whole = {"a.gguf": build_gguf(TENSOR), "b.onnx": ONNX_MODEL, "c.ckpt": CLEAN_FILES["torch zip"]}
    files = {name: content[: len(content) - 10] for name, content in whole.items()} | {"d.gguf": big_endian}
    folder = tmp_path / "models" / "unet"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    planned = json.loads(signed_in("push", folder, "--dry-run", "--json").out)["plan"]
    pushed = json.loads(signed_in("push", folder, "--json").out)["files"]
    assert {Path(each["file"]).name for each in planned if each["is_refused"]} == set(files)
    assert {each["file"]: each["reason"] for each in planned} == {
        each["file"]: each["error"]["detail"] for each in pushed
    }


def test_dry_run_with_integration_key_says_that_the_rule_for_pickle_files_was_not_checked(
    signed_in: Command, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = signed_in("key", "create", "trainer", "--access", "write", "-q").out.strip()
    monkeypatch.setenv("MODELYARD_TOKEN", key)
    dry = signed_in("push", mixed / "old.ckpt", "--dry-run")
    assert (dry.code, dry.out.startswith("would push ")) == (0, True)
    assert "Not checked: the team's rule for pickle files (1 here), which this key may not read." in dry.err
    pushed = signed_in("push", mixed / "old.ckpt")
    assert (pushed.code, "This is a pickle file" in pushed.err) == (4, True)
    assert "Not checked" not in signed_in("push", mixed / "ink.safetensors", "--dry-run").err
    folder = write_model_folder(mixed / "tiny")
    (folder / "old.ckpt").write_bytes((mixed / "old.ckpt").read_bytes())
    assert "Not checked" in signed_in("push", folder, "--as-folder", "--dry-run").err
    [plan] = json.loads(signed_in("push", folder, "--as-folder", "--dry-run", "--json").out)["plan"]
    assert plan["is_pickle_rule_unknown"] is True


def test_dry_run_of_a_blocked_pickle_names_the_command_that_permits_it_as_a_push_does(
    signed_in: Command, mixed: Path
) -> None:
    dry, refused = signed_in("push", mixed / "old.ckpt", "--dry-run"), signed_in("push", mixed / "old.ckpt")
    assert (dry.code, refused.code) == (4, 4)
    for text in (dry.out, refused.err):
        assert "pickle_policy" not in text
        assert text.splitlines()[-1].endswith(": modelyard team settings --pickle-policy scan")


def test_dry_run_of_files_in_every_state_counts_them_with_the_bytes_to_push(pushed: Command, mixed: Path) -> None:
    (mixed / "link.safetensors").symlink_to(mixed / "absent")
    write_model_file(mixed / "new.safetensors", 3000)
    write_model_file(mixed / "ink.safetensors")  # the team has it
    dry = pushed("push", mixed, "--dry-run")
    assert dry.code == 4
    assert 'link.safetensors" is a link to a file that is not there.' in dry.err
    assert "8 files: would push 1 (3.09 kB), skip 1, refuse 6.\n" in dry.err


def test_dry_run_of_broken_header_alone_says_why_and_exits_4(signed_in: Command, tmp_path: Path) -> None:
    header = b'{"t":{"dtype":"U8","shape":[8],"data_offsets":[0,1e999]}}'
    (tmp_path / "ink.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    dry = signed_in("push", tmp_path / "ink.safetensors", "--type", "loras", "--dry-run")
    assert dry.code == 4
    assert dry.out.startswith("would be refused (broken safetensors file)")
    assert "it has a number that is too large" in dry.out
    assert dry.err == ""


def test_dry_run_as_folder_refuses_what_a_push_refuses_for_the_same_reason(signed_in: Command, tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "tiny")
    (folder / "unet" / "model.safetensors").write_text("<!DOCTYPE html><html><body>Sign in</body></html>")
    dry = signed_in("push", folder, "--as-folder", "--dry-run")
    [plan] = json.loads(signed_in("push", folder, "--as-folder", "--dry-run", "--json").out)["plan"]
    [pushed] = json.loads(signed_in("push", folder, "--as-folder", "--json").out)["files"]
    assert dry.code == 4
    assert dry.out.startswith(f"would be refused (html page)  {folder}  as models/diffusers/tiny  (diffusers, a folder")
    assert plan["reason"] == pushed["error"]["detail"]
    assert plan["reason"].startswith("'unet/model.safetensors': This is an HTML page")


@pytest.mark.skipif(sys.platform != "linux", reason="macOS and Windows refuse file names that are not UTF-8")
def test_push_of_file_whose_name_is_not_utf8_works_as_its_message_says(
    signed_in: Command, process: Command, tmp_path: Path
) -> None:
    ink = write_model_file(tmp_path / "models" / "loras" / "ink.safetensors")
    file = ink.rename(ink.with_name(os.fsdecode(b"caf\xe9.safetensors")))
    refused = process("push", file)
    assert (refused.code, "A valid path is 'models/loras/caf.safetensors'" in refused.err) == (2, True)
    assert process("push", file, "--path", "models/loras/one.safetensors").code == 0
    ran = process("push", file, "--clean-names", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(signed_in("show", "caf", "--json").out)["display_name"] == "caf_"


def test_push_of_file_with_line_end_in_its_name_prints_one_line_and_clean_names_pushes_it(
    signed_in: Command, tmp_path: Path
) -> None:
    file = write_model_file(tmp_path / "loras" / "new\nline.safetensors")
    refused = signed_in("push", file)
    assert refused.code == 2
    assert "new\\nline.safetensors: " in refused.err.splitlines()[0]
    cleaned = signed_in("push", file, "--clean-names")
    assert cleaned.out.startswith("registered  models/loras/new_line.safetensors")


def test_push_of_absent_file_names_it_once(signed_in: Command, tmp_path: Path) -> None:
    refused = signed_in("push", tmp_path / "ink.safetensors")
    assert refused.err == f'There is no file "{tmp_path / "ink.safetensors"}".\n'


@pytest.fixture
def join(signed_in: Command, process: Command, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """What makes the following commands those of a new person with this role."""

    def join(role: str) -> None:
        address = f"{role}{time.monotonic_ns()}@studio.example"
        token = signed_in("invite", "create", address, "--role", role, "-q").out.strip()
        for name in ("MODELYARD_TOKEN", "MODELYARD_TEAM"):
            monkeypatch.delenv(name)
        names = ("--first-name", "Eve", "--last-name", "Doe", "--password-stdin")
        assert process("invite", "accept", token, *names, typed="another long sentence\n").code == 0

    return join


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_dry_run_of_a_viewer_refuses_what_a_push_refuses_for_the_same_reason(
    signed_in: Command, process: Command, tmp_path: Path, join: Callable[[str], None], kind: str
) -> None:
    ink = write_model_file(tmp_path / "loras" / "ink.safetensors", 5000)
    assert signed_in("push", ink).code == 0
    join("viewer")
    known = process("push", ink, "--dry-run")
    assert (known.code, known.out.startswith("would skip")) == (0, True)
    if kind == "folder":
        command = ["push", write_model_folder(tmp_path / "diffusers" / "tiny"), "--as-folder"]
    else:
        command = ["push", write_model_file(tmp_path / "new.safetensors", 4000), "--type", "loras"]
    dry, pushed = (process(*command, *more) for more in (["--dry-run"], []))
    assert (dry.code, pushed.code) == (4, 4)
    assert "would be refused (role too low)" in dry.out
    for ran in (dry.out, pushed.err):
        assert "This needs the role 'member' or higher. Ask an admin of the team." in ran


def test_dry_run_of_a_member_refuses_a_version_of_the_model_of_another_as_a_push_does(
    signed_in: Command, process: Command, tmp_path: Path, join: Callable[[str], None]
) -> None:
    ink = write_model_file(tmp_path / "loras" / "ink.safetensors", 5000)
    assert signed_in("push", ink).code == 0
    join("member")
    own = write_model_file(ink.with_name("own.safetensors"), 4000)
    assert process("push", own).code == 0
    write_model_file(own, 4500)
    assert process("push", own, "--replace", "--dry-run").out.startswith("would upload version 2")
    write_model_file(ink, 6000)
    dry, pushed = (process("push", ink, "--replace", *more) for more in (["--dry-run"], []))
    assert (dry.code, pushed.code) == (4, 4)
    for ran in (dry.out, pushed.err):
        assert "Members may change only the models that they registered. Ask an admin." in ran
