"""Validation of GGUF files."""

import random
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from modelyard.comfyui.model_files.gguf_types import TENSOR_TYPES
from modelyard.server.inspection.inspector import inspect_file
from modelyard.wire.problems import NotAModelFile
from tests.server.inspection.builders import MemoryReader, SparseReader, get_outcome, inspect_content

INVALID = "broken gguf file"


@pytest.fixture(scope="module")
def reference_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of the reference package: every kind of value, plain and quantized tensors."""
    path: Path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    writer = gguf.GGUFWriter(path, "flux")
    writer.add_name("Ink \x1b[31mWash")
    writer.add_uint64("test.large", 2**64 - 1)
    writer.add_float32("test.float", 1.5)
    writer.add_bool("test.truth", True)
    writer.add_array("test.numbers", [1, 2, 3])
    writer.add_token_list(["a", "b", "ab"])
    writer.add_tensor("double_blocks.0.img_attn.qkv.weight", np.ones((4, 32), dtype=np.float32))
    writer.add_tensor("single_blocks.0.bias", np.ones(3, dtype=np.float16))
    quantized = gguf.quants.quantize(np.ones((2, 64), dtype=np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("q", quantized, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def build_key(name: str, kind: int, value: bytes) -> bytes:
    """Build a key/value pair."""
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value


def describe_tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    """Build a tensor description."""
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return struct.pack("<Q", len(name)) + name.encode() + dimensions + struct.pack("<IQ", kind, offset)


def build_gguf(*parts: bytes, tensors: int = 1, keys: int = 0, version: int = 3, weights: bytes = bytes(32)) -> bytes:
    """Build a GGUF file from its header's parts; the counts are those given, whatever the parts are."""
    header = b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + b"".join(parts)
    return header + bytes(-len(header) % 32) + weights


TENSOR = describe_tensor("t", (8,))
STRING = struct.pack("<Q", 1) + b"x"
CASES = {
    "whole": (build_gguf(TENSOR), "accepted"),
    "version 2": (build_gguf(TENSOR, version=2), "accepted"),
    "no tensors": (build_gguf(tensors=0, weights=b""), "accepted"),
    "five dimensions": (build_gguf(describe_tensor("t", (1, 2, 2, 2, 1))), "accepted"),
    "version 1": (build_gguf(TENSOR, version=1), "gguf version 1"),
    "version 4": (build_gguf(TENSOR, version=4), "unknown gguf version"),
    "version 781": (build_gguf(TENSOR, version=781), INVALID),
    "big-endian version": (build_gguf(TENSOR, version=0x03000000), "big-endian gguf file"),
    "big-endian magic": (b"FUGG" + build_gguf(TENSOR)[4:], INVALID),
    "magic only": (b"GGUF", "truncated file"),
    "absurd tensors": (build_gguf(TENSOR, tensors=2**63), INVALID),
    "absurd keys": (build_gguf(TENSOR, keys=2**63), INVALID),
    "fewer tensors than counted": (build_gguf(TENSOR, tensors=9), INVALID),
    "key too long": (build_gguf(struct.pack("<Q", 2**40), keys=1), INVALID),
    "text too long": (build_gguf(build_key("k", 8, struct.pack("<Q", 2**63)), TENSOR, keys=1), "truncated file"),
    "key twice": (build_gguf(build_key("k", 8, STRING), build_key("k", 8, STRING), TENSOR, keys=2), INVALID),
    "key not UTF-8": (
        build_gguf(struct.pack("<Q", 1) + b"\xff" + struct.pack("<I", 0) + b"1", TENSOR, keys=1),
        INVALID,
    ),
    "unknown value type": (build_gguf(build_key("k", 13, b"12345678"), TENSOR, keys=1), INVALID),
    "a truth of 2": (build_gguf(build_key("k", 7, b"\2"), TENSOR, keys=1), INVALID),
    "array of unknown type": (build_gguf(build_key("k", 9, struct.pack("<IQ", 99, 1)), TENSOR, keys=1), INVALID),
    "array of 2^61 numbers": (
        build_gguf(build_key("k", 9, struct.pack("<IQ", 10, 2**61)), TENSOR, keys=1),
        "truncated file",
    ),
    "array of 2^61 texts": (build_gguf(build_key("k", 9, struct.pack("<IQ", 8, 2**61)), TENSOR, keys=1), INVALID),
    "arrays in arrays": (build_gguf(build_key("k", 9, struct.pack("<IQ", 9, 1) * 99), TENSOR, keys=1), INVALID),
    "alignment 0": (build_gguf(build_key("general.alignment", 4, struct.pack("<I", 0)), TENSOR, keys=1), INVALID),
    "alignment 3": (build_gguf(build_key("general.alignment", 4, struct.pack("<I", 3)), TENSOR, keys=1), INVALID),
    "alignment as text": (build_gguf(build_key("general.alignment", 8, STRING), TENSOR, keys=1), INVALID),
    "alignment 8": (build_gguf(build_key("general.alignment", 4, struct.pack("<I", 8)), TENSOR, keys=1), "accepted"),
    "nine dimensions": (build_gguf(describe_tensor("t", (1,) * 9)), INVALID),
    "size overflows": (build_gguf(describe_tensor("t", (2**32, 2**32))), INVALID),
    "retired type": (build_gguf(describe_tensor("t", (8,), kind=4)), "unknown tensor type"),
    "unknown type": (build_gguf(describe_tensor("t", (8,), kind=99)), "unknown tensor type"),
    "rows no multiple of a block": (build_gguf(describe_tensor("t", (8,), kind=8)), INVALID),
    "not aligned": (build_gguf(describe_tensor("t", (8,), offset=4), weights=bytes(64)), INVALID),
    "tensor twice": (build_gguf(TENSOR, describe_tensor("t", (8,), offset=32), tensors=2, weights=bytes(64)), INVALID),
    "overlap": (
        build_gguf(describe_tensor("a", (16,)), describe_tensor("b", (8,), offset=32), tensors=2, weights=bytes(64)),
        INVALID,
    ),
    "truncated": (build_gguf(TENSOR, weights=bytes(31)), "truncated file"),
    "offset at the end of the registry": (build_gguf(describe_tensor("t", (8,), offset=2**64 - 32)), "truncated file"),
    "a zip behind": (build_gguf(TENSOR, weights=bytes(32) + b"PK\5\6" + bytes(40)), INVALID),
}


