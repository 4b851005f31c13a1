"""Secrets of a run, and the environment variables of its steps that they become. The operator reads none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from selfreward_steps.contract import (
    SERVING_KEY,
    TEMPLATE_VARIABLE,
    EvaluationJudge,
    JudgeModel,
    JudgeSettings,
    SecretKeyRef,
    StepName,
)

from selfreward.api import SelfRewardRun, SelfRewardRunSpec
from selfreward.plan import EVALUATION_IMPORT, Node
from selfreward.render.access import serving_key
from selfreward.render.metadata import Manifest
from selfreward.render.pods import value_from_config_map, value_from_secret
from selfreward.render.storage import storage_environment

JUDGE_KEY: Final = "SELFREWARD_JUDGE_API_KEY"
EVALUATION_JUDGE_KEY: Final = "SELFREWARD_EVALUATION_JUDGE_API_KEY"
SEED_ROLES: Final = ("instructions", "rankings", "eft", "prompts")
EVALUATION_ROLES: Final = ("held_out", "outside", "mt_bench", "safety_prompts")
"""Data by the step that imports it, as the step names it."""
PUBLISH_ROLE: Final = "publish"
_FIELDS: Final = {
    "model": "spec.model",
    "judge": "spec.judge.source",
    "prompts": "spec.prompts.source",
    "held_out": "spec.evaluation.source",
    "outside": "spec.evaluation.outside",
    "mt_bench": "spec.evaluation.mtBench",
    "safety_prompts": "spec.evaluation.safetyPrompts",
    "evaluation_judge": "spec.evaluation.judge.source",
    PUBLISH_ROLE: "spec.publish",
}
"""Where a source stands that is not in `spec.seedData`."""


@dataclass(frozen=True, slots=True)
class HubToken:
    """A hub token and the variable it stands in."""

    variable: str
    ref: SecretKeyRef


def hub_tokens(spec: SelfRewardRunSpec) -> dict[str, HubToken]:
    """Hub tokens by what they are for: `model`, `judge`, `evaluation_judge`, `publish` and the roles of the data."""
    data, mine = spec.seed_data, spec.evaluation
    judge = spec.judge.source if spec.judge.model is JudgeModel.MODEL else None
    sources = {
        "model": spec.model,
        "judge": judge,
        "instructions": data.instructions,
        "rankings": data.rankings,
        "eft": data.eft,
        "prompts": spec.prompts.source,
        "held_out": mine.source,
        "outside": mine.outside,
        "mt_bench": mine.mt_bench,
        "safety_prompts": mine.safety_prompts,
        "evaluation_judge": mine.judge.source if mine.judge.model is JudgeModel.MODEL else None,
        PUBLISH_ROLE: spec.publish,
    }
    return {
        role: HubToken(f"SELFREWARD_TOKEN_{role.upper()}", source.token_secret_ref)
        for role, source in sources.items()
        if source is not None and source.token_secret_ref is not None
    }


def secret_refs(spec: SelfRewardRunSpec) -> dict[str, SecretKeyRef]:
    """Every single key of the user's that the run's steps and servers read, by the field that names it."""
    found = {
        f"{_FIELDS.get(role, f'spec.seedData.{role}')}.tokenSecretRef": token.ref
        for role, token in hub_tokens(spec).items()
    }
    if spec.serving.api_key_secret_ref is not None:
        found["spec.serving.apiKeySecretRef"] = spec.serving.api_key_secret_ref
    for field, judge in (("judge", spec.judge), ("evaluation.judge", spec.evaluation.judge)):
        if (ref := _endpoint_key(judge)) is not None:
            found[f"spec.{field}.endpoint.apiKeySecretRef"] = ref
    return found


def _endpoint_key(judge: JudgeSettings | EvaluationJudge) -> SecretKeyRef | None:
    """The key of the judge's outside endpoint, if it has one."""
    endpoint = judge.endpoint if judge.model is JudgeModel.ENDPOINT else None
    return None if endpoint is None else endpoint.api_key_secret_ref


def step_secrets(run: SelfRewardRun, node: Node) -> list[Manifest]:
    """The `env` entries with the secrets that this step, and no other, needs."""
    spec = run.spec
    found = []
    found += [
        value_from_secret(token.variable, token.ref) for role, token in hub_tokens(spec).items() if _needs(node, role)
    ]
    if node.step is StepName.IMPORT:
        template = spec.judge.imported_template if node.key != EVALUATION_IMPORT else None
        if template is not None and template.config_map_ref is not None:
            found.append(value_from_config_map(TEMPLATE_VARIABLE, template.config_map_ref))
    key = serving_key(run) if node.serving is not None else None
    if key is not None:
        found.append(value_from_secret(SERVING_KEY, key))
    if node.step is StepName.JUDGE and (ref := _endpoint_key(spec.judge)) is not None:
        found.append(value_from_secret(JUDGE_KEY, ref))
    compares = node.step is StepName.EVALUATE and node.serving is None
    if compares and (ref := _endpoint_key(spec.evaluation.judge)) is not None:
        found.append(value_from_secret(EVALUATION_JUDGE_KEY, ref))
    return found


def _needs(node: Node, role: str) -> bool:
    """Whether the step asks a hub with the token of that role."""
    if role == PUBLISH_ROLE:
        return node.step is StepName.PUBLISH
    mine = {*EVALUATION_ROLES, "evaluation_judge"}
    return node.step is StepName.IMPORT and (role in mine) is (node.key == EVALUATION_IMPORT)


def step_environment_from(run: SelfRewardRun, node: Node) -> list[Manifest]:
    """The `envFrom` entries: S3 credentials for every step, the trackers' for those that train."""
    found = storage_environment(run.spec.storage)
    tracker = run.spec.training.tracker_secret
    if node.step in (StepName.SFT_BASELINE, StepName.SFT, StepName.DPO) and tracker is not None:
        found.append({"secretRef": {"name": tracker}})
    return found
