"""A small run that is disturbed on its way: `python benchmarks/gpu/disturb.py MODEL PROMPTS OUT`.

`--acts` names what is done and when, each once, in any order:

* `rank@dpo-1`: SIGKILL for the second process of that training, between two of its steps (`rank0@`: for the first);
* `engine@respond-2`: SIGKILL for the engine while that step is answered;
* `memory@pairs-2`: once that step has begun, a stranger fills the first GPU as soon as it is free and holds it for
  40 s, so that what comes next finds no memory; `memory@import` does so before the first server.

OUT gets `timeline.jsonl`, all that the run said meanwhile, `disturbed.json` and `table.md`. A run that was cut off
goes on with the same command; what has been done is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "operator"), str(ROOT / "images")]

import psutil  # noqa: E402
from disturbed import report, table  # noqa: E402
from processes import SERVER, Member, family, holdings, memory_used  # noqa: E402
from product import NAME, prepared  # noqa: E402
from setting import Setting, asked, first_prompts, put_product_first  # noqa: E402
from watch import newest_progress  # noqa: E402

_LOOK: Final = 0.1
_HELD_SECONDS: Final = 40
_FROM: Final = 0.25
"""Share of a step's work that is done when it is struck: its first checkpoint is there by then."""
DEFAULT: Final = Setting(
    prompt_count=200,
    training_processes=2,
    # Many small steps, so that there is a middle of them.
    batch=4,
    per_device=2,
    extra=json.dumps({"training": {"dpo": {"checkpointSteps": 6}}}),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", default="0,1")
    parser.add_argument("--acts", default="rank@dpo-1,engine@respond-2,memory@pairs-2")
    given, setting = asked(parser, DEFAULT)
    out: Path = given["out"].resolve()
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "disturbed.json").exists():
        os.environ["CUDA_VISIBLE_DEVICES"] = given["gpus"]
        put_product_first()
        command = prepared(
            given["model"].resolve(), first_prompts(given["prompts"], out, setting), out / "run", setting
        )
        code = Disturbed(out, given["acts"].split(","), given["gpus"].split(",")[0]).walk(command)
        record = json.loads((out / "run" / NAME / "status.json").read_text())
        found = report(timeline(out / "timeline.jsonl"), record, code)
        (out / "disturbed.json").write_text(json.dumps(found, indent=1))
    (out / "table.md").write_text(table(json.loads((out / "disturbed.json").read_text())))
    print((out / "table.md").read_text())
    return 0


