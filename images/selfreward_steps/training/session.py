"""One training from its inputs to the folder of its artifact: the order of things, the same for every method.

Everything that can be wrong with settings and data is found before a weight is loaded. What a training is (losses,
data shapes) is not decided here.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import JsonValue
from transformers import PrinterCallback

from selfreward_steps.attempt.runtime import Output, StepContext, StepOutcome
from selfreward_steps.contract import EXAMPLES_UNMEASURED, TRAINING_CURVE, WEIGHT_BYTES, shape_of
from selfreward_steps.rows import write_rows
from selfreward_steps.store.disk import require_room
from selfreward_steps.training import models, sharding
from selfreward_steps.training.arguments import common_arguments, in_bfloat16
from selfreward_steps.training.batches import BatchPlan, Memory, free_memory
from selfreward_steps.training.callbacks import Checkpointing, LossWatch, Telling
from selfreward_steps.training.card import licence_of, model_card
from selfreward_steps.training.checkpoints import Shelf, Uploader
from selfreward_steps.training.conversations import ChatTemplate
from selfreward_steps.training.examples import Counts, Example, load, prepare
from selfreward_steps.training.export import beside, curve, gather, put_back, set_weights, write_model
from selfreward_steps.training.interruption import Interruption
from selfreward_steps.training.overruns import Overruns, is_overrun
from selfreward_steps.training.quiet import quieten
from selfreward_steps.training.ranks import Council, Ranks, lost_peers
from selfreward_steps.training.rewards import Split
from selfreward_steps.training.rounding import precision_of
from selfreward_steps.training.snapshots import Snapshots
from selfreward_steps.training.trainers import Method, Setup

Fetch = Callable[[str], Path]
Rows = Callable[[Fetch], Iterable[Example | None]]

LAST_STEPS: Final = 10
"""The metrics are means over this many last steps, since one step's batch says little."""


def train(context: StepContext[Any], method: Method, rows: Rows, report_to: list[str]) -> StepOutcome:
    """Train role `model` by `method` on `rows` and leave the artifact's folder to be committed by rank 0."""
    quieten()
    return _Session(context, method, rows, report_to).run()


