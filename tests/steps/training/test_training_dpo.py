"""Step `dpo`: what it learns, what it writes, and what it refuses."""

import json
import math
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file
from training_bench import Bench, mean_log_probability, precomputed
from transformers import AutoModelForCausalLM, AutoTokenizer

INPUTS = {"model": "m0", "reference": "m0", "pairs": "iteration-1/pairs"}
FAST = {"learningRate": 1e-3, "minLearningRate": 1e-4, "batchSize": 8}


def test_the_real_command_prefers_the_chosen_answers(bench: Bench) -> None:
    done = bench.command(["-m", "selfreward_steps"], "dpo", "m2", {**FAST, "epochs": 2}, inputs=INPUTS, iteration=1)
    assert (done.code, done.result["reason"]) == (0, "Committed"), done.errors
    metrics = done.result["metrics"]
    assert metrics["steps"] == 12
    assert metrics["examples"] == 48
    assert metrics["loss"] < metrics["loss_first"]
    # The reference is the model itself, so the first step's loss is that of a coin.
    assert metrics["loss_first"] == pytest.approx(0.6931, abs=2e-3)
    assert metrics["reward_margin"] > 0.05
    assert metrics["reward_chosen"] > metrics["reward_rejected"]
    assert metrics["reward_accuracy"] > 0.5
    # Of a throttled stream only the last line is sure.
    assert done.progress[-1]["done"] == 12
    assert done.progress[-1]["metrics"].keys() == {
        "loss",
        "learning_rate",
        "grad_norm",
        "reward_margin",
        "reward_accuracy",
    }
    curve = _curve(bench, "m2")
    assert [point["step"] for point in curve] == list(range(1, 13))
    assert curve[0]["loss"] == metrics["loss_first"]
    assert curve[-1].keys() == {"step", "loss", "learning_rate", "grad_norm", "reward_margin", "reward_accuracy"}

    question = [{"role": "user", "content": "Count to 3"}]
    chosen, rejected = "0 1 2 3.", "The sea and the wind."
    gaps = [
        mean_log_probability(bench.model(artifact), question, chosen)
        - mean_log_probability(bench.model(artifact), question, rejected)
        for artifact in ("m0", "m2")
    ]
    assert gaps[1] > gaps[0]


def _curve(bench: Bench, artifact: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (bench.model(artifact) / "training.jsonl").read_text().splitlines()]


def test_the_artifact_is_the_input_with_other_weights(bench: Bench) -> None:
    done = bench.run("dpo", "m2", {**FAST, "maxSteps": 2}, inputs=INPUTS, iteration=1)
    assert done.result["succeeded"], done.errors
    before, after = bench.model("m0"), bench.model("m2")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (after / name).read_bytes() == (before / name).read_bytes()
    assert json.loads((after / "config.json").read_text()) == json.loads((before / "config.json").read_text())
    assert {path.name for path in after.iterdir()} == {path.name for path in before.iterdir()} | {
        "README.md",
        "training.jsonl",
    }
    assert load_file(after / "model.safetensors").keys() == load_file(before / "model.safetensors").keys()
    assert bench.weights("m2") != bench.weights("m0")
    assert bench.store.verify("m2") == []

    card = (after / "README.md").read_text()
    manifest = bench.store.read_manifest("iteration-1/pairs")
    assert manifest is not None
    assert manifest.digest in card
    assert "| learningRate | 0.001 |" in card
    assert "Dropout: 0 in attention_dropout" in card

    tokenizer = AutoTokenizer.from_pretrained(after)
    model = AutoModelForCausalLM.from_pretrained(after)
    assert model.config.attention_dropout == 0
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Count to 2"}], add_generation_prompt=True, return_tensors="pt"
    )
    answer = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert answer.shape[1] > prompt["input_ids"].shape[1]


