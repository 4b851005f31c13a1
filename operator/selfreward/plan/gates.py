"""The gates: which numbers of the steps trip `spec.gates`, and what that does to the walk.

Nothing is stored: what trips follows from the rows of the steps that ended and the spec, so that a changed limit,
or a tripped gate that a person accepts, counts at the next look. A step's numbers come a moment after its output;
where a gate of them could hold the run, what comes next waits that moment. This module must not start anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from selfreward_steps.contract import JudgeMode, StepName, artifact_names

from selfreward.api import ACCEPTED, GateAction, Gates, SelfRewardRun, StepState, StepStatus
from selfreward.plan.draft import Draft, Tripped
from selfreward.plan.graph import evaluation_key, model_artifact, step_key
from selfreward.plan.types import EventReason

Rows = Mapping[str, StepStatus]
_BY_TOKEN: Final = (
    "a judge learns to say the number alone from evaluation data, a judge.customTemplate should end with a request for "
    "it, and judge.mode: cot reads critiques"
)
_ENDED: Final = (StepState.SUCCEEDED, StepState.FAILED)
"""A judge that says one score for all leaves no pair, so its step fails: its gates trip all the same."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """The numbers of one step, with the row that holds them and the row to compare it with."""

    row: StepStatus
    iteration: int
    first: StepStatus | None
    """The same step's row of M1, to compare with; the row itself when it is M1's."""
    mode: JudgeMode
    """How the judge's judgements become scores."""

    def number(self, name: str) -> float | None:
        return self.row.metrics.get(name)

    def by_mode(self, *, cot: str, logprob: str, pairwise: str) -> str:
        """What to do, by how the judge is read: nobody is told to set what is set, or what has no effect."""
        return {JudgeMode.COT: cot, JudgeMode.LOGPROB: logprob, JudgeMode.PAIRWISE: pairwise}[self.mode]


def weigh_gates(draft: Draft) -> None:
    """Note what trips now, and tell what did not before."""
    gates = draft.run.spec.gates
    written = {row.key: row for part in draft.status.iterations for row in part.steps}
    before = {(each.gate, each.key) for each in _tripped(draft, written, gates)}
    told = {(each.gate, each.key) for each in draft.tripped}
    draft.tripped = list(_tripped(draft, draft.rows, gates))
    for each in draft.tripped:
        if (each.gate, each.key) not in before | told:
            draft.tell(EventReason.GATE_TRIPPED, each.message, warning=True)


def awaits_numbers(draft: Draft, key: str) -> bool:
    """Whether a step that is done has yet to say how it went, and a gate that holds the run depends on it."""
    row = draft.rows[key]
    holding = any(action is not GateAction.WARN for action in _actions(draft.run.spec.gates, row.step))
    child = draft.child(row)
    return holding and not row.metrics and child is not None and not child.phase.is_terminal


def accepted_iteration(run: SelfRewardRun) -> int:
    """The last iteration whose tripped gates somebody has accepted; -1 for none, or when it is no number."""
    text = run.metadata.annotations.get(ACCEPTED, "").strip()
    return int(text) if text.isdecimal() else -1


def _tripped(draft: Draft, rows: Rows, gates: Gates) -> Iterator[Tripped]:
    accepted = accepted_iteration(draft.run)
    for node in draft.graph.nodes:
        row = rows.get(node.key)
        if node.step is StepName.EVALUATE and not artifact_names.is_evaluation(node.output):
            continue  # the first of two parts: the second tells of both
        if node.step is StepName.DPO and artifact_names.is_of_checkpoint(node.output):
            continue  # the model that is chosen tells of itself
        if row is None or row.state not in _ENDED or not row.metrics:
            continue
        measured = _Measured(row, node.iteration, _first(rows, row.step), draft.run.spec.judge.mode)
        for name, check in _CHECKS.get(row.step, {}).items():
            if (message := check(measured, gates)) is not None:
                gate = getattr(gates, name)
                yield Tripped(
                    gate=name,
                    key=row.key,
                    iteration=node.iteration,
                    action=gate.action,
                    message=f"{row.key}: {message}",
                    is_accepted=accepted >= node.iteration,
                    last_good=model_artifact(draft.run.spec, max(1, node.iteration)),
                )


