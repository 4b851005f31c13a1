"""Steps `sft-baseline` and `sft`: which rows they learn, on which tokens, through which templates."""

import json
import shutil
from pathlib import Path

import pytest
from training_bench import Bench, mean_log_probability
from transformers import AutoModelForCausalLM, AutoTokenizer

SEED = {"model": "m0", "seed": "seed"}
BOTH = {**SEED, "eft": "eft"}
FAST = {"learningRate": 5e-3, "minLearningRate": 1e-3, "batchSize": 8}


def test_the_baseline_learns_the_answers_and_stops(bench: Bench) -> None:
    rows = [
        {"id": str(n), "messages": [{"role": "user", "content": "Say it"}, {"role": "assistant", "content": "Paris."}]}
        for n in range(64)
    ]
    bench.put("paris", instructions=rows)
    settings = {**FAST, "learningRate": 2e-2, "epochs": 10, "dropout": 0}
    done = bench.run("sft-baseline", "b", settings, inputs={**SEED, "seed": "paris"})
    assert (done.code, done.result["reason"]) == (0, "Committed"), done.errors
    metrics = done.result["metrics"]
    assert metrics["loss"] < 0.1 < 4 < metrics["loss_first"]
    assert metrics["token_accuracy"] > 0.9
    assert metrics["steps"] == 80

    folder = bench.model("b")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(rows[0]["messages"][:1], add_generation_prompt=True, return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=20, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    # It has learned the end token too, so it stops by itself.
    assert tokenizer.decode(answer) == "Paris.<|im_end|>"


def test_m1_learns_judging_too(bench: Bench) -> None:
    baseline = bench.run("sft-baseline", "sft-baseline", FAST, inputs=SEED)
    # The tiny model has room for 512 tokens, less than the default rubric takes.
    judge = {"template": "custom", "customTemplate": {"text": "Rate this. {prompt} {response}"}}
    both = bench.run("sft", "m1", FAST, inputs=BOTH, judge=judge)
    assert baseline.result["succeeded"], baseline.errors
    assert both.result["succeeded"], both.errors
    assert baseline.result["metrics"]["examples"] == 48
    assert both.result["metrics"]["examples"] == 48 + 16
    assert both.result["metrics"]["without_end"] == 0
    assert both.result["metrics"]["loss"] < both.result["metrics"]["loss_first"]
    assert bench.weights("m1") != bench.weights("sft-baseline")
    judging = [{"role": "user", "content": "Rate this. Count to 0 The sea and the wind."}]
    text = "It does not count. Score: 1"
    learned = mean_log_probability(bench.model("m1"), judging, text)
    assert learned > mean_log_probability(bench.model("sft-baseline"), judging, text) + 0.1
    card = (bench.model("m1") / "README.md").read_text()
    assert "| eft | eft | sha256:" in card


def test_every_answer_of_a_conversation_is_learnt(bench: Bench) -> None:
    said = [("user", "Say it"), ("assistant", "Paris."), ("user", "Go on"), ("assistant", "Rome.")]
    messages = [{"role": role, "content": content} for role, content in said]
    bench.put("talks", instructions=[{"id": str(n), "messages": messages} for n in range(48)])
    settings = {**FAST, "epochs": 3, "dropout": 0}
    done = bench.run("sft-baseline", "b", settings, inputs={**SEED, "seed": "talks"})
    assert done.result["succeeded"], done.errors
    assert (done.result["metrics"]["examples"], done.result["metrics"]["answers"]) == (48, 96)
    for turn in (1, 3):
        before = mean_log_probability(bench.model("m0"), messages[:turn], messages[turn]["content"])
        assert mean_log_probability(bench.model("b"), messages[:turn], messages[turn]["content"]) > before + 1


def test_perfect_answers_are_added_to_the_seed_data(bench: Bench) -> None:
    """With `positive-only` step sft makes M2 as well, from M0 on all that M1 learnt and the answers."""
    question = [{"role": "user", "content": "Count"}]
    answer = {"role": "assistant", "content": "1 2 3"}
    rows = [{"id": str(n // 2), "prompt": question, "chosen": [answer], "chosen_score": 5.0} for n in range(32)]
    for name in ("perfect-1", "perfect-2"):
        bench.put(name, pairs=rows)
    judge = {"template": "custom", "customTemplate": {"text": "Rate this. {prompt} {response}"}}
    first = bench.run("sft", "m1", FAST, inputs=BOTH, judge=judge)
    inputs = {**BOTH, "pairs-1": "perfect-1", "pairs": "perfect-2"}
    second = bench.run("sft", "m3", FAST, inputs=inputs, judge=judge, iteration=2)
    assert first.result["succeeded"], first.errors
    assert second.result["succeeded"], second.errors
    assert second.result["metrics"]["examples"] == first.result["metrics"]["examples"] + 64
    learned = mean_log_probability(bench.model("m3"), question, answer["content"])
    assert learned > mean_log_probability(bench.model("m1"), question, answer["content"]) + 0.1


def test_adapters_are_merged(bench: Bench) -> None:
    settings = {**FAST, "lora": {"rank": 4, "alpha": 8}}
    done = bench.run("sft", "m1", settings, inputs=BOTH)
    assert done.result["succeeded"], done.errors
    assert done.result["metrics"]["loss"] < done.result["metrics"]["loss_first"]
    merged = AutoModelForCausalLM.from_pretrained(bench.model("m1")).state_dict()
    before = AutoModelForCausalLM.from_pretrained(bench.model("m0")).state_dict()
    assert merged.keys() == before.keys()
    changed = {name for name, weight in merged.items() if not weight.equal(before[name])}
    # Adapters sit on the linear layers alone.
    assert changed == {name for name in merged if "_proj" in name}
    assert not list(bench.model("m1").glob("adapter*"))


def test_a_template_that_rejects_system_messages_gets_them_in_the_first_turn(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "strict"
    shutil.copytree(bench.model("m0"), folder, ignore=shutil.ignore_patterns("manifest.json"))
    template = (folder / "chat_template.jinja").read_text()
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    (folder / "chat_template.jinja").write_text(refusal + template)
    bench.put_folder("strict", folder)
    rows = [
        {
            "id": str(number),
            "messages": [
                *([{"role": "system", "content": "Be brief."}] if number % 2 else []),
                {"role": "user", "content": "Count"},
                {"role": "assistant", "content": "1 2 3"},
            ],
        }
        for number in range(16)
    ]
    bench.put("systems", instructions=rows)
    for model, folded in (("strict", 8), ("m0", 0)):
        done = bench.run("sft-baseline", f"b-{model}", FAST, inputs={"model": model, "seed": "systems"})
        assert done.result["succeeded"], done.errors
        assert done.result["metrics"]["system_folded"] == folded


def test_a_model_without_a_chat_template_is_refused(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(bench.model("m0"), folder, ignore=shutil.ignore_patterns("manifest.json", "chat_template*"))
    bench.put_folder("bare", folder)
    refused = bench.run("sft-baseline", "b", FAST, inputs={**SEED, "model": "bare"})
    assert (refused.code, refused.result["reason"]) == (64, "ChatTemplateMissing"), refused.errors
    assert "chatTemplate" in refused.result["message"]


def test_a_model_that_cannot_be_opened_is_refused(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(bench.model("m0"), folder, ignore=shutil.ignore_patterns("manifest.json"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "abacus", "architectures": ["Abacus"]}))
    bench.put_folder("odd", folder)
    refused = bench.run("sft-baseline", "b", FAST, inputs={**SEED, "model": "odd"})
    assert (refused.code, refused.result["reason"]) == (64, "ModelUnreadable"), refused.errors
    assert "abacus" in refused.result["message"]


@pytest.mark.parametrize(
    "rows",
    [[], [{"id": "1", "messages": [{"role": "user", "content": "Anyone?"}]}]],
    ids=["empty", "no answers"],
)
def test_nothing_to_learn_is_an_error(bench: Bench, rows: list[dict[str, object]]) -> None:
    bench.put("nothing", instructions=rows)
    refused = bench.run("sft-baseline", "b", FAST, inputs={**SEED, "seed": "nothing"})
    assert (refused.code, refused.result["reason"]) == (64, "NoTrainingData"), refused.errors
    assert f"({len(rows)} without one)" in refused.result["message"]


def test_a_loss_that_is_no_number_stops_the_step(bench: Bench) -> None:
    settings = {**FAST, "learningRate": 1e38, "minLearningRate": 1e38, "maxGradNorm": 1e30}
    failed = bench.run("sft", "m1", settings, inputs=BOTH)
    assert (failed.code, failed.result["reason"]) == (64, "LossNotFinite"), failed.errors
    assert failed.result["message"].startswith("sft: ")
    assert bench.checkpoints("m1") == []


def test_gradient_checkpointing_and_bfloat16_train_and_are_saved_as_such(bench: Bench) -> None:
    settings = {**FAST, "gradientCheckpointing": True, "precision": "bf16"}
    done = bench.run("sft-baseline", "b", settings, inputs=SEED)
    assert done.result["succeeded"], done.errors
    assert done.result["metrics"]["loss"] < done.result["metrics"]["loss_first"]
    assert json.loads((bench.model("b") / "config.json").read_text())["dtype"] == "bfloat16"
    model = AutoModelForCausalLM.from_pretrained(bench.model("b"))
    assert str(model.dtype) == "torch.bfloat16"
