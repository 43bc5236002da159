import struct
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.client.header import type_by_content, type_by_tensors
from modelyard.client.library import (
    NameUnfit,
    Place,
    TypeUnknown,
    clean_path,
    fit_place,
    model_files,
    place_by_folder,
    place_of,
)
from modelyard.wire.paths import PathRefused, checked_path
from tests.client.files import model_file


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("/home/a/ComfyUI/models/loras/ink.safetensors", Place("loras", "models/loras/ink.safetensors")),
        ("/a/models/loras/sdxl/x/ink.safetensors", Place("loras", "models/loras/sdxl/x/ink.safetensors")),
        ("/a/models/unet/flux.gguf", Place("unet", "models/unet/flux.gguf")),
        ("/a/Models/clip/t5.safetensors", Place("clip", "models/clip/t5.safetensors")),
        ("/a/models/t2i_adapter/x.pth", Place("controlnet", "models/controlnet/x.pth")),
        ("/nas/loras/ink.safetensors", Place("loras", "models/loras/ink.safetensors")),
        ("/nas/loras/vae/ink.safetensors", None),
        ("/a/models/loras/vae/ink.safetensors", Place("loras", "models/loras/vae/ink.safetensors")),
        ("/a/loras/models/checkpoints/x.ckpt", Place("checkpoints", "models/checkpoints/x.ckpt")),
        ("/a/models/ink.safetensors", None),
        ("/a/models/custom_nodes/x.py", None),
        ("/downloads/ink.safetensors", None),
    ],
)
def test_folders_say_where_a_file_belongs(file: str, place: Place | None) -> None:
    assert place_by_folder(PurePosixPath(file)) == place


@pytest.mark.parametrize(
    ("tensors", "kind"),
    [
        ({"lora_unet_down_blocks_0.lora_down.weight"}, "loras"),
        ({"transformer.blocks.0.lora_A.weight"}, "loras"),
        ({"model.diffusion_model.out.weight", "first_stage_model.decoder.weight"}, "checkpoints"),
        ({"model.diffusion_model.out.weight", "conditioner.embedders.0.weight"}, "checkpoints"),
        ({"model.diffusion_model.out.weight"}, "diffusion_models"),
        ({"double_blocks.0.img_attn.qkv.weight"}, "diffusion_models"),
        ({"decoder.conv_in.weight", "encoder.conv_in.weight"}, "vae"),
        ({"control_model.input_blocks.0.weight"}, "controlnet"),
        ({"text_model.encoder.layers.0.mlp.fc1.weight"}, "text_encoders"),
        ({"encoder.block.0.layer.0.SelfAttention.q.weight", "decoder.block.0.layer.0.weight"}, "text_encoders"),
        ({"vision_model.encoder.layers.0.weight"}, "clip_vision"),
        ({"emb_params"}, "embeddings"),
        ({"something.else"}, None),
        (set(), None),
    ],
)
def test_tensor_names_say_what_a_file_is(tensors: set[str], kind: str | None) -> None:
    assert type_by_tensors(tensors) == kind


def gguf(architecture: str) -> bytes:
    key = b"general.architecture"
    value = architecture.encode()
    return (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", len(key)) + key
        + struct.pack("<IQ", 8, len(value)) + value
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gguf("flux"), "diffusion_models"),
        (gguf("t5encoder"), "text_encoders"),
        (gguf("mystery"), None),
        (gguf("flux")[:30], None),
        (b"GGUF", None),
        (b"\xff" * 64, None),
        (struct.pack("<Q", 5) + b"[1,2]", None),
        (struct.pack("<Q", 100_000) + b"[" * 100_000, None),
    ],
)
def test_broken_and_unknown_files_are_no_guess(tmp_path: Path, content: bytes, kind: str | None) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    assert type_by_content(file) == kind


def test_content_decides_where_folders_say_nothing(tmp_path: Path) -> None:
    file = model_file(tmp_path / "ink.safetensors")
    assert place_of(file, PurePosixPath("ink.safetensors")) == Place("loras", "models/loras/ink.safetensors")


def test_a_file_that_nothing_names_asks_for_its_type(tmp_path: Path) -> None:
    file = model_file(tmp_path / "ink.safetensors", tensor="x")
    with pytest.raises(TypeUnknown, match="--type"):
        place_of(file, PurePosixPath("ink.safetensors"))


def test_the_alias_of_a_folder_keeps_the_folder(tmp_path: Path) -> None:
    file = model_file(tmp_path / "models" / "unet" / "x.safetensors")
    assert place_of(file, PurePosixPath("x.safetensors"), "diffusion_models").model_path == "models/unet/x.safetensors"


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("ink (1).safetensors", "ink_1.safetensors"),
        ("a+b & c's [v2].safetensors", "a_b_c_s_v2.safetensors"),
        ("x..y.safetensors", "x.y.safetensors"),
        ("CON.safetensors", "model_CON.safetensors"),
        ("(((.ckpt", "model.ckpt"),
        ("e\u0301te\u0301.pt", "\u00e9t\u00e9.pt"),
        ("fine name.pt", "fine name.pt"),
    ],
)
def test_a_clean_name_stays_close_to_the_old_one(name: str, clean: str) -> None:
    assert clean_path(f"models/loras/{name}") == f"models/loras/{clean}"


@given(st.text(min_size=1, max_size=300).filter(lambda name: "/" not in name))
def test_every_clean_name_fits_every_machine(name: str) -> None:
    checked_path("loras", clean_path(f"loras/{name}.safetensors"))


def test_an_unfit_name_comes_with_a_fit_one() -> None:
    with pytest.raises(NameUnfit) as refused:
        fit_place(Place("loras", "models/loras/ink (1).safetensors"), clean=False)
    assert refused.value.suggestion == "models/loras/ink_1.safetensors"
    cleaned = fit_place(Place("loras", "models/loras/ink (1).safetensors"), clean=True)
    assert cleaned.model_path == refused.value.suggestion


def test_a_folder_that_holds_no_models_cannot_be_cleaned() -> None:
    with pytest.raises(PathRefused):
        fit_place(Place("custom_nodes", "custom_nodes/x (1).safetensors"), clean=True)


def test_a_library_is_walked_through_links_and_never_in_circles(tmp_path: Path) -> None:
    kept = model_file(tmp_path / "nas" / "b.safetensors")
    library = tmp_path / "models"
    found = model_file(library / "loras" / "a.safetensors")
    (library / "loras" / "notes.txt").write_text("no model")
    model_file(library / ".modelyard" / "c.safetensors")
    (library / "shared").symlink_to(kept.parent)
    (library / "loras" / "up").symlink_to(library)
    assert list(model_files(library)) == [found, library / "shared" / "b.safetensors"]
