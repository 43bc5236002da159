"""Expand the arguments of a push (files, folders, patterns) to push requests and rejected files."""

import glob
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import NamedTuple
from uuid import UUID

from pydantic import ConfigDict, Field

from modelyard.comfyui.folder_links import FolderLinks
from modelyard.comfyui.model_files.several_files import PIPELINE_INDEX
from modelyard.comfyui.model_locations import (
    ModelLocation,
    check_location,
    find_folder_location,
    find_location,
    is_folder,
    is_one_model_folder,
    list_model_files,
)
from modelyard.wire.model_folders import DIFFUSERS_FOLDER, LANGUAGE_MODEL_FOLDER
from modelyard.wire.models import Labels, Model, ModelNotes, Tags
from modelyard.wire.paths import ModelPathInvalid, parse_model_path


class NothingToPush(ValueError):
    """The arguments name no file, or a file that cannot be a model."""


class FolderIsOneModel(ValueError):
    """A folder whose files, or some of them, are one model would be pushed as a model for each.

    ``model_type`` is that of the folder; None if it becomes the version of a model, which has a type.
    """

    def __init__(self, folder: Path, model_type: str | None) -> None:
        super().__init__(
            f'"{folder}" is one model of several files, so they are not pushed as models of their own.'
            if is_one_model_folder(folder)
            else f'"{folder}" has parts of a model, which are not pushed as models of their own, and other model files.'
            " If these are not of that model, move the parts, their index and what belongs to them to another folder."
        )
        self.folder, self.model_type = folder, model_type


class DuplicateModelPath(ValueError):
    """Two files of one push have the same model path."""


class Notes(ModelNotes):
    """The details of pushed models: description, tags, licence, source, labels. Unset fields are not sent."""

    # A misspelt field would otherwise be dropped silently.
    model_config = ConfigDict(extra="forbid")

    tags: Tags = Field(default_factory=list)
    required_labels: Labels = Field(default_factory=list)


@dataclass(frozen=True)
class ModelOverrides:
    """Options of a push that take precedence over what is derived from a file's path and content."""

    model_type: str | None = None
    model_path: str | None = None  # of one file, or with a trailing slash the folder of all files
    display_name: str | None = None
    notes: Notes = field(default_factory=Notes)
    replace: bool = False
    clean_names: bool = False
    note: str | None = None  # what is new in the version


@dataclass(frozen=True)
class PushRequest:
    """A file to push, and the model that it will be.

    Without a ``display_name``, a new model gets the file's, and an existing one keeps its own. With ``replace``, the
    file may become the next version of the model at that path.

    ``links`` are those of the folder argument that has the file; None for a file that is an argument itself.
    """

    file: Path
    model_type: str
    model_path: str
    display_name: str | None
    notes: Notes
    replace: bool
    note: str | None = None
    replaces: UUID | None = None  # the model that was chosen for it, wherever its path is by then
    links: FolderLinks | None = field(default=None, compare=False, repr=False)

    @property
    def path_key(self) -> str:
        """The key that all spellings of the model path share; two requests with one key are the same model."""
        return parse_model_path(self.model_type, self.model_path).key


class _FoundFile(NamedTuple):
    """A file of the arguments, its path relative to a folder argument or else its name, and the links of that folder.

    ``links`` is None for a file that is an argument itself: that may be a link to anywhere.
    """

    file: Path
    relative: PurePath
    links: FolderLinks | None = None


@dataclass(frozen=True)
class RejectedFile:
    """A file that cannot be pushed, and the error that says why."""

    file: Path
    error: Exception


