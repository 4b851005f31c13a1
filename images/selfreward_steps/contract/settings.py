"""The settings of the method: what a user may change about how a model rewards itself.

Defaults are those of Self-Rewarding Language Models (Yuan et al., arXiv 2401.10020), so that a short file is a
faithful run; each description says where a default is not the paper's. These models are embedded in the
resource's spec and handed to the steps unchanged.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from selfreward_steps.contract.base import ContractModel, Fraction, PositiveInt
from selfreward_steps.contract.scores import ScoreRange
from selfreward_steps.contract.sources import ConfigMapKeyRef, DataSource, ModelSource, SecretKeyRef


class Sampling(ContractModel):
    """How tokens are drawn. Subclasses differ in defaults only: a user who sets one field keeps the others."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    """Softmax temperature; 0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Nucleus probability mass."""
    max_tokens: PositiveInt = 1024
    """Longest completion, in tokens."""


class PromptSampling(Sampling):
    """How new prompts are drawn: T 0.6, p 0.9 in the paper."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.6
    """Softmax temperature; 0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Nucleus probability mass."""
    max_tokens: PositiveInt = 256
    """Longest completion, in tokens."""


class JudgeSampling(Sampling):
    """How judgements are drawn: the candidates' T and p, as in the paper."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    """Softmax temperature; 0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Nucleus probability mass."""
    max_tokens: PositiveInt = 256
    """Longest completion, in tokens."""


class EftMode(StrEnum):
    """Ways to make the evaluation fine-tuning data."""

    FILTERED = "filtered"
    """As the paper: the SFT baseline judges ranked answers; kept where its order agrees with the people's."""
    DIRECT = "direct"
    """Rank mapped to a score, no critique; for small models whose baseline cannot judge."""
    GIVEN = "given"
    """Only the user's ready examples (`seedData.eft`)."""


class EftSettings(ContractModel):
    """Evaluation fine-tuning data (paper section 2.1 and appendix)."""

    mode: EftMode = EftMode.FILTERED
    """`filtered` (the paper), `direct` or `given`."""
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of the ranked prompts held out to test the judge (the paper: 541 of 2,171 examples)."""
    max_score_share: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Most of the examples that one score may have; the surplus is dropped, since left alone most are 4."""


class PromptGenerator(StrEnum):
    """Sources of new prompts: which model writes them, or a file."""

    SELF = "self"
    """The model of the iteration."""
    INITIAL = "initial"
    """M1, fixed over the run."""
    FILE = "file"
    """Nobody: they are read from `prompts.source`, a disjoint part an iteration."""


class PromptSettings(ContractModel):
    """Self-instruction creation (paper section 2.2; Self-Instruct filters)."""

    count: PositiveInt = 5000
    """New prompts an iteration. The paper does not state its number; its pairs were 3,964 and 6,942."""
    generator: PromptGenerator = PromptGenerator.SELF
    """`self`, `initial` or `file`. The paper's experiments used a fixed other model."""
    source: DataSource | None = None
    """Prompts to use (`file`), or demonstrations when there is no `seedData.instructions`."""
    seed_shots: PositiveInt = 6
    """Demonstrations from the seed data."""
    generated_shots: Annotated[int, Field(ge=0)] = 2
    """Demonstrations from prompts generated so far."""
    rouge_l_max: Annotated[float, Field(gt=0, le=1)] = 0.7
    """A prompt whose ROUGE-L F with any earlier one is above this is dropped."""
    min_words: PositiveInt = 4
    """Shorter prompts are dropped (Self-Instruct)."""
    max_words: PositiveInt = 150
    """Longer prompts are dropped (Self-Instruct)."""
    max_attempts_per_prompt: PositiveInt = 20
    """Generation stops with an error after count times this many completions."""
    sampling: PromptSampling = PromptSampling()
    """How they are drawn."""


class ResponseSettings(ContractModel):
    """Candidates of a prompt (paper section 2.2)."""

    per_prompt: Annotated[int, Field(ge=2, le=64)] = 4
    """N, candidates a prompt."""
    sampling: Sampling = Sampling()
    """T 0.7, p 0.9 in the paper."""


