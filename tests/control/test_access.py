"""Who may ask a run's servers: what the operator makes for that, and what is left of it."""

from __future__ import annotations

import base64
from pathlib import Path

from control.bench import bench, small_manifest
from kube.storage import Object
from selfreward.api import Phase


def owner_of(item: Object) -> str:
    (owner,) = item["metadata"]["ownerReferences"]
    return str(owner["name"])


async def test_each_run_has_a_key_and_a_policy_that_go_with_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        for name in ("one", "two"):
            made.cluster.create(small_manifest(tmp_path, name))
        made.start()
        for name in ("one", "two"):
            assert (await made.finished(name)).phase is Phase.SUCCEEDED
        keys, policies = made.cluster.list("Secret"), made.cluster.list("NetworkPolicy")
        for name in ("one", "two"):
            made.cluster.delete("SelfRewardRun", name)
        await made.cluster.idle(60)
        left = [*made.cluster.list("Secret"), *made.cluster.list("NetworkPolicy")]
        reads = [each for each in made.cluster.requests if each.plural == "secrets" and each.verb != "create"]
    assert sorted(map(owner_of, keys)) == ["one", "two"]
    assert sorted(map(owner_of, policies)) == ["one", "two"]
    drawn = {base64.b64decode(key["data"]["api-key"]) for key in keys}
    assert len(drawn) == 2
    assert all(len(key) >= 32 for key in drawn)
    assert left == []
    assert reads == []


async def test_the_users_own_key_is_used_and_none_is_made(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"}, "data": {"k": "eA=="}})
        spec = {"generationShards": 2, "apiKeySecretRef": {"name": "mine", "key": "k"}}
        made.cluster.create(small_manifest(tmp_path, serving=spec))
        made.start()
        assert (await made.finished()).phase is Phase.SUCCEEDED
        secrets = [each["metadata"]["name"] for each in made.cluster.list("Secret")]
    assert secrets == ["mine"]