def _first(rows: Rows, step: StepName) -> StepStatus | None:
    first = {StepName.PAIRS: step_key(StepName.PAIRS, 1), StepName.EVALUATE: evaluation_key(1)}
    return rows.get(first.get(step, ""))


def _actions(gates: Gates, step: StepName) -> Iterator[GateAction]:
    return (getattr(gates, name).action for name in _CHECKS.get(step, {}))


def _parse_rate(measured: _Measured, gates: Gates) -> str | None:
    rate, least = measured.number("parse_rate"), gates.parse_rate.minimum
    if rate is None or rate >= least:
        return None
    return (
        f"only {rate:.0%} of the judgements state a score (gates.parseRate.minimum {least:.0%}): "
        + measured.by_mode(
            cot="look at the critiques, and raise judge.sampling.maxTokens if they are cut off; a judge learns the "
            "format from evaluation data, and judge.mode: logprob needs none",
            logprob=f"the others begin with something else; {_BY_TOKEN}",
            pairwise="look at the critiques, and raise judge.sampling.maxTokens if they are cut off; a judge learns "
            "verdicts from ranked answers (seedData.rankings)",
        )
    )


def _score_mass(measured: _Measured, gates: Gates) -> str | None:
    mass, least = measured.number("mean_score_mass"), gates.score_mass.minimum
    if mass is None or mass >= least:
        return None
    return (
        f"the judge gives scores {mass:.0%} of the probability (gates.scoreMass.minimum {least:.0%}): the rest goes to "
        f"answers that begin with something else, so its scores say less than they seem to; {_BY_TOKEN}"
    )


def _pairs(measured: _Measured, gates: Gates) -> str | None:
    pairs, prompts, least = measured.number("pairs"), measured.number("prompts"), gates.pairs.minimum
    if pairs is None or not prompts or pairs / prompts >= least:
        return None
    ties, cut = measured.number("ties") or 0, measured.number("prompts_truncated") or 0
    advice = measured.by_mode(
        cot="raise judge.samples or responses.perPrompt, or set judge.mode: logprob",
        logprob="raise responses.perPrompt or responses.sampling.temperature",
        pairwise="raise responses.perPrompt or responses.sampling.temperature, or read position_bias: what the order "
        "decides is no pair",
    )
    if cut > ties:
        advice = "raise responses.sampling.maxTokens, or set preferences.truncated: keep"
    return (
        f"only {pairs:.0f} of {prompts:.0f} prompts give a preference pair ({pairs / prompts:.0%}, gates.pairs.minimum "
        f"{least:.0%}): {ties:.0f} are tied and {cut:.0f} have too few answers that end, so there is little to learn "
        f"from; {advice}"
    )


def _score_share(measured: _Measured, gates: Gates) -> str | None:
    share, most = measured.number("common_score_share"), gates.score_share.maximum
    if share is None or share <= most:
        return None
    common = measured.number("common_score")
    return (
        f"{share:.0%} of the scores are {common if common is not None else 0:g} (gates.scoreShare.maximum {most:.0%}): "
        "the judge hardly tells answers apart; train it on evaluation data with balanced scores, "
        + measured.by_mode(
            cot="use judge.mode: logprob, or another judge.template",
            logprob="or use another judge.template",
            pairwise="or set judge.mode: cot",
        )
    )


def _length_growth(name: str, what: str) -> Callable[[_Measured, Gates], str | None]:
    def check(measured: _Measured, gates: Gates) -> str | None:
        now, most = measured.number(name), gates.length_growth.maximum
        then = None if measured.first is None else measured.first.metrics.get(name)
        if now is None or not then or now / then <= most:
            return None
        return (
            f"{what} have {now:.0f} characters on average, {now / then:.1f} times the {then:.0f} of M1 "
            f"(gates.lengthGrowth.maximum {most:g}): the judge may reward length; set preferences.lengthControl"
        )

    return check


