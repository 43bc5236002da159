"""Which files a push means, and as which models: paths, folders and patterns become requests or refusals."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from pydantic import ConfigDict, Field

from modelyard.client.library import Place, fit_place, model_files, place_of
from modelyard.wire.models import Labels, ModelNotes, Tags
from modelyard.wire.paths import PathRefused, checked_path


class NothingToPush(ValueError):
    """The arguments name no file, or one that cannot be pushed."""


class SamePlaceTwice(ValueError):
    """Two files of one push would become the same model."""


class Notes(ModelNotes):
    """What a push says about its models; nothing of it is said unless it is set."""

    # A misspelt field would otherwise be dropped without a word.
    model_config = ConfigDict(extra="forbid")

    tags: Tags = Field(default_factory=list)
    required_labels: Labels = Field(default_factory=list)


@dataclass(frozen=True)
class Wishes:
    """What the options say about the files; None leaves it to the files themselves."""

    model_type: str | None = None
    model_path: str | None = None  # of one file; with a slash at its end, a folder for all
    display_name: str | None = None
    notes: Notes = field(default_factory=Notes)
    replace: bool = False
    clean_names: bool = False


@dataclass(frozen=True)
class PushRequest:
    """One file that shall be a model."""

    file: Path
    model_type: str
    model_path: str
    display_name: str
    notes: Notes
    replace: bool

    @property
    def path_key(self) -> str:
        """Equal for two requests that would be one model."""
        return checked_path(self.model_type, self.model_path).key


@dataclass(frozen=True)
class Unfit:
    """A file that cannot be pushed as things stand, and why."""

    file: Path
    why: Exception


def select_files(arguments: Sequence[str], wishes: Wishes) -> list[PushRequest | Unfit]:
    """What the arguments of a push mean, in their order; reads folders and first bytes, asks nobody.

    Raises:
        NothingToPush: no file at all is meant, or one name is wished for several files.
    """
    named = [found for argument in arguments for found in _files(argument)]
    if not named:
        raise NothingToPush("There is no model file in what you named.")
    one_only = wishes.display_name is not None or not (wishes.model_path is None or wishes.model_path.endswith("/"))
    if len(named) > 1 and one_only:
        raise NothingToPush(
            f"--name and --path are for one file, and you named {len(named)}. A --path ending in a slash is a folder."
        )
    taken: dict[str, Path] = {}
    return [_request(file, below, wishes, taken) for file, below in named]


def _files(argument: str) -> Iterator[tuple[Path, PurePath]]:
    """Files with the part of their path that a folder argument does not name."""
    path = Path(argument).expanduser()
    if path.is_dir():
        yield from ((file, file.relative_to(path)) for file in model_files(path))
    elif not path.exists() and (found := _matching(str(path))):
        for name in found:
            yield from _files(name)
    else:
        yield path, PurePath(path.name)


def _matching(pattern: str) -> list[str]:
    """What a pattern matches, for shells that leave patterns to us."""
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - the pattern may be absolute, which Path.glob refuses


def _request(file: Path, below: PurePath, wishes: Wishes, taken: dict[str, Path]) -> PushRequest | Unfit:
    try:
        _check_file(file)
        place = fit_place(_wished_place(file, below, wishes), clean=wishes.clean_names)
        request = PushRequest(
            file, place.model_type, place.model_path, wishes.display_name or file.stem, wishes.notes, wishes.replace
        )
        first = taken.setdefault(request.path_key, file)
        if first is not file:
            raise SamePlaceTwice(f'"{file}" and "{first}" would both be "{place.model_path}".')
    except (ValueError, OSError) as why:
        return Unfit(file, why)
    return request


def _check_file(file: Path) -> None:
    if not file.exists():
        raise NothingToPush(f'There is no file "{file}".')
    if not file.is_file():
        raise NothingToPush(f'"{file}" is no file.')
    if file.stat().st_size == 0:
        raise NothingToPush(f'"{file}" is empty.')


def _wished_place(file: Path, below: PurePath, wishes: Wishes) -> Place:
    if wishes.model_path is None:
        return place_of(file, below, wishes.model_type)
    path = wishes.model_path + below.as_posix() if wishes.model_path.endswith("/") else wishes.model_path
    first = path.removeprefix("models/").split("/")[0]
    if "/" not in path.removeprefix("models/"):
        raise PathRefused("model_path", "A path names the type folder too: models/<type>/<file>.")
    return Place(wishes.model_type or first, path)
