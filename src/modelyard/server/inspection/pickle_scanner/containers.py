"""The file formats of ``torch.save``, read without torch: which pickles to interpret, and that all else is raw data.

Since torch 1.6 a zip: ``<root>/data.pkl``, ``<root>/data/<key>`` for each storage, and some small texts.
Before, a stream: magic number, protocol version, system information, the value, the storages' keys, each in a pickle
of its own; then each storage, as a count of 8 bytes and its bytes. Other writers: one pickle and nothing else.
"""

import pickletools
import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO

from . import zips
from .budget import MAX_PICKLE, Budget
from .interpreter import PickleContents, interpret
from .ranges import PROCESS_FAILURES, RangeFile, Ranges, Refused
from .tar import is_tar
from .values import Mapping as ContainedMapping
from .values import Sequence, Storage, Value

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
MAX_SMALL_TEXT = 4096
# Tensors may share bytes and repeat them, as views do, which are not saved twice. Copies of all must stay affordable.
MAX_REPETITION = 16
REPETITION_ALLOWED_BYTES = 64 * 1024 * 1024
MAX_PROBE_BYTES = 64 * 1024

# What torch writes beside data.pkl and data/, as torch reads it.
_SMALL_TEXTS = {
    "version": re.compile(rb"([1-9]|10)\s?"),
    "byteorder": re.compile(rb"little|big"),
    ".format_version": re.compile(rb"[0-9]{1,9}\s?"),
    ".storage_alignment": re.compile(rb"[0-9]{1,9}\s?"),
    ".data/serialization_id": re.compile(rb"[A-Za-z0-9._-]{0,128}\s?"),
}
_PICKLE_BEGINNING = re.compile(rb"\x80[\x00-\x05]")
_NAMING_OPCODES = frozenset({"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"})


@dataclass
class ScanResult:
    """The content of a clean file: dtypes by number of storages, elements, and tensor names.

    ``value`` is what was saved; ``starts`` are the positions of the storages in the file, by key.
    """

    container: str
    value: Value = None
    starts: Mapping[str, int] = field(default_factory=dict)
    is_big_endian: bool = False
    dtypes: Counter[str] = field(default_factory=Counter)
    elements: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, contents: PickleContents) -> None:
        """Add the value, the storages and tensor names of one pickle."""
        self.value = contents.value
        for storage in contents.storages.values():
            self.dtypes[storage.label()] += 1
            self.elements += storage.elements()
        self.names += contents.names


def scan(ranges: Ranges) -> ScanResult:
    """Scan a file: interpret every pickle in it and account for every other byte.

    Raises:
        Refused: something in it is not needed for tensors, or could be read in two ways.
    """
    head = ranges.read(0, min(ranges.size, 512))
    if head.startswith(b"PK"):
        return _scan_zip(ranges, Budget())
    if is_tar(head):
        raise Refused("is a tar of torch 0.1, which current programs do not read; save it again", "torch tar archive")
    if not _PICKLE_BEGINNING.match(head):
        raise Refused("does not start like a pickle or a zip that torch writes", "unknown content")
    return _scan_stream(ranges, Budget())


def _scan_zip(ranges: Ranges, budget: Budget) -> ScanResult:
    """Scan a zip of ``torch.save``.

    Raises:
        Refused: it is another kind of zip, or a member is not what its pickle and torch's layout say.
    """
    files = {name: member for name, member in zips.read_members(ranges).items() if not _is_folder(member)}
    roots = {name.partition("/")[0] for name in files}
    if len(roots) != 1:
        raise Refused("is a zip, but not one that torch.save wrote", "zip archive")
    root = roots.pop()
    members = {name.removeprefix(f"{root}/"): member for name, member in files.items()}
    _refuse_programs(members)
    if not {"data.pkl", "version"} <= members.keys() or root in members:
        raise Refused("is a zip, but not one that torch.save wrote", "zip archive")

    contents = _interpret_member(ranges, members.pop("data.pkl"), budget)
    for name, member in members.items():
        _check_member(ranges, name, member, contents.storages)
        if _PICKLE_BEGINNING.match(zips.read_beginning(ranges, member, 2)):
            _refuse_hidden_pickle(ranges, member, budget)
    missing = [key for key in contents.storages if f"data/{key}" not in members]
    if missing:
        raise Refused("lacks the data of some of its tensors", "truncated file")
    result = _build_result("torch zip", contents)
    result.starts = {key: members[f"data/{key}"].start for key in contents.storages}
    order = members.get("byteorder")
    result.is_big_endian = order is not None and zips.unpack(ranges, order, MAX_SMALL_TEXT) == b"big"
    return result


def _build_result(container: str, contents: PickleContents) -> ScanResult:
    """Build the result of a clean file.

    Raises:
        Refused: its tensors claim more than 64 MiB and more than ``MAX_REPETITION`` times the bytes of its storages.
    """
    stored_bytes = sum(storage.size() for storage in contents.storages.values())
    if contents.claimed_bytes > max(REPETITION_ALLOWED_BYTES, MAX_REPETITION * stored_bytes):
        raise Refused("has tensors that claim far more bytes than it stores", "oversized pickle")
    scanned = ScanResult(container)
    scanned.add(contents)
    return scanned


def _is_folder(member: zips.Member) -> bool:
    """Return whether the member is an entry for a folder."""
    return member.name.endswith("/") and member.size == 0


def _refuse_programs(members: dict[str, zips.Member]) -> None:
    """Check that the zip is not a TorchScript archive or an exported program.

    Raises:
        Refused: it is.
    """
    for name in members:
        if name.startswith("code/") or name in ("constants.pkl", "attributes.pkl", "bytecode.pkl", "model.json"):
            raise Refused("is a TorchScript archive: a program, not only weights", "torchscript program")
        if name in ("archive_format", "archive_version", "serialized_exported_program.json") or name.startswith(
            ("models/", "extra/", "data/aotinductor/")
        ):
            raise Refused("is an exported PyTorch program (torch.export), not only weights", "exported program")


