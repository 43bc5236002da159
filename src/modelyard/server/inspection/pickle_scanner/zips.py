"""Reading of zips that every reader interprets the same way; all others are refused.

Rules of PyPI (``warehouse/utils/zipfiles.py``), in their strict sense: the records follow each other from the first
byte to the last, with nothing before, between or after; local and central headers agree; no name twice, not even in
another case; stored or deflated; no encryption, no comments. One rule is wider, since ``torch.save`` needs it: a data
descriptor may follow a member, if it equals the central header.
"""

import struct
import zlib
from dataclasses import dataclass

from .ranges import Ranges, Refused

MAX_MEMBERS = 65_536
MAX_DIRECTORY = 32 * 1024 * 1024
MAX_RATIO = 50
RATIO_CHECKED_ABOVE = 64 * 1024 * 1024
# For members that the scanner unpacks: a pickle of a few KB must not become hours of work.
UNPACKED_RATIO_CHECKED_ABOVE = 1024 * 1024

_STORED, _DEFLATED = 0, 8
_HAS_DESCRIPTOR, _UTF8 = 0x0008, 0x0800
_ALLOWED_FLAGS = _HAS_DESCRIPTOR | _UTF8 | 0x0006  # bits 1 and 2: the compression level
_IN_ZIP64 = 0xFFFFFFFF
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
_FILE_TYPES = (0, 0x8000, 0x4000)  # unknown, file, folder; no link, pipe or device
_DOS_FOLDER = 0x10


@dataclass(frozen=True)
class Member:
    """One file in the zip; ``start`` is the position of its packed bytes, 0 until its local header was checked."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header_at: int
    start: int = 0

    def is_packed(self) -> bool:
        """Return whether the member is compressed."""
        return self.method != _STORED


def read_members(ranges: Ranges) -> dict[str, Member]:
    """Check every rule and return the members by name; reads headers only.

    Raises:
        Refused: a rule is broken, or a member or the whole zip unpacks to more than 50 times its size.
    """
    directory_at, directory_size, count = _read_end_records(ranges)
    listed = _parse_directory(ranges.read(directory_at, directory_size), count)
    if len({member.name.casefold() for member in listed}) != len(listed):
        raise _build_ambiguity_refusal("has two members of one name")
    _check_ratios(listed)
    located: dict[str, Member] = {}
    position = 0
    for member in sorted(listed, key=lambda member: member.header_at):
        if member.header_at != position:
            raise _build_ambiguity_refusal("has bytes before or between its members")
        located[member.name], position = _locate_data(ranges, member)
    if position != directory_at:
        raise _build_ambiguity_refusal("has bytes between its members and its directory")
    return located


def unpack(ranges: Ranges, member: Member, limit: int) -> bytes:
    """Return the content of a member, with its checksum compared.

    Raises:
        Refused: it is larger than ``limit``, a zip bomb, or its bytes, size or checksum differ from the headers.
    """
    if member.size > limit or member.packed > limit:
        raise Refused("has a pickle that is larger than this registry reads", "oversized pickle")
    if member.size > UNPACKED_RATIO_CHECKED_ABOVE and member.size > MAX_RATIO * member.packed:
        raise _build_bomb_refusal()
    packed = ranges.read(member.start, member.packed)
    unpacked = packed if member.method == _STORED else _inflate(packed, member.size)
    if len(unpacked) != member.size or zlib.crc32(unpacked) != member.crc:
        raise _build_ambiguity_refusal("has a member whose checksum or size is wrong")
    return unpacked


def read_beginning(ranges: Ranges, member: Member, length: int) -> bytes:
    """Return the first ``length`` bytes of a member, or fewer if 4 KiB of packed bytes unpack to less.

    Raises:
        Refused: it cannot be decompressed.
    """
    if member.method == _STORED:
        return ranges.read(member.start, min(length, member.packed))
    try:
        return zlib.decompressobj(-15).decompress(ranges.read(member.start, min(4096, member.packed)), length)
    except zlib.error:
        raise _build_ambiguity_refusal("has a member that does not inflate") from None


def _inflate(packed: bytes, size: int) -> bytes:
    """Decompress a member.

    Raises:
        Refused: it is damaged, longer than ``size``, or other bytes follow.
    """
    inflater = zlib.decompressobj(-15)
    try:
        # One byte more than declared, to detect a member that is longer.
        unpacked = inflater.decompress(packed, size + 1)
    except zlib.error:
        raise _build_ambiguity_refusal("has a member that does not inflate") from None
    if not inflater.eof or inflater.unused_data or inflater.unconsumed_tail:
        raise _build_ambiguity_refusal("has a member with bytes behind its end")
    return unpacked


def _read_end_records(ranges: Ranges) -> tuple[int, int, int]:
    """Return start, size and number of records of the directory; the end records must be the last bytes of the file.

    Raises:
        Refused: they are not, or they disagree.
    """
    if ranges.size < 22:
        raise _build_ambiguity_refusal("is too short for a zip")
    signature, disk, disk_with, disk_count, count, size, start, comment = struct.unpack(
        "<4s4H2LH", ranges.read(ranges.size - 22, 22)
    )
    if signature != b"PK\5\6" or comment or disk or disk_with or disk_count != count:
        raise _build_ambiguity_refusal("does not end like a plain zip: it is truncated, or other data follows it")
    end = ranges.size - 22
    locator = ranges.read(end - 20, 20) if end >= 20 + 56 else b""
    if locator.startswith(b"PK\6\7"):
        end, (start, size, count) = end - 76, _read_zip64_end(ranges, end - 76, locator, (start, size, count))
    elif _IN_ZIP64 in (start, size) or count == 0xFFFF:
        raise _build_ambiguity_refusal("refers to a ZIP64 record that is missing")
    if start + size != end or count > MAX_MEMBERS or size > MAX_DIRECTORY:
        raise _build_ambiguity_refusal("has a directory that does not end where the zip ends, or is too large")
    return start, size, count


def _read_zip64_end(
    ranges: Ranges, record_start: int, locator: bytes, plain_values: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Return start, size and number of records of the directory from the ZIP64 record at ``record_start``.

    Raises:
        Refused: the record is invalid, or disagrees with ``plain_values``, the same three values of the plain record.
    """
    disk, record_at, disks = struct.unpack("<LQL", locator[4:])
    signature, length, _, _, disk_number, directory_disk, disk_count, count, size, start = struct.unpack(
        "<4sQ2H2L4Q", ranges.read(record_start, 56)
    )
    if (
        signature != b"PK\6\6"
        or record_at != record_start
        or length != 44
        or disk
        or disk_number
        or directory_disk
        or disks != 1
        or disk_count != count
    ):
        raise _build_ambiguity_refusal("has a ZIP64 record that does not match")
    for short, long, sentinel in zip(plain_values, (start, size, count), (_IN_ZIP64, _IN_ZIP64, 0xFFFF), strict=True):
        if short not in (long, sentinel):
            raise _build_ambiguity_refusal("has two end records that disagree")
    return start, size, count


