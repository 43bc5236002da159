"""``add``: models from links, with a registry that imports from fakes of the sources."""

import json

import pytest

from tests.cli.conftest import Command
from tests.server.harness import make_model_file
from tests.server.imports.fake_sources import FakeSources

pytestmark = pytest.mark.slow


def test_add_links_of_both_sources_imports_verified_models(importing: Command, fakes: FakeSources) -> None:
    links = (f"{fakes.huggingface_url}/studio/ink", "urn:air:sdxl:lora:civitai:111@222")
    planned = importing("add", *links, "--dry-run")
    assert planned.code == 0, planned.err
    assert "loras/ink.safetensors" in planned.out
    assert "Pony" in planned.out
    assert importing("ls", "-q").out == ""

    asked = importing("add", *links)
    assert (asked.code, "--yes" in asked.err) == (2, True)

    added = importing("add", *links, "--yes")
    assert added.code == 0, added.err
    assert [line.partition(":")[0] for line in added.out.splitlines()] == [
        "models/loras/ink.safetensors",
        "models/loras/ink_portraits_.safetensors",
    ]
    models = json.loads(importing("ls", "--json").out)["model_list"]
    assert {each["verification"] for each in models} == {"verified"}

    renamed = importing("add", links[0], "--yes", "--json", "--path", "vae/own.safetensors", "--name", "Own")
    assert renamed.code == 0, renamed.err
    [record] = json.loads(renamed.out)["import_list"]
    assert (record["model_path"], record["model_type"], record["import_state"]) == (
        "vae/own.safetensors",
        "vae",
        "done",
    )


def test_add_link_that_cannot_be_imported_fails_and_says_why(importing: Command, fakes: FakeSources) -> None:
    fakes.huggingface.is_gated = True
    gated = importing("add", f"{fakes.huggingface_url}/studio/ink", "--yes")
    assert (gated.code, "gated" in gated.err) == (4, True)
    fakes.huggingface.is_gated = False
    fakes.huggingface.declared_sha256 = "0" * 64
    lying = importing("add", f"{fakes.huggingface_url}/studio/ink", "--yes")
    assert (lying.code, "not imported" in lying.out) == (1, True), lying.err
    internal = importing("add", "https://169.254.169.254/ink.safetensors", "--yes")
    assert (internal.code, "not public" in internal.err) == (4, True)


def test_add_refused_import_does_not_stop_the_others(importing: Command, fakes: FakeSources) -> None:
    fakes.huggingface.files["large.safetensors"] = make_model_file("large", 5_000)
    folder = f"{fakes.huggingface_url}/studio/ink/resolve/main"
    assert importing("team", "settings", "--quota", "4KB").code == 0
    large, small = f"{folder}/large.safetensors", f"{folder}/ink.safetensors"
    both = importing("add", large, small, "--yes", "--json")
    assert both.code == 1, both.err
    document = json.loads(both.out)
    assert [each["model_path"] for each in document["import_list"]] == ["loras/ink.safetensors"]
    [refused] = document["refused_list"]
    assert (refused["model_path"], refused["error_code"]) == ("loras/large.safetensors", "quota_exceeded")

    alone = importing("add", large, "--yes")
    assert (alone.code, "modelyard team settings --quota" in alone.err) == (4, True)


def test_add_include_imports_all_files_that_match(importing: Command, fakes: FakeSources) -> None:
    fakes.huggingface.files["vae/ink-vae.safetensors"] = make_model_file("vae")
    fakes.huggingface.files["old/ink.ckpt"] = b"x" * 100
    link = f"{fakes.huggingface_url}/studio/ink"
    unknown = importing("add", link, "--include", "*.gguf", "--dry-run")
    assert (unknown.code, "old/ink.ckpt" in unknown.err) == (2, True)
    added = importing("add", link, "--include", "ink.*", "--include", "vae/*", "--yes", "--json")
    assert added.code == 0, added.err
    paths = [each["model_path"] for each in json.loads(added.out)["import_list"]]
    assert paths == ["loras/ink.safetensors", "vae/ink-vae.safetensors"]
