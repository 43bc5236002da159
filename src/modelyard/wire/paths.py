"""The one rule of model paths: which are refused, and which two are the same file somewhere.

    models/checkpoints/sd xl/base.safetensors
    ╰──┬──╯╰────┬────╯ ╰─────────┬──────────╯
    optional   type            the rest: with the type 2 to 8 segments

The registry applies it at presign and at registration; a machine applies it again to whatever a registry tells it.
"""

import re
import unicodedata
from dataclasses import dataclass

# Published verbatim by the source API. It is matched in full: `$` alone would let a trailing line end pass.
SOURCE_PATTERN = r"^(?!/)(?!.*\.\.)(?!.*\\)[\w./ -]+$"
ALIASES = {"unet": "diffusion_models", "clip": "text_encoders"}
NEVER_MODELS = frozenset({"custom_nodes", "configs", "datasets", "fonts"})
MAX_SEGMENTS = 8
MAX_SEGMENT_BYTES = 120
MAX_PATH_BYTES = 400

_source = re.compile(SOURCE_PATTERN)
# Windows opens a device for these, whatever the extension (learn.microsoft.com, "Naming Files, Paths, and Namespaces").
_device = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)


class PathRefused(ValueError):
    """The path breaks the rule; the text says which part of it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class ModelPath:
    """A path that passed: what it is on disk, and what it is compared by."""

    relative: str  # below the models folder, without a leading "models/"
    canonical_type: str
    key: str  # equal for two paths that are one file on some machine


def canonical_type(model_type: str) -> str:
    """The folder key that ComfyUI itself uses for this type (``folder_paths.map_legacy``)."""
    return ALIASES.get(model_type, model_type)


def checked_type(model_type: str) -> str:
    """The canonical name of a type that may hold models.

    Raises:
        PathRefused: it is no single safe folder name, or a folder that holds no models.
    """
    if "/" in model_type or not _source.fullmatch(model_type):
        raise PathRefused("model_type", "A model type is one folder name: letters, digits, `.`, `_`, `-`, spaces.")
    _check_segment(model_type, "model_type")
    if model_type.casefold() in NEVER_MODELS:
        raise PathRefused("model_type", f"'{model_type}' is a ComfyUI folder that holds no models.")
    return canonical_type(model_type)


def checked_path(model_type: str, model_path: str) -> ModelPath:
    """The path as every machine may use it.

    Raises:
        PathRefused: with the field and the reason; nothing is ever cleaned silently.
    """
    kind = checked_type(model_type)
    if not _source.fullmatch(model_path):
        raise PathRefused(
            "model_path", "A path has letters, digits, `.`, `_`, `-`, spaces and `/`; no `..`, no leading `/`."
        )
    relative = model_path.removeprefix("models/")
    segments = relative.split("/")
    if not 2 <= len(segments) <= MAX_SEGMENTS:
        raise PathRefused("model_path", f"A path has 2 to {MAX_SEGMENTS} segments: `<type>/<file>` at least.")
    if len(model_path.encode()) > MAX_PATH_BYTES:
        raise PathRefused("model_path", f"A path has at most {MAX_PATH_BYTES} bytes.")
    for segment in segments:
        _check_segment(segment, "model_path")
    if canonical_type(segments[0]) != kind:
        raise PathRefused("model_path", f"The first folder is the model type: '{model_type}/…', not '{segments[0]}/…'.")
    return ModelPath(relative, kind, path_key(kind, "/".join(segments[1:])))


def path_key(kind: str, rest: str) -> str:
    """What two paths share if they are one file on a case-insensitive or normalising file system."""
    return unicodedata.normalize("NFC", f"{kind}/{rest}".casefold())


def _check_segment(segment: str, field: str) -> None:
    if not segment or segment in (".", ".."):
        raise PathRefused(field, "A segment is never empty, `.` or `..`.")
    if segment[0] in ". " or segment[-1] in ". ":
        raise PathRefused(field, f"'{segment}' begins or ends with a dot or a space, which some systems drop.")
    if unicodedata.normalize("NFC", segment) != segment:
        raise PathRefused(
            field, f"'{segment}' is not in Unicode normal form C, so two machines may spell it differently."
        )
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        raise PathRefused(field, f"'{segment[:20]}…' has more than {MAX_SEGMENT_BYTES} bytes.")
    if _device.fullmatch(segment.partition(".")[0].rstrip(" ")):
        raise PathRefused(field, f"'{segment}' is a device name on Windows.")
