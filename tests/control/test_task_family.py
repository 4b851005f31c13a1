"""Families of tasks: what outlives its creator is ended, the creators first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from selfreward.control.task_family import TaskFamily


async def test_what_is_left_behind_is_ended_from_the_top_down() -> None:
    ended: list[str] = []
    left: list[asyncio.Task[None]] = []

    async def lives(name: str, child: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        own = None if child is None else asyncio.create_task(child())
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(name)
            if own is not None:
                own.cancel()
                await asyncio.wait([own])

    async def forgetful() -> None:
        left.append(asyncio.create_task(lives("parent", lambda: lives("child"))))
        await asyncio.sleep(0)

    async def library() -> TaskFamily:
        family = TaskFamily()
        family.begin()
        await asyncio.create_task(forgetful())
        await asyncio.sleep(0.01)
        return family

    other = asyncio.create_task(lives("of somebody else"))
    family = await asyncio.create_task(library())
    assert not left[0].done()
    await family.end()
    assert left[0].done()
    assert ended == ["parent", "child"]
    assert not other.done()
    other.cancel()
