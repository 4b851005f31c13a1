"""The estimate of a run: its graph walked for each end of what is assumed, a row for each step and server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from selfreward_steps.contract import MemoryLimit, ModelShape, StepName, TrainingSettings, artifact_names

from selfreward.api import Keeping, SelfRewardRunSpec
from selfreward.estimate import disk, memory, time
from selfreward.estimate.assumptions import Assumptions, Bound, Range
from selfreward.estimate.hardware import Hardware
from selfreward.estimate.parameters import Parameters
from selfreward.estimate.work import Work
from selfreward.estimate.workload import Workloads
from selfreward.plan.graph import ChildKind, Node, build_graph
from selfreward.render.gpu_engine import compiles
from selfreward.render.gpus import gpus_of_server, gpus_of_step
from selfreward.render.memory import memory_limits

_IMPORTED = (artifact_names.BASE_MODEL, artifact_names.JUDGE_MODEL, artifact_names.EVALUATION_JUDGE)
_MAKES_MODELS = frozenset({StepName.SFT_BASELINE, StepName.SFT, StepName.DPO, StepName.SELECT})


@dataclass(frozen=True, slots=True)
class StepEstimate:
    """One step, or the start of one server."""

    key: str
    """The step's key, or `serving MODEL`."""
    calls: Range
    prompt_tokens: Range
    answer_tokens: Range
    trained_tokens: Range
    seconds: Range
    gpus: int
    """That it holds while it lasts."""
    gpu_bytes: float
    """The most of each of these GPUs."""
    host_bytes: float
    disk_bytes: Range
    """That it leaves in the store."""
    scratch_bytes: float
    """That it needs on its node's disk beside that, while it lasts."""

    @property
    def gpu_seconds(self) -> Range:
        """Seconds times GPUs."""
        return Range(self.seconds.low * self.gpus, self.seconds.high * self.gpus)


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """All rows of a run in the order in which they come."""

    steps: tuple[StepEstimate, ...]
    warnings: tuple[str, ...]
    """What may not fit, a line each."""
    refusals: tuple[str, ...]
    """What cannot fit, a line each."""

    def total(self, what: str) -> Range:
        """The sum over all rows of one of their ranges."""
        every: list[Range] = [getattr(step, what) for step in self.steps]
        return Range(sum(each.low for each in every), sum(each.high for each in every))


def estimate_run(
    spec: SelfRewardRunSpec,
    shape: ModelShape,
    hardware: Hardware,
    assumed: Assumptions,
    parameters: Parameters,
    others: Mapping[str, ModelShape] | None = None,
) -> RunEstimate:
    """The estimate of a run whose base model has `shape`; `others` are those of models that the user brings, by
    artifact. `spec` names the GPUs' memory as nodes' labels do (:mod:`selfreward.render.memory`)."""
    limits = {limit.field: limit for limit in memory_limits(spec)}
    walks = [
        list(_Walk(spec, shape, hardware, parameters, Workloads(spec, assumed, bound), others or {}, limits).rows())
        for bound in Bound
    ]
    steps = tuple(_between(low, high) for low, high in zip(*walks, strict=True))
    refusals = tuple(line for limit in limits.values() if (line := limit.refusal(shape.parameters)) is not None)
    return RunEstimate(steps, tuple(_warnings(spec, shape, hardware, limits)), refusals)


_NOTHING: Final = Work()


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    seconds: float = 0.0
    work: Work = _NOTHING
    gpus: int = 0
    gpu_bytes: float = 0.0
    host_bytes: float = 0.0
    disk_bytes: float = 0.0
    scratch_bytes: float = 0.0


