import json
import struct
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.comfyui.model_locations import (
    ModelLocation,
    NameInvalid,
    TypeUnknown,
    check_location,
    clean_path,
    find_location,
    find_location_by_folder,
    list_model_files,
)
from modelyard.comfyui.type_detection import detect_type, detect_type_by_tensors
from modelyard.wire.paths import ModelPathInvalid, parse_model_path
from tests.client.model_files import write_model_file
from tests.server.inspection.header_shapes import HEADER_SHAPES

pytestmark = pytest.mark.slow

# The page's tests read the same file: web/tests/upload-types.spec.ts.
CASES = json.loads(Path(__file__).with_name("model_type_cases.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "model_path"), CASES["folders"])
def test_find_location_by_folder_shared_case_gives_the_recorded_path(file: str, model_path: str | None) -> None:
    location = find_location_by_folder(PurePosixPath(file))
    assert location == (model_path and ModelLocation(model_path.split("/")[1], model_path))


@pytest.mark.parametrize(("tensors", "model_type"), CASES["tensors"])
def test_detect_type_by_tensors_shared_case_gives_the_recorded_type(tensors: list[str], model_type: str | None) -> None:
    assert detect_type_by_tensors(set(tensors)) == model_type


@pytest.mark.parametrize(("head", "model_type"), CASES["gguf"])
def test_detect_type_shared_gguf_head_gives_the_recorded_type(
    tmp_path: Path, head: str, model_type: str | None
) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(bytes.fromhex(head))
    assert detect_type(file) == model_type


SHAPES_BY_TYPE: dict[str | None, list[str]] = {
    "loras": [
        *("ai-toolkit-flux", "diffusers-sdxl", "kohya-flux-captions", "kohya-sd15", "kohya-sdxl-tags"),
        *("kohya-sdxl-text-encoders", "lightx2v-wan", "lycoris-lokr-sdxl", "musubi-hunyuan", "musubi-wan", "peft-flux"),
    ],
    "checkpoints": ["comfyui-merge-sdxl", "comfyui-flux-checkpoint-e5m2"],
    "diffusion_models": ["flux-dev", "comfyui-flux-fp8-quant", "hunyuan-video", "nunchaku-flux"],
    "text_encoders": ["comfyui-t5xxl-fp8-scaled", "qwen3-30b-a3b"],
    "embeddings": ["embedding-sdxl"],
    None: ["comfyui-wan-fp8-scaled", "diffusers-sdxl-unet", "ip-adapter-faceid", "lycoris-full-sd15"],
}


@pytest.mark.parametrize(
    ("shape", "model_type"), [(shape, kind) for kind, shapes in SHAPES_BY_TYPE.items() for shape in shapes]
)
def test_detect_type_file_as_tools_write_it(tmp_path: Path, shape: str, model_type: str | None) -> None:
    file = tmp_path / f"{shape}.safetensors"
    file.write_bytes(HEADER_SHAPES[file.name]().head)
    assert detect_type(file) == model_type


@pytest.mark.parametrize(
    "content",
    [b"\xff" * 64, struct.pack("<Q", 5) + b"[1,2]", struct.pack("<Q", 100_000) + b"[" * 100_000],
)
def test_detect_type_invalid_safetensors_file_returns_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    assert detect_type(file) is None


def test_find_location_outside_type_folder_uses_content(tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "ink.safetensors")
    assert find_location(file, PurePosixPath("ink.safetensors")) == ModelLocation(
        "loras", "models/loras/ink.safetensors"
    )


def test_find_location_undetectable_type_raises_type_unknown(tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "ink.safetensors", tensor="x")
    with pytest.raises(TypeUnknown, match="--type"):
        find_location(file, PurePosixPath("ink.safetensors"))


def test_find_location_alias_of_folder_type_keeps_the_folder(tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "models" / "unet" / "x.safetensors")
    assert (
        find_location(file, PurePosixPath("x.safetensors"), "diffusion_models").model_path
        == "models/unet/x.safetensors"
    )


@pytest.mark.parametrize(("name", "clean"), CASES["clean_names"], ids=ascii)
def test_clean_path_shared_case_gives_the_recorded_name(name: str, clean: str) -> None:
    assert clean_path(f"models/loras/{name}") == f"models/loras/{clean}"


@given(st.text(min_size=1, max_size=300).filter(lambda name: "/" not in name))
def test_clean_path_any_name_returns_valid_model_path(name: str) -> None:
    parse_model_path("loras", clean_path(f"loras/{name}.safetensors"))


def test_check_location_invalid_name_error_suggests_a_valid_one() -> None:
    with pytest.raises(NameInvalid) as refused:
        check_location(ModelLocation("loras", "models/loras/ink (1).safetensors"), clean=False)
    assert refused.value.suggestion == "models/loras/ink_1.safetensors"
    cleaned = check_location(ModelLocation("loras", "models/loras/ink (1).safetensors"), clean=True)
    assert cleaned.model_path == refused.value.suggestion


@pytest.mark.parametrize("path", ["models/vae/../../x.safetensors", "models/vae/./x.safetensors"])
@pytest.mark.parametrize("clean", [True, False])
def test_check_location_with_segments_of_dots_suggests_no_name_for_them(path: str, clean: bool) -> None:
    with pytest.raises(ModelPathInvalid):
        check_location(ModelLocation("vae", path), clean=clean)


def test_check_location_non_model_type_raises_even_with_clean() -> None:
    with pytest.raises(ModelPathInvalid):
        check_location(ModelLocation("custom_nodes", "custom_nodes/x (1).safetensors"), clean=True)


def test_list_model_files_follows_links_inside_the_folder_without_loops(tmp_path: Path) -> None:
    library = tmp_path / "models"
    kept = write_model_file(library / ".nas" / "b.safetensors")
    found = write_model_file(library / "loras" / "a.safetensors")
    (library / "loras" / "notes.txt").write_text("no model")
    write_model_file(library / ".modelyard" / "c.safetensors")
    (library / "shared").symlink_to(kept.parent)
    (library / "loras" / "up").symlink_to(library)
    assert list(list_model_files(library)) == [found, library / "shared" / "b.safetensors"]
