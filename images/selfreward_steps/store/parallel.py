"""Parallel work on many files, which stops at the first failure."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(work: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> list[Result]:
    """`work(item)` for every item, in order; the first error is raised once what runs has ended."""
    with ThreadPoolExecutor(workers, thread_name_prefix="store") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
