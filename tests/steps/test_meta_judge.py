"""The meta-judge: judgements of one answer compared by their own judge, and pairs of them beside the answers' pairs."""

import random

import pytest
from bench import Bench
from generation import JUDGEMENTS, judge, put_prompts, put_responses
from openai_server import OpenAIServer, running
from plausible_model import Body, Reply
from selfreward_steps.contract import InputRef, JudgeSettings, MetaJudge, PairsConfig, PairSettings
from selfreward_steps.errors import PermanentError
from selfreward_steps.judging.judgement import JudgedText, Judgement
from selfreward_steps.judging.meta_judge import dispute, settled
from server_faults import Fault, FaultKind

META = JudgeSettings(meta_judge=MetaJudge())
TEXT = JudgedText("p", "What?", ["one", "two"])


def stated(*scores: float | None) -> Judgement:
    return Judgement(list(scores), [f"Hm. Score: {score}" for score in scores])


@pytest.mark.parametrize(
    ("judged", "place", "scores"),
    [
        pytest.param([stated(3, 3, 4), stated(1, 3, 5)], 1, [1, 3, 5], id="the one they disagree on most"),
        pytest.param([stated(3, 4, None), stated(2, 2, 2)], 0, [3, 4], id="what states no score has no part"),
        pytest.param([stated(3, 3, 3), stated(2, 2, None)], None, [], id="agreement"),
        pytest.param([Judgement([], [], refused="no"), stated(None, None, 1)], None, [], id="nothing to compare"),
    ],
)
def test_what_is_disputed(judged: list[Judgement], place: int | None, scores: list[float]) -> None:
    found = dispute(TEXT, judged)
    assert (found and found.place) == place
    assert list(found.scores if found else ()) == scores


@pytest.mark.parametrize(
    ("replies", "pair", "flips"),
    [
        pytest.param(("A", "B"), ("Score: 1", "Score: 4"), 0, id="the first"),
        pytest.param(("B", "A"), ("Score: 4", "Score: 1"), 0, id="the second"),
        pytest.param(("A", "A"), None, 2, id="the place"),
        pytest.param(("tie", "tie"), None, 0, id="neither"),
        pytest.param(("A", None), None, 0, id="one order not taken"),
    ],
)
def test_what_is_settled(replies: tuple[str | None, str | None], pair: tuple[str, str] | None, flips: int) -> None:
    about = dispute(TEXT, [stated(1, 4), stated(2, 2)])
    assert about is not None
    found = settled(META, about, [reply and f"Verdict: {reply}" for reply in replies])
    assert found.flips == flips
    if pair is None:
        assert found.pair is None
    else:
        assert found.pair is not None
        assert found.pair["id"] == "p/0"
        assert tuple(found.pair[side][0]["content"][4:] for side in ("chosen", "rejected")) == pair  # type: ignore[literal-required]
        assert "one" in found.pair["prompt"][0]["content"]


def test_judgements_of_one_score_are_no_pair() -> None:
    """They are preferred for their words alone, which is not what a judge is to learn."""
    about = dispute(TEXT, [stated(1, 1, 4)])
    assert about is not None
    # 1 over the other 1 in both orders, and the 4 between them.
    replies = ["Verdict: A", "Verdict: A", "Verdict: B", "Verdict: B", "Verdict: B", "Verdict: A"]
    assert settled(META, about, replies).pair is None


def thoughtful(body: Body, draw: random.Random) -> Reply:
    """Scores at random, and knows on a second look that higher ones are right."""
    text = str(body["messages"][-1]["content"])
    if "<judgement-a>" in text:
        first, second = (float(part.split("Score: ")[1][0]) for part in text.split("<judgement-a>")[1].split("-b>", 1))
        return Reply(f"Verdict: {'A' if first > second else 'B' if second > first else 'tie'}")
    return Reply(f"So.\nScore: {draw.randint(0, 5)}\nAnything else?")


def test_pairs_of_judgements_stand_beside_those_of_answers(bench: Bench) -> None:
    responses = put_responses(bench, 6)
    failing = OpenAIServer(brain=thoughtful, faults=[Fault(FaultKind.STATUS, skip=30, status=401)])
    with running(failing) as server, pytest.raises(PermanentError):
        bench.run(judge(bench, server, responses, settings=META, concurrency=1))
    with running(OpenAIServer(brain=thoughtful)) as server:
        result = bench.run(judge(bench, server, responses, settings=META))
    assert result.metrics["recovered"] == 30
    assert len(server.requests) == 24 + 6 * 6 - 30
    assert result.metrics["candidates"] == 24
    assert result.metrics["disputes"] == 6
    assert result.metrics["meta_position_bias"] == 0
    made = bench.rows(JUDGEMENTS, "judgement-pairs")
    assert 0 < len(made) == result.metrics["judgement_pairs"] <= 6
    for row in made:
        better, worse = (float(row[side][0]["content"].removeprefix("So.\nScore: ")) for side in ("chosen", "rejected"))
        assert better > worse
        assert "<response>" in row["prompt"][0]["content"]
    inputs = {"responses": responses, "judgements": InputRef(artifact=JUDGEMENTS), "prompts": put_prompts(bench, 6)}
    config = PairsConfig(**bench.frame("pairs", **inputs), iteration=1, settings=PairSettings())
    prompts = [{"id": f"1-{n:06d}", "prompt": f"What is {n}?"} for n in range(6)]
    assert bench.rows("prompts", "prompts") == prompts
    ended = bench.run(config)
    rows = bench.rows("pairs", "pairs")
    assert rows[-len(made) :] == made
    assert ended.metrics["judgement_pairs"] == len(made)
    assert ended.metrics["pairs"] == len(rows) - len(made) == bench.document("pairs", "statistics")["pairs"]


def test_without_it_nothing_more_is_asked_or_written(bench: Bench) -> None:
    with running(OpenAIServer(brain=thoughtful)) as server:
        bench.run(judge(bench, server, put_responses(bench, 2)))
    assert len(server.requests) == 8
    manifest = bench.store.read_manifest(JUDGEMENTS)
    assert manifest is not None
    assert [entry.name for entry in manifest.files] == ["judgements.jsonl"]
