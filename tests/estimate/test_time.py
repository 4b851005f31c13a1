"""Which of its limits decoding meets, and what a training's passes cost."""

from __future__ import annotations

import pytest
from selfreward.estimate import GPUS, Parameters, fitted
from selfreward.estimate.shape import typical
from selfreward.estimate.time import Servers, decode_tokens_per_second, generation_seconds, training_seconds
from selfreward.estimate.work import Generation, Training
from selfreward_steps.contract import ModelShape

SMALL, LARGE = typical(135 * 10**6), typical(70 * 10**9)
PARAMETERS = fitted()


@pytest.mark.parametrize(
    ("servers", "sequences", "limit"),
    [
        pytest.param(Servers(GPUS["h200"], SMALL), 1024, "processor", id="small"),
        pytest.param(Servers(GPUS["l4"], typical(8 * 10**9)), 16, "bandwidth", id="few-sequences"),
        pytest.param(Servers(GPUS["a100-80g"], LARGE, tensor_parallel=8), 1024, "compute", id="large"),
    ],
)
def test_decoding_is_as_fast_as_its_narrowest_limit(servers: Servers, sequences: float, limit: str) -> None:
    def rate(**changed: float) -> float:
        parameters = Parameters.model_validate(PARAMETERS.model_dump() | changed)
        return decode_tokens_per_second(parameters, servers, sequences, 500)

    raised = {
        "processor": {"engine_tokens": PARAMETERS.engine_tokens * 1.05},
        "bandwidth": {"decode_bandwidth": PARAMETERS.decode_bandwidth * 1.05},
        "compute": {"decode_compute": PARAMETERS.decode_compute * 1.05},
    }
    widened = {name for name, change in raised.items() if rate(**change) > rate()}
    assert widened == {limit}


def test_replicas_share_the_work() -> None:
    work = Generation(calls=1000, prompt_tokens=1e5, read_tokens=1e5, answer_tokens=1e6, samples=4000, shards=4)
    alone, together = (
        generation_seconds(PARAMETERS, Servers(GPUS["h200"], SMALL, replicas), work) for replicas in (1, 2)
    )
    # Each shard's own cost stays.
    assert together == pytest.approx(alone / 2, rel=0.1)


@pytest.mark.parametrize(
    ("shape", "gpu", "gained"),
    [
        pytest.param(SMALL, "h200", 2.0, id="the-processor-limits"),
        pytest.param(LARGE, "h200", 1.0, id="the-gpu-limits"),
    ],
)
def test_a_second_engine_gains_where_the_engines_processor_limits(shape: ModelShape, gpu: str, gained: float) -> None:
    alone, together = (
        decode_tokens_per_second(PARAMETERS, Servers(GPUS[gpu], shape, tensor_parallel=4, engines=engines), 500, 300)
        for engines in (1, 2)
    )
    assert together == pytest.approx(gained * alone, rel=0.05)


def test_nothing_to_ask_takes_no_time() -> None:
    assert generation_seconds(PARAMETERS, Servers(GPUS["h200"], SMALL), Generation()) == 0


def test_a_training_has_a_start_a_size_and_passes() -> None:
    def seconds(tokens: float, processes: int = 1) -> float:
        return training_seconds(PARAMETERS, GPUS["h200"], LARGE, Training(10, tokens, 4, 0, 1), processes)

    start = PARAMETERS.training_start + 70 * PARAMETERS.training_per_billion
    assert seconds(0) == pytest.approx(start)
    assert seconds(2e6) - start == pytest.approx(2 * (seconds(1e6) - start))
    assert seconds(1e6, 8) - start == pytest.approx((seconds(1e6) - start) / 8)
