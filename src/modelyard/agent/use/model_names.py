"""The models that the names in a ComfyUI's prompts mean. Pure, but for links that are resolved."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self
from uuid import UUID

from modelyard.comfyui.layout import Install
from modelyard.comfyui.workflows.references import ModelReference
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.sync.inventory.deadlines import StallDeadline
from modelyard.wire.formats import find_format
from modelyard.wire.paths import get_canonical_type

_Ids = Mapping[tuple[str, str], set[UUID]]


@dataclass(frozen=True)
class ModelNames:
    """The placed models of one ComfyUI by folder key and name; the key "" is any folder.

    ``bare`` has the names without folders and extension, as prompt tags and some custom nodes write them.
    """

    exact: _Ids
    bare: _Ids

    @classmethod
    def build(cls, install: Install, replica_states: Iterable[ReplicaState]) -> Self:
        """Return the names under which a ComfyUI finds the ready models. Blocking: resolves its folders.

        ``replica_states`` have paths without links above the file name.
        """
        keys: dict[Path, set[str]] = defaultdict(set)
        for root in install.roots:
            # A loop of links raises a RuntimeError in Python 3.11 and 3.12.
            with suppress(OSError, RuntimeError):
                keys[root.path.resolve()].add(root.key)
        paths = [(each.path, each.model_id) for each in replica_states if each.state == "ready" and each.path]
        return cls.index(keys, paths)

    @classmethod
    def index(cls, keys: Mapping[Path, Iterable[str]], paths: Iterable[tuple[Path, UUID]]) -> Self:
        """Return the names of files with model ids, given the keys of each folder."""
        exact: dict[tuple[str, str], set[UUID]] = defaultdict(set)
        bare: dict[tuple[str, str], set[UUID]] = defaultdict(set)
        for path, model_id in paths:
            for folder in path.parents:
                for key in ["", *keys[folder]] if folder in keys else []:
                    exact[key, path.relative_to(folder).as_posix()].add(model_id)
                    bare[key, path.stem].add(model_id)
        return cls(exact, bare)

    def with_model_paths(self, models: Iterable[tuple[UUID, str]]) -> "ModelNames":
        """Return the names with those of models that are not here, under which this ComfyUI would find them.

        ``models`` are ids with model paths.
        """
        exact = {key: set(ids) for key, ids in self.exact.items()}
        bare = {key: set(ids) for key, ids in self.bare.items()}
        for model_id, model_path in models:
            folder, _, name = model_path.partition("/")
            for key in ("", get_canonical_type(folder)):
                exact.setdefault((key, name), set()).add(model_id)
                bare.setdefault((key, PurePosixPath(name).stem), set()).add(model_id)
        return ModelNames(exact, bare)

    def find_ids(self, reference: ModelReference) -> set[UUID]:
        """Return the models that a reference means; several for one file, or for a name that several could have.

        A name that the folder does not have is looked for in all of them, as custom nodes have folder keys of their
        own. Too many models that count as used are better than too few.
        """
        name = reference.name.replace("\\", "/")
        key = get_canonical_type(reference.folder) if reference.folder else ""
        if found := self.exact.get((key, name)) or self.exact.get(("", name)):
            return found
        if find_format(name) is not None:
            return set()
        last = name.rpartition("/")[2]
        return self.bare.get((key, last)) or self.bare.get(("", last), set())


def build_model_names(deadline: StallDeadline, install: Install, replica_states: Iterable[ReplicaState]) -> ModelNames:
    """Return what ``ModelNames.build`` returns, within the time that a folder may take. Blocking.

    Raises:
        FilesystemNotResponding: a folder stalls.
    """
    folder = install.models or Path(*(str(root.path) for root in install.roots[:1]))
    return deadline.run(folder, lambda _: ModelNames.build(install, replica_states))
