"""Content of folder models in tests of a real disk."""

import os

PATH = "diffusers/flux"
CONFIG, OTHER_CONFIG = b'{"layers": 2}', b'{"layers": 3}'
WEIGHTS = os.urandom(300_000)
OLD = {"model_index.json": b"{}", "unet/config.json": CONFIG, "unet/weights.safetensors": WEIGHTS}
NEW = OLD | {"unet/config.json": OTHER_CONFIG, "vae/weights.safetensors": b"vae"}


def get_expected_files(files: dict[str, bytes], path: str = PATH) -> dict[str, bytes]:
    return {f"{path}/{name}": content for name, content in files.items()}