def _between(low: _Row, high: _Row) -> StepEstimate:
    def both(read: str, part: str) -> Range:
        return Range(*(float(getattr(getattr(row.work, part), read)) for row in (low, high)))

    return StepEstimate(
        key=low.key,
        calls=both("calls", "generation"),
        prompt_tokens=both("prompt_tokens", "generation"),
        answer_tokens=both("answer_tokens", "generation"),
        trained_tokens=both("tokens", "training"),
        seconds=Range(low.seconds, high.seconds),
        gpus=high.gpus,
        gpu_bytes=high.gpu_bytes,
        host_bytes=high.host_bytes,
        disk_bytes=Range(low.disk_bytes, high.disk_bytes),
        scratch_bytes=max(low.scratch_bytes, high.scratch_bytes),
    )


@dataclass(slots=True)
class _Walk:
    """One walk through the graph, which knows which model is being served."""

    spec: SelfRewardRunSpec
    shape: ModelShape
    hardware: Hardware
    parameters: Parameters
    workloads: Workloads
    others: Mapping[str, ModelShape]
    limits: Mapping[str, MemoryLimit]
    served: str | None = None
    is_started: bool = False
    is_fresh: bool = False
    shapes: dict[str, ModelShape] = field(default_factory=dict)

    def rows(self) -> Iterator[_Row]:
        """A row for each step, and one before it where a server starts or takes another model."""
        before: _Row | None = None
        for node in self._in_turn():
            self._name_models(node)
            if node.serving is not None and node.serving != self.served:
                if before is not None:
                    yield before
                before = self._server(node.serving)
            row = self._row(node)
            if before is not None:
                if node.after_first_shard and before.key == node.after_first_shard[0]:
                    before, row = self._overlapping(node, before, row)
                yield before
            before = row
        if before is not None:
            yield before

    def _in_turn(self) -> Iterator[Node]:
        """The nodes as they come: a server that is up is used by all that can use it, and then the graph's order."""
        waiting, done = list(build_graph(self.spec).nodes), set[str]()
        while waiting:
            ready = [node for node in waiting if done.issuperset((*node.after, *node.after_first_shard))]
            node = next((node for node in ready if node.serving is not None and node.serving == self.served), ready[0])
            waiting.remove(node)
            done.add(node.key)
            yield node

    def _name_models(self, node: Node) -> None:
        for artifact in node.outputs:
            if artifact in _IMPORTED or node.step in _MAKES_MODELS:
                self.shapes[artifact] = self.others.get(artifact, self.shape)

    def _server(self, model: str) -> _Row:
        shape = self.shapes.get(model, self.shape)
        kept = self.is_started and self.hardware.keeping is not Keeping.NEVER
        self.served, self.is_started, self.is_fresh = model, True, not kept
        if kept:
            seconds = time.exchange_seconds(self.parameters, shape)
        else:
            seconds = time.engine_seconds(self.parameters, shape, compiles=compiles(self.spec, self.spec.serving))
        return _Row(
            f"serving {model}",
            seconds,
            gpus=gpus_of_server(self.spec),
            gpu_bytes=memory.served_bytes(self.hardware.gpu, self.spec.serving.engines_per_server),
            host_bytes=float(shape.weight_bytes),
            scratch_bytes=float(shape.weight_bytes),
        )

    def _row(self, node: Node) -> _Row:
        work = self.workloads.of(node)
        shape = self.shapes.get(node.inputs.get("model", ""), self.shape)
        row = _Row(
            node.key,
            self.parameters.step_start,
            work,
            gpus=gpus_of_server(self.spec) if node.serving is not None else gpus_of_step(self.spec, node),
            host_bytes=memory.client_host_bytes(),
            disk_bytes=disk.committed_bytes(self.spec, node, work, self.shapes),
            scratch_bytes=disk.scratch_bytes(self.spec, node, work, shape),
        )
        if node.kind is ChildKind.TRAINING:
            return self._training(node, row, shape)
        if node.serving is not None:
            first = self.parameters.engine_first if self.is_fresh and work.generation.calls else 0.0
            self.is_fresh = self.is_fresh and not work.generation.calls
            seconds = first + time.generation_seconds(self.parameters, self._servers(node.serving), work.generation)
            return replace(
                row,
                seconds=seconds,
                gpu_bytes=memory.served_bytes(self.hardware.gpu, self.spec.serving.engines_per_server),
            )
        if node.step is StepName.IMPORT:
            seconds = time.import_seconds(self.parameters, shape)
            return replace(row, seconds=seconds, host_bytes=memory.import_host_bytes(shape))
        return row

    def _training(self, node: Node, row: _Row, shape: ModelShape) -> _Row:
        if self.hardware.keeping is Keeping.NEVER:
            self.served = None
        processes = self.spec.training.nodes * self.spec.training.processes_per_node
        settings, limit = _settings_of(self.spec, node), self.limits.get(_field_of(node))
        longest = memory.longest_example(self.spec, settings)
        return replace(
            row,
            seconds=time.training_seconds(self.parameters, self.hardware.gpu, shape, row.work.training, processes),
            gpu_bytes=0.0 if limit is None else memory.training_bytes(shape, settings, limit, longest),
            host_bytes=memory.training_host_bytes(shape, self.spec.training.processes_per_node),
        )

    def _servers(self, model: str) -> time.Servers:
        serving = self.spec.serving
        shape = self.shapes.get(model, self.shape)
        return time.Servers(
            self.hardware.gpu, shape, serving.replicas, serving.tensor_parallel, serving.engines_per_server
        )

    def _overlapping(self, node: Node, answers: _Row, judged: _Row) -> tuple[_Row, _Row]:
        """Both rows of steps that keep one server busy together: the second's is what it takes after the first, the
        judgements of the last shard."""
        if node.serving is None:
            return answers, replace(judged, seconds=self.parameters.step_start)
        servers = self._servers(node.serving)
        first, second = answers.work.generation, judged.work.generation
        alone = time.generation_seconds(self.parameters, servers, first)
        together = time.generation_seconds(self.parameters, servers, first + second)
        last = time.generation_seconds(self.parameters, servers, second.one_shard())
        return replace(answers, seconds=answers.seconds - alone + together - last), replace(judged, seconds=last)


