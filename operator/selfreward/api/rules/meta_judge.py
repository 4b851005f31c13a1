"""Rules of a meta-judge (`judge.metaJudge`), which compares the judgements of the model that is trained."""

from __future__ import annotations

from selfreward.api.rules.rule import Rule

META_JUDGE_RULES: tuple[Rule, ...] = (
    Rule(
        "spec.judge",
        "!has(self.metaJudge) || (self.mode == 'cot' && self.samples > 1)",
        "compares sampled critiques of one answer: set mode: cot and samples of 2 or more",
        "metaJudge",
    ),
    Rule(
        "spec.judge",
        "!has(self.metaJudge) || self.model == 'self'",
        "trains the judge on its own judgements: set model: self",
        "metaJudge",
    ),
    Rule(
        "spec",
        "!has(self.judge.metaJudge) || self.preferences.strategy != 'positive-only'",
        "makes pairs, and strategy: positive-only has none; remove it",
        "judge.metaJudge",
    ),
    Rule(
        "spec.judge.metaJudge",
        "!has(self.text) || ['{prompt}', '{response}', '{first}', '{second}'].all(each, self.text.contains(each))",
        "must contain {prompt}, {response}, {first} and {second}",
        "text",
    ),
)
