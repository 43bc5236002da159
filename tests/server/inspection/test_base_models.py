"""Base models: tensors decide, claims refine. One case for each row of evidence, as its trainer or tool writes it.

Sources of names: CU ComfyUI `comfy/model_detection.py`; KO sd-scripts `library/sai_model_spec.py` and `train_util.py`;
AT AI Toolkit `get_base_model_version`; OT OneTrainer `resources/sd_model_spec`; MU musubi-tuner `sai_model_spec.py`;
GG ComfyUI-GGUF `loader.py`. Widths are those of the released models.
"""

from typing import Any

import pytest

from modelyard.server.inspection.description.architectures import describe_model
from modelyard.server.inspection.description.base_models import FAMILIES, Claim, get_possible_names, refine_base_model
from modelyard.server.inspection.description.layers import Layers
from modelyard.wire.base_models.names import BASE_MODELS
from tests.server.inspection.builders import build_kohya_lora, build_peft_lora, inspect_header

Tensors = dict[str, tuple[int, ...]]
SD1_ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
SDXL_ATTENTION = "input_blocks.4.1.transformer_blocks.0.attn2.to_k"
SDXL_LORA = build_kohya_lora(SDXL_ATTENTION, size=(2048, 640))
SDXL_UNET: Tensors = {
    "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
    "model.diffusion_model.label_emb.0.0.weight": (1280, 2816),
}
FLUX_BLOCKS = ("double_blocks.0.img_attn.qkv", "double_blocks.18.img_mod.lin", "single_blocks.37.modulation.lin")
FLUX_LORA = build_kohya_lora(*FLUX_BLOCKS, size=(3072, 9216))
FLUX_PEFT = build_peft_lora(
    "transformer_blocks.0.attn.to_q", "transformer_blocks.0.norm1.linear", "single_transformer_blocks.0.norm.linear",
    size=(3072, 3072),
)  # fmt: skip
FLUX_WEIGHTS: Tensors = {
    "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
    "double_blocks.0.img_attn.qkv.weight": (9216, 3072),
    "single_blocks.0.linear1.weight": (21504, 3072),
    "img_in.weight": (3072, 64),
}
GUIDANCE: Tensors = {"guidance_in.in_layer.weight": (3072, 256)}


def build_flux2(text_width: int, width: int) -> Tensors:
    return {
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        "double_blocks.0.img_attn.qkv.weight": (3 * width, width),
        "double_stream_modulation_img.lin.weight": (6 * width, width),
        "txt_in.weight": (width, text_width),
    }


def build_wan(width: int, *, channels: int = 16, out_channels: int = 16, **more: tuple[int, ...]) -> Tensors:
    return {
        "blocks.0.self_attn.q.weight": (width, width),
        "blocks.0.cross_attn.k.weight": (width, width),
        "head.modulation": (1, 2, width),
        "head.head.weight": (4 * out_channels, width),
        "patch_embedding.weight": (width, channels, 1, 2, 2),
    } | {name.replace("__", "."): shape for name, shape in more.items()}


WAN_14B_LORA = build_kohya_lora("blocks.0.self_attn.q", "blocks.0.cross_attn.k", "blocks.0.ffn.0", size=(5120, 5120))
LTX_BLOCKS = ("transformer_blocks.0.attn1.to_q", "transformer_blocks.0.attn2.to_k")
LTX: Tensors = {
    "adaln_single.emb.timestep_embedder.linear_1.bias": (2048,),
    "transformer_blocks.0.attn1.to_q.weight": (2048, 2048),
    "transformer_blocks.0.attn2.to_k.weight": (2048, 2048),
}
HUNYUAN: Tensors = {
    "txt_in.individual_token_refiner.blocks.0.norm1.weight": (3072,),
    "img_in.proj.weight": (3072, 16, 1, 2, 2),
    "double_blocks.0.img_attn.qkv.weight": (9216, 3072),
}

