"""A kit of forged access tokens: every known way to make one, each wrong in one thing."""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator
from typing import Any

NOBODY = str(uuid.UUID(int=7))


def part(content: Any) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def signed(header: Any, claims: Any, secret: str | bytes, hashed: Any = hashlib.sha256) -> str:
    said = f"{part(header)}.{part(claims)}"
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{said}.{part(hmac.new(key, said.encode(), hashed).digest())}"


HEADER = {"alg": "HS256", "typ": "JWT"}


def headers_of_others(claims: dict[str, Any], secret: str) -> Iterator[tuple[str, str]]:
    """Headers that ask the reader to believe in something else; most are signed with the right secret."""
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        yield f"alg {algorithm!r}, no signature", f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}."
        yield f"alg {algorithm!r}, signed", signed({"alg": algorithm, "typ": "JWT"}, claims, secret)
    yield "HS384", signed({"alg": "HS384", "typ": "JWT"}, claims, secret, hashlib.sha384)
    yield "HS512", signed({"alg": "HS512", "typ": "JWT"}, claims, secret, hashlib.sha512)
    for algorithm in ("RS256", "ES256", "PS256", "EdDSA", "hs256", "HS256 ", "dir"):
        yield f"alg {algorithm}, HMAC", signed({"alg": algorithm, "typ": "JWT"}, claims, secret)
    extras: list[dict[str, Any]] = [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"kid": "../../../../dev/null"},
        {"kid": "x' UNION SELECT 'k"},
        {"jku": "http://127.0.0.1:1/keys"},
        {"x5u": "http://127.0.0.1:1/cert"},
        {"jwk": {"kty": "oct", "k": part(secret.encode())}},
        {"zip": "DEF"},
        {"cty": "JWT"},
    ]
    for extra in extras:
        yield f"header {extra}", signed(HEADER | extra, claims, secret)
    yield "id token", signed({"alg": "HS256", "typ": "id+jwt"}, claims, secret)
    yield "no typ", signed({"alg": "HS256"}, claims, secret)
    yield "header is a list", signed([HEADER], claims, secret)


def keys_of_others(claims: dict[str, Any], secret: str) -> Iterator[tuple[str, str]]:
    others = ("", "secret", "modelyard", secret[:-1], secret + "\n", secret.upper(), secret[::-1], "0" * 32)
    for other in others:
        yield f"key {others.index(other)}", signed(HEADER, claims, other)
    yield "key is a public key", signed(HEADER, claims, "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----")
    yield "key decoded", signed(HEADER, claims, base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)))


def claims_of_others(claims: dict[str, Any], secret: str) -> Iterator[tuple[str, str]]:
    """Signed by us, as it were, and still not an access token of this moment for this user."""
    now = claims["iat"]
    changes: list[dict[str, Any]] = [
        {"iss": "somebody"},
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
        yield f"claims {change}", signed(HEADER, claims | change, secret)
    for name in claims:
        without = {key: value for key, value in claims.items() if key != name}
        yield f"without {name}", signed(HEADER, without, secret)
    yield "claims are a list", signed(HEADER, [claims], secret)
    yield "claims are text", signed(HEADER, b"all of it", secret)
    yield "deep claims", signed(HEADER, b"[" * 5000, secret)


def other_spellings(token: str) -> Iterator[tuple[str, str]]:
    """A good token, written in a way that a lenient reader takes."""
    head, claims, signature = token.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = last[last.index(signature[-1]) + 1]
    yield "spare bits", f"{head}.{claims}.{signature[:-1]}{twin}"
    yield "padded", f"{token}="
    yield "no signature", f"{head}.{claims}."
    yield "two parts", f"{head}.{claims}"
    yield "four parts", f"{token}.{signature}"
    yield "five parts, as encrypted", f"{head}..{claims}.{signature}.{signature}"
    yield "longer", f"{token}AAAA"
    yield "shorter", token[:-1]
    yield "inner space", f"{head}. {claims}.{signature}"
    yield "other payload", f"{head}.{part({'sub': NOBODY})}.{signature}"
    yield "as JSON", json.dumps({"payload": claims, "protected": head, "signature": signature})


def forged(claims: dict[str, Any], secret: str, token: str) -> dict[str, str]:
    """All of them, by what is wrong."""
    return dict(
        [
            *headers_of_others(claims, secret),
            *keys_of_others(claims, secret),
            *claims_of_others(claims, secret),
            *other_spellings(token),
        ]
    )
