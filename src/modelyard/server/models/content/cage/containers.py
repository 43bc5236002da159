"""What ``torch.save`` writes, read without torch: which pickles to walk, and that everything else is raw numbers.

Since torch 1.6 a zip: ``<root>/data.pkl``, ``<root>/data/<key>`` for each storage, and some small texts.
Before, a stream: magic number, protocol version, system facts, the value, the storages' keys, each in a pickle of its
own; then each storage, as a count of 8 bytes and its bytes. Other writers: one pickle and nothing else.
"""

import re
import struct
from collections import Counter
from dataclasses import dataclass, field

from . import zips
from .ranges import RangeFile, Ranges, Refused
from .shadows import Storage, Walked
from .walking import MAX_PICKLE, walk

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
MAX_SMALL_TEXT = 4096

# What torch writes beside data.pkl and data/; each a short line of letters and digits.
_SMALL_TEXTS = frozenset({"version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id"})
_SMALL_TEXT = re.compile(rb"[A-Za-z0-9._-]{0,128}\s?")
_PICKLE_BEGINNING = re.compile(rb"\x80[\x00-\x05]")


@dataclass
class Scanned:
    """What a clean file holds."""

    container: str
    dtypes: Counter[str] = field(default_factory=Counter)
    elements: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, walked: Walked) -> None:
        for storage in walked.storages.values():
            self.dtypes[storage.dtype()] += 1
            self.elements += storage.count
        self.names += walked.names


def scan(ranges: Ranges) -> Scanned:
    """Every pickle in the file walked, every other byte accounted for.

    Raises:
        Refused: anything in it is not what a file of tensors needs, or could be read in two ways.
    """
    head = ranges.read(0, min(ranges.size, 512))
    if head.startswith(b"PK"):
        return _zip(ranges)
    if head[257:262] == b"ustar" or head.startswith((b"./", b"pickle\0", b"storages\0", b"sys_info\0")):
        raise Refused("is a tar of torch 0.1, which nothing reads any more; save it again", "torch tar archive")
    if not _PICKLE_BEGINNING.match(head):
        raise Refused("does not begin like a pickle or a zip that torch writes", "unknown content")
    return _stream(ranges)


def _zip(ranges: Ranges) -> Scanned:
    found = {name: member for name, member in zips.members(ranges).items() if not _is_folder(member)}
    roots = {name.partition("/")[0] for name in found}
    if len(roots) != 1:
        raise Refused("is a zip, but not one that torch.save wrote", "zip archive")
    root = roots.pop()
    inside = {name.removeprefix(f"{root}/"): member for name, member in found.items()}
    _no_program(inside)
    if "data.pkl" not in inside:
        raise Refused("is a zip, but not one that torch.save wrote", "zip archive")

    walked = _walk_member(ranges, inside.pop("data.pkl"))
    for name, member in inside.items():
        _account_for(ranges, name, member, walked.storages)
    missing = [key for key in walked.storages if f"data/{key}" not in inside]
    if missing:
        raise Refused("lacks the bytes of some of its tensors", "truncated file")
    scanned = Scanned("torch zip")
    scanned.add(walked)
    return scanned


def _is_folder(member: zips.Member) -> bool:
    return member.name.endswith("/") and member.size == 0


def _no_program(inside: dict[str, zips.Member]) -> None:
    for name in inside:
        if name.startswith("code/") or name in ("constants.pkl", "attributes.pkl", "bytecode.pkl", "model.json"):
            raise Refused("is a TorchScript archive: a program, not only weights", "torchscript program")
        if name in ("archive_format", "archive_version", "serialized_exported_program.json") or name.startswith(
            ("models/", "extra/", "data/aotinductor/")
        ):
            raise Refused("is an exported PyTorch program (torch.export), not only weights", "exported program")


def _walk_member(ranges: Ranges, member: zips.Member) -> Walked:
    pickle = zips.unpack(ranges, member, MAX_PICKLE)
    inner = Ranges(len(pickle), lambda start, length: pickle[start : start + length])
    source = RangeFile(inner, 0, len(pickle))
    walked = walk(source)
    if source.tell() != len(pickle):
        raise Refused("has bytes behind the end of its pickle", "unsafe pickle")
    return walked


def _account_for(ranges: Ranges, name: str, member: zips.Member, storages: dict[str, Storage]) -> None:
    if name in _SMALL_TEXTS:
        if not _SMALL_TEXT.fullmatch(zips.unpack(ranges, member, MAX_SMALL_TEXT)):
            raise Refused(f"has something else than a short text in its member '{name}'", "unknown content")
        return
    storage = storages.get(name.removeprefix("data/")) if name.startswith("data/") else None
    if storage is None:
        raise Refused("has a member that belongs to none of its tensors", "unknown content")
    if storage.size() != member.size:
        raise Refused("has a tensor whose bytes are not as many as its pickle says", "truncated file")
    if _PICKLE_BEGINNING.match(zips.beginning(ranges, member, 2)):
        _no_pickle_in(ranges, member)


def _no_pickle_in(ranges: Ranges, member: zips.Member) -> None:
    """Numbers that begin like a pickle, by chance or not: nobody loads them as one, and none may be one.

    A walk over random numbers fails at once; one that gets as far as a forbidden name or its end is no accident.
    """
    if member.size > MAX_PICKLE:
        return
    try:
        _walk_member(ranges, member)
    except Refused as refused:
        if refused.found != "unsafe pickle":
            return
    raise Refused("hides a pickle in the bytes of a tensor", "unsafe pickle")


def _stream(ranges: Ranges) -> Scanned:
    source = RangeFile(ranges, 0, ranges.size)
    first = walk(source)
    if first.value != LEGACY_MAGIC or type(first.value) is not int:
        if source.tell() != ranges.size or first.storages:
            raise Refused("has bytes behind the end of its pickle", "unsafe pickle")
        scanned = Scanned("pickle")
        scanned.add(first)
        return scanned

    if walk(source).value != LEGACY_PROTOCOL:
        raise Refused("is of a version of torch's old format that nobody wrote")
    facts, walked, keys = walk(source), walk(source), walk(source)
    if facts.storages or keys.storages:
        raise Refused("has tensors where the old format of torch has none", "unsafe pickle")
    _raw_storages(ranges, source.tell(), walked.storages, keys.value)
    scanned = Scanned("torch stream")
    scanned.add(walked)
    return scanned


def _raw_storages(ranges: Ranges, position: int, storages: dict[str, Storage], keys: object) -> None:
    """The numbers behind the pickles fill the file to its last byte."""
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise Refused("lists other storages than its tensors use")
    for key in keys:
        storage = storages[key]
        if struct.unpack("<q", ranges.read(position, 8))[0] != storage.count:
            raise Refused("has a storage of another size than its pickle says")
        position += 8 + storage.size()
    if position > ranges.size:
        raise Refused("ends before the last of its tensors: it is truncated", "truncated file")
    if position < ranges.size:
        raise Refused("has bytes behind its last tensor", "unsafe pickle")
