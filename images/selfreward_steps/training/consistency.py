"""Consistency of the judge with the model's implicit reward, and CREAM's loss weighted by it (arXiv 2410.12735).

What DPO has taught a model so far is a reward of its own, β (log π(y|x) − log π_ref(y|x)). It needs no decoding, and
the trainer holds both models anyway where the reference is M1: a forward pass of each over a prompt's candidates,
before the first step. How far its order of them agrees with the judge's is Kendall's τ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from statistics import fmean
from typing import Any, Final

from datasets import Dataset
from trl import DPOTrainer

from selfreward_steps.errors import PermanentError
from selfreward_steps.measuring.judge_drift import rank_correlation
from selfreward_steps.rows import JudgedAnswer
from selfreward_steps.training.batches import ByLength
from selfreward_steps.training.rewards import log_probabilities, reference_log_probabilities

CANDIDATES: Final = "candidates"
"""Column of the training data: every judged candidate of a pair's prompt."""
Judged = Sequence[JudgedAnswer] | None


class ConsistencyTrainer(ByLength, DPOTrainer):  # type: ignore[misc]
    """DPO in which a pair counts as C of itself and 1 − C of its reverse.

    −C log σ(z) − (1 − C) log σ(−z) is TRL's loss −log σ(z) plus (1 − C) z, where z is the pair's reward margin.
    """

    sequences = 2
    consistency: float = 1.0
    """C: 1 is plain DPO, ½ learns nothing."""

    def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
        said: list[Any] = []
        hook = model.register_forward_hook(lambda _model, _inputs, output: said.append(output.log_probs))
        try:
            loss = super()._compute_loss(model, inputs, return_outputs=False)
        finally:
            hook.remove()
        chosen, rejected = said[0].sum(dim=1).chunk(2)
        margin = self.beta * (chosen - rejected).mean()
        # The reference's part of the margin has no gradient: its value comes from what TRL has just measured.
        measured = self._metrics["train" if self.model.training else "eval"]["rewards/margins"][-1]
        loss = loss + (1 - self.consistency) * (margin - margin.detach() + measured)
        return (loss, None) if return_outputs else loss


def couples(prompts: Sequence[Any], judged: Sequence[Judged]) -> Dataset:
    """The candidates two by two, as the trainer measures answers; the last of an odd number stands beside itself."""
    rows: dict[str, list[Any]] = {"prompt": [], "chosen": [], "rejected": []}
    for prompt, candidates in zip(prompts, judged, strict=True):
        for first, second in _couples(candidates or ()):
            for column, value in zip(rows, (prompt, _turn(first), _turn(second)), strict=True):
                rows[column].append(value)
    return Dataset.from_dict(rows)


def consistencies(trainer: Any, judged: Sequence[Judged], tick: Callable[[], None]) -> list[float | None]:
    """Kendall's τ-b between scores and implicit rewards, a row of the training data; None where either tells nothing
    apart. The candidates are the trainer's evaluation sample of that name, which it is rid of here."""
    rewards = iter(_rewards(trainer, tick))
    found: list[float | None] = []
    for candidates in judged:
        scores = [each["score"] for each in candidates or ()]
        mine = [reward for pair in islice(rewards, (len(scores) + 1) // 2) for reward in pair]
        found.append(rank_correlation(scores, mine[: len(scores)]))
    trainer.eval_dataset.pop(CANDIDATES)
    return found


def keep_consistent(trainer: Any, found: Sequence[float | None], least: float | None) -> dict[str, float]:
    """Leave out of the training what is below `least`; the numbers to report.

    Raises PermanentError NoConsistentPairs when nothing is left.
    """
    known = [each for each in found if each is not None]
    if not known:
        return {}
    kept = [place for place, each in enumerate(found) if least is None or each is None or each >= least]
    if not kept:
        raise PermanentError(
            "NoConsistentPairs",
            f"preferences.minConsistency {least:g}: in none of {len(found)} pairs does the judge's order agree so far "
            f"with the implicit reward (on average τ = {fmean(known):.2f}): lower it",
        )
    trainer.train_dataset = trainer.train_dataset.select(kept)
    return {
        "consistency": fmean(known),
        "consistency_weight": (1 + fmean(known)) / 2,
        "inconsistent_pairs": float(len(found) - len(kept)),
    }


def _rewards(trainer: Any, tick: Callable[[], None]) -> Iterator[tuple[float, float]]:
    """log π − log π_ref of both answers of each couple."""
    trainer.model.eval()
    for batch in trainer.get_eval_dataloader(CANDIDATES):
        tick()
        ratios = log_probabilities(trainer, batch) - reference_log_probabilities(trainer, batch)
        yield from map(tuple, ratios.double().cpu().tolist())


def _couples(candidates: Sequence[JudgedAnswer]) -> Iterator[tuple[JudgedAnswer, JudgedAnswer]]:
    for place in range(0, len(candidates), 2):
        yield candidates[place], candidates[min(place + 1, len(candidates) - 1)]


def _turn(candidate: JudgedAnswer) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": candidate["content"]}]
