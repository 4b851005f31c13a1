"""The complete configuration of a step, as it stands in the pod's environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from selfreward_steps.contract import (
    SERVING_KEY,
    DpoConfig,
    EftConfig,
    EvaluateConfig,
    ImportConfig,
    JudgeConfig,
    JudgeEndpoint,
    JudgeModel,
    ModelImport,
    PairsConfig,
    PromptsConfig,
    PublishConfig,
    RespondConfig,
    SelectConfig,
    ServingEndpoint,
    SftConfig,
    StepConfig,
    StepName,
    ValidationPrompts,
    artifact_names,
)
from selfreward_steps.contract.artifact_names import IterationArtifact

from selfreward.api import SelfRewardRun
from selfreward.plan import BASELINE_EVALUATION_KEY, EVALUATION_IMPORT, CreateStep, Node
from selfreward.render.access import serving_key
from selfreward.render.memory import memory_limits
from selfreward.render.metadata import service_url
from selfreward.render.secrets import (
    EVALUATION_JUDGE_KEY,
    EVALUATION_ROLES,
    JUDGE_KEY,
    PUBLISH_ROLE,
    SEED_ROLES,
    hub_tokens,
)
from selfreward.render.storage import store_config

_IMPORTED: Final = {str(StepName.IMPORT): artifact_names.SEED, EVALUATION_IMPORT: artifact_names.EVALUATION_DATA}
"""The data that an import commits beside models, by the step's key; there may be none."""


def step_config(run: SelfRewardRun, node: Node, create: CreateStep) -> StepConfig:
    """The configuration of one attempt at `node`; raises ValueError when the run has no storage yet."""
    return _CONFIGS[node.step](run, node, _common(run, node, create))


def _common(run: SelfRewardRun, node: Node, create: CreateStep) -> dict[str, Any]:
    return {
        "run": run.metadata.name,
        "iteration": node.iteration or None,
        "attempt": create.attempt,
        "store": store_config(run),
        "inputs": dict(create.inputs),
        "output": _IMPORTED.get(node.key, node.output),
        "shards": node.shards,
        "random_seed": run.spec.random_seed,
    }


def _import(run: SelfRewardRun, node: Node, common: dict[str, Any]) -> ImportConfig:
    return _import_evaluation(run, common) if node.key == EVALUATION_IMPORT else _import_seed(run, common)


def _import_seed(run: SelfRewardRun, common: dict[str, Any]) -> ImportConfig:
    """The base model, the human data, and the judge that scores."""
    spec = run.spec
    tokens = hub_tokens(spec)

    def variable(role: str) -> str | None:
        return tokens[role].variable if role in tokens else None

    models = [ModelImport(source=spec.model, output=artifact_names.BASE_MODEL, token_variable=variable("model"))]
    if spec.judge.model is JudgeModel.MODEL and spec.judge.source is not None:
        judge = ModelImport(
            source=spec.judge.source, output=artifact_names.JUDGE_MODEL, token_variable=variable("judge")
        )
        models.append(judge)
    lowest, highest = spec.judge.score_range
    return ImportConfig(
        **common,
        models=models,
        min_score=lowest,
        max_score=highest,
        seed_data=spec.seed_data,
        prompts_source=spec.prompts,
        template=spec.judge.imported_template,
        judge=spec.judge,
        responses=spec.responses,
        max_model_length=spec.serving.max_model_length,
        token_variables={role: tokens[role].variable for role in SEED_ROLES if role in tokens},
        memory_limits=memory_limits(spec) or None,
    )


def _import_evaluation(run: SelfRewardRun, common: dict[str, Any]) -> ImportConfig:
    """What the user brings to the evaluation, and the judge that compares."""
    mine, tokens = run.spec.evaluation, hub_tokens(run.spec)
    models = []
    if mine.judge.model is JudgeModel.MODEL and mine.judge.source is not None:
        token = tokens.get("evaluation_judge")
        variable = None if token is None else token.variable
        judge = ModelImport(source=mine.judge.source, output=artifact_names.EVALUATION_JUDGE, token_variable=variable)
        models.append(judge)
    return ImportConfig(
        **common,
        models=models,
        evaluation=mine.data,
        token_variables={role: tokens[role].variable for role in EVALUATION_ROLES if role in tokens},
    )


def _sft(run: SelfRewardRun, node: Node, common: dict[str, Any]) -> SftConfig:
    training = run.spec.training
    return SftConfig(
        **common, step=node.step, settings=training.sft, judge=run.spec.judge, report_to=training.report_to
    )


def _eft(run: SelfRewardRun, node: Node, common: dict[str, Any]) -> EftConfig:
    serving = _optional_endpoint(run, node)
    return EftConfig(**common, settings=run.spec.eft, judge=run.spec.judge, serving=serving)


def _prompts(run: SelfRewardRun, node: Node, common: dict[str, Any]) -> PromptsConfig:
    selection = run.spec.training.dpo.selection
    aside = [ValidationPrompts(output=each, count=selection.prompts) for each in node.also_commits if selection]
    return PromptsConfig(
        **common,
        settings=run.spec.prompts,
        serving=_optional_endpoint(run, node),
        validation=next(iter(aside), None),
    )


