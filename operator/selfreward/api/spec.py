"""The spec of a run: what the user writes.

The method's own settings come from :mod:`selfreward_steps.contract`; this module adds what only the control
plane acts on: serving, training shape, storage, deadlines, retries and the life cycle.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field
from selfreward_steps.contract import (
    ContractModel,
    DpoSettings,
    EftSettings,
    EvaluationSettings,
    JudgeSettings,
    ModelSource,
    ObjectName,
    PairSettings,
    PromptSettings,
    Publishing,
    ResponseSettings,
    SecretKeyRef,
    SeedData,
    SftSettings,
)

from selfreward.api.gates import Gates
from selfreward.api.schedule import Schedule
from selfreward.api.workloads import Quantity, Workloads

Seconds = Annotated[int, Field(ge=1)]


MANAGER: Final = "selfreward.dev/operator"
"""This operator's name in `spec.managedBy`."""
_DOMAIN_PATH: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[-A-Za-z0-9._~/]+$"
"""A name with a domain before it, as batch/v1's `managedBy`."""


class ServingEngine(StrEnum):
    """The server's program."""

    AUTO = "auto"
    """vLLM; on one machine without it, `transformers serve`."""
    VLLM = "vllm"
    TRANSFORMERS = "transformers"


class ServingKeep(StrEnum):
    """Whether one engine serves one model after another."""

    AUTO = "auto"
    AWAKE = "awake"
    NEVER = "never"


class Serving(ContractModel):
    """The OpenAI-compatible server of a model, and how hard it is driven."""

    engine: ServingEngine = ServingEngine.AUTO
    """`auto`, `vllm` or `transformers`."""
    command: list[str] = []
    """Replaces the engine's command by any server that speaks the OpenAI API. `$(SELFREWARD_MODEL_DIR)`,
    `$(SELFREWARD_MODEL_NAME)` and `$(SELFREWARD_PORT)` stand for the model folder, its served name and the port."""
    args: list[str] = []
    """More arguments for the engine, after those that the operator gives it, so they win."""
    keep: ServingKeep = ServingKeep.AUTO
    """`auto`: where the place can do it, one vLLM serves all models of the run: it takes the next one's weights, and
    sleeps, or stays on GPUs of its own, while training has its turn. One machine can; a cluster where servers and
    training share GPUs (`deviceClassName`). `awake`: on a cluster it stays beside training, which needs GPUs for both.
    `never`: each model's server is started anew."""
    device_class_name: ObjectName | None = None
    """A cluster's DeviceClass, such as `gpu.nvidia.com`. Servers and training then share devices of it, through one
    ResourceClaim made for the run, where otherwise each asks for `nvidia.com/gpu` in its turn. It needs
    resource.k8s.io/v1 (Kubernetes 1.34 and newer) and the maker's driver for it."""
    replicas: Annotated[int, Field(ge=1)] = 1
    """Data parallelism: servers behind one Service."""
    tensor_parallel: Annotated[int, Field(ge=1)] = 1
    """GPUs that share one server's model."""
    engines_per_server: Annotated[int, Field(ge=1, le=8)] = 1
    """vLLM engines of each server, which share its GPUs: a small model's engine is limited by its processor, and leaves
    the GPU idle for most of the time (two of a model of 135 million parameters wrote twice as much on an H200, of 1.8
    billion no more). Each takes a processor core and has weights and cache of its own. For dense models on GPUs."""
    max_model_length: Annotated[int, Field(ge=1)] | None = None
    """Longest prompt plus completion, in tokens; the model's own otherwise."""
    dtype: Literal["auto", "half", "float16", "bfloat16", "float", "float32"] = "auto"
    """Number format of the served weights; `auto` is the model's own, and float32 where servers ask for no GPU."""
    api_key_secret_ref: SecretKeyRef | None = None
    """Secret with a key that the server asks its clients for. Without one, vLLM's is made for the run."""
    concurrency: Annotated[int, Field(ge=1)] | None = None
    """Requests that each client pod keeps in flight. Without it, 64, and more as long as the engine says that few of
    them wait; an outside judge gets 64."""
    request_timeout_seconds: Seconds = 600
    """A request that takes longer is tried again."""
    generation_shards: Annotated[int, Field(ge=1, le=1000)] = 4
    """Shards of responding and judging; judging of a shard starts when its answers are committed."""
    parallelism: Annotated[int, Field(ge=1)] = 1
    """Shards of one step that run at the same time."""

    @property
    def runs_vllm(self) -> bool:
        """Whether the server is vLLM, started by the command that we give it."""
        return not self.command and self.engine is not ServingEngine.TRANSFORMERS


