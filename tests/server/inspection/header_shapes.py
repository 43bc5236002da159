"""Headers of model files as trainers and tools write them, by a file name with its extension; data is not stored.

Names, shapes, dtypes and counts are those of released files and of the writers: sd-scripts ``train_network.py``,
musubi-tuner, AI Toolkit, diffusers and PEFT, LyCORIS, ComfyUI ``nodes_model_merging.py`` and its layouts of fp8 and
nvfp4, nunchaku ``merge_safetensors.py``, ComfyUI-GGUF ``convert.py``, llama.cpp and Unsloth.
"""

import base64
import json
import struct
import tempfile
from collections.abc import Callable, Mapping
from math import nan, prod
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from modelyard.comfyui.model_files.safetensors import DTYPE_BITS
from tests.server.inspection.builders import SparseReader
from tests.server.inspection.header_layers import (
    AWQ,
    CLIP_G,
    CLIP_L,
    COMFY_FP8,
    FLUX,
    FLUX_DIFFUSERS,
    FLUX_ENDS,
    FLUX_MODULATION,
    FLUX_NORMS,
    FLUX_NUNCHAKU,
    FP8_SCALED,
    HUNYUAN,
    HUNYUAN_ENDS,
    KOHYA,
    LOKR,
    NVFP4,
    PEFT,
    PLAIN,
    Q4_K,
    SD1,
    SDXL,
    SDXL_DIFFUSERS,
    SVDQUANT,
    WAN,
    WAN_ENDS,
    WAN_NORMS,
    Tensors,
    build_layers,
    list_tensors,
)


def build_safetensors(tensors: Tensors, metadata: Mapping[str, str] | None = None) -> SparseReader:
    """Build a file as the crate writes it: wide dtypes first, then by name; the header is padded to 8 bytes."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, (dtype, shape) in sorted(tensors.items(), key=lambda item: (-DTYPE_BITS[item[1][0]], item[0])):
        start, end = end, end + prod(shape) * DTYPE_BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % 8)
    return SparseReader(struct.pack("<Q", len(raw)) + raw, 8 + len(raw) + end)


def build_gguf(tensors: Tensors, keys: Mapping[str, Any]) -> SparseReader:
    """Build a file with the reference writer: each tensor at a multiple of 32 bytes."""
    writer, end = gguf.GGUFWriter(None, ""), 0
    writer.kv_data[0].clear()
    for name, value in keys.items():
        writer.add_key_value(name, value, gguf.GGUFValueType.get_type(value))
    for name, (kind, shape) in tensors.items():
        number = gguf.GGMLQuantizationType[kind]
        block, size = gguf.GGML_QUANT_SIZES[number]
        writer.add_tensor_info(name, shape, np.dtype(np.float32), prod(shape) // block * size, number)
        end += writer.ggml_pad(prod(shape) // block * size, 32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.gguf")
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        head = path.read_bytes()
    head += bytes(-len(head) % 32)
    return SparseReader(head, len(head) + end)


# What people and trainers declare.
SS_VALUES = """
    ss_adaptive_noise_scale=None ss_batch_size_per_device=4 ss_bucket_no_upscale=True ss_cache_latents=True ss_epoch=10
    ss_clip_skip=None ss_enable_bucket=True ss_full_fp16=False ss_huber_c=0.1 ss_keep_tokens=1 ss_learning_rate=0.0001
    ss_loss_type=l2 ss_lr_scheduler=cosine ss_max_bucket_reso=2048 ss_max_train_steps=2400 ss_min_snr_gamma=5.0
    ss_mixed_precision=bf16 ss_network_alpha=16.0 ss_network_dim=32 ss_network_module=networks.lora ss_num_epochs=10
    ss_optimizer=bitsandbytes.optim.adamw.AdamW8bit ss_output_name=inkwsh ss_sd_scripts_commit_hash=48d368fa ss_seed=42
    ss_session_id=2831405471 ss_steps=2400 ss_training_started_at=1718000000.5 ss_v2=False ss_zero_terminal_snr=False
    modelspec.sai_model_spec=1.0.0 modelspec.title=inkwsh modelspec.date=2024-06-10T07:13:20
    modelspec.implementation=https://github.com/Stability-AI/generative-models modelspec.resolution=1024x1024"""


