"""Forged access tokens: known attacks on JWTs, each invalid in one respect."""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator
from typing import Any

NOBODY = str(uuid.UUID(int=7))


def encode_part(content: Any) -> str:
    """Return a part of a JWT: bytes or JSON as unpadded base64url."""
    raw = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def build_signed_token(header: Any, claims: Any, secret: str | bytes, hashed: Any = hashlib.sha256) -> str:
    signed_text = f"{encode_part(header)}.{encode_part(claims)}"
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{signed_text}.{encode_part(hmac.new(key, signed_text.encode(), hashed).digest())}"


HEADER = {"alg": "HS256", "typ": "JWT"}


def forge_headers(claims: dict[str, Any], secret: str) -> Iterator[tuple[str, str]]:
    """Yield tokens with forged headers, with their descriptions; most are signed with the right secret."""
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        yield (
            f"alg {algorithm!r}, no signature",
            f"{encode_part({'alg': algorithm, 'typ': 'JWT'})}.{encode_part(claims)}.",
        )
        yield f"alg {algorithm!r}, signed", build_signed_token({"alg": algorithm, "typ": "JWT"}, claims, secret)
    yield "HS384", build_signed_token({"alg": "HS384", "typ": "JWT"}, claims, secret, hashlib.sha384)
    yield "HS512", build_signed_token({"alg": "HS512", "typ": "JWT"}, claims, secret, hashlib.sha512)
    for algorithm in ("RS256", "ES256", "PS256", "EdDSA", "hs256", "HS256 ", "dir"):
        yield f"alg {algorithm}, HMAC", build_signed_token({"alg": algorithm, "typ": "JWT"}, claims, secret)
    extras: list[dict[str, Any]] = [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"kid": "../../../../dev/null"},
        {"kid": "x' UNION SELECT 'k"},
        {"jku": "http://127.0.0.1:1/keys"},
        {"x5u": "http://127.0.0.1:1/cert"},
        {"jwk": {"kty": "oct", "k": encode_part(secret.encode())}},
        {"zip": "DEF"},
        {"cty": "JWT"},
    ]
    for extra in extras:
        yield f"header {extra}", build_signed_token(HEADER | extra, claims, secret)
    yield "id token", build_signed_token({"alg": "HS256", "typ": "id+jwt"}, claims, secret)
    yield "no typ", build_signed_token({"alg": "HS256"}, claims, secret)
    yield "header is a list", build_signed_token([HEADER], claims, secret)


def forge_keys(claims: dict[str, Any], secret: str) -> Iterator[tuple[str, str]]:
    """Yield tokens that are signed with another key, with their descriptions."""
    others = ("", "secret", "modelyard", secret[:-1], secret + "\n", secret.upper(), secret[::-1], "0" * 32)
    for other in others:
        yield f"key {others.index(other)}", build_signed_token(HEADER, claims, other)
    yield (
        "key is a public key",
        build_signed_token(HEADER, claims, "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----"),
    )
    yield "key decoded", build_signed_token(HEADER, claims, base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)))


def forge_claims(claims: dict[str, Any], secret: str) -> Iterator[tuple[str, str]]:
    """Yield tokens with the right signature and wrong claims, with their descriptions."""
    now = claims["iat"]
    changes: list[dict[str, Any]] = [
        {"iss": "unknown"},
        {"iss": ["modelyard"]},
        {"aud": "another-api"},
        {"aud": [claims["aud"]]},
        {"aud": [claims["aud"], "another-api"]},
        {"typ": "refresh"},
        {"typ": "id"},
        {"typ": None},
        {"exp": now - 60},
        {"exp": str(now + 3600)},
        {"exp": None},
        {"exp": 1e400},
        {"iat": now + 3600, "exp": now + 7200},
        {"iat": "now"},
        {"nbf": now + 3600},
        {"sub": NOBODY},
        {"sub": ""},
        {"sub": 7},
        {"sub": "' OR 1=1 --"},
        {"sid": NOBODY},
        {"sid": claims["sub"]},
        {"sid": None},
        {"sub": claims["sid"], "sid": claims["sub"]},
        {"role": "owner"},
        {"team_id": NOBODY},
    ]
    for change in changes:
        yield f"claims {change}", build_signed_token(HEADER, claims | change, secret)
    for name in claims:
        without = {key: value for key, value in claims.items() if key != name}
        yield f"without {name}", build_signed_token(HEADER, without, secret)
    yield "claims are a list", build_signed_token(HEADER, [claims], secret)
    yield "claims are text", build_signed_token(HEADER, b"all of it", secret)
    yield "deep claims", build_signed_token(HEADER, b"[" * 5000, secret)


def alter_encoding(token: str) -> Iterator[tuple[str, str]]:
    """Yield a valid token in malformed encodings that a lenient parser would accept, with their descriptions."""
    head, claims, signature = token.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other_character = last[last.index(signature[-1]) + 1]
    yield "spare bits", f"{head}.{claims}.{signature[:-1]}{other_character}"
    yield "padded", f"{token}="
    yield "no signature", f"{head}.{claims}."
    yield "two parts", f"{head}.{claims}"
    yield "four parts", f"{token}.{signature}"
    yield "five parts, as encrypted", f"{head}..{claims}.{signature}.{signature}"
    yield "longer", f"{token}AAAA"
    yield "shorter", token[:-1]
    yield "inner space", f"{head}. {claims}.{signature}"
    yield "other payload", f"{head}.{encode_part({'sub': NOBODY})}.{signature}"
    yield "as JSON", json.dumps({"payload": claims, "protected": head, "signature": signature})


def build_forged_tokens(claims: dict[str, Any], secret: str, token: str) -> dict[str, str]:
    """Return all forged tokens by a description of what is wrong."""
    return dict(
        [
            *forge_headers(claims, secret),
            *forge_keys(claims, secret),
            *forge_claims(claims, secret),
            *alter_encoding(token),
        ]
    )