class JudgeModel(StrEnum):
    """Judges: the model, or endpoint, whose judgements are the reward."""

    SELF = "self"
    """M_t, the paper's."""
    PREVIOUS = "previous"
    """M_{t-1}; M1 in the first iteration."""
    INITIAL = "initial"
    """M1, a frozen reward model."""
    MODEL = "model"
    """Another model, `judge.source`."""
    ENDPOINT = "endpoint"
    """An OpenAI-compatible endpoint, `judge.endpoint`."""


class JudgeMode(StrEnum):
    """Ways in which a judgement becomes a score."""

    COT = "cot"
    """A sampled critique that ends in a score; the mean of several (the paper)."""
    LOGPROB = "logprob"
    """One token; the expected score over the score tokens' probabilities."""
    PAIRWISE = "pairwise"
    """Every two candidates of a prompt compared in both orders; the share of the others that one beats (Copeland)."""


class JudgeEndpoint(ContractModel):
    """An outside OpenAI-compatible endpoint."""

    url: Annotated[str, Field(pattern=r"^https?://[^\x00-\x20]+$")]
    """Base URL, with the version path (`https://HOST/v1`)."""
    model: str
    """Model name to ask for."""
    api_key_secret_ref: SecretKeyRef | None = None
    """Secret with the API key."""


class CustomTemplate(ContractModel):
    """A judge prompt of the user's own: its text here, in a ConfigMap or in a file, which are read once, at import."""

    text: Annotated[str, Field(min_length=1)] | None = None
    """The prompt, with `{prompt}` and `{response}` where they go; with `mode: pairwise`, `{prompt}`, `{first}` and
    `{second}`."""
    config_map_ref: ConfigMapKeyRef | None = None
    """The ConfigMap that holds the prompt."""
    uri: Annotated[str, Field(pattern=r"^(s3://|file:///|package://)[^\x00-\x1f]+$")] | None = None
    """The file that holds the prompt: `file:///PATH`, `s3://BUCKET/KEY` or `package://PYTHON_PACKAGE/PATH`."""
    score_pattern: str | None = None
    """Regular expression whose first group is the score; the last match counts. Without one, what a person would read
    as the score is: the last `Score: N`, on the scale of `maxScore`."""
    min_score: float = 0
    """Lowest score; with `mode: logprob` at least 0."""
    max_score: float = 5
    """Highest score; with `mode: logprob` at most 9, since many tokenizers write 10 as 1 and 0."""


class MetaJudge(ContractModel):
    """The model as a judge of its own judgements (Meta-Rewarding, arXiv 2407.19594)."""

    text: Annotated[str, Field(min_length=1)] | None = None
    """A question of your own, with `{prompt}`, `{response}`, `{first}` and `{second}`, whose replies end with
    `Verdict: A`, `B` or `tie`."""


class JudgeSettings(ContractModel):
    """LLM-as-a-judge (paper section 2.2, figure 2)."""

    model: JudgeModel = JudgeModel.SELF
    """`self`, `previous`, `initial`, `model` or `endpoint`."""
    source: ModelSource | None = None
    """The judge's weights, for `model`."""
    endpoint: JudgeEndpoint | None = None
    """The judge's address, for `endpoint`."""
    template: Literal["additive", "additive-prefix", "multiple-choice", "custom"] = "additive-prefix"
    """`additive` is the paper's order; `additive-prefix` puts the rubric first, so the server's prefix cache is
    hit; `multiple-choice` is the style the paper compares with; `custom` is `customTemplate`."""
    custom_template: CustomTemplate | None = None
    """The user's own prompt, for `custom`."""
    mode: JudgeMode = JudgeMode.COT
    """`cot`, `logprob`, or `pairwise`: every two candidates of a prompt are compared in both orders, N(N-1) requests,
    and a candidate's score, 0 to 1, is the share of the others that it beats."""
    samples: Annotated[int, Field(ge=1, le=64)] = 3
    """K, judgements of one candidate, averaged; with `pairwise` each order is asked once."""
    sampling: JudgeSampling = JudgeSampling()
    """How judgements are drawn."""
    meta_judge: MetaJudge | None = None
    """Train the judge too: of each prompt, the judgements of the answer on which they disagree most are compared by the
    same model, and the best and the worst become a preference pair beside the answers' one. For `self` and `cot`."""

    @property
    def imported_template(self) -> CustomTemplate | None:
        """The user's own template, when its text must be brought in from elsewhere."""
        custom = self.custom_template if self.template == "custom" else None
        return custom if custom is not None and custom.text is None else None

    @property
    def score_range(self) -> ScoreRange:
        """The lowest and the highest score of the template; of a comparison, none and all of the others beaten."""
        if self.mode is JudgeMode.PAIRWISE:
            return ScoreRange(0, 1)
        if self.template == "custom" and self.custom_template is not None:
            return ScoreRange(self.custom_template.min_score, self.custom_template.max_score)
        return ScoreRange(1, 5) if self.template == "multiple-choice" else ScoreRange(0, 5)


