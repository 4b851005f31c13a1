"""The settings of evaluation: what is measured of every model, on whose prompts, and by which judge.

Beside the paper's measurements (section 3.2) stand those that a user brings: other prompts, another system's answers,
MT-Bench's questions, a safety set, tasks of lm-eval. None of it is trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from selfreward_steps.contract.base import ContractModel, PositiveInt
from selfreward_steps.contract.settings import JudgeEndpoint, JudgeModel, Sampling
from selfreward_steps.contract.sources import DataSource, ModelSource

JUDGED_RANKINGS: Final = "judge.jsonl"
"""The file of an evaluation with the model's judgements of the ranked test set, a line a prompt."""

COMPARISON_FILES: Final[Mapping[str, str]] = {
    "head_to_head": "comparisons.jsonl",
    "head_to_head_previous": "comparisons-previous.jsonl",
    "head_to_head_outside": "comparisons-outside.jsonl",
    "head_to_head_baseline": "comparisons-baseline.jsonl",
}
"""The file of an evaluation with the comparisons that a part of its `metrics.json` counts, a line a prompt."""


class AnswerSampling(Sampling):
    """How held-out prompts are answered: greedily."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Softmax temperature; 0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus probability mass."""
    max_tokens: PositiveInt = 1024
    """Longest completion, in tokens."""


class EvaluationJudge(ContractModel):
    """Who compares answers and looks at their safety. Judge quality is always the evaluated model's own."""

    model: JudgeModel = JudgeModel.SELF
    """`self` (the evaluated model), `previous`, `initial`, `model` or `endpoint`. A model that judges itself prefers
    itself: compare by one judge to see a trend."""
    source: ModelSource | None = None
    """The judge's weights, for `model`."""
    endpoint: JudgeEndpoint | None = None
    """The judge's address, for `endpoint`."""


class EvaluationData(ContractModel):
    """What the user brings to the evaluation."""

    source: DataSource | None = None
    """Prompts to answer and compare on, such as AlpacaEval's 805. Without them, the judge's test prompts and those of
    `prompts.source`, unless iterations train on these."""
    outside: DataSource | None = None
    """Another system's answers to compare with, found by their prompt: AlpacaEval's `model_outputs.json`, or any
    instructions with answers."""
    mt_bench: DataSource | None = None
    """Questions of two turns in MT-Bench's format (`question.jsonl`), to be answered."""
    safety_prompts: DataSource | None = None
    """Prompts whose answers the judge calls safe or unsafe."""

    @property
    def is_given(self) -> bool:
        """Whether the user gives any data of their own."""
        return any(each is not None for each in (self.source, self.outside, self.mt_bench, self.safety_prompts))


class LmEvalSettings(ContractModel):
    """Tasks of lm-eval (EleutherAI's LM Evaluation Harness), run on the server of every evaluated model: what it loses
    elsewhere while it learns to please its judge (the alignment tax)."""

    tasks: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    """Names of lm-eval's tasks, groups or tags, such as `arc_easy`; the command `lm-eval ls tasks` prints them."""
    limit: PositiveInt | None = None
    """Examples of each task; all of them otherwise. Scores of a part are good for a trial only."""
    num_fewshot: Annotated[int, Field(ge=0)] | None = None
    """Examples shown in the prompt; each task's own number otherwise."""
    include_path: Annotated[str, Field(pattern=r"^/[^\x00-\x1f]+$")] | None = None
    """Folder with task files (YAML) of your own, as lm-eval's `--include_path`. On Kubernetes, mount it with
    `workloads.generation.volumes` and `volumeMounts`."""


class EvaluationSettings(EvaluationData):
    """What is measured of every model."""

    enabled: bool = True
    """Evaluate M1 and every model after it."""
    prompts: Annotated[int, Field(ge=0)] = 256
    """Held-out prompts for head-to-head wins (the paper: 256); 0 leaves them out."""
    sampling: AnswerSampling = AnswerSampling()
    """How the held-out prompts are answered."""
    judge: EvaluationJudge = EvaluationJudge()
    """Who compares the answers with M1's, the previous model's and those of `outside`."""
    lm_eval: LmEvalSettings | None = None
    """Tasks of lm-eval to run too; the evaluation's image or environment needs the package."""

    @property
    def data(self) -> EvaluationData:
        """What is to be imported for it."""
        return EvaluationData(**{name: getattr(self, name) for name in EvaluationData.model_fields})
