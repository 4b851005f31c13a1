"""Access to a run's servers: only the run's own pods ask them, with the run's own key.

vLLM asks for a key, so each run has one, in a Secret of its own, unless the user named another. A server that would
not read it (`spec.serving.command`, `transformers`) gets none; the NetworkPolicy stands before each of them.
"""

from __future__ import annotations

from typing import Final

from selfreward_steps.contract import SecretKeyRef

from selfreward.api import SelfRewardRun, Serving
from selfreward.plan import capped_name
from selfreward.render.metadata import COMPONENT, RUN_UID, SERVICE_PORT, Manifest, object_metadata

KEY: Final = "api-key"
"""The key's key in its Secret."""
_UID_LENGTH: Final = 8


def serving_key(run: SelfRewardRun) -> SecretKeyRef | None:
    """The key that the servers ask for and the steps give; None where a server asks for none."""
    if run.spec.serving.api_key_secret_ref is not None:
        return run.spec.serving.api_key_secret_ref
    return SecretKeyRef(name=_secret_name(run), key=KEY) if has_own_key(run.spec.serving) else None


def has_own_key(serving: Serving) -> bool:
    """Whether the run needs a key that nobody has made yet."""
    return serving.runs_vllm and serving.api_key_secret_ref is None


def key_secret(run: SelfRewardRun, key: str) -> Manifest:
    """The run's own Secret. Whoever makes it draws `key`; nobody needs to read it back."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": object_metadata(run, _secret_name(run), {COMPONENT: "access"}),
        "type": "Opaque",
        "immutable": True,
        "stringData": {KEY: key},
    }


def network_policy(run: SelfRewardRun) -> Manifest:
    """Only the run's steps reach its servers. Policies add up: who wants to scrape a server's metrics allows it beside
    this one. The kubelet's probes are not subject to policies."""
    owned = {RUN_UID: run.metadata.uid}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": object_metadata(run, capped_name(f"{run.metadata.name}-serve"), {COMPONENT: "access"}),
        "spec": {
            "podSelector": {"matchLabels": {**owned, COMPONENT: "serving"}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": {**owned, COMPONENT: "step"}}}],
                    "ports": [{"protocol": "TCP", "port": SERVICE_PORT}],
                }
            ],
        },
    }


def _secret_name(run: SelfRewardRun) -> str:
    """With the uid in it: an earlier run of the same name may still be going, and its key with it."""
    return capped_name(f"{run.metadata.name}-key-{run.metadata.uid[:_UID_LENGTH]}")
