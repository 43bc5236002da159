"""Every format, in a small and a large file, is inspected in a sandbox, where imports are forbidden after its limits.

``tests.server.sandbox_imports`` forbids them in all tests of the server.
"""

from collections.abc import Callable
from itertools import product
from typing import get_args

import pytest

from modelyard.server.inspection import inspector
from modelyard.server.inspection.inspector import VALIDATORS, inspect_file
from modelyard.wire.formats import FormatName
from tests.server.inspection import builders
from tests.server.inspection.builders import MemoryReader, SparseReader
from tests.server.inspection.header_shapes import HEADER_SHAPES, build_gguf
from tests.server.inspection.test_pickle_scanner import build_slow_pickle
from tests.server.inspection.test_sandbox import build_large_onnx

pytestmark = pytest.mark.slow

FORMATS = sorted({*VALIDATORS, *get_args(FormatName)})
FILES: dict[tuple[str, str], tuple[str, Callable[[], MemoryReader | SparseReader]]] = {
    ("safetensors", "small"): ("a.safetensors", lambda: MemoryReader(builders.build_named_tensors("lora.weight"))),
    ("safetensors", "large"): ("a.safetensors", HEADER_SHAPES["kohya-sdxl-tags.safetensors"]),
    ("gguf", "small"): (
        "a.gguf",
        lambda: build_gguf({"a.weight": ("F16", [64, 64])}, {"general.architecture": "flux"}),
    ),
    ("gguf", "large"): ("a.gguf", HEADER_SHAPES["unsloth-qwen2.5-vl.gguf"]),
    ("onnx", "small"): ("a.onnx", lambda: MemoryReader(build_large_onnx(1))),
    ("onnx", "large"): ("a.onnx", lambda: MemoryReader(build_large_onnx(20_000))),
    ("pickle", "small"): ("a.ckpt", lambda: MemoryReader(builders.build_checkpoint())),
    ("pickle", "large"): ("a.ckpt", lambda: MemoryReader(build_slow_pickle(50_000))),
}


@pytest.mark.parametrize(("format_name", "size"), [*product(FORMATS, ("small", "large"))])
def test_inspect_each_format_in_a_sandbox_imports_nothing_after_its_limits(
    format_name: str, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So small files are inspected in a sandbox too.
    monkeypatch.setattr(inspector, "REQUEST_READ_BYTES", dict.fromkeys(VALIDATORS, 0))
    file_name, build = FILES[format_name, size]
    found = inspect_file(build(), file_name, "scan")
    assert found.format == format_name
    if format_name in VALIDATORS:
        assert found == VALIDATORS[format_name](build())
