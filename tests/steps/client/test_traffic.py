"""What several batches of one client come to, on a clock of our own."""

from selfreward_steps.client.traffic import Traffic


def test_batches_are_added_up_by_their_own_time() -> None:
    now = [100.0]
    traffic = Traffic(8, clock=lambda: now[0])
    for in_flight, seconds in ((4, 3.0), (8, 1.0)):
        traffic.begin()
        for _ in range(in_flight):
            traffic.meter.sent()
        now[0] += seconds
        traffic.meter.returned()
        traffic.meter.tail()
        traffic.tokens += 30
        traffic.end()
        now[0] += 1000  # between two batches nothing is asked of the server
    traffic.begin()
    traffic.meter.tail()
    traffic.end()
    assert traffic.metrics()["tokens_per_second"] == 60 / 4
    assert traffic.metrics()["concurrency_measured"] == (4 * 3 + 8 * 1) / 4


def test_a_batch_under_way_counts_already() -> None:
    now = [100.0]
    traffic = Traffic(8, clock=lambda: now[0])
    traffic.begin()
    assert traffic.metrics()["tokens_per_second"] == 0
    traffic.tokens += 30
    now[0] += 2
    assert traffic.metrics()["tokens_per_second"] == 15
    assert "concurrency_measured" not in traffic.metrics()