@pytest.mark.parametrize("case", CASES)
def test_inspect_gguf_has_expected_outcome(case: str) -> None:
    content, outcome = CASES[case]
    assert get_outcome(content, "model.gguf") == outcome


def test_inspect_gguf_of_reference_writer_returns_its_metadata(reference_file: bytes) -> None:
    facts = inspect_content(reference_file, "model.gguf")
    assert facts.tensor_dtypes == {"F32": 1, "F16": 1, "Q8_0": 1}
    assert facts.parameter_count == 4 * 32 + 3 + 2 * 64
    assert facts.architecture == "flux"
    assert facts.extra["general.name"] == "Ink [31mWash"


def test_inspect_randomly_changed_gguf_raises_no_other_error_than_refusals(reference_file: bytes) -> None:
    rng = random.Random(7)
    header = reference_file.index(b"single_blocks") + 100
    refused = 0
    for _ in range(1_000):
        mutant = bytearray(reference_file)
        for _ in range(rng.randrange(1, 4)):
            position = rng.randrange(header)
            mutant[position : position + rng.randrange(3)] = rng.randbytes(rng.choice([1, 1, 1, 8]))
        refused += (
            get_outcome(bytes(mutant[: rng.choice([len(mutant), rng.randrange(len(mutant))])]), "m.gguf") != "accepted"
        )
    assert refused > 500


def test_inspect_gguf_truncated_at_every_seventh_length_is_refused(reference_file: bytes) -> None:
    assert {get_outcome(reference_file[:length], "m.gguf") for length in range(8, len(reference_file) - 32, 7)} <= {
        "truncated file",
        INVALID,
    }


def test_gguf_tensor_types_equal_those_of_the_reference_package() -> None:
    reference = {int(kind): (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert reference == TENSOR_TYPES


def test_inspect_gguf_with_4_gib_header_is_refused_after_at_most_4_mib() -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + build_key("k", 9, struct.pack("<IQ", 0, 2**32))
    reader = SparseReader(head, 2**33)
    with pytest.raises(NotAModelFile) as refused:
        inspect_file(reader, "model.gguf", "block")
    assert refused.value.facts["found"] == "oversized header"
    assert reader.bytes_read < 4 * 2**20


def test_inspect_gguf_of_4_tib_reads_its_header_only() -> None:
    head = build_gguf(describe_tensor("t", (2**40,)), weights=b"")
    reader = SparseReader(head, len(head) + 2**42)
    assert inspect_file(reader, "model.gguf", "block").parameter_count == 2**40
    assert reader.bytes_read < 4 * 2**20


def test_inspect_file_lets_store_errors_pass_through() -> None:
    class Broken(MemoryReader):
        def read(self, start: int, length: int) -> bytes:
            raise ConnectionResetError

    for name in ("m.gguf", "m.onnx", "m.safetensors", "m.ckpt"):
        with pytest.raises(ConnectionResetError):
            inspect_file(Broken(b"GGUF" * 10), name, "scan")
