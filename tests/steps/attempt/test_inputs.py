"""A step's inputs: pinned by digest, put together from shards, and waited for."""

import json
import subprocess
import sys

from selfreward_steps.store.digests import digest_of
from steps.attempt.launching import LAUNCHED, Place


def test_pinned_inputs_are_checked(place: Place) -> None:
    digest = place.put("iteration-1/prompts", "as decided")
    good = {"prompts": {"artifact": "iteration-1/prompts", "digest": digest}}
    assert place.launch("commits", place.config(inputs=good)).returncode == 0
    other = {"prompts": {"artifact": "iteration-1/prompts", "digest": digest_of("another")}}
    changed = place.launch("commits", place.config(inputs=other, output="other"))
    assert (changed.returncode, place.result().reason) == (64, "InputChanged")
    assert f"inputs.prompts: {place.uri}/iteration-1/prompts has digest {digest}" in changed.stderr
    missing = {"prompts": {"artifact": "iteration-2/prompts", "digest": digest}}
    ended = place.launch("commits", place.config(inputs=missing, output="other"))
    assert (ended.returncode, place.result().reason) == (69, "InputMissing")


def test_every_shard_is_read_in_order_by_a_step_that_has_none(place: Place) -> None:
    digests = [place.put(f"iteration-1/responses/shard-{index:05d}", f"part {index}") for index in range(3)]
    pinned = {"responses": {"artifact": "iteration-1/responses", "shards": 3, "digest": digest_of(digests)}}
    assert place.launch("commits", place.config(inputs=pinned)).returncode == 0
    with place.store.open("iteration-1/pairs", "seen.txt") as file:
        assert file.read().decode().endswith("{'responses': ['part 0', 'part 1', 'part 2']}")


def test_a_shard_waits_for_its_own_input_shard_only(place: Place) -> None:
    inputs = {"responses": {"artifact": "iteration-1/responses", "shards": 2}}
    config = place.config("judge", shards=2, inputs=inputs)
    command = [sys.executable, str(LAUNCHED), "judge", "commits"]
    environment = place.environment(config, JOB_COMPLETION_INDEX="1")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["unit"] == "waiting for input"
        place.put("iteration-1/responses/shard-00001", "mine")
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert place.result().shard == 1
    with place.store.open("iteration-1/judge/shard-00001", "seen.txt") as file:
        shard, seed, inputs_seen = file.read().decode().split(" ", 2)
    assert (shard, inputs_seen) == ("1", "{'responses': ['mine']}")
    assert 0 <= int(seed) < 2**31