class TrainingBackend(StrEnum):
    """The resource that runs a training step."""

    AUTO = "auto"
    """What the cluster serves; PyTorchJob when both."""
    PYTORCHJOB = "pytorchjob"
    TRAINJOB = "trainjob"


class Tracker(StrEnum):
    """An experiment tracker that transformers reports to."""

    AZURE_ML = "azure_ml"
    CLEARML = "clearml"
    CODECARBON = "codecarbon"
    COMET_ML = "comet_ml"
    DAGSHUB = "dagshub"
    DVCLIVE = "dvclive"
    FLYTE = "flyte"
    KUBEFLOW = "kubeflow"
    MLFLOW = "mlflow"
    NEPTUNE = "neptune"
    SWANLAB = "swanlab"
    TENSORBOARD = "tensorboard"
    TRACKIO = "trackio"
    WANDB = "wandb"


class Training(ContractModel):
    """SFT and DPO, and the shape of a training job."""

    backend: TrainingBackend = TrainingBackend.AUTO
    """`auto`, `pytorchjob` (Kubeflow training-operator v1) or `trainjob` (Kubeflow Trainer v2)."""
    nodes: Annotated[int, Field(ge=1)] = 1
    """Pods of a training job."""
    processes_per_node: Annotated[int, Field(ge=1)] = 1
    """Training processes a pod, one a GPU. More than one process over all nodes shards the model (FSDP)."""
    sft: SftSettings = SftSettings()
    """Supervised fine-tuning."""
    dpo: DpoSettings = DpoSettings()
    """Direct preference optimisation."""
    report_to: list[Tracker] = []
    """Experiment trackers, as TRL's `report_to`; none by default. The trainer's image needs their packages."""
    tracker_secret: ObjectName | None = None
    """Secret whose keys become environment variables of the training pods."""


class Storage(ContractModel):
    """Where artifacts go: `URI/namespace=NAMESPACE/NAME/`."""

    uri: Annotated[str, Field(pattern=r"^(s3://|file:///)[^\x00-\x1f?#]+$")] | None = None
    """`s3://BUCKET/PREFIX`, or `file:///PATH` on a volume; on one machine a folder of the work directory."""
    endpoint_url: Annotated[str, Field(pattern=r"^https?://[^\x00-\x20]+$")] | None = None
    """An S3-compatible endpoint."""
    region: str | None = None
    """S3 region."""
    secret: ObjectName | None = None
    """Secret with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; the pods' identity otherwise."""
    claim_name: ObjectName | None = None
    """PersistentVolumeClaim mounted at the path of a `file://` URI."""


class Deadlines(ContractModel):
    """How long is too long, in seconds. Kept by the operator, since PyTorchJob does not keep its own."""

    run: Seconds | None = None
    """The whole run, without the time it is suspended."""
    step: Seconds = 86_400
    """One attempt at a step."""
    start: Seconds = 3_600
    """From creation until a pod runs (pulling, queueing, no free GPU)."""
    serving: Seconds = 1_800
    """From creation until the server answers."""
    progress: Seconds = 900
    """Silence after which a running step counts as hung."""


