"""When a difference may be claimed, and the few words that say why it is or is not. Pure.

Wins and losses are compared by the exact sign test that the evaluation writes down: over prompts, ties left out. Below
thirty prompts nothing is claimed at all, since two wins of two are what a coin gives every fourth time.
"""

from __future__ import annotations

from typing import Final

FEWEST_PROMPTS: Final = 30
"""Fewest prompts that a claim may rest on."""
LEVEL: Final = 0.05
"""A sign test below this is a difference."""


def are_enough(prompts: float | None) -> bool:
    """Whether so many prompts can carry a claim; an earlier version of a step may not have counted them."""
    return prompts is None or prompts >= FEWEST_PROMPTS


def is_difference(prompts: float | None, p_value: float | None) -> bool:
    """Whether wins and losses differ by more than chance."""
    return are_enough(prompts) and p_value is not None and p_value < LEVEL


def too_few(prompts: float) -> str:
    """Words for a claim that is not made, since it would rest on so few prompts."""
    return f"too few to tell: {prompts:.0f} prompts, {FEWEST_PROMPTS} are needed"


def sign_test(prompts: float | None, p_value: float | None) -> str:
    """`sign test p = 0.34`, or what is missing for one."""
    if prompts is not None and not are_enough(prompts):
        return too_few(prompts)
    if p_value is None:
        return "no sign test"
    return "sign test p < 0.001" if p_value < 0.001 else f"sign test p = {p_value:.2g}"
