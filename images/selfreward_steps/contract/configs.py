"""The typed configuration of each step, as it stands in the pod's environment.

A configuration is complete: a step reads no other setting. It names artifacts, never paths; the digests of the
inputs are pinned by the control plane, so a step cannot read something else than what was decided on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from selfreward_steps.contract.base import ContractModel, PositiveInt
from selfreward_steps.contract.endpoints import ServingEndpoint
from selfreward_steps.contract.evaluation import EvaluationData, EvaluationSettings
from selfreward_steps.contract.memory import MemoryLimit
from selfreward_steps.contract.publishing import Publishing
from selfreward_steps.contract.settings import (
    CustomTemplate,
    EftSettings,
    JudgeSettings,
    PairSettings,
    PromptSettings,
    ResponseSettings,
    Sampling,
)
from selfreward_steps.contract.sources import ModelSource, SeedData
from selfreward_steps.contract.training import DpoSettings, SftSettings

CONFIG_VARIABLE = "SELFREWARD_CONFIG"
"""Environment variable that holds the JSON configuration."""
SHARD_VARIABLE = "JOB_COMPLETION_INDEX"
"""Environment variable with the shard's index, set by Kubernetes in a pod of an Indexed Job."""


TEMPLATE_VARIABLE = "SELFREWARD_JUDGE_TEMPLATE"
"""Environment variable with the text of a judge template that a ConfigMap holds."""


class StepName(StrEnum):
    """The nodes' kinds, in the order of the graph."""

    IMPORT = "import"
    SFT_BASELINE = "sft-baseline"
    EFT = "eft"
    SFT = "sft"
    PROMPTS = "prompts"
    RESPOND = "respond"
    JUDGE = "judge"
    PAIRS = "pairs"
    DPO = "dpo"
    SELECT = "select"
    EVALUATE = "evaluate"
    PUBLISH = "publish"


class StoreConfig(ContractModel):
    """Where the run's artifacts lie. Credentials come from the pod's environment or identity, never from here."""

    uri: str
    """`s3://BUCKET/PREFIX` or `file:///PATH`, the run's own folder included."""
    endpoint_url: str | None = None
    """S3-compatible endpoint."""
    region: str | None = None
    """S3 region."""


class InputRef(ContractModel):
    """An input: one artifact that a step reads, and the digest it must have."""

    artifact: str
    """Its name in the store, such as `m1` or `iteration-1/prompts`; for a sharded one, the folder of the shards."""
    digest: str | None = None
    """The committed digest; absent for a shard that is still to be written."""
    shards: int | None = None
    """How many shards it has; absent when it has none."""


class _Config(ContractModel):
    """The part of the configuration that every step has."""

    run: str
    """The run's name."""
    iteration: int | None = None
    """t, from 1; absent outside iterations."""
    attempt: Annotated[int, Field(ge=1)] = 1
    """Which try this is."""
    store: StoreConfig
    inputs: dict[str, InputRef] = {}
    """Artifacts by role (`model`, `seed`, `eft`, `prompts`, `responses`, …)."""
    output: str
    """Artifact to commit; of a sharded step, the folder of the shards."""
    shards: Annotated[int, Field(ge=1)] | None = None
    """How many shards the step has; absent when it is not sharded."""
    random_seed: int = 0
    """The run's seed; a step derives its own from it, its name, iteration and shard."""


class ModelImport(ContractModel):
    """One model to bring into the store."""

    source: ModelSource
    output: str
    """Artifact to commit."""
    token_variable: str | None = None
    """Environment variable with the hub token."""


class ImportConfig(_Config):
    """Models → safetensors artifacts; seed data → the artifact `output` (when there is any).

    Importing the seed data first means a broken dataset fails in the first minute, before any GPU is asked for.
    """

    step: Literal[StepName.IMPORT] = StepName.IMPORT
    models: list[ModelImport]
    seed_data: SeedData = SeedData()
    prompts_source: PromptSettings = PromptSettings()
    evaluation: EvaluationData | None = None
    """What the evaluation reads; imported by a step of its own, into an artifact of its own."""
    token_variables: dict[str, str] = {}
    """Hub token variable by data role (`instructions`, `rankings`, `eft`, `prompts`)."""
    template: CustomTemplate | None = None
    """The judge's template whose text is not in the settings; it becomes the artifact `judge-template`."""
    min_score: float = 0
    """Lowest score of the judge's scale, which `seedData.eft` must keep to."""
    max_score: float = 5
    """Highest score of it."""
    judge: JudgeSettings | None = None
    """How answers will be judged; with it, rows that are too long for that are told."""
    responses: ResponseSettings = ResponseSettings()
    """How prompts will be answered, likewise."""
    max_model_length: Annotated[int, Field(ge=1)] | None = None
    """Longest prompt plus completion that the model's server takes, in tokens; the model's own where it is absent."""
    memory_limits: list[MemoryLimit] | None = None
    """What the base model must fit, where the GPUs are known."""