def select_files(arguments: Sequence[str], overrides: ModelOverrides) -> list[PushRequest | RejectedFile]:
    """Expand the arguments of a push to push requests and rejected files, in their order; uses no network.

    A file that several arguments name counts once, where it is named first.

    With a name or path for one file, these are only the folders that are one model, if there are any.

    Blocking: finds the files, and reads the content of those whose path does not tell their type.

    Raises:
        NothingToPush: the arguments name no file, or one name or path is given for several files.
    """
    files = _expand_arguments(arguments)
    if not files:
        raise NothingToPush("These files and folders contain no model file.")
    is_for_one_file = overrides.display_name is not None or not (
        overrides.model_path is None or overrides.model_path.endswith("/")
    )
    if is_for_one_file and (folders := [each for each in files if is_folder(each.file)]):
        files = folders
    elif len(files) > 1 and is_for_one_file:
        raise NothingToPush(
            f"--name and --path are for one file, but there are {len(files)} files. A --path that ends with a slash"
            " is a folder for all of them."
        )
    used_paths: dict[str, Path] = {}
    return [_build_request(found, overrides, used_paths) for found in files]


def select_version_file(arguments: Sequence[str]) -> Path:
    """Return the only file of the arguments of a push to a given model. Blocking.

    Raises:
        NothingToPush: the arguments name no file or several, or the file is empty, not a regular one, or a link that
            leaves the folder.
        FolderIsOneModel: they name a folder that is one model, or contain one.
        OSError: it cannot be read.
    """
    files = _expand_arguments(arguments)
    for found in files:
        if is_folder(found.file):
            _check_file(found)
            raise FolderIsOneModel(found.file, None)
    if len(files) != 1:
        raise NothingToPush(f"--to is for one file, but there are {len(files)} files.")
    _check_file(files[0])
    return files[0].file


def select_folder(arguments: Sequence[str]) -> Path:
    """Return the only folder of the arguments of a push as one model. Blocking.

    Raises:
        NothingToPush: the arguments are not exactly one folder.
    """
    folders = [Path(argument).expanduser() for argument in arguments]
    if len(folders) != 1 or not folders[0].is_dir():
        raise NothingToPush("Name exactly one folder: it becomes one model.")
    # "." and ".." have no name.
    return folders[0].absolute() if folders[0].name else folders[0].resolve()


def build_model_request(folder: Path, overrides: ModelOverrides) -> PushRequest:
    """Build the push request of a folder as one model.

    Its type is the given one, or that of the folders above it; a pipeline of Diffusers is of the type ``diffusers``.

    Raises:
        TypeUnknown: none of these determines the type.
        NameInvalid, ModelPathInvalid: the path is invalid, and ``overrides.clean_names`` is false or does not mend it.
    """
    kind = overrides.model_type
    if overrides.model_path is None:
        location = find_folder_location(folder, kind, DIFFUSERS_FOLDER if _is_pipeline(folder) else None)
    else:
        location = _choose_location(folder, PurePath(folder.name), overrides)
    location = check_location(location, clean=overrides.clean_names)
    return PushRequest(
        folder,
        location.model_type,
        location.model_path,
        overrides.display_name,
        overrides.notes,
        overrides.replace,
        overrides.note,
    )


def build_version_request(file: Path, model: Model, overrides: ModelOverrides) -> PushRequest:
    """Build the push request of a file as the next version of a model; its type and path stay."""
    return PushRequest(
        file,
        model.model_type,
        model.model_path,
        overrides.display_name,
        overrides.notes,
        True,
        overrides.note,
        model.id,
    )


def _expand_arguments(arguments: Sequence[str]) -> list[_FoundFile]:
    """Return the files of all arguments, each once, as ``_expand_argument`` yields them.

    Two links to one file in different folders are two files, as they may be two models.
    """
    files: dict[tuple[str, str], _FoundFile] = {}
    for argument in arguments:
        for found in _expand_argument(argument):
            file = found.file
            files.setdefault((os.path.realpath(file.parent), os.path.normcase(file.name)), found)
    return list(files.values())


def _expand_argument(argument: str) -> Iterator[_FoundFile]:
    """Yield the files of an argument.

    Of a folder, only files with a model extension, and links that are not followed. A path that does not exist is
    expanded as a pattern; without a match it is yielded as it is.
    """
    path = Path(argument).expanduser()
    if is_folder(path):
        links = FolderLinks(path)
        yield from (_FoundFile(file, file.relative_to(path), links) for file in list_model_files(path))
    elif not os.path.lexists(path) and (matches := _expand_pattern(str(path))):
        for match in matches:
            yield from _expand_argument(match)
    else:
        yield _FoundFile(path, PurePath(path.name))


