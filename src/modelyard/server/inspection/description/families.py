"""Families of diffusion models, and their detection from layers that only one family has.

A family is a set of base models whose tensors are alike. Several are returned where the tensors leave it open: a LoRA
names only the layers that it changes. Rules are those of ComfyUI ``comfy/model_detection.py``; what distinguishes
adapters follows from the layers that their trainers write.
"""

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from modelyard.server.inspection.description.layers import Layers

Families: TypeAlias = Sequence[str]

_UNET = ("input_blocks_", "middle_block_", "output_blocks_", "down_blocks_", "mid_block_", "up_blocks_")
# The width of the text embedding that a U-Net attends to differs by generation.
_BY_CONTEXT = {768: "sd1", 1024: "sd2", 1280: "sdxl-refiner", 2048: "sdxl"}
# SDXL's size and text embedding together; Kolors has another.
_SDXL_CONDITION = 2816
_FLUX2_BY_TEXT = {15360: "flux2-dev", 12288: "flux2-klein-9b", 7680: "flux2-klein-4b"}
_FLUX2_BY_WIDTH = {6144: "flux2-dev", 4096: "flux2-klein-9b", 3072: "flux2-klein-4b"}
_FLUX_WIDTH = 3072
_FILL_CHANNELS = 384  # the picture, the masked picture and the mask
# Flux has so many double and single blocks, Hunyuan Video 20 and 40.
_FLUX_DOUBLE, _FLUX_SINGLE = 19, 38
_WAN_LAYER = re.compile(r"blocks_\d{1,3}_(?:self_attn|cross_attn)_[qkvo]\Z")
_WAN_DIFFUSERS_LAYER = re.compile(r"blocks_\d{1,3}_attn2_to_[qkv]\Z")


def find_families(layers: Layers) -> Families:
    """Return the families that the layers permit: one if they decide it, none if they match none."""
    return next((families for rule in _RULES if (families := rule(layers))), ())


def _find_unet(layers: Layers) -> Families:
    """Stable Diffusion 1, 2 and XL."""
    widths = (layers.get_input(prefix, "attn2_to_k") for prefix in _UNET)
    width = next((width for width in widths if width is not None), None)
    if width is None:
        # Only SDXL has more than one transformer block in an attention block.
        is_deep = any(layers.has_in(prefix, "_transformer_blocks_1_") for prefix in _UNET)
        return ("sdxl",) if is_deep else ()
    if any(layers.has_in(prefix, "_time_stack_", "_temporal_") for prefix in _UNET):
        return ()
    condition = layers.get_input("label_emb_0_0") or layers.get_input("add_embedding_linear_1")
    if width == 2048 and condition not in (None, _SDXL_CONDITION):
        return ()
    family = _BY_CONTEXT.get(width)
    return (family,) if family else ()


def _find_double_stream(layers: Layers) -> Families:
    """Flux.1, Flux.2, Chroma and Hunyuan Video, with the names of their authors."""
    if not layers.has("double_blocks_", "single_blocks_") or layers.has("latent_in"):
        return ()
    width = layers.get_input("double_blocks_", "img_attn_qkv", "txt_attn_qkv") or layers.get_input(
        "single_blocks_", "_linear1"
    )
    if layers.has("double_stream_modulation_img"):
        text = _FLUX2_BY_TEXT.get(layers.get_input("txt_in") or 0)
        family = text or _FLUX2_BY_WIDTH.get(width or 0)
        return (family,) if family else tuple(_FLUX2_BY_WIDTH.values())
    if layers.has("vision_in_proj_0") or width == 2048:
        return ("hunyuan-video-1.5",)
    if layers.has("distilled_guidance_layer"):
        return ("chroma",)
    if width in (6144, 4096):
        return (_FLUX2_BY_WIDTH[width],)
    if _is_hunyuan_video(layers):
        return ("hunyuan-video",)
    if _is_klein_4b(layers):
        return ("flux2-klein-4b",)
    return _find_flux(layers) if width in (None, _FLUX_WIDTH) or not layers.is_adapter else ()


