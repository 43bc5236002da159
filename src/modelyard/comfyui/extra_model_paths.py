"""The model folders of an installed ComfyUI, from its layout and its ``extra_model_paths.yaml``.

The rules are those of ComfyUI's `utils/extra_config.py` and `main.py`.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from modelyard.comfyui.layout import OUTPUT_LAYOUT, ComfyUIFoldersUnknown, Install, SearchPathBuilder, add_layout_roots
from modelyard.comfyui.quoting import printable, quoted

CONFIG_NAME = "extra_model_paths.yaml"

_variable = re.compile(r"\$(?:(\w+)|\{([^}]*)\})", re.ASCII)


def read_install(
    comfyui: Path, environment: Mapping[str, str], *, base: Path | None = None, configs: Sequence[Path] = ()
) -> Install:
    """Return the model folders of the ComfyUI installed in ``comfyui``, in its search order.

    Its own ``extra_model_paths.yaml`` is read if it exists. ``base`` and ``configs`` are its options
    ``--base-directory`` and ``--extra-model-paths-config``; ``environment`` has its environment variables. Blocking.

    Raises:
        ComfyUIFoldersUnknown: there is no models folder, or a configuration file is invalid.
    """
    base = (base or comfyui).absolute()
    if not (base / "models").is_dir():
        raise ComfyUIFoldersUnknown(
            f"There is no models folder in {quoted(base)}. Give the folder in which ComfyUI is installed."
        )
    search = SearchPathBuilder()
    add_layout_roots(base, search)
    own = comfyui.absolute() / CONFIG_NAME
    for config in [*([own] if own.is_file() else []), *configs]:
        _add_config(config.absolute(), environment, search)
    for key in OUTPUT_LAYOUT:
        search.add(key, base / "output" / key)
    return Install(base / "models", search.roots())


def _add_config(config: Path, environment: Mapping[str, str], search: SearchPathBuilder) -> None:
    """Add the folders of a configuration file; relative ones are below ``base_path``, or else the file's folder.

    Raises:
        ComfyUIFoldersUnknown: the file cannot be read or is invalid.
    """
    for name, section in _read_sections(config).items():
        if section is None:
            continue
        if not isinstance(section, dict):
            raise _build_config_error(config, f"section {quoted(str(name))} is not a list of folders")
        base = section.pop("base_path", None)
        is_default = bool(section.pop("is_default", False))
        folder = config.parent if base is None else _resolve_base(str(base), config, environment)
        for key, lines in section.items():
            if not isinstance(lines, str):
                raise _build_config_error(config, f"{quoted(str(key))} in section {quoted(str(name))} is not a path")
            for line in filter(None, lines.split("\n")):
                search.add(str(key), _normalize(folder / line), is_default=is_default)


def _read_sections(config: Path) -> dict[object, object]:
    """Return the sections of a configuration file by name; empty for an empty file.

    Raises:
        ComfyUIFoldersUnknown: the file cannot be read or is not valid YAML with sections.
    """
    try:
        with config.open(encoding="utf-8") as file:
            sections: object = yaml.safe_load(file)
    except OSError as failure:
        raise ComfyUIFoldersUnknown(
            f"{quoted(config)} cannot be read: {failure.strerror}. Correct its permissions."
        ) from failure
    except (yaml.YAMLError, ValueError, RecursionError) as failure:
        # The parser's message has several lines and shows the position.
        raise _build_config_error(config, printable(" ".join(str(failure).split()))) from failure
    if sections is None:
        return {}
    if not isinstance(sections, dict):
        raise _build_config_error(config, "it has no sections")
    return sections


def _resolve_base(text: str, config: Path, environment: Mapping[str, str]) -> Path:
    """Return the folder of a ``base_path``, expanded, and relative to the folder of its configuration file."""
    return config.parent / _expand(text, environment)


def _expand(text: str, environment: Mapping[str, str]) -> str:
    """Expand ``~`` and variables as a shell does; unknown ones are left unchanged."""
    home = environment.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        text = home.rstrip("/") + text[1:]
    elif text.startswith("~"):
        # Another user's home is in the user database, not in the environment.
        text = str(os.path.expanduser(text))  # noqa: PTH111 pathlib raises where a user is unknown
    return _variable.sub(lambda match: environment.get(match.group(1) or match.group(2), match.group(0)), text)


def _normalize(path: Path) -> Path:
    """Remove ``..`` from the path text without resolving links, as ComfyUI does."""
    return Path(os.path.normpath(path))


def _build_config_error(config: Path, reason: str) -> ComfyUIFoldersUnknown:
    """Build the error for an invalid configuration file, which says that ComfyUI would not start with it."""
    return ComfyUIFoldersUnknown(
        f"{quoted(config)} is invalid: {reason}. ComfyUI would not start with it. Correct the file."
    )
