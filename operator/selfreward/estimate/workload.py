"""The work of each step of a run: how many requests it sends, how many examples it trains on, how long they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from selfreward_steps.contract import EftMode, JudgeMode, JudgeSettings, Sampling, StepName

from selfreward.api import SelfRewardRunSpec
from selfreward.estimate.assumptions import Assumptions, Bound
from selfreward.estimate.work import Generation, Training, Work
from selfreward.plan.graph import Node
from selfreward.plan.graph.roles import is_filtered

CHARACTERS_A_TOKEN: Final = 4.5
"""Of English prose, by the tokenizers in use."""
_RUBRICS: Final = {"additive": 290, "additive-prefix": 290, "multiple-choice": 200}
"""Tokens of a judge's question beside the prompt and the answer."""
_COMPARISON: Final = 80
_SAFETY: Final = 110
_TASK: Final = 45
"""Tokens of the question for a new prompt, without its demonstrations."""
_MEASURED_PAIRS: Final = 256
"""Pairs that a training is measured on at most."""
_MT_BENCH_TURNS: Final = 160


@dataclass(frozen=True, slots=True)
class Workloads:
    """The work of every node of one run, at one end of what is assumed."""

    spec: SelfRewardRunSpec
    assumed: Assumptions
    bound: Bound

    def of(self, node: Node) -> Work:
        """The work of one step."""
        return WORK[node.step](self, node)

    def length(self, sampling: Sampling) -> float:
        """Mean tokens of an answer."""
        return max(1.0, self.assumed.lengths.at(self.bound) * sampling.max_tokens)

    def _asked(
        self, calls: float, prompt: float, answer: float, *, samples: int = 1, shared: float = 0, shards: int = 1
    ) -> Generation:
        count = round(calls)
        return Generation(
            calls=count,
            prompt_tokens=count * prompt,
            read_tokens=count * (prompt - shared),
            answer_tokens=count * samples * answer,
            samples=count * samples,
            shards=shards,
        )

    def _parts(self, node: Node) -> int:
        return -(-(node.shards or 1) // self.spec.serving.parallelism)

    def prompts(self, node: Node) -> Generation:
        """New prompts; read from a file they cost nothing."""
        settings, assumed = self.spec.prompts, self.assumed
        if node.serving is None:
            return Generation()
        shown = _TASK + settings.seed_shots * assumed.prompt_tokens + settings.generated_shots * self._new_prompt()
        wanted = settings.count + (self.spec.training.dpo.selection.prompts if self.spec.training.dpo.selection else 0)
        return self._asked(wanted / assumed.accepted.at(self.bound), shown, self._new_prompt())

    def _new_prompt(self) -> float:
        return float(min(self.assumed.new_prompt_tokens, self.spec.prompts.sampling.max_tokens))

    def _prompt(self) -> float:
        """Mean tokens of a prompt of the iterations."""
        return float(self.assumed.prompt_tokens)

    def responses(self, node: Node) -> Generation:
        """Candidates, or one answer of a checkpoint to each validation prompt."""
        settings = self.spec.responses
        selection = self.spec.training.dpo.selection
        if node.shards is None and selection is not None:
            return self._asked(selection.prompts, self._prompt(), self.length(settings.sampling))
        return self._asked(
            self.spec.prompts.count,
            self._prompt(),
            self.length(settings.sampling),
            samples=settings.per_prompt,
            shards=self._parts(node),
        )

    def judgements(self, prompts: float, each: float, response: float, *, shards: int = 1) -> Generation:
        """Judgements of `each` answers of so many prompts, an answer of a mean length."""
        judge = self.spec.judge
        if judge.mode is JudgeMode.PAIRWISE:
            asked = _COMPARISON + self._prompt() + 2 * response
            return self._asked(prompts * each * (each - 1), asked, self.length(judge.sampling), shards=shards)
        rubric = rubric_tokens(judge)
        one = judge.mode is JudgeMode.LOGPROB
        return self._asked(
            prompts * each,
            rubric + self._prompt() + response,
            1 if one else self.length(judge.sampling),
            samples=1 if one else judge.samples,
            shared=rubric if judge.template == "additive-prefix" else 0,
            shards=shards,
        )

    def judging(self, node: Node) -> Generation:
        """Judgements of an iteration's candidates, and what the meta-judge compares of them."""
        judge, prompts = self.spec.judge, self.spec.prompts.count
        response, shards = self.length(self.spec.responses.sampling), self._parts(node)
        total = self.judgements(prompts, self.spec.responses.per_prompt, response, shards=shards)
        if judge.meta_judge is not None:
            critique = self.length(judge.sampling)
            asked = _COMPARISON + self._prompt() + response + 2 * critique
            total += self._asked(prompts * judge.samples * (judge.samples - 1), asked, critique, shards=shards)
        return total

    def filtering(self, node: Node) -> Generation:
        """Judgements of ranked answers for the EFT filter."""
        if node.serving is None:
            return Generation()
        learnt = self.assumed.seeds.rankings * (1 - self.spec.eft.test_fraction)
        return self.judgements(learnt, self.assumed.answers_ranked, self._ranked())

    def _ranked(self) -> float:
        """Mean tokens of people's answers: what fits the examples' length at most."""
        return min(200.0, self.spec.training.sft.max_length / 2)

    def comparisons(self, prompts: float, answer: float) -> Generation:
        """Comparisons of two answers to each prompt, in both orders."""
        asked = _COMPARISON + self._prompt() + 2 * answer
        return self._asked(2 * prompts, asked, self.length(self.spec.judge.sampling))

    def selecting(self, node: Node) -> Generation:
        """Comparisons of every two checkpoints."""
        selection = self.spec.training.dpo.selection
        assert selection is not None
        pairs = selection.checkpoints * (selection.checkpoints - 1) / 2
        return self.comparisons(pairs * selection.prompts, self.length(self.spec.responses.sampling))

    def evaluation(self, node: Node) -> Generation:
        """What is asked of one model; tasks of lm-eval are not counted."""
        settings = self.spec.evaluation
        answer = self.length(settings.sampling)
        total = Generation()
        tested = self.assumed.seeds.rankings * self.spec.eft.test_fraction if "eft" in node.inputs else 0
        held_out = min(settings.prompts, tested or settings.prompts) if settings.source is None else settings.prompts
        if "measured" not in node.inputs:
            total += self.judgements(tested, self.assumed.answers_ranked, self._ranked())
            total += self._asked(held_out, self._prompt(), answer)
            if settings.mt_bench is not None:
                total += self._asked(_MT_BENCH_TURNS, 2 * self._prompt(), answer)
            if settings.safety_prompts is not None:
                total += self._asked(settings.prompts, self._prompt(), answer)
        if not node.key.startswith("answer-"):
            opponents = sum(role in node.inputs for role in ("against", "previous", "baseline"))
            opponents += settings.outside is not None
            total += self.comparisons(opponents * held_out, answer)
            if settings.safety_prompts is not None:
                total += self._asked(settings.prompts, _SAFETY + self._prompt() + answer, answer)
        return total

    def supervised(self, node: Node) -> Training:
        """Supervised fine-tuning, on instructions and, for M1, judging examples."""
        settings = self.spec.training.sft
        examples = float(self.assumed.seeds.instructions) if "seed" in node.inputs else 0.0
        tokens = examples * (self._prompt() + self._ranked())
        if "eft" in node.inputs:
            judged = self._judging_examples()
            examples += judged
            each = (
                rubric_tokens(self.spec.judge) + self._prompt() + self._ranked() + self.length(self.spec.judge.sampling)
            )
            tokens += judged * each
        if "pairs" in node.inputs:
            perfect = self.spec.prompts.count * self.assumed.paired.at(self.bound)
            examples += perfect
            tokens += perfect * (self._prompt() + self.length(self.spec.responses.sampling))
        passes = (2.0 if settings.lora else 3.0) + settings.gradient_checkpointing
        return _trained(settings.epochs, settings.batch_size, settings.max_steps, examples, tokens, passes)

    def _judging_examples(self) -> float:
        if self.spec.eft.mode is EftMode.GIVEN:
            return float(self.assumed.seeds.instructions) / 2
        judged = self.assumed.seeds.rankings * (1 - self.spec.eft.test_fraction) * self.assumed.answers_ranked
        share = self.assumed.agreeing.at(self.bound) if is_filtered(self.spec) else 1.0
        return judged * share

    def preference(self, node: Node) -> Training:
        """DPO on the pairs of the iterations that it reads."""
        settings = self.spec.training.dpo
        rounds = sum(role.startswith("pairs") for role in node.inputs)
        pairs = rounds * self.spec.prompts.count * self.assumed.paired.at(self.bound)
        response = self.length(self.spec.responses.sampling)
        pair_tokens = 2 * min(self._prompt() + response, float(settings.max_length))
        tokens = pairs * pair_tokens
        if self.spec.judge.meta_judge is not None:
            # As many pairs of judgements at most.
            judged = rubric_tokens(self.spec.judge) + self._prompt() + response + self.length(self.spec.judge.sampling)
            tokens += pairs * 2 * min(judged, float(settings.max_length))
            pairs *= 2
        # Forward and backward of the policy, forward of the reference, which adapters leave to the model itself.
        passes = (2.0 if settings.lora else 3.0) + settings.gradient_checkpointing + 1
        made = _trained(settings.epochs, settings.batch_size, settings.max_steps, pairs, tokens, passes)
        return replace(made, measured_tokens=min(pairs, _MEASURED_PAIRS) * pair_tokens)


def _trained(epochs: float, batch: int, most: int | None, examples: float, tokens: float, passes: float) -> Training:
    steps = max(1, round(examples * epochs / batch))
    share = epochs if most is None or steps <= most else epochs * most / steps
    return Training(round(examples), tokens * share, passes, steps=min(steps, most or steps))


def rubric_tokens(judge: JudgeSettings) -> float:
    """Tokens of the judge's question beside the prompt and the answer."""
    custom = judge.custom_template if judge.template == "custom" else None
    if custom is not None and custom.text is not None:
        return len(custom.text) / CHARACTERS_A_TOKEN
    return float(_RUBRICS.get(judge.template, _RUBRICS["additive"]))


WORK: Final[Mapping[StepName, Callable[[Workloads, Node], Work]]] = {
    StepName.IMPORT: lambda every, node: Work(),
    StepName.SFT_BASELINE: lambda every, node: Work(training=every.supervised(node)),
    StepName.EFT: lambda every, node: Work(every.filtering(node)),
    StepName.SFT: lambda every, node: Work(training=every.supervised(node)),
    StepName.PROMPTS: lambda every, node: Work(every.prompts(node)),
    StepName.RESPOND: lambda every, node: Work(every.responses(node)),
    StepName.JUDGE: lambda every, node: Work(every.judging(node)),
    StepName.PAIRS: lambda every, node: Work(),
    StepName.DPO: lambda every, node: Work(training=every.preference(node)),
    StepName.SELECT: lambda every, node: Work(every.selecting(node)),
    StepName.EVALUATE: lambda every, node: Work(every.evaluation(node)),
    StepName.PUBLISH: lambda every, node: Work(),
}
