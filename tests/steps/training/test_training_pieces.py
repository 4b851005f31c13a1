"""The parts of a training that need no training: batches, checkpoints' names, arguments, the card."""

from pathlib import Path

import pytest
import yaml
from selfreward_steps.contract import Precision
from selfreward_steps.dpo import pair_examples
from selfreward_steps.errors import InfrastructureError, PermanentError
from selfreward_steps.rows import write_rows
from selfreward_steps.store import Store, open_store
from selfreward_steps.training.arguments import in_bfloat16
from selfreward_steps.training.batches import BatchPlan
from selfreward_steps.training.card import model_card
from selfreward_steps.training.checkpoints import Shelf, Uploader
from selfreward_steps.training.pairs import pair_roles
from selfreward_steps.training.ranks import Ranks
from training_bench import DIGEST


@pytest.mark.parametrize(
    ("batch", "limit", "world", "expected"),
    [
        (16, 4, 1, (4, 4, False)),
        (16, 4, 2, (4, 2, False)),
        (16, 32, 2, (8, 1, False)),
        (16, 3, 1, (2, 8, True)),
        (7, 4, 1, (1, 7, True)),
        (16, 4, 16, (1, 1, False)),
    ],
)
def test_batches_multiply_to_what_was_asked_for(
    batch: int, limit: int, world: int, expected: tuple[int, int, bool]
) -> None:
    plan = BatchPlan.of(batch, limit, world)
    assert (plan.per_device, plan.accumulation, plan.adapted) == expected
    assert plan.per_device * plan.accumulation * world == batch


def test_a_batch_is_never_changed() -> None:
    with pytest.raises(PermanentError, match=r"settings\.batchSize: 16 .* 3 processes") as error:
        BatchPlan.of(16, 4, 3)
    assert error.value.reason == "BatchNotDivisible"


def _shelf(store: Store, node: int = 0, nodes: int = 1) -> Shelf:
    return Shelf(store, "m2", DIGEST, "dpo", Ranks(rank=node, world=nodes, local_world=1, node=node))


def _folder(path: Path, name: str = "state") -> Path:
    path.mkdir(parents=True)
    (path / name).write_text(str(path))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path}/store")


def test_the_newest_whole_checkpoint_is_found_and_torn_ones_go(store: Store, tmp_path: Path) -> None:
    first, second = _shelf(store, 0, 2), _shelf(store, 1, 2)
    assert first.newest() is None
    for step in (200, 400):
        first.commit(step, _folder(tmp_path / f"a{step}"))
        second.commit(step, _folder(tmp_path / f"b{step}", "other"))
    first.commit(600, _folder(tmp_path / "a600"))
    assert first.steps() == {200: True, 400: True, 600: False}
    assert first.newest() == 400
    assert first.steps() == {200: True, 400: True}
    whole = first.fetch(400, tmp_path / "scratch")
    assert {path.name for path in whole.iterdir()} == {"state", "other", "manifest.json"}
    first.drop_superseded()
    assert first.steps() == {400: True}
    first.clear()
    assert store.artifacts("checkpoints") == []


def test_other_inputs_and_other_numbers_of_ranks_have_checkpoints_of_their_own(store: Store, tmp_path: Path) -> None:
    shelf = _shelf(store)
    shelf.commit(200, _folder(tmp_path / "a"))
    other = Shelf(store, "m2", "sha256:" + "1" * 64, "dpo", Ranks())
    assert shelf.newest() == 200
    assert other.newest() is None
    assert _shelf(store, 0, 2).newest() is None


def test_uploads_go_one_after_the_other_and_leave_nothing_behind(store: Store, tmp_path: Path) -> None:
    shelf = _shelf(store)
    uploader = Uploader(shelf)
    for step in (1, 2, 3):
        uploader.finish()
        uploader.submit(step, _folder(tmp_path / f"step{step}"))
    uploader.finish()
    uploader.close()
    assert shelf.steps() == {3: True}
    assert not any(tmp_path.glob("step*"))