def build_training(folder: str, images: int, tags: Mapping[str, int], **more: str) -> dict[str, str]:
    """Return what sd-scripts writes of a training with one folder; ``__`` in the name of an entry stands for a dot."""
    buckets = {str(n): {"resolution": [512 + 64 * n, 1536 - 64 * n], "count": images} for n in range(16)}
    subset = {"img_count": images, "num_repeats": 2, "image_dir": folder, "class_tokens": None, "is_reg": False}
    # sd-scripts wrote the mean of no numbers as NaN.
    bucket_info = {"buckets": buckets, "mean_img_ar_error": nan}
    dataset = {"is_dreambooth": True, "subsets": [subset], "tag_frequency": {folder: tags}, "bucket_info": bucket_info}
    tables = {
        "ss_tag_frequency": {folder: tags},
        "ss_dataset_dirs": {folder: {"n_repeats": 2, "img_count": images}},
        "ss_bucket_info": bucket_info,
        "ss_datasets": [dataset | {"resolution": [side, side]} for side in (768, 1024)],
    }
    values = dict(pair.split("=", 1) for pair in SS_VALUES.split())
    values |= {name: json.dumps(table) for name, table in tables.items()}
    values |= {"sshs_model_hash": "5d" * 32, "sshs_legacy_hash": "5d5d5d5d"}
    return values | {name.replace("__", "."): value for name, value in more.items()}


def build_picture_url(size: int) -> str:
    """Return the data URL of a picture of ``size`` bytes."""
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(size - 8)).decode()


def build_vocabulary(tokens: int, kind: str, **more: list[Any]) -> dict[str, Any]:
    """Return the keys of a tokenizer; ``more`` are its merges or scores."""
    keys = {"tokens": [f"▁token{n}" for n in range(tokens)], "token_type": [1] * tokens, "eos_token_id": 1} | more
    return {"tokenizer.ggml.model": kind} | {f"tokenizer.ggml.{name}": value for name, value in keys.items()}


def build_kohya(layers: str, prefix: str = "lora_unet_", template: str = KOHYA) -> Tensors:
    return build_layers(layers, template, prefix, "_")


TAGS = {"inkwsh": 8_950, "(^_^)": 30, 'say "hi"': 20, "水墨画": 8_000, "👩‍🎨": 5, "a\\(b\\)": 7}
TAGS |= {f"tag {number:04}": 6_000 - number for number in range(5_994)}
CAPTIONS = {f"inkwsh, an ink drawing of scene {number}, with a river and boats": 1 for number in range(2_000)}
SD15 = {"ss_base_model_version": "sd_v1"}
XL = {"ss_base_model_version": "sdxl_base_v1-0", "modelspec__architecture": "stable-diffusion-xl-v1-base/lora"}
PONY = XL | {"ss_sd_model_name": "ponyDiffusionV6XL_v6.safetensors"}
FLUX_DEV = {"ss_base_model_version": "flux1", "modelspec__architecture": "flux-1-dev/lora"}
AI_TOOLKIT = {"format": "pt", "ss_base_model_version": "sd_1.5", "training_info": '{"step": 2000, "epoch": 12}'}
AI_TOOLKIT |= {"software": '{"name": "ai-toolkit"}', "ss_tag_frequency": '{"1_inkwsh": {"inkwsh": 1}}'}
NUNCHAKU = {"model_class": "NunchakuFluxTransformer2dModel", "config": '{"guidance_embeds": true}'}
NUNCHAKU |= {"quantization_config": '{"method": "svdquant", "weight": {"dtype": "int4", "group_size": 64}, "rank": 32}'}
MERGE = {"modelspec.predict_key": "epsilon", "prompt": '{"4": {"inputs": {}}}', "workflow": '{"nodes": [[[]]]}'}
PT = {"format": "pt"}
CITY96 = {"general.quantization_version": 2, "general.file_type": 14}
UNSLOTH = {"general.architecture": "qwen2vl", "general.name": "Qwen2.5-Vl-7B-Instruct", "general.tags": ["unsloth"]}
UNSLOTH |= {"general.quantized_by": "Unsloth", "general.repo_url": "https://huggingface.co/unsloth"}
UNET, CONDITIONER = "model.diffusion_model.", "conditioner.embedders"

