"""Subclasses of lm-eval's own: its tasks, loaded before anything is asked, and its client, as patient as ours.

Imports lm-eval, which is not installed everywhere: only :mod:`selfreward_steps.evaluation.lm_eval_run` imports this,
and only when tasks are to be run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import aiohttp
from lm_eval.models.openai_completions import LocalCompletionsAPI
from lm_eval.tasks import TaskManager

from selfreward_steps.client.client import HEARTBEAT_SECONDS
from selfreward_steps.client.lanes import FIRST_LANES
from selfreward_steps.client.retrying import RetryPolicy, is_retried
from selfreward_steps.contract import ServingEndpoint
from selfreward_steps.errors import PermanentError, StepError, StepFailed

_PAUSE_SECONDS: Final = 10.0
"""lm-eval's longest pause between two tries of a request."""


class End(BaseException):
    """What no further try would change. Not an Exception: lm-eval tries again after any of those."""

    def __init__(self, error: StepError) -> None:
        super().__init__(error)
        self.error = error


class LoadedTasks(TaskManager):  # type: ignore[misc]
    """lm-eval's task manager, which gives out the tasks that are already loaded, with their data."""

    loaded: Any = None

    @classmethod
    def of(cls, names: Sequence[str], include_path: str | None) -> LoadedTasks:
        """A manager that knows `names`, if there are such tasks.

        lm-eval's own 14,000 are read (for some ten seconds) only when the user's folder does not have them all.
        """
        if include_path is not None:
            own = cls(include_path=include_path, include_defaults=False)
            if set(names) <= set(own.all_subtasks):
                return own
        return cls(include_path=include_path)

    def load(self, task_list: Any) -> Any:
        if self.loaded is None:
            self.loaded = super().load(task_list)
        return self.loaded


class ServedModel(LocalCompletionsAPI):  # type: ignore[misc]
    """A model on an OpenAI-compatible server, asked with token ids; multiple-choice tasks need vLLM's `echo`.

    `answered` is called after each request that came back, `alive` every few seconds while requests are in flight.
    Raises End, or aiohttp's errors once a request was tried for as long as `policy` says.
    """

    def __init__(
        self,
        endpoint: ServingEndpoint,
        headers: Mapping[str, str],
        tokenizer: Path,
        max_length: int,
        policy: RetryPolicy,
        *,
        answered: Callable[[], None],
        alive: Callable[[], None],
    ) -> None:
        super().__init__(
            model=endpoint.model,
            base_url=f"{endpoint.url.rstrip('/')}/completions",
            # Without a header of its own it would send OPENAI_API_KEY, whoever's that is.
            header={"accept": "application/json", **headers},
            tokenizer=str(tokenizer),
            tokenizer_backend="huggingface",
            max_length=max_length,
            # With one request at a time it takes another path, which blocks and shows no sign of life.
            num_concurrent=max(2, endpoint.concurrency or FIRST_LANES),
            max_retries=max(policy.least_attempts, round(policy.outage_seconds / _PAUSE_SECONDS)),
            timeout=max(1, round(endpoint.request_timeout_seconds)),
        )
        # As the model was trained: scores of a Llama without its first token are another model's.
        self.add_bos_token = self.tokenizer("a").input_ids[0] == self.tokenizer.bos_token_id
        self._endpoint = endpoint
        self._policy = policy
        self._answered = answered
        self._alive = alive
        self._nonsense = 0

    async def get_batched_requests(self, *args: Any, **kwargs: Any) -> Any:
        # The first failure is raised; asyncio would print the others, which follow from it.
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        beat = asyncio.create_task(self._beat())
        try:
            return await super().get_batched_requests(*args, **kwargs)
        finally:
            beat.cancel()

    async def _beat(self) -> None:
        while True:
            self._alive()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def amodel_call(self, *args: Any, **kwargs: Any) -> Any:
        try:
            answers = await super().amodel_call(*args, **kwargs)
        except aiohttp.ClientResponseError as error:
            if error.status >= 400 and not is_retried(error.status):
                self._refused(error.status)
            self._alive()
            raise
        except (AssertionError, IndexError, KeyError, TypeError, ValueError):
            self._misread()
            raise
        self._answered()
        return answers

    def _refused(self, status: int) -> NoReturn:
        hint = {
            401: "check the API key and its rights",
            403: "check the API key and its rights",
            404: "the server must have /v1/completions, as vLLM has",
        }.get(status, "its log says what it objects to")
        error = PermanentError(
            "ServingRejected",
            f"{self._endpoint.field}: lm-eval: POST {self.base_url} (model {self._endpoint.model}) answered {status}: "
            f"{hint}",
        )
        raise End(error) from None

    def _misread(self) -> None:
        """A broken proxy may recover; a server of another kind will not."""
        self._nonsense += 1
        if self._nonsense >= self._policy.nonsense_attempts:
            error = StepFailed(
                "ServingNonsense",
                f"{self._endpoint.field}: lm-eval: {self.base_url} (model {self._endpoint.model}) gave "
                f"{self._nonsense} answers without the log-probabilities of the prompt or without a text: multiple-"
                "choice tasks need a server with `echo` and `logprobs`, as vLLM is",
            )
            raise End(error) from None