def _interpret_member(ranges: Ranges, member: zips.Member, budget: Budget) -> PickleContents:
    """Unpack and interpret a pickle member of at most ``MAX_PICKLE`` bytes.

    Raises:
        Refused: bytes follow the end of the pickle, or see ``interpret``.
    """
    pickle = zips.unpack(ranges, member, MAX_PICKLE)
    inner = Ranges(len(pickle), lambda start, length: pickle[start : start + length])
    source = RangeFile(inner, 0, len(pickle))
    contents = interpret(source, budget)
    if source.tell() != len(pickle):
        raise Refused("has bytes behind the end of its pickle", "unsafe pickle")
    return contents


def _check_member(ranges: Ranges, name: str, member: zips.Member, storages: dict[str, Storage]) -> None:
    """Check that a member is one of torch's small texts, or an uncompressed, aligned storage of the right size.

    Raises:
        Refused: it is not.
    """
    if name in _SMALL_TEXTS:
        if not _SMALL_TEXTS[name].fullmatch(zips.unpack(ranges, member, MAX_SMALL_TEXT)):
            raise Refused(f"has unexpected content in its member '{name}'", "unknown content")
        return
    storage = storages.get(name.removeprefix("data/")) if name.startswith("data/") else None
    if storage is None:
        raise Refused("has a member that belongs to none of its tensors", "unknown content")
    if storage.size() != member.size:
        raise Refused("has a tensor whose size differs from the one in its pickle", "truncated file")
    if member.is_packed():
        # With mmap=True torch reads the compressed bytes as tensor data.
        raise Refused("has tensors that are compressed, as torch.save never does", "ambiguous zip")
    if member.start % storage.dtype.alignment:
        # With mmap=True torch computes with the bytes where they are in the file.
        raise Refused(
            f"has tensors of type {storage.dtype.label} that do not begin at multiples of {storage.dtype.alignment} "
            "bytes, which crash programs that map the file to memory, as ComfyUI does with --mmap-torch-files; load it "
            "without mmap and save it again with torch.save",
            "unaligned tensors",
        )


def _refuse_hidden_pickle(ranges: Ranges, member: zips.Member, budget: Budget) -> None:
    """Check tensor data that starts like a pickle: by chance, or because a pickle is hidden in it.

    Random data stops being a pickle after a few opcodes. Data that gets as far as a name to import, or is a pickle to
    its last byte, is refused. Only the first ``MAX_PROBE_BYTES`` are read.

    Raises:
        Refused: the data is a pickle, or the budget is exhausted.
    """
    start = BytesIO(ranges.read(member.start, min(member.size, MAX_PROBE_BYTES)))
    opcodes = pickletools.genops(start)
    while True:
        budget.spend(1)
        try:
            opcode, _, _ = next(opcodes)
        except StopIteration:
            if start.tell() == member.size:
                break
            return
        except PROCESS_FAILURES:
            raise
        except Exception:  # noqa: BLE001 - pickletools raises many kinds of exception for damage
            return
        if opcode.name in _NAMING_OPCODES:
            break
    raise Refused("hides a pickle in the bytes of a tensor", "unsafe pickle")


def _scan_stream(ranges: Ranges, budget: Budget) -> ScanResult:
    """Scan a stream of pickles with raw storages behind them, as torch wrote before 1.6.

    Raises:
        Refused: it is another kind of pickle, or its parts disagree.
    """
    source = RangeFile(ranges, 0, ranges.size)
    first = interpret(source, budget)
    if type(first.value) is not int or first.value != LEGACY_MAGIC:
        raise Refused("is a pickle, but not one that torch.save wrote; torch.load does not read it", "plain pickle")
    if interpret(source, budget).value != LEGACY_PROTOCOL:
        raise Refused("has an unknown version of torch's old format")
    system_info, contents, keys = (
        interpret(source, budget),
        interpret(source, budget, is_legacy=True),
        interpret(source, budget),
    )
    if system_info.storages or keys.storages:
        raise Refused("has tensors where the old format of torch has none", "unsafe pickle")
    starts = _check_raw_storages(ranges, source.tell(), contents.storages, keys.value)
    result = _build_result("torch stream", contents)
    result.starts = starts
    info = system_info.value
    entries = dict(info.entries) if isinstance(info, ContainedMapping) else {}
    result.is_big_endian = entries.get("little_endian", True) is not True
    return result


def _check_raw_storages(ranges: Ranges, position: int, storages: dict[str, Storage], keys: object) -> dict[str, int]:
    """Check that the raw storages from ``position`` fill the file to its last byte; return where each begins.

    Raises:
        Refused: keys or sizes differ from the pickle's, or the file is longer or shorter.
    """
    key_items = keys.items if isinstance(keys, Sequence) and keys.kind == "list" else []
    storage_keys = [key for key in key_items if isinstance(key, str)]
    if len(storage_keys) != len(key_items) or sorted(storage_keys) != sorted(storages):
        raise Refused("lists other storages than its tensors use")
    starts: dict[str, int] = {}
    for key in storage_keys:
        storage = storages[key]
        if struct.unpack("<q", ranges.read(position, 8))[0] != storage.count:
            raise Refused("has a storage of another size than its pickle declares")
        starts[key] = position + 8
        position += 8 + storage.size()
    if position > ranges.size:
        raise Refused("ends before the last of its tensors: it is truncated", "truncated file")
    if position < ranges.size:
        raise Refused("has bytes behind its last tensor", "unsafe pickle")
    return starts
