"""What the runs of the suite stand on: namespaces under Pod Security `restricted`, an S3 server, seed data in it.

Everything is made inside the cluster by pods of the project's own images, so that neither a bucket nor a registry of
test images nor a way into the pod network is needed.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from real_cluster.api import Api, Object, until

TESTS: Final = Path(__file__).parents[1]
DATA: Final = TESTS.parent / "examples" / "quickstart" / "data"
LABEL: Final = "selfreward.dev/suite"
SEEDED: Final = "selfreward.dev/suite-seeded"
BUCKET: Final = "suite"
CREDENTIALS: Final = "bucket"
"""Secret with what a client of the S3 server needs; in every namespace of the suite."""
FILES: Final = "suite-files"
"""ConfigMap with the scripts and data that the suite's pods use, mounted at :data:`PLACE`."""
PLACE: Final = "/suite"
_SCRIPTS: Final = (
    *(TESTS / "real_cluster" / "pods" / name for name in ("seed.py", "look.py", "copy_object.py", "stranger.py")),
    *(
        TESTS / "steps" / name
        for name in ("tiny_model.py", "openai_server.py", "server_faults.py", "plausible_model.py")
    ),
    *(DATA / f"{name}.jsonl" for name in ("instructions", "rankings", "eft")),
)
SERVICE_PORT: Final = 5000


@dataclass(frozen=True)
class Images:
    """Image names, as the chart would put them together from the same variables."""

    registry: str = os.environ.get("IMAGE_REGISTRY", "localhost")
    tag: str = os.environ.get("IMAGE_TAG", "0.1.0")
    s3: str = os.environ.get("S3_IMAGE", "motoserver/moto:latest")
    """Must bring `moto_server`."""

    def of(self, role: str) -> str:
        """The image of `operator`, `generator`, `judge` or `trainer`."""
        return f"{self.registry + '/' if self.registry else ''}selfreward/{role}:{self.tag}"


