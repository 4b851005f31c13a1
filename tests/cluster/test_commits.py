"""Which artifacts count as committed: the run's own, and only once they are whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from selfreward.api import IterationStatus, RunStatus, SelfRewardRun, StepState, StepStatus
from selfreward.cluster.commits import Commits
from selfreward.plan import CreateStep, Graph, build_graph
from selfreward.render.configs import step_config
from selfreward_steps.contract import InputRef
from selfreward_steps.identity import output_digests, step_digest
from selfreward_steps.store import Manifest, Store, open_store
from selfreward_steps.store.digests import digest_of

SHARDS = 2


def run_of(store: Store, **spec: Any) -> SelfRewardRun:
    """An aligned base with its own prompts: import, then prompts, respond, judge, …"""
    uri = store.uri.removesuffix("/namespace=default/demo")
    base: dict[str, Any] = {
        "model": {"uri": "hf://a/b"},
        "prompts": {"generator": "file", "source": {"uri": "s3://data/prompts.jsonl"}},
        "serving": {"generationShards": SHARDS},
        "storage": {"uri": uri},
    }
    return SelfRewardRun.model_validate({"metadata": {"name": "demo", "uid": "0b5f8a52"}, "spec": base | spec})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path}/namespace=default/demo")


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    folder.mkdir()
    (folder / "rows.jsonl").write_text("{}\n")
    return folder


def succeeded(run: SelfRewardRun, graph: Graph, outputs: dict[str, dict[str, str]]) -> SelfRewardRun:
    """`run` with rows of succeeded steps: outputs by key."""
    rows = [
        StepStatus(key=key, step=graph.node(key).step, state=StepState.SUCCEEDED, outputs=made)
        for key, made in outputs.items()
    ]
    return run.model_copy(update={"status": RunStatus(iterations=[IterationStatus(number=0, steps=rows)])})


def commit_as_the_step(
    store: Store,
    run: SelfRewardRun,
    key: str,
    content: Path,
    inputs: dict[str, InputRef],
    digests: dict[str, str],
    shard: int | None = None,
) -> list[Manifest]:
    """What the step's own frame does (:mod:`selfreward_steps.attempt.launch`)."""
    node = build_graph(run.spec).node(key)
    config = step_config(run, node, CreateStep("child", key, 1, inputs))
    own = config.output if shard is None else f"{config.output}/shard-{shard:05d}"
    return [
        store.commit(artifact, content, inputs_digest=digest, step=node.step)
        for artifact, digest in output_digests(config, own, step_digest(config, digests, shard)).items()
    ]


def digests_of(manifests: list[Manifest]) -> dict[str, str]:
    return {manifest.artifact: manifest.digest for manifest in manifests}


async def look(
    commits: Commits, run: SelfRewardRun, graph: Graph, artifacts: Mapping[str, int | None]
) -> tuple[dict[str, str], dict[str, int]]:
    found = await commits.observe(run, graph, artifacts)
    return found.committed, found.shards


async def test_the_import_is_done_when_all_it_makes_is_there(store: Store, content: Path) -> None:
    run = run_of(store)
    graph = build_graph(run.spec)
    wanted = {"seed": None, "m0": None}
    commits = Commits(store)
    assert await look(commits, run, graph, wanted) == ({}, {})
    made = digests_of(commit_as_the_step(store, run, "import", content, {}, {}))
    assert made.keys() == {"m0", "seed"}
    assert await look(commits, run, graph, wanted) == (made, {})


async def test_what_other_settings_made_is_not_this_runs(store: Store, content: Path) -> None:
    """An earlier run of the same name was deleted, its artifacts were kept; the model is another now."""
    commit_as_the_step(store, run_of(store, model={"uri": "hf://old/model"}), "import", content, {}, {})
    run = run_of(store)
    committed, _ = await look(Commits(store), run, build_graph(run.spec), {"seed": None, "m0": None})
    assert committed.keys() == {"seed"}, "the seed was made from the same data"


async def test_shards_count_one_by_one_and_stand_for_the_whole_when_all_are_there(store: Store, content: Path) -> None:
    run = run_of(store)
    graph = build_graph(run.spec)
    made = digests_of(commit_as_the_step(store, run, "import", content, {}, {}))
    refs = {
        role: InputRef(artifact=artifact, digest=made[artifact])
        for role, artifact in (("seed", "seed"), ("model", "m0"))
    }
    node = graph.node("prompts-1")
    inputs = {role: refs[role] for role in node.inputs}
    (prompts,) = commit_as_the_step(
        store, run, "prompts-1", content, inputs, {role: ref.digest or "" for role, ref in inputs.items()}
    )
    run = succeeded(run, graph, {"import": made, "prompts-1": {"iteration-1/prompts": prompts.digest}})
    folder, judged = "iteration-1/responses", "iteration-1/judgements"
    wanted = {folder: SHARDS, judged: SHARDS}
    commits = Commits(store)
    assert await look(commits, run, graph, wanted) == ({}, {folder: 0, judged: 0})

    inputs = {"prompts": InputRef(artifact="iteration-1/prompts", digest=prompts.digest), "model": refs["model"]}
    digests = {"prompts": prompts.digest, "model": made["m0"]}
    (second,) = commit_as_the_step(store, run, "respond-1", content, inputs, digests, shard=1)
    assert await look(commits, run, graph, wanted) == ({}, {folder: 1, judged: 0})

    # A judge's shard depends on its own shard of the answers, whose digest no row holds yet.
    paired = {"responses": InputRef(artifact=folder, shards=SHARDS), "model": refs["model"]}
    commit_as_the_step(
        store, run, "judge-1", content, paired, {"responses": second.digest, "model": made["m0"]}, shard=1
    )
    assert await look(commits, run, graph, wanted) == ({}, {folder: 1, judged: 1})

    (first,) = commit_as_the_step(store, run, "respond-1", content, inputs, digests, shard=0)
    whole = digest_of([first.digest, second.digest])
    assert await look(commits, run, graph, wanted) == ({folder: whole}, {folder: 2, judged: 1})


async def test_a_missing_artifact_is_not_asked_for_at_every_look(store: Store, content: Path) -> None:
    """A bucket is not asked five times a second."""
    time = 0.0
    run = run_of(store)
    graph = build_graph(run.spec)
    commits = Commits(store, pause=2, clock=lambda: time)
    assert await look(commits, run, graph, {"m0": None}) == ({}, {})
    commit_as_the_step(store, run, "import", content, {}, {})
    time = 1.0
    assert await look(commits, run, graph, {"m0": None}) == ({}, {})
    time = 2.5
    committed, _ = await look(commits, run, graph, {"m0": None})
    assert committed.keys() == {"m0"}


async def test_the_numbers_in_manifests_are_found_too(store: Store, content: Path) -> None:
    run = run_of(store)
    graph = build_graph(run.spec)
    digest = output_digests_of(run, graph)
    told = {"metrics": {"prompts": 8, "rate": 0.5, "loss": "nan"}, "note": "x"}
    store.commit("m0", content, inputs_digest=digest, step="import", metadata=told)
    found = await Commits(store).observe(run, graph, {"m0": None})
    assert found.measured == {"m0": [{"prompts": 8.0, "rate": 0.5}]}


def output_digests_of(run: SelfRewardRun, graph: Graph) -> str:
    config = step_config(run, graph.node("import"), CreateStep("child", "import", 1, {}))
    return output_digests(config, config.output, step_digest(config, {}, None))["m0"]
