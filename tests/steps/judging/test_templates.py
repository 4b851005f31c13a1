"""Judge prompts by name: what they hold, in which order, how EFT answers are written, and what cannot work."""

from typing import Any

import pytest
from selfreward_steps.contract import CustomTemplate, JudgeMode, JudgeSettings
from selfreward_steps.errors import PermanentError
from selfreward_steps.judging.templates import judge_messages, judge_template, judgement_text
from steps.judging.critiques import CRITIQUES

NAMES = ["additive", "additive-prefix", "multiple-choice"]


def asked(prompt: str, response: str, **settings: Any) -> str:
    (message,) = judge_messages(JudgeSettings(**settings), prompt, response)
    assert message["role"] == "user"
    return message["content"]


@pytest.mark.parametrize("mode", [JudgeMode.COT, JudgeMode.LOGPROB])
@pytest.mark.parametrize("name", NAMES)
def test_every_template_shows_both_texts_once(name: str, mode: JudgeMode) -> None:
    text = asked("What is rain?", "Water {prompt} {response} {0}.", template=name, mode=mode)
    assert text.count("What is rain?") == 1
    assert text.count("Water {prompt} {response} {0}.") == 1


def test_the_additive_rubric_has_five_points_and_the_closing_line() -> None:
    text = asked("Q", "A", template="additive")
    assert text.count("point if") == 5
    assert 'in the format "Score: <total points>"' in text
    # The paper's order: the instructions come last.
    assert text.index("Add 1 point") < text.index("User: Q") < text.index("Score: <total")


@pytest.mark.parametrize("name", ["additive-prefix", "multiple-choice"])
def test_what_never_changes_comes_first(name: str) -> None:
    first, second, other = (
        asked("Q", "A", template=name),
        asked("Q", "B", template=name),
        asked("R", "A", template=name),
    )
    start = first.index("User: Q")
    assert first[:start] == other[:start]
    # Answers to one prompt share the prompt too.
    assert first[: first.index("<response>")] == second[: second.index("<response>")]
    assert start > 0.9 * len(first) - 60
    assert "Score: <" in first[:start]


def test_both_additive_orders_say_the_same() -> None:
    assert sorted(asked("Q", "A", template="additive")) == sorted(asked("Q", "A", template="additive-prefix"))


@pytest.mark.parametrize(("name", "low"), [("additive", 0), ("additive-prefix", 0), ("multiple-choice", 1)])
def test_ranges(name: Any, low: int) -> None:
    template = judge_template(JudgeSettings(template=name))
    assert (template.scores.low, template.scores.high) == (low, 5)
    assert template.read(f"Score: {low}") == low
    assert template.read(f"Score: {low - 1}") is None
    assert template.read("Score: 6") is None


def test_one_token_is_asked_for_in_logprob_mode() -> None:
    text = asked("Q", "A", mode=JudgeMode.LOGPROB)
    assert "one whole number from 0 to 5, and nothing else" in text
    assert "Score:" not in text


