"""A Kubernetes that fits in one asyncio loop: an API server good enough to be wrong against, and its controllers.

Not called `kubernetes`: pytest puts `tests/` on `sys.path`, where a package of that name would hide the client.

    from kube import Behaviour, Ending, FakeCluster, Fault, StepPod

    pytestmark = pytest.mark.looptime                    # virtual time, see below

    async def test_a_run(tmp_path):
        async with FakeCluster(tmp_path) as cluster:     # enter it inside the test, not in a fixture
            cluster.playbook.on(key="dpo-1", attempt=1, does=Behaviour(runs=30, ending=Ending.OOM_KILLED))
            cluster.create(run_manifest)                  # an administrator's write: no faults, not counted
            task = asyncio.create_task(operator(cluster.kubeconfig, now=cluster.clock.now))
            await cluster.until(lambda: phase(cluster) == "Succeeded", timeout=3600)

What there is
- `cluster.url`, `cluster.kubeconfig` (a path), `cluster.client(user_agent=…)` (a `kubernetes.aio` ApiClient, closed
  at the end), `cluster.kopf_credentials()` (for a `kopf.on.login` handler). Real HTTP on the loopback interface.
- `cluster.clock.now()` is the cluster's wall clock: aware UTC, at whole virtual seconds plus fractions. Give the
  operator this function; everything else of time comes from the loop.
- `cluster.get/list/create/edit/delete(…)`: synchronous access of an administrator, by kind name, beside HTTP.
- `cluster.faults`: a :class:`FaultPlan`. `faults.add(Fault(answer=503, on="create jobs", nth=1))` answers one request,
  `Fault(kind=…)` also times out or resets before or after the commit, or is slow; `faults.on_watch(WatchFault(…))`
  drops, doubles, delays (stale), stalls or closes watch events; `faults.at_random(seed, rate)` mixes them all. A
  callback `faults.decide = lambda request: Fault(…) | None` decides on everything.
- `cluster.requests`: every request with verb, kind, name, status, user agent and virtual time;
  `requests.count(verb="create", plural="jobs")`, `requests.counts()`, `requests.clear()`.
- `cluster.after_write.append(hook)`: called with the :class:`Logged` request right after each *committed* HTTP
  write, before its answer is sent. The hook may cancel the operator (Sieve's intermediate state).
  `cluster.after_commit.append(hook)`: called with the artifact's name after each commit a pod makes in the store.
- `cluster.install(kind)` / `cluster.uninstall(kind)`: PyTorchJob, TrainJob and its runtimes, SelfRewardRun. What is
  not installed is not in discovery and answers 404. `FakeCluster(absent={"TrainJob"})` starts without it.
  `cluster.training_operator_down = True`: its webhook fails, as in a cluster whose operator is restarting.
- `cluster.playbook`: what pods do. `on(kind=, key=, step=, attempt=, shard=, rank=, model=, times=, does=)` adds a
  rule; the newest matching rule wins. Without a rule a step's pod runs one virtual second, commits the artifacts
  its configuration asks for (real ones, through `selfreward_steps.store`), and ends with a truthful StepResult; a
  server is ready after a second.
- `await cluster.until(predicate, timeout=…)`, `await cluster.idle(seconds)`: let virtual time pass.
- `cluster.gpu_pods()`: the pods that hold a GPU now, for the invariants.

Time
`looptime` makes the loop's clock jump when nothing is ready: sockets stay real and a request takes no virtual time,
`asyncio.sleep(3600)` takes none of ours. It waits (really) for threads, so `asyncio.to_thread` is safe. Without the
mark the same cluster runs in real time. Never call `time.time()` or `datetime.now()` in what is tested. A kopf operator
needs `settings.process.ultimate_exiting_timeout = None`: its SIGKILL, ten minutes after a stop, would come at once.

Pods refer to things: a missing Secret or ConfigMap blocks the container, a missing claim the scheduling, until the
test creates it. `storage.uri: file://{tmp_path}/store` in the run's spec is where simulated steps commit.

What is true to life, each with a test in this folder: what `writing`, `deleting`, `garbage`, `applying`, `listing`,
`watching`, `schemas` and the simulators say in their docstrings. Tests that take the fixture `server` run on a real API
server too (`real_server`); faults, time and the life of pods and jobs are the fake's alone. Surprises kept on purpose:
a Job deleted without a propagation policy orphans its pods; deletion raises the generation; `CustomObjectsApi` gives
None for the 201 of a creating apply; items of built-in lists have no kind; PyTorchJob's deadline does not fire. What is
not there: RBAC (any token is admitted), strategic merge patch (415), conversion between versions, `events.k8s.io`,
Events of the simulated controllers, and any admission but our CRD's schema and CEL, the training operator's webhook and
the checks in `rules`. Times are shorter than life where a docstring says so (node loss, back-off of missing Secrets).
"""

from kube.behaviour import Behaviour, Blocked, Ending, Playbook, StepPod
from kube.clock import Clock
from kube.cluster import FakeCluster
from kube.errors import ApiError
from kube.faults import Fault, FaultKind, FaultPlan, WatchFault, WatchFaultKind
from kube.requests import Logged, RequestLog

__all__ = [
    "ApiError",
    "Behaviour",
    "Blocked",
    "Clock",
    "Ending",
    "FakeCluster",
    "Fault",
    "FaultKind",
    "FaultPlan",
    "Logged",
    "Playbook",
    "RequestLog",
    "StepPod",
    "WatchFault",
    "WatchFaultKind",
]
