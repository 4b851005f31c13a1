"""Argo CD's way with a resource's Lua scripts: what they are given, what they may use, and how their answer is read.

After argo-cd's `util/lua`: base, table and a safe `os` are all the libraries there are, numbers are floats, and an
empty table is an empty list unless the original had a mapping in its place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from lupa import lua51

ROOT: Final = Path(__file__).parents[2] / "config" / "argocd"
SCRIPTS: Final = ROOT / "selfreward.dev" / "SelfRewardRun"
_TAKEN_AWAY: Final = ("io", "string", "math", "debug", "coroutine", "dofile", "loadfile", "python")
_SAFE_OS: Final = "local date, time = os.date, os.time; os = {date = date, time = time}"


class LuaFails(Exception):
    """A script that does not run, or answers with something else than a table."""


def health(manifest: dict[str, Any]) -> dict[str, str]:
    """Status and message of the resource."""
    found: dict[str, str] = _run(SCRIPTS / "health.lua", manifest)
    return {"status": found["status"], "message": found.get("message", "")}


def actions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The actions that are shown for the resource, as `argocd.ResourceAction`s."""
    found: dict[str, dict[str, Any]] = _run(SCRIPTS / "actions" / "discovery.lua", manifest)
    return [{"name": name, **action} for name, action in sorted(found.items())]


def act(action: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """The resource as an action leaves it: Argo CD patches the difference."""
    changed = _run(SCRIPTS / "actions" / action / "action.lua", manifest)
    cleaned: dict[str, Any] = _cleaned(changed, manifest)
    return cleaned


def _run(script: Path, manifest: dict[str, Any]) -> Any:
    runtime = lua51.LuaRuntime(register_eval=False, register_builtins=False, unpack_returned_tuples=True)
    runtime.execute(_SAFE_OS)
    for name in _TAKEN_AWAY:
        runtime.globals()[name] = None
    runtime.globals()["obj"] = _to_lua(runtime, manifest)
    try:
        answer = runtime.execute(script.read_text(encoding="utf-8"))
    except lua51.LuaError as error:
        raise LuaFails(f"{script}: {error}") from error
    if lua51.lua_type(answer) != "table":
        raise LuaFails(f"{script}: answers with {lua51.lua_type(answer) or type(answer).__name__}, not with a table")
    return _from_lua(answer)


def _to_lua(runtime: lua51.LuaRuntime, value: Any) -> Any:
    match value:
        case dict():
            return runtime.table_from({key: _to_lua(runtime, part) for key, part in value.items()})
        case list():
            return runtime.table_from([_to_lua(runtime, part) for part in value])
        case bool() | str() | None:
            return value
        case int() | float():
            return float(value)
        case _:
            raise TypeError(type(value).__name__)


def _from_lua(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if all(isinstance(key, int) for key in keys):
        return [_from_lua(value[key]) for key in sorted(keys)]
    return {str(key): _from_lua(part) for key, part in value.items()}


def _cleaned(changed: Any, before: Any) -> Any:
    """`changed` with an empty list back as the mapping that it was."""
    match changed, before:
        case [], dict():
            return {}
        case dict(), dict():
            return {key: _cleaned(part, before.get(key)) for key, part in changed.items()}
        case list(), list():
            kept = [_cleaned(part, old) for part, old in zip(changed, before, strict=False)]
            return kept + changed[len(before) :]
        case _:
            return changed
