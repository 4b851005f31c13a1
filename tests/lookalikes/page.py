"""docs/models.md: what becomes of each model look-alike. `python tests/lookalikes/page.py` prints it, in minutes."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

# One thread each, before any torch: the same sums every time.
os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1] / "steps"))

from forked import forking
from lookalikes.models import MODELS
from lookalikes.walking import Walked, serving, walked

COLUMNS: Final = ("import", "SFT", "serve", "stop", "judge", "DPO")
_HEAD: Final = """\
# Models

What becomes of the field's most used open models on the way from import to M2. Each row is a look-alike: a random model
of a few kilobytes with that architecture, the special tokens of its tokenizer and the shape of its chat template. It is
imported, trained on three questions and two judgements until it knows them by heart, served and asked for them, judges
two answers, and learns the pair that the two scores make. Every step is the real one; the weights are not, so nothing
here says how good a model is.

*import*: what was repaired, in the words of the model card. *SFT*: examples that were trained on. *serve*: whether
`transformers serve` answers as was learnt. *stop*: the token that ends an answer, before its limit. *judge*: whether
the judge's prompt comes through the chat template and the scores are read. *DPO*: the model that comes out.

vLLM serves other kernels, and for GPT-OSS another prompt: it writes OpenAI's Harmony format by itself, with a system
message of its own, whatever the chat template says. Generated.

"""


def cells(found: Walked) -> Mapping[str, str]:
    """The row's cells by column, as Markdown."""
    values = (found.imported, found.trained, found.served, found.stopped, found.judged, found.improved)
    return {column: value.replace("|", "\\|") for column, value in zip(COLUMNS, values, strict=True)}


def as_markdown(rows: Mapping[str, Mapping[str, str]]) -> str:
    """The page, from the cells of each look-alike."""
    lines = [f"| {' | '.join(('model', *COLUMNS))} |", f"|{' --- |' * (1 + len(COLUMNS))}"]
    lines += [f"| {' | '.join((name, *row.values()))} |" for name, row in rows.items()]
    return _HEAD + "\n".join(lines) + "\n"


def main() -> None:
    """Walk them all and print the page."""
    forks, rows = forking(), {}
    with tempfile.TemporaryDirectory() as made, serving(Path(made)) as url:
        for name in MODELS:
            folder = Path(made) / name
            folder.mkdir()
            os.environ["SELFREWARD_SCRATCH"] = str(folder / "scratch")
            print(f"{name} …", file=sys.stderr)
            with redirect_stdout(sys.stderr):  # where the steps tell their progress
                rows[name] = cells(walked(name, folder, forks, url))
    sys.stdout.write(as_markdown(rows))


if __name__ == "__main__":
    main()
