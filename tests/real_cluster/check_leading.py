"""Two replicas: the leader dies, and the other acts."""

from __future__ import annotations

import time

from real_cluster.api import Api, until
from real_cluster.ground import Ground
from real_cluster.measuring import Measured
from real_cluster.operators import Operators, kill_outright
from real_cluster.runs import short, start

TAKEOVER_SECONDS = 20.0


async def test_the_other_acts_within_twenty_seconds(
    api: Api, ground: Ground, operators: Operators, measured: Measured
) -> None:
    namespace = await ground.open("selfreward-suite-leading")
    await until(operators.all_ready, "both replicas answer", 180)
    leader = await operators.leader()
    how = "SIGKILL" if kill_outright(leader) else "deletion"
    died = time.monotonic()
    # Its pod would come back under its own name and go on leading: the other is to act.
    await operators.delete(leader, grace=0)
    run = await start(api, short(namespace, ground, suspend=True))

    async def is_acted_on() -> bool:
        return (await run.status()).observed_generation >= 1

    await until(is_acted_on, "somebody looked at the run", 120, every=0.2)
    seconds = time.monotonic() - died
    measured(f"{how} and deletion of the leader: the other acted after {seconds:.1f} s")
    assert await operators.leader() not in ("", leader)
    assert seconds <= TAKEOVER_SECONDS
    await until(operators.all_ready, "both replicas are back", 180)
