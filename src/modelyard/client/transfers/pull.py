"""Download a model of the registry to a file."""

import asyncio
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from modelyard.client.api.registry import Registry
from modelyard.transfer.download.download import DownloadTarget, download_file
from modelyard.transfer.options import DEFAULT_OPTIONS, TransferOptions
from modelyard.transfer.progress import OnProgress
from modelyard.wire import problems
from modelyard.wire.models import Model
from modelyard.wire.paths import parse_model_path


@dataclass(frozen=True)
class Destination:
    """Where pulled files are placed: directly in ``folder``, or with ``tree`` at their model path below it.

    ``replace`` allows replacing a different file of the same name.
    """

    folder: Path
    tree: bool = False
    replace: bool = False

    def get_file(self, model: Model) -> Path:
        """Return the path at which a model's file is placed.

        Raises:
            ModelPathInvalid: the registry's path for it is unsafe here. The client checks it and trusts no registry.
        """
        relative = PurePosixPath(parse_model_path(model.model_type, model.model_path).relative)
        return self.folder / relative if self.tree else self.folder / relative.name


@dataclass(frozen=True)
class Pulled:
    """A model whose file is in place, and whether it was downloaded or there already."""

    model: Model
    file: Path
    outcome: Literal["pulled", "already here"]


async def pull(
    registry: Registry,
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
    if model.verification == "pending":
        raise problems.ModelNotVerified(
            "The registry has not verified this model yet.", verification=model.verification
        )
    is_downloaded = False

    async def get_url() -> str:
        """Request a download URL, and record that the file is downloaded."""
        nonlocal is_downloaded
        is_downloaded = True
        ticket = await registry.download_ticket(model.id, model.version)
        return ticket.download_url

    await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
    desired = DownloadTarget(
        size=model.file_size, sha256=model.file_hash.removeprefix("sha256:"), target=target, replace=destination.replace
    )
    await download_file(get_url, desired, report, options=network)
    return Pulled(model, target, "pulled" if is_downloaded else "already here")
