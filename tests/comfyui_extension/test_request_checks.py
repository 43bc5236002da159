import pytest

from modelyard_bridge.request_checks import find_refusal, is_own_host, list_own_names

NAMES = frozenset({"localhost", "render-07"})
OWN = {
    "Host": "127.0.0.1:8188",
    "Origin": "http://127.0.0.1:8188",
    "Content-Type": "application/json",
    "X-Modelyard": "1",
    "Sec-Fetch-Site": "same-origin",
}


def change(**headers: str | None) -> dict[str, str]:
    """Return the headers of the page's own requests, with these changed, or left out if None."""
    changed = OWN | {name.replace("_", "-"): value for name, value in headers.items()}
    return {name: value for name, value in changed.items() if value is not None}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(change(), id="own"),
        pytest.param(change(Sec_Fetch_Site=None), id="browser-without-fetch-metadata"),
        pytest.param(change(Content_Type="application/json; charset=utf-8"), id="with-charset"),
        pytest.param(change(Host="localhost:8188", Origin="http://localhost:8188"), id="localhost"),
        pytest.param(change(Host="Render-07", Origin="https://render-07"), id="machine-behind-proxy"),
        pytest.param(change(Host="[::1]:8188", Origin="http://[::1]:8188"), id="ipv6"),
        pytest.param(change(Host="192.168.1.20:8188", Origin="http://192.168.1.20:8188"), id="local-network"),
    ],
)
def test_check_request_of_own_page_is_accepted(headers: dict[str, str]) -> None:
    assert find_refusal(headers, NAMES) is None


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(change(Content_Type="text/plain"), id="simple-content-type"),
        pytest.param(change(Content_Type=None), id="no-content-type"),
        pytest.param(change(X_Modelyard=None), id="no-own-header"),
        pytest.param(change(X_Modelyard="0"), id="wrong-own-header"),
        pytest.param(change(Origin=None), id="no-origin"),
        pytest.param(change(Origin="null"), id="opaque-origin"),
        pytest.param(change(Origin="http://127.0.0.1:9999"), id="other-port"),
        pytest.param(change(Origin="http://localhost:8188"), id="other-name-of-this-machine"),
        pytest.param(change(Origin="http://127.0.0.1:8188.evil.test"), id="origin-that-begins-the-same"),
        pytest.param(change(Origin="file://127.0.0.1:8188"), id="other-scheme"),
        pytest.param(change(Sec_Fetch_Site="cross-site"), id="cross-site"),
        pytest.param(change(Sec_Fetch_Site="same-site"), id="same-site"),
        pytest.param(change(Sec_Fetch_Site="none"), id="address-bar"),
        pytest.param(change(Host="evil.test", Origin="http://evil.test"), id="dns-rebinding"),
        pytest.param(change(Host="127.0.0.1.evil.test", Origin="http://127.0.0.1.evil.test"), id="rebinding-like-ip"),
        pytest.param(change(Host=None, Origin="http://"), id="no-host"),
    ],
)
def test_check_request_from_elsewhere_is_refused(headers: dict[str, str]) -> None:
    assert find_refusal(headers, NAMES)


@pytest.mark.parametrize("host", ["", ":8188", "localhost:port", "user@localhost", "localhost/path", "[::1", "a b"])
def test_is_own_host_malformed_header_returns_false(host: str) -> None:
    assert not is_own_host(host, NAMES)


def test_list_own_names_adds_those_of_the_setting() -> None:
    names = list_own_names({"MODELYARD_COMFYUI_HOSTS": "Comfy.Studio.test, ,art.test"})
    assert {"localhost", "comfy.studio.test", "art.test"} <= names
    assert "" not in names