def test_a_store_out_of_reach_costs_a_checkpoint_and_not_the_training(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def out_of_reach(*args: object, **kwargs: object) -> None:
        raise InfrastructureError("StoreUnavailable", "the store does not answer")

    shelf = _shelf(store)
    uploader = Uploader(shelf)
    with monkeypatch.context() as broken:
        broken.setattr(store, "commit", out_of_reach)
        uploader.submit(1, _folder(tmp_path / "one"))
        uploader.finish()
    assert "the store does not answer" in capsys.readouterr().err
    uploader.submit(2, _folder(tmp_path / "two"))
    uploader.finish()
    uploader.close()
    assert shelf.steps() == {2: True}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Ranks(0, 0, 1, 1, 0)),
        ({"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}, Ranks(1, 1, 2, 2, 0)),
        (
            {"RANK": "9", "LOCAL_RANK": "1", "WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8", "GROUP_RANK": "1"},
            Ranks(9, 1, 16, 8, 1),
        ),
    ],
    ids=["alone", "one node", "two nodes"],
)
def test_ranks_are_torchruns(variables: dict[str, str], expected: Ranks) -> None:
    assert Ranks.from_environment(variables) == expected
    assert expected.nodes * expected.local_world == expected.world


def test_the_losses_are_those_that_trl_names() -> None:
    import re

    from selfreward_steps.contract import DpoLoss
    from trl import DPOConfig

    help_text = DPOConfig.__dataclass_fields__["loss_type"].metadata["help"]
    named = set(re.findall(r"'([a-z_]+)'", help_text.split("If multiple")[0]))
    assert named == set(DpoLoss)


def test_the_trackers_are_those_that_transformers_knows() -> None:
    from selfreward.api.spec import Tracker
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    assert set(Tracker) == set(INTEGRATION_TO_CALLBACK)


def test_the_card_has_what_a_reader_of_the_model_asks() -> None:
    text = model_card(
        output="m2",
        step="dpo",
        method="dpo",
        iteration=1,
        settings={"learningRate": 1e-6, "lora": {"rank": 4, "dropout": 0.05}, "maxSteps": None},
        inputs={"pairs": ("iteration-1/pairs", DIGEST)},
        metrics={"loss": 0.5},
        notes={"Precision": "float32"},
        licence="other: see below",
    )
    _, header, _ = text.split("---\n", 2)
    assert yaml.safe_load(header) == {
        "library_name": "transformers",
        "license": "other: see below",
        "pipeline_tag": "text-generation",
        "tags": ["selfreward", "trl", "dpo"],
    }
    for line in (
        "| learningRate | 1e-06 |",
        "| lora | rank 4, dropout 0.05 |",
        "| maxSteps | none |",
        f"| pairs | iteration-1/pairs | {DIGEST} |",
        "| loss | 0.5 |",
        "Precision: float32",
    ):
        assert line in text.splitlines()


def test_pairs_of_every_iteration_so_far_come_oldest_first(tmp_path: Path) -> None:
    inputs = ["model", "reference", "pairs", "pairs-10", "pairs-2"]
    for role in ("pairs", "pairs-10", "pairs-2"):
        (tmp_path / role).mkdir()
        answer = [{"role": "assistant", "content": role}]
        pair = {"id": role, "prompt": [{"role": "user", "content": "?"}], "chosen": answer, "rejected": answer}
        write_rows(tmp_path / role / "pairs.jsonl", [pair])
    examples = pair_examples(pair_roles(inputs), lambda role: tmp_path / role)
    assert [example.answers["chosen"][0]["content"] for example in examples] == ["pairs-2", "pairs-10", "pairs"]


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        pytest.param({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False, id="avx2-emulates"),
        pytest.param({"avx2": True, "avx512_bf16": True, "amx_bf16": False}, True, id="avx512"),
        pytest.param({"amx_bf16": True}, True, id="amx"),
        pytest.param({"bf16": True}, True, id="arm"),
    ],
)
def test_auto_computes_in_what_the_processor_multiplies_in(
    capabilities: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    assert in_bfloat16(Precision.AUTO) is expected
    assert in_bfloat16(Precision.BF16)
    assert not in_bfloat16(Precision.FP32)


@pytest.mark.parametrize("multiplies", [True, False], ids=["ampere", "volta-and-turing-emulate"])
def test_a_gpu_that_emulates_bfloat16_computes_in_float32(multiplies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return multiplies or including_emulation

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", supported)
    assert in_bfloat16(Precision.AUTO) is multiplies
