"""Decoding and encoding of pictures with Pillow. Imported in the sandbox only, since pictures are untrusted.

Everything that Pillow needs is imported here: the sandbox can open no file once its limits are set.
"""

import base64
import hashlib
import io
import struct
import warnings
from typing import Any

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageOps,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from modelyard.wire.formats import LARGE_BOX, MAX_PIXELS, MAX_SIDE, PICTURE_FORMATS, SMALL_BOX

# Registered by their import; named so that no tool removes them. TIFF is how EXIF is stored.
PLUGINS = (
    *(AvifImagePlugin, GifImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin),
    *(TiffImagePlugin, WebPImagePlugin),
)
# What Pillow raises for damaged pictures.
DAMAGE = (
    *(AttributeError, EOFError, IndexError, KeyError, OSError, RuntimeError, SyntaxError, TypeError, ValueError),
    struct.error,
)
QUALITY = 80
_ORIENTATION = 0x0112
_SWAPPED = (5, 6, 7, 8)
_SRGB = ImageCms.createProfile("sRGB")
# Pillow would import these when it opens the first file.
Image.preinit()
# Threads of a decoder would count towards the memory limit.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


class PictureInvalid(Exception):
    """The bytes are no picture that is accepted; the text completes the sentence "The picture ..."."""


def encode_picture(content: bytes) -> dict[str, Any]:
    """Return the small and the large WebP in base64, the hash of the large one, and the average colour.

    Only the first frame is used. Orientation and colour profile are applied, and no metadata is kept.

    Raises:
        PictureInvalid: see ``_open``; or the content cannot be decoded.
    """
    try:
        image = _open(content)
        large = _apply_profile(_shrink(_simplify(image), _swap_if_turned(image, LARGE_BOX)), image)
        large = ImageOps.exif_transpose(large)
        small = _shrink(large, SMALL_BOX)
        webp = _to_webp(large)
        return {
            "small": base64.b64encode(_to_webp(small)).decode(),
            "large": base64.b64encode(webp).decode(),
            "sha256": hashlib.sha256(webp).hexdigest(),
            "color": _get_average_color(small),
        }
    except DAMAGE as error:
        raise PictureInvalid("is damaged or incomplete") from error


def render_png(content: bytes) -> dict[str, Any]:
    """Return one of our own WebP files as a PNG in base64.

    Raises:
        PictureInvalid: see ``_open``.
    """
    image = _open(content)
    image.info = {}
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return {"png": base64.b64encode(file.getvalue()).decode()}


def _open(content: bytes) -> Image.Image:
    """Open a picture and decode its first frame; its size is checked before anything is decoded.

    Raises:
        PictureInvalid: it has another format, or too many pixels.
    """
    too_large = PictureInvalid(f"has too many pixels: at most {MAX_PIXELS // 1_000_000} million, {MAX_SIDE} a side")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=PICTURE_FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise too_large from None
    except UnidentifiedImageError:
        raise PictureInvalid("is not a JPEG, PNG, WebP, GIF or AVIF file") from None
    if max(image.size) > MAX_SIDE or image.size[0] * image.size[1] > MAX_PIXELS:
        raise too_large
    # A JPEG decoder can leave out detail that is not needed.
    image.draft("RGB", (LARGE_BOX[1], LARGE_BOX[1]))
    image.load()
    return image


def _simplify(image: Image.Image) -> Image.Image:
    """Return the picture in a mode that can be scaled: RGB, RGBA, L or, for its profile, CMYK."""
    if image.mode.startswith("I"):
        # 16 bits a pixel: their upper half is kept.
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("LA", "La", "PA", "RGBa") or (image.mode != "RGBA" and "transparency" in image.info):
        return image.convert("RGBA")
    return image if image.mode in ("RGB", "RGBA", "L", "CMYK") else image.convert("RGB")


def _swap_if_turned(image: Image.Image, box: tuple[int, int]) -> tuple[int, int]:
    """Return the box for a picture that is turned only later, as its EXIF says."""
    return (box[1], box[0]) if image.getexif().get(_ORIENTATION) in _SWAPPED else box


def _shrink(image: Image.Image, box: tuple[int, int]) -> Image.Image:
    """Return the picture scaled down so that it fits into the box; a smaller one stays as it is."""
    scale = min(1.0, box[0] / image.width, box[1] / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _apply_profile(image: Image.Image, source: Image.Image) -> Image.Image:
    """Return the picture in sRGB; a profile that does not fit is ignored."""
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    profile = source.info.get("icc_profile")
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, outputMode=mode
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None
        if converted is not None:
            return converted
    return image.convert(mode)


def _to_webp(image: Image.Image) -> bytes:
    """Return a picture as WebP, without metadata."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=4, exif=b"", icc_profile=b"", xmp=b"")
    return file.getvalue()


def _get_average_color(image: Image.Image) -> str:
    """Return the average colour of what is not transparent, as ``#rrggbb``."""
    pixel = image.convert("RGBA").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(pixel, tuple)  # noqa: S101 - one value for each of four channels
    return "#" + "".join(f"{int(value):02x}" for value in pixel[:3])
