"""The environment's proxies (HTTP_PROXY, ALL_PROXY and so on): what is asked through them, and what is wrong with them.

A proxy is for what lies outside. It cannot reach this machine's loopback or a cluster's Services, and where it catches
them a run waits for hours.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
from typing import Final
from urllib.parse import urlsplit

from selfreward_steps.errors import PermanentError

_SOCKS: Final = ("socks5", "socks5h")
"""Schemes that httpx speaks with the package socksio."""
_VARIABLES: Final = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


def is_inside(url: str) -> bool:
    """Whether `url` is of this machine's loopback or of a Service of the cluster."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        within = host.endswith((".svc", ".cluster.local", ".localhost")) or ".svc." in host
        return within or "." not in host


def require_proxies() -> None:
    """Raise PermanentError BadProxy when a variable names a proxy that nothing here can speak to."""
    known = ("http", "https", *(_SOCKS if importlib.util.find_spec("socksio") else ()))
    for variable in (each for name in _VARIABLES for each in (name, name.lower())):
        scheme, colons, _ = os.environ.get(variable, "").partition("://")
        if colons and scheme.lower() not in known:
            more = ", install the package socksio" if scheme.lower() in _SOCKS else ""
            raise PermanentError(
                "BadProxy",
                f"environment variable {variable}: a proxy of scheme {scheme}:// cannot be used: give one of http://"
                f"{more}, or take the variable away",
            )
