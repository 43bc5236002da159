"""Metadata of model files: architecture detection, training metadata, and cleaning of untrusted text."""

import json

import pytest

from modelyard.server.inspection.metadata import clean_entries
from modelyard.wire.texts.cleaning import clean_text
from tests.server.inspection.builders import build_named_tensors, inspect_content, safetensors

SDXL = ("model.diffusion_model.input_blocks.0.0.weight", "conditioner.embedders.1.model.ln_final.weight")
SD15 = ("model.diffusion_model.input_blocks.0.0.weight", "cond_stage_model.transformer.text_model.x")
FLUX = ("double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight")
ARCHITECTURES = {
    "sdxl": (SDXL, (1,)),
    "sd1.5": (SD15, (1,)),
    "flux": (FLUX, (1,)),
    "chroma": ((*FLUX, "distilled_guidance_layer.in_proj.weight"), (1,)),
    "sd3": (("joint_blocks.0.context_block.attn.qkv.weight", "joint_blocks.0.x_block.attn.qkv.weight"), (1,)),
    "wan": (("blocks.0.cross_attn.k.weight", "head.modulation"), (1,)),
    "qwen-image": (("transformer_blocks.0.img_mod.1.weight", "txt_norm.weight"), (1,)),
    "vae": (("decoder.conv_in.weight", "encoder.conv_in.weight"), (1,)),
    "controlnet": (("zero_convs.0.0.weight", "input_hint_block.0.weight", "input_blocks.1.0.x"), (1,)),
    "clip-l": (("text_model.encoder.layers.0.self_attn.q_proj.weight",), (768, 768)),
    "t5": (("encoder.block.0.layer.0.SelfAttention.q.weight", "encoder.final_layer_norm.weight"), (1,)),
    "sd1.5-lora": (
        ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight",),
        (4, 768),
    ),
    "sdxl-lora": (("lora_unet_x.lora_down.weight", "lora_te2_text_model_x.lora_down.weight"), (4, 4)),
    "flux-lora": (("transformer.single_transformer_blocks.0.norm.linear.lora_A.weight",), (4, 3072)),
    "lora": (("something.else.lora_A.weight",), (4, 4)),
    None: (("a.weight", "b.bias"), (1,)),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architecture_is_detected_from_tensor_names(architecture: str | None) -> None:
    names, shape = ARCHITECTURES[architecture]
    assert inspect_content(build_named_tensors(*names, shape=shape)).architecture == architecture


@pytest.mark.parametrize("name_prefix", ["", "model.diffusion_model.", "diffusion_model."])
def test_architecture_is_detected_under_name_prefixes(name_prefix: str) -> None:
    assert inspect_content(build_named_tensors(*(name_prefix + name for name in FLUX))).architecture == "flux"


def test_inspect_file_with_training_metadata_returns_its_known_entries() -> None:
    tags = {"10_ink": {"ink wash": 30, "1girl": 12, "solo": 7}, "5_more": {"solo": 9}}
    facts = inspect_content(
        build_named_tensors(
            "lora_unet_x.lora_down.weight",
            metadata={
                "ss_base_model_version": "sdxl_base_v1-0",
                "ss_tag_frequency": json.dumps(tags),
                "modelspec.title": "Ink",
                "modelspec.trigger_phrase": "inkwash style, sumi",
                "modelspec.license": "CC-BY-4.0",
                "modelspec.thumbnail": "data:image/png;base64,AAAA",
                "ss_dataset_dirs": "secret path",
            },
        )
    )
    assert (facts.architecture, facts.base_model) == ("lora", None)  # no tensor confirms what it claims
    assert facts.tags == []
    assert [word["text"] for word in facts.trigger_words] == ["inkwash style", "sumi"]
    assert facts.extra == {
        "tensor_count": 1,
        "modelspec.title": "Ink",
        "modelspec.license": "CC-BY-4.0",
        "modelspec.trigger_phrase": "inkwash style, sumi",
        "ss_base_model_version": "sdxl_base_v1-0",
    }


def test_architecture_not_detected_is_the_declared_one() -> None:
    assert (
        inspect_content(build_named_tensors("x", metadata={"modelspec.architecture": "Other-v1"})).architecture
        == "Other-v1"
    )


@pytest.mark.parametrize(
    "table",
    ["", "[1]", "{", '{"a": 1}', '{"a": {"b": "c", "d": -1, "e": true}}', "[" * 100_000, '{"a":{"b":1e999}}', "\ud800"],
)
def test_inspect_file_with_invalid_tables_returns_no_training_tags(table: str) -> None:
    text = table.encode("utf-8", "replace").decode()
    header = {"__metadata__": {"ss_tag_frequency": text, "ss_dataset_dirs": text, "ss_datasets": text}}
    found = inspect_content(safetensors(header))
    assert (found.tags, found.training_tags, found.trigger_words) == ([], [], [])


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("a\x00b\x1b[0m\x7f", "ab[0m"),
        ("line\nline\t two", "line line two"),
        ("two  spaces", "two spaces"),
        ("half \ud83d pair", "half pair"),
        ("turn \u202e\u2066around\u200b\ufeff", "turn around"),
        ("  кисть 墨 é 😀 ", "кисть 墨 é 😀"),
        ("x" * 5_000, "x" * 1_000),
    ],
)
def test_clean_text_collapses_spaces_removes_invisible_characters_and_truncates(dirty: str, clean: str) -> None:
    assert clean_text(dirty) == clean
    clean_text(dirty).encode()


def test_clean_entries_truncates_to_64_kib_of_json() -> None:
    entries = clean_entries({f"key{n}" * 50: "墨" * 2_000 for n in range(500)})
    assert entries
    assert len(json.dumps(entries)) <= 64 * 1024


def test_inspect_file_with_hostile_metadata_returns_small_clean_metadata() -> None:
    hostile = {
        f"modelspec.{name}": "<script>\x00\u202e" + "墨" * 100_000 for name in ("title", "author", "description")
    }
    facts = inspect_content(build_named_tensors("x", metadata=hostile | {"ss_base_model_version": "\x00" * 50}))
    raw = json.dumps([facts.extra, facts.tags, facts.trigger_words, facts.architecture])
    assert len(raw) < 64 * 1024
    assert "\\u0000" not in raw
    assert "\\u202e" not in raw


def test_clean_entries_leaves_out_nan_and_infinities() -> None:
    numbers = {"nan": float("nan"), "most": float("inf"), "least": float("-inf"), "one": 1.0, "none": 0}
    assert clean_entries(numbers) == {"one": 1.0, "none": 0}