def timeline(file: Path) -> list[dict[str, Any]]:
    """All that was noted so far, in order."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


class Disturbed:
    """A run under way: what it says is noted, and what is to be done to it is done in time."""

    def __init__(self, out: Path, acts: list[str], gpu: str) -> None:
        self._run = out / "run" / NAME
        self._file = out / "timeline.jsonl"
        self._log = out / "run" / "run.log"
        done = {row["act"] for row in timeline(self._file) if row["kind"] == "act"}
        self._acts = [act for act in acts if act not in done]
        self._gpu = gpu
        self._last: dict[str, Any] = {}
        self._dying: list[psutil.Process] = []
        self._filler: subprocess.Popen[str] | None = None

    def walk(self, command: list[str]) -> int:
        """Walk the run to its end; returns its exit code."""
        with self._log.open("a") as log:
            runner = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        while runner.poll() is None:
            self._look()
            for act in list(self._acts):
                what, _, key = act.partition("@")
                if self._has_come(what, key) and self._do(act, what, key, runner.pid):
                    self._acts.remove(act)
            time.sleep(_LOOK)
        self._look()
        if self._filler is not None:
            self._filler.kill()
        return runner.returncode

    def _has_come(self, what: str, key: str) -> bool:
        """Whether it is time: in the middle of the work; or as soon as the step has begun."""
        if what == "memory":
            return self._last.get(f"row {key}", {}).get("state") in ("Running", "Succeeded")
        progress = self._last.get(f"progress {key}")
        return progress is not None and progress["total"] * _FROM <= progress["done"] < progress["total"]

    def _do(self, act: str, what: str, key: str, runner: int) -> bool:
        if what == "memory":
            self._filler = subprocess.Popen(
                [sys.executable, str(HERE / "fill.py"), str(_HELD_SECONDS)],
                env={**os.environ, "CUDA_VISIBLE_DEVICES": self._gpu},
                stdout=self._file.with_name("fill.jsonl").open("a"),
                text=True,
            )
            self._note("act", act=act, key=key, pid=self._filler.pid, memory=memory_used())
            return True
        members = family(runner)
        role = SERVER if what == "engine" else key.rpartition("-")[0]
        of_role = [member for member in members if member.role == role]
        victim = _engine(of_role) if what == "engine" else _rank(of_role, 0 if what == "rank0" else 1)
        if victim is None:
            return False
        with suppress(psutil.Error):
            words = " ".join(victim.process.cmdline()).strip()[:200] or victim.process.name()
            self._note(
                "act", act=act, key=key, pid=victim.process.pid, rank=victim.rank, words=words, memory=memory_used()
            )
            self._dying = [member.process for member in of_role]
            self._last.pop("dying", None)
            os.kill(victim.process.pid, signal.SIGKILL)
        return True

    def _look(self) -> None:
        """Note what is new."""
        with suppress(FileNotFoundError):
            status = json.loads((self._run / "status.json").read_text())["status"]
            for row in (row for part in status.get("iterations", []) for row in part["steps"]):
                self._changed(f"row {row['key']}", {name: row.get(name) for name in _OF_ROW})
                self._look_at_progress(row)
            for serving in status.get("servings", []):
                self._changed(f"serving {serving['model']}", {name: serving.get(name) for name in _OF_SERVING})
            for condition in status.get("conditions", []):
                told = {name: condition.get(name) for name in ("status", "reason", "message")}
                self._changed(f"condition {condition['type']}", told)
        self._look_at_dying()
        fill = self._file.with_name("fill.jsonl")
        if fill.exists():
            self._changed("fill", fill.read_text().splitlines()[-1:])

    def _look_at_progress(self, row: Mapping[str, Any]) -> None:
        if row["state"] != "Running" or not row.get("child"):
            return
        found = [newest_progress(log) for log in (self._run / "children" / row["child"]).glob("*.log")]
        told = [each for each in found if each is not None and each.get("total")]
        if told:
            done, total = (sum(each[name] for each in told) for name in ("done", "total"))
            # A shard that has not spoken yet is not counted: what is done is more exact than what is left.
            progress = {"child": row["child"], "unit": told[0]["unit"], "done": done, "total": total}
            self._changed(f"progress {row['key']}", progress)

    def _look_at_dying(self) -> None:
        """Whether the processes that belonged together have gone, and the driver knows none of them any more."""
        if not self._dying:
            return
        pids = {process.pid for process in self._dying}
        alive = sorted(process.pid for process in self._dying if _lives(process))
        on_gpu = sorted(each.pid for each in holdings() if each.pid in pids)
        self._changed("dying", {"alive": alive, "on_gpu": on_gpu, "memory": memory_used()})
        if not alive and not on_gpu:
            self._dying = []

    def _changed(self, what: str, value: Any) -> None:
        if self._last.get(what) != value:
            self._last[what] = value
            self._note("change", what=what, value=value)

    def _note(self, kind: str, **told: Any) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            print(json.dumps({"at": time.time(), "kind": kind, **told}), file=file)


_OF_ROW: Final = ("state", "attempt", "failures", "infrastructureFailures", "reason", "message", "retryAt", "child")
_OF_SERVING: Final = ("state", "attempt", "failures", "reason", "message", "child")


def _engine(members: list[Member]) -> Member | None:
    """The process that computes, behind the one that answers; where there is but one, that."""
    if not members:
        return None
    top = members[0].process.pid
    named = [member for member in members if "EngineCore" in _name(member)]
    below = [member for member in members if member.process.pid != top]
    return next(iter(named), max(below, key=_size, default=members[0]))


def _rank(members: list[Member], rank: int) -> Member | None:
    """The process of that rank; of a training in one process, that process."""
    of_rank = {member.rank: member for member in members}
    return of_rank.get(rank) or (members[0] if len(members) == 1 else None)


def _name(member: Member) -> str:
    with suppress(psutil.Error):
        return " ".join([member.process.name(), *member.process.cmdline()])
    return ""


def _size(member: Member) -> int:
    with suppress(psutil.Error):
        return int(member.process.memory_info().rss)
    return 0


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


if __name__ == "__main__":
    sys.exit(main())