class PairStrategy(StrEnum):
    """Which two candidates become a preference pair."""

    BEST_WORST = "best-worst"
    BEST_RANDOM = "best-random"
    BEST_TWO_SIGMA = "best-two-sigma"
    """Rejected is the answer nearest to two standard deviations below the candidates' mean (arXiv 2502.16825)."""
    POSITIVE_ONLY = "positive-only"
    """No pairs: answers with a perfect score are added to the seed data (the paper's ablation)."""


class TruncatedAnswers(StrEnum):
    """What becomes of an answer that reached the longest completion."""

    DROP = "drop"
    """It is left out: taught as it stands, it would be an answer that ends in the middle."""
    KEEP = "keep"


class RejectedSource(StrEnum):
    """Sources of rejected answers in a preference pair."""

    CURRENT = "current"
    """The iteration's own candidates, the paper's."""
    ANCHORED = "anchored"
    """Those and M1's answers to the same prompts (Temporal Self-Rewarding, arXiv 2508.06026)."""


class PairHistory(StrEnum):
    """Ranges of iterations whose pairs DPO learns from."""

    ITERATION = "iteration"
    """This iteration's only, the paper's."""
    ALL = "all"
    """All so far."""


class PairSettings(ContractModel):
    """From scores to preference pairs (paper section 2.3; Meta-Rewarding for length control)."""

    strategy: PairStrategy = PairStrategy.BEST_WORST
    """`best-worst` is the paper's; ties are always dropped. `best-two-sigma`, for 8 candidates and more, rejects the
    answer nearest to two standard deviations below their mean (arXiv 2502.16825). `positive-only` is the paper's
    ablation: supervised fine-tuning of the base model on the seed data and every answer with a perfect score, by
    `training.sft`."""
    min_margin: Annotated[float, Field(ge=0)] = 0
    """Smallest difference of mean scores; 0 keeps every difference."""
    max_score_std: Annotated[float, Field(gt=0)] | None = None
    """A candidate whose judgements disagree by more than this standard deviation is left out."""
    min_consistency: Annotated[float, Field(ge=-1, le=1)] | None = None
    """A pair is left out where Kendall's τ between the judge's order of the prompt's candidates and the order of their
    implicit rewards, log π(y|x) − log π_ref(y|x), is below this. Needs `training.dpo.referenceModel: initial`."""
    truncated: TruncatedAnswers = TruncatedAnswers.DROP
    """Candidates cut off at `responses.sampling.maxTokens`: `drop` leaves them out, `keep` takes them as whole ones."""
    length_control: list[Fraction] = []
    """ρ of Meta-Rewarding (arXiv 2407.19594), one an iteration, the last one repeated: the shortest of the top
    tier against the longest of the bottom tier. Empty or 0 is off."""
    rejected: RejectedSource = RejectedSource.CURRENT
    """`anchored`: from iteration 2, M1 answers the prompts too; its answers are written and judged once and may be
    rejected, which keeps chosen and rejected apart as the model improves. `current`: the candidates alone."""
    history: PairHistory = PairHistory.ITERATION
    """`iteration`: DPO learns from this iteration's pairs; `all`: from those of every iteration so far."""