def _respond(run: SelfRewardRun, node: Node, common: dict[str, Any]) -> RespondConfig:
    # The answers that are compared are drawn as those of an evaluation are.
    single = run.spec.evaluation.sampling if artifact_names.is_of_checkpoint(node.output) else None
    return RespondConfig(**common, settings=run.spec.responses, serving=_endpoint(run, node), single=single)


def _judge(run: SelfRewardRun, node: Node, common: dict[str, Any]) -> JudgeConfig:
    settings = run.spec.judge
    if node.output.endswith(IterationArtifact.ANCHOR_JUDGEMENTS):
        # M1's answers are there to be rejected: what is learnt of judging is learnt from the candidates.
        settings = settings.model_copy(update={"meta_judge": None})
    return JudgeConfig(**common, settings=settings, serving=_judge_endpoint(run, node))


def _pairs(run: SelfRewardRun, node: Node, common: dict[str, Any]) -> PairsConfig:
    spec = run.spec
    return PairsConfig(
        **common,
        settings=spec.preferences,
        max_score=spec.judge.score_range[1],
        tells_candidates=spec.training.dpo.consistency_weighted or spec.preferences.min_consistency is not None,
    )


def _dpo(run: SelfRewardRun, node: Node, common: dict[str, Any]) -> DpoConfig:
    training = run.spec.training
    return DpoConfig(
        **common,
        settings=training.dpo,
        min_consistency=run.spec.preferences.min_consistency,
        report_to=training.report_to,
        checkpoints=list(node.also_commits),
    )


def _select(run: SelfRewardRun, node: Node, common: dict[str, Any]) -> SelectConfig:
    return SelectConfig(**common, sampling=run.spec.judge.sampling, serving=_judge_endpoint(run, node))


def _evaluate(run: SelfRewardRun, node: Node, common: dict[str, Any]) -> EvaluateConfig:
    settings = run.spec.evaluation
    if node.key == BASELINE_EVALUATION_KEY:
        # Other tasks tell what is lost from M1 on.
        settings = settings.model_copy(update={"lm_eval": None})
    return EvaluateConfig(
        **common,
        settings=settings,
        judge=run.spec.judge,
        serving=_comparing_endpoint(run, node),
        compares=artifact_names.is_evaluation(node.output),
    )


def _publish(run: SelfRewardRun, node: Node, common: dict[str, Any]) -> PublishConfig:
    settings = run.spec.publish
    if settings is None:
        raise ValueError(f"step {node.key} has nowhere to push to")
    return PublishConfig(**common, settings=settings, token_variable=hub_tokens(run.spec)[PUBLISH_ROLE].variable)


_CONFIGS: Final[Mapping[StepName, Callable[[SelfRewardRun, Node, dict[str, Any]], StepConfig]]] = {
    StepName.IMPORT: _import,
    StepName.SFT_BASELINE: _sft,
    StepName.EFT: _eft,
    StepName.SFT: _sft,
    StepName.PROMPTS: _prompts,
    StepName.RESPOND: _respond,
    StepName.JUDGE: _judge,
    StepName.PAIRS: _pairs,
    StepName.DPO: _dpo,
    StepName.SELECT: _select,
    StepName.EVALUATE: _evaluate,
    StepName.PUBLISH: _publish,
}
"""The configuration of each step from the run, the node and what all steps have."""


def _endpoint(run: SelfRewardRun, node: Node) -> ServingEndpoint:
    """The server of the node's model; the model answers to its artifact's name."""
    if node.serving is None:
        raise ValueError(f"step {node.key} has no server")
    serving = run.spec.serving
    return ServingEndpoint(
        url=service_url(run, node.serving),
        model=node.serving,
        api_key_variable=SERVING_KEY if serving_key(run) is not None else None,
        concurrency=serving.concurrency,
        request_timeout_seconds=serving.request_timeout_seconds,
    )


def _optional_endpoint(run: SelfRewardRun, node: Node) -> ServingEndpoint | None:
    return None if node.serving is None else _endpoint(run, node)


def _judge_endpoint(run: SelfRewardRun, node: Node) -> ServingEndpoint:
    """The judge: a model of the run or an outside endpoint."""
    outside = run.spec.judge.endpoint
    if run.spec.judge.model is not JudgeModel.ENDPOINT or outside is None:
        return _endpoint(run, node)
    return _outside_endpoint(run, outside, JUDGE_KEY, "judge.endpoint")


def _comparing_endpoint(run: SelfRewardRun, node: Node) -> ServingEndpoint:
    """The evaluated model's server, or whoever compares what it has answered."""
    outside = run.spec.evaluation.judge.endpoint
    if node.serving is not None or outside is None:
        return _endpoint(run, node)
    return _outside_endpoint(run, outside, EVALUATION_JUDGE_KEY, "evaluation.judge.endpoint")


def _outside_endpoint(run: SelfRewardRun, outside: JudgeEndpoint, key: str, field: str) -> ServingEndpoint:
    return ServingEndpoint(
        url=outside.url,
        model=outside.model,
        api_key_variable=key if outside.api_key_secret_ref is not None else None,
        concurrency=run.spec.serving.concurrency,
        request_timeout_seconds=run.spec.serving.request_timeout_seconds,
        field=field,
    )
