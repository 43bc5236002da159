"""What a team has for a name in a workflow, by folder, name and hash."""

from dataclasses import replace
from uuid import UUID

import pytest

from modelyard.comfyui.workflows.references import ModelReference
from modelyard.server.workflows.matching import Content, Match, TeamContents, list_path_keys, match_reference

INK = Content(UUID(int=1), 3, "loras/portraits/ink.safetensors")
COPY = Content(UUID(int=2), 1, "loras/Ink copy.safetensors")
HASH = "sha256:" + "ab" * 32


def reference(name: str = "portraits/ink.safetensors", folder: str | None = "loras", **fields: str) -> ModelReference:
    declared = fields.get("hash"), fields.get("url")
    return ModelReference("1", "LoraLoader", "lora_name", folder, name, *declared, is_required=True)


def contents(*at_path: Content, by_hash: dict[str, list[Content]] | None = None) -> TeamContents:
    keys = {list_path_keys(reference(content.name, content.folder))[0]: content for content in at_path}
    return TeamContents(keys, by_hash or {})


@pytest.mark.parametrize("name", ["portraits/ink.safetensors", "portraits\\ink.safetensors"])
def test_match_exact_name_without_hash_is_present_with_either_slash(name: str) -> None:
    assert match_reference(reference(name), contents(INK)) == Match("present", INK)


def test_match_name_of_another_folder_is_unknown() -> None:
    assert match_reference(reference(folder="checkpoints"), contents(INK)).state == "unknown"


def test_match_name_of_another_case_is_similar_with_the_name_of_the_team() -> None:
    found = match_reference(reference("Portraits/Ink.safetensors"), contents(INK))
    assert found == Match("similar", INK, "portraits/ink.safetensors")


def test_match_declared_hash_of_the_shown_version_is_present() -> None:
    assert match_reference(reference(hash=HASH), contents(INK, by_hash={HASH: [INK]})) == Match("present", INK)


def test_match_declared_hash_of_an_older_version_is_other_content() -> None:
    older = INK._replace(version=2)
    assert match_reference(reference(hash=HASH), contents(INK, by_hash={HASH: [older]})) == Match("other_content", INK)


def test_match_declared_hash_of_another_model_suggests_its_name() -> None:
    found = match_reference(reference(hash=HASH), contents(INK, by_hash={HASH: [COPY]}))
    assert found == Match("other_content", INK, "Ink copy.safetensors")


def test_match_declared_hash_under_another_name_is_other_name() -> None:
    found = match_reference(reference("renamed.safetensors", hash=HASH), contents(INK, by_hash={HASH: [COPY]}))
    assert found == Match("other_name", COPY, "Ink copy.safetensors")


@pytest.mark.parametrize("name", ["easynegative", "easynegative.safetensors", "sub\\easynegative"])
def test_match_embedding_with_and_without_extension_is_present(name: str) -> None:
    path = name.replace("\\", "/").removesuffix(".safetensors")
    stored = Content(UUID(int=4), 1, f"embeddings/{path}.safetensors")
    assert match_reference(reference(name, "embeddings"), contents(stored)).state == "present"


def test_match_bare_name_of_a_lora_is_present_with_an_extension() -> None:
    assert match_reference(replace(reference("portraits/ink"), is_bare=True), contents(INK)).state == "present"
    assert match_reference(reference("portraits/ink"), contents(INK)).state == "unknown"


def test_match_controlnet_is_present_in_the_folder_of_adapters_too() -> None:
    depth = Content(UUID(int=5), 1, "t2i_adapter/depth.safetensors")
    assert match_reference(reference("depth.safetensors", "controlnet"), contents(depth)).state == "present"


def test_match_without_folder_is_unknown() -> None:
    assert match_reference(reference(folder=None), contents(INK)) == Match("unknown")
