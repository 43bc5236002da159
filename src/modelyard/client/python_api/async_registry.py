"""``AsyncRegistry``: a registry for programs that run an event loop."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

from modelyard.client.api.agents import find_agent, list_all_agents
from modelyard.client.api.download_urls import DownloadUrls
from modelyard.client.api.models import list_all_models
from modelyard.client.api.registry import RegistryApi
from modelyard.client.profile import ProfileFile
from modelyard.client.python_api.progress_bars import open_progress
from modelyard.client.resolve_models import find_model, find_model_version
from modelyard.client.session import build_registry
from modelyard.client.settings import ClientSettings, read_settings
from modelyard.client.transfers.collect import (
    ModelOverrides,
    Notes,
    NothingToPush,
    PushRequest,
    RejectedFile,
    build_model_request,
    build_version_request,
    select_files,
    select_folder,
    select_version_file,
)
from modelyard.client.transfers.folders.contents import build_folder_request
from modelyard.client.transfers.folders.push import push_folder
from modelyard.client.transfers.pull import Destination, pull_folder
from modelyard.client.transfers.pull import pull as pull_model
from modelyard.client.transfers.push import Pusher, PushOptions
from modelyard.client.transfers.sidecars import read_sidecar_picture
from modelyard.wire.agents.machines import Agent
from modelyard.wire.model_filter import ModelFilter, Sort
from modelyard.wire.models import Model, ModelUpdate


class AsyncRegistry:
    """A registry, as one user or key in one team; an async context manager.

    ``url``, ``token`` and ``team`` (an id or a name) come by default from the environment or the sign-in that
    ``modelyard login`` has saved. ``progress`` shows bars of transfers with tqdm: by default in notebooks and terminals
    where it is installed.

    Models are named as on the command line: by an id or its start, a path, or a name that only one model has. Every
    method raises a ``Problem`` if the registry refuses, and ``TransferFailed`` if it cannot be reached.

    Example:
        >>> async def count_loras():
        ...     async with AsyncRegistry() as registry:
        ...         return len([model async for model in registry.models("type:loras")])
        >>> asyncio.run(count_loras())
        1
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, team: str | None = None, *, progress: bool | None = None
    ) -> None:
        environment = os.environ | ({} if token is None else {"MODELYARD_TOKEN": token})
        self._settings: ClientSettings = read_settings(environment, url, team)
        self._progress = progress
        self._api: RegistryApi | None = None

    @property
    def api(self) -> RegistryApi:
        """The client with a method for each route, with the types of ``modelyard.wire``; open inside ``async with``."""
        if self._api is None:
            raise RuntimeError("Open the registry first: async with AsyncRegistry() as registry")
        return self._api

    async def __aenter__(self) -> Self:
        profiles = ProfileFile(self._settings.profile_file)
        seconds = self._settings.give_up_seconds
        self._api = await (await build_registry(self._settings, profiles, retry_seconds=seconds)).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        api, self._api = self.api, None
        await api.__aexit__(kind, error, trace)

    async def models(self, query: str = "", *, sort: Sort | None = None, deleted: bool = False) -> AsyncIterator[Model]:
        """Yield the models that match a query such as ``ink type:loras``; pages are loaded when they are needed.

        The query is that of the page's search, whose best matches are first unless ``sort`` is given. ``deleted``
        yields those in the trash instead.
        """
        async for model in list_all_models(self.api, ModelFilter(q=query or None, sort=sort, deleted=deleted)):
            yield model

    async def model(self, name: str) -> Model:
        """Return one model; ``NAME@3`` has the content of its version 3."""
        return await find_model_version(self.api, name)

    async def push(
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
        overrides = ModelOverrides(model_type, model_path, name, notes or Notes())
        return await self._push(await asyncio.to_thread(_select_file, path, overrides), wait=wait)

    async def push_folder(
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
        overrides = ModelOverrides(model_type, model_path, name, notes or Notes())
        folder = await asyncio.to_thread(select_folder, [str(path)])
        return await self._push_folder(await asyncio.to_thread(build_model_request, folder, overrides), wait=wait)

    async def push_version(
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
        """
        overrides = ModelOverrides(display_name=name, notes=notes or Notes(), note=note)
        found = await find_model(self.api, model)
        if found.is_folder:
            folder = await asyncio.to_thread(select_folder, [str(path)])
            return await self._push_folder(build_version_request(folder, found, overrides), wait=wait)
        file = await asyncio.to_thread(select_version_file, [str(path)])
        return await self._push(build_version_request(file, found, overrides), wait=wait)

    async def pull(self, model: str, folder: str | Path = ".", *, tree: bool = False, replace: bool = False) -> Path:
        """Download a model into a folder and return the file; one that is there already is not sent again.

        A model of many files becomes a folder, which is returned. ``NAME@3`` is its version 3. ``tree`` places it at
        its model path below the folder, ``replace`` allows replacing a different file or folder. A folder that is no
        version of the model is renamed to ``<name>.<8 hex digits>.replaced`` then, and not deleted.

        Raises:
            TargetExists: a different file or folder has that name.
        """
        found = await find_model_version(self.api, model)
        destination = Destination(Path(folder), tree, replace)
        with open_progress(self._progress) as report:
            if found.is_folder:
                return (await pull_folder(self.api, found, destination, report)).file
            return (await pull_model(DownloadUrls(self.api), found, destination, report)).file

    async def edit(self, model: str, change: ModelUpdate) -> Model:
        """Change the details of a model, and return it; fields that are not given stay, None clears one.

        Raises:
            ModelNotFound, ModelAmbiguous: see ``find_model``.
        """
        found = await find_model(self.api, model)
        await self.api.update_model(found.id, change)
        return await self.api.get_model(found.id)

    async def set_preview(self, model: str, picture: str | Path) -> Model:
        """Make a picture the preview of a model, and return the model; ``NAME@3`` is its version 3.

        ``picture`` is a JPEG, PNG, WebP, GIF or AVIF file of up to 10 MiB.

        Raises:
            PictureRefused: the picture cannot be used.
            PictureUnusable, OSError: the file is empty or too large, or cannot be read.
        """
        content = await asyncio.to_thread(read_sidecar_picture, Path(picture))
        found = await find_model_version(self.api, model)
        await self.api.set_preview(found.id, found.version, content)
        return await find_model_version(self.api, model)

    async def delete(self, model: str, *, force: bool = False) -> None:
        """Move a model to the trash; with ``force`` even if machines hold it by a pinned collection.

        Raises:
            ModelPinned: without ``force``, if they do.
        """
        await self.api.delete_model((await find_model(self.api, model)).id, force=force)

    async def restore(self, model: str) -> Model:
        """Restore a model from the trash, and return it."""
        found = await find_model(self.api, model, deleted=True)
        await self.api.restore_model(found.id)
        return await self.api.get_model(found.id)

    async def machines(self) -> list[Agent]:
        """Return the team's machines by name."""
        return await list_all_agents(self.api)

    async def assign(self, model: str, machine: str) -> None:
        """Assign a model to a machine, which then gets it whatever its labels are."""
        agent = await find_agent(self.api, machine)
        await self.api.assign_model(agent.agent_id, (await find_model(self.api, model)).id)

    async def unassign(self, model: str, machine: str) -> None:
        """End the assignment of a model to a machine."""
        agent = await find_agent(self.api, machine)
        await self.api.unassign_model(agent.agent_id, (await find_model(self.api, model)).id)

    async def _push(self, request: PushRequest, *, wait: bool) -> Model:
        """Push a file with a progress display, and return its model."""
        with open_progress(self._progress) as report:
            pusher = Pusher(self.api, self._settings, report, PushOptions(wait=wait))
            try:
                return (await pusher.push(request)).model
            finally:
                await pusher.close()

    async def _push_folder(self, push: PushRequest, *, wait: bool) -> Model:
        """Push a folder with a progress display, and return its model."""
        request = await asyncio.to_thread(build_folder_request, push)
        with open_progress(self._progress) as report:
            return (await push_folder(self.api, self._settings, request, report, PushOptions(wait=wait))).model


def _select_file(path: str | Path, overrides: ModelOverrides) -> PushRequest:
    """Return the push request of the only file of an argument. Blocking.

    Raises:
        NothingToPush: it names no file or several.
        ValueError, OSError: the file was rejected.
    """
    selected = select_files([str(path)], overrides)
    if len(selected) != 1:
        raise NothingToPush(
            f'"{path}" contains {len(selected)} model files. Push them one by one, or with the command line.'
        )
    if isinstance(selected[0], RejectedFile):
        raise selected[0].error
    return selected[0]
