"""Metadata of MP4 and MOV with keys of any name (QuickTime File Format, "Metadata")."""

from modelyard.comfyui.workflows.embedded.boxes import find_box, list_boxes

_MAX_KEYS = 1_000


def read_mp4(data: bytes) -> dict[str, bytes]:
    """Return the texts of the box ``moov/udta/meta`` by their keys, in lower case."""
    # A full box: version and flags come first.
    meta = find_box(find_box(find_box(data, b"moov"), b"udta"), b"meta")[4:]
    keys = _list_keys(find_box(meta, b"keys"))
    texts: dict[str, bytes] = {}
    for kind, item in list_boxes(find_box(meta, b"ilst")):
        number = int.from_bytes(kind)
        if 1 <= number <= len(keys):
            # Type and locale of the value come first.
            texts.setdefault(keys[number - 1], find_box(item, b"data")[8:])
    return texts


def _list_keys(box: bytes) -> list[str]:
    """Return the keys of a box ``keys``, in which they look like boxes. Values name them by number from 1 on."""
    return [content.decode("utf-8", "replace").lower() for _, content in list_boxes(box[8:])][:_MAX_KEYS]