def _expand_pattern(pattern: str) -> list[str]:
    """Return the paths that match a pattern, sorted; for shells that do not expand patterns themselves."""
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - the pattern may be absolute, which Path.glob refuses


def _build_request(
    found: _FoundFile, overrides: ModelOverrides, used_paths: dict[str, Path]
) -> PushRequest | RejectedFile:
    """Build the push request of a file and add its path key to ``used_paths``; reject it if the key is there."""
    file, relative, _ = found
    try:
        _check_file(found)
        if is_folder(file):
            raise FolderIsOneModel(file, _find_folder_type(file, overrides))
        location = check_location(_choose_location(file, relative, overrides), clean=overrides.clean_names)
        request = PushRequest(
            file,
            location.model_type,
            location.model_path,
            overrides.display_name,
            overrides.notes,
            overrides.replace,
            overrides.note,
            links=found.links,
        )
        first = used_paths.setdefault(request.path_key, file)
        if first is not file:
            raise DuplicateModelPath(f'"{file}" and "{first}" would both be "{location.model_path}".')
    except (ValueError, OSError) as error:
        return RejectedFile(file, error)
    return request


def _check_file(found: _FoundFile) -> None:
    """Check that a path is a regular file that is not empty, or a folder that can be read, and no link out of a folder.

    Raises:
        NothingToPush: it is neither.
        OSError: it cannot be read.
    """
    file, _, links = found
    if file.is_symlink() and not file.exists():
        raise NothingToPush(f'"{file}" is a link to a file that is not there.')
    if not file.exists():
        raise NothingToPush(f'There is no file "{file}".')
    if links is not None and (problem := links.find_problem(file)) is not None:
        raise NothingToPush(
            f'"{file}" {problem}. To push what is there, name the link: modelyard push {shlex.quote(str(file))}'
        )
    if file.is_dir():
        next(file.iterdir(), None)  # raises why its files could not be listed
        return
    if not file.is_file():
        raise NothingToPush(f'"{file}" is not a regular file.')
    if file.stat().st_size == 0:
        raise NothingToPush(f'"{file}" is empty.')


def _is_pipeline(folder: Path) -> bool:
    """Return whether a folder is a pipeline of Diffusers."""
    return (folder / PIPELINE_INDEX).is_file()


def _find_folder_type(folder: Path, overrides: ModelOverrides) -> str:
    """Return the type of a folder that is one model: the given one, that of the folders above, or the usual one.

    Raises:
        ModelPathInvalid: the path of the overrides has no type folder.
    """
    if overrides.model_path is not None:
        return _choose_location(folder, PurePath(folder.name), overrides).model_type
    if _is_pipeline(folder):
        return DIFFUSERS_FOLDER
    is_of_diffusers = next(folder.glob("diffusion_pytorch_model*"), None) is not None
    default = DIFFUSERS_FOLDER if is_of_diffusers else LANGUAGE_MODEL_FOLDER
    return find_folder_location(folder, overrides.model_type, default).model_type


def _choose_location(file: Path, relative: PurePath, overrides: ModelOverrides) -> ModelLocation:
    """Return the type and path of a file's model: from the overrides, or else derived from the file.

    Raises:
        ModelPathInvalid: the path of the overrides has no type folder.
    """
    if overrides.model_path is None:
        return find_location(file, relative, overrides.model_type)
    path = overrides.model_path + relative.as_posix() if overrides.model_path.endswith("/") else overrides.model_path
    if path.startswith("/"):
        raise ModelPathInvalid("model_path", "A path begins with its type folder, not with `/`: models/<type>/<file>.")
    first = path.removeprefix("models/").split("/")[0]
    if "/" not in path.removeprefix("models/"):
        raise ModelPathInvalid("model_path", "A path includes the type folder: models/<type>/<file>.")
    return ModelLocation(overrides.model_type or first, path)