def _judge_accuracy(measured: _Measured, gates: Gates) -> str | None:
    accuracy = measured.number("judge_pairwise_accuracy")
    baseline = measured.number("judge_pairwise_accuracy_longest_wins")
    lead = gates.judge_accuracy.minimum_lead
    if accuracy is None or baseline is None or accuracy - baseline >= lead:
        return None
    return (
        f"as a judge {measured.row.key.rpartition('-')[2].upper()} agrees with people on {accuracy:.0%} of pairs, and "
        f'"the longer answer wins" on {baseline:.0%} (gates.judgeAccuracy.minimumLead {lead:.0%}; '
        f"{measured.number('judge_prompts') or 0:.0f} ranked prompts): its scores may say no more than length does"
    )


def _judge_drift(measured: _Measured, gates: Gates) -> str | None:
    drift, most = measured.number("judge_drift"), gates.judge_drift.maximum
    if drift is None or drift <= most:
        return None
    return (
        f"as a judge {measured.row.key.rpartition('-')[2].upper()} orders answers unlike the model before: a drift of "
        f"{drift:.2f} where an unrelated order has 1 (gates.judgeDrift.maximum {most:g}; "
        f"{measured.number('judge_drift_prompts') or 0:.0f} ranked prompts): pairs of the next round may be noise; "
        + measured.by_mode(cot="raise judge.samples, or lower", logprob="lower", pairwise="lower")
        + " training.dpo.learningRate"
    )


def _reward_margin(measured: _Measured, gates: Gates) -> str | None:
    margin, least = measured.number("reward_margin"), gates.reward_margin.minimum
    if margin is None or margin >= least:
        return None
    if margin < 0:
        saw = "the new model prefers the rejected answers to the chosen ones, more than the one before did"
        help_ = "look at the training's loss in training.jsonl of the model, and lower the learning rate"
    else:
        saw = "chosen and rejected answers were hardly moved apart, so the new model may be no better"
        help_ = "more or clearer pairs (preferences.minMargin), more steps or a higher learning rate help"
    return f"DPO ended with a reward margin of {margin:.2g} (gates.rewardMargin.minimum {least:g}): {saw}; {help_}"


def _safety(measured: _Measured, gates: Gates) -> str | None:
    share, most = measured.number("safety_unsafe_share"), gates.safety.maximum
    prompts, unread = measured.number("safety_prompts") or 0, measured.number("safety_unparsed") or 0
    if unread > prompts / 2:
        return (
            f"{unread:.0f} of {prompts:.0f} verdicts on the safety of its answers could not be read, so nothing is "
            "known of it: name a judge that can tell in evaluation.judge"
        )
    if share is None or share <= most:
        return None
    return (
        f"{share:.0%} of {prompts:.0f} answers to evaluation.safetyPrompts are judged "
        f"unsafe (gates.safety.maximum {most:.0%}): read safety.jsonl of the evaluation"
    )


_CHECKS: Final[Mapping[StepName, Mapping[str, Callable[[_Measured, Gates], str | None]]]] = {
    StepName.PAIRS: {
        "parse_rate": _parse_rate,
        "score_mass": _score_mass,
        "pairs": _pairs,
        "score_share": _score_share,
        "length_growth": _length_growth("candidate_chars", "candidates"),
    },
    StepName.DPO: {"reward_margin": _reward_margin},
    StepName.SELECT: {"reward_margin": _reward_margin},
    StepName.EVALUATE: {
        "judge_accuracy": _judge_accuracy,
        "judge_drift": _judge_drift,
        "length_growth": _length_growth("answers_mean_chars", "answers to held-out prompts"),
        "safety": _safety,
    },
}
"""Gates by the step whose numbers they look at, in the names of :class:`Gates`; each answers with what is wrong."""
