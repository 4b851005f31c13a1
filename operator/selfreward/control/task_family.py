"""A family of asyncio tasks: all that descend from one piece of code, so that what it leaves behind can be ended.

A library that starts tasks of its own may leave some running when it fails, and has no list of them. This module must
not know which library that is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Generator
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

_Task = asyncio.Task[Any]
_family: ContextVar[TaskFamily | None] = ContextVar("_family", default=None)


class TaskFamily:
    """The tasks that were created since :meth:`begin`, by its caller or by one another."""

    def __init__(self) -> None:
        self._creators: WeakKeyDictionary[_Task, _Task | None] = WeakKeyDictionary()

    def begin(self) -> None:
        """From now on every task that descends from the calling one is of the family."""
        _family.set(self)
        asyncio.get_running_loop().set_task_factory(_noting_family)

    def note(self, task: _Task) -> None:
        """A task was created, by the one that runs now."""
        self._creators[task] = asyncio.current_task()

    async def end(self) -> None:
        """Cancel whatever has outlived its creator, and wait for its end.

        From the top down, for a task ends its own children in the order that it needs.
        """
        while orphans := [task for task, creator in self._creators.items() if _is_orphan(task, creator)]:
            await end_tasks(orphans)


async def end_tasks(tasks: Collection[_Task]) -> None:
    """Cancel tasks and wait until they have ended, however they end."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _is_orphan(task: _Task, creator: _Task | None) -> bool:
    return not task.done() and (creator is None or creator.done())


def _noting_family(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
) -> _Task:
    """A task factory: asyncio's own, and a note of whose descendant the task is."""
    task: _Task = asyncio.Task(coro, loop=loop, **options)
    if (family := _family.get()) is not None:
        family.note(task)
    return task
