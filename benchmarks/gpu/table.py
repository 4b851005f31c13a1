"""The table of what was measured, and the ratios that it is about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from setting import Setting

_OPERATIONS: Final = 8
"""Operations a weight and token in DPO: 2 in a forward pass and 4 backward of the policy, and 2 of the reference."""


def table(setting: Setting, found: dict[str, Any]) -> str:
    """Markdown: seconds by phase and iteration, of the parts that were run."""
    return "\n".join(_lines(setting, found)) + "\n"


def _lines(setting: Setting, found: dict[str, Any]) -> Iterator[str]:
    product, script = found.get("product"), found.get("script")
    yield "| seconds | " + " | ".join(_heads(setting, product, script)) + " |"
    yield "| --- |" + " --- |" * len(_heads(setting, product, script))
    for name, of_product, of_script in _PHASES:
        cells = [f"{of_product(part):.1f}" for part in (product or {}).get("iterations", [])]
        cells += [f"{of_script(part):.1f}" for part in (script or {}).get("iterations", [])]
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""
    for number, (ours, theirs) in enumerate(
        zip((product or {}).get("iterations", []), (script or {}).get("iterations", []), strict=False), 1
    ):
        ratio = _script_total(theirs) / ours["model_to_model"]
        yield f"Iteration {number}: the script takes {ratio:.2f} times as long."
    for number, ours in enumerate((product or {}).get("iterations", []), 1):
        metrics = ours["metrics"]["dpo"]
        speed = metrics["tokens"] / metrics["training_seconds"]
        share = speed * product["parameters"] * _OPERATIONS / setting.peak_tflops / 1e12
        yield f"Training, iteration {number}: {speed:,.0f} tokens/s, {share:.1%} of the GPU's operations (MFU)."
    if product and product.get("prefix_hit_rates"):
        yield f"Prompt tokens found in the prefix cache: {max(product['prefix_hit_rates']):.0%} at most."
    if product and "limit" in found:
        first = product["iterations"][0]
        made = sum(first["metrics"][step].get("completion_tokens", 0) for step in ("respond", "judge"))
        speed = made / (first["answers"] + first["judgements_after"])
        limit = found["limit"]["tokens_per_second"]
        yield f"Answers and judgements: {speed:,.0f} tokens/s, {speed / limit:.0%} of the engine's own {limit:,.0f}."
    if product and "sequential" in found:
        whole = found["sequential"]["scaled_seconds"] + product["iterations"][0]["training"]
        ratio = whole / product["iterations"][0]["model_to_model"]
        yield f"One prompt at a time, scaled from {found['sequential']['prompts']} prompts: {ratio:.0f} times as long."
    for part, told in found.items():
        if told.get("gpu"):
            yield f"GPU busy, {part}: " + ", ".join(
                f"{name.removeprefix('busy ')} {share:.0%}"
                for name, share in told["gpu"].items()
                if name.startswith("busy")
            )


def _heads(setting: Setting, product: Any, script: Any) -> list[str]:
    return [
        f"{name}, iteration {number}"
        for name, part in (("product", product), ("script", script))
        if part is not None
        for number in range(1, setting.iterations + 1)
    ]


def _script_total(part: dict[str, Any]) -> float:
    total: float = part["generate"]["total"] + part["train"]["total"]
    return total


_PHASES = (
    (
        "engine",
        lambda part: part["serving"],
        lambda part: part["generate"]["import"] + part["generate"]["engine"],
    ),
    ("answers", lambda part: part["answers"], lambda part: part["generate"]["answers"]),
    ("judgements after them", lambda part: part["judgements_after"], lambda part: part["generate"]["judgements"]),
    ("pairs", lambda part: part["pairs"], lambda part: part["generate"]["pairs_written"]),
    ("training", lambda part: part["training"], lambda part: part["train"]["total"]),
    ("model to next model", lambda part: part["model_to_model"], _script_total),
)
