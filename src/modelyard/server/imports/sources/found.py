"""What a source has: its files and what it says about the model."""

from dataclasses import dataclass, field

from modelyard.server.imports.sources.drafts import choose_file
from modelyard.wire import problems
from modelyard.wire.formats import EXTENSIONS, find_format
from modelyard.wire.imports.drafts import SourceKind


@dataclass(frozen=True)
class FoundFile:
    """A file of a source. ``url`` is the link of exactly this content, ``download_url`` where its bytes are.

    ``size`` in bytes, ``sha256`` as hex and ``model_type`` are None where the source does not say them.
    """

    url: str
    name: str
    download_url: str
    size: int | None = None
    sha256: str | None = None
    model_type: str | None = None


@dataclass(frozen=True)
class FoundModel:
    """What a source says about a model; ``file`` is the one that a draft is about, one of ``files``.

    ``is_complete`` says whether ``files`` are all of the repository, folder or version.
    ``preview_url`` is the address of a picture, of any host: it is not checked yet.
    """

    kind: SourceKind
    page_url: str
    name: str
    file: FoundFile
    files: list[FoundFile]
    display_name: str
    model_type: str
    revision: str | None = None
    base_model: str | None = None
    trigger_words: list[str] = field(default_factory=list)
    license: str | None = None
    preview_url: str | None = None
    is_complete: bool = True


def choose_found_file(files: list[FoundFile], name: str) -> FoundFile:
    """Return the file that a draft is about; raises ``LinkRefused`` if none is a model file."""
    index = choose_file([file.name for file in files], [file.size for file in files])
    if index is None:
        raise problems.LinkRefused(f"{name} has no model file at this link ({', '.join(EXTENSIONS)}).")
    return files[index]


def list_model_files(files: list[FoundFile]) -> list[FoundFile]:
    """Return the files whose names end like those of models."""
    return [file for file in files if find_format(file.name) is not None]
