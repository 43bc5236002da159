"""Headers as trainers and tools write them are accepted and described, in this process or a sandbox as size decides."""

from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from modelyard.server.inspection import inspector
from modelyard.server.inspection.inspector import VALIDATORS, inspect_file, inspect_within_request
from modelyard.server.inspection.metadata import ModelMetadata
from modelyard.server.inspection.sandbox import DEFAULT_LIMITS
from modelyard.wire.formats import find_format
from tests.server.inspection.builders import SparseReader
from tests.server.inspection.header_shapes import HEADER_SHAPES
from tests.server.inspection.test_pickle_scanner import list_child_processes

pytestmark = pytest.mark.slow


class Facts(NamedTuple):
    """What people would expect to see of a file; ``words`` are its trigger words with their source."""

    is_sandboxed: bool
    tensor_count: int
    architecture: str | None
    base_model: str | None = None
    words: str = ""
    network: str = ""


EXPECTED = {
    "kohya-sd15.safetensors": Facts(False, 792, "sd1.5-lora", "SD 1.5", "folder: inkwsh woman", "LoRA 32"),
    "kohya-sdxl-tags.safetensors": Facts(True, 2_166, "sdxl-lora", "Pony", "guess: inkwsh", "LoRA 32"),
    "kohya-sdxl-text-encoders.safetensors": Facts(True, 2_958, "sdxl-lora", "SDXL 1.0", "folder: inkwsh", "LoRA 32"),
    "kohya-sdxl-thumbnail.safetensors": Facts(True, 2_166, "sdxl-lora", "SDXL 1.0", "file: inkwsh", "LoRA 32"),
    "kohya-sdxl-header-12mb.safetensors": Facts(True, 2_166, "sdxl-lora", "SDXL 1.0", "guess: inkwsh", "LoRA 32"),
    "kohya-flux-captions.safetensors": Facts(True, 1_128, "flux-lora", "Flux.1 D", "folder: inkwsh", "LoRA 32"),
    "musubi-wan.safetensors": Facts(True, 1_200, "wan-lora", "Wan Video 2.1", network="LoRA 32"),
    "musubi-hunyuan.safetensors": Facts(False, 720, "hunyuan-video-lora", "Hunyuan Video", network="LoRA 32"),
    "lycoris-lokr-sdxl.safetensors": Facts(True, 2_888, "sdxl-lora", "SDXL 1.0", network="LoKr"),
    "lycoris-full-sd15.safetensors": Facts(False, 192, "sd1.5-lora", "SD 1.5", network="full"),
    "ai-toolkit-flux.safetensors": Facts(True, 988, "flux-lora", "Flux.1", "file: inkwsh", "LoRA 16"),
    "diffusers-sdxl.safetensors": Facts(True, 1_588, "sdxl-lora", "SDXL 1.0", network="LoRA 16"),
    # Without modulation layers and a claim it may be of Chroma.
    "peft-flux.safetensors": Facts(False, 836, "lora", network="LoRA 16"),
    "lightx2v-wan.safetensors": Facts(True, 1_600, "wan-lora", "Wan Video 14B", network="LoRA 16"),
    "comfyui-merge-sdxl.safetensors": Facts(True, 1_623, "sdxl", "SDXL 1.0"),
    "diffusers-sdxl-unet.safetensors": Facts(True, 1_444, "sdxl", "SDXL 1.0"),
    "comfyui-sdxl-unet-nvfp4.safetensors": Facts(True, 3_610, "sdxl", "SDXL 1.0"),
    "flux-dev.safetensors": Facts(False, 780, "flux", "Flux.1 D"),
    "comfyui-flux-checkpoint-e5m2.safetensors": Facts(False, 773, "flux", "Flux.1 D"),
    "comfyui-flux-fp8-quant.safetensors": Facts(True, 1_692, "flux", "Flux.1 D"),
    "comfyui-wan-fp8-scaled.safetensors": Facts(True, 1_896, "wan", "Wan Video 14B"),
    "hunyuan-video.safetensors": Facts(False, 644, "hunyuan-video", "Hunyuan Video"),
    "nunchaku-flux.safetensors": Facts(True, 2_436, "flux", "Flux.1 D"),
    "comfyui-t5xxl-fp8-scaled.safetensors": Facts(False, 386, "t5"),
    "qwen3-30b-a3b.safetensors": Facts(True, 18_529, "language-model"),
    "ip-adapter-faceid.safetensors": Facts(False, 193, "ip-adapter"),
    "embedding-sdxl.safetensors": Facts(False, 2, None),
    "city96-flux.gguf": Facts(True, 780, "flux", "Flux.1 D"),
    "city96-wan.gguf": Facts(True, 1_095, "wan", "Wan Video 14B"),
    "city96-hunyuan.gguf": Facts(False, 644, "hunyuan-video", "Hunyuan Video"),
    "sd-cpp-sdxl.gguf": Facts(True, 1_444, "sdxl", "SDXL 1.0"),
    "city96-t5-encoder.gguf": Facts(True, 219, "t5encoder"),
    "unsloth-qwen2.5-vl.gguf": Facts(True, 339, "qwen2vl"),
}


@dataclass
class WatchingReader:
    """A reader that notes whether a process of this thread runs while the file is read."""

    file: SparseReader
    processes_before: set[str] = field(default_factory=list_child_processes)
    has_sandbox: bool = False

    @property
    def size(self) -> int:
        return self.file.size

    def read(self, start: int, length: int) -> bytes:
        self.has_sandbox |= bool(list_child_processes() - self.processes_before)
        return self.file.read(start, length)


class Shape(NamedTuple):
    """A file of the corpus with the metadata that its validator finds in this process."""

    name: str
    file: SparseReader
    metadata: ModelMetadata


@pytest.fixture(params=HEADER_SHAPES, scope="module")
def shape(request: pytest.FixtureRequest) -> Shape:
    name: str = request.param
    file = HEADER_SHAPES[name]()
    return Shape(name, file, VALIDATORS[str(find_format(name))](file))


def describe(metadata: ModelMetadata, *, is_sandboxed: bool) -> Facts:
    """Return the facts of the metadata."""
    details, words = metadata.details, metadata.trigger_words
    return Facts(
        is_sandboxed,
        metadata.extra["tensor_count"],
        metadata.architecture,
        metadata.base_model,
        f"{words[0]['source']}: {', '.join(word['text'] for word in words)}" if words else "",
        " ".join(details[name] for name in ("network", "rank") if name in details),
    )


def test_inspect_file_header_shape_is_accepted_and_described(shape: Shape) -> None:
    reader = WatchingReader(shape.file)
    metadata = inspect_file(reader, shape.name, "scan")
    assert metadata == shape.metadata
    assert describe(metadata, is_sandboxed=reader.has_sandbox) == EXPECTED[shape.name]


def test_inspect_within_request_header_shape_is_accepted_or_too_large(
    shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of files that need a sandbox, only safetensors headers up to 1 MiB are inspected within a request."""
    monkeypatch.setattr(inspector, "REQUEST_LIMITS", DEFAULT_LIMITS)
    is_small = shape.name.endswith(".safetensors") and len(shape.file.head) <= inspector.REQUEST_HEADER_BYTES
    expected = shape.metadata if is_small or not EXPECTED[shape.name].is_sandboxed else None
    assert inspect_within_request(shape.file, shape.name, "scan") == expected


def test_expected_facts_are_of_every_shape_and_of_both_ways() -> None:
    assert EXPECTED.keys() == HEADER_SHAPES.keys()
    assert {facts.is_sandboxed for facts in EXPECTED.values()} == {True, False}
