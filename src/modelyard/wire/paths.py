"""Validation of model paths, and a key that is equal for paths that are one file on some file system.

    models/checkpoints/sd xl/base.safetensors
    ╰──┬──╯╰────┬────╯ ╰─────────┬──────────╯
    optional   type            the rest: 2 to 8 segments including the type

The registry validates paths at presign and at registration; a machine validates every path of a manifest again.
"""

import re
import unicodedata
from dataclasses import dataclass

from modelyard.wire.texts.invisible_characters import BLANKS

# Copied from the source API. Use fullmatch: `$` alone would accept a trailing newline.
SOURCE_PATTERN = r"^(?!/)(?!.*\.\.)(?!.*\\)[\w./ -]+$"
TYPE_ALIASES = {"unet": "diffusion_models", "clip": "text_encoders"}
NON_MODEL_FOLDERS = frozenset({"custom_nodes", "configs", "datasets", "fonts"})
MAX_SEGMENTS = 8
MAX_SEGMENT_BYTES = 120
MAX_PATH_BYTES = 400

# Windows opens a device for these names with any extension (learn.microsoft.com, "Naming Files, Paths, and
# Namespaces").
DEVICE_NAME_PATTERN = r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])"

# The letters that `\w` permits and that are rendered as nothing: Hangul fillers.
INVISIBLE_LETTERS = "".join(sorted(letter for letter in BLANKS if letter.isalnum()))

# Of a file's whole path in UTF-16 units, with the NUL at its end, unless long paths are allowed (learn.microsoft.com,
# "Maximum Path Length Limitation").
WINDOWS_PATH_LIMIT = 260

_source = re.compile(SOURCE_PATTERN)
_invisible = re.compile(f"[{INVISIBLE_LETTERS}]")
_device = re.compile(DEVICE_NAME_PATTERN, re.IGNORECASE)


class ModelPathInvalid(ValueError):
    """A model path or type is invalid; the message states the violated rule."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class ModelPath:
    """A validated model path."""

    relative: str  # relative to the models folder, without a leading "models/"
    canonical_type: str
    key: str  # equal for two paths that are one file on some file system


def get_canonical_type(model_type: str) -> str:
    """Return ComfyUI's folder key for a model type: the aliases ``unet`` and ``clip`` are replaced.

    Any other text is returned unchanged and is not validated; case matters. Source: ``folder_paths.map_legacy``.
    """
    return TYPE_ALIASES.get(model_type, model_type)


def parse_model_type(model_type: str) -> str:
    """Validate a model type and return its canonical name, see ``get_canonical_type``.

    Raises:
        ModelPathInvalid: it is not a single safe folder name, or a ComfyUI folder that holds no models.
    """
    if "/" in model_type or not _source.fullmatch(model_type):
        raise ModelPathInvalid("model_type", "A model type is one folder name: letters, digits, `.`, `_`, `-`, spaces.")
    _check_segment(model_type, "model_type")
    if model_type.casefold() in NON_MODEL_FOLDERS:
        raise ModelPathInvalid("model_type", f"'{model_type}' is a ComfyUI folder that holds no models.")
    return get_canonical_type(model_type)


def parse_model_path(model_type: str, model_path: str) -> ModelPath:
    """Validate a model path for all platforms. Invalid paths are never corrected.

    Only a leading ``models/`` is removed from ``relative``, whose type folder may be an alias; in ``key`` it is
    canonical. The type folder and ``model_type`` must be equal or aliases, in the same case.

    Raises:
        ModelPathInvalid: with the field and the violated rule.
    """
    kind = parse_model_type(model_type)
    if not _source.fullmatch(model_path):
        raise ModelPathInvalid(
            "model_path",
            "A path may contain letters, digits, `.`, `_`, `-`, spaces and `/`, but no `..` and no leading `/`.",
        )
    relative = model_path.removeprefix("models/")
    segments = relative.split("/")
    if not 2 <= len(segments) <= MAX_SEGMENTS:
        raise ModelPathInvalid(
            "model_path", f"A path must have 2 to {MAX_SEGMENTS} segments: `<type>/<file>` at least."
        )
    if len(model_path.encode()) > MAX_PATH_BYTES:
        raise ModelPathInvalid("model_path", f"A path may have at most {MAX_PATH_BYTES} bytes.")
    for segment in segments:
        _check_segment(segment, "model_path")
    if get_canonical_type(segments[0]) != kind:
        raise ModelPathInvalid(
            "model_path", f"The first folder must be the model type: '{model_type}/…', not '{segments[0]}/…'."
        )
    return ModelPath(relative, kind, build_path_key(kind, "/".join(segments[1:])))


def build_path_key(kind: str, rest: str) -> str:
    """Build a key that is equal for two paths that are one file on a case-insensitive or normalizing file system.

    ``kind`` is a canonical type, ``rest`` the path below the type folder; neither is validated.
    """
    return unicodedata.normalize("NFC", f"{kind}/{rest}".casefold())


def is_device_name(segment: str) -> bool:
    """Return whether Windows opens a device for this file or folder name, whatever its case and extension."""
    return _device.fullmatch(segment.partition(".")[0].rstrip(" ")) is not None


def exceeds_windows_limit(path: str) -> bool:
    """Return whether Windows refuses a file's whole path, unless long paths are allowed there."""
    return len(path.encode("utf-16-le", "surrogatepass")) // 2 + 1 > WINDOWS_PATH_LIMIT


def _check_segment(segment: str, field: str) -> None:
    """Check that a path segment is a safe and unambiguous file name on all platforms.

    The caller has checked the allowed characters.

    Raises:
        ModelPathInvalid: with ``field`` and the violated rule.
    """
    if not segment or segment in (".", ".."):
        raise ModelPathInvalid(field, "A segment must not be empty, `.` or `..`.")
    if not segment.isascii() and (invisible := _invisible.search(segment)) is not None:
        letter = f"U+{ord(invisible[0]):04X}"
        raise ModelPathInvalid(field, f"A segment must not have invisible characters, such as {letter}.")
    if segment[0] in ". " or segment[-1] in ". ":
        raise ModelPathInvalid(
            field, f"'{segment}' begins or ends with a dot or a space, which some file systems remove."
        )
    if unicodedata.normalize("NFC", segment) != segment:
        raise ModelPathInvalid(
            field, f"'{segment}' is not in Unicode normal form C, so machines may store it differently."
        )
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        raise ModelPathInvalid(field, f"'{segment[:20]}…' has more than {MAX_SEGMENT_BYTES} bytes.")
    if is_device_name(segment):
        raise ModelPathInvalid(field, f"'{segment}' is a reserved device name on Windows.")
