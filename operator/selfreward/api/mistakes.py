"""What is wrong with a run that no schema can refuse, but arithmetic and a look at it can. Pure.

The API server stores such a run; `selfreward validate` and the operator tell of it before the first step, where the
step that would find it may come after hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from selfreward.api.addresses import bad_addresses
from selfreward.api.spec import SelfRewardRunSpec
from selfreward.api.workloads import STANDARD_RESOURCES, Workload, is_accelerator

_SUFFIXES: Final = {
    **{
        suffix: Decimal(1000) ** power
        for power, suffix in enumerate(["n", "u", "m", "", "k", "M", "G", "T", "P", "E"], -3)
    },
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}
_AMOUNT: Final = re.compile(r"([-+]?[0-9.]+)(?:([eE][-+]?[0-9]+)|([a-zA-Z]*))")
_LITTLE_MEMORY: Final = 1 << 20


def mistakes(spec: SelfRewardRunSpec) -> Iterator[str]:
    """One line a mistake: the field, the value, what to do."""
    yield from bad_addresses(spec)
    yield from _template_mistakes(spec)
    for kind, workload in spec.workloads:
        yield from _resource_mistakes(f"spec.workloads.{kind}.resources", workload)
    yield from _gpu_mistakes(spec)
    if spec.serving.device_class_name is not None:
        yield from _named_twice(spec)


def amount(quantity: str) -> Decimal:
    """A quantity of Kubernetes as a number: `500m` is 0.5, `1Ki` is 1024."""
    found = _AMOUNT.fullmatch(quantity)
    assert found is not None, "the schema lets nothing else through"
    number, exponent, suffix = found.groups()
    return Decimal(f"{number}{exponent or ''}") * _SUFFIXES[suffix or ""]


def _template_mistakes(spec: SelfRewardRunSpec) -> Iterator[str]:
    template = spec.judge.custom_template
    if template is None or template.score_pattern is None:
        return
    field, pattern = "spec.judge.customTemplate.scorePattern", template.score_pattern
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        yield f"{field}: {pattern!r}: no regular expression: {error}"
        return
    if not groups:
        yield f"{field}: {pattern!r}: has no group for the score: put it in parentheses, such as ([0-9]+)"


def _resource_mistakes(field: str, workload: Workload) -> Iterator[str]:
    requests, limits = workload.resources.requests, workload.resources.limits
    for part, quantities in (("requests", requests), ("limits", limits)):
        for name, quantity in quantities.items():
            if problem := _quantity_problem(name, quantity):
                yield f"{field}.{part}: {name}: {quantity}: {problem}"
    for name, quantity in requests.items():
        if name in limits and amount(quantity) > amount(limits[name]):
            yield f"{field}.requests: {name}: {quantity}: is above its limit of {limits[name]}: lower it or raise that"
        elif _is_extended(name) and (name not in limits or amount(quantity) != amount(limits[name])):
            yield f"{field}.requests: {name}: {quantity}: a device's request must be its limit too: set it in limits"


def _quantity_problem(name: str, quantity: str) -> str | None:
    number = amount(quantity)
    if name not in STANDARD_RESOURCES and "/" not in name and not name.startswith("hugepages-"):
        return "no resource of Kubernetes: use cpu, memory, ephemeral-storage, or a device's full name (nvidia.com/gpu)"
    if number < 0:
        return "must not be below 0"
    if name in ("memory", "ephemeral-storage") and 0 < number < _LITTLE_MEMORY:
        return f"are bytes: nothing starts with so few; use a unit, such as {quantity.rstrip('m')}Gi"
    if _is_extended(name) and number != int(number):
        return "a device is given whole"
    return None


def _is_extended(name: str) -> bool:
    """Whether it is a device plugin's, of which a container gets whole ones only, and what it asks for."""
    domain, slash, _ = name.partition("/")
    return bool(slash) and not (domain == "kubernetes.io" or domain.endswith(".kubernetes.io"))


def _gpu_mistakes(spec: SelfRewardRunSpec) -> Iterator[str]:
    serving, training = spec.serving, spec.training
    gpus = _whole_gpus(spec.workloads.training)
    if gpus and gpus != training.processes_per_node:
        yield (
            f"spec.training.processesPerNode: {training.processes_per_node}: workloads.training.resources gives each "
            f"pod {gpus} GPU{'s' if gpus > 1 else ''}, and a process trains on one: set both alike, or the limit to 0"
        )
    gpus = _whole_gpus(spec.workloads.serving)
    if not gpus or gpus == serving.tensor_parallel:
        return
    field = (
        f"spec.serving.tensorParallel: {serving.tensor_parallel}: workloads.serving.resources gives each server {gpus}"
    )
    if gpus < serving.tensor_parallel:
        yield f"{field} GPU{'s' if gpus > 1 else ''}: set both alike"
    elif not serving.command and not serving.args:
        yield f"{field} GPUs: the others would stand idle: set both alike"


def _named_twice(spec: SelfRewardRunSpec) -> Iterator[str]:
    for kind, workload in (("serving", spec.workloads.serving), ("training", spec.workloads.training)):
        for name, quantity in (workload.resources.requests | workload.resources.limits).items():
            if is_accelerator(name) and amount(quantity):
                yield (
                    f"spec.workloads.{kind}.resources: {name}: {quantity}: serving.deviceClassName gives these pods "
                    "their devices: remove one of the two"
                )


def _whole_gpus(workload: Workload) -> int:
    """The GPUs that a pod is given; 0 where it says nothing, or names parts of one."""
    resources = workload.resources
    named = {
        name: quantity for name, quantity in (resources.requests | resources.limits).items() if is_accelerator(name)
    }
    if any(not name.endswith("/gpu") for name in named):
        return 0
    return sum(int(amount(quantity)) for quantity in named.values())
