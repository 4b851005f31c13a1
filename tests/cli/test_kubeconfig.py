"""What is wrong with a kubeconfig is one line, whatever it is; and the client's own reader is not asked in vain."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from selfreward.cli.cluster.kubeconfig import kubeconfig
from selfreward.cli.errors import USAGE, CommandError
from selfreward.cli.place import Place

GOOD = "contexts: [{name: lab, context: {}}]\ncurrent-context: lab\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "context", "words"),
    [
        pytest.param(None, None, "no kubeconfig: ~/.kube/config is not there: set KUBECONFIG", id="none"),
        pytest.param("", None, "no kubeconfig: is empty or no mapping", id="empty"),
        pytest.param("hello", None, "no kubeconfig: is empty or no mapping", id="a word"),
        pytest.param("{", None, "no kubeconfig: not YAML", id="torn"),
        pytest.param("a: [\xff".encode("latin-1"), None, "no kubeconfig: not YAML", id="no text"),
        pytest.param(GOOD, "prod", "--context prod: not in ~/.kube/config (there are: lab)", id="no such context"),
        pytest.param("contexts: null", "prod", "(there are: none)", id="no contexts"),
    ],
)
def test_one_line(home: Path, text: str | bytes | None, context: str | None, words: str) -> None:
    if text is not None:
        (home / ".kube").mkdir()
        (home / ".kube" / "config").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CommandError) as refused:
        kubeconfig(Place(context=context))
    (line,) = refused.value.lines
    assert words in line
    assert "\n" not in line
    assert refused.value.exit_code == USAGE


def test_several_files_are_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "one").write_text(GOOD)
    (home / "two").write_text(GOOD.replace("lab", "prod"))
    monkeypatch.setenv("KUBECONFIG", f"{home}/one:{home}/absent:{home}/two")
    assert kubeconfig(Place(context="prod")) == f"{home}/one:{home}/two"


def test_a_pod_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert kubeconfig(Place()) is None
    with pytest.raises(CommandError, match="no kubeconfig"):
        kubeconfig(Place(context="lab"))


def test_a_question_to_a_cluster_does_without_what_only_the_operator_needs() -> None:
    code = "import sys, selfreward.cli.cluster.asking; print(sorted({'kopf', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
