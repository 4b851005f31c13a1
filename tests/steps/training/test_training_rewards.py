"""What DPO reports of a model, against plain PyTorch on the weights that were committed; and what export keeps."""

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from meanwhile import run_side_by_side
from selfreward_steps.contract import Rounding
from selfreward_steps.training import rounding
from selfreward_steps.training.export import write_model
from selfreward_steps.training.models import load_model
from selfreward_steps.training.rewards import HELD_OUT, TRAINED, split
from selfreward_steps.training.rounding import round_stochastically, round_weights
from tiny_model import make_tiny_model
from training_bench import Bench, log_probability
from transformers import AutoModelForCausalLM

INPUTS = {"model": "m0", "reference": "m0", "pairs": "iteration-1/pairs"}
FAST = {"learningRate": 1e-3, "minLearningRate": 1e-4, "batchSize": 8}


Row = dict[str, list[dict[str, str]]]


def _margins(model: Path, reference: Path, rows: list[Row], beta: float = 0.1) -> list[float]:
    """DPO's implicit reward margins, straight from its definition."""

    def gap(folder: Path, row: Row) -> float:
        chosen, rejected = (log_probability(folder, row["prompt"], row[side]) for side in ("chosen", "rejected"))
        return chosen - rejected

    return [beta * (gap(model, row) - gap(reference, row)) for row in rows]


def _pairs(bench: Bench) -> list[Row]:
    path = bench.model("iteration-1/pairs") / "pairs.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    "extra",
    [{}, {"lora": {"rank": 4, "alpha": 8}}, {"precomputeRefLogProbs": True}],
    ids=["full", "LoRA", "precomputed reference"],
)
def test_the_reported_rewards_are_those_of_the_committed_weights_without_dropout(
    bench: Bench, extra: dict[str, object]
) -> None:
    settings = {**FAST, **extra, "dropout": 0.3, "maxSteps": 3, "precision": "fp32"}
    done = bench.run("dpo", "m2", settings, inputs=INPUTS, iteration=1)
    assert done.result["succeeded"], done.errors
    margins = _margins(bench.model("m2"), bench.model("m0"), _pairs(bench))
    metrics = done.result["metrics"]
    assert metrics["measured_pairs"] == len(margins) == 48
    assert metrics["reward_margin"] == pytest.approx(sum(margins) / 48, rel=1e-3)
    assert metrics["reward_accuracy"] == sum(margin > 0 for margin in margins) / 48
    logged = json.loads((bench.model("m2") / "training.jsonl").read_text().splitlines()[-1])["reward_margin"]
    assert abs(logged - metrics["reward_margin"]) > 1e-3  # what a step with dropout says is something else
    assert f"| reward_margin | {metrics['reward_margin']:.6g} |" in (bench.model("m2") / "README.md").read_text()


def test_pairs_held_out_are_measured_and_not_learnt(bench: Bench) -> None:
    rows = _pairs(bench)
    bench.put("many", pairs=[{**rows[n % 48], "id": f"q{n}", "prompt": _asked(n)} for n in range(400)])
    settings = {**FAST, "maxSteps": 2, "heldOutPairs": 17}
    done = bench.run("dpo", "m2", settings, inputs={**INPUTS, "pairs": "many"}, iteration=1)
    assert done.result["succeeded"], done.errors
    metrics = done.result["metrics"]
    assert (metrics["examples"], metrics["held_out_measured_pairs"], metrics["measured_pairs"]) == (383, 17, 239)
    assert metrics["held_out_reward_accuracy"] > 0.9