class SftConfig(_Config):
    """`inputs`: model, seed, for M1 eft too, and for `positive-only` the pairs (`pairs`, and `pairs-1`, …)."""

    step: Literal[StepName.SFT_BASELINE, StepName.SFT]
    settings: SftSettings
    judge: JudgeSettings = JudgeSettings()
    """Template with which EFT examples are written out."""
    report_to: list[str] = []
    """Trackers, as TRL's `report_to`."""


class EftConfig(_Config):
    """`inputs`: seed. Output: `train.jsonl` (EFT examples) and `test.jsonl` (the judge's ranked test set)."""

    step: Literal[StepName.EFT] = StepName.EFT
    settings: EftSettings
    judge: JudgeSettings
    serving: ServingEndpoint | None = None
    """The SFT baseline, for `filtered`."""


class ValidationPrompts(ContractModel):
    """Prompts of a round that are set aside to compare checkpoints on."""

    output: str
    """Artifact to commit, another `prompts.jsonl`."""
    count: PositiveInt
    """So many, beside those of the settings."""


class PromptsConfig(_Config):
    """`inputs`: seed and the prompts of earlier iterations (`prompts-1`, …). Output: `prompts.jsonl`."""

    step: Literal[StepName.PROMPTS] = StepName.PROMPTS
    settings: PromptSettings
    serving: ServingEndpoint | None = None
    """The generator; absent for `file`."""
    validation: ValidationPrompts | None = None
    """For the selection of a checkpoint."""


class RespondConfig(_Config):
    """`inputs`: prompts. Output shard: `responses.jsonl`."""

    step: Literal[StepName.RESPOND] = StepName.RESPOND
    settings: ResponseSettings
    serving: ServingEndpoint
    single: Sampling | None = None
    """Where there is to be one answer a prompt, drawn so: the selection's."""


class JudgeConfig(_Config):
    """`inputs`: responses (sharded; shard i reads shard i, and waits until it is committed).

    Output shard: `judgements.jsonl`.
    """

    step: Literal[StepName.JUDGE] = StepName.JUDGE
    settings: JudgeSettings
    serving: ServingEndpoint


class PairsConfig(_Config):
    """`inputs`: prompts, responses, judgements and, for `anchored`, anchors and anchor-judgements.

    Output: `pairs.jsonl`, `statistics.json`.
    """

    step: Literal[StepName.PAIRS] = StepName.PAIRS
    settings: PairSettings
    max_score: float = 5
    """Highest score of the judge's scale: what `positive-only` calls perfect."""
    tells_candidates: bool = False
    """Whether each pair tells all candidates of its prompt with their scores, for their consistency."""


class DpoConfig(_Config):
    """`inputs`: model, reference, pairs and, for `history: all`, those before it (`pairs-1`, …).

    Output: the model artifact, and the checkpoints before it.
    """

    step: Literal[StepName.DPO] = StepName.DPO
    settings: DpoSettings
    min_consistency: float | None = None
    """Of `preferences`."""
    report_to: list[str] = []
    checkpoints: list[str] = []
    """Artifacts of the models to commit on the way to `output`, evenly."""


class SelectConfig(_Config):
    """`inputs`: the models to choose from and their answers (`checkpoint-1`, `answers-1`, …), and the judge as `model`.

    Output: the model artifact.
    """

    step: Literal[StepName.SELECT] = StepName.SELECT
    sampling: Sampling
    """How verdicts are drawn."""
    serving: ServingEndpoint
    """The judge."""


class EvaluateConfig(_Config):
    """`inputs`: eft (judge test set), seed, data (the user's own), and the evaluations of M1, of the model before and
    of the SFT baseline (`against`, `previous`, `baseline`) to compare with. What training has seen is not asked: of the
    seed (`seen`, where it is not `seed`), and the prompts of the rounds before (`prompts-1`, …).

    Where another judge compares, the step is made twice: first without comparisons on the model's own server, then on
    the judge's with what the first has `measured`.
    """

    step: Literal[StepName.EVALUATE] = StepName.EVALUATE
    settings: EvaluationSettings
    judge: JudgeSettings
    serving: ServingEndpoint
    """The model under evaluation, which is also the judge it is evaluated as; with `measured`, the judge that
    compares."""
    compares: bool = True
    """Whether answers are judged against others and for safety; if not, they are only written."""


class PublishConfig(_Config):
    """`inputs`: the model, the pairs of the iteration that made it (`pairs`), or both. Output: `published.json`."""

    step: Literal[StepName.PUBLISH] = StepName.PUBLISH
    settings: Publishing
    token_variable: str
    """Environment variable with the hub token."""


StepConfig = Annotated[
    ImportConfig
    | SftConfig
    | EftConfig
    | PromptsConfig
    | RespondConfig
    | JudgeConfig
    | PairsConfig
    | DpoConfig
    | SelectConfig
    | EvaluateConfig
    | PublishConfig,
    Field(discriminator="step"),
]

_ADAPTER: TypeAdapter[StepConfig] = TypeAdapter(StepConfig)


def parse_config(text: str) -> StepConfig:
    """Read a configuration from JSON; raises :class:`pydantic.ValidationError`."""
    return _ADAPTER.validate_json(text)
