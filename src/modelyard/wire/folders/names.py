"""The names of files inside a folder model, and how the content of each is checked."""

from typing import Literal

from modelyard.wire.formats import FORMAT_BY_EXTENSION, FormatName
from modelyard.wire.paths import ModelPathInvalid, parse_model_path

# How a file is checked: as a model file of its format, as JSON without a request for code, or as plain data.
FileKind = FormatName | Literal["json", "data"]
MAX_FILES = 20_000
# Configurations and tokenizers are read as a whole to check them.
MAX_JSON_BYTES = 64 * 1024 * 1024

# Data that no known loader runs: no YAML, which can name Python objects. What is not listed is refused: a new format
# is added here once its loaders are known.
DATA_EXTENSIONS = (
    *(".txt", ".md", ".model", ".spm", ".tiktoken", ".vocab", ".bpe", ".jinja"),
    *(".png", ".jpg", ".jpeg", ".webp"),
)
JSON_EXTENSIONS = (".json",)
# Files without an extension that publishers add to folders.
DATA_NAMES = ("license", "notice", "readme", "merges", "vocab")
_CODE_EXTENSIONS = (
    ".py",
    ".pyc",
    ".pyd",
    ".pyw",
    ".so",
    ".dll",
    ".dylib",
    ".exe",
    ".sh",
    ".bat",
    ".cmd",
    ".ps1",
    ".js",
)


class FolderInvalid(ValueError):
    """A folder is invalid as a model; ``path`` is that of the file at fault within it, or None."""

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


def find_file_kind(file_name: str) -> FileKind | None:
    """Return how a file of this name or path is checked; None if no folder may have it."""
    name = file_name.rpartition("/")[2].lower()
    stem, _, extension = name.rpartition(".")
    if not stem:
        return "data" if name in DATA_NAMES else None
    extension = f".{extension}"
    if extension in JSON_EXTENSIONS:
        return "json"
    return FORMAT_BY_EXTENSION.get(extension, "data" if extension in DATA_EXTENSIONS else None)


def check_file_name(file_name: str) -> FileKind:
    """Return how a file of this name is checked.

    Raises:
        FolderInvalid: no folder may have it; says why.
    """
    kind = find_file_kind(file_name)
    if kind is not None:
        return kind
    name = file_name.rpartition("/")[2]
    if name.lower().endswith(_CODE_EXTENSIONS):
        raise FolderInvalid(
            f"'{file_name}' is code, which a folder model may not contain: programs run it when they load the model. "
            "Use a version of the model that needs no code of its own.",
            file_name,
        )
    raise FolderInvalid(
        f"A folder model may not contain '{file_name}': only weights, JSON, tokenizers, texts and pictures. "
        "Leave the file out.",
        file_name,
    )


def check_file_path(model_type: str, folder: str, path: str) -> str:
    """Check the path of a file within a folder model; return a key that is equal for paths that are one file.

    Raises:
        FolderInvalid: the path is not allowed inside this folder; says why.
    """
    try:
        parsed = parse_model_path(model_type, f"{folder}/{path}")
    except ModelPathInvalid as invalid:
        raise FolderInvalid(f"'{path}': {invalid}", path) from None
    return parsed.key


def check_folder_name(folder: str) -> None:
    """Check that the path of a folder model does not look like that of a model file.

    Raises:
        FolderInvalid: it ends with the extension of a model file.
    """
    kind = find_file_kind(folder)
    if kind in FORMAT_BY_EXTENSION.values():
        raise FolderInvalid("The path of a folder model must not end with the extension of a model file.")


def build_parent_keys(key: str) -> list[str]:
    """Return the keys of all folders above a path, outermost first; ``key`` is of ``wire.paths``."""
    segments = key.split("/")
    return ["/".join(segments[:count]) for count in range(2, len(segments))]
