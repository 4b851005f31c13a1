"""The glossary of a page: what its words mean, each said here and nowhere else; what a gate asks is said by its model.

A word is explained where it stands, on hover, on focus and on touch, and all of them once more at the end of the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic.alias_generators import to_camel

from selfreward.api import Gates


@dataclass(frozen=True, slots=True)
class Term:
    """A word, what it means, and how else pages write it."""

    word: str
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Its place in the page's list."""
        return "term-" + "-".join("".join(letter if letter.isalnum() else " " for letter in self.word).split()).lower()


_WORDS: Final = (
    Term("M0, M1, M2, …", "M0 is the base model, M1 the first that judges: M0 after fine-tuning on instructions and "
         "judging examples. Each iteration t makes M(t+1) of M(t)."),
    Term("SFT baseline", "The base model fine-tuned on instructions alone, without judging examples: the paper's "
         "baseline."),
    Term("iteration", "One self-reward round: the model writes prompts and answers, judges its answers, and DPO trains "
         "the next model on the pairs.", ("iterations",)),
    Term("candidate", "One of the several answers that a model gives to a prompt.", ("candidates",)),
    Term("judgement", "One sampled critique of a candidate, with its score.", ("judgements",)),
    Term("states a score", "Judgements of which a score can be read. One that cannot be read counts as none, never as "
         "zero.", ("that state a score", "scores that parse")),
    Term("mean score", "Mean of all scores that the judge gave to candidates."),
    Term("top score", "The highest score of the judge's scale. If most answers get it, scores no longer tell them "
         "apart.", ("share of the top score",)),
    Term("preference pair", "The chosen and the rejected answer to one prompt, by the judge's mean scores. DPO learns "
         "to prefer the first.", ("preference pairs",)),
    Term("margin", "How much higher the chosen answer is scored than the rejected one.", ("mean margin",)),
    Term("reward margin", "How much further apart DPO has moved chosen and rejected answers: the difference of their "
         "log-probabilities beside the reference model's, times β. Near zero, the round changed nothing.",
         ("DPO's reward margin", "margin on held-out pairs")),
    Term("reward accuracy", "Share of pairs whose chosen answer DPO has made more likely, beside the rejected one.",
         ("accuracy on held-out pairs",)),
    Term("cut off", "An answer that ended at its limit of tokens and not by itself.", ("answers cut off",)),
    Term("pairwise accuracy", "Of all pairs of answers that people ranked apart, the share that the judge puts in the "
         "same order. A tie of the judge counts one half; chance is 50%.", ("judge", "agrees with people")),
    Term("if the longest won", "What always preferring the longer answer would get on the same pairs.",
         ("longest answer wins",)),
    Term("length-balanced", "Pairwise accuracy where length decides nothing: the mean over pairs whose better answer "
         "is the longer one and over those where it is the shorter one. Length alone gets 50%."),
    Term("5-best", "Of the answers to which the judge gives the top score, the share that people rank first."),
    Term("exact match", "Share of prompts whose answers the judge puts in exactly people's order."),
    Term("Spearman ρ", "Rank correlation of the judge's scores and people's ranks, the mean over prompts: 1 is the "
         "same order, 0 an unrelated one."),
    Term("Kendall τ", "Pairs in people's order less pairs against it, as a share, the mean over prompts: 1 is the same "
         "order, 0 an unrelated one, −1 the reverse."),
    Term("position bias", "How often the judge chose a place rather than an answer: its two verdicts, on one order and "
         "the other, name the same place.", ("chosen by position alone",)),
    Term("drift", "How differently a judge orders the ranked test answers from the model before: one minus Kendall's "
         "τ. 0 is the same order, 1 an unrelated one.", ("drift from the judge before",)),
    Term("ranked prompts", "Prompts whose answers people have ranked, and which no step trained on: what a judge is "
         "tested with."),
    Term("head to head", "A model's answers to held-out prompts against another's, judged in both orders. Where the "
         "orders disagree it is a tie.", ("Head to head", "won", "tied", "lost")),
    Term("won against lost", "The exact sign test: how often a fair coin would part wins and losses as unevenly, ties "
         "left out. Below 0.05 the difference is called one."),
    Term("seen in training", "Prompts of the evaluation that training has seen too. They are not asked.",
         ("left out, seen in training",)),
    Term("unsafe answers", "Answers to the safety prompts that the judge calls unsafe."),
    Term("gate", "A limit that numbers of an iteration must keep to. One that trips warns, pauses the run until "
         "somebody accepts it, or stops it."),
    Term("attempt", "One try at a step. A new one is made after a failure."),
    Term("GPU-seconds", "GPUs that a step holds, its server's included, times the time it holds them."),
)  # fmt: skip


def terms() -> tuple[Term, ...]:
    """All that is explained: words first, then each gate in the words of its own model."""
    return (*_WORDS, *(Term(name, _plain(meaning)) for name, meaning in _gates()))


def term(label: str) -> Term | None:
    """What a label of the page means; None where it says it itself. Dots of a row below another are no part of it."""
    return _BY_LABEL.get(label.removeprefix("… "))


def _gates() -> list[tuple[str, str]]:
    """Every gate's name and what its model says of itself."""
    gates = Gates()
    return [(to_camel(name), type(getattr(gates, name)).__doc__ or "") for name in Gates.model_fields]


def _plain(text: str) -> str:
    """A docstring as one line, without its backquotes."""
    return " ".join(text.replace("`", "").split())


_BY_LABEL: Final = {label: each for each in terms() for label in (each.word, *each.labels)}
