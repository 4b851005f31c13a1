"""The glossary: every word of the page that is explained is explained once, and nothing is that no page says."""

from __future__ import annotations

import re

from report.conftest import NOW
from report.test_page import Page
from selfreward.api import Gates
from selfreward.report import figures, glossary
from selfreward.report.model import RunReport
from selfreward.report.page import render_comparison, render_report


def test_each_word_has_one_meaning() -> None:
    terms = glossary.terms()
    assert len({term.id for term in terms}) == len(terms)
    labels = [label for term in terms for label in (term.word, *term.labels)]
    assert len(set(labels)) == len(labels)
    assert all(term.meaning.endswith(".") and "`" not in term.meaning for term in terms)


def test_every_gate_is_explained_in_its_own_words() -> None:
    found = glossary.term("judgeDrift")
    assert found is not None
    assert found.meaning.startswith("How differently the judge orders the answers")
    assert len(Gates.model_fields) == sum(glossary.term(name) is not None for name in Gates().model_dump(by_alias=True))


def test_a_row_below_another_is_found_without_its_dots() -> None:
    assert glossary.term("… length-balanced") is glossary.term("length-balanced") is not None
    assert glossary.term("prompts") is None


def test_words_of_the_tables_lead_to_the_list(whole: RunReport) -> None:
    for html in (render_report(whole, NOW), render_comparison([whole], NOW)):
        page = Page(html)
        ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
        words = [attrs for tag, attrs in page.tags if tag == "button" and attrs.get("class") == "term"]
        assert {word["aria-describedby"] for word in words} <= ids
        meanings = {term.id: term.meaning for term in glossary.terms()}
        assert all(meanings[word["aria-describedby"] or ""] == word["data-means"] for word in words)


def test_every_measure_of_the_judge_is_explained(whole: RunReport) -> None:
    table = figures.judge_table(whole)
    assert table is not None
    assert [row[0] for row in table.rows if glossary.term(row[0]) is None] == []


def test_no_meaning_is_written_twice(whole: RunReport) -> None:
    text = Page(render_report(whole, NOW)).text
    for term in glossary.terms():
        assert len(re.findall(re.escape(" ".join(term.meaning.split())), text)) == 1, term.word
