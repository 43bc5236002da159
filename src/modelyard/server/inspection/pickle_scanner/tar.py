"""Detection of tar files as Python's ``tarfile`` does it: by the checksum of the first header.

``torch.load`` first tries tarfile on a file in the old format. So a file may be a pickle to one reader and a tar of
other pickles to another.
"""

_HEADER = 512
_CHECKSUM = slice(148, 156)


def is_tar(head: bytes) -> bool:
    """Return whether ``head``, the first 512 bytes of a file, is a tar header of any version.

    The first bytes of the names in torch's old tars suffice, as does ``ustar`` in its place.
    """
    if head.startswith((b"./", b"pickle\0", b"storages\0", b"sys_info\0")) or head[257:262] == b"ustar":
        return True
    if len(head) < _HEADER:
        return False
    summed = head[: _CHECKSUM.start] + b" " * 8 + head[_CHECKSUM.stop :]
    signed = sum(byte - 256 if byte > 127 else byte for byte in summed)
    return _parse_number(head[_CHECKSUM]) in (sum(summed), signed)


def _parse_number(field: bytes) -> int | None:
    """Parse a number field, octal text (empty is 0) or base 256; None if it is neither."""
    if field[0] in (0o200, 0o377):
        return int.from_bytes(field[1:], "big") - (256**7 if field[0] == 0o377 else 0)
    try:
        return int(field.partition(b"\0")[0].decode("ascii").strip() or "0", 8)
    except ValueError:
        return None
