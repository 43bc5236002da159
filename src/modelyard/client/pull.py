"""A model becomes a file."""

import asyncio
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from modelyard.client.registry import Registry
from modelyard.transfer.download import Wanted, fetch
from modelyard.transfer.network import USUAL, Network
from modelyard.transfer.progress import Report
from modelyard.wire import problems
from modelyard.wire.models import Model
from modelyard.wire.paths import checked_path


@dataclass(frozen=True)
class Destination:
    """Where pulled files go: directly into ``folder``, or with ``tree`` to their model path below it."""

    folder: Path
    tree: bool = False
    replace: bool = False

    def file_of(self, model: Model) -> Path:
        """The file that the model becomes.

        Raises:
            PathRefused: the registry names a path that is unsafe here; no registry is trusted with that.
        """
        relative = PurePosixPath(checked_path(model.model_type, model.model_path).relative)
        return self.folder / relative if self.tree else self.folder / relative.name


@dataclass(frozen=True)
class Pulled:
    """What became of one model."""

    model: Model
    file: Path
    outcome: Literal["pulled", "already here"]


async def pull(
    registry: Registry, model: Model, destination: Destination, report: Report, network: Network = USUAL
) -> Pulled:
    """Make the file hold the model's bytes, proven by their hash; an earlier run's bytes are used.

    Raises:
        ModelNotVerified, ModelDamaged: the registry does not vouch for these bytes.
        PathRefused: see ``Destination.file_of``.
        TargetTaken: another file has that name, and ``destination.replace`` is false.
        TransferFailed: see ``transfer.download.fetch``.
    """
    target = destination.file_of(model)
    if model.verification == "pending":
        raise problems.ModelNotVerified("The registry has not read these bytes yet.", verification=model.verification)
    was_asked = False

    async def source() -> str:
        nonlocal was_asked
        was_asked = True
        ticket = await registry.download_ticket(model.id)
        return ticket.download_url

    await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
    wanted = Wanted(
        size=model.file_size, sha256=model.file_hash.removeprefix("sha256:"), target=target, replace=destination.replace
    )
    await fetch(source, wanted, report, network=network)
    return Pulled(model, target, "pulled" if was_asked else "already here")
