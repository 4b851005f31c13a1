"""The revision of a child: a digest of what the user may still put right while the child has not started.

That is its image, resources, placement and server command. A child that still waits under another digest than the spec
now gives would wait for ever for what the user has already mended, so it is replaced (:mod:`selfreward.plan.attempts`).
What a step makes is not in it: that cannot change once the run has started.
"""

from __future__ import annotations

import hashlib
from typing import Final

from selfreward_steps.contract import StepName

from selfreward.api import SelfRewardRun
from selfreward.render.images import Images, workload_of
from selfreward.render.metadata import PREFIX

REVISION: Final = f"{PREFIX}/placement"
"""Annotation of workloads. Its name is older than this module's, and children that bear it may be waiting."""
_DIGITS: Final = 16


def step_revision(run: SelfRewardRun, step: StepName, images: Images) -> str:
    """The digest for the children of a step."""
    workload = workload_of(step, run.spec.workloads)
    trains = workload is run.spec.workloads.training
    devices = _devices(run) if trains else ()
    return _digest(workload.image or images.of_step(step), workload.model_dump_json(), *devices)


def serving_revision(run: SelfRewardRun, images: Images) -> str:
    """The digest for the servers of the run."""
    workload = run.spec.workloads.serving
    # How hard its clients drive a server is not the server's, nor is what becomes of its engine afterwards.
    serving = run.spec.serving.model_dump_json(
        exclude={
            "concurrency",
            "request_timeout_seconds",
            "generation_shards",
            "parallelism",
            "keep",
            "device_class_name",
            "engines_per_server",
        }
    )
    parts = (workload.image or images.generator, images.judge, workload.model_dump_json(), serving)
    engines = run.spec.serving.engines_per_server
    return _digest(*parts, *_devices(run), *((f"engines {engines}",) if engines > 1 else ()))


def _devices(run: SelfRewardRun) -> tuple[str, ...]:
    """Nothing where it is not given, so that what an older operator created keeps its revision, as with each field that
    came later."""
    name = run.spec.serving.device_class_name
    return () if name is None else (name,)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_DIGITS]
