"""A real models folder, scanned."""

import os
from dataclasses import dataclass
from pathlib import Path

from modelyard.client.sync.holding.holdings import Holdings, Machine, Watch, scan
from modelyard.client.sync.holding.roots import Install, RootOnDisk, models_folder
from modelyard.wire.agents import WantedModel
from tests.client.sync.making import wanted


@dataclass
class Yard:
    """A real models folder and what an agent remembers of it."""

    models: Path
    machine: Machine
    hashed: list[Path]

    def file(self, name: str, content: str = "") -> Path:
        path = self.models / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content or name)
        # As if it had been written long ago: lately written files are not remembered.
        os.utime(path, (1e9, 1e9))
        return path

    def scan(self, *models: WantedModel, installs: list[Install] | None = None) -> Holdings:
        self.hashed.clear()
        watch = Watch(lambda path, *_: self.hashed.append(path))
        return scan(installs or [models_folder(self.models)], wanted(*models).models, self.machine, watch)

    def root(self, held: Holdings, folder: str) -> RootOnDisk:
        return next(root for root in held.installs[0] if root.given == self.models / folder)
