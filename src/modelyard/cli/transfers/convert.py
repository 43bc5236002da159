"""``convert``: convert a pickle file to safetensors, in the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from modelyard.cli.registry.models import ModelName
from modelyard.cli.terminal.formatting import format_model_path
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.imports import EndedImport
    from modelyard.client.pickles.conversions import EndedConversion
    from modelyard.wire.models import Model
    from modelyard.wire.pickles.conversions import Conversion

_FAILED = 1


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(convert)


def convert(context: typer.Context, model: ModelName) -> None:
    """Convert a pickle file to a new model with the same tensors in safetensors, at the same path.

    The registry does it, without running code of the file, and continues if this program ends. Files that need their
    code, such as whole modules and TorchScript, are refused with the reason. The model itself stays.

    Example: modelyard convert upscale_models/4x-UltraSharp.pth
    """
    from modelyard.cli.terminal.progress import show_progress
    from modelyard.cli.transfers.imports import build_reporter
    from modelyard.client.pickles.conversions import convert_model

    terminal = terminal_of(context)

    async def run(registry: RegistryApi) -> EndedConversion:
        """Convert the model, with progress."""
        with show_progress(terminal.output) as view:
            return await convert_model(registry, model, build_reporter(view))

    ended = terminal.call_registry(run, retry_until_give_up=True)
    converted, error = read_result(ended.result)
    left_out = ended.started.model_dump(include={"left_out_list", "left_out_count"})
    terminal.output.answer(
        document={"model": converted, "error": error} | left_out,
        lines=describe_result(converted, error, ended.started),
        quiet=[] if converted is None or (error and converted.verification == "failed") else [str(converted.id)],
    )
    if error:
        raise typer.Exit(_FAILED)


def read_result(ended: Model | EndedImport) -> tuple[Model | None, str | None]:
    """Return the converted model, and why there is none that is verified; one that was there before may be damaged."""
    from modelyard.client.imports import EndedImport

    if isinstance(ended, EndedImport):
        return ended.model, ended.error
    return ended, ended.verification_error if ended.verification == "pending" else None


def describe_result(converted: Model | None, error: str | None, started: Conversion) -> list[str]:
    """Return the lines about the converted model: it is verified, waits to be verified, or there is none."""
    if converted is None or (error and converted.verification == "failed"):
        return [f"Not converted. {error}"]
    done = f"Converted to {format_model_path(converted.model_path)}, {converted.id}"
    return [f"{done}, but not verified yet. {error}" if error else done, *_describe_left_out(started)]


def _describe_left_out(started: Conversion) -> list[str]:
    """Return a line with the entries that the converted file does not have; none if there are none."""
    names = started.left_out_list or []
    more = (started.left_out_count or 0) - len(names)
    if not names:
        return []
    return [f"Not in the converted file: {', '.join(names)}{f' and {more} more' if more > 0 else ''}"]