def test_the_same_seed_gives_the_same_bytes_and_dropout_and_seed_matter(bench: Bench) -> None:
    settings = {**FAST, "maxSteps": 2, "dropout": 0.3}
    variants = {
        "one": (settings, 1),
        "again": (settings, 1),
        "other-seed": (settings, 2),
        "no-dropout": ({**settings, "dropout": 0}, 1),
    }
    for output, (chosen, seed) in variants.items():
        done = bench.run("dpo", output, chosen, inputs=INPUTS, iteration=1, randomSeed=seed)
        assert done.result["succeeded"], done.errors
        assert done.result["metrics"]["dropout_fields"] == 1
    assert bench.weights("one") == bench.weights("again")
    assert len({bench.weights(output) for output in ("one", "other-seed", "no-dropout")}) == 3


@pytest.mark.parametrize("extra", [{}, {"lora": {"rank": 4, "alpha": 8}}], ids=["full", "LoRA"])
def test_the_reference_is_measured_without_dropout(bench: Bench, extra: dict[str, object], tmp_path: Path) -> None:
    """A separately loaded copy is exact by construction; the model as its own reference must agree with it.

    The policy draws the same dropout in both, since an exact reference draws none.
    """
    copy = tmp_path / "copy"
    shutil.copytree(bench.model("m0"), copy, ignore=shutil.ignore_patterns("manifest.json"))
    (copy / "note.txt").write_text("another digest")
    bench.put_folder("copy", copy)
    settings = {"learningRate": 1e-12, "minLearningRate": 0, "maxSteps": 1, "batchSize": 8, "dropout": 0.5, **extra}
    margins = []
    for output, reference in (("a", "copy"), ("b", "m0")):
        done = bench.run("dpo", output, settings, inputs={**INPUTS, "reference": reference}, iteration=1)
        assert done.result["succeeded"], done.errors
        # Of the training step, with the policy's dropout: what is reported is measured without.
        margins.append(_curve(bench, output)[0]["reward_margin"])
    assert abs(margins[0]) > 1e-5
    assert margins[1] == pytest.approx(margins[0], abs=1e-7)


@pytest.mark.parametrize("adapters", [False, True], ids=["full", "LoRA"])
def test_the_precomputed_reference_is_measured_without_dropout(bench: Bench, adapters: bool) -> None:
    found = []
    for dropout in (0.0, 0.5):
        path = bench.folder / f"precomputed-{dropout}.json"
        process = bench.forks.Process(target=precomputed, args=(bench.model("m0"), dropout, adapters, path))
        process.start()
        process.join()
        assert process.exitcode == 0
        found.append(json.loads(path.read_text()))
    assert found[0] == found[1]
    assert all(value < 0 for value in found[0])


def test_losses_add_up_by_their_weights(bench: Bench) -> None:
    """Without an update the losses are those of M0: DPO's is the logarithm of 2, the likelihood's its own."""
    still = {"learningRate": 1e-12, "minLearningRate": 0, "maxSteps": 1, "batchSize": 8, "dropout": 0}
    losses = {}
    for weight in (0, 1, 3):
        added = [{"type": "sft", "weight": weight}] if weight else []
        done = bench.run("dpo", f"w{weight}", {**still, "additionalLosses": added}, inputs=INPUTS, iteration=1)
        assert done.result["succeeded"], done.errors
        losses[weight] = done.result["metrics"]["loss"]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4)
    assert losses[1] - losses[0] > 1
    assert losses[3] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-4)


def test_another_reference_is_used(bench: Bench) -> None:
    settings = {"learningRate": 1e-12, "minLearningRate": 0, "maxSteps": 1, "batchSize": 8, "dropout": 0}
    first = bench.run("dpo", "m1", FAST, inputs=INPUTS, iteration=1)
    assert first.result["succeeded"], first.errors
    inputs = {**INPUTS, "model": "m1"}
    for extra in ({}, {"lora": {"rank": 4, "alpha": 8}}):
        done = bench.run("dpo", f"m2-{len(extra)}", {**settings, **extra}, inputs=inputs, iteration=2)
        assert done.result["succeeded"], done.errors
        # Against M1's own reference this would be 0.
        assert done.result["metrics"]["reward_margin"] > 0.05


