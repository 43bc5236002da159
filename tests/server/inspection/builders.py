"""Builders of model files, valid and invalid, byte by byte, for the tests of the inspection."""

import json
import math
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

from modelyard.server.inspection.inspector import inspect_file
from modelyard.server.inspection.metadata import ModelMetadata
from modelyard.server.inspection.pickle_scanner.containers import scan
from modelyard.server.inspection.pickle_scanner.ranges import Ranges, Refused
from modelyard.server.inspection.pickles import PickleRule
from modelyard.wire.problems import NotAModelFile


@dataclass
class MemoryReader:
    """A reader over bytes that counts the bytes read."""

    content: bytes
    bytes_read: int = 0

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self, start: int, length: int) -> bytes:
        piece = self.content[start : start + length]
        self.bytes_read += len(piece)
        return piece


@dataclass
class SparseReader:
    """A reader over a file of any size that has zeros after ``head``, and counts the bytes read."""

    head: bytes
    size: int
    bytes_read: int = 0

    def read(self, start: int, length: int) -> bytes:
        length = max(0, min(length, self.size - start))
        self.bytes_read += length
        return self.head[start : start + length].ljust(length, b"\0")


def inspect_content(content: bytes, file_name: str = "model.safetensors", policy: PickleRule = "scan") -> ModelMetadata:
    """Return the metadata of the content; raises NotAModelFile."""
    return inspect_file(MemoryReader(content), file_name, policy)


def get_outcome(content: bytes, file_name: str = "model.safetensors", policy: PickleRule = "scan") -> str:
    """Return "accepted", or the fact ``found`` of the refusal."""
    try:
        inspect_content(content, file_name, policy)
    except NotAModelFile as refused:
        return str(refused.facts["found"])
    return "accepted"


def safetensors(header: dict[str, Any] | bytes, tensors: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + tensors


def build_named_tensors(*names: str, shape: tuple[int, ...] = (1,), metadata: dict[str, str] | None = None) -> bytes:
    """Build a safetensors file of F16 tensors with these names, all of one shape."""
    size = 2
    for length in shape:
        size *= length
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    for index, name in enumerate(names):
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [index * size, (index + 1) * size]}
    return safetensors(header, bytes(size * len(names)))


def get_scan_outcome(content: bytes) -> str:
    """Return the outcome of the pickle scanner, run in this process: without a sandbox, many files are scanned fast."""
    try:
        scan(Ranges(len(content), lambda start, length: content[start : start + length]))
    except Refused as refused:
        return refused.found
    return "accepted"


# Pickle opcodes, as torch.save writes them.


