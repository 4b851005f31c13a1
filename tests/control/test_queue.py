"""The work queue: each key once, at its date, by one worker at a time; and no dearer where many wait."""

from __future__ import annotations

import asyncio
import time

from selfreward.control.queue import NEWS_AHEAD, WorkQueue


async def test_keys_come_in_the_order_of_their_dates() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key, after in (("late", 0.03), ("soon", 0.01), ("now", 0.0), ("later", 0.02)):
        queue.add(key, after)
    assert [await queue.take() for _ in range(4)] == ["now", "soon", "later", "late"]


async def test_a_key_waits_once_at_its_earliest_date() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for after in (5.0, 0.0, 9.0):
        queue.add("run", after)
    assert await queue.take() == "run"
    queue.done("run")
    queue.add("other", 0.01)
    assert await queue.take() == "other"
    assert queue.depth == 0


async def test_nobody_gets_a_key_that_another_works_on() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("run")
    assert await queue.take() == "run"
    queue.add("run")
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    queue.done("run")
    assert await asyncio.wait_for(waiting, 1) == "run"


async def test_a_later_key_does_not_wait_for_one_that_is_worked_on() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("busy")
    await queue.take()
    queue.add("busy")
    queue.add("free", 0.01)
    assert await asyncio.wait_for(queue.take(), 1) == "free"


async def test_news_come_before_what_only_its_time_has_brought() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("first", "second"):
        queue.add(key)
    queue.add("second", 30)
    queue.add_news("third")
    queue.add_news("second")
    assert [await queue.take() for _ in range(3)] == ["third", "second", "first"]


async def test_how_long_a_key_has_waited_is_known_while_it_is_worked_on() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("run", -5)
    await queue.take()
    assert 5 <= queue.waited("run") < 6
    queue.done("run")
    assert queue.waited("run") == 0


async def test_news_do_not_keep_others_waiting_for_ever() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("overdue", -2 * NEWS_AHEAD)
    queue.add_news("news")
    assert [await queue.take() for _ in range(2)] == ["overdue", "news"]
    assert queue.depth == 0


async def test_to_take_a_key_costs_no_more_where_many_wait() -> None:
    async def seconds(waiting: int) -> float:
        queue: WorkQueue[int] = WorkQueue()
        for key in range(waiting):
            queue.add(key, 1000 + key)
        began = time.process_time()
        for key in range(-200, 0):
            queue.add(key)
            queue.done(await queue.take())
        return time.process_time() - began

    # A hundred times as many: sorting them all took two hundred times as long.
    assert await seconds(20_000) < 10 * await seconds(200)
