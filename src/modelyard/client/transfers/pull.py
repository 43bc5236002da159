"""Download models of the registry to files."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from modelyard.client.api.download_urls import DownloadUrls, ExpectedDownload
from modelyard.client.api.registry import RegistryApi
from modelyard.client.transfers.folders.pull import SMALL_BYTES, FolderTarget, download_folder
from modelyard.transfer.download.download import DownloadTarget, download_file
from modelyard.transfer.errors import TransferFailed, is_without_response
from modelyard.transfer.options import DEFAULT_OPTIONS, IdleConnections, TransferOptions
from modelyard.transfer.progress import OnProgress
from modelyard.transfer.thread_pool import run_concurrently
from modelyard.wire import problems
from modelyard.wire.formats import find_format
from modelyard.wire.models import Model
from modelyard.wire.paths import parse_model_path

DEFAULT_PULL_JOBS = 4


class FormatDiffers(ValueError):
    """The extension of the file to write stands for another format than the model's. ``suggestion``: a right name."""

    def __init__(self, model: Model, file: Path, format_name: str) -> None:
        extension = PurePosixPath(model.model_path).suffix
        super().__init__(
            f"The content of '{model.model_path}' is {format_name}, but the extension '{file.suffix}' stands for"
            f" {find_format(file.name)}: programs choose how to load a file by its extension."
        )
        self.suggestion = str(file.with_suffix(extension))


@dataclass(frozen=True)
class Destination:
    """Where pulled files are placed: directly in ``folder``, or with ``tree`` at their model path below it.

    ``replace`` allows replacing a different file of the same name. ``file_name``: that of the only file in ``folder``,
    instead of the model's.
    """

    folder: Path
    tree: bool = False
    replace: bool = False
    file_name: str | None = None

    def get_file(self, model: Model) -> Path:
        """Return the path at which a model's file is placed.

        Raises:
            FormatDiffers: ``file_name`` is not of the model's format.
            ModelPathInvalid: the registry's path for it is unsafe here. The client checks it and trusts no registry.
        """
        relative = PurePosixPath(parse_model_path(model.model_type, model.model_path).relative)
        file, format_name = self.folder / (self.file_name or relative.name), find_format(relative.name)
        if self.file_name is not None and format_name is not None and find_format(self.file_name) != format_name:
            raise FormatDiffers(model, file, format_name)
        return self.folder / relative if self.tree else file


@dataclass(frozen=True)
class Pulled:
    """A model whose file or folder is in place, and whether it was downloaded or there already.

    ``kept``: where the folder is that was replaced by it and is not a version of the model.
    """

    model: Model
    file: Path
    outcome: Literal["pulled", "already here"]
    kept: Path | None = None


@dataclass(frozen=True)
class PullFailed:
    """A model that could not be pulled, and the error that says why."""

    model: Model
    error: Exception


PullResult = Pulled | PullFailed


@dataclass(frozen=True)
class PullOptions:
    """How files are pulled. ``jobs``: how many files of up to 32 MiB are downloaded at once."""

    network: TransferOptions = DEFAULT_OPTIONS
    jobs: int = DEFAULT_PULL_JOBS


_DEFAULT_PULL = PullOptions()


