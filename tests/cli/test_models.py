"""``push``, ``ls``, ``show``, ``edit``, ``rm`` and ``pull`` of models."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from modelyard.cli.terminal.model_details import change_tags
from modelyard.wire.models import ModelUpdate
from tests.cli.conftest import Command
from tests.client.model_files import write_model_file
from tests.client.server_process import Team
from tests.server.inspection.builders import build_header_reader, build_kohya_lora

pytestmark = pytest.mark.slow


def test_ls_and_facets_take_words_and_qualifiers(signed_in: Command, ink: Path) -> None:
    model_id = signed_in("push", ink, "--tag", "portrait", "--quiet").out.strip()
    assert signed_in("ls", "in", "type:lora", "by:me", "-q").out == f"{model_id}\n"
    assert signed_in("ls", "-q", "--", "ink", "-tag:portrait").out == ""
    assert "Did you mean: tag:portrait" in signed_in("ls", "tag:potrait").err
    refused = signed_in("ls", "size:>banana")
    assert refused.code == 2
    assert "size: 'banana' is not a size" in refused.err
    counted = signed_in("facets", "type:loras", "--facet", "tag", "--json")
    assert json.loads(counted.out)["facet_list"][0]["value_list"] == [{"value": "portrait", "count": 1}]
    assert "portrait" in signed_in("facets").out


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
    [short_id] = re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}", signed_in("ls").out)
    removed = signed_in("rm", "ink")
    assert signed_in("ls", "-q").out == ""
    line = re.search(r"modelyard (restore \S+)", removed.err)
    assert line is not None
    assert line[1] == f"restore {short_id}"
    assert signed_in(*line[1].split()).code == 0
    assert signed_in("ls", "-q").out != ""


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


def test_edit_license_and_author_take_precedence_until_empty(signed_in: Command, tmp_path: Path) -> None:
    declared = {"modelspec.license": "CC-BY-4.0", "modelspec.author": "Ada"}
    content = build_header_reader(build_kohya_lora("blocks.0.to_k", size=(64, 64)), declared)
    file = tmp_path / "ink.safetensors"
    file.write_bytes(content.read(0, content.size))
    signed_in("push", file, "--type", "loras", "--author", "Mia")

    def show() -> dict[str, str]:
        rows = [line.split("  ", 1) for line in signed_in("show", "ink").out.splitlines() if "  " in line]
        names = ("author", "license", "file says")
        return {name: value.strip() for name, value in rows if name in names}

    assert show() == {
        "author": "Mia (entered by a person)",
        "license": "CC-BY-4.0 (declared by the file)",
        "file says": "author Ada",
    }
    signed_in("edit", "ink", "--license", "ours", "--author", "")
    assert show() == {
        "author": "Ada (declared by the file)",
        "license": "ours (entered by a person)",
        "file says": "license CC-BY-4.0",
    }
    signed_in("edit", "ink", "--license", "")
    assert show()["license"] == "CC-BY-4.0 (declared by the file)"
    assert "Ada" in signed_in("ls", "license:CC-BY-4.0", "--columns", "path,author").out


def test_tags_are_trimmed_and_compared_in_any_letter_case(signed_in: Command, ink: Path) -> None:
    signed_in("push", ink, "--tag", "Own,  ink wash ")
    assert json.loads(signed_in("edit", "ink", "--add-tag", "OWN", "--add-tag", " own , new", "--json").out)[
        "tags"
    ] == [
        "Own",
        "ink wash",
        "new",
    ]
    for tag in ("own", "INK WASH"):
        assert signed_in("ls", "--tag", tag, "-q").out == signed_in("ls", f'tag:"{tag}"', "-q").out != ""
    assert signed_in("ls", "--tag", "ink", "-q").out == ""
    assert json.loads(signed_in("edit", "ink", "--remove-tag", "own,NEW", "--json").out)["tags"] == ["ink wash"]


def test_edit_removes_tag_that_the_model_does_not_have_and_says_so(signed_in: Command, ink: Path) -> None:
    signed_in("push", ink, "--tag", "own")
    ran = signed_in("edit", "ink", "--remove-tag", "owned", "--add-tag", "b", "--json")
    assert ran.code == 0
    assert "The model has no tag 'owned' to remove." in ran.err
    assert json.loads(ran.out)["tags"] == ["own", "b"]


def test_show_names_the_tags_of_the_file_apart_from_those_of_the_model(signed_in: Command, tmp_path: Path) -> None:
    content = build_header_reader(build_kohya_lora("blocks.0.to_k", size=(64, 64)), {"modelspec.tags": "ink, wash"})
    file = tmp_path / "ink.safetensors"
    file.write_bytes(content.read(0, content.size))
    signed_in("push", file, "--type", "loras", "--tag", "own")
    rows = [line.split("  ", 1) for line in signed_in("show", "ink").out.splitlines()]
    assert {name: value.strip() for name, value in rows if "tags" in name} == {
        "tags": "own",
        "file's tags": "ink, wash",
    }


@pytest.mark.parametrize(
    ("tags", "added", "removed", "left", "absent"),
    [
        (["Own", "b"], ["c, d"], ["own"], ["b", "c", "d"], []),
        (["a,b", "a"], [], ["A,B"], ["a"], []),
        (["a", "b", "c"], [], ["a, b"], ["c"], []),
        (["Own", "OWN"], [], ["own"], [], []),
        (["a"], ["b"], ["b", "x"], ["a"], ["b", "x"]),
    ],
)
def test_change_tags(tags: list[str], added: list[str], removed: list[str], left: list[str], absent: list[str]) -> None:
    assert change_tags(tags, added, removed) == (left, absent)


def write_lora(file: Path) -> Path:
    """Write a LoRA of Pony whose training set of 48 pictures has five tags."""
    tensors = build_kohya_lora("input_blocks.4.1.transformer_blocks.0.attn2.to_k", size=(2048, 640))
    tags = {"inkwsh": 48, "river": 24, "tree": 12, "moon": 6, "boat": 3}
    metadata = {
        "ss_sd_model_name": "ponyDiffusionV6XL.safetensors",
        "ss_tag_frequency": json.dumps({"10_images": tags}),
        "ss_dataset_dirs": json.dumps({"10_images": {"img_count": 48}}),
    }
    content = build_header_reader(tensors, metadata)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.head.ljust(content.size, b"\0"))
    return file


def test_show_says_what_a_model_is_and_where_that_comes_from(signed_in: Command, tmp_path: Path) -> None:
    signed_in("push", write_lora(tmp_path / "loras" / "ink.safetensors"))
    shown = " ".join(signed_in("show", "ink").out.split())
    for text in (
        "base model Pony (probably: claimed by the file's metadata)",
        "trigger words inkwsh (probably)",
        "network LoRA, rank 16",
        "training 48 pictures",
        "training tags inkwsh 100%, river 50%, tree 25% and 2 more (--training-tags)",
    ):
        assert text in shown
    assert "boat 6%" in signed_in("show", "ink", "--training-tags").out


def test_edit_base_model_and_trigger_words_and_return_to_the_files(signed_in: Command, tmp_path: Path) -> None:
    signed_in("push", write_lora(tmp_path / "loras" / "ink.safetensors"), "--base-model", "NoobAI")
    assert "NoobAI (entered by a person)" in signed_in("show", "ink").out
    edited = signed_in("edit", "ink", "--trigger-words", "ink wash, sumi")
    shown = " ".join(edited.out.split())
    assert "trigger words ink wash, sumi" in shown
    assert "file says Pony, inkwsh (probably)" in shown
    none = json.loads(signed_in("edit", "ink", "--no-trigger-words", "--json").out)
    assert none["trigger_words"] == []
    cleared = json.loads(signed_in("edit", "ink", "--base-model", "", "--trigger-words", "", "--json").out)
    assert (cleared["base_model"], cleared["base_source"]) == ("Pony", "metadata")
    assert cleared["trigger_words"] == [{"text": "inkwsh", "source": "guess"}]


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
