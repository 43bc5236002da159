"""Declarations of TypeScript modules, in the format that the page's formatter demands."""

from collections.abc import Iterable, Mapping

# The formatter breaks longer lines.
LINE_WIDTH = 120


def build_module(sources: Iterable[str], *parts: tuple[str, str]) -> str:
    """Return a module of declarations, each with a comment, below a note that names the files with the facts.

    The ``sources`` are paths below ``src/modelyard``.
    """
    declarations = "\n".join(f"/** {comment} */\n{declaration}" for comment, declaration in parts)
    lines = "".join(f"//     {source}\n" for source in sources)
    return f"// Written by `make fix`. Do not edit. The facts are in src/modelyard/:\n{lines}\n{declarations}"


def build_array(name: str, items: Iterable[str], *, is_const: bool = False) -> str:
    """Return the declaration of an array of strings; with ``is_const`` its type is that of exactly these items."""
    quoted = [quote(item) for item in items]
    tail = " as const" if is_const else ""
    line = f"export const {name} = [{', '.join(quoted)}]{tail}"
    if len(line) <= LINE_WIDTH:
        return f"{line}\n"
    return f"export const {name} = [\n" + "".join(f"  {item},\n" for item in quoted) + f"]{tail}\n"


def build_record(name: str, items: Mapping[str, str], *, is_const: bool = False) -> str:
    """Return the declaration of an object of strings; without ``is_const`` it can be read by any key."""
    kind, tail = ("", " as const") if is_const else (": Readonly<Record<string, string>>", "")
    fields = [f"{key if key.isidentifier() else quote(key)}: {quote(value)}" for key, value in items.items()]
    line = f"export const {name}{kind} = {{ {', '.join(fields)} }}{tail}"
    if len(line) <= LINE_WIDTH:
        return f"{line}\n"
    return f"export const {name}{kind} = {{\n" + "".join(f"  {field},\n" for field in fields) + f"}}{tail}\n"


def build_union(name: str, items: Iterable[str]) -> str:
    """Return the declaration of a type: one of these strings."""
    return f"export type {name} =\n" + "".join(f"  | {quote(item)}\n" for item in items)


def build_string(name: str, value: str) -> str:
    """Return the declaration of a string."""
    line = f"export const {name} = {quote(value)}\n"
    return line if len(line) <= LINE_WIDTH else line.replace(" = ", " =\n  ", 1)


def build_number(name: str, value: int) -> str:
    """Return the declaration of a number, with its thousands separated."""
    return f"export const {name} = {value:_}\n"


def quote(text: str) -> str:
    """Return a string literal in single quotes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
