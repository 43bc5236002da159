"""Security headers of HTML pages and of other responses."""

import re

import httpx2

from tests.server.harness import Harness

BROWSER_HEADERS = {"Accept": "text/html,application/xhtml+xml"}


def get_html_responses(registry: Harness) -> dict[str, httpx2.Response]:
    """Return the response of every path that returns HTML to a browser's GET; path parameters are ``x``."""
    addresses = {path for path, operations in registry.app.openapi()["paths"].items() if "get" in operations}
    addresses |= {"/", "/models", "/docs", "/index.html", "/docs/assets/nothing", "/api/v1/nothing"}
    found = {
        address: registry.client.get(re.sub(r"\{[^}]+\}", "x", address), headers=BROWSER_HEADERS)
        for address in addresses
    }
    return {address: answer for address, answer in found.items() if "html" in answer.headers.get("Content-Type", "")}


def parse_policy(answer: httpx2.Response) -> dict[str, list[str]]:
    """Return the directives of the Content-Security-Policy header."""
    rules = [rule.split() for rule in answer.headers["Content-Security-Policy"].split(";")]
    return {rule[0]: rule[1:] for rule in rules}


def test_html_responses_have_content_security_policy_and_forbid_framing(shared_registry: Harness) -> None:
    answers = get_html_responses(shared_registry)
    assert {"/", "/docs"} <= set(answers)
    for address, answer in answers.items():
        policy = parse_policy(answer)
        assert (policy["default-src"], policy["frame-ancestors"]) == (["'none'"], ["'none'"]), address
        assert {"'unsafe-inline'", "'unsafe-eval'"}.isdisjoint(policy.get("script-src", [])), address
        assert answer.headers["X-Frame-Options"] == "DENY", address
        assert answer.headers["X-Content-Type-Options"] == "nosniff", address
        assert answer.headers["Referrer-Policy"] == "no-referrer", address


def test_api_docs_page_policy_allows_only_its_own_script(shared_registry: Harness) -> None:
    first, second = (shared_registry.client.get("/docs") for _ in range(2))
    [nonce] = re.findall(r'<script nonce="([^"]+)">', first.text)
    assert f"'nonce-{nonce}'" in parse_policy(first)["script-src"]
    assert f"'nonce-{nonce}'" not in parse_policy(second)["script-src"]
    scripts = re.findall(r"<script([^>]*)>", first.text)
    assert all("nonce=" in script or 'src="/docs/assets/' in script for script in scripts)


def test_non_html_response_policy_allows_nothing(shared_registry: Harness) -> None:
    for address in ("/healthz", "/api/v1/models", "/api/v1/openapi.json", "/api/v1/nothing"):
        assert parse_policy(shared_registry.client.get(address))["default-src"] == ["'none'"], address


def test_scripts_and_styles_forbid_type_sniffing_and_have_no_headers_of_pages(shared_registry: Harness) -> None:
    names = re.findall(r'(?:src|href)="(/docs/assets/[^"]+\.(?:js|css))"', shared_registry.client.get("/docs").text)
    assert {name.rpartition(".")[2] for name in names} == {"js", "css"}
    for name in names:
        answer = shared_registry.client.get(name)
        assert answer.status_code == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert {"content-security-policy", "x-frame-options", "referrer-policy"}.isdisjoint(answer.headers), name