def _is_hunyuan_video(layers: Layers) -> bool:
    """Return whether layers of double-stream blocks have Hunyuan Video's names, or numbers that Flux has not."""
    return (
        layers.has("txt_in_individual_token_refiner")
        or layers.has_in("double_blocks_", "_mlp_fc1", "_mod_linear")
        or layers.has_in("single_blocks_", "_modulation_linear")
        or layers.has_block("double_blocks_", _FLUX_DOUBLE)
        or layers.has_block("single_blocks_", _FLUX_SINGLE)
        or any(".img_attn_qkv" in name or ".txt_attn_qkv" in name for name in layers.tensor_names)
    )


def _is_klein_4b(layers: Layers) -> bool:
    """Return whether the feed-forward layers have Flux.2's sizes: gated, and three times the width."""
    single = layers.get_output("single_blocks_", "_linear1")
    return single == 9 * _FLUX_WIDTH or layers.get_output("double_blocks_", "_mlp_0") == 6 * _FLUX_WIDTH


def _find_flux(layers: Layers) -> Families:
    """Flux.1 or Chroma, which differ in the modulation layers: Chroma has none."""
    if layers.get_input("img_in") == _FILL_CHANNELS:
        return ("flux-fill",)
    if layers.has("guidance_in"):
        return ("flux-dev",)
    if not layers.is_adapter:
        if not layers.has("double_blocks_0_img_attn") or not layers.has("single_blocks_0_"):
            return ()
        return ("flux-schnell",) if layers.has("img_in") else ("flux",)
    has_modulation = layers.has_in("double_blocks_", "_img_mod_lin", "_txt_mod_lin") or layers.has_in(
        "single_blocks_", "_modulation_lin"
    )
    return ("flux",) if has_modulation or layers.has("vector_in", "time_in") else ("flux", "chroma")


def _find_diffusers_blocks(layers: Layers) -> Families:
    """Flux, Chroma, Hunyuan Video, Qwen and SD 3 with the names that diffusers gives them."""
    has_single = layers.has("single_transformer_blocks_")
    if not has_single and not layers.has("transformer_blocks_"):
        return ()
    if layers.has_in("transformer_blocks_", "_img_mlp_", "_img_mod_", "_txt_mlp_", "_txt_mod_"):
        return ("qwen",)
    if not has_single and not layers.has_in("transformer_blocks_", "_attn_add_"):
        return ()
    width = layers.get_input("transformer_blocks_", "_attn_to_q", "_attn_to_k", "_attn_add_k_proj")
    width = width or layers.get_input("single_transformer_blocks_", "_attn_to_q", "_attn_to_k", "_attn_to_qkv_mlp_proj")
    if layers.has("double_stream_modulation_img") or (
        layers.has_in("single_transformer_blocks_", "_to_qkv_mlp_proj")
        or layers.has_in("transformer_blocks_", "_ff_linear_in")
        or (has_single and width in (6144, 4096))
    ):
        family = _FLUX2_BY_WIDTH.get(width or 0)
        return (family,) if family else tuple(_FLUX2_BY_WIDTH.values())
    if not has_single:
        return _find_diffusers_sd3_or_qwen(layers, width)
    if width not in (None, _FLUX_WIDTH):
        return ()
    if layers.has("context_embedder_token_refiner") or (
        layers.has_block("transformer_blocks_", _FLUX_DOUBLE)
        or layers.has_block("single_transformer_blocks_", _FLUX_SINGLE)
    ):
        return ("hunyuan-video",)
    if layers.has("distilled_guidance_layer"):
        return ("chroma",)
    if layers.has("time_text_embed_guidance_embedder"):
        return ("flux-dev",)
    has_modulation = layers.has_in("transformer_blocks_", "_norm1_linear", "_norm1_context_linear") or layers.has_in(
        "single_transformer_blocks_", "_norm_linear"
    )
    return ("flux",) if has_modulation or not layers.is_adapter else ("flux", "chroma")


def _find_diffusers_sd3_or_qwen(layers: Layers, width: int | None) -> Families:
    """SD 3 by its width; or a LoRA of the attention layers of Qwen or Flux."""
    if width == 2432:
        return ("sd3.5-large",)
    if width == 1536:
        return ("sd3.5-medium",) if layers.has_in("transformer_blocks_", "_attn2_") else ("sd3-medium", "sd3.5-medium")
    if width != _FLUX_WIDTH:
        return ()
    return ("qwen",) if layers.has_block("transformer_blocks_", _FLUX_DOUBLE + 1) else ("qwen", "flux", "chroma")


