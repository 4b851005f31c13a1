"""Every command of the documentation is given here, or read by the program that it is for; what is neither stands in
:data:`ELSEWHERE` with the reason, and a new one that is neither fails.

Those of this project are run where nothing but a file is needed: on the README's run, on runs that have ended, on the
examples. What steers a cluster is read by the command line's own parser; what whole runs and clusters do with such
commands is tested in `tests/cli`, `tests/charts` and `tests/real_cluster`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from charts.helm import CHART, Helm, executable
from click.testing import CliRunner
from docs.commands import ROOT, Command, all_commands, filled, in_page
from report.made_run import MadeRun
from selfreward.api import GROUP
from selfreward.api.load import checked
from selfreward.cli.main import cli
from selfreward.cluster.local.record import RunFolder
from selfreward_steps.errors import PermanentError
from steps.importing.seed.seeding import seed

ELSEWHERE = {
    "apt install": "Debian's; `make test-bare` installs the same in Debians with nothing else",
    "pip install": "from a registry that has this project: there is none yet",
    "export": "the shell's",
    "kind": "another program, which needs Docker",
    "minikube": "another program, which needs Docker",
    "skopeo copy": "another program, and a registry",
    "hf download": "the hub",
    "images/debian-base": "as root, with debootstrap and buildah; tests/images reads it",
    "kubectl apply --server-side -k github.com/": "another project's manifests, from its repository",
}
"""Beginnings of commands that nothing here runs, and why."""
RESOURCES = {"srr", "selfrewardrun", "selfrewardruns", "crd", "configmap", "secret"}
LOCAL = {"validate", "plan", "status", "report", "compare", "list", "cost", "logs", "bundle", "wait", "completion"}
MISTAKE = "spec.iteratons=3"
"""The tutorial shows what is said of it."""
COMMANDS = all_commands()


def elsewhere(command: Command) -> list[str]:
    return [beginning for beginning in ELSEWHERE if f"{' '.join(command.words)} ".startswith(beginning)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user has it: the repository's folders, README's run in `run.yaml`, runs that have ended."""
    folder = tmp_path_factory.mktemp("desk")
    for name in ("charts", "config", "crds", "examples", "benchmarks"):
        (folder / name).symlink_to(ROOT / name)
    (run,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    (folder / "run.yaml").write_text(run, encoding="utf-8")
    runs = folder / "runs"
    runs.mkdir()
    for name in ("my-run", "my-run-no-eft", "known-world"):
        (folder / "stores" / name).mkdir(parents=True)
        made, _ = MadeRun(folder / "stores" / name, name=name, prompts=2, iterations=1).make()
        record = RunFolder(runs, name)
        record.path.mkdir(exist_ok=True)
        record.save(made)
        if name == "my-run":
            (folder / "my-run.json").write_text(made.model_dump_json(by_alias=True, exclude_none=True))
            assert made.spec.storage.uri is not None
            (folder / "store").write_text(made.spec.storage.uri)
    return folder


@pytest.fixture
def at_the_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(desk)
    monkeypatch.setenv("HUB_TOKEN", "given")  # for the README's gated model
    return desk


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_of_the_docs(command: Command, at_the_desk: Path) -> None:
    words = filled(command.words)
    while "=" in words[0]:
        words = words[1:]
    if not elsewhere(command):
        READERS[words[0]](words[1:], at_the_desk)


def test_what_runs_elsewhere_is_still_told() -> None:
    told = {beginning for command in COMMANDS for beginning in elsewhere(command)}
    assert told == ELSEWHERE.keys()


def test_commands_are_found_wherever_they_stand() -> None:
    page = "Say `make a`:\n\n    make b   # why\n\n```bash\nmake c \\\n  D=1 && make e\nmake f|g\n```\n"
    assert [" ".join(words) for words in in_page(page)] == [
        "make c D=1",
        "make e",
        "make f",
        "make g",
        "make b",
        "make a",
    ]


def selfreward(words: tuple[str, ...], desk: Path) -> None:
    name, *arguments = words
    if not arguments:  # spoken of
        assert name in cli.commands
        return
    if name == "run":
        # Of the same file, with the same presets; that a run is walked to its end is for tests of whole runs.
        name, arguments = "validate", [word for word in arguments if word not in ("--workdir", "runs")]
    if name not in LOCAL or {"-n", "--namespace", "-A"} & set(arguments):
        cli.commands[name].make_context(name, list(arguments))
        return
    store = (desk / "store").read_text()
    arguments = [word.replace("file:///mnt/copy/namespace=default", f"{store}/namespace=default") for word in arguments]
    given = (desk / "my-run.json").read_text() if "-" in arguments else None
    assert said([name, *arguments], given, fails=MISTAKE in arguments)


def said(arguments: list[str], given: str | None = None, *, fails: bool = False) -> str:
    """What `selfreward ARGUMENTS` prints, or says of a mistake."""
    done = CliRunner().invoke(cli, arguments, input=given)
    assert (done.exit_code != 0) is fails, (done.output, done.exception)
    return str(done.exception) if fails else done.output


def shown() -> list[tuple[str, list[str]]]:
    """The tutorial's commands that need no run, each with the lines that stand below it."""
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(selfreward (?:validate|plan) [^\n]+)\n```\n\n```\n(.*?)```", text, re.S)
    return [(command, output.splitlines()) for command, output in blocks]


@pytest.mark.parametrize(("command", "lines"), shown(), ids=[command for command, _ in shown()])
def test_the_tutorial_shows_what_is_said(command: str, lines: list[str], at_the_desk: Path) -> None:
    output = said(command.split()[1:], fails=MISTAKE in command)
    printed = [" ".join(line.split()) for line in output.splitlines()]
    wanted = [" ".join(line.split()) for line in lines]
    assert [line for line in wanted if line not in ("...", *printed) and not line.startswith("─")] == []


def kubectl(words: tuple[str, ...], desk: Path) -> None:
    verb, *rest = words
    if verb == "selfreward":
        selfreward(tuple(rest), desk)
        return
    if verb == "create":  # which can be done without a cluster
        ran([str(executable("kubectl")), verb, *rest, "--dry-run=client"])
        return
    has_flags([str(executable("kubectl")), verb], rest)
    match verb:
        case "apply":
            applied(rest, desk)
        case "get" | "describe" | "delete" if rest:
            assert rest[0] in RESOURCES
        case "patch":
            assert yaml.safe_load((desk / rest[rest.index("--patch-file") + 1]).read_text(encoding="utf-8"))


def applied(rest: list[str], desk: Path) -> None:
    """What `kubectl apply` would: of ours, runs are valid and folders build."""
    if "-k" in rest:
        assert Helm(desk).kustomize((desk / rest[rest.index("-k") + 1]).resolve())
    elif "-f" in rest:
        text = (desk / rest[rest.index("-f") + 1]).read_text(encoding="utf-8")
        for each in yaml.safe_load_all(text):
            assert {"apiVersion", "kind", "metadata"} <= each.keys()
            if each["apiVersion"].startswith(f"{GROUP}/"):
                checked(each)


def helm(words: tuple[str, ...], desk: Path) -> None:
    verb, *rest = words
    if verb.startswith("-"):  # an option of those that install
        verb, rest = "install", [verb, *rest]
    charts = [place for place, word in enumerate(rest) if re.search(r"charts/selfreward$|\.tgz$", word)]
    if verb != "install" or not charts:
        has_flags([str(executable()), verb], rest)
        return
    rest[charts[0]] = str(CHART)  # also where it is a package made of it
    if charts[0] == 0:
        rest.insert(0, "selfreward")
    assert "kind: Deployment" in ran([str(executable()), "template", *rest])


def make(words: tuple[str, ...], desk: Path) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [word for word in words if "=" not in word]
    assert [target for target in targets if not re.search(rf"^{target}:", text, re.MULTILINE)] == []
    assert [word for word in words if "=" in word and f"$({word.partition('=')[0]})" not in text] == []
    ran(["make", "--dry-run", *words], ROOT)


def python(words: tuple[str, ...], desk: Path) -> None:
    words = words[: words.index(">picture.svg")] if ">picture.svg" in words else words
    program = words[:2] if words[0] == "-m" else (str(ROOT / words[0]),)
    has_flags([sys.executable, *program], list(words[len(program) :]))


READERS: dict[str, Callable[[tuple[str, ...], Path], None]] = {
    "selfreward": selfreward,
    "kubectl": kubectl,
    "helm": helm,
    "make": make,
    "python": python,
}


def has_flags(program: list[str], words: list[str]) -> None:
    """The program has such options, by its own `--help`."""
    text = ran([*program, "--help"])
    lacking = [
        flag for flag in (word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)) if flag not in text
    ]
    if lacking and "kubectl" in program[0]:
        text = ran([program[0], "options"])
        lacking = [flag for flag in lacking if flag not in text]
    assert lacking == []


def ran(command: list[str], folder: Path | None = None) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "examples"), *sys.path]), "HOME": "/nowhere"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_tutorial_shows_what_the_import_says_of_columns(tmp_path: Path) -> None:
    source = {"uri": (ROOT / "examples/own_data/reviews.jsonl").as_uri(), "columns": {"prompt": "customer_wrote"}}
    with pytest.raises(PermanentError) as refused:
        seed(tmp_path, {"rankings": source})
    line = f"{refused.value.reason}: {refused.value}".replace(str(ROOT), "/…")
    assert line in (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
