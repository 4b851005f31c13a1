"""A training that ran out of a GPU's memory: the next attempt takes fewer examples a forward pass."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from exhausting import run_with_little_memory
from safetensors.torch import load_file
from selfreward_steps.contract import DpoSettings
from selfreward_steps.training.overruns import Overruns, is_overrun
from training_bench import DIGEST, Bench, Finished

SETTINGS = {"learningRate": 1e-3, "minLearningRate": 1e-4, "batchSize": 8, "maxSteps": 2}
INPUTS = {"model": "m0", "seed": "seed"}


def attempt(bench: Bench, number: int, output: str = "sft", **settings: Any) -> Finished:
    chosen = {**SETTINGS, **settings}
    return bench.start("sft", output, chosen, inputs=INPUTS, attempt=number, process=run_with_little_memory).wait()


def test_each_attempt_after_one_that_ran_out_of_memory_takes_half_of_its_examples(bench: Bench) -> None:
    # An attempt's number alone changes nothing: the fifth is the first that ran out.
    for number, examples in ((5, 4), (6, 2)):
        ended = attempt(bench, number)
        assert (ended.code, ended.result["reason"]) == (1, "OutOfMemory")
        assert ended.result["failureClass"] == "Application"
        assert ended.result["message"].startswith(f"{examples} examples a forward pass do not fit")
    done = attempt(bench, 7)
    assert done.result["succeeded"], done.errors
    assert (done.numbers["per_device_batch"], done.numbers["accumulation"]) == (1, 8)
    assert Overruns(bench.store, "sft", done_digest(bench), 1).limit() is None, "what was noted goes with the commit"
    stated = bench.run("sft", "stated", {**SETTINGS, "perDeviceBatchSize": 1}, inputs=INPUTS)
    assert stated.result["succeeded"], stated.errors
    assert bench.weights("sft") == bench.weights("stated")


def done_digest(bench: Bench) -> str:
    manifest = bench.store.read_manifest("sft")
    assert manifest is not None
    return manifest.inputs_digest


def test_it_goes_on_from_its_checkpoint_with_fewer_and_learns_the_same(bench: Bench) -> None:
    settings = {**SETTINGS, "maxSteps": 4, "checkpointSteps": 1, "dropout": 0}
    runs_out = partial(run_with_little_memory, after=4)
    ended = bench.start("sft", "sft", settings, inputs=INPUTS, process=runs_out).wait()
    assert ended.result["reason"] == "OutOfMemory", ended.errors
    done = bench.run("sft", "sft", settings, inputs=INPUTS, attempt=2)
    assert done.resumed_after == 2
    assert (done.numbers["per_device_batch"], done.numbers["steps"]) == (2, 4)
    whole = bench.run("sft", "whole", settings, inputs=INPUTS)
    assert whole.numbers["per_device_batch"] == 4
    divided, undisturbed = (load_file(bench.model(name) / "model.safetensors") for name in ("sft", "whole"))
    for name, weight in undisturbed.items():
        torch.testing.assert_close(divided[name], weight, rtol=0, atol=2e-5)


def test_what_the_user_states_is_kept_to_and_named(bench: Bench) -> None:
    for number in (1, 2):
        ended = attempt(bench, number, perDeviceBatchSize=2)
        assert ended.result["message"].startswith(
            "training.sft.perDeviceBatchSize: 2 examples a forward pass do not fit"
        )


def test_the_fewest_that_were_too_many_count_of_as_many_processes(bench: Bench) -> None:
    one, two = (Overruns(bench.store, "m2", DIGEST, processes) for processes in (1, 2))
    assert one.limit() is None
    for examples in (12, 6, 8):
        one.note(examples)
    assert (one.limit(), two.limit()) == (3, None)
    one.note(1)
    assert one.limit() == 1
    # One cannot be lowered, whoever has chosen it.
    for settings in (DpoSettings(), DpoSettings(per_device_batch_size=1)):
        last = one.failure("training.dpo", settings, 1)
        assert str(last).startswith("training.dpo: one example a forward pass does not fit into the GPU")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB.", True),
        ("CUDA error: out of memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("CUDA error: device-side assert triggered", False),
    ],
)
def test_libraries_say_it_each_in_its_own_way(message: str, expected: bool) -> None:
    assert is_overrun(RuntimeError(message)) is expected
