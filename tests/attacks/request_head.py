"""Heads of HTTP requests as bytes, for requests whose body is sent in part or not at all, and an expensive body."""

# A megabyte that is cheap to send and expensive to parse: a third of a million lists.
BRACKETS = b'{"a":[' + b"[]," * 333_000 + b"[]]}"
# Another one, with few commas: 49,800 items of nine nested lists, in a field that no route reads.
NESTED_LISTS = b'{"a":[' + b",".join([b"[" * 9 + b"]" * 9] * 49_800) + b"]}"


def request_head(path: str, length: int, headers: dict[str, str]) -> bytes:
    """Build the head of a POST that declares ``length`` bytes of JSON."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()
