"""The fault plan: which request is struck, what the client sees, and what was done all the same."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import aiohttp
import pytest

from kube import Fault, FaultKind, Logged
from kube.calls import CONFIG_MAPS, MERGE, RUNS, calling, config_map, run_manifest

MAP = f"{CONFIG_MAPS}/map"


@pytest.mark.parametrize("code", [401, 403, 404, 409, 410, 422, 429, 500, 503, 504])
async def test_an_answer_once(tmp_path: Path, code: int) -> None:
    async with calling(tmp_path) as call:
        call.cluster.faults.add(Fault(answer=code, on="create configmaps"))
        first = await call("POST", CONFIG_MAPS, config_map())
        assert call.cluster.get("ConfigMap", "map") is None
        second = await call("POST", CONFIG_MAPS, config_map())
        statuses = [entry.status for entry in call.cluster.requests]
    assert (first.code, first.body["code"], second.code) == (code, code, 201)
    assert statuses == [code, 201]


async def test_retry_after(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.faults.add(Fault(answer=429, retry_after=7))
        answer = await call("GET", CONFIG_MAPS)
    assert answer.headers["Retry-After"] == "7"
    assert answer.body["details"]["retryAfterSeconds"] == 7


COMMITS: list[tuple[FaultKind, bool]] = [
    (FaultKind.RESET_BEFORE_COMMIT, False),
    (FaultKind.RESET_AFTER_COMMIT, True),
    (FaultKind.TIMEOUT_AFTER_COMMIT, True),
]


@pytest.mark.parametrize(("kind", "committed"), [pytest.param(*case, id=case[0].value) for case in COMMITS])
async def test_a_broken_connection(tmp_path: Path, kind: FaultKind, committed: bool) -> None:
    async with calling(tmp_path) as call:
        call.cluster.faults.add(Fault(kind, on="create configmaps", seconds=90))
        start = call.cluster.clock.seconds
        with pytest.raises(aiohttp.ClientError):
            await call("POST", CONFIG_MAPS, config_map())
        took = call.cluster.clock.seconds - start
        assert (call.cluster.get("ConfigMap", "map") is not None) is committed
        (entry,) = call.cluster.requests
    assert (entry.committed, entry.status, entry.fault) == (committed, None, str(kind))
    assert took == pytest.approx(90 if kind is FaultKind.TIMEOUT_AFTER_COMMIT else 0, abs=0.01)


async def test_a_client_that_gives_up_finds_the_write_done(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.faults.add(Fault(FaultKind.TIMEOUT_AFTER_COMMIT))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await call("POST", CONFIG_MAPS, config_map())
        again = await call("POST", CONFIG_MAPS, config_map())
    assert again.code == 409


async def test_slow(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.faults.add(Fault(FaultKind.SLOW, seconds=12))
        start = call.cluster.clock.seconds
        answer = await call("POST", CONFIG_MAPS, config_map())
        assert call.cluster.clock.seconds - start == pytest.approx(12)
    assert answer.code == 201


async def test_which_request_is_struck(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.faults.add(Fault(answer=500, on="get configmaps", nth=2, times=2))
        call.cluster.create(config_map())
        codes = [(await call("GET", MAP)).code for _ in range(5)]
        listed = (await call("GET", CONFIG_MAPS)).code
    assert codes == [200, 500, 500, 200, 200]
    assert listed == 200


async def test_an_outage(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.faults.add(Fault(answer=503, times=0))
        codes = {(await call("GET", CONFIG_MAPS)).code for _ in range(10)}
        call.cluster.faults.clear()
        after = (await call("GET", CONFIG_MAPS)).code
    assert (codes, after) == ({503}, 200)


async def test_only_one_clients_requests(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.faults.add(Fault(answer=503, times=0, user_agent="operator"))
        assert (await call("GET", CONFIG_MAPS)).code == 200


async def test_decide(tmp_path: Path) -> None:
    def strike(request: Logged) -> Fault | None:
        return Fault(answer=409) if request.plural == "selfrewardruns/status" else None

    async with calling(tmp_path) as call:
        call.cluster.faults.decide = strike
        call.cluster.create(run_manifest())
        status = await call("PATCH", f"{RUNS}/demo/status", {}, MERGE)
        main = await call("PATCH", f"{RUNS}/demo", {}, MERGE)
    assert (status.code, main.code) == (409, 200)


async def test_random_faults_are_the_seeds(tmp_path: Path) -> None:
    async def outcomes(seed: int) -> tuple[list[str], int]:
        async with calling(tmp_path) as call:
            call.cluster.faults.at_random(seed, rate=0.2)
            for number in range(100):
                with contextlib.suppress(aiohttp.ClientError):
                    await call("POST", CONFIG_MAPS, config_map(f"map-{number}"))
            return call.cluster.faults.injected, len(call.cluster.list("ConfigMap", "default"))

    first, again, other = [await outcomes(seed) for seed in (1, 1, 2)]
    assert first == again
    assert first[0] != other[0]
    assert 8 <= len(first[0]) <= 35


async def test_a_hook_runs_between_commit_and_answer(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        seen: list[tuple[str, str, bool]] = []

        def hook(entry: Logged) -> None:
            stored = call.cluster.get("ConfigMap", entry.name)
            seen.append((entry.verb, entry.plural, stored is not None))

        call.cluster.after_write.append(hook)
        await call("POST", CONFIG_MAPS, config_map())
        await call("PATCH", MAP, {"data": {"a": "1"}}, MERGE)
        await call("PATCH", MAP, {"data": {"a": "1"}}, MERGE)
        await call("GET", MAP)
        await call("DELETE", MAP)
        await call("DELETE", MAP)
    assert seen == [("create", "configmaps", True), ("patch", "configmaps", True), ("delete", "configmaps", False)]


async def test_the_log_counts(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        await call("POST", CONFIG_MAPS, config_map())
        await call("GET", MAP)
        await call("GET", MAP)
        await call("GET", "/apis")
        log = call.cluster.requests
        assert log.count("get", "configmaps") == 2
        assert log.counts() == {("create", "configmaps"): 1, ("get", "configmaps"): 2}
        assert log.discoveries == 1
        assert [entry.user_agent for entry in log.matching(status=201)] == ["tester"]
        log.clear()
        assert log.counts() == {}


async def test_discovery_fails_in_an_outage_and_by_name(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        call.cluster.faults.add(Fault(answer=503), Fault(answer=500, on="discover /apis"))
        codes = [(await call("GET", path)).code for path in ("/version", "/apis", "/apis", "/api")]
    assert codes == [503, 500, 200, 200]


async def test_what_a_hook_finds_broken_fails_whoever_has_the_cluster(tmp_path: Path) -> None:
    """A client would see a status 500 at most, and go on."""

    def broken(_: Logged) -> None:
        raise AssertionError("an invariant is broken")

    async def write() -> None:
        async with calling(tmp_path) as call:
            call.cluster.after_write.append(broken)
            with contextlib.suppress(ValueError):  # the answer is no JSON
                await call("POST", CONFIG_MAPS, config_map())

    with pytest.raises(AssertionError, match="an invariant is broken"):
        await write()
