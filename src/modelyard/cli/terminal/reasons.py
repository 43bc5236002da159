"""Lines about models that are in one state for one reason."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from modelyard.cli.terminal.formatting import escape_unprintable
from modelyard.comfyui.quoting import counted
from modelyard.sync.reason_groups import is_example


def format_reason(
    count: int, state: str, reason: str, model_paths: Sequence[str], width: int | None, noun: str = "model"
) -> list[str]:
    """Return the lines of a reason and of the first models that it is about; ``width`` is as in ``format_table``.

    ``count`` is that of all models, ``model_paths`` has the first ones. With another ``noun``, these are names of such
    things, and the reason is that of each.
    """
    example = ", for example" if noun == "model" and is_example(reason, model_paths) else ""
    names = ", ".join(model_paths)
    more = f" and {count - len(model_paths)} more" if count > len(model_paths) else ""
    sentence = f"{counted(count, noun)} {state}{example}: {escape_unprintable(reason)}"
    paragraphs = [sentence, escape_unprintable(names + more)]
    wrapped = [
        textwrap.wrap(text, width, initial_indent=indent, subsequent_indent="    ", break_on_hyphens=False)
        if width is not None
        else [indent + text]
        for text, indent in zip(paragraphs, ("", "    "), strict=True)
    ]
    return [line for lines in wrapped for line in lines]