class _Session:
    def __init__(self, context: StepContext[Any], method: Method, rows: Rows, report_to: list[str]) -> None:
        self.context = context
        self.method = method
        self.settings = method.settings
        self.rows = rows
        self.ranks = Ranks.from_environment()
        self.batches = self._batches(self.settings.per_device_batch_size or EXAMPLES_UNMEASURED)
        context.progress.update(0, None, "loading the model")
        self.work = context.scratch / "trainer"
        self.folder = context.scratch / "model"
        self.dtype = torch.bfloat16 if in_bfloat16(self.settings.precision) else torch.float32
        self.precision = precision_of(self.dtype, self.settings.rounding, context.seed)
        common = common_arguments(
            self.work,
            seed=context.seed,
            report_to=report_to,
            run_name=f"{context.config.run}/{context.output}",
            sharded=self.ranks.world > 1,
            max_length=self.settings.max_length,
        )
        self.args = method.arguments(self.batches, common, self.ranks)
        # Sets up torch.distributed where there are several ranks.
        self.device = self.args.device
        sharding.allow_on_cpu()
        sharding.keep_outputs_exact(self.args)
        self.council = Council(self.ranks)
        self.source = self.fetch("model")
        self.notes: dict[str, str] = {}
        self.overruns = Overruns(context.store, context.output, context.inputs_digest, self.ranks.world)
        self.snapshots: list[str] = getattr(context.config, "checkpoints", [])
        """Artifacts to commit on the way, of the model as it is then."""

    def run(self) -> StepOutcome:
        with lost_peers():
            began = time.monotonic()
            tokenizer, path, counts = self._data()
            self._model_and_room(counts)
            self._fit_batches(counts)
            data = self.method.data(load(path))
            loaded = time.monotonic()
            with self._within_memory():
                steps = self._train(tokenizer, data)
                trained = time.monotonic()
                measured = self._export()
            if not self.ranks.first:
                # Whoever leaves first ends the job for all (PyTorchJob): nobody does before the commit.
                self.council.wait()
                self.council.leave()
                return StepOutcome([], commit=False)
        seconds = {
            "loading_seconds": loaded - began,
            "training_seconds": trained - loaded,
            "export_seconds": time.monotonic() - trained,
        }
        return self._outcome({**steps, **measured, **counts.metrics(), "examples": float(len(data.train))}, seconds)

    @contextmanager
    def _within_memory(self) -> Iterator[None]:
        """Take an error of too little memory for what it is, with what helps."""
        try:
            yield
        except RuntimeError as error:
            if not is_overrun(error):
                raise
            field = f"training.{self.method.name}"
            raise self.overruns.failure(field, self.settings, self.batches.per_device) from error

    def fetch(self, role: str) -> Path:
        return self.council.once_a_node(lambda: self.context.fetch(role))

    def _data(self) -> tuple[Any, Path, Counts]:
        tokenizer = models.load_tokenizer(self.source)
        template = ChatTemplate(tokenizer, models.end_tokens(self.source, tokenizer))
        limit = getattr(models.load_config(self.source).get_text_config(), "max_position_embeddings", None)
        if limit is not None and limit < self.settings.max_length:
            self.args.max_length = limit
            self.notes["Longest example"] = f"{limit} tokens, the model's own limit, not {self.settings.max_length}"
        path, counts = self.council.once_a_node(
            lambda: prepare(
                self._rows_of_this_node(),
                template,
                self.context.scratch / "data",
                max_length=self.args.max_length,
                tick=self.context.progress.alive,
            )
        )
        if self.ranks.first:
            for warning in counts.warnings(self.args.max_length):
                print(warning, file=sys.stderr)
        return tokenizer, path, counts

    def _rows_of_this_node(self) -> Iterator[Example | None]:
        # Called on the first rank of a node alone, so what it fetches must not be a matter for all of them.
        yield from self.rows(self.context.fetch)

    def _model_and_room(self, counts: Counts) -> None:
        self.model = sharding.load_for(self.ranks, self.source, dropout=self.settings.dropout)
        sharding.hand_on_weights(self.args, self.model)
        self.dropout_fields = models.set_dropout(self.model.config, self.settings.dropout)
        self.model.register_forward_pre_hook(lambda *_: self.context.progress.alive())
        fields = ", ".join(self.dropout_fields) or "no field, as the architecture has none"
        self.notes["Dropout"] = f"{self.settings.dropout:g} in {fields}"
        weights = WEIGHT_BYTES * self.model.num_parameters()
        checkpoints = counts.examples * self.settings.epochs > self.settings.checkpoint_steps * self.settings.batch_size
        # A full checkpoint has two moments beside the weights; one is uploaded while the next is written.
        each = 0 if not checkpoints else weights // 2 if self.settings.lora else 3 * weights
        require_room(self.context.scratch, weights + 2 * each)

    def _batches(self, per_device: int) -> BatchPlan:
        return BatchPlan.of(self.settings.batch_size, per_device, self.ranks.world)

    def _fit_batches(self, counts: Counts) -> None:
        """Settle how many examples share a forward pass, now that the model and the longest of them are known."""
        memory = Memory(
            shape=shape_of(self.model.config.to_dict(), self.model.num_parameters()),
            bytes_per_parameter=self.method.bytes_per_parameter(self.ranks),
            tokens=self.method.sequences * counts.longest,
            processes=self.ranks.world,
            halves=self.args.bf16,
        )
        examples = memory.examples(self.settings, free_memory())
        if self.settings.per_device_batch_size is None:
            limit = self.council.told_by_first(self.overruns.limit)
            examples = examples if limit is None else min(examples, limit)
        self.batches = self._batches(self.council.least(examples))
        self.args.per_device_train_batch_size = self.args.per_device_eval_batch_size = self.batches.per_device
        self.args.gradient_accumulation_steps = self.batches.accumulation

    def _train(self, tokenizer: Any, data: Split) -> dict[str, float]:
        shelf = self._shelf()
        uploader = Uploader(shelf)
        step_name = self.context.config.step.value
        interruption = Interruption()
        checkpointing = Checkpointing(uploader, self.council, interruption)
        watch = LossWatch(step_name, self.settings.learning_rate)
        callbacks = [Telling(self.context.progress, self.method.logged), watch, checkpointing]
        if self.snapshots:
            # Before the checkpoint of the same step: what resumes from that has its snapshot.
            callbacks.insert(2, Snapshots(len(self.snapshots), self._take_snapshot))
        alive = self.context.progress.alive
        setup = Setup(self.args, self.model, data, tokenizer, callbacks, self.fetch, self.ranks, alive)
        self.trainer = self.method.trainer(setup)
        self.trainer.remove_callback(PrinterCallback)
        resumable = self._resumable(shelf)
        try:
            with interruption:
                self.trainer.train(resume_from_checkpoint=resumable)
                uploader.finish()
                if checkpointing.stopped:
                    interruption.obey()
        finally:
            uploader.close()
        return self._numbers()

    def _shelf(self) -> Shelf:
        context = self.context
        return Shelf(context.store, context.output, context.inputs_digest, context.config.step.value, self.ranks)

    def _resumable(self, shelf: Shelf) -> str | None:
        """The folder of the newest whole checkpoint on this node, if there is one."""
        step = self.council.told_by_first(shelf.newest)
        folder = self.context.scratch / "checkpoint"

        def prepare_node() -> Path | None:
            shutil.rmtree(self.work, ignore_errors=True)
            return None if step is None else shelf.fetch(step, folder)

        found = self.council.once_a_node(prepare_node)
        if found is not None and self.ranks.first:
            print(f"resuming from the checkpoint after step {step}", file=sys.stderr)
        return None if found is None else str(found)

    def _numbers(self) -> dict[str, float]:
        logs = [entry for entry in self.trainer.state.log_history if "loss" in entry]
        last = logs[-LAST_STEPS:]
        means = {
            name: sum(float(entry[key]) for entry in last) / len(last)
            for name, key in self.method.logged.items()
            if name in self.method.metrics and key in last[-1]
        }
        return {
            **means,
            **getattr(self.trainer, "measured", {}),
            "loss_first": float(logs[0]["loss"]),
            "learning_rate": float(logs[-1]["learning_rate"]),
            "steps": float(self.trainer.state.global_step),
            "dropout_fields": float(len(self.dropout_fields)),
        }

    def _take_snapshot(self, number: int) -> None:
        """Commit the model as it is, and go on as if nothing had been. An earlier attempt may have been here."""
        artifact = self.snapshots[number - 1]
        if self.council.told_by_first(lambda: self.context.committed(artifact) is not None):
            return
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            measured = self._export(goes_on=True)
        if self.ranks.first:
            metrics = {**measured, "steps": float(self.trainer.state.global_step)}
            self.context.commit(self._output(artifact, metrics).with_metrics(metrics))
        self.council.wait()

    def _export(self, *, goes_on: bool = False) -> dict[str, float]:
        """Write the artifact's folder on rank 0; returns what was measured of the weights in it.

        With `goes_on` the trainer's model is left as it was.
        """
        state, exported = gather(self.trainer), {}
        trained = {name: weight.detach().to("cpu", copy=True) for name, weight in state.items()} if goes_on else {}
        writing = beside(lambda: self._write(state)) if self.ranks.first else None
        # On the GPU, while the processor rounds and writes.
        meter = self.method.meter(self.trainer, self.context.progress.alive)
        if writing is not None:
            exported = writing.result()
            write_rows(self.folder / TRAINING_CURVE, curve(self.trainer.state.log_history, self.method.logged))
        # What rank 0 has just done may take longer than a collective waits.
        self.council.wait()
        if meter is None:
            return {}
        put_back(self.trainer, state, exported, sharded=self.ranks.world > 1)
        measured = meter.metrics()
        if goes_on:
            set_weights(self.trainer, trained, sharded=self.ranks.world > 1)
        return measured

    def _write(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return write_model(
            state,
            self.source,
            self.folder,
            loaded=self.model,
            dtype=self.dtype,
            rounding=self.settings.rounding,
            seed=self.context.seed,
            adapters=self.settings.lora,
        )

    def _outcome(self, metrics: dict[str, float], seconds: dict[str, float]) -> StepOutcome:
        """The artifact and its numbers. How long it took is no part of the artifact, whose bytes are to be the same."""
        return StepOutcome(
            [self._output(self.context.output, metrics)],
            metrics={
                **metrics,
                **seconds,
                "per_device_batch": float(self.batches.per_device),
                "accumulation": float(self.batches.accumulation),
            },
            after_commit=[self._shelf().clear, self.overruns.discard, self._release],
        )

    def _output(self, artifact: str, metrics: dict[str, float]) -> Output:
        """The folder as it is to become `artifact`, with its card."""
        context, config = self.context, self.context.config
        settings = self.settings.model_dump(mode="json", by_alias=True)
        # How the batch is spread is the machine's business; what is chosen later is said by the step that chooses.
        settings.pop("perDeviceBatchSize")
        settings.pop("selection", None)
        for later in ("additionalLosses", "consistencyWeighted"):
            if not settings.get(later, True):
                settings.pop(later)
        card = model_card(
            output=artifact,
            step=config.step.value,
            method=self.method.name,
            iteration=config.iteration,
            settings={**settings, "seed": context.seed},
            inputs={role: (found.ref.artifact, found.digest) for role, found in context.resolved.items()},
            metrics=metrics,
            notes={**self.notes, "Precision": self.precision},
            licence=licence_of(self.source),
        )
        (self.folder / "README.md").write_text(card, encoding="utf-8")
        spread: dict[str, JsonValue] = {
            "perDevice": self.batches.per_device,
            "accumulation": self.batches.accumulation,
            "processes": self.batches.world,
        }
        about: dict[str, JsonValue] = {"batch": spread, "precision": self.precision}
        return Output(artifact, self.folder, {"dropoutFields": list(self.dropout_fields), **about})

    def _release(self) -> None:
        """Let the other ranks go, now that the artifact is committed; whatever became of them, this has succeeded."""
        try:
            self.council.wait()
            self.council.leave()
        except RuntimeError as error:
            print(f"another rank was gone before the end: {error}", file=sys.stderr)
