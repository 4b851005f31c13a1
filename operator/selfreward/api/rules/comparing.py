"""Rules of what does not go with a judge that compares answers (`judge.mode: pairwise`)."""

from __future__ import annotations

from selfreward.api.rules.rule import Rule

COMPARING_RULES: tuple[Rule, ...] = (
    Rule(
        "spec.judge",
        "self.mode != 'pairwise' || !has(self.customTemplate) || !has(self.customTemplate.text)"
        " || (self.customTemplate.text.contains('{prompt}') && self.customTemplate.text.contains('{first}')"
        " && self.customTemplate.text.contains('{second}'))",
        "must contain {prompt}, {first} and {second}: mode: pairwise compares two answers",
        "customTemplate.text",
    ),
    Rule(
        "spec.judge",
        "self.mode != 'pairwise' || !has(self.customTemplate) || !has(self.customTemplate.scorePattern)",
        "mode: pairwise reads a verdict (Verdict: A, B or tie) and no score; remove it",
        "customTemplate.scorePattern",
    ),
    Rule(
        "spec",
        "self.judge.mode != 'pairwise' || !has(self.seedData.eft)",
        "scores single answers, and judge.mode: pairwise learns verdicts on two; give seedData.rankings instead",
        "seedData.eft",
    ),
    Rule(
        "spec",
        "self.judge.mode != 'pairwise' || !has(self.seedData.rankings) || self.eft.mode == 'direct'",
        "judge.mode: pairwise learns people's order as verdicts, and no critique with a score is kept: set direct",
        "eft.mode",
    ),
    Rule(
        "spec",
        "self.judge.mode != 'pairwise' || !has(self.preferences.maxScoreStd)",
        "judge.mode: pairwise has one result against each other answer, whose spread is no disagreement; remove it",
        "preferences.maxScoreStd",
    ),
    Rule(
        "spec",
        "self.judge.mode != 'pairwise' || self.preferences.rejected == 'current'",
        "judge.mode: pairwise compares M1's answers with each other only, so their scores are on another scale than"
        " the candidates'; set current",
        "preferences.rejected",
    ),
    Rule(
        "spec",
        "self.judge.mode != 'pairwise' || self.preferences.strategy != 'positive-only'",
        "judge.mode: pairwise finds the best of a prompt, which need not be good; use best-worst",
        "preferences.strategy",
    ),
)