def test_a_loss_that_is_no_number_stops_the_step(bench: Bench) -> None:
    settings = {"learningRate": 1e38, "minLearningRate": 1e38, "batchSize": 8, "checkpointSteps": 1}
    failed = bench.run("dpo", "m2", settings, inputs=INPUTS, iteration=1)
    assert (failed.code, failed.result["reason"]) == (64, "LossNotFinite"), failed.errors
    assert failed.result["failureClass"] == "Permanent"
    message = failed.result["message"]
    assert message.startswith("dpo: ")
    assert "settings.learningRate is 1e+38: lower it" in message
    assert "Traceback" not in failed.errors
    assert not bench.store.artifacts("m2")


REFUSED = {
    "smoothing that is ignored": ({"labelSmoothing": 0.1}, "BadLoss", "no effect on lossType 'sigmoid'"),
    "a loss twice": ({"additionalLosses": [{"type": "sigmoid"}]}, "BadLoss", "names a loss that is there already"),
    "smoothing that is missing": ({"lossType": "exo_pair"}, "BadLoss", "needs one above 0"),
    "floor above peak": ({"minLearningRate": 1}, "BadLearningRate", "settings.minLearningRate: 1 is above"),
    "too long": ({"maxLength": 3}, "ExamplesTooLong", "settings.maxLength: 3 tokens"),
    "adapters on no module": (
        {"lora": {"targetModules": ["query"]}},
        "BadLoraModules",
        "settings.lora.targetModules: query",
    ),
}


@pytest.mark.parametrize(("extra", "reason", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_settings(bench: Bench, extra: dict[str, object], reason: str, words: str) -> None:
    refused = bench.run("dpo", "m2", {**FAST, **extra}, inputs=INPUTS, iteration=1)
    assert (refused.code, refused.result["reason"]) == (64, reason), refused.errors
    assert words in refused.result["message"]
    assert "Traceback" not in refused.errors


@pytest.mark.parametrize(("tracker", "words"), [("tensorbored", "is not a tracker"), ("neptune", "not installed")])
def test_refused_trackers(bench: Bench, tracker: str, words: str) -> None:
    refused = bench.run("dpo", "m2", FAST, inputs=INPUTS, iteration=1, reportTo=[tracker])
    assert (refused.code, refused.result["reason"]) == (64, "BadTracker"), refused.errors
    assert words in refused.result["message"]


def test_no_pairs_is_an_error(bench: Bench) -> None:
    bench.put("none", pairs=[])
    refused = bench.run("dpo", "m2", FAST, inputs={**INPUTS, "pairs": "none"}, iteration=1)
    assert (refused.code, refused.result["reason"]) == (64, "NoTrainingData"), refused.errors


def test_long_pairs_are_cut_and_counted(bench: Bench) -> None:
    long, short = "The sea and the wind. " * 20, "Yes."
    prompts = ["Count", "Count", long]
    answers = [(long, short), (short, short + "!"), (short, long)]
    rows = [
        {
            "id": str(number),
            "prompt": [{"role": "user", "content": prompt}],
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
        }
        for number, (prompt, (chosen, rejected)) in enumerate(zip(prompts, answers, strict=True))
    ]
    bench.put("long", pairs=rows)
    settings = {**FAST, "batchSize": 2, "maxLength": 64}
    done = bench.run("dpo", "m2", settings, inputs={**INPUTS, "pairs": "long"}, iteration=1)
    assert done.result["succeeded"], done.errors
    metrics = done.result["metrics"]
    assert (metrics["examples"], metrics["truncated"], metrics["dropped_too_long"]) == (2, 1, 1)
    assert metrics["steps"] == 1
