"""A model of how ComfyUI lists and resolves model names, from its documentation; it shares no code with modelyard.

- Each key has ordered roots, and extensions. Names are the union over the roots, relative to them.
- The walk follows links and skips only ``.git``; an empty set of extensions lists every file.
- A name resolves to the first root in which it is a file; a broken link is listed, but skipped when resolving.
- ``extra_model_paths.yaml``: a section has a ``base_path``, may be the default, and names folders, one per line.
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
    """The model folders of a ComfyUI that is installed in ``base``."""

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

    def start(self) -> "ComfyListing":
        """Read the configuration file, then add the output folders, as a start does."""
        config = self.base / "extra_model_paths.yaml"
        if config.is_file():
            self.load_config(config)
        for key in ("checkpoints", "clip", "vae", "diffusion_models", "loras"):
            self._add(key, str(self.base / "output" / key), is_default=False)
        return self

    def load_config(self, config: Path) -> None:
        """Read a configuration file."""
        for section in (yaml.safe_load(config.read_text()) or {}).values():
            if section is None:
                continue
            start = config.parent
            if "base_path" in section:
                start /= self._expand_home(section.pop("base_path"))
            is_default = section.pop("is_default", False)
            for key, lines in section.items():
                for line in filter(None, lines.split("\n")):
                    self._add(key, os.path.normpath(start / line), is_default=is_default)

    def list_names(self, key: str) -> list[str]:
        """Return the names that a loader offers."""
        key = LEGACY.get(key, key)
        extensions = self.extensions[key]
        found: set[str] = set()
        for root in self.folders[key]:
            for folder, subfolders, files in os.walk(root, followlinks=True):
                subfolders[:] = [name for name in subfolders if name != ".git"]
                found.update(str((Path(folder) / name).relative_to(root)) for name in files)
        return sorted(name for name in found if not extensions or Path(name).suffix.lower() in extensions)

    def resolve_name(self, key: str, name: str) -> str | None:
        """Return the file that a loader opens, or None."""
        paths = [Path(root) / name for root in self.folders[LEGACY.get(key, key)]]
        return next((str(path) for path in paths if path.is_file()), None)

    def build_api_response(self) -> list[dict[str, object]]:
        """Return the response of ``/experiment/models``."""
        shown = [key for key in self.folders if key not in ("configs", "custom_nodes")]
        return [{"name": key, "folders": self.folders[key]} for key in shown]

    def _add(self, key: str, path: str, *, is_default: bool) -> None:
        key = LEGACY.get(key, key)
        paths = self.folders.setdefault(key, [])
        self.extensions.setdefault(key, frozenset())
        if path in paths:
            if is_default and paths[0] != path:
                paths.remove(path)
                paths.insert(0, path)
        elif is_default:
            paths.insert(0, path)
        else:
            paths.append(path)

    def _expand_home(self, text: str) -> str:
        return self._home + text[1:] if text.startswith("~") else text