def _find_sd3(layers: Layers) -> Families:
    """SD 3 and 3.5 with the names of their authors."""
    if not layers.has("joint_blocks_"):
        return ()
    width = layers.get_output("x_embedder_proj") or layers.get_input("joint_blocks_", "_block_attn_qkv")
    if layers.has_in("joint_blocks_", "_x_block_attn2_"):
        return ("sd3.5-medium",)
    if width == 2432:
        return ("sd3.5-large",)
    if width == 1536:
        return ("sd3-medium", "sd3.5-medium") if layers.is_adapter else ("sd3-medium",)
    return ("sd3-medium", "sd3.5-medium", "sd3.5-large")


def _find_wan(layers: Layers) -> Families:
    """Wan 2.1 and 2.2."""
    is_wan = any(_WAN_LAYER.match(name) or _WAN_DIFFUSERS_LAYER.match(name) for name in layers.iterate("blocks_"))
    if not is_wan and not layers.has("head_modulation"):
        return ()
    width = layers.get_input("blocks_", "_self_attn_q", "_self_attn_k", "_attn1_to_q", "_attn1_to_k", "_cross_attn_q")
    if width == 3072 or layers.get_output("head_head") == 4 * 48:
        return ("wan2.2-5b",)
    if width == 1536:
        return ("wan2.1-1.3b",)
    if layers.has("img_emb") or layers.has_in("blocks_", "_cross_attn_k_img", "_attn2_add_k_proj"):
        return ("wan2.1-i2v",)
    channels = layers.get_input("patch_embedding")
    if layers.is_adapter or channels is None:
        return ("wan-t2v", "wan2.2-i2v", "wan2.1-i2v")
    return ("wan2.2-i2v",) if channels == 36 else ("wan-t2v",)


def _find_ltx(layers: Layers) -> Families:
    """LTX Video 1 and 2."""
    if layers.has("pos_embed_proj") or any(layers.has(prefix) for prefix in _UNET):
        return ()
    has_audio = layers.has_in("transformer_blocks_", "_audio_attn1_", "_audio_to_video_attn_")
    if has_audio or layers.has("audio_adaln_single"):
        return ("ltxv2",)
    if layers.has("adaln_single_emb_timestep_embedder") and not layers.is_adapter:
        return ("ltxv",)
    width = layers.get_input("transformer_blocks_", "_attn1_to_q", "_attn1_to_k")
    if not layers.has_in("transformer_blocks_", "_attn2_to_"):
        return ()
    return {2048: ("ltxv",), 4096: ("ltxv", "ltxv2")}.get(width or 0, ())


def _find_lumina(layers: Layers) -> Families:
    """Z-Image and Lumina 2, which differ in their width."""
    is_known = layers.has("cap_embedder_1", "noise_refiner_") or layers.has_in("layers_", "_attention_")
    # The last is of NewBie, which is as wide as Lumina.
    if not is_known or layers.has("clip_text_pooled_proj"):
        return ()
    width = layers.get_output("cap_embedder_1")
    for prefix in ("layers_", "noise_refiner_", "context_refiner_"):
        width = width or layers.get_input(prefix, "_attention_qkv", "_attention_to_q", "_attention_to_k")
    return {3840: ("z-image",), 2304: ("lumina",)}.get(width or 0, ())


def _find_others(layers: Layers) -> Families:
    """Families that one name tells."""
    if layers.has("caption_projection_0_linear", "double_stream_blocks_", "single_stream_blocks_"):
        return ("hidream",)
    if layers.has("llm_adapter_"):
        return ("anima",)
    if layers.has_in("blocks_", "_cross_attn_k_proj", "_mlp_layer1", "_adaln_modulation_self_attn"):
        return ("anima", "cosmos") if layers.is_adapter else ("cosmos",)
    if layers.has("double_layers_0_attn_w1q", "double_layers_0_attn_w2q"):
        return ("auraflow",)
    return ("sdxl",) if layers.is_adapter and layers.has("lora_te2_text_model") else ()


_RULES: tuple[Callable[[Layers], Families], ...] = (
    *(_find_double_stream, _find_diffusers_blocks, _find_sd3, _find_unet),
    *(_find_wan, _find_ltx, _find_lumina, _find_others),
)
