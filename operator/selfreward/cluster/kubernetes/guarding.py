"""What keeps a run's servers to the run's own steps, made before the first server."""

from __future__ import annotations

import secrets

from selfreward.api import SelfRewardRun
from selfreward.cluster.kubernetes.client import KubernetesClient
from selfreward.cluster.kubernetes.resources import NETWORK_POLICIES, SECRETS
from selfreward.render import has_own_key, key_secret, network_policy


async def guard(client: KubernetesClient, run: SelfRewardRun) -> None:
    """Let nobody but the run's own steps ask its servers. Neither object is ever read: a Secret that is there is this
    run's, by its name, and a policy that is another's the API server does not let be taken over."""
    if has_own_key(run.spec.serving):
        await client.create_if_absent(SECRETS, key_secret(run, secrets.token_urlsafe(32)))
    await client.apply(NETWORK_POLICIES, network_policy(run))
