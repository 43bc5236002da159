"""How a ComfyUI lists and resolves model names, written down from its documented behaviour; shares no code with ours.

- Each key has roots in an order, and extensions. Names are the union over the roots, relative to them.
- The walk follows links and passes over nothing but ``.git``; an empty set of extensions lists every file.
- A name resolves to the first root in which it is a file; a link to nowhere is listed, and passed over.
- ``extra_model_paths.yaml``: a section has a ``base_path``, may be the default, and names folders, one in each line.
"""

import os
from pathlib import Path

import yaml

PT = frozenset({".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"})
LEGACY = {"unet": "diffusion_models", "clip": "text_encoders"}
OWN_FOLDERS = {
    "checkpoints": ["checkpoints"],
    "configs": ["configs"],
    "loras": ["loras"],
    "vae": ["vae"],
    "text_encoders": ["text_encoders", "clip"],
    "diffusion_models": ["unet", "diffusion_models"],
    "clip_vision": ["clip_vision"],
    "style_models": ["style_models"],
    "embeddings": ["embeddings"],
    "diffusers": ["diffusers"],
    "vae_approx": ["vae_approx"],
    "controlnet": ["controlnet", "t2i_adapter"],
    "gligen": ["gligen"],
    "upscale_models": ["upscale_models"],
    "latent_upscale_models": ["latent_upscale_models"],
    "hypernetworks": ["hypernetworks"],
    "photomaker": ["photomaker"],
    "classifiers": ["classifiers"],
    "model_patches": ["model_patches"],
    "audio_encoders": ["audio_encoders"],
    "background_removal": ["background_removal"],
    "frame_interpolation": ["frame_interpolation"],
    "geometry_estimation": ["geometry_estimation"],
    "optical_flow": ["optical_flow"],
    "detection": ["detection"],
}


class ComfyListing:
    """A ComfyUI that lies in ``base`` and was started there."""

    def __init__(self, base: Path, home: str = "/nobody") -> None:
        self.base = base
        self._home = home
        self.folders: dict[str, list[str]] = {}
        self.extensions: dict[str, frozenset[str]] = {}
        for key, names in OWN_FOLDERS.items():
            self.folders[key] = [str(base / "models" / name) for name in names]
            self.extensions[key] = PT
        self.extensions["classifiers"] = frozenset({""})
        self.extensions["diffusers"] = frozenset({"folder"})
        self.folders["custom_nodes"] = [str(base / "custom_nodes")]
        self.extensions["custom_nodes"] = frozenset()

    def started(self) -> "ComfyListing":
        """After its start: the configuration file is read, then the output folders are added."""
        config = self.base / "extra_model_paths.yaml"
        if config.is_file():
            self.load(config)
        for key in ("checkpoints", "clip", "vae", "diffusion_models", "loras"):
            self._add(key, str(self.base / "output" / key), is_default=False)
        return self

    def load(self, config: Path) -> None:
        """Read a configuration file."""
        for section in (yaml.safe_load(config.read_text()) or {}).values():
            if section is None:
                continue
            start = config.parent
            if "base_path" in section:
                start /= self._expanded(section.pop("base_path"))
            is_default = section.pop("is_default", False)
            for key, lines in section.items():
                for line in filter(None, lines.split("\n")):
                    self._add(key, os.path.normpath(start / line), is_default=is_default)

    def names(self, key: str) -> list[str]:
        """What a loader offers."""
        key = LEGACY.get(key, key)
        extensions = self.extensions[key]
        found: set[str] = set()
        for root in self.folders[key]:
            for folder, below, files in os.walk(root, followlinks=True):
                below[:] = [name for name in below if name != ".git"]
                found.update(str((Path(folder) / name).relative_to(root)) for name in files)
        return sorted(name for name in found if not extensions or Path(name).suffix.lower() in extensions)

    def resolved(self, key: str, name: str) -> str | None:
        """The file that a loader opens."""
        paths = [Path(root) / name for root in self.folders[LEGACY.get(key, key)]]
        return next((str(path) for path in paths if path.is_file()), None)

    def answer(self) -> list[dict[str, object]]:
        """What ``/experiment/models`` answers."""
        shown = [key for key in self.folders if key not in ("configs", "custom_nodes")]
        return [{"name": key, "folders": self.folders[key]} for key in shown]

    def _add(self, key: str, path: str, *, is_default: bool) -> None:
        key = LEGACY.get(key, key)
        known = self.folders.setdefault(key, [])
        self.extensions.setdefault(key, frozenset())
        if path in known:
            if is_default and known[0] != path:
                known.remove(path)
                known.insert(0, path)
        elif is_default:
            known.insert(0, path)
        else:
            known.append(path)

    def _expanded(self, text: str) -> str:
        return self._home + text[1:] if text.startswith("~") else text
