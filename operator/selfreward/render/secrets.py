"""Which secret becomes which environment variable of which step. The operator itself reads no secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from selfreward_steps.contract import JudgeModel, SecretKeyRef, StepName

from selfreward.api import SelfRewardRun, SelfRewardRunSpec
from selfreward.plan import Node
from selfreward.render.access import serving_key
from selfreward.render.metadata import Manifest
from selfreward.render.pods import value_from_secret
from selfreward.render.storage import storage_environment

SERVING_KEY: Final = "VLLM_API_KEY"
"""Read by vLLM as the key to ask for, and by the clients as the key to give."""
JUDGE_KEY: Final = "SELFREWARD_JUDGE_API_KEY"


@dataclass(frozen=True, slots=True)
class HubToken:
    """A hub token and the variable it stands in."""

    variable: str
    ref: SecretKeyRef


def hub_tokens(spec: SelfRewardRunSpec) -> dict[str, HubToken]:
    """Hub tokens by what they are for: `model`, `judge` and the roles of the seed data."""
    data = spec.seed_data
    judge = spec.judge.source if spec.judge.model is JudgeModel.MODEL else None
    sources = {
        "model": spec.model,
        "judge": judge,
        "instructions": data.instructions,
        "rankings": data.rankings,
        "eft": data.eft,
        "prompts": spec.prompts.source,
    }
    return {
        role: HubToken(f"SELFREWARD_TOKEN_{role.upper()}", source.token_secret_ref)
        for role, source in sources.items()
        if source is not None and source.token_secret_ref is not None
    }


def secret_refs(spec: SelfRewardRunSpec) -> dict[str, SecretKeyRef]:
    """Every single key of the user's that the run's steps and servers read, by the field that names it."""
    fields = {
        "model": "spec.model",
        "judge": "spec.judge.source",
        "prompts": "spec.prompts.source",
    }
    found = {
        f"{fields.get(role, f'spec.seedData.{role}')}.tokenSecretRef": token.ref
        for role, token in hub_tokens(spec).items()
    }
    if spec.serving.api_key_secret_ref is not None:
        found["spec.serving.apiKeySecretRef"] = spec.serving.api_key_secret_ref
    endpoint = spec.judge.endpoint if spec.judge.model is JudgeModel.ENDPOINT else None
    if endpoint is not None and endpoint.api_key_secret_ref is not None:
        found["spec.judge.endpoint.apiKeySecretRef"] = endpoint.api_key_secret_ref
    return found


def step_secrets(run: SelfRewardRun, node: Node) -> list[Manifest]:
    """The `env` entries with the secrets that this step, and no other, needs."""
    spec = run.spec
    found = []
    if node.step is StepName.IMPORT:
        found += [value_from_secret(token.variable, token.ref) for token in hub_tokens(spec).values()]
    key = serving_key(run) if node.serving is not None else None
    if key is not None:
        found.append(value_from_secret(SERVING_KEY, key))
    endpoint = spec.judge.endpoint if spec.judge.model is JudgeModel.ENDPOINT else None
    if node.step is StepName.JUDGE and endpoint is not None and endpoint.api_key_secret_ref is not None:
        found.append(value_from_secret(JUDGE_KEY, endpoint.api_key_secret_ref))
    return found


def step_environment_from(run: SelfRewardRun, node: Node) -> list[Manifest]:
    """The `envFrom` entries: S3 credentials for every step, the trackers' for those that train."""
    found = storage_environment(run.spec.storage)
    tracker = run.spec.training.tracker_secret
    if node.step in (StepName.SFT_BASELINE, StepName.SFT, StepName.DPO) and tracker is not None:
        found.append({"secretRef": {"name": tracker}})
    return found
