"""The page: whole, harmless whatever a model wrote, and small enough to open."""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report.conftest import NOW
from report.made_run import MadeRun, plain_words
from selfreward.report import figures
from selfreward.report.model import RunReport
from selfreward.report.page import render_report
from selfreward.report.reading import read_report
from selfreward.report.texts.model import CandidateReport, Excerpt, PromptReport, Sample
from selfreward.report.texts.payload import payload

HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!--<script>",
    "]]>{{ 7*7 }}{% raw %}",
    "half a pair \ud83d, a null \0, a line\u2028separator",
    "right \u202e to left",
]


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(folder: Path, **fields: Any) -> RunReport:
    run, store = MadeRun(folder, **fields).make()
    return read_report(run, store, NOW)


def rows(page: Page, kind: str = "candidates") -> list[Any]:
    kinds = [attrs.get("data-kind") for tag, attrs in page.tags if tag == "script"]
    pieces = [piece for piece, each in zip(page.scripts, kinds, strict=True) if each == kind]
    return [json.loads(line) for piece in pieces for line in unpacked(piece).split("\n")]


def unpacked(piece: str) -> str:
    return gzip.decompress(base64.b64decode(piece)).decode()


def test_it_says_what_the_artifacts_say(whole: RunReport) -> None:
    text = Page(render_report(whole, NOW)).text
    for words in (
        "made",
        "Succeeded in 18m00s",
        "hf://example/base-1b",
        "75% [71–79]",  # M3 as a judge
        "66% [62–70]",  # if the longest won
        "M3 v M1",
        "0.350 [0.31 to 0.39]",  # Spearman
        "dpo-2",
        "no pair: tied",
        "DPO's reward margin 4.0e-03 4.0e-03",
        "reward accuracy 75.0% 75.0%",
        "All 12 prompts with 48 candidates. All 18 comparisons. All 24 ranked prompts.",
        "2026-11-23 13:00 UTC",
    ):
        assert words in text


def test_a_training_is_drawn_step_by_step_and_long_ones_by_means(whole: RunReport) -> None:
    html = render_report(whole, NOW).decode()
    for model in ("M1", "M2", "M3"):
        assert f"{model}: loss" in html
    # 30 steps are 15 points of two: the first is the mean of 0.69 and 0.68.
    assert "step 1" not in html
    assert "1–2 0.685" in html
    assert "29–30 0.405" in html
    assert "means over up to 2 steps" in html
    assert "M0: loss" not in html


def test_it_fetches_nothing_and_runs_only_its_own_script(whole: RunReport) -> None:
    html = render_report(whole, NOW)
    page = Page(html)
    assert not [tag for tag, _ in page.tags if tag in ("link", "img", "iframe", "object", "base")]
    assert not [attrs for _, attrs in page.tags if "src" in attrs or any(name.startswith("on") for name in attrs)]
    assert {attrs["href"] for tag, attrs in page.tags if tag == "a"} <= {
        f"#{attrs['id']}" for _, attrs in page.tags if "id" in attrs
    }
    assert b"url(" not in html
    (policy,) = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(sha256(page.scripts[-1].encode()).digest()).decode()
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith(f"script-src 'sha256-{digest}'")
    assert page.scripts[-1].count("innerHTML") == 0


def test_hostile_texts_stay_texts(whole: RunReport, tmp_path: Path) -> None:
    plain = Page(render_report(whole, NOW))
    run, store = MadeRun(tmp_path, write=lambda rng, length: rng.choice(HOSTILE)).make()
    spec = run.spec.model_copy(update={"model": run.spec.model.model_copy(update={"uri": f"hf://{HOSTILE[0]}"})})
    found = read_report(run.model_copy(update={"spec": spec}), store, NOW)
    page = Page(render_report(replace(found, notices=tuple(HOSTILE)), NOW))
    names = [tag for tag, _ in page.tags]
    assert names.count("script") == len(page.scripts)
    assert set(names) <= {*(tag for tag, _ in plain.tags)}, "no element of a model's making"
    assert HOSTILE[0] in page.text
    texts = {candidate[0] for row in rows(page) for candidate in row[4]}
    assert texts <= set(HOSTILE)
    assert len(texts) > 1


