"""A judging pod starts in no time: nothing that trains is imported."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["judge", "respond", "pairs", "evaluate"])
def test_judging_steps_import_no_training(module: str) -> None:
    code = (
        f"import sys, selfreward_steps.attempt.launch, selfreward_steps.{module};"
        "print([name for name in ('torch', 'transformers', 'datasets', 'trl', 'openai') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_judging_step_is_imported_in_no_time() -> None:
    code = "import time; start = time.process_time(); import selfreward_steps.attempt.launch, selfreward_steps.judge; "
    code += "print(time.process_time() - start)"
    seconds = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout) for _ in "ab"]
    assert min(seconds) < 1.5
