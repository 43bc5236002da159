import random
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from modelyard.server.models.content import examine
from modelyard.server.models.content.gguf_types import TENSOR_TYPES
from modelyard.wire.problems import NotAModelFile
from tests.server.models.content.building import InMemory, Sparse, found_in, look

BROKEN = "broken gguf file"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What the reference package writes: every kind of value, plain and quantized tensors."""
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


def key(name: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value


def described(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return struct.pack("<Q", len(name)) + name.encode() + dimensions + struct.pack("<IQ", kind, offset)


def built(*parts: bytes, tensors: int = 1, keys: int = 0, version: int = 3, weights: bytes = bytes(32)) -> bytes:
    header = b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + b"".join(parts)
    return header + bytes(-len(header) % 32) + weights


ONE = described("t", (8,))
STRING = struct.pack("<Q", 1) + b"x"
TABLE = {
    "whole": (built(ONE), "accepted"),
    "version 2": (built(ONE, version=2), "accepted"),
    "no tensors": (built(tensors=0, weights=b""), "accepted"),
    "five dimensions": (built(described("t", (1, 2, 2, 2, 1))), "accepted"),
    "version 1": (built(ONE, version=1), "gguf version 1"),
    "version 4": (built(ONE, version=4), BROKEN),
    "big-endian version": (built(ONE, version=0x03000000), "big-endian gguf file"),
    "big-endian magic": (b"FUGG" + built(ONE)[4:], BROKEN),
    "magic only": (b"GGUF", "truncated file"),
    "absurd tensors": (built(ONE, tensors=2**63), BROKEN),
    "absurd keys": (built(ONE, keys=2**63), BROKEN),
    "fewer tensors than counted": (built(ONE, tensors=9), BROKEN),
    "key too long": (built(struct.pack("<Q", 2**40), keys=1), BROKEN),
    "text too long": (built(key("k", 8, struct.pack("<Q", 2**63)), ONE, keys=1), "truncated file"),
    "key twice": (built(key("k", 8, STRING), key("k", 8, STRING), ONE, keys=2), BROKEN),
    "key not UTF-8": (built(struct.pack("<Q", 1) + b"\xff" + struct.pack("<I", 0) + b"1", ONE, keys=1), BROKEN),
    "unknown value type": (built(key("k", 13, b"12345678"), ONE, keys=1), BROKEN),
    "a truth of 2": (built(key("k", 7, b"\2"), ONE, keys=1), BROKEN),
    "array of unknown type": (built(key("k", 9, struct.pack("<IQ", 99, 1)), ONE, keys=1), BROKEN),
    "array of 2^61 numbers": (built(key("k", 9, struct.pack("<IQ", 10, 2**61)), ONE, keys=1), "truncated file"),
    "array of 2^61 texts": (built(key("k", 9, struct.pack("<IQ", 8, 2**61)), ONE, keys=1), BROKEN),
    "arrays in arrays": (built(key("k", 9, struct.pack("<IQ", 9, 1) * 99), ONE, keys=1), BROKEN),
    "alignment 0": (built(key("general.alignment", 4, struct.pack("<I", 0)), ONE, keys=1), BROKEN),
    "alignment 3": (built(key("general.alignment", 4, struct.pack("<I", 3)), ONE, keys=1), BROKEN),
    "alignment as text": (built(key("general.alignment", 8, STRING), ONE, keys=1), BROKEN),
    "alignment 8": (built(key("general.alignment", 4, struct.pack("<I", 8)), ONE, keys=1), "accepted"),
    "nine dimensions": (built(described("t", (1,) * 9)), BROKEN),
    "size overflows": (built(described("t", (2**32, 2**32))), BROKEN),
    "retired type": (built(described("t", (8,), kind=4)), BROKEN),
    "unknown type": (built(described("t", (8,), kind=99)), BROKEN),
    "rows no multiple of a block": (built(described("t", (8,), kind=8)), BROKEN),
    "not aligned": (built(described("t", (8,), offset=4), weights=bytes(64)), BROKEN),
    "tensor twice": (built(ONE, described("t", (8,), offset=32), tensors=2, weights=bytes(64)), BROKEN),
    "overlap": (built(described("a", (16,)), described("b", (8,), offset=32), tensors=2, weights=bytes(64)), BROKEN),
    "truncated": (built(ONE, weights=bytes(31)), "truncated file"),
    "offset at the end of the world": (built(described("t", (8,), offset=2**64 - 32)), "truncated file"),
    "a zip behind": (built(ONE, weights=bytes(32) + b"PK\5\6" + bytes(40)), BROKEN),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_rules_of_the_format_hold(case: str) -> None:
    content, verdict = TABLE[case]
    assert found_in(content, "model.gguf") == verdict


def test_what_the_reference_writer_writes_is_a_model(written: bytes) -> None:
    facts = look(written, "model.gguf")
    assert facts.tensor_dtypes == {"F32": 1, "F16": 1, "Q8_0": 1}
    assert facts.parameter_count == 4 * 32 + 3 + 2 * 64
    assert facts.architecture == "flux"
    assert facts.extra["general.name"] == "Ink [31mWash"


def test_a_mutant_is_accepted_or_refused_and_nothing_else_happens(written: bytes) -> None:
    chance = random.Random(7)
    header = written.index(b"single_blocks") + 100
    refused = 0
    for _ in range(1_000):
        mutant = bytearray(written)
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(header)
            mutant[place : place + chance.randrange(3)] = chance.randbytes(chance.choice([1, 1, 1, 8]))
        refused += (
            found_in(bytes(mutant[: chance.choice([len(mutant), chance.randrange(len(mutant))])]), "m.gguf")
            != "accepted"
        )
    assert refused > 500


def test_every_cut_is_noticed(written: bytes) -> None:
    assert {found_in(written[:length], "m.gguf") for length in range(8, len(written) - 32, 7)} <= {
        "truncated file",
        BROKEN,
    }


def test_block_sizes_are_the_reference_packages() -> None:
    theirs = {int(kind): (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert theirs == TENSOR_TYPES


def test_a_header_of_gigabytes_is_not_read() -> None:
    huge = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key("k", 9, struct.pack("<IQ", 0, 2**32))
    reader = Sparse(huge, 2**33)
    with pytest.raises(NotAModelFile) as refused:
        examine(reader, "model.gguf", "block")
    assert refused.value.facts["found"] == "oversized header"
    assert reader.bytes_read < 4 * 2**20


def test_a_file_of_terabytes_costs_its_header_only() -> None:
    head = built(described("t", (2**40,)), weights=b"")
    reader = Sparse(head, len(head) + 2**42)
    assert examine(reader, "model.gguf", "block").parameter_count == 2**40
    assert reader.bytes_read < 4 * 2**20


def test_the_store_s_own_errors_pass_through() -> None:
    class Broken(InMemory):
        def read(self, start: int, length: int) -> bytes:
            raise ConnectionResetError

    for name in ("m.gguf", "m.onnx", "m.safetensors", "m.ckpt"):
        with pytest.raises(ConnectionResetError):
            examine(Broken(b"GGUF" * 10), name, "scan")
