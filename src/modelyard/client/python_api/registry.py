"""``Registry``, a registry for scripts and notebooks, and the functions ``push`` and ``pull``."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from modelyard.client.api.registry import RegistryApi
from modelyard.client.python_api.async_registry import AsyncRegistry
from modelyard.client.python_api.event_loop_thread import EventLoopThread
from modelyard.client.transfers.collect import Notes
from modelyard.wire.agents.machines import Agent
from modelyard.wire.model_filter import Sort
from modelyard.wire.models import Model, ModelUpdate

Result = TypeVar("Result")


class Registry:
    """A registry, as one user or key in one team. Every method blocks, also in a notebook.

    ``url``, ``token`` and ``team`` (an id or a name) come by default from the environment or the sign-in that
    ``modelyard login`` has saved. ``progress`` shows bars of transfers with tqdm: by default in notebooks and terminals
    where it is installed. It connects at the first call; ``close`` it, or use ``with``.

    Models are named as on the command line: by an id or its start, a path, or a name that only one model has. Every
    method raises a ``Problem`` if the registry refuses, and ``TransferFailed`` if it cannot be reached.

    Example:
        >>> registry = Registry()
        >>> model = registry.push("ink.safetensors", model_type="loras", notes=Notes(tags=["portrait"]))
        >>> for each in registry.models("portrait type:loras"):
        ...     print(each.model_path, each.tags)
        models/loras/ink.safetensors ['portrait']
        >>> print(registry.pull("ink", "ComfyUI/models", tree=True).as_posix())
        ComfyUI/models/loras/ink.safetensors
        >>> registry.close()
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, team: str | None = None, *, progress: bool | None = None
    ) -> None:
        self._registry = AsyncRegistry(url, token, team, progress=progress)
        self._loop: EventLoopThread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        try:
            loop.run(self._registry.__aexit__(None, None, None))
        finally:
            loop.close()

    def call(self, work: Callable[[RegistryApi], Awaitable[Result]]) -> Result:
        """Call any route: run ``work`` with the client that has a method for each, and return its result.

        Example:
            >>> with Registry() as registry:
            ...     print(registry.call(lambda api: api.current_team()).display_name)
            Studio
        """
        return self._run(lambda registry: work(registry.api))

    def models(self, query: str = "", *, sort: Sort | None = None, deleted: bool = False) -> Iterator[Model]:
        """Yield the models that match a query such as ``ink type:loras``; pages are loaded when they are needed.

        The query is that of the page's search, whose best matches are first unless ``sort`` is given. ``deleted``
        yields those in the trash instead.

        Example:
            >>> with Registry() as registry:
            ...     print(sum(model.file_size for model in registry.models(sort="-file_size")) > 0)
            True
        """
        models = self._registry.models(query, sort=sort, deleted=deleted)
        while (model := self._run(lambda _: anext(models, None))) is not None:
            yield model

    def model(self, name: str) -> Model:
        """Return one model; ``NAME@3`` has the content of its version 3.

        Example:
            >>> with Registry() as registry:
            ...     print(registry.model("ink").display_name)
            ink
        """
        return self._run(lambda registry: registry.model(name))

    def push(
        self,
        path: str | Path,
        *,
        model_type: str | None = None,
        model_path: str | None = None,
        name: str | None = None,
        notes: Notes | None = None,
        wait: bool = True,
    ) -> Model:
        """Push one file and return its model, verified unless ``wait`` is false; content that is there is not sent.

        ``path`` is a file, or a folder or pattern with exactly one model file. Type, path and name are by default those
        of the file, its folder and its content.

        Raises:
            ModelPathTaken: other content is at the path; see ``push_version``.
            ValueError: the file or its path cannot be a model, or a folder or pattern has more than one model file.
        """
        return self._run(
            lambda registry: registry.push(
                path, model_type=model_type, model_path=model_path, name=name, notes=notes, wait=wait
            )
        )

    def push_folder(
        self,
        path: str | Path,
        *,
        model_type: str | None = None,
        model_path: str | None = None,
        name: str | None = None,
        notes: Notes | None = None,
        wait: bool = True,
    ) -> Model:
        """Push a folder as one model of many files and return it; files that the team has are not sent.

        Hidden and empty files are left out. Type, path and name are by default those of the folder; a pipeline of
        Diffusers is of the type ``diffusers``.

        Raises:
            ModelPathTaken: other content is at the path; see ``push_version``.
            FolderChanged: a file changed meanwhile; nothing is registered.
            ValueError: the folder, its path or a file in it cannot be of a model.
        """
        return self._run(
            lambda registry: registry.push_folder(
                path, model_type=model_type, model_path=model_path, name=name, notes=notes, wait=wait
            )
        )

    def push_version(
        self,
        path: str | Path,
        model: str,
        *,
        note: str | None = None,
        name: str | None = None,
        notes: Notes | None = None,
        wait: bool = True,
    ) -> Model:
        """Push one file as the next version of a model, and return the model; ``note`` says what is new in it.

        That of a folder model is a folder. ``name`` and ``notes`` change the model's, and are kept by default.

        Example:
            >>> with Registry() as registry:
            ...     print(registry.push_version("ink-2000.safetensors", "ink", note="2,000 steps").version)
            2
        """
        return self._run(
            lambda registry: registry.push_version(path, model, note=note, name=name, notes=notes, wait=wait)
        )

    def pull(self, model: str, folder: str | Path = ".", *, tree: bool = False, replace: bool = False) -> Path:
        """Download a model into a folder and return the file; one that is there already is not sent again.

        A model of many files becomes a folder, which is returned. ``NAME@3`` is its version 3. ``tree`` places it at
        its model path below the folder, ``replace`` allows replacing a different file or folder model.

        Raises:
            TargetExists: a different file or folder has that name.
        """
        return self._run(lambda registry: registry.pull(model, folder, tree=tree, replace=replace))

    def edit(self, model: str, change: ModelUpdate) -> Model:
        """Change the details of a model, and return it; fields that are not given stay, None clears one.

        Example:
            >>> with Registry() as registry:
            ...     print(registry.edit("ink", ModelUpdate(license="CC-BY-4.0")).license)
            CC-BY-4.0
        """
        return self._run(lambda registry: registry.edit(model, change))

    def set_preview(self, model: str, picture: str | Path) -> Model:
        """Make a picture the preview of a model, and return the model; ``NAME@3`` is its version 3.

        ``picture`` is a JPEG, PNG, WebP, GIF or AVIF file of up to 10 MiB.

        Example:
            >>> with Registry() as registry:
            ...     print(registry.set_preview("ink", "ink.png").preview_url is not None)
            True

        Raises:
            PictureRefused: the picture cannot be used.
            PictureUnusable, OSError: the file is empty or too large, or cannot be read.
        """
        return self._run(lambda registry: registry.set_preview(model, picture))

    def delete(self, model: str, *, force: bool = False) -> None:
        """Move a model to the trash; with ``force`` even if machines hold it by a pinned collection.

        Example:
            >>> with Registry() as registry:
            ...     registry.delete("ink")
            ...     print(registry.restore("ink").model_path)
            models/loras/ink.safetensors

        Raises:
            ModelPinned: without ``force``, if they do.
        """
        self._run(lambda registry: registry.delete(model, force=force))

    def restore(self, model: str) -> Model:
        """Restore a model from the trash, and return it."""
        return self._run(lambda registry: registry.restore(model))

    def machines(self) -> list[Agent]:
        """Return the team's machines by name."""
        return self._run(lambda registry: registry.machines())

    def assign(self, model: str, machine: str) -> None:
        """Assign a model to a machine, which then gets it whatever its labels are."""
        self._run(lambda registry: registry.assign(model, machine))

    def unassign(self, model: str, machine: str) -> None:
        """End the assignment of a model to a machine."""
        self._run(lambda registry: registry.unassign(model, machine))

    def _run(self, work: Callable[[AsyncRegistry], Awaitable[Result]]) -> Result:
        """Open the registry if it is not open, run ``work`` with it on its event loop, and return the result."""

        async def await_work() -> Result:
            return await work(self._registry)

        if self._loop is None:
            loop = EventLoopThread()
            try:
                loop.run(self._registry.__aenter__())
            except BaseException:
                loop.close()
                raise
            self._loop = loop
        return self._loop.run(await_work())


def push(
    path: str | Path,
    *,
    model_type: str | None = None,
    model_path: str | None = None,
    name: str | None = None,
    notes: Notes | None = None,
    wait: bool = True,
) -> Model:
    """Push one file into the registry that you are signed in to, and return its model; see ``Registry.push``."""
    with Registry() as registry:
        return registry.push(path, model_type=model_type, model_path=model_path, name=name, notes=notes, wait=wait)


def pull(model: str, folder: str | Path = ".", *, tree: bool = False, replace: bool = False) -> Path:
    """Download a model from the registry that you are signed in to, and return the file; see ``Registry.pull``."""
    with Registry() as registry:
        return registry.pull(model, folder, tree=tree, replace=replace)