HEADER_SHAPES: dict[str, Callable[[], SparseReader]] = {
    "kohya-sd15.safetensors": lambda: build_safetensors(
        build_kohya(SD1) | build_kohya(CLIP_L, "lora_te_"),
        build_training("10_inkwsh woman", 40, {"inkwsh": 40, "solo": 30}, **SD15)
    ),
    "kohya-sdxl-tags.safetensors": lambda: build_safetensors(
        build_kohya(SDXL), build_training("1_images", 9_000, TAGS, **PONY)
    ),
    "kohya-sdxl-text-encoders.safetensors": lambda: build_safetensors(
        build_kohya(SDXL) | build_kohya(CLIP_L, "lora_te1_") | build_kohya(CLIP_G, "lora_te2_"),
        build_training("5_inkwsh", 40, {"a": 30}, **XL)
    ),
    "kohya-sdxl-thumbnail.safetensors": lambda: build_safetensors(
        build_kohya(SDXL), {"modelspec.thumbnail": build_picture_url(1 << 20), "modelspec.trigger_phrase": "inkwsh"}
    ),
    "kohya-sdxl-header-12mb.safetensors": lambda: build_safetensors(
        build_kohya(SDXL),
        build_training("1_images", 9_000, TAGS, modelspec__thumbnail=build_picture_url(9 << 20), **XL)
    ),
    "kohya-flux-captions.safetensors": lambda: build_safetensors(
        build_kohya(FLUX) | build_kohya(CLIP_L, "lora_te1_"), build_training("5_inkwsh", 2_000, CAPTIONS, **FLUX_DEV)
    ),
    "musubi-wan.safetensors": lambda: build_safetensors(
        build_kohya(WAN), build_training("video", 9, {}, modelspec__architecture="wan2.1/lora")
    ),
    "musubi-hunyuan.safetensors": lambda: build_safetensors(
        build_kohya(HUNYUAN), build_training("video", 9, {}, modelspec__architecture="hunyuan-video/lora")
    ),
    "lycoris-lokr-sdxl.safetensors": lambda: build_safetensors(
        build_kohya(SDXL, template=LOKR), {"ss_network_args": '{"algo": "lokr", "factor": "8"}'}
    ),
    "lycoris-full-sd15.safetensors": lambda: build_safetensors(
        build_kohya(SD1, template="diff F16 {o} {i} {k}"), {"ss_network_args": '{"algo": "full"}'}
    ),
    "ai-toolkit-flux.safetensors": lambda: build_safetensors(
        build_layers(FLUX_DIFFUSERS + FLUX_MODULATION, PEFT, "transformer."), AI_TOOLKIT
    ),
    "diffusers-sdxl.safetensors": lambda: build_safetensors(
        build_layers(SDXL_DIFFUSERS, PEFT, "unet.") | build_layers(CLIP_L, PEFT, "text_encoder."),
        PT | {"lora_adapter_metadata": '{"unet.r": 16, "unet.target_modules": ["to_k", "to_q"]}'},
    ),
    "peft-flux.safetensors": lambda: build_safetensors(build_layers(FLUX_DIFFUSERS, PEFT, "base_model.model."), PT),
    "lightx2v-wan.safetensors": lambda: build_safetensors(
        build_layers(WAN, f"{PEFT}; alpha F32; diff_b BF16 {{o}}", "diffusion_model.")
    ),
    "comfyui-merge-sdxl.safetensors": lambda: build_safetensors(
        build_layers(SDXL, PLAIN, UNET) | list_tensors("label_emb.0.0.weight F16 1280 2816", UNET)
        | build_layers(CLIP_L, PLAIN, f"{CONDITIONER}.0.transformer.")
        | list_tensors("transformer.resblocks.(0-31).attn.in_proj_weight F16 3840 1280", f"{CONDITIONER}.1.model.")
        | list_tensors("first_stage_model.(encoder|decoder).conv_in.weight F32 128 3 3 3"), MERGE,
    ),
    "diffusers-sdxl-unet.safetensors": lambda: build_safetensors(build_layers(SDXL_DIFFUSERS, PLAIN), PT),
    "comfyui-sdxl-unet-nvfp4.safetensors": lambda: build_safetensors(build_layers(SDXL_DIFFUSERS, NVFP4), PT),
    "flux-dev.safetensors": lambda: build_safetensors(build_layers(FLUX + FLUX_ENDS, PLAIN) | list_tensors(FLUX_NORMS)),
    "comfyui-flux-checkpoint-e5m2.safetensors": lambda: build_safetensors(
        build_layers(FLUX + FLUX_ENDS, "weight F8_E5M2 {o} {i}; bias F8_E5M2 {o}", UNET)
        | build_layers(CLIP_L, PLAIN, "text_encoders.clip_l.transformer.")
        | list_tensors("text_encoders.t5xxl.transformer.shared.weight F8_E5M2 32128 4096")
    ),
    "comfyui-flux-fp8-quant.safetensors": lambda: build_safetensors(
        build_layers(FLUX, COMFY_FP8) | build_layers(FLUX_ENDS, PLAIN) | list_tensors(FLUX_NORMS),
        {"_quantization_metadata": '{"format_version": "1.0", "layers": {}}'},
    ),
    "comfyui-wan-fp8-scaled.safetensors": lambda: build_safetensors(
        build_layers(WAN, FP8_SCALED) | build_layers(WAN_ENDS, PLAIN)
        | list_tensors(f"{WAN_NORMS}; scaled_fp8 F8_E4M3 0")
    ),
    "hunyuan-video.safetensors": lambda: build_safetensors(build_layers(HUNYUAN + HUNYUAN_ENDS, PLAIN)),
    "nunchaku-flux.safetensors": lambda: build_safetensors(
        build_layers(FLUX_NUNCHAKU, SVDQUANT) | build_layers(FLUX_MODULATION, AWQ)
        | build_layers("x_embedder 64 3072; time_text_embed.guidance_embedder.linear_1 256 3072", PLAIN), NUNCHAKU,
    ),
    "comfyui-t5xxl-fp8-scaled.safetensors": lambda: build_safetensors(
        build_layers("encoder.block.(0-23).layer.0.SelfAttention.(q|k|v|o) 4096 4096", FP8_SCALED)
        | list_tensors("encoder.final_layer_norm.weight F16 4096; scaled_fp8 F8_E4M3 0")
    ),
    "qwen3-30b-a3b.safetensors": lambda: build_safetensors(
        list_tensors("""model.layers.(0-47).mlp.experts.(0-127).(gate|up|down)_proj.weight BF16 768 2048
            model.layers.(0-47).self_attn.(q|o)_proj.weight BF16 4096 2048
            model.embed_tokens.weight BF16 151936 2048"""), PT,
    ),
    "ip-adapter-faceid.safetensors": lambda: build_safetensors(
        build_layers("ip_adapter.(0-31).to_(q|k)_lora 320 320", "down.weight F16 128 {i}; up.weight F16 {o} 128")
        | list_tensors("image_proj.proj.0.weight F16 1024 512; ip_adapter.(0-31).to_(k|v)_ip.weight F16 320 768")
    ),
    "embedding-sdxl.safetensors": lambda: build_safetensors(list_tensors("clip_g F32 8 1280; clip_l F32 8 768")),
    "city96-flux.gguf": lambda: build_gguf(
        build_layers(FLUX, Q4_K) | build_layers(FLUX_ENDS, PLAIN) | list_tensors(FLUX_NORMS),
        CITY96 | {"general.architecture": "flux"},
    ),
    "city96-wan.gguf": lambda: build_gguf(
        build_layers(WAN, Q4_K) | build_layers(WAN_ENDS, PLAIN)
        | list_tensors(WAN_NORMS), CITY96 | {"general.architecture": "wan"}
    ),
    "city96-hunyuan.gguf": lambda: build_gguf(
        build_layers(HUNYUAN + HUNYUAN_ENDS, Q4_K), CITY96 | {"general.architecture": "hyvid"}
    ),
    "sd-cpp-sdxl.gguf": lambda: build_gguf(build_layers(SDXL, "weight Q8_0 {o} {i}; bias F32 {o}", UNET), {}),
    "city96-t5-encoder.gguf": lambda: build_gguf(
        list_tensors("""
            enc.blk.(0-23).attn_(q|k|v|o).weight Q8_0 4096 4096; enc.blk.(0-23).ffn_(gate|up).weight Q8_0 10240 4096
            enc.blk.(0-23).ffn_down.weight Q8_0 4096 10240; enc.blk.(0-23).(attn|ffn)_norm.weight F32 4096
            enc.blk.0.attn_rel_b.weight F16 32 64; enc.output_norm.weight F32 4096
            token_embd.weight Q8_0 32128 4096"""),
        {"general.architecture": "t5encoder"} | build_vocabulary(32_128, "t5", scores=[-1.5] * 32_128),
    ),
    "unsloth-qwen2.5-vl.gguf": lambda: build_gguf(
        list_tensors("""
            blk.(0-27).attn_(q|output).weight Q4_K 3584 3584; blk.(0-27).attn_(k|v).weight Q4_K 512 3584
            blk.(0-27).ffn_(gate|up).weight Q4_K 18944 3584; blk.(0-27).ffn_down.weight Q6_K 3584 18944
            blk.(0-27).(attn_norm.weight|ffn_norm.weight|attn_q.bias) F32 3584; blk.(0-27).attn_(k|v).bias F32 512
            (token_embd|output).weight Q6_K 152064 3584; output_norm.weight F32 3584"""),
        UNSLOTH | build_vocabulary(152_064, "gpt2", merges=[f"Ġ t{number}" for number in range(151_387)]),
    ),
}  # fmt: skip