def _settings_of(spec: SelfRewardRunSpec, node: Node) -> TrainingSettings:
    return spec.training.dpo if node.step is StepName.DPO else spec.training.sft


def _field_of(node: Node) -> str:
    return "spec.training.dpo" if node.step is StepName.DPO else "spec.training.sft"


def _warnings(
    spec: SelfRewardRunSpec, shape: ModelShape, hardware: Hardware, limits: Mapping[str, MemoryLimit]
) -> Iterator[str]:
    """What fits by its weights and states, and not with the longest batch or request that there may be."""
    gpu = hardware.gpu
    for name, settings in (("spec.training.sft", spec.training.sft), ("spec.training.dpo", spec.training.dpo)):
        limit = limits.get(name)
        if limit is None or limit.refusal(shape.parameters) is not None:
            continue
        longest = memory.longest_example(spec, settings)
        needed = memory.training_bytes(shape, settings, limit, longest)
        if needed > gpu.memory:
            asked = settings.per_device_batch_size
            less = "lower it, or set " if asked is not None and asked > 1 else ""
            remedy = "more GPUs" if settings.gradient_checkpointing else f"{less}gradientCheckpointing: true"
            batch = "one alone" if asked is None else f"perDeviceBatchSize {asked}"
            yield (
                f"{name}: {batch} of the longest examples ({longest:,} tokens) takes {needed / memory.GIB:,.0f} GiB of "
                f"each GPU's {gpu.memory / memory.GIB:,.0f}, though shorter ones may fit: {remedy}"
            )
    longest = spec.serving.max_model_length or spec.responses.sampling.max_tokens
    room = memory.cache_of(gpu, shape, spec.serving.tensor_parallel, spec.serving.engines_per_server)
    if "spec.serving" in limits and limits["spec.serving"].refusal(shape.parameters) is None and room < longest:
        yield (
            f"spec.serving: the server's cache has room for {room:,.0f} tokens, and one request may take {longest:,}: "
            "raise serving.tensorParallel"
        )
