"""The mean number in flight, on a clock of our own."""

from selfreward_steps.client.concurrency import ConcurrencyMeter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_mean_is_weighted_by_time_and_ends_with_the_tail() -> None:
    clock = Clock()
    meter = ConcurrencyMeter(clock)
    meter.sent()
    meter.sent()
    clock.now += 3  # 2 for 3 s
    meter.returned()
    clock.now += 1  # 1 for 1 s
    meter.sent()
    clock.now += 2  # 2 for 2 s
    meter.tail()
    clock.now += 100
    meter.returned()
    meter.tail()
    assert meter.area() == (2 * 3 + 1 * 1 + 2 * 2, 6)


def test_nothing_is_claimed_without_a_time_before_the_tail() -> None:
    clock = Clock()
    meter = ConcurrencyMeter(clock)
    assert meter.area() is None
    meter.sent()
    clock.now += 1
    assert meter.area() is None
    meter.tail()
    meter.returned()
    assert meter.area() is None
