"""How long a report of 10,000 candidates takes to open in a real browser, and how large it is.

    PYTHONPATH=tests .venv/bin/python benchmarks/report/opening.py

Makes a run of 2,500 prompts with 4 candidates and 3 critiques each, as long as people's answers in Open Assistant
(771 characters on average) and critiques of 70 words, then opens its page in fresh headless Chromiums. `--page FILE`
measures a page that is there. Needs `chromium` (Debian's package).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser
from report.chromium import chromium, opened
from report.made_run import MadeRun
from selfreward.report.page import render_report
from selfreward.report.reading import read_report

MARKS = {
    "first paint": "performance.getEntriesByName('first-contentful-paint')[0]?.startTime",
    "first prompts": "performance.getEntriesByName('first-prompts')[0]?.startTime",
    "all prompts": "performance.getEntriesByName('all-prompts')[0]?.startTime",
}
SEARCH = """(async () => {
  const query = document.getElementById('query'), start = performance.now();
  const before = document.getElementById('found').textContent;
  query.value = 'zzz'; query.dispatchEvent(new Event('input'));
  while (document.getElementById('found').textContent === before) await new Promise((go) => setTimeout(go, 5));
  return performance.now() - start;
})()"""


def made_page(folder: Path) -> Path:
    """The page of a run that was made up."""
    os.fsync = lambda file: None  # the store waits for the disk at every commit; this run is thrown away
    run, store = MadeRun(folder, prompts=1250, shards=4, answer_chars=771, critique_chars=400).make()
    now, start = datetime.now(UTC), time.perf_counter()
    report = read_report(run, store, now)
    read = time.perf_counter()
    page = render_report(report, now)
    print(f"read in {read - start:.1f} s, written in {time.perf_counter() - read:.1f} s")
    target = folder / "report.html"
    target.write_bytes(page)
    return target


def times_of(browser: Browser, page: Path) -> dict[str, float]:
    """Milliseconds from the navigation to each mark, and from a letter typed into the search to its answer."""
    with opened(browser, page) as seen:
        times = {name: float(seen.page.evaluate(mark) or "nan") for name, mark in MARKS.items()}
        times["first search"] = float(seen.page.evaluate(SEARCH))
        if seen.errors:
            raise SystemExit(f"the page complained: {seen.errors[0]}")
        return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = arguments.page or made_page(Path(folder))
        runs = []
        for _ in range(arguments.times):
            with chromium() as browser:
                runs.append(times_of(browser, page))
        print(f"{page.stat().st_size / 1e6:.1f} MB, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name in runs[0]:
        values = [run[name] for run in runs]
        print(f"{name:<14} {statistics.median(values):7.0f} ms  ({min(values):.0f} to {max(values):.0f})")


if __name__ == "__main__":
    main()
