"""``modelyard lookup``, and the hashes of ``modelyard show``."""

import hashlib
import json
from pathlib import Path

import pytest

from modelyard.wire.hashes.lookups import MAX_MATCHES_PER_HASH
from tests.cli.conftest import Command
from tests.client.model_files import write_model_file


@pytest.fixture
def ink(tmp_path: Path) -> Path:
    return write_model_file(tmp_path / "models" / "loras" / "ink.safetensors")


@pytest.fixture
def pushed(signed_in: Command, ink: Path) -> dict[str, str]:
    """The JSON of a pushed model."""
    assert signed_in("push", ink).code == 0
    shown: dict[str, str] = json.loads(signed_in("show", "ink", "--json").out)
    return shown


def test_lookup_file_hash_and_path_prints_the_model(signed_in: Command, ink: Path, pushed: dict[str, str]) -> None:
    digest = pushed["file_hash"].removeprefix("sha256:")
    ran = signed_in("lookup", ink, digest[:10].upper(), "loras/ink.safetensors", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert [(match["asked"], match["matched_by"]) for match in found["match_list"]] == [
        (str(ink), "sha256"),
        (digest[:10].upper(), "autov2"),
        ("loras/ink.safetensors", "path"),
    ]
    assert {match["id"] for match in found["match_list"]} == {pushed["id"]}
    assert found["not_found"] == []
    assert signed_in("lookup", ink, "-q").out == f"{pushed['id']}\n"


def test_lookup_unknown_exits_1_and_prints_what_is_found(
    signed_in: Command, ink: Path, pushed: dict[str, str], tmp_path: Path
) -> None:
    other = write_model_file(tmp_path / "other.safetensors", 2000)
    ran = signed_in("lookup", ink, other, "0" * 64, "loras/none.safetensors")
    assert ran.code == 1
    assert ran.out.count("not found") == 3
    assert pushed["id"] in ran.out


@pytest.mark.slow
def test_lookup_content_of_very_many_models_says_that_there_are_more(signed_in: Command, ink: Path) -> None:
    copies = [write_model_file(ink.with_name(f"copy-{number}.safetensors")) for number in range(MAX_MATCHES_PER_HASH)]
    assert signed_in("push", ink, *copies).code == 0
    ran = signed_in("lookup", ink, "loras/ink.safetensors")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 1 + MAX_MATCHES_PER_HASH + 1
    digest = hashlib.sha256(ink.read_bytes()).hexdigest()
    assert ran.err.splitlines()[-1] == (
        f"More models than are listed may match {ink}. If they have the same content, the newest are listed. Otherwise "
        f"the contents are sorted by their SHA-256, and the first are listed. "
        f"For more of them: modelyard ls --hash sha256:{digest} --all"
    )
    found = json.loads(signed_in("lookup", ink, "loras/ink.safetensors", "--json").out)
    assert found["capped_list"] == [str(ink)]


def test_lookup_word_exits_2_and_names_it(signed_in: Command) -> None:
    ran = signed_in("lookup", "ink")
    assert ran.code == 2
    assert "'ink' is no file here" in ran.err


def test_show_prints_other_hashes(signed_in: Command, pushed: dict[str, str]) -> None:
    digest = pushed["file_hash"].removeprefix("sha256:")
    assert f"autov2:{digest[:10]}" in signed_in("show", "ink").out
    assert json.loads(signed_in("show", "ink", "--json").out)["hashes"]["autov2"] == digest[:10]


def test_ls_finds_by_hash(signed_in: Command, pushed: dict[str, str]) -> None:
    digest = pushed["file_hash"].removeprefix("sha256:")
    for arguments in ([digest[:12]], ["--hash", digest.upper()], ["--hash", pushed["blake3_hash"]]):
        assert signed_in("ls", *arguments, "-q").out == f"{pushed['id']}\n"