@pytest.mark.parametrize(
    ("critique", "score", "text"),
    [
        ("Clear and right.", 4, "Clear and right.\n\nScore: 4"),
        ("", 3, "Score: 3"),
        ("  Clear. \n", 2.5, "Clear.\n\nScore: 2.5"),
        ("Clear.\nScore: 4", 4, "Clear.\nScore: 4"),
        # A critique that ends with another score gets the right one.
        ("Clear.\nScore: 2", 4, "Clear.\nScore: 2\n\nScore: 4"),
        ("Thirds.", 10 / 3, "Thirds.\n\nScore: 3.33333"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_an_eft_answer_is_read_back(name: Any, critique: str, score: float, text: str) -> None:
    settings = JudgeSettings(template=name)
    assert judgement_text(settings, critique, score) == text
    assert judge_template(settings).read(text) == pytest.approx(score, abs=1e-5)


def test_an_eft_answer_in_logprob_mode_is_the_token() -> None:
    assert judgement_text(JudgeSettings(mode=JudgeMode.LOGPROB), "Clear.", 4) == "4"


def test_an_eft_score_out_of_range_is_refused() -> None:
    with pytest.raises(PermanentError, match="score 0 cannot be written") as caught:
        judgement_text(JudgeSettings(template="multiple-choice"), "Poor.", 0)
    assert caught.value.reason == "ScorePattern"


def custom(**fields: Any) -> JudgeSettings:
    defaults = {"text": "Rate.\n{prompt}\n--\n{response}", "score_pattern": r"Grade (\d+)", "max_score": 10}
    return JudgeSettings(template="custom", custom_template=CustomTemplate(**{**defaults, **fields}))


def test_a_custom_template() -> None:
    settings = custom(text='{"q": "{prompt}", "a": "{response}"}')
    assert judge_messages(settings, "x {response}", "y")[0]["content"] == '{"q": "x {response}", "a": "y"}'
    assert judge_template(settings).read("Grade 3, no: Grade 10") == 10
    assert judge_template(settings).read("Score: 3") is None


def test_a_custom_pattern_that_cannot_read_eft_answers() -> None:
    with pytest.raises(PermanentError, match=r"scorePattern 'Grade \(\\\\d\+\)'.*do not read 'Score: 3'"):
        judgement_text(custom(), "Fine.", 3)
    assert judgement_text(custom(), "Fine. Grade 3", 3) == "Fine. Grade 3"


@pytest.mark.parametrize("critique", [critique for critique, _ in CRITIQUES.values()], ids=CRITIQUES.keys())
def test_a_custom_template_without_a_pattern_reads_as_the_built_in_ones_do(critique: str) -> None:
    own = judge_template(custom(score_pattern=None, max_score=5))
    assert own.read(critique) == judge_template(JudgeSettings(template="additive")).read(critique)


@pytest.mark.parametrize(("low", "high"), [(1, 10), (-1, 5), (0, 100), (0, 9.5)])
def test_a_scale_that_one_token_cannot_say_is_refused(low: float, high: float) -> None:
    settings = custom(min_score=low, max_score=high)
    assert judge_template(settings).scores.high == high
    with pytest.raises(PermanentError, match=f"scores from {low:g} to {high:g}, but judge.mode logprob") as caught:
        judge_template(settings.model_copy(update={"mode": JudgeMode.LOGPROB}))
    assert caught.value.reason == "BadTemplate"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (JudgeSettings(template="custom"), "judge.customTemplate is missing"),
        (custom(text="{prompt}"), "judge.customTemplate.text has no placeholder {response}"),
        (custom(text="{response} {Prompt}"), "judge.customTemplate.text has no placeholder {prompt}"),
        (custom(score_pattern="("), "judge.customTemplate.scorePattern '('"),
        (custom(score_pattern=r"\d"), "has no group"),
        (custom(min_score=5, max_score=5), "maxScore 5 is not above minScore 5"),
    ],
    ids=["none", "no response", "no prompt", "broken pattern", "no group", "empty range"],
)
def test_a_custom_template_that_cannot_work_is_named(settings: JudgeSettings, named: str) -> None:
    with pytest.raises(PermanentError) as caught:
        judge_template(settings)
    assert caught.value.reason == "BadTemplate"
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("additive", 0, 5), ("additive-prefix", 0, 5), ("multiple-choice", 1, 5), ("custom", 1, 9)],
)
def test_what_counts_as_a_score_is_the_range_of_the_contract(name: Any, low: float, high: float) -> None:
    custom = CustomTemplate(text="{prompt}{response}", min_score=low, max_score=high) if name == "custom" else None
    settings = JudgeSettings(template=name, custom_template=custom)
    scores = judge_template(settings).scores
    assert (scores.low, scores.high) == settings.score_range == (low, high)
    bare = judge_template(settings.model_copy(update={"mode": JudgeMode.LOGPROB})).text
    assert name == "custom" or f"one whole number from {low:g} to {high:g}" in bare


@pytest.mark.parametrize(
    "settings",
    [
        JudgeSettings(mode=JudgeMode.PAIRWISE),
        JudgeSettings(
            mode=JudgeMode.PAIRWISE,
            template="custom",
            custom_template=CustomTemplate(text="Of {prompt}: {first} or {second}?"),
        ),
    ],
    ids=["own question", "the user's"],
)
def test_a_comparison_shows_both_answers_and_reads_what_it_writes(settings: JudgeSettings) -> None:
    (message,) = judge_messages(settings, "rain {first}", "wet {second}", "dry {prompt}")
    places = [message["content"].index(text) for text in ("rain {first}", "wet {second}", "dry {prompt}")]
    assert places == sorted(places)
    assert settings.score_range == judge_template(settings).scores == (0, 1)
    for score, verdict in ((1.0, "A"), (0.5, "tie"), (0.0, "B")):
        assert judgement_text(settings, "", score) == f"Verdict: {verdict}"
        assert judge_template(settings).read(judgement_text(settings, "B is long.", score)) == score


def test_a_comparison_without_a_place_for_the_second_answer_cannot_work() -> None:
    own = CustomTemplate(text="{prompt} {response}")
    with pytest.raises(PermanentError, match=r"has no placeholder \{first\}"):
        judge_template(JudgeSettings(mode=JudgeMode.PAIRWISE, template="custom", custom_template=own))
