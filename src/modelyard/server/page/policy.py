"""What a browser may do on the page: run our scripts, and talk to this registry and its store."""

from collections.abc import Sequence

# A style of the page names this; each answer has its own.
NONCE = "__NONCE__"


def content_security_policy(nonce: str, stores: Sequence[str]) -> str:
    """The policy of one answer; ``stores`` are the origins to which uploads go beside this one.

    ``wasm-unsafe-eval`` is for the hash of files, which runs as WebAssembly; it lets no text become a script.
    """
    rules = {
        "default-src": ["'none'"],
        "script-src": ["'self'", "'wasm-unsafe-eval'"],
        "worker-src": ["'self'"],
        "style-src": ["'self'", f"'nonce-{nonce}'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'", *stores],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    return "; ".join(f"{rule} {' '.join(sources)}" for rule, sources in rules.items())


def fixed_headers() -> dict[str, str]:
    """What every answer says: no guessing of types, no frames, no address of ours in another site's log."""
    return {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
