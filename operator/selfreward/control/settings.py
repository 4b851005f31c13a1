"""Settings of the operator's process: flags, each with an environment variable beside it for the chart."""

from __future__ import annotations

import argparse
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from selfreward.control.defaults import RunDefaults, read_workloads
from selfreward.control.storage import StoragePolicy
from selfreward.render import Images


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, read once when the process starts."""

    namespaces: tuple[str, ...] = ()
    """Watched namespaces; all of them when empty."""
    images: Images = field(default_factory=Images)
    storage: StoragePolicy = field(default_factory=StoragePolicy)
    """Storage of runs that name none, and which runs may name."""
    defaults: RunDefaults = field(default_factory=RunDefaults)
    """Queue and placement of runs that say nothing of them."""
    workers: int = 8
    """Runs looked at at the same time."""
    identity: str = ""
    """This replica's name in the Lease."""
    lease_namespace: str = "default"
    lease_name: str = "selfreward-operator"
    elect: bool = True
    """Whether to lead only with the Lease."""
    port: int = 8080
    """Port of /healthz, /readyz and /metrics."""
    stuck_seconds: float = 600.0
    """A run that waits longer than this for a look makes the process unhealthy."""
    log_format: str = "json"
    log_level: str = "info"
    run_series: int = 1000
    """Runs that have metrics of their own, at most."""


LOG_FORMATS: Final = ("json", "text")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")

_FLAGS: Final[Mapping[str, tuple[str, str]]] = {
    "namespaces": ("SELFREWARD_NAMESPACES", "comma-separated namespaces to watch; all of them when empty"),
    "generator-image": ("SELFREWARD_GENERATOR_IMAGE", "default image of inference servers"),
    "judge-image": ("SELFREWARD_JUDGE_IMAGE", "default image of the steps without torch"),
    "trainer-image": ("SELFREWARD_TRAINER_IMAGE", "default image of the steps with torch"),
    "storage-uri": ("SELFREWARD_STORAGE_URI", "storage of runs that name none, such as s3://BUCKET/PREFIX"),
    "storage-endpoint-url": ("SELFREWARD_STORAGE_ENDPOINT_URL", "its S3 endpoint; AWS when empty"),
    "storage-region": ("SELFREWARD_STORAGE_REGION", "its S3 region"),
    "storage-endpoints": (
        "SELFREWARD_STORAGE_ENDPOINTS",
        "comma-separated S3 endpoints that runs may name beside it: the operator's credentials go there; * for any",
    ),
    "storage-allowed": (
        "SELFREWARD_STORAGE_ALLOWED",
        "comma-separated prefixes that spec.storage.uri must begin with, each of all namespaces or as NAMESPACE=PREFIX",
    ),
    "queue": ("SELFREWARD_QUEUE", "Kueue's LocalQueue of runs without the label kueue.x-k8s.io/queue-name"),
    "workloads": (
        "SELFREWARD_WORKLOADS",
        'JSON of what spec.workloads of runs leaves out, such as {"training": {"nodeSelector": {"pool": "gpu"}}}',
    ),
    "workers": ("SELFREWARD_WORKERS", "runs looked at at the same time (8)"),
    "identity": ("POD_NAME", "this replica's name in the Lease"),
    "lease-namespace": ("POD_NAMESPACE", "namespace of the Lease"),
    "lease-name": ("SELFREWARD_LEASE_NAME", "name of the Lease"),
    "port": ("SELFREWARD_PORT", "port of /healthz, /readyz and /metrics (8080)"),
    "log-format": ("SELFREWARD_LOG_FORMAT", "json or text (json)"),
    "log-level": ("SELFREWARD_LOG_LEVEL", "debug, info, warning or error (info)"),
    "run-series": ("SELFREWARD_RUN_SERIES", "runs that have metrics of their own, at most (1000); 0 for none"),
}


def read_settings(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from a command line and the environment; a flag wins. Exits with a usage message on a bad one."""
    environment = os.environ if environment is None else environment
    parser = argparse.ArgumentParser(prog="python -m selfreward.control", description=__doc__)
    for flag, (variable, text) in _FLAGS.items():
        parser.add_argument(f"--{flag}", default=environment.get(variable, ""), help=f"{text} [{variable}]")
    parser.add_argument("--no-leader-election", action="store_true", help="act without the Lease: one replica only")
    given = parser.parse_args(arguments)
    default = Settings()
    images = {role: getattr(given, f"{role}_image") for role in ("generator", "judge", "trainer")}
    try:
        workloads = read_workloads(given.workloads or "{}")
    except ValueError as error:
        parser.error(f"--workloads: {error}")
    return Settings(
        namespaces=_listed(given.namespaces),
        images=Images(**{role: image for role, image in images.items() if image}),
        storage=StoragePolicy(
            uri=given.storage_uri or None,
            endpoint_url=given.storage_endpoint_url or None,
            region=given.storage_region or None,
            endpoints=_listed(given.storage_endpoints),
            allowed=_listed(given.storage_allowed),
        ),
        defaults=RunDefaults(queue=given.queue or None, workloads=workloads),
        workers=_number(parser, "workers", given.workers, default.workers),
        identity=given.identity or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        lease_namespace=given.lease_namespace or default.lease_namespace,
        lease_name=given.lease_name or default.lease_name,
        elect=not given.no_leader_election,
        port=_number(parser, "port", given.port, default.port),
        log_format=_one_of(parser, "log-format", given.log_format or default.log_format, LOG_FORMATS),
        log_level=_one_of(parser, "log-level", given.log_level or default.log_level, LOG_LEVELS),
        run_series=_number(parser, "run-series", given.run_series, default.run_series, least=0),
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _number(parser: argparse.ArgumentParser, flag: str, text: str, default: int, least: int = 1) -> int:
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        parser.error(f"--{flag}: {text}: must be a whole number of at least {least}")
    return int(text)


def _one_of(parser: argparse.ArgumentParser, flag: str, text: str, known: Sequence[str]) -> str:
    if text not in known:
        parser.error(f"--{flag}: {text}: must be {', '.join(known[:-1])} or {known[-1]}")
    return text