class Retry(ContractModel):
    """How often a step is tried again."""

    limit: Annotated[int, Field(ge=0)] = 3
    """Failures of a step's own that are tried again. Infrastructure faults do not count."""
    backoff_seconds: Seconds = 10
    """Wait before the second attempt; doubled each time."""
    max_backoff_seconds: Seconds = 300
    """Longest wait."""
    infrastructure_seconds: Seconds = 21_600
    """A step that meets nothing but infrastructure faults for this long fails."""


class SuspendPolicy(StrEnum):
    """When suspension takes hold."""

    IMMEDIATE = "Immediate"
    """Running children are deleted; training goes on from its last checkpoint."""
    STEP_BOUNDARY = "StepBoundary"
    """Running steps end, no new one starts."""


class ArtifactPolicy(StrEnum):
    """What becomes of artifacts when the resource is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class ChildPolicy(StrEnum):
    """What becomes of a step's workload once the step has succeeded."""

    RETAIN = "Retain"
    DELETE = "Delete"


class DeletionPolicy(ContractModel):
    """What goes, and when. Children never outlive the resource."""

    children: ChildPolicy = ChildPolicy.RETAIN
    """`Retain` the workloads of steps that have succeeded, for their logs, as long as the resource is there; or
    `Delete` them at once. Those of a failed step are always kept."""

    artifacts: ArtifactPolicy = ArtifactPolicy.RETAIN
    """`Retain` or `Delete` what the store holds of the run when the resource is deleted."""


class SelfRewardRunSpec(ContractModel):
    """A self-rewarding run. Defaults are the paper's, so a short file is a faithful run."""

    model: ModelSource
    """The base model M0, or an already aligned one when there is no seed data."""
    iterations: Annotated[int, Field(ge=1, le=100)] = 2
    """Self-rewarding rounds; 2 gives the paper's M3."""
    seed_data: SeedData = SeedData()
    """The human data."""
    eft: EftSettings = EftSettings()
    """Evaluation fine-tuning data."""
    prompts: PromptSettings = PromptSettings()
    """New prompts."""
    responses: ResponseSettings = ResponseSettings()
    """Candidates."""
    judge: JudgeSettings = JudgeSettings()
    """LLM-as-a-judge."""
    preferences: PairSettings = PairSettings()
    """Preference pairs."""
    training: Training = Training()
    """SFT and DPO."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """What is measured of every model."""
    gates: Gates = Gates()
    """What the numbers must keep to, and what happens when they do not."""
    publish: Publishing | None = None
    """A hub that models and pairs are pushed to. Nothing is, without it."""
    serving: Serving = Serving()
    """The inference server."""
    storage: Storage = Storage()
    """Artifacts."""
    workloads: Workloads = Workloads()
    """Resources and placement."""
    random_seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Same seed, same machine: same pairs."""
    suspend: bool = False
    """Hold the run."""
    suspend_policy: SuspendPolicy = SuspendPolicy.IMMEDIATE
    """`Immediate` or `StepBoundary`."""
    managed_by: Annotated[str, Field(max_length=63, pattern=_DOMAIN_PATH)] | None = None
    """Who looks after the run: this operator, also where it is absent (`selfreward.dev/operator`); with any other name,
    such as `kueue.x-k8s.io/multikueue`, the operator touches neither it nor anything of it. It cannot change. On one
    machine it is not read."""
    reservation: dict[str, Quantity] = {}
    """What the run reserves in its Kueue queue (label `kueue.x-k8s.io/queue-name`) as one Workload, such as
    `nvidia.com/gpu: 8`: what its pods ask for at the same time at most. Nothing starts before it is admitted, and it is
    given back when the run has ended, is suspended, or waits for its schedule. Without it each job queues by itself."""
    schedule: Schedule | None = None
    """When the next iteration may start: `cron` or `approval: true`. At once, without it."""
    deadlines: Deadlines = Deadlines()
    """How long is too long."""
    retry: Retry = Retry()
    """How often a step is tried again."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0)] | None = None
    """Delete the resource this long after it finished; absent keeps it."""
    deletion_policy: DeletionPolicy = DeletionPolicy()
    """What goes, and when."""