def _parse_directory(records: bytes, count: int) -> list[Member]:
    """Return the members of the directory's ``count`` records.

    Raises:
        Refused: a record is damaged, has a comment, or bytes follow the last one.
    """
    listed: list[Member] = []
    position = 0
    for _ in range(count):
        if position + 46 > len(records) or records[position : position + 4] != b"PK\1\2":
            raise _build_ambiguity_refusal("has a damaged directory")
        fields = struct.unpack("<4s6H3L5H2L", records[position : position + 46])
        name_end = position + 46 + fields[10]
        extra_end = name_end + fields[11]
        if fields[12] or fields[13] or extra_end > len(records):
            raise _build_ambiguity_refusal("has a comment, another disk or a damaged record in its directory")
        name = _parse_name(records[position + 46 : name_end])
        listed.append(_parse_member(fields, name, _parse_extra_fields(records[name_end:extra_end])))
        position = extra_end
    if position != len(records):
        raise _build_ambiguity_refusal("has a directory that is longer than its records")
    return listed


def _parse_member(fields: tuple[int, ...], name: str, extras: dict[int, bytes]) -> Member:
    """Build a member from the fields of its central header.

    Raises:
        Refused: it is encrypted, compressed by another method than deflate, stored with two sizes, a link, or a file
            marked as a folder.
    """
    flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
    attributes, header_at = fields[15], fields[16]
    size, packed, header_at = _resolve_zip64(extras, [size, packed, header_at])
    if flags & ~_ALLOWED_FLAGS or method not in (_STORED, _DEFLATED) or (method == _STORED and packed != size):
        raise _build_ambiguity_refusal("has a member that is encrypted or packed in an unusual way")
    # torch reads nothing from a member with DOS's folder bit, and uses the old content of its buffer instead.
    if (attributes >> 16) & 0xF000 not in _FILE_TYPES or (attributes & _DOS_FOLDER and not name.endswith("/")):
        raise _build_ambiguity_refusal("has a link or a folder in place of a file")
    return Member(name, flags, method, crc, packed, size, header_at)


