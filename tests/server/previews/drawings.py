"""Pictures made with Pillow, valid and invalid, for the tests of previews."""

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageDraw

ORIENTATION, GPS = 0x0112, 0x8825
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><html><body><script>alert(1)</script></body></html>"


def save(image: Image.Image, format_name: str = "PNG", **options: Any) -> bytes:
    """Return an image as a file of this format."""
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def draw(color: str = "#336699", size: tuple[int, int] = (80, 100)) -> Image.Image:
    """Return a picture of one colour with a white square at its upper left, which shows how it is turned."""
    image = Image.new("RGB", size, color)
    ImageDraw.Draw(image).rectangle((0, 0, size[0] // 4, size[1] // 4), fill="white")
    return image


def make_png(color: str = "#336699", size: tuple[int, int] = (80, 100)) -> bytes:
    return save(draw(color, size))


def open_picture(content: bytes) -> Image.Image:
    """Return a decoded picture."""
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def make_photo_with_place(orientation: int = 1) -> bytes:
    """Return a JPEG with a GPS position, a camera, a comment and an orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[0x0110] = "Secret Camera"
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return save(draw(size=(400, 300)), "JPEG", exif=exif, comment=b"secret comment", quality=95)


def make_bomb(side: int = 16_000) -> bytes:
    """Return a small PNG that claims side x side pixels; its rows are all zero.

    By default it has more pixels than Pillow opens (179 million).
    """
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (side + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def make_animation(frames: int = 2_000) -> bytes:
    """Return an animated WebP of so many small frames; the first is red."""
    images = [Image.new("RGB", (32, 32), "red" if number == 0 else (0, number % 256, 0)) for number in range(frames)]
    return save(images[0], "WEBP", save_all=True, append_images=images[1:], duration=20, method=0)
