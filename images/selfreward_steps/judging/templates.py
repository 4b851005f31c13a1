"""What the judge is asked, by name, and how its answer is read and (for EFT) written.

The words are ours; the additive template has the five criteria of the paper's figure 2 and its closing line
`Score: <total>`. `additive-prefix` says the same with everything that never changes first, so that a server's prefix
cache computes it once. No system message anywhere: some models' chat templates reject one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from selfreward_steps.contract import CustomTemplate, JudgeMode, JudgeSettings, ScoreRange
from selfreward_steps.errors import PermanentError
from selfreward_steps.judging.comparison import QUESTION, comparison_message, result_score, stated_verdict
from selfreward_steps.judging.filling import filled
from selfreward_steps.judging.scoring import matched_score, stated_score
from selfreward_steps.rows import Message

_CRITERIA = """\
- Add 1 point if the response is relevant and gives some information on the user's question, even if it is incomplete \
or contains things that are beside the point.
- Add another point if the response covers a substantial part of the question, without resolving it completely or \
answering it directly.
- Add a third point if the response answers the basic elements of the question in a useful way, whether or not it \
seems to be written by an AI assistant or has the tone of a blog or of search results.
- Add a fourth point if the response is clearly written from an AI assistant's perspective, addresses the question \
directly and comprehensively, and is well organised and helpful, even if clarity, brevity or focus could be slightly \
better.
- Add a fifth point if the response could hardly be better suited to the question: expert, engaging and insightful, \
with nothing superfluous."""

_ADDITIVE = f"""\
Review the user's question and the corresponding response with the additive 5-point scoring system below. Points add \
up, one for each criterion that is met:

{_CRITERIA}"""

_CHOICES = """\
Rate how well the response answers the user's question. Choose the one number that fits best:

1: The response is incomplete, vague, off topic, controversial, or not what the user asked for.
2: The response covers most of what was asked, but does not address the question directly.
3: The response is helpful and covers everything that was asked, but not from an AI assistant's perspective.
4: The response is written from an AI assistant's perspective, complete, clear and well organised, with small room \
for improvement.
5: The response is a perfect answer of an AI assistant: focused, expert, easy to follow, and without anything \
superfluous."""

_VERDICTS = {1.0: "A", 0.5: "tie", 0.0: "B"}
"""How the result of the response that stands first is written."""
_QUESTION = "User: {prompt}\n\n<response>\n{response}\n</response>"


@dataclass(frozen=True)
class _Wording:
    """A named template's rubric and its closing instructions by mode."""

    rubric: str
    total: str

    def reasoned(self) -> str:
        return (
            "After examining the user's question and the response, briefly justify your score in up to 100 words. "
            f'Then conclude with the score in the format "Score: <{self.total}>". Assess from the perspective of an '
            "AI assistant."
        )

    def bare(self, scores: ScoreRange) -> str:
        numbers = f"one whole number from {scores.low:g} to {scores.high:g}"
        return f"Reply with the {self.total} alone, {numbers}, and nothing else."


_ADDITIVE_WORDING = _Wording(_ADDITIVE, "total points")
_CHOICE_WORDING = _Wording(_CHOICES, "rating")


@dataclass(frozen=True)
class JudgeTemplate:
    """One way to ask for a judgement: `text` with `{prompt}` and `{response}`, and how a score is read from the reply.

    `pattern` is the user's; without one the reply ends with `Score: N`. In mode `pairwise` the text has `{first}` and
    `{second}`, the reply ends with a verdict, and the score is what the first makes of it: 1 wins, ½ ties, 0 loses.
    """

    text: str
    scores: ScoreRange
    mode: JudgeMode
    pattern: re.Pattern[str] | None = None

    def ask(self, prompt: str, response: str, other: str | None = None) -> str:
        """The user message for the judge: the template with prompt and response filled in, and in mode `pairwise` the
        `other` response, which stands second."""
        if other is not None:
            return comparison_message(prompt, response, other, self.text)
        return filled(self.text, prompt=prompt, response=response)

    def read(self, critique: str) -> float | None:
        """The score that a critique states, None when it states none that counts."""
        if self.mode is JudgeMode.PAIRWISE:
            verdict = stated_verdict(critique)
            return None if verdict is None else result_score(verdict)
        if self.pattern is None:
            return stated_score(critique, self.scores)
        return matched_score(critique, self.pattern, self.scores)

    def written(self, scores: Sequence[float | None]) -> list[float | None]:
        """The scores as `write` would state them."""
        whole = self.mode is JudgeMode.LOGPROB
        return [float(round(score)) if whole and score is not None else score for score in scores]

    def write(self, critique: str, score: float) -> str:
        """A judgement to learn from, of which `read` gives `score` (to six digits) back.

        Raises PermanentError ScorePattern when the template cannot read it.
        """
        if self.mode is JudgeMode.LOGPROB:
            return f"{round(score)}"
        if self.mode is JudgeMode.PAIRWISE:
            return f"{critique.strip()}\n\nVerdict: {_VERDICTS[score]}".lstrip()
        critique, score = critique.strip(), float(f"{score:g}")
        if critique and self.read(critique) == score:
            return critique
        text = f"{critique}\n\nScore: {score:g}" if critique else f"Score: {score:g}"
        if self.read(text) != score:
            wanted = "its range" if self.pattern is None else f"scorePattern {self.pattern.pattern!r} and its range"
            raise PermanentError(
                "ScorePattern",
                f"judge.template: an EFT example with score {score:g} cannot be written: the template's {wanted} "
                f"({self.scores.low:g} to {self.scores.high:g}) do not read 'Score: {score:g}': change one of them",
            )
        return text


