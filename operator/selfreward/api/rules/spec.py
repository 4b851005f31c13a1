"""Rules that every spec keeps."""

from __future__ import annotations

from selfreward_steps.contract import DpoLoss

from selfreward.api.rules.comparing import COMPARING_RULES
from selfreward.api.rules.consistency import CONSISTENCY_RULES
from selfreward.api.rules.meta_judge import META_JUDGE_RULES
from selfreward.api.rules.rule import Rule
from selfreward.api.schedule import NEVER

MODEL_SOURCES = ("spec.model", "spec.judge.source", "spec.evaluation.judge.source")
DATA_SOURCES = (
    "spec.seedData.instructions",
    "spec.seedData.rankings",
    "spec.seedData.eft",
    "spec.prompts.source",
    "spec.evaluation.source",
    "spec.evaluation.outside",
    "spec.evaluation.mtBench",
    "spec.evaluation.safetyPrompts",
)


def _hub_only(path: str) -> tuple[Rule, ...]:
    return (
        Rule(
            path,
            "!has(self.revision) || self.uri.startsWith('hf://')",
            "only an hf:// URI has a revision; remove it or use hf://",
            "revision",
        ),
        Rule(
            path,
            "!has(self.tokenSecretRef) || self.uri.startsWith('hf://')",
            "only an hf:// URI takes a token; s3:// uses storage.secret",
            "tokenSecretRef",
        ),
    )


def _exactly_when(option: str, value: str, field: str, path: str = "spec.judge") -> tuple[Rule, Rule]:
    """`judge.FIELD` stands there exactly when `judge.OPTION` asks for it."""
    return (
        Rule(path, f"self.{option} != '{value}' || has(self.{field})", f"needed by {option}: {value}", field),
        Rule(path, f"!has(self.{field}) || self.{option} == '{value}'", f"only read by {option}: {value}", field),
    )


def _falling_rate(path: str) -> Rule:
    return Rule(
        path,
        "self.minLearningRate <= self.learningRate",
        "must not be above learningRate: the cosine falls",
        "minLearningRate",
    )


def _divisible_batch(stage: str) -> Rule:
    return Rule(
        "spec.training",
        f"self.{stage}.batchSize % (self.nodes * self.processesPerNode) == 0",
        "must be a multiple of nodes * processesPerNode, which share it",
        f"{stage}.batchSize",
    )


_SMOOTHED = (DpoLoss.AOT, DpoLoss.AOT_UNPAIRED, DpoLoss.EXO_PAIR, DpoLoss.ROBUST)
"""The losses that honour `labelSmoothing`; TRL ignores it with the others without a word."""

_SMOOTHED_NAMES = [str(loss) for loss in _SMOOTHED]