async def pull_all(
    registry: RegistryApi,
    models: Sequence[Model],
    destination: Destination,
    report: OnProgress,
    on_result: Callable[[PullResult], None],
    options: PullOptions = _DEFAULT_PULL,
) -> list[PullResult]:
    """Download models, and return the results in their order; ``on_result`` gets each as it is done.

    The requests for their URLs are made together, and small files share connections. A model's own failure becomes a
    ``PullFailed``.

    Raises:
        Unauthenticated, SessionEnded, Unreachable: no other model can be pulled either; the downloads are cancelled.
    """
    urls, large_file = DownloadUrls(registry), asyncio.Lock()
    urls.expect(ExpectedDownload(model.id, model.version, model.file_size) for model in models if not model.is_folder)
    waiting, results = deque(enumerate(models)), dict[int, PullResult]()

    with closing(IdleConnections()) as idle_connections:
        network = replace(options.network, idle_connections=idle_connections)

        async def work() -> None:
            """Download the models that wait, one after the other."""
            while waiting:
                index, model = waiting.popleft()
                async with large_file if model.content_size > SMALL_BYTES else nullcontext():
                    results[index] = await _catch(
                        model,
                        pull_folder(registry, model, destination, report, replace(options, network=network))
                        if model.is_folder
                        else pull(urls, model, destination, report, network),
                    )
                on_result(results[index])

        await run_concurrently(*(work() for _ in range(min(options.jobs, len(models)))))
    return [results[index] for index in range(len(models))]


async def _catch(model: Model, work: Awaitable[Pulled]) -> PullResult:
    """Await the download of one model; a failure becomes a result, but those that concern all models are raised."""
    try:
        return await work
    except (problems.Unauthenticated, problems.SessionEnded):
        raise
    except (problems.Problem, TransferFailed, ValueError, OSError) as failure:
        if is_without_response(failure):
            raise
        return PullFailed(model, failure)


async def pull(
    urls: DownloadUrls,
    model: Model,
    destination: Destination,
    report: OnProgress,
    network: TransferOptions = DEFAULT_OPTIONS,
) -> Pulled:
    """Download the version that a model's record shows, and check its hash.

    A file with this hash is kept and not downloaded again. A download that was interrupted earlier continues. Missing
    folders are created. ``report`` gets the progress.

    Raises:
        ModelNotVerified: the registry has not verified the content yet, or verification failed.
        ModelDamaged: the registry's copy is missing or corrupt.
        ModelPathInvalid: see ``Destination.get_file``.
        TargetExists: a file with other content has that name, and ``destination.replace`` is false.
        TransferFailed: see ``transfer.download.download_file``.
    """
    target = destination.get_file(model)
    _check_is_verified(model)
    is_downloaded = False

    async def get_url() -> str:
        """Request a download URL, and record that the file is downloaded."""
        nonlocal is_downloaded
        is_downloaded = True
        return await urls.get(model.id, model.version)

    await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
    desired = DownloadTarget(
        size=model.file_size, sha256=model.file_hash.removeprefix("sha256:"), target=target, replace=destination.replace
    )
    await download_file(get_url, desired, report, options=network)
    return Pulled(model, target, "pulled" if is_downloaded else "already here")


async def pull_folder(
    registry: RegistryApi,
    model: Model,
    destination: Destination,
    report: OnProgress,
    options: PullOptions = _DEFAULT_PULL,
) -> Pulled:
    """Download the version of a folder model that its record shows, and check the hash of each file.

    A folder that has all files is kept. A download that was interrupted earlier continues. Missing folders are created.
    A folder that is replaced is deleted if it is a version of the model; any other is renamed, see ``Pulled.kept``.

    Raises:
        ModelNotVerified, ModelDamaged, ModelPathInvalid, TransferFailed: see ``pull``.
        TargetExists, OtherFilesInFolder: a folder with other content has that name, and ``destination.replace`` is
            false or it has files that no model has.
        BadResponse, FolderInvalid: see ``download_folder``.
    """
    target = destination.get_file(model)
    _check_is_verified(model)
    await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
    desired = FolderTarget(target, destination.replace, options.network, options.jobs)
    placed = await download_folder(registry, model, desired, report)
    return Pulled(model, target, "pulled" if placed.is_downloaded else "already here", placed.kept)


def _check_is_verified(model: Model) -> None:
    """Check that the registry has verified the content.

    Raises:
        ModelNotVerified: it has not yet.
    """
    if model.verification == "pending":
        raise problems.ModelNotVerified(
            model.verification_error or "The registry has not verified this model yet.", verification="pending"
        )