def test_what_it_carries_is_what_was_read(whole: RunReport) -> None:
    carried = rows(Page(render_report(whole, NOW)))
    assert [row[1] for row in carried] == [prompt.id for prompt in whole.excerpt.candidates.rows]
    first, prompt = carried[0], whole.excerpt.candidates.rows[0]
    assert first[:4] == [prompt.iteration, prompt.id, prompt.prompt, prompt.paired]
    assert [(text, tuple(critiques), role) for text, _, _, critiques, role in first[4]] == [
        (each.text, each.critiques, each.role) for each in prompt.candidates
    ]


@pytest.mark.parametrize("until", ["import", "eft", "evaluate-m1", "respond-1", "judge-2", "evaluate-m3"])
def test_a_page_of_a_run_half_way(tmp_path: Path, until: str) -> None:
    page = Page(render_report(report(tmp_path, until=until), NOW))
    assert f"{until} under way" in page.text
    assert "not there yet" in page.text or until == "evaluate-m3"
    assert ("agrees with people" in page.text) is (until not in ("import", "eft")), "only what was measured"


def test_every_figure_says_its_numbers_and_every_table_has_headings(whole: RunReport) -> None:
    page = Page(render_report(whole, NOW))
    figures = [attrs for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    assert len(figures) == 12
    assert all(re.search(r"\d", attrs["aria-label"] or "") for attrs in figures)
    assert all("scope" in attrs for tag, attrs in page.tags if tag == "th")


def test_the_same_run_gives_the_same_page(whole: RunReport) -> None:
    assert render_report(whole, NOW) == render_report(whole, NOW)


def large(prompts: int, answer: int, critique: int) -> Excerpt:
    """Prompts with four candidates and three critiques each, cut anew out of one long text."""
    rng = random.Random(0)
    words = plain_words(rng, 3_000_000)

    def cut(length: int) -> str:
        start = rng.randrange(len(words) - length)
        return words[start : start + length]

    def candidate(role: str) -> CandidateReport:
        return CandidateReport(
            cut(answer), "stop", (1.0, 2.0, 4.0), (cut(critique), cut(critique), cut(critique)), role
        )

    roles = ("chosen", "rejected", "", "")
    found = [PromptReport(1, f"{n:06}", cut(80), True, tuple(map(candidate, roles))) for n in range(prompts)]
    return Excerpt(Sample(tuple(found), prompts))


def test_ten_thousand_candidates_stay_below_15_mb(whole: RunReport) -> None:
    """Answers as long as people's in Open Assistant (mean 771 characters), critiques of 70 words: all are carried."""
    found = replace(whole, excerpt=large(2500, answer=771, critique=400))
    html = render_report(found, NOW)
    assert len(html) < 15_000_000
    assert b"All 2,500 prompts with 10,000 candidates." in html


def test_what_does_not_fit_is_an_even_sample_and_said_so(tmp_path: Path) -> None:
    excerpt = large(400, answer=800, critique=300)
    (found,) = payload(excerpt, budget=500_000).kinds
    assert found.size <= 500_000
    assert 0.2 < found.shown / found.available < 0.5, "as many as fit"
    places = [int(json.loads(line)[1]) for piece in found.pieces for line in unpacked(piece).split("\n")]
    assert places == sorted(places)
    assert 0.35 < sum(place < 200 for place in places) / len(places) < 0.65, "from everywhere"


def test_what_lm_eval_says_of_each_model_and_what_has_changed(whole: RunReport) -> None:
    table = figures.tasks_table(whole)
    assert table is not None
    assert table.headings == ("", "M1", "M2", "M3", "M3 − M1")
    assert table.rows == (
        (
            "arc_easy/acc ↑",
            "0.700 [0.66 to 0.74]",
            "0.600 [0.56 to 0.64]",
            "0.500 [0.46 to 0.54]",
            "-0.200",
        ),
        ("mmlu/acc ↑", *["0.400 [0.36 to 0.44]"] * 3, "+0.000"),
        ("wikitext/word_perplexity ↓", *["12.500"] * 3, "+0.000"),
    )
    page = Page(render_report(whole, NOW))
    assert {"Tasks of lm-eval, by model", "arc_easy/acc ↑", "-0.200"} <= set(page.words)
    alone = figures.tasks_table(replace(whole, models=whole.models[:2]))
    assert alone is not None
    assert alone.headings == ("", "M1")
    assert figures.tasks_table(replace(whole, models=whole.models[:1])) is None
