"""The page in a real browser: reading, searching, links, keys, print, and what helps who sees or points less well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Locator, Page, expect
from report.chromium import Opened, chromium, opened, window
from report.conftest import NOW
from report.made_run import MadeRun
from report.test_page import HOSTILE
from selfreward.report.model import RunReport
from selfreward.report.page import render_comparison, render_report
from selfreward.report.reading import read_report
from selfreward.report.texts.model import RankedReport

WIDE, NARROW = 1280, 360
LONG = "A long answer. " * 60
FEW = "-000002"
"""In the ids of few prompts."""
AXE = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "rules": {"target-size": {"enabled": True}},
}


@pytest.fixture(scope="module")
def report(no_waiting_for_the_disk: None, tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    """Fourteen prompts an iteration, two pages of them; the second step of iteration 2 is not there yet."""
    run, store = MadeRun(tmp_path_factory.mktemp("browser"), prompts=14, until="judge-2").make()
    return read_report(run, store, NOW)


@pytest.fixture(scope="module")
def file(report: RunReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_bytes(render_report(report, NOW))
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def wide_window(browser: Browser) -> Iterator[Opened]:
    with window(browser, WIDE) as found:
        yield found


@pytest.fixture(scope="module")
def narrow_window(browser: Browser) -> Iterator[Opened]:
    with window(browser, NARROW, 740, dark=True, has_touch=True) as found:
        yield found


@pytest.fixture
def wide(wide_window: Opened) -> Iterator[Opened]:
    """A wide and light screen; whatever a test does there, what it shows must not complain."""
    yield wide_window
    complaints, wide_window.errors = wide_window.errors, []
    assert complaints == []


@pytest.fixture
def narrow(narrow_window: Opened) -> Iterator[Opened]:
    """A narrow and dark one, of a telephone."""
    yield narrow_window
    complaints, narrow_window.errors = narrow_window.errors, []
    assert complaints == []


@pytest.fixture
def page(wide: Opened, file: Path) -> Page:
    """The report on the wide screen."""
    wide.show(file)
    return wide.page


def read(page: Page, kind: str) -> None:
    page.get_by_role("button", name=kind, exact=True).click()


def found(page: Page) -> Locator:
    return page.locator("#found")


def test_search_finds_what_is_written_and_marks_it(report: RunReport, page: Page) -> None:
    wanted = report.excerpt.candidates.rows[12]
    words = wanted.candidates[2].critiques[1]
    page.get_by_label("Search").fill(words.upper())
    expect(found(page)).to_have_text("1–1 of 1 prompt")
    expect(page.locator("#prompts mark")).to_have_text(words)
    expect(page.locator("#prompts mark")).to_be_visible()
    page.get_by_label("Search").fill(wanted.id)
    expect(found(page)).to_have_text("1–1 of 1 prompt")
    page.get_by_label("Search").fill("nobody wrote this")
    expect(found(page)).to_have_text("no prompt fits")


def wrong(row: RankedReport) -> bool:
    means = [(each.rank, sum(score or 0 for score in each.scores) / len(each.scores)) for each in row.answers]
    return any(rank < other and mean < second for rank, mean in means for other, second in means)


def test_filters_show_what_they_say(report: RunReport, page: Page) -> None:
    texts = report.excerpt
    pairs = sum(row.paired is True for row in texts.candidates.rows)
    cut = sum(any(each.finish == "length" for each in row.candidates) for row in texts.candidates.rows)
    lost = [row for row in texts.comparisons.rows if row.outcome < 0]
    counts: list[tuple[str, dict[str, str], int]] = [
        ("Candidates", {}, len(texts.candidates.rows)),
        ("Candidates", {"Show": "with a pair"}, pairs),
        ("Candidates", {"Show": "with a cut-off answer"}, cut),
        ("Candidates", {"Iteration": "2"}, 14),
        ("Candidates", {"Iteration": "2", "Show": "with a pair"}, 0),
        ("Comparisons", {}, len(texts.comparisons.rows)),
        ("Comparisons", {"Show": "lost"}, len(lost)),
        ("Comparisons", {"Show": "lost", "Models": "M2 v M1"}, sum(row.model == "M2" for row in lost)),
        ("Judge's mistakes", {}, sum(map(wrong, texts.rankings.rows))),
        ("Judge's mistakes", {"Show": "all ranked prompts", "Judge": "SFT baseline"}, 14),
    ]
    for kind, chosen, count in counts:
        read(page, kind)
        for label, option in chosen.items():
            page.locator("#controls").get_by_label(label).select_option(label=option)
        shown = f"of {count} " if count else "no prompt fits"
        expect(found(page)).to_contain_text(shown)
        expect(page.locator("#prompts > .prompt")).to_have_count(min(10, count))


def test_an_order_puts_the_largest_first(report: RunReport, page: Page) -> None:
    page.get_by_label("Order").select_option(label="largest margin")
    margins = [float(text.rpartition(" ")[2]) for text in page.get_by_text("pair, margin").all_inner_texts()]
    assert margins == sorted(margins, reverse=True)
    assert len(margins) == 10
    read(page, "Judge's mistakes")
    page.get_by_label("Order").select_option(label="most pairs wrong")
    expect(page.locator("#prompts > .prompt").first).to_contain_text("3 of 3 pairs against people's order")


@pytest.mark.parametrize(
    ("fragment", "says"),
    [
        pytest.param("candidates/2/prompt-2-000013", "iteration 2", id="on the third page"),
        pytest.param("comparisons/M1%20v%20SFT%20baseline/held-000002", "M1 lost", id="of names with blanks"),
        pytest.param("rankings/M2/ranked-000001", "0 of 3 pairs against people's order, 3 tied", id="no mistake"),
    ],
)
def test_a_link_opens_the_page_at_its_prompt(wide: Opened, file: Path, fragment: str, says: str) -> None:
    wide.show(file, fragment)
    shown = wide.page.locator(".prompt:focus")
    expect(shown).to_contain_text(fragment.rpartition("/")[2])
    expect(shown).to_contain_text(says)
    expect(shown).to_be_in_viewport()


def test_links_are_followed_within_the_page_too(page: Page) -> None:
    link = page.get_by_role("link", name="Link to prompt prompt-1-000007")
    link.click()
    assert page.url.endswith("#candidates/1/prompt-1-000007")
    expect(page.locator(".prompt:focus")).to_contain_text("prompt-1-000007")
    page.evaluate("location.hash = '#rankings/M1/ranked-000000'")
    expect(page.locator(".prompt:focus")).to_contain_text("judged by M1")
    page.evaluate("location.hash = '#candidates/1/no-such-prompt'")
    expect(found(page)).to_have_text("this page does not hold no-such-prompt")
    page.go_back()
    expect(page.locator(".prompt:focus")).to_contain_text("judged by M1")


def test_everything_can_be_done_with_keys(page: Page) -> None:
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(".prompt:focus")).to_have_attribute("aria-label", "Prompt 2")
    page.keyboard.press("n")
    expect(found(page)).to_have_text("11–20 of 28 prompts")
    page.keyboard.press("p")
    expect(found(page)).to_have_text("1–10 of 28 prompts")


def test_a_long_answer_and_its_critiques_open(wide: Opened, report: RunReport, tmp_path: Path) -> None:
    first = report.excerpt.candidates.rows[0]
    answers = (replace(first.candidates[0], text=LONG), *first.candidates[1:])
    rows = (replace(first, candidates=answers), *report.excerpt.candidates.rows[1:])
    excerpt = replace(report.excerpt, candidates=replace(report.excerpt.candidates, rows=rows))
    path = tmp_path / "report.html"
    path.write_bytes(render_report(replace(report, excerpt=excerpt), NOW))
    wide.show(path)
    prompt, more = wide.page.locator(".prompt").first, wide.page.get_by_role("button", name="show all")
    height = prompt.bounding_box() or {}
    more.click()
    expect(prompt.get_by_role("button", name="show less")).to_be_focused()
    assert (prompt.bounding_box() or {})["height"] > height["height"]
    wide.page.keyboard.press("o")
    expect(prompt.locator("details[open]")).to_have_count(4)
    wide.page.keyboard.press("o")
    expect(prompt.locator("details[open]")).to_have_count(0)
    expect(prompt.get_by_role("button", name="show all")).to_be_visible()


def explained(term: Locator) -> bool:
    """Whether what the word means is on the screen."""
    return bool(term.evaluate("each => getComputedStyle(each, '::after').display !== 'none'"))


def hover(term: Locator) -> None:
    term.hover()


def focus(term: Locator) -> None:
    term.page.evaluate("document.querySelector('nav a:last-child').focus()")
    while not term.evaluate("each => each === document.activeElement"):
        term.page.keyboard.press("Tab")


def touch(term: Locator) -> None:
    term.tap()


@pytest.mark.parametrize("reach", [hover, focus, touch])
def test_a_word_is_explained_where_it_stands(narrow: Opened, file: Path, reach: Callable[[Locator], None]) -> None:
    narrow.show(file)
    page = narrow.page
    term = page.locator("button.term", has_text="GPU-seconds").first
    term.scroll_into_view_if_needed()
    assert not explained(term)
    reach(term)
    assert explained(term)
    said = page.locator(f"#{term.get_attribute('aria-describedby')}")
    expect(said).to_have_text(term.get_attribute("data-means") or "")
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW, "and nothing moves"
    page.keyboard.press("Escape")
    assert not explained(term)


def test_print_leaves_out_what_nobody_can_press_on_paper(page: Page) -> None:
    page.emulate_media(media="print")
    for gone in ("nav", "#controls", "#pager", "#keys"):
        expect(page.locator(gone)).to_be_hidden()
    for kept in ("#models", "#steps svg", "#gates", "#prompts .prompt >> nth=9", "#glossary"):
        expect(page.locator(kept)).to_be_visible()
    assert page.pdf(format="A4").count(b"/Type /Page\n") > 3
    page.emulate_media(media="null")


def test_without_javascript_all_but_the_texts_is_there(browser: Browser, file: Path) -> None:
    with opened(browser, file, java_script_enabled=False) as seen:
        expect(seen.page.get_by_text("Reading texts needs JavaScript")).to_be_visible()
        expect(seen.page.locator("#steps svg")).to_be_visible()
        expect(seen.page.locator("#controls")).to_be_hidden()


def test_what_a_model_wrote_does_nothing(wide: Opened, tmp_path: Path) -> None:
    run, store = MadeRun(tmp_path, write=lambda rng, length: rng.choice(HOSTILE)).make()
    path = tmp_path / "report.html"
    path.write_bytes(render_report(replace(read_report(run, store, NOW), notices=tuple(HOSTILE)), NOW))
    wide.show(path)
    for kind in ("Candidates", "Comparisons"):
        read(wide.page, kind)
        expect(wide.page.locator("#prompts").get_by_text(HOSTILE[1]).first).to_be_visible()
        assert wide.page.locator("#prompts img, #prompts script").count() == 0


SMALL = """() => [...document.querySelectorAll('a, button, input, select, summary')]
  .filter((each) => each.checkVisibility() && !each.closest('.skip'))
  .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect()])
  .filter(([, box]) => box.width < 24 || box.height < 24)
  .map(([what, box]) => `${what} ${box.width} × ${box.height}`)"""


@pytest.mark.parametrize(("screen", "width"), [("wide", WIDE), ("narrow", NARROW)])
def test_everybody_can_read_and_touch_it(request: pytest.FixtureRequest, file: Path, screen: str, width: int) -> None:
    seen: Opened = request.getfixturevalue(screen)
    seen.show(file)
    # Few prompts have all that ten have, and are sooner looked at.
    seen.page.get_by_label("Search").fill(FEW)
    for kind, part in (("Candidates", None), ("Comparisons", "#texts"), ("Judge's mistakes", "#texts")):
        read(seen.page, kind)
        expect(seen.page.locator("#prompts > .prompt").nth(1)).to_be_visible()
        assert violations(seen.page, part) == []
        assert seen.page.evaluate(SMALL) == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") == width


def test_the_page_that_compares_runs(narrow: Opened, report: RunReport, tmp_path: Path) -> None:
    path = tmp_path / "compare.html"
    path.write_bytes(render_comparison([report, replace(report, name="other")], NOW))
    narrow.show(path)
    assert violations(narrow.page) == []
    assert narrow.page.evaluate(SMALL) == []


# What it kept is counted there: the details of each rule would be a second of reading.
LOOK = """async ([part, options]) => {
  const found = await axe.run(part ?? document, options);
  return [found.passes.length, found.violations.map((each) => [each.id, each.nodes.map((node) => node.target)])];
}"""


def violations(page: Page, part: str | None = None) -> list[Any]:
    """What axe finds wrong on the page, or in a part of it: the rule, and where."""
    page.evaluate(AXE_SCRIPT)
    passed, wrong = page.evaluate(LOOK, [part, AXE])
    assert passed > 20, "it did look"
    found: list[Any] = wrong
    return found
