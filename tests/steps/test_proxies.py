"""What lies inside is asked directly, and a proxy that cannot be used is told in one line."""

import pytest
from selfreward_steps.errors import PermanentError
from selfreward_steps.proxies import is_inside, require_proxies


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.3.2.1/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://localhost:8000/v1", True),
        ("http://demo-m1:8000/v1", True),
        ("http://demo-m1.team.svc:8000/v1", True),
        ("http://demo-m1.team.svc.cluster.local.:8000/v1", True),
        ("http://demo-m1.team.svc.k8s.example.com/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://10.0.0.7:8000/v1", False),
        ("https://svc.example.com/v1", False),
        ("https://localhost.example.com/v1", False),
    ],
)
def test_loopback_and_services_are_inside(url: str, inside: bool) -> None:
    assert is_inside(url) is inside


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "http_proxy"])
@pytest.mark.parametrize("scheme", ["socks", "socks4", "ftp"])
def test_a_proxy_that_nothing_speaks_to_is_named(variable: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, f"{scheme}://user:secret@proxy:1080")
    with pytest.raises(PermanentError) as caught:
        require_proxies()
    assert str(caught.value).startswith(
        f"environment variable {variable}: a proxy of scheme {scheme}:// cannot be used"
    )
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("installed", [True, False])
def test_socks_needs_its_package(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy:1080")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed else None)
    if installed:
        require_proxies()
    else:
        with pytest.raises(PermanentError, match="install the package socksio"):
            require_proxies()


@pytest.mark.parametrize("value", ["", "http://proxy:3128", "https://proxy", "proxy:3128"])
def test_proxies_that_can_be_used(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    require_proxies()