@dataclass(frozen=True)
class Ground:
    """The suite's namespaces and what stands in them."""

    api: Api
    images: Images
    home: str
    """Namespace of the operator and the S3 server."""

    @property
    def endpoint(self) -> str:
        """The S3 server, as pods of every namespace reach it."""
        return f"http://s3.{self.home}:{SERVICE_PORT}"

    async def prepare(self) -> None:
        """Namespace, S3 server and seed data; what is there from an earlier session is used again."""
        await self.open(self.home)
        await self.api.apply(_s3_service(self.home))
        await self.api.apply(self._s3_server())
        await until(self._s3_answers, "the S3 server runs", 300)
        (server,) = [pod for pod in await self.api.list("Pod", self.home, "app=s3") if not _is_going(pod)]
        # It keeps what it is given for as long as it lives, and no longer.
        if server["metadata"]["labels"].get(SEEDED) is None:
            said = await self.run_script(self.home, "trainer", ["seed.py", BUCKET])
            assert "seed/model/model.safetensors" in said, said
            seeded = {"metadata": {"labels": {SEEDED: "true"}}}
            await self.api.merge("Pod", self.home, server["metadata"]["name"], seeded)

    async def open(self, namespace: str, *, credentials: bool = True) -> str:
        """A namespace under `restricted` with what the runs in it refer to; returns its name."""
        await self.api.apply(_namespace(namespace))
        await self.api.apply(_files(namespace))
        if credentials:
            await self.api.apply(self.credentials(namespace))
        return namespace

    async def close(self, namespace: str) -> None:
        """Remove a namespace and wait until it is gone."""
        await self.api.delete("Namespace", None, namespace)

        async def is_gone() -> bool:
            return await self.api.get("Namespace", None, namespace) is None

        await until(is_gone, f"namespace {namespace} is gone", 300)

    def credentials(self, namespace: str) -> Object:
        """The Secret that `spec.storage.secret` names."""
        data = {
            "AWS_ACCESS_KEY_ID": "suite",
            "AWS_SECRET_ACCESS_KEY": "suite-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
        }
        return _object("v1", "Secret", namespace, CREDENTIALS, stringData=data)

    async def look(self, uri: str) -> dict[str, Any]:
        """What the store holds under `uri`; see pods/look.py."""
        said = await self.run_script(self.home, "judge", ["look.py", uri])
        return json.loads(said.strip().splitlines()[-1])

    async def run_script(self, namespace: str, role: str, command: Sequence[str]) -> str:
        """Run one of pods/ to its end in an image of the project; returns what it printed."""
        name = f"{command[0].removesuffix('.py').replace('_', '-')}-{uuid.uuid4().hex[:6]}"
        script = ["python3", f"{PLACE}/{command[0]}", *command[1:]]
        pod = _pod(self.images.of(role), script, restart="Never")
        await self.api.create({**_object("v1", "Pod", namespace, name), "spec": pod})

        async def has_ended() -> bool:
            found = await self.api.get("Pod", namespace, name)
            return (found or {}).get("status", {}).get("phase") in ("Succeeded", "Failed")

        await until(has_ended, f"{command[0]} ends", 600)
        said = await self.api.log(namespace, name)
        ended = await self.api.get("Pod", namespace, name)
        assert ended is not None
        assert ended["status"]["phase"] == "Succeeded", said
        await self.api.delete("Pod", namespace, name)
        return said

    def _s3_server(self) -> Object:
        labels = {"app": "s3"}
        command = ["moto_server", "-H", "0.0.0.0", "-p", str(SERVICE_PORT)]
        pod = _pod(self.images.s3, command, restart="Always")
        # It would take the Service's name for a bucket's.
        pod["containers"][0]["env"].append({"name": "S3_IGNORE_SUBDOMAIN_BUCKETNAME", "value": "true"})
        pod["containers"][0]["ports"] = [{"containerPort": SERVICE_PORT}]
        pod["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": SERVICE_PORT}, "periodSeconds": 2}
        template = {"metadata": {"labels": labels}, "spec": pod}
        # Two servers would hold two buckets.
        spec = {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": template,
        }
        return _object("apps/v1", "Deployment", self.home, "s3", spec=spec)

    async def _s3_answers(self) -> bool:
        found = await self.api.get("Deployment", self.home, "s3")
        return bool((found or {}).get("status", {}).get("readyReplicas"))


def files_volume() -> tuple[Object, Object]:
    """Volume and mount of the suite's files."""
    return {"name": FILES, "configMap": {"name": FILES}}, {"name": FILES, "mountPath": PLACE}


def _is_going(item: Object) -> bool:
    return item["metadata"].get("deletionTimestamp") is not None


def _object(api_version: str, kind: str, namespace: str | None, name: str, **content: Any) -> Object:
    metadata = {"name": name, "labels": {LABEL: "true"}}
    if namespace is not None:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def _namespace(name: str) -> Object:
    made = _object("v1", "Namespace", None, name)
    # What a pod may not do under `restricted` the API server refuses, and what it would only warn of too.
    made["metadata"]["labels"] |= {
        f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")
    }
    return made


def _files(namespace: str) -> Object:
    data: Mapping[str, str] = {path.name: path.read_text(encoding="utf-8") for path in _SCRIPTS}
    return _object("v1", "ConfigMap", namespace, FILES, data=data)


def _s3_service(namespace: str) -> Object:
    spec = {"selector": {"app": "s3"}, "ports": [{"port": SERVICE_PORT, "targetPort": SERVICE_PORT}]}
    return _object("v1", "Service", namespace, "s3", spec=spec)


def _pod(image: str, command: Sequence[str], *, restart: str) -> Object:
    volume, mount = files_volume()
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "USER", "value": "suite"}],
        "envFrom": [{"secretRef": {"name": CREDENTIALS}}],
        "volumeMounts": [mount, {"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "restartPolicy": restart,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [volume, {"name": "tmp", "emptyDir": {}}],
    }
