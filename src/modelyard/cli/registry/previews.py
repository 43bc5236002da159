"""The group ``preview``: set, remove and download the picture of a model's version."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.terminal.completion import complete_model
from modelyard.cli.terminal.formatting import format_model_path
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.models import Model
    from modelyard.wire.versions import Preview, PreviewFormat

ModelVersionName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL[@N]",
        help="An id, path or name; with @N that version, else the current one.",
        autocompletion=complete_model,
    ),
]

preview = typer.Typer(no_args_is_help=True, help=CLIENT_COMMANDS["preview"].help)


def add_to(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    app.add_typer(preview, name="preview")


@preview.command("set")
def set_picture(
    context: typer.Context,
    model: ModelVersionName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A JPEG, PNG, WebP, GIF or AVIF file of up to 10 MiB.")],
) -> None:
    """Make a picture the preview of a version.

    Examples: modelyard preview set ink ink.png; modelyard preview set ink@3 ink.jpg
    """
    from modelyard.client.resolve_models import find_model_version
    from modelyard.client.transfers.sidecars import read_sidecar_picture

    content = read_sidecar_picture(file)

    async def run(registry: RegistryApi) -> tuple[Model, Preview]:
        """Send the picture; return the model as it was before, and the new preview."""
        found = await find_model_version(registry, model)
        return found, await registry.set_preview(found.id, found.version, content)

    terminal = terminal_of(context)
    found, shown = terminal.call_registry(run)
    terminal.output.answer(
        document={"model_id": found.id, "version": found.version} | shown.model_dump(),
        lines=[f"Set the preview of version {found.version} of {format_model_path(found.model_path)}"],
        quiet=[shown.preview_url or ""],
    )


@preview.command("rm")
def remove_picture(context: typer.Context, model: ModelVersionName) -> None:
    """Remove the preview of a version; the one in its file does not come back.

    Example: modelyard preview rm ink
    """
    from modelyard.client.resolve_models import find_model_version

    async def run(registry: RegistryApi) -> Model:
        """Remove the preview, and return the model as it was before."""
        found = await find_model_version(registry, model)
        await registry.remove_preview(found.id, found.version)
        return found

    terminal = terminal_of(context)
    found = terminal.call_registry(run)
    terminal.output.answer(
        document={"is_success": True, "model_id": found.id, "version": found.version},
        lines=[f"Removed the preview of version {found.version} of {format_model_path(found.model_path)}"],
        quiet=[str(found.version)],
    )


@preview.command("get")
def download_picture(
    context: typer.Context,
    model: ModelVersionName,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to; .webp or .png. By default NAME.preview.png.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file that is there.")] = False,
) -> None:
    """Download the preview of a model or version, at most 512 pixels wide.

    Examples: modelyard preview get ink; modelyard preview get ink@3 old.webp
    """
    from modelyard.client.resolve_models import find_model_version
    from modelyard.wire.problems import PreviewNotFound

    async def run(registry: RegistryApi) -> tuple[Model, Path, bytes]:
        """Return the model, the file to write, and the picture."""
        found = await find_model_version(registry, model)
        if found.preview_url is None:
            raise PreviewNotFound(f"'{format_model_path(found.model_path)}' has no preview.")
        target = file or Path(f"{PurePosixPath(found.model_path).stem}.preview.png")
        if target.suffix.lower() not in (".png", ".webp"):
            raise typer.BadParameter("The file has to end with .png or .webp.")
        image_format: PreviewFormat = "webp" if target.suffix.lower() == ".webp" else "png"
        sha256 = PurePosixPath(found.preview_url).name
        return found, target, await registry.get_picture(sha256, image_format=image_format)

    terminal = terminal_of(context)
    found, target, content = terminal.call_registry(run)
    with target.open("wb" if replace else "xb") as output:
        output.write(content)
    terminal.output.answer(
        document={"model_id": found.id, "version": found.version, "file": str(target)},
        lines=[str(target)],
        quiet=[str(target)],
    )