def judge_template(settings: JudgeSettings) -> JudgeTemplate:
    """The template that `settings` names; raises PermanentError BadTemplate for a custom one that cannot work."""
    mode, scores = settings.mode, settings.score_range
    if mode is JudgeMode.PAIRWISE and settings.template != "custom":
        return JudgeTemplate(QUESTION, scores, mode)
    match settings.template:
        case "additive":
            wording = _ADDITIVE_WORDING
            text = f"{wording.rubric}\n\n{_QUESTION}\n\n{_closing(wording, mode, scores)}"
        case "additive-prefix":
            wording = _ADDITIVE_WORDING
            text = f"{wording.rubric}\n\n{_closing(wording, mode, scores)}\n\n{_QUESTION}"
        case "multiple-choice":
            wording = _CHOICE_WORDING
            text = f"{wording.rubric}\n\n{_closing(wording, mode, scores)}\n\n{_QUESTION}"
        case "custom":
            return _custom(settings, settings.custom_template)
    return JudgeTemplate(text, scores, mode)


def judge_messages(settings: JudgeSettings, prompt: str, response: str, other: str | None = None) -> list[Message]:
    """The judge's messages for one candidate, or for two of them, as serving and EFT training both see them."""
    return [{"role": "user", "content": judge_template(settings).ask(prompt, response, other)}]


def judgement_text(settings: JudgeSettings, critique: str, score: float) -> str:
    """The assistant's turn of an EFT example; `critique` may be empty."""
    return judge_template(settings).write(critique, score)


def _closing(wording: _Wording, mode: JudgeMode, scores: ScoreRange) -> str:
    return wording.bare(scores) if mode is JudgeMode.LOGPROB else wording.reasoned()


def _custom(settings: JudgeSettings, custom: CustomTemplate | None) -> JudgeTemplate:
    mode = settings.mode
    if custom is None:
        raise _bad("judge.customTemplate is missing: judge.template is `custom`")
    if custom.text is None:
        raise _bad("judge.customTemplate.text is missing: give it, configMapRef or uri")
    compares = mode is JudgeMode.PAIRWISE
    for placeholder in ("{prompt}", "{first}", "{second}") if compares else ("{prompt}", "{response}"):
        if placeholder not in custom.text:
            where = "configMapRef" if custom.config_map_ref else f"uri: {custom.uri}" if custom.uri else "text"
            raise _bad(f"judge.customTemplate.{where} has no placeholder {placeholder}: put it where the text goes")
    pattern = None if custom.score_pattern is None else _score_pattern(custom.score_pattern)
    return JudgeTemplate(custom.text, settings.score_range if compares else _score_range(custom, mode), mode, pattern)


def _score_pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise _bad(f"judge.customTemplate.scorePattern {text!r}: {error}") from error
    if pattern.groups < 1:
        raise _bad(f"judge.customTemplate.scorePattern {text!r} has no group: put the score in (…)")
    return pattern


def _score_range(custom: CustomTemplate, mode: JudgeMode) -> ScoreRange:
    low, high = custom.min_score, custom.max_score
    if not low < high:
        raise _bad(f"judge.customTemplate.maxScore {high:g} is not above minScore {low:g}: swap them")
    if mode is JudgeMode.LOGPROB and not (low >= 0 and high <= 9):
        raise _bad(
            f"judge.customTemplate has scores from {low:g} to {high:g}, but judge.mode logprob reads one token, and "
            "many tokenizers write 10 as 1 and 0: keep minScore and maxScore within 0 to 9, or set judge.mode: cot"
        )
    return ScoreRange(low, high)


def _bad(message: str) -> PermanentError:
    return PermanentError("BadTemplate", message)
