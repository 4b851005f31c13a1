"""Names of children: deterministic, short, and never the same for two things."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfreward.plan import capped_name, serving_name, step_name
from selfreward.plan.names import MAX_NAME

LONG = "a-run-whose-name-is-so-long-that-it-hardly-fits-at-all"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(step_name("run", "respond-2", 3), "run-respond-2-a3", id="a step"),
        pytest.param(step_name("run", "evaluate-m1", 1), "run-evaluate-m1-a1", id="an evaluation"),
        pytest.param(serving_name("run", "sft-baseline", 1), "run-serve-sft-baseline-a1", id="a serving"),
        pytest.param(capped_name("x" * 50), "x" * 50, id="just fits"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert name == expected


def test_long_names_are_cut_with_a_hash_of_the_whole() -> None:
    names = {step_name(LONG, key, attempt) for key in ("import", "dpo-1", "dpo-10") for attempt in (1, 2, 11)}
    assert len(names) == 9
    assert {len(name) for name in names} == {MAX_NAME}
    assert all(name.startswith(LONG[:40]) for name in names)


def test_a_cut_never_leaves_two_hyphens() -> None:
    assert "--" not in capped_name("a" * 40 + "-" + "b" * 40)


@given(st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True), st.integers(1, 10**6))
def test_names_are_dns_labels(run: str, attempt: int) -> None:
    name = step_name(run, "evaluate-m100", attempt)
    assert len(name) <= MAX_NAME
    assert name[0].isalpha()
    assert name[-1].isalnum()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