def text(value: str) -> bytes:
    """Return the opcode that pushes a text."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    """Return the opcode that pushes an integer of 32 bits."""
    return b"J" + struct.pack("<i", value)


def named(module: str, name: str) -> bytes:
    """Return the opcode that pushes a global."""
    return f"c{module}\n{name}\n".encode()


def sequence(*items: bytes) -> bytes:
    """Return the opcodes that push a tuple of the items."""
    return b"(" + b"".join(items) + b"t"


def call(function: bytes, *arguments: bytes) -> bytes:
    """Return the opcodes that call a function with the arguments."""
    return function + sequence(*arguments) + b"R"


def table(**entries: bytes) -> bytes:
    """Return the opcodes that push a dict with texts as keys."""
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


def build_pickle(value: bytes, protocol: int = 2) -> bytes:
    """Build a pickle whose value is pushed by the opcodes."""
    return b"\x80" + bytes([protocol]) + value + b"."


def tensor(key: str, count: int, *, kind: str = "FloatStorage", legacy: bool = False) -> bytes:
    """Return the opcodes that push a one-dimensional tensor over all of one storage."""
    identity = [text("storage"), named("torch", kind), text(key), text("cpu"), number(count)]
    hooks = call(named("collections", "OrderedDict"))
    return call(
        named("torch._utils", "_rebuild_tensor_v2"),
        sequence(*identity, *([b"N"] if legacy else [])) + b"Q",
        number(0),
        sequence(number(count)),
        sequence(number(1)),
        b"\x89",
        hooks,
    )


# A zip, as torch's own writer writes it.


@dataclass
class ZipEntry:
    """One member of a zip; every field of its headers can be set to a wrong value."""

    name: str
    content: bytes
    method: int = 0
    flags: int = 0x0808
    crc: int | None = None
    local_name: str | None = None
    local_flags: int | None = None
    local_method: int | None = None
    local_sizes: tuple[int, int, int] = (0, 0, 0)
    descriptor: bytes | None = None
    size: int | None = None
    attributes: int = 0
    disk: int = 0
    packed_tail: bytes = b""
    comment: bytes = b""
    extra: bytes = field(default=b"FB\x03\x00ZZZ")

    def packed(self) -> bytes:
        """Return the content, compressed if the method is deflate."""
        if self.method != 8:
            return self.content
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
        return compressor.compress(self.content) + compressor.flush() + self.packed_tail

    def get_crc(self) -> int:
        return zlib.crc32(self.content) if self.crc is None else self.crc

    def declared(self) -> int:
        return len(self.content) if self.size is None else self.size

    def local(self) -> bytes:
        flags = self.flags if self.local_flags is None else self.local_flags
        method = self.method if self.local_method is None else self.local_method
        name = (self.local_name or self.name).encode()
        header = struct.pack(
            "<4s5H3L2H", b"PK\3\4", 0, flags, method, 0, 0, *self.local_sizes, len(name), len(self.extra)
        )
        packed = self.packed()
        sizes = struct.pack("<LLL", self.get_crc(), len(packed), self.declared())
        descriptor = (b"PK\7\x08" + sizes) if self.flags & 8 else b""
        return header + name + self.extra + packed + (descriptor if self.descriptor is None else self.descriptor)

    def central(self, offset: int) -> bytes:
        name = self.name.encode()
        fields = (
            0,
            0,
            self.flags,
            self.method,
            0,
            0,
            self.get_crc(),
            len(self.packed()),
            self.declared(),
            len(name),
            0,
        )
        tail = (len(self.comment), self.disk, 0, self.attributes, offset)
        return struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields, *tail) + name + self.comment


def build_zip(
    *entries: ZipEntry,
    before: bytes = b"",
    between: bytes = b"",
    gap: bytes = b"",
    after: bytes = b"",
    zip64: bool = True,
) -> bytes:
    """Build a zip; the keyword arguments insert bytes before, between, in the gap to the directory, or after."""
    content = before
    directory = b""
    for entry in entries:
        directory += entry.central(len(content))
        content += entry.local() + between
    content += gap
    start, count = len(content), len(entries)
    content += directory
    if zip64:
        content += struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), start)
        content += struct.pack("<4sLQL", b"PK\6\7", 0, start + len(directory), 1)
    return content + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), start, 0) + after


WEIGHTS = struct.pack("<4f", 0.1, 0.2, 0.3, 0.4)
STATE = table(**{"first_stage_model.decoder.conv_in.weight": tensor("0", 4), "b": tensor("1", 2, kind="HalfStorage")})


def build_checkpoint_entries(value: bytes = STATE, *, root: str = "archive") -> list[ZipEntry]:
    """Build the members of a checkpoint with two storages."""
    return [
        ZipEntry(f"{root}/data.pkl", build_pickle(value)),
        ZipEntry(f"{root}/byteorder", b"little"),
        ZipEntry(f"{root}/data/0", WEIGHTS),
        ZipEntry(f"{root}/data/1", b"\0\x3c\0\x3c"),
        ZipEntry(f"{root}/version", b"3\n"),
        ZipEntry(f"{root}/.data/serialization_id", b"0123456789012345678901234567890123456789"),
    ]


def build_checkpoint(value: bytes = STATE, **places: Any) -> bytes:
    """Build a file as ``torch.save`` writes it since torch 1.6; ``places`` are passed to ``build_zip``."""
    return build_zip(*build_checkpoint_entries(value), **places)


def build_tensorless_checkpoint(value: bytes) -> bytes:
    """Build a torch zip whose pickle has no tensors."""
    return build_zip(ZipEntry("archive/data.pkl", build_pickle(value)), ZipEntry("archive/version", b"3\n"))


def build_legacy_checkpoint(
    value: bytes | None = None, *, magic: int = 0x1950A86A20F9469CFC6C, tail: bytes = b""
) -> bytes:
    """Build a file as ``torch.save`` wrote it before torch 1.6."""
    raw = magic.to_bytes(10, "little")
    pickles = [
        build_pickle(b"\x8a" + bytes([len(raw)]) + raw),
        build_pickle(b"M" + struct.pack("<H", 1001)),
        build_pickle(table(little_endian=b"\x88", protocol_version=number(1001))),
        build_pickle(value or table(w=tensor("94", 4, legacy=True))),
        build_pickle(b"](" + text("94") + b"e"),
    ]
    return b"".join(pickles) + struct.pack("<q", 4) + WEIGHTS + tail


def build_header_reader(tensors: dict[str, tuple[int, ...]], metadata: dict[str, str] | None = None) -> SparseReader:
    """Return a safetensors file of F16 tensors with these shapes, whose content is not stored."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, shape in tensors.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, end]}
    head = safetensors(header)
    return SparseReader(head, len(head) + end)


def inspect_header(tensors: dict[str, tuple[int, ...]], metadata: dict[str, str] | None = None) -> ModelMetadata:
    """Return the metadata of a safetensors file with these tensors; raises NotAModelFile."""
    return inspect_file(build_header_reader(tensors, metadata), "model.safetensors", "scan")


def build_kohya_lora(*layers: str, size: tuple[int, int], prefix: str = "lora_unet_") -> dict[str, tuple[int, ...]]:
    """Return the tensors that sd-scripts writes for layers of one size (input, output), with rank 16."""
    tensors: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        name = prefix + layer.replace(".", "_")
        tensors |= {f"{name}.lora_down.weight": (16, size[0]), f"{name}.lora_up.weight": (size[1], 16)}
        tensors[f"{name}.alpha"] = ()
    return tensors


def build_peft_lora(*layers: str, size: tuple[int, int], prefix: str = "transformer.") -> dict[str, tuple[int, ...]]:
    """Return the tensors that PEFT, diffusers and AI Toolkit write for layers of one size, with rank 16."""
    tensors: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        tensors |= {f"{prefix}{layer}.lora_A.weight": (16, size[0]), f"{prefix}{layer}.lora_B.weight": (size[1], 16)}
    return tensors