def _asked(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Count to {number}"}]


def test_a_prompt_is_either_trained_on_or_held_out() -> None:
    pairs = Dataset.from_list([{"prompt": _asked(number // 3), "pair": number} for number in range(900)])
    found = split(pairs, 40)
    held = {json.dumps(row["prompt"]) for row in found.measured[HELD_OUT]}
    learnt = {json.dumps(row["prompt"]) for row in found.train}
    assert not held & learnt
    assert (len(found.train), len(found.measured[HELD_OUT]), len(found.measured[TRAINED])) == (861, 39, 217)
    assert set(found.measured[TRAINED]["pair"]) < set(found.train["pair"])


@pytest.mark.parametrize(
    ("pairs", "asked", "held"),
    [
        pytest.param(319, 128, 0, id="too few"),
        pytest.param(320, 128, 16, id="just enough"),
        pytest.param(4000, 128, 128, id="many"),
        pytest.param(4000, 0, 0, id="none asked"),
        pytest.param(1, 128, 0, id="one"),
    ],
)
def test_how_many_are_held_out(pairs: int, asked: int, held: int) -> None:
    found = split(Dataset.from_list([{"prompt": _asked(number)} for number in range(pairs)]), asked)
    assert len(found.measured.get(HELD_OUT, ())) == held
    assert len(found.measured[TRAINED]) == min(256 - held, pairs - held)
    assert len(found.train) == pairs - held


def _neighbours(value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    nearest = value.bfloat16()
    away = torch.where(nearest.float() > value, -torch.inf, torch.inf).bfloat16()
    return nearest, torch.nextafter(nearest, away)


def test_a_weight_becomes_one_of_its_neighbours_and_on_average_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "_CHUNK", 1000)  # several of them
    weight = torch.randn(50, 70, generator=torch.Generator().manual_seed(0)) * 0.02
    draws = torch.stack([round_stochastically(weight, seed=seed, name="w").float() for seed in range(400)])
    low, high = (each.float() for each in _neighbours(weight))
    assert bool(((draws == low) | (draws == high)).all())
    # Four standard errors of a coin between two neighbours, 400 times.
    assert bool(((draws.mean(0) - weight).abs() <= 4.5 * (high - low).abs() / 2 / 20).all())
    assert not torch.equal(draws[0], draws[1])


def test_rounding_is_the_same_for_the_same_seed_and_name_and_leaves_what_fits() -> None:
    weight = torch.randn(33, 17, generator=torch.Generator().manual_seed(1))
    one = round_stochastically(weight, seed=3, name="a")
    assert torch.equal(one, round_stochastically(weight.clone(), seed=3, name="a"))
    assert torch.equal(one.T.contiguous(), round_stochastically(weight, seed=3, name="a").T)
    assert not torch.equal(one, round_stochastically(weight, seed=3, name="b"))
    assert not torch.equal(one, round_stochastically(weight, seed=4, name="a"))
    fits = torch.cat([weight.bfloat16().float().flatten(), torch.tensor([0.0, -0.0, 1e-40])])
    assert torch.equal(round_stochastically(fits[:-1], seed=1, name="a").float(), fits[:-1])


def test_a_models_weights_are_rounded_side_by_side_as_one_by_one() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(*(torch.nn.Linear(9, 9) for _ in range(20)))
    expected = {name: round_stochastically(weight, seed=3, name=name) for name, weight in model.named_parameters()}
    round_weights(model, 3)
    assert all(torch.equal(weight, expected[name]) for name, weight in model.named_parameters())


@pytest.mark.parametrize(
    ("lora", "rate", "left_by_nearest"),
    [
        pytest.param(None, 1e-6, 0.3, id="full, the paper's rate"),
        pytest.param({"rank": 8, "alpha": 16}, 5e-5, 0.95, id="merged LoRA, a rate that adapters need"),
    ],
)
def test_an_update_is_kept_over_two_rounds(
    bench: Bench, tmp_path: Path, lora: dict[str, int] | None, rate: float, left_by_nearest: float
) -> None:
    """From weights on bfloat16's grid, as a model that is served in it has them; rounding to nearest loses it."""
    wide = make_tiny_model(tmp_path / "wide", hidden_size=160, intermediate_size=512, num_hidden_layers=4)
    model = AutoModelForCausalLM.from_pretrained(wide, dtype=torch.bfloat16)
    assert model.num_parameters() > 1_000_000
    model.save_pretrained(wide)
    bench.put_folder("wide", wide)
    settings = {"batchSize": 8, "maxSteps": 6, "lora": lora, "precision": "fp32", "learningRate": rate}
    rows = _pairs(bench)
    for start, end in (("wide", "m2"), ("m2", "m3")):
        inputs = {**INPUTS, "model": start, "reference": start}
        done = bench.run("dpo", f"{end}-exact", settings, inputs=inputs, iteration=1)
        assert done.result["succeeded"], done.errors
        exported = {}
        for how in Rounding:
            exported[how] = tmp_path / f"{end}-{how}"
            state = AutoModelForCausalLM.from_pretrained(bench.model(f"{end}-exact")).state_dict()
            loaded = load_model(bench.model(start))
            write_model(
                state, bench.model(start), exported[how], loaded=loaded, dtype=torch.bfloat16, rounding=how, seed=1
            )
        trained = sum(_margins(bench.model(f"{end}-exact"), bench.model(start), rows))
        kept = {how: sum(_margins(folder, bench.model(start), rows)) / trained for how, folder in exported.items()}
        assert kept[Rounding.STOCHASTIC] == pytest.approx(1, abs=0.05)
        assert kept[Rounding.NEAREST] < left_by_nearest
        bench.put_folder(end, exported[Rounding.STOCHASTIC])


def test_the_reference_is_measured_while_the_model_is_written(bench: Bench) -> None:
    """The one is a GPU's work and the other a processor's; what is written and measured is the same."""
    plain = bench.run("dpo", "plain", FAST, inputs=INPUTS, iteration=1)
    both = bench.start("dpo", "both", FAST, inputs=INPUTS, iteration=1, process=run_side_by_side).wait()
    assert both.result["succeeded"], both.errors
    assert both.numbers == plain.numbers
    assert bench.weights("both") == bench.weights("plain")