# Tensors, entries of the metadata, then base model, source and architecture.
Case = tuple[Tensors, dict[str, str], str | None, str | None, str | None]
CASES: dict[str, Case] = {
    # Stable Diffusion: the width of the text embedding.
    "CU SD 1.5 U-Net": (
        {"input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768)}, {}, "SD 1.5", "tensors", "sd1.5",
    ),
    "KO SD 1.5 LoRA": (
        build_kohya_lora(SD1_ATTENTION, size=(768, 320)), {"ss_base_model_version": "sd_v1"},
        "SD 1.5", "tensors", "sd1.5-lora",
    ),
    "AT SD 1.5 LoRA": (
        build_peft_lora(SD1_ATTENTION, size=(768, 320), prefix="unet."), {"ss_base_model_version": "sd_1.5"},
        "SD 1.5", "tensors", "sd1.5-lora",
    ),
    "KO SD 2.1 LoRA": (
        build_kohya_lora(SD1_ATTENTION, size=(1024, 320)), {"ss_base_model_version": "sd_v2"},
        "SD 2.1", "tensors", "sd2-lora",
    ),
    "CU SDXL U-Net": (SDXL_UNET, {}, "SDXL 1.0", "tensors", "sdxl"),
    "KO SDXL LoRA": (SDXL_LORA, {"ss_base_model_version": "sdxl_base_v1-0"}, "SDXL 1.0", "tensors", "sdxl-lora"),
    "AT SDXL LoRA": (SDXL_LORA, {"ss_base_model_version": "sdxl_1.0"}, "SDXL 1.0", "tensors", "sdxl-lora"),
    "OT SDXL LoRA": (SDXL_LORA, {"ss_base_model_version": "sdxl_"}, "SDXL 1.0", "tensors", "sdxl-lora"),
    "OT SDXL LoRA, architecture": (
        SDXL_LORA, {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, "SDXL 1.0", "tensors", "sdxl-lora",
    ),
    "KO LyCORIS LoHa of SDXL": (
        {f"lora_unet_{SDXL_ATTENTION.replace('.', '_')}.hada_w1_a": (640, 8),
         f"lora_unet_{SDXL_ATTENTION.replace('.', '_')}.hada_w1_b": (8, 2048)}, {}, "SDXL 1.0", "tensors", "sdxl-lora",
    ),
    "Kolors U-Net has SDXL's width and another condition": (
        SDXL_UNET | {"model.diffusion_model.label_emb.0.0.weight": (1280, 5632)}, {}, None, None, None,
    ),
    # The SDXL fine-tunes: tensors are those of SDXL.
    "KO Pony by the name of the trained model": (
        SDXL_LORA,
        {"ss_base_model_version": "sdxl_base_v1-0", "ss_sd_model_name": "ponyDiffusionV6XL_v6.safetensors"},
        "Pony", "metadata", "sdxl-lora",
    ),
    "KO Illustrious by the name of the trained model": (
        SDXL_LORA, {"ss_sd_model_name": "Illustrious-XL-v0.1.safetensors"}, "Illustrious", "metadata", "sdxl-lora",
    ),
    "KO NoobAI by the name of the trained model": (
        SDXL_LORA, {"ss_sd_model_name": "NoobAI-XL-Vpred-v1.0.safetensors"}, "NoobAI", "metadata", "sdxl-lora",
    ),
    "modelspec.merged_from Pony": (
        SDXL_UNET, {"modelspec.merged_from": "autismmixSDXL_pony.safetensors, other.safetensors"},
        "Pony", "metadata", "sdxl",
    ),
    "KO SDXL by the name of the trained model": (
        SDXL_LORA, {"ss_sd_model_name": "sd_xl_base_1.0.safetensors"}, "SDXL 1.0", "metadata", "sdxl-lora",
    ),
    # SD 3.5: width/64 is the depth.
    "CU SD 3.5 Large": (
        {"joint_blocks.0.x_block.attn.qkv.weight": (7296, 2432), "x_embedder.proj.weight": (2432, 16, 2, 2)},
        {}, "SD 3.5 Large", "tensors", "sd3",
    ),
    "CU SD 3.5 Medium": (
        {"joint_blocks.0.x_block.attn2.qkv.weight": (4608, 1536), "x_embedder.proj.weight": (1536, 16, 2, 2)},
        {}, "SD 3.5 Medium", "tensors", "sd3",
    ),
    "CU SD 3": (
        {"joint_blocks.0.x_block.attn.qkv.weight": (4608, 1536), "x_embedder.proj.weight": (1536, 16, 2, 2)},
        {}, "SD 3", "tensors", "sd3",
    ),
    "KO SD 3.5 Large LoRA": (
        build_kohya_lora("joint_blocks.0.x_block.attn.qkv", size=(2432, 7296)),
        {"modelspec.architecture": "stable-diffusion-3-5-large/lora"}, "SD 3.5 Large", "tensors", "sd3-lora",
    ),
    "KO SD 3.5 Medium LoRA by its claim": (
        build_kohya_lora("joint_blocks.0.x_block.attn.qkv", size=(1536, 4608)),
        {"modelspec.architecture": "stable-diffusion-3-5-medium/lora"}, "SD 3.5 Medium", "metadata", "sd3-lora",
    ),
    # Flux.1.
    "CU Flux.1 D": (FLUX_WEIGHTS | GUIDANCE, {}, "Flux.1 D", "tensors", "flux"),
    "CU Flux.1 S": (FLUX_WEIGHTS, {}, "Flux.1 S", "tensors", "flux"),
    "CU Flux.1 Fill": (
        FLUX_WEIGHTS | GUIDANCE | {"img_in.weight": (3072, 384)}, {}, "Flux.1 Fill", "tensors", "flux",
    ),
    "KO Flux.1 D LoRA": (
        FLUX_LORA, {"ss_base_model_version": "flux1", "modelspec.architecture": "flux-1-dev/lora"},
        "Flux.1 D", "metadata", "flux-lora",
    ),
    "KO Flux.1 S LoRA": (
        FLUX_LORA, {"modelspec.architecture": "flux-1-schnell/lora"}, "Flux.1 S", "metadata", "flux-lora",
    ),
    "OT Flux.1 D LoRA": (FLUX_PEFT, {"modelspec.architecture": "Flux.1-dev/lora"}, "Flux.1 D", "metadata", "flux-lora"),
    "AT older Flux.1 LoRA that claims sd_1.5": (
        FLUX_PEFT, {"ss_base_model_version": "sd_1.5"}, "Flux.1", "tensors", "flux-lora",
    ),
    "Flux.1 LoRA without a claim": (FLUX_PEFT, {}, "Flux.1", "tensors", "flux-lora"),
    "AT Flux.1 Kontext LoRA": (
        FLUX_PEFT, {"ss_base_model_version": "flux.1_kontext"}, "Flux.1 Kontext", "metadata", "flux-lora",
    ),
    "MU Flux.1 Kontext LoRA, without modulation layers": (
        build_kohya_lora("double_blocks.0.img_attn.qkv", size=(3072, 9216)),
        {"modelspec.architecture": "flux-1-kontext/lora"}, "Flux.1 Kontext", "metadata", "flux-lora",
    ),
    "KO Flux.1 Krea by the name of the trained model": (
        FLUX_LORA,
        {"ss_sd_model_name": "flux1-krea-dev.safetensors", "modelspec.architecture": "flux-1-dev/lora"},
        "Flux.1 Krea", "metadata", "flux-lora",
    ),
    # Flux.2.
    "CU Flux.2 D": (build_flux2(15360, 6144), {}, "Flux.2 D", "tensors", "flux2"),
    "CU Flux.2 Klein 9B": (build_flux2(12288, 4096), {}, "Flux.2 Klein 9B", "tensors", "flux2"),
    "CU Flux.2 Klein 4B": (build_flux2(7680, 3072), {}, "Flux.2 Klein 4B", "tensors", "flux2"),
    "Flux.2 D LoRA without a claim": (
        build_kohya_lora("double_blocks.0.img_attn.qkv", "single_blocks.47.linear1", size=(6144, 18432)),
        {}, "Flux.2 D", "tensors", "flux2-lora",
    ),
    "Flux.2 Klein 4B LoRA without a claim, by the size of its feed-forward layers": (
        build_kohya_lora("single_blocks.0.linear1", size=(3072, 27648)), {}, "Flux.2 Klein 4B", "tensors", "flux2-lora",
    ),
    "diffusers Flux.2 D LoRA without a claim": (
        build_peft_lora("single_transformer_blocks.0.attn.to_qkv_mlp_proj", size=(6144, 55296)),
        {}, "Flux.2 D", "tensors", "flux2-lora",
    ),
    "AT Flux.2 Klein 9B LoRA": (
        build_peft_lora("double_blocks.0.img_attn.qkv", size=(4096, 12288), prefix="diffusion_model."),
        {"ss_base_model_version": "flux2_klein_9b"}, "Flux.2 Klein 9B", "tensors", "flux2-lora",
    ),
    "OT Flux.2 LoRA": (
        build_peft_lora("single_transformer_blocks.0.attn.to_qkv_mlp_proj", size=(4096, 36864)),
        {"modelspec.architecture": "Flux.2/lora"}, "Flux.2 Klein 9B", "tensors", "flux2-lora",
    ),
    # Chroma has no modulation layers; a LoRA without them may be of either.
    "CU Chroma": (
        FLUX_WEIGHTS | {"distilled_guidance_layer.norms.0.scale": (5120,)}, {}, "Chroma", "tensors", "chroma",
    ),
    "KO Chroma LoRA": (
        build_kohya_lora("double_blocks.0.img_attn.qkv", size=(3072, 9216)), {"modelspec.architecture": "chroma/lora"},
        "Chroma", "metadata", "chroma-lora",
    ),
    "OT Chroma LoRA": (
        build_peft_lora("transformer_blocks.0.attn.to_q", "single_transformer_blocks.0.proj_mlp", size=(3072, 3072)),
        {"modelspec.architecture": "Chroma1/lora"}, "Chroma", "metadata", "chroma-lora",
    ),
    "Chroma LoRA without a claim is unknown": (
        build_kohya_lora("double_blocks.0.img_attn.qkv", size=(3072, 9216)), {}, None, None, "lora",
    ),
    # Qwen.
    "CU Qwen": (
        {"transformer_blocks.0.img_mod.1.weight": (18432, 3072), "txt_norm.weight": (3584,)},
        {}, "Qwen", "tensors", "qwen-image",
    ),
    "AT Qwen LoRA": (
        build_peft_lora("transformer_blocks.0.img_mlp.net.0.proj", size=(3072, 12288), prefix="diffusion_model."),
        {"ss_base_model_version": "qwen_image"}, "Qwen", "tensors", "qwen-image-lora",
    ),
    "OT Qwen LoRA": (
        build_kohya_lora("transformer_blocks.0.img_mlp.net.0.proj", size=(3072, 12288), prefix="lora_transformer_"),
        {"modelspec.architecture": "Qwen-Image/lora"}, "Qwen", "tensors", "qwen-image-lora",
    ),
    "MU Qwen Edit LoRA": (
        build_kohya_lora("transformer_blocks.0.img_mlp.net.0.proj", size=(3072, 12288)),
        {"modelspec.architecture": "Qwen-Image-Edit/lora"}, "Qwen Edit", "metadata", "qwen-image-lora",
    ),
    # Wan.
    "CU Wan 2.1 1.3B": (build_wan(1536), {}, "Wan Video 1.3B t2v", "tensors", "wan"),
    "CU Wan 2.1 I2V": (
        build_wan(5120, channels=36, img_emb__proj__0__bias=(1280,)), {}, "Wan Video 14B i2v", "tensors", "wan",
    ),
    "CU Wan 2.2 5B": (build_wan(3072, channels=48, out_channels=48), {}, "Wan Video 2.2 TI2V-5B", "tensors", "wan"),
    "CU Wan 2.2 I2V": (build_wan(5120, channels=36), {}, "Wan Video 2.2 I2V-A14B", "tensors", "wan"),
    "CU Wan 14B T2V of 2.1 and 2.2 are alike": (build_wan(5120), {}, "Wan Video 14B", "tensors", "wan"),
    "AT Wan 2.2 14B LoRA": (
        WAN_14B_LORA, {"ss_base_model_version": "wan_2.2_14b"}, "Wan Video 2.2", "metadata", "wan-lora",
    ),
    "KO Wan LoRA without a claim": (WAN_14B_LORA, {}, "Wan Video 14B", "tensors", "wan-lora"),
    "Wan 2.1 I2V LoRA without a claim": (
        build_kohya_lora("blocks.0.self_attn.q", "blocks.0.cross_attn.k_img", size=(5120, 5120)),
        {}, "Wan Video 14B i2v", "tensors", "wan-lora",
    ),
    # Hunyuan Video.
    "CU Hunyuan Video": (HUNYUAN, {}, "Hunyuan Video", "tensors", "hunyuan-video"),
    "CU Hunyuan Video 1.5": (
        HUNYUAN | {"vision_in.proj.0.weight": (1152,)}, {}, "Hunyuan Video 1.5", "tensors", "hunyuan-video",
    ),
    "Hunyuan Video LoRA in ComfyUI's names, without a claim": (
        build_peft_lora("double_blocks.19.img_attn.qkv", "double_blocks.0.img_mod.lin", size=(3072, 9216),
                        prefix="diffusion_model."),
        {}, "Hunyuan Video", "tensors", "hunyuan-video-lora",
    ),
    "MU Hunyuan Video LoRA without a claim": (
        build_kohya_lora("double_blocks.0.img_attn_qkv", "double_blocks.0.img_mlp.fc1", size=(3072, 9216)),
        {}, "Hunyuan Video", "tensors", "hunyuan-video-lora",
    ),
    "OT Hunyuan Video LoRA": (
        build_peft_lora("transformer_blocks.19.attn.to_q", "single_transformer_blocks.39.proj_out", size=(3072, 3072)),
        {"modelspec.architecture": "hunyuan-video/lora"}, "Hunyuan Video", "tensors", "hunyuan-video-lora",
    ),
    # LTX.
    "CU LTXV": (LTX, {}, "LTXV", "tensors", "ltx-video"),
    "CU LTXV2": (LTX | {"audio_adaln_single.linear.weight": (4096, 1024)}, {}, "LTXV2", "tensors", "ltx-video"),
    "LTXV LoRA without a claim": (
        build_peft_lora(*LTX_BLOCKS, size=(2048, 2048), prefix="diffusion_model."),
        {}, "LTXV", "tensors", "ltx-video-lora",
    ),
    "LTX LoRA of the width of both": (
        build_peft_lora(*LTX_BLOCKS, size=(4096, 4096), prefix="diffusion_model."), {}, None, None, "ltx-video-lora",
    ),
    "AT LTXV2 LoRA": (
        build_peft_lora(*LTX_BLOCKS, size=(4096, 4096), prefix="diffusion_model."), {"ss_base_model_version": "ltx2"},
        "LTXV2", "metadata", "ltx-video-lora",
    ),
    # Z-Image and Lumina 2.
    "CU Z-Image": (
        {"cap_embedder.1.weight": (3840, 2560), "noise_refiner.0.attention.k_norm.weight": (128,)},
        {}, "ZImage", "tensors", "z-image",
    ),
    "CU Lumina 2": (
        {"cap_embedder.1.weight": (2304, 2304), "noise_refiner.0.attention.k_norm.weight": (96,)},
        {}, "Lumina", "tensors", "lumina2",
    ),
    "AT Z-Image LoRA": (
        build_peft_lora("layers.0.attention.to_q", size=(3840, 3840), prefix="diffusion_model."),
        {"ss_base_model_version": "zimage"}, "ZImage", "tensors", "z-image-lora",
    ),
    "Z-Image Turbo by the name of the trained model": (
        build_kohya_lora("layers.0.attention.qkv", size=(3840, 11520)),
        {"ss_sd_model_name": "z_image_turbo_bf16.safetensors"}, "ZImageTurbo", "metadata", "z-image-lora",
    ),
    "OT Z-Image LoRA": (
        build_peft_lora("layers.0.attention.to_q", size=(3840, 3840)), {"modelspec.architecture": "Z-Image/lora"},
        "ZImage", "tensors", "z-image-lora",
    ),
    "KO Lumina LoRA": (
        build_kohya_lora("layers.0.attention.qkv", size=(2304, 4608)), {"modelspec.architecture": "lumina-2/lora"},
        "Lumina", "tensors", "lumina2-lora",
    ),
    # HiDream, Anima and AuraFlow.
    "CU HiDream": ({"caption_projection.0.linear.weight": (2560, 4096)}, {}, "HiDream", "tensors", "hidream"),
    "OT HiDream LoRA": (
        build_peft_lora("double_stream_blocks.0.block.attn1.to_q", size=(2560, 2560)),
        {"modelspec.architecture": "hidream-i1/lora"}, "HiDream", "tensors", "hidream-lora",
    ),
    "CU Anima": (
        {"blocks.0.mlp.layer1.weight": (8192, 2048), "llm_adapter.blocks.0.cross_attn.q_proj.weight": (1024, 1024)},
        {}, "Anima", "tensors", "anima",
    ),
    "OT Anima LoRA": (
        build_peft_lora("blocks.0.cross_attn.k_proj", size=(2048, 2048)), {"modelspec.architecture": "Anima/lora"},
        "Anima", "metadata", "anima-lora",
    ),
    "CU AuraFlow": ({"double_layers.0.attn.w1q.weight": (3072, 3072)}, {}, "AuraFlow", "tensors", "auraflow"),
    # What matches no row is unknown, whatever it claims.
    "unknown tensors with a claim": (
        build_peft_lora("something.else", size=(64, 64)),
        {"ss_base_model_version": "sdxl_base_v1-0"}, None, None, "lora",
    ),
    "unknown tensors": ({"a.weight": (1,), "b.bias": (1,)}, {}, None, None, None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_base_model_is_decided_by_tensors_and_refined_by_claims(case: Case) -> None:
    tensors, metadata, base_model, source, architecture = case
    found = inspect_header(tensors, metadata)
    assert (found.base_model, found.base_source, found.architecture) == (base_model, source, architecture)


# What GGUF files declare as general.architecture, over tensors of these families (GG).
GGUF_CASES = {
    "flux": ("flux", "Flux.1"),
    "sd1": ("sd1", "SD 1.5"),
    "sdxl": ("sdxl", "SDXL 1.0"),
    "sd3": ("sd3.5-large", "SD 3.5 Large"),
    "aura": ("auraflow", "AuraFlow"),
    "hidream": ("hidream", "HiDream"),
    "ltxv": ("ltxv", "LTXV"),
    "wan": ("wan-t2v", "Wan Video 14B"),
    "hyvid": ("hunyuan-video", "Hunyuan Video"),
    "qwen_image": ("qwen", "Qwen"),
    "lumina2": ("z-image", "ZImage"),
}


@pytest.mark.parametrize("architecture", GGUF_CASES)
def test_gguf_architecture_never_contradicts_the_tensors(architecture: str) -> None:
    family, name = GGUF_CASES[architecture]
    base = refine_base_model([family], [Claim("metadata", architecture, is_exact=False)])
    assert (base.name, base.source) == (name, "tensors")


def test_every_known_name_is_one_that_tensors_show_or_permit() -> None:
    alone = {name for family in FAMILIES for name in get_possible_names([family])}
    # What the sizes of Flux.2 have in common is the only name that no family has for itself.
    assert alone | {"Flux.2"} == set(BASE_MODELS)


def test_a_claim_of_another_family_is_ignored() -> None:
    claims = [Claim("sidecar", "SD 1.5"), Claim("metadata", "Flux.2 D"), Claim("file_name", "my_flux_krea_style")]
    base = refine_base_model(["flux"], claims)
    assert (base.name, base.source) == ("Flux.1 Krea", "file_name")


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("lora_unet_" + "x" * 100_000 + ".lora_down.weight", (4, 4)),
        ("transformer." * 25, (4, 4)),
        (".lora_down.weight", (4, 4)),
        ("double_blocks_" + "9" * 200 + ".lora_A.weight", (0, 0)),
        ("single_blocks.²_.weight", None),
    ],
)
def test_hostile_tensor_names_describe_nothing(name: str, shapes: Any) -> None:
    assert describe_model(Layers({name: shapes})).base_model is None
