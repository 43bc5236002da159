"""A zip that no two readers can read differently, or none.

Rules of PyPI (``warehouse/utils/zipfiles.py``), in their strict sense: the records lie one behind the other from the
first byte to the last, with nothing before, between or after; local and central headers agree; no name twice, not
even in another case; stored or deflated; no encryption, no comments, no other tricks. One rule is wider, since
``torch.save`` needs it: a data descriptor may follow a member, if it says exactly what the central header says.
"""

import struct
import zlib
from dataclasses import dataclass

from .ranges import Ranges, Refused

MAX_MEMBERS = 65_536
MAX_DIRECTORY = 32 * 1024 * 1024
MAX_RATIO = 50
RATIO_MATTERS_ABOVE = 64 * 1024 * 1024

_STORED, _DEFLATED = 0, 8
_HAS_DESCRIPTOR, _UTF8 = 0x0008, 0x0800
_HARMLESS_FLAGS = _HAS_DESCRIPTOR | _UTF8 | 0x0006  # the last two bits tell how hard deflate tried
_SENTINEL = 0xFFFFFFFF
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
_SYMLINK = 0xA000


@dataclass(frozen=True)
class Member:
    """One file in the zip; ``start`` is the place of its packed bytes, known after the local header was compared."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header_at: int
    start: int = 0


def members(ranges: Ranges) -> dict[str, Member]:
    """Every member by name, after every rule was checked; reads headers only.

    Raises:
        Refused: a rule is broken.
    """
    directory_at, directory_size, count = _end_records(ranges)
    listed = _directory(ranges.read(directory_at, directory_size), count)
    if len({member.name.casefold() for member in listed}) != len(listed):
        raise _odd("has two members of one name")
    _no_bomb(listed)
    placed: dict[str, Member] = {}
    position = 0
    for member in sorted(listed, key=lambda member: member.header_at):
        if member.header_at != position:
            raise _odd("has bytes before or between its members")
        placed[member.name], position = _place(ranges, member)
    if position != directory_at:
        raise _odd("has bytes between its members and its directory")
    return placed


def unpack(ranges: Ranges, member: Member, limit: int) -> bytes:
    """A whole member, with its checksum compared.

    Raises:
        Refused: it is larger than ``limit``, or its bytes, size or checksum are not what the headers say.
    """
    if member.size > limit or member.packed > limit:
        raise Refused("has a pickle that is larger than this registry reads", "oversized pickle")
    packed = ranges.read(member.start, member.packed)
    unpacked = packed if member.method == _STORED else _inflate(packed, member.size)
    if len(unpacked) != member.size or zlib.crc32(unpacked) != member.crc:
        raise _odd("has a member whose checksum or size is wrong")
    return unpacked


def beginning(ranges: Ranges, member: Member, length: int) -> bytes:
    """The first bytes of a member."""
    if member.method == _STORED:
        return ranges.read(member.start, min(length, member.packed))
    try:
        return zlib.decompressobj(-15).decompress(ranges.read(member.start, min(4096, member.packed)), length)
    except zlib.error:
        raise _odd("has a member that does not inflate") from None


def _inflate(packed: bytes, size: int) -> bytes:
    inflater = zlib.decompressobj(-15)
    try:
        # One byte more than promised, to notice a member that is longer than it says.
        unpacked = inflater.decompress(packed, size + 1)
    except zlib.error:
        raise _odd("has a member that does not inflate") from None
    if not inflater.eof or inflater.unused_data or inflater.unconsumed_tail:
        raise _odd("has a member with bytes behind its end")
    return unpacked


def _end_records(ranges: Ranges) -> tuple[int, int, int]:
    """Where the directory starts, its size and its number of records; the end records must close the file."""
    if ranges.size < 22:
        raise _odd("is too short for a zip")
    signature, disk, disk_with, here, count, size, start, comment = struct.unpack(
        "<4s4H2LH", ranges.read(ranges.size - 22, 22)
    )
    if signature != b"PK\5\6" or comment or disk or disk_with or here != count:
        raise _odd("does not end like a plain zip: it is truncated, or something follows behind it")
    end = ranges.size - 22
    locator = ranges.read(end - 20, 20) if end >= 20 + 56 else b""
    if locator.startswith(b"PK\6\7"):
        end, (start, size, count) = end - 76, _zip64_end(ranges, end - 76, locator, (start, size, count))
    elif _SENTINEL in (start, size) or count == 0xFFFF:
        raise _odd("promises a ZIP64 record that is not there")
    if start + size != end or count > MAX_MEMBERS or size > MAX_DIRECTORY:
        raise _odd("has a directory that does not end where the zip ends, or is too large")
    return start, size, count


def _zip64_end(ranges: Ranges, at: int, locator: bytes, plain: tuple[int, int, int]) -> tuple[int, int, int]:
    disk, record_at, disks = struct.unpack("<LQL", locator[4:])
    signature, length, _, _, this, that, here, count, size, start = struct.unpack("<4sQ2H2L4Q", ranges.read(at, 56))
    if signature != b"PK\6\6" or record_at != at or length != 44 or disk or this or that or disks != 1 or here != count:
        raise _odd("has a ZIP64 record that does not fit")
    for short, long, sentinel in zip(plain, (start, size, count), (_SENTINEL, _SENTINEL, 0xFFFF), strict=True):
        if short not in (long, sentinel):
            raise _odd("has two end records that disagree")
    return start, size, count


def _directory(records: bytes, count: int) -> list[Member]:
    listed: list[Member] = []
    position = 0
    for _ in range(count):
        if position + 46 > len(records) or records[position : position + 4] != b"PK\1\2":
            raise _odd("has a damaged directory")
        fields = struct.unpack("<4s6H3L5H2L", records[position : position + 46])
        name_end = position + 46 + fields[10]
        extra_end = name_end + fields[11]
        if fields[12] or fields[13] or extra_end > len(records):
            raise _odd("has a comment, another disk or a damaged record in its directory")
        name = _member_name(records[position + 46 : name_end])
        listed.append(_member(fields, name, _extras(records[name_end:extra_end])))
        position = extra_end
    if position != len(records):
        raise _odd("has a directory that is longer than its records")
    return listed


def _member(fields: tuple[int, ...], name: str, extras: dict[int, bytes]) -> Member:
    flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
    attributes, header_at = fields[15], fields[16]
    size, packed, header_at = _widened(extras, [size, packed, header_at])
    if flags & ~_HARMLESS_FLAGS or method not in (_STORED, _DEFLATED) or (method == _STORED and packed != size):
        raise _odd("has a member that is encrypted or packed in an unusual way")
    if (attributes >> 16) & 0xF000 == _SYMLINK:
        raise _odd("has a link in it")
    return Member(name, flags, method, crc, packed, size, header_at)


def _widened(extras: dict[int, bytes], fields: list[int]) -> list[int]:
    """ZIP64: each field that is all ones is taken from the extra field, in order."""
    wide = extras.get(_ZIP64, b"")
    values = iter(struct.unpack(f"<{len(wide) // 8}Q", wide[: len(wide) // 8 * 8]))
    try:
        return [next(values) if field == _SENTINEL else field for field in fields]
    except (StopIteration, RuntimeError):
        raise _odd("promises a ZIP64 size that is not there") from None


def _member_name(raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _odd("has a member whose name is not UTF-8") from None
    if not name or not name.isprintable() or "\\" in name or name.startswith("/") or ".." in name.split("/"):
        raise _odd("has a member with an unsafe name")
    return name


def _extras(raw: bytes) -> dict[int, bytes]:
    extras: dict[int, bytes] = {}
    while raw:
        if len(raw) < 4 or len(raw) < 4 + int.from_bytes(raw[2:4], "little"):
            raise _odd("has a damaged extra field")
        kind, length = struct.unpack("<HH", raw[:4])
        if kind in extras or kind == _UNICODE_PATH:
            raise _odd("has an extra field twice, or a second name in one")
        extras[kind] = raw[4 : 4 + length]
        raw = raw[4 + length :]
    return extras


def _no_bomb(listed: list[Member]) -> None:
    packed, size = sum(member.packed for member in listed), sum(member.size for member in listed)
    for one_packed, one_size in [(packed, size), *((member.packed, member.size) for member in listed)]:
        if one_size > RATIO_MATTERS_ABOVE and one_size > MAX_RATIO * one_packed:
            raise Refused("unpacks to more than 50 times its size: a zip bomb", "zip bomb")


def _place(ranges: Ranges, member: Member) -> tuple[Member, int]:
    """The member with its ``start``, and where the next record must begin."""
    fields = struct.unpack("<4s5H3L2H", ranges.read(member.header_at, 30))
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = fields
    tail = ranges.read(member.header_at + 30, name_length + extra_length)
    if signature != b"PK\3\4" or (flags, method) != (member.flags, member.method):
        raise _odd("has local and central headers that disagree")
    if tail[:name_length] != member.name.encode("utf-8"):
        raise _odd("has local and central headers with different names")
    extras = _extras(tail[name_length:])
    described = bool(flags & _HAS_DESCRIPTOR)
    # With a descriptor the local header may leave its three numbers out. Writers of ZIP64 put only an offset, or
    # nothing, beside it then: their extra field is not read.
    if not (described and not any((crc, packed, size))):
        size, packed = (size, packed) if described else _widened(extras, [size, packed])
        if crc != member.crc or packed not in (member.packed, _SENTINEL) or size not in (member.size, _SENTINEL):
            raise _odd("has local and central headers that disagree")
    start = member.header_at + 30 + name_length + extra_length
    end = start + member.packed
    placed = Member(**{**vars(member), "start": start})
    return placed, end + (_descriptor_length(ranges, placed, end) if described else 0)


def _descriptor_length(ranges: Ranges, member: Member, at: int) -> int:
    """16 bytes, or 24 with ZIP64 sizes; writers do not agree when, so the numbers decide."""
    ranges.read(at, 16)
    raw = ranges.read(at, min(24, ranges.size - at))
    start = b"PK\7\x08" + struct.pack("<L", member.crc)
    if raw.startswith(start + struct.pack("<QQ", member.packed, member.size)):
        return 24
    if max(member.packed, member.size) <= _SENTINEL and raw.startswith(
        start + struct.pack("<LL", member.packed, member.size)
    ):
        return 16
    raise _odd("has a data descriptor that disagrees with its directory")


def _odd(reason: str) -> Refused:
    return Refused(f"{reason}, so two programs could read it differently", "ambiguous zip")
