"""The EXIF item of AVIF (ISO/IEC 14496-12, sections 8.11.3 and 8.11.6; ISO/IEC 23008-12, annex A)."""

from modelyard.comfyui.workflows.embedded.boxes import find_box, list_boxes
from modelyard.comfyui.workflows.embedded.exif import read_exif


def read_avif(data: bytes) -> dict[str, bytes]:
    """Return the texts of the EXIF item, see ``read_exif``."""
    meta = find_box(data, b"meta")
    # A full box: version and flags come first.
    items = _list_items(find_box(meta[4:], b"iinf"))
    location = find_box(meta[4:], b"iloc")
    for item, kind in items:
        if kind == b"Exif" and (extent := _find_extent(location, item)):
            block = data[extent[0] : extent[0] + extent[1]]
            # The first four bytes are the offset of the TIFF header in what follows.
            return read_exif(block[4 + int.from_bytes(block[:4]) :])
    return {}


def _list_items(box: bytes) -> list[tuple[int, bytes]]:
    """Return ids and types of the items in a box ``iinf``; entries of versions 2 and 3 have types."""
    entries = box[6:] if box[:1] == b"\x00" else box[8:]
    items = []
    for kind, entry in list_boxes(entries):
        if kind == b"infe" and entry[:1] in (b"\x02", b"\x03"):
            width = 2 if entry[0] == 2 else 4
            items.append((int.from_bytes(entry[4 : 4 + width]), entry[6 + width : 10 + width]))
    return items


def _find_extent(box: bytes, item: int) -> tuple[int, int] | None:
    """Return offset and size in the file of an item's first extent, from a box ``iloc``; None if it has none."""
    if len(box) < 8 or box[0] > 2:
        return None
    version, wide = box[0], 4 if box[0] == 2 else 2
    offset_size, length_size, base_size = box[4] >> 4, box[4] & 15, box[5] >> 4
    index_size = box[5] & 15 if version else 0
    at = 6 + wide
    for _ in range(int.from_bytes(box[6:at])):
        number = int.from_bytes(box[at : at + wide])
        # Where an item is: 0 for the file itself, which is all that encoders use for EXIF.
        is_elsewhere = bool(version) and bool(int.from_bytes(box[at + wide : at + wide + 2]) & 15)
        at += wide + (4 if version else 2)
        base = int.from_bytes(box[at : at + base_size])
        count = int.from_bytes(box[at + base_size : at + base_size + 2])
        at += base_size + 2
        if number == item and count and not is_elsewhere:
            start, end = at + index_size, at + index_size + offset_size
            return base + int.from_bytes(box[start:end]), int.from_bytes(box[end : end + length_size])
        at += count * (index_size + offset_size + length_size)
        if at >= len(box):
            break
    return None