SPEC_RULES: tuple[Rule, ...] = (
    *COMPARING_RULES,
    *CONSISTENCY_RULES,
    *META_JUDGE_RULES,
    *(rule for path in MODEL_SOURCES + DATA_SOURCES for rule in _hub_only(path)),
    *_exactly_when("model", "model", "source"),
    *_exactly_when("model", "endpoint", "endpoint"),
    *_exactly_when("template", "custom", "customTemplate"),
    *_exactly_when("model", "model", "source", "spec.evaluation.judge"),
    *_exactly_when("model", "endpoint", "endpoint", "spec.evaluation.judge"),
    Rule(
        "spec.judge",
        "self.mode == 'pairwise' || !has(self.customTemplate) || !has(self.customTemplate.text)"
        " || (self.customTemplate.text.contains('{prompt}') && self.customTemplate.text.contains('{response}'))",
        "must contain {prompt} and {response}",
        "customTemplate.text",
    ),
    Rule(
        "spec.judge.customTemplate",
        "(has(self.text) ? 1 : 0) + (has(self.configMapRef) ? 1 : 0) + (has(self.uri) ? 1 : 0) == 1",
        "give exactly one of text, configMapRef and uri",
        "text",
    ),
    Rule("spec.judge.customTemplate", "self.minScore < self.maxScore", "must be below maxScore", "minScore"),
    Rule(
        "spec.judge",
        "self.mode != 'logprob' || !has(self.customTemplate)"
        " || (self.customTemplate.minScore >= 0.0 && self.customTemplate.maxScore <= 9.0)",
        "mode: logprob reads one digit (many tokenizers write 10 as 1 and 0); keep it within 0 to 9, or set mode: cot",
        "customTemplate.maxScore",
    ),
    Rule(
        "spec.judge.customTemplate",
        "!has(self.scorePattern) || self.scorePattern.contains('(')",
        "must have a group for the score, such as ([0-9]+)",
        "scorePattern",
    ),
    Rule(
        "spec",
        "self.prompts.generator != 'file' || has(self.prompts.source)",
        "needed by generator: file",
        "prompts.source",
    ),
    Rule(
        "spec",
        "self.prompts.generator == 'file' || has(self.prompts.source) || has(self.seedData.instructions)",
        "a generator needs demonstrations: give seedData.instructions or prompts.source",
        "prompts.source",
    ),
    Rule("spec.publish", "self.models || self.pairs", "set models or pairs, or remove publish", "models"),
    Rule("spec.prompts", "self.minWords <= self.maxWords", "must not be above maxWords", "minWords"),
    Rule(
        "spec",
        "self.eft.mode != 'given' || !has(self.seedData.instructions) || has(self.seedData.eft)",
        "needed by eft.mode: given",
        "seedData.eft",
    ),
    Rule(
        "spec",
        "self.eft.mode != 'direct' || !has(self.seedData.instructions) || has(self.seedData.rankings)",
        "needed by eft.mode: direct",
        "seedData.rankings",
    ),
    Rule(
        "spec.seedData",
        "!(has(self.rankings) || has(self.eft)) || has(self.instructions)",
        "needed beside rankings or eft: the seed model is fine-tuned on both",
        "instructions",
    ),
    Rule(
        "spec",
        "size(self.preferences.lengthControl) <= self.iterations",
        "has more entries than there are iterations",
        "preferences.lengthControl",
    ),
    Rule(
        "spec.preferences",
        "self.strategy != 'positive-only' || self.rejected == 'current'",
        "strategy: positive-only rejects no answer; remove it",
        "rejected",
    ),
    Rule(
        "spec",
        "self.preferences.strategy != 'positive-only' || !has(self.training.dpo.selection)",
        "strategy: positive-only trains by training.sft; remove it",
        "training.dpo.selection",
    ),
    Rule(
        "spec.training.dpo",
        f"self.labelSmoothing == 0.0 || self.lossType in {_SMOOTHED_NAMES}"
        f" || self.additionalLosses.exists(each, each.type in {_SMOOTHED_NAMES})",
        f"has no effect on this lossType: set it to 0, or use one of {', '.join(_SMOOTHED)}",
        "labelSmoothing",
    ),
    Rule(
        "spec.training.dpo",
        "(self.lossType != 'exo_pair' && !self.additionalLosses.exists(each, each.type == 'exo_pair'))"
        " || self.labelSmoothing > 0.0",
        "lossType: exo_pair needs one above 0; its paper uses 0.001",
        "labelSmoothing",
    ),
    Rule(
        "spec.training.dpo",
        "self.additionalLosses.all(each, each.type != self.lossType"
        " && self.additionalLosses.exists_one(other, other.type == each.type))",
        "names a loss twice, or lossType again: give each once, with its weight",
        "additionalLosses",
    ),
    Rule(
        "spec",
        "self.preferences.strategy != 'best-two-sigma' || self.responses.perPrompt >= 8",
        "strategy: best-two-sigma needs 8 or more: of fewer, none lies two standard deviations below the mean",
        "responses.perPrompt",
    ),
    _falling_rate("spec.training.sft"),
    _falling_rate("spec.training.dpo"),
    _divisible_batch("sft"),
    _divisible_batch("dpo"),
    Rule(
        "spec.serving",
        "self.tensorParallel == 1 || self.engine != 'transformers'",
        "needs the vllm engine",
        "tensorParallel",
    ),
    Rule(
        "spec.serving",
        "self.enginesPerServer == 1 || self.engine != 'transformers'",
        "needs the vllm engine",
        "enginesPerServer",
    ),
    Rule(
        "spec.serving",
        "!has(self.deviceClassName) || self.keep != 'awake'",
        "shares devices with training, and keep: awake needs its own; remove one of the two",
        "deviceClassName",
    ),
    Rule(
        "spec.serving",
        "!has(self.deviceClassName) || self.replicas == 1",
        "must be 1 beside deviceClassName: one server shares its devices with training",
        "replicas",
    ),
    Rule(
        "spec",
        "!has(self.serving.deviceClassName) || self.training.nodes == 1",
        "must be 1 beside serving.deviceClassName: shared devices are of one node",
        "training.nodes",
    ),
    Rule(
        "spec.storage",
        "!has(self.claimName) || !has(self.uri) || self.uri.startsWith('file://')",
        "only a file:// URI lies on a volume",
        "claimName",
    ),
    Rule(
        "spec.storage",
        "!has(self.endpointUrl) || !has(self.uri) || self.uri.startsWith('s3://')",
        "only an s3:// URI has an endpoint",
        "endpointUrl",
    ),
    Rule(
        "spec.storage",
        "!has(self.secret) || !has(self.uri) || self.uri.startsWith('s3://')",
        "only an s3:// URI takes credentials",
        "secret",
    ),
    Rule("spec.schedule", "has(self.cron) != self.approval", "give exactly one of cron and approval: true", "cron"),
    Rule(
        "spec.schedule",
        f"!has(self.cron) || !self.cron.matches('{NEVER}')",
        "never comes: the months have no such day",
        "cron",
    ),
    Rule(
        "spec.schedule",
        # An evaluation that fails refuses too, which is what the API server does about a zone that it does not know.
        "self.timeZone != 'Local' && timestamp('2026-01-01T00:00:00Z').getHours(self.timeZone) >= 0",
        "there is no such time zone: use a name such as Europe/Berlin",
        "timeZone",
    ),
    Rule("spec.deadlines", "self.progress <= self.step", "must not be above deadlines.step", "progress"),
    Rule(
        "spec.retry",
        "self.backoffSeconds <= self.maxBackoffSeconds",
        "must not be above maxBackoffSeconds",
        "backoffSeconds",
    ),
)
