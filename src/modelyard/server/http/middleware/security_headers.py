"""Security headers of responses: by default a browser may display a response and nothing else."""

from collections.abc import Mapping, Sequence

# A style of the page names this; each answer has its own.
NONCE = "__NONCE__"
# What ``default-src`` does not cover.
_ALWAYS_NONE = ("base-uri", "form-action", "frame-ancestors")


def build_page_policy(nonce: str, stores: Sequence[str]) -> str:
    """Return the policy of one page; ``stores`` are the additional origins of uploads.

    ``wasm-unsafe-eval`` is for the hashing of files, which runs as WebAssembly; it does not allow text as script.
    """
    return _policy(
        {
            "script-src": "'self' 'wasm-unsafe-eval'",
            "worker-src": "'self'",
            "style-src": f"'self' 'nonce-{nonce}'",
            "img-src": "'self' data:",
            "font-src": "'self'",
            "connect-src": " ".join(["'self'", *stores]),
        }
    )


def build_api_docs_policy(nonce: str) -> str:
    """Return the policy of the API's documentation page: its own assets, and one script of this response."""
    return _policy(
        {
            "script-src": f"'self' 'nonce-{nonce}'",
            # Swagger UI writes styles into its elements.
            "style-src": "'self' 'unsafe-inline'",
            "img-src": "'self' data:",
            "connect-src": "'self'",
        }
    )


def _policy(allowed: Mapping[str, str]) -> str:
    """Return a policy that allows these sources and nothing else."""
    rules = {"default-src": "'none'", **allowed, **dict.fromkeys(_ALWAYS_NONE, "'none'")}
    return "; ".join(f"{rule} {sources}" for rule, sources in rules.items())


# Of an answer that is no page: should a browser take it for one, nothing in it is run, loaded or framed.
NO_PAGE = _policy({})


def get_fixed_headers() -> dict[str, str]:
    """Return the headers of every response: no type sniffing, no frames, no referrer to other sites."""
    return {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
