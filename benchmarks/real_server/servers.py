"""A real API server of one's own: etcd, kube-apiserver and kube-controller-manager as processes, on ports of their own.

No node, no scheduler: :mod:`player` binds the pods and says how they end. Needs the binaries of a Kubernetes release in
one folder, and `etcd` and `openssl` on the path. What the operator asks is written to an audit log.
"""

from __future__ import annotations

import json
import secrets
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

CRD: Final = Path(__file__).parents[2] / "crds" / "selfreward.dev_selfrewardruns.yaml"
OPERATOR: Final = "operator"
PLAYER: Final = "player"
_PATIENCE: Final = 120.0
_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "users": [OPERATOR]}, {"level": "None"}],
}
# Its schema is the training operator's matter; here only its place in the API is.
_PYTORCH_JOBS: Final = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "pytorchjobs.kubeflow.org",
        "annotations": {"api-approved.kubernetes.io": "unapproved, for a benchmark"},
    },
    "spec": {
        "group": "kubeflow.org",
        "names": {
            "kind": "PyTorchJob",
            "plural": "pytorchjobs",
            "singular": "pytorchjob",
            "listKind": "PyTorchJobList",
        },
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


class Servers:
    """The processes, their addresses and who may ask."""

    def __init__(self, folder: Path, binaries: Path, port: int) -> None:
        self.folder = folder
        self.url = f"https://127.0.0.1:{port}"
        self.audit = folder / "audit.log"
        self.tokens = {user: secrets.token_hex(16) for user in ("admin", OPERATOR, PLAYER)}
        self._binaries = binaries
        self._port = port
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def kubeconfig(self, user: str) -> Path:
        """A file with which `user` comes in, every one an administrator."""
        path = self.folder / f"{user}.kubeconfig"
        cluster = {"server": self.url, "insecure-skip-tls-verify": True}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": user}}],
            "current-context": "here",
        }
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request as the administrator; raises urllib's HTTPError."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.tokens['admin']}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=unverified(), timeout=30) as answer:
            return json.loads(answer.read() or b"{}")

    def start(self) -> None:
        """Start all, and return once runs can be created."""
        etcd = f"http://127.0.0.1:{self._port + 1}"
        peer = f"http://127.0.0.1:{self._port + 2}"
        self._run(
            "etcd",
            *("etcd", "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync"),
            *("--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer),
            *("--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
        )
        key = self.folder / "sa.key"
        for command in (
            ["genrsa", "-out", str(key), "2048"],
            ["rsa", "-in", str(key), "-pubout", "-out", f"{key}.pub"],
        ):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        (self.folder / "policy.yaml").write_text(yaml.safe_dump(_POLICY))
        tokens = "".join(f"{token},{user},{user},system:masters\n" for user, token in self.tokens.items())
        (self.folder / "tokens.csv").write_text(tokens)
        self._run(
            "kube-apiserver",
            *(str(self._binaries / "kube-apiserver"), f"--etcd-servers={etcd}", f"--secure-port={self._port}"),
            *(
                "--bind-address=127.0.0.1",
                f"--cert-dir={self.folder}/pki",
                f"--token-auth-file={self.folder}/tokens.csv",
            ),
            *("--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16"),
            *("--service-account-issuer=https://here", f"--service-account-key-file={key}.pub"),
            *(f"--service-account-signing-key-file={key}", f"--audit-policy-file={self.folder}/policy.yaml"),
            *(f"--audit-log-path={self.audit}", "--audit-log-mode=batch"),
        )
        _until(lambda: self.ask("GET", "/api/v1/namespaces/default"))
        self._run(
            "kube-controller-manager",
            *(str(self._binaries / "kube-controller-manager"), f"--kubeconfig={self.kubeconfig('admin')}"),
            *("--leader-elect=false", "--authentication-skip-lookup", f"--secure-port={self._port + 3}"),
            *(f"--service-account-private-key-file={key}", "--kube-api-qps=500", "--kube-api-burst=1000"),
            # The one node is the player's, which has no lease to renew.
            "--controllers=*,-node-lifecycle-controller,-node-ipam-controller,-cloud-node-lifecycle-controller",
            *("--concurrent-job-syncs=10", "--concurrent-deployment-syncs=10", "--concurrent-gc-syncs=20"),
        )
        for definition in (yaml.safe_load(CRD.read_text(encoding="utf-8")), _PYTORCH_JOBS):
            self.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        _until(lambda: self.ask("GET", "/apis/selfreward.dev/v1alpha1/selfrewardruns"))
        _until(lambda: self.ask("GET", "/apis/kubeflow.org/v1/pytorchjobs"))
        _until(lambda: self.ask("GET", "/api/v1/namespaces/default/serviceaccounts/default"))

    def stop(self) -> None:
        """End all, the store last."""
        for process in reversed(self.processes.values()):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _run(self, name: str, *command: str) -> None:
        log = (self.folder / f"{name}.log").open("wb")
        self.processes[name] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


@contextmanager
def servers(folder: Path, binaries: Path, port: int) -> Iterator[Servers]:
    """The processes for as long as the context lasts."""
    made = Servers(folder, binaries, port)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def unverified() -> ssl.SSLContext:
    """TLS to a server on this machine that has signed itself."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _until(works: Callable[[], Any]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            works()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
