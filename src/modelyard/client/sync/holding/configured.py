"""The roots of a ComfyUI that does not run: its layout and its ``extra_model_paths.yaml``.

The rules are those of ComfyUI's `utils/extra_config.py` and `main.py`.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from modelyard.client.sync.holding.roots import OUTPUT_LAYOUT, Install, RootsUnknown, Search, by_layout
from modelyard.client.sync.wording import printable, quoted

CONFIG_NAME = "extra_model_paths.yaml"

_variable = re.compile(r"\$(?:(\w+)|\{([^}]*)\})", re.ASCII)


def read_install(
    comfyui: Path, environment: Mapping[str, str], *, base: Path | None = None, configs: Sequence[Path] = ()
) -> Install:
    """The roots of the ComfyUI whose program lies in ``comfyui``, in the order in which it will search them.

    ``base`` and ``configs`` are what it is started with as ``--base-directory`` and ``--extra-model-paths-config``;
    ``environment`` is what it is started in. Blocking.

    Raises:
        RootsUnknown: there is no ComfyUI, or a configuration file cannot be understood.
    """
    base = (base or comfyui).absolute()
    if not (base / "models").is_dir():
        raise RootsUnknown(f"There is no models folder in {quoted(base)}. Name the folder in which ComfyUI lies.")
    search = Search()
    by_layout(base, search)
    own = comfyui.absolute() / CONFIG_NAME
    for config in [*([own] if own.is_file() else []), *configs]:
        _add_config(config.absolute(), environment, search)
    for key in OUTPUT_LAYOUT:
        search.add(key, base / "output" / key)
    return Install(base / "models", search.roots())


def _add_config(config: Path, environment: Mapping[str, str], search: Search) -> None:
    for name, section in _sections(config).items():
        if section is None:
            continue
        if not isinstance(section, dict):
            raise _unclear(config, f"section {quoted(str(name))} is no list of folders")
        base = section.pop("base_path", None)
        is_default = bool(section.pop("is_default", False))
        folder = config.parent if base is None else _base(str(base), config, environment)
        for key, lines in section.items():
            if not isinstance(lines, str):
                raise _unclear(config, f"{quoted(str(key))} in section {quoted(str(name))} is no path")
            for line in filter(None, lines.split("\n")):
                search.add(str(key), _normal(folder / line), is_default=is_default)


def _sections(config: Path) -> dict[object, object]:
    try:
        with config.open(encoding="utf-8") as file:
            sections: object = yaml.safe_load(file)
    except OSError as failure:
        raise RootsUnknown(f"{quoted(config)} cannot be read: {failure.strerror}.") from failure
    except (yaml.YAMLError, ValueError, RecursionError) as failure:
        # The parser's words have line ends and show the place.
        raise _unclear(config, printable(" ".join(str(failure).split()))) from failure
    if sections is None:
        return {}
    if not isinstance(sections, dict):
        raise _unclear(config, "it has no sections")
    return sections


def _base(text: str, config: Path, environment: Mapping[str, str]) -> Path:
    return config.parent / _expanded(text, environment)


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """``~`` and variables as a shell has them; what is unknown stays as it is written."""
    home = environment.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        text = home.rstrip("/") + text[1:]
    elif text.startswith("~"):
        # Another user's home is in the system's list of users, not in the environment.
        text = str(os.path.expanduser(text))  # noqa: PTH111 pathlib raises where a user is unknown
    return _variable.sub(lambda found: environment.get(found.group(1) or found.group(2), found.group(0)), text)


def _normal(path: Path) -> Path:
    """Without ``..``: ComfyUI takes them out of the text, so a link on the way is not asked where it leads."""
    return Path(os.path.normpath(path))


def _unclear(config: Path, why: str) -> RootsUnknown:
    return RootsUnknown(f"{quoted(config)} is not understood: {why}. ComfyUI would not start with it; correct it.")