def _resolve_zip64(extras: dict[int, bytes], fields: list[int]) -> list[int]:
    """Return the 32-bit fields, with each 0xFFFFFFFF replaced by the next value of the ZIP64 extra field.

    Raises:
        Refused: the extra field has too few values.
    """
    raw_values = extras.get(_ZIP64, b"")
    values = iter(struct.unpack(f"<{len(raw_values) // 8}Q", raw_values[: len(raw_values) // 8 * 8]))
    try:
        return [next(values) if field == _IN_ZIP64 else field for field in fields]
    except (StopIteration, RuntimeError):
        raise _build_ambiguity_refusal("refers to a ZIP64 size that is missing") from None


def _parse_name(raw: bytes) -> str:
    """Decode the name of a member.

    Raises:
        Refused: it is not UTF-8, not printable, absolute, or contains backslashes or ``..``.
    """
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _build_ambiguity_refusal("has a member whose name is not UTF-8") from None
    if not name or not name.isprintable() or "\\" in name or name.startswith("/") or ".." in name.split("/"):
        raise _build_ambiguity_refusal("has a member with an unsafe name")
    return name


def _parse_extra_fields(raw: bytes) -> dict[int, bytes]:
    """Return the extra fields by type.

    Raises:
        Refused: one is damaged or occurs twice, or is a second name for the member.
    """
    extras: dict[int, bytes] = {}
    while raw:
        if len(raw) < 4 or len(raw) < 4 + int.from_bytes(raw[2:4], "little"):
            raise _build_ambiguity_refusal("has a damaged extra field")
        kind, length = struct.unpack("<HH", raw[:4])
        if kind in extras or kind == _UNICODE_PATH:
            raise _build_ambiguity_refusal("has an extra field twice, or a second name in one")
        extras[kind] = raw[4 : 4 + length]
        raw = raw[4 + length :]
    return extras


def _check_ratios(listed: list[Member]) -> None:
    """Check that neither a member nor the whole zip unpacks to more than 64 MiB and 50 times its size.

    Raises:
        Refused: one does.
    """
    packed, size = sum(member.packed for member in listed), sum(member.size for member in listed)
    for packed_size, unpacked_size in [(packed, size), *((member.packed, member.size) for member in listed)]:
        if unpacked_size > RATIO_CHECKED_ABOVE and unpacked_size > MAX_RATIO * packed_size:
            raise _build_bomb_refusal()


def _build_bomb_refusal() -> Refused:
    """Build the refusal of a zip bomb."""
    return Refused(f"unpacks to more than {MAX_RATIO} times its size: a zip bomb", "zip bomb")


def _locate_data(ranges: Ranges, member: Member) -> tuple[Member, int]:
    """Compare a member's local header with its central one; return the member with its ``start``, and the record's end.

    Raises:
        Refused: the headers disagree.
    """
    fields = struct.unpack("<4s5H3L2H", ranges.read(member.header_at, 30))
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = fields
    tail = ranges.read(member.header_at + 30, name_length + extra_length)
    if signature != b"PK\3\4" or (flags, method) != (member.flags, member.method):
        raise _build_ambiguity_refusal("has local and central headers that disagree")
    if tail[:name_length] != member.name.encode("utf-8"):
        raise _build_ambiguity_refusal("has local and central headers with different names")
    extras = _parse_extra_fields(tail[name_length:])
    has_descriptor = bool(flags & _HAS_DESCRIPTOR)
    # With a descriptor the local header may omit its three numbers. Writers of ZIP64 then have only an offset, or
    # nothing, in the extra field, so it is not read.
    if not (has_descriptor and not any((crc, packed, size))):
        size, packed = (size, packed) if has_descriptor else _resolve_zip64(extras, [size, packed])
        if crc != member.crc or packed not in (member.packed, _IN_ZIP64) or size not in (member.size, _IN_ZIP64):
            raise _build_ambiguity_refusal("has local and central headers that disagree")
    start = member.header_at + 30 + name_length + extra_length
    end = start + member.packed
    located = Member(**{**vars(member), "start": start})
    return located, end + (_get_descriptor_length(ranges, located, end) if has_descriptor else 0)


def _get_descriptor_length(ranges: Ranges, member: Member, record_start: int) -> int:
    """Return the length of the data descriptor: 16 bytes, or 24 with ZIP64 sizes.

    Writers differ in when they use which, so the descriptor's own values decide.

    Raises:
        Refused: neither form equals the central header.
    """
    ranges.read(record_start, 16)
    raw = ranges.read(record_start, min(24, ranges.size - record_start))
    start = b"PK\7\x08" + struct.pack("<L", member.crc)
    if raw.startswith(start + struct.pack("<QQ", member.packed, member.size)):
        return 24
    if max(member.packed, member.size) <= _IN_ZIP64 and raw.startswith(
        start + struct.pack("<LL", member.packed, member.size)
    ):
        return 16
    raise _build_ambiguity_refusal("has a data descriptor that disagrees with its directory")


def _build_ambiguity_refusal(reason: str) -> Refused:
    """Build the refusal of a zip that two programs could read differently; ``reason`` completes "This file ..."."""
    return Refused(f"{reason}, so two programs could read it differently", "ambiguous zip")
