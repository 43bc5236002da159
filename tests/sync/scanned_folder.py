"""A real models folder to scan."""

import os
from dataclasses import dataclass
from pathlib import Path

from modelyard.comfyui.layout import Install, build_plain_install
from modelyard.sync.inventory.file_hashes import ScanOptions
from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.inventory.scan import MachineState, scan_roots
from modelyard.wire.agents.manifests import ManifestEntry
from tests.sync.factories import build_desired


@dataclass
class ScannedFolder:
    """A real models folder, the agent's state, and the paths hashed by the last scan."""

    models: Path
    machine: MachineState
    hashed_paths: list[Path]

    def write_file(self, name: str, content: str = "") -> Path:
        path = self.models / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content or name)
        # An old modification time: hashes of recently written files are not recorded.
        os.utime(path, (1e9, 1e9))
        return path

    def scan(self, *models: ManifestEntry, installs: list[Install] | None = None) -> Inventory:
        self.hashed_paths.clear()
        options = ScanOptions(lambda path, *_: self.hashed_paths.append(path))
        return scan_roots(
            installs or [build_plain_install(self.models)], build_desired(*models).models, self.machine, options
        )

    def get_root(self, inventory: Inventory, folder: str) -> RootOnDisk:
        return next(root for root in inventory.installs[0] if root.configured_path == self.models / folder)
