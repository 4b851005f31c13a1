"""Step publish: a model, and the pairs that it learnt from, pushed to a hub.

What is pushed is what was committed, file by file. A second attempt finds what is there and changes nothing, so a push
that was cut short is only done again. It must not load torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from selfreward_steps.attempt.runtime import Output, StepContext, StepOutcome
from selfreward_steps.contract import PUBLISHED, PublishConfig
from selfreward_steps.credentials import credential
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError, StepFailed
from selfreward_steps.hub import broken_connections, prepare_hub
from selfreward_steps.proxies import require_proxies
from selfreward_steps.rows import write_json
from selfreward_steps.store.names import MANIFEST

_PASSING: Final = (408, 409, 412, 425, 429)
"""Answers of a hub that is busy, or to whom somebody else has just pushed."""

_WEIGHTS: Final = ("*.safetensors", "*.safetensors.index.json")
"""What a push replaces as a whole."""


def run(context: StepContext[PublishConfig]) -> StepOutcome:
    """Commits `published.json`: what was pushed, where to, and which commit it is there.

    Raises PermanentError HubTokenMissing, BadCredential, HubAccessDenied, HubRefused, RepositoryPublic;
    InfrastructureError HubUnavailable; StepFailed HubNonsense.
    """
    prepare_hub(context.scratch)
    config = context.config
    token = credential(os.environ, config.token_variable, "publish.tokenSecretRef")
    if not token:
        raise PermanentError("HubTokenMissing", f"publish.tokenSecretRef: {config.token_variable} is not set or empty")
    name = config.settings.repository
    pushed: list[dict[str, Any]] = []
    for role, kind, repository, inside in (
        ("model", "model", f"{name}-{context.output.rpartition('/')[2]}", ""),
        ("pairs", "dataset", f"{name}-pairs", f"iteration-{config.iteration}"),
    ):
        if role in config.inputs:
            context.progress.update(len(pushed), len(config.inputs), "repositories")
            pushed.append({"role": role, **_push(context, role, kind, repository, inside, token)})
    folder = context.scratch / "output"
    folder.mkdir(exist_ok=True)
    write_json(folder / PUBLISHED, {"repositories": pushed})
    return StepOutcome(
        [Output(context.output, folder)], {f"{each['role']}_files": float(each["files"]) for each in pushed}
    )


def _push(
    context: StepContext[PublishConfig], role: str, kind: str, repository: str, inside: str, token: str
) -> dict[str, Any]:
    """One artifact into one repository, which is made where it is not there."""
    import huggingface_hub

    folder = context.fetch(role)
    private = context.config.settings.private
    with _hub_errors(repository), context.progress.busy():
        api = huggingface_hub.HfApi(token=token)
        api.create_repo(repository, repo_type=kind, private=private, exist_ok=True)
        if private and not api.repo_info(repository, repo_type=kind).private:
            raise PermanentError(
                "RepositoryPublic",
                f"publish.repository: {repository} is there and everybody can read it: make it private, or set "
                "publish.private: false",
            )
        commit = api.upload_folder(
            repo_id=repository,
            repo_type=kind,
            folder_path=folder,
            path_in_repo=inside or None,
            ignore_patterns=[MANIFEST],
            # Of an earlier run's model: where two sets of weights lie, from_pretrained takes whole ones before parts.
            delete_patterns=list(_WEIGHTS) if role == "model" else None,
            commit_message=f"{context.input(role).artifact} of {context.config.run}",
        )
    files = sum(path.is_file() and path.name != MANIFEST for path in Path(folder).rglob("*"))
    return {"repository": repository, "kind": kind, "commit": str(commit.oid), "files": files}


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """Turn what the hub's client raises in the body into StepErrors that name the repository.

    Raises PermanentError BadProxy before that where the environment's proxies cannot be used.
    """
    from huggingface_hub import errors

    require_proxies()
    broken: tuple[type[Exception], ...] = (*broken_connections(), RuntimeError)
    try:
        yield
    except errors.HFValidationError as error:
        raise PermanentError("HubRefused", f"publish.repository: {repository}: {error}") from error
    except errors.HfHubHTTPError as error:
        raise _answered(int(error.response.status_code), repository, str(error)) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        # What the client makes of a page that is no hub's answer.
        raise StepFailed(
            "HubNonsense",
            f"publish.repository: {repository}: the hub's answer is none ({type(error).__name__}: {error}): a proxy "
            "may have given it, or HF_ENDPOINT (workloads.processing.env) is no hub's address",
        ) from error
    except broken as error:
        # The client wraps what breaks off an upload in a RuntimeError.
        cause = error.__cause__ or error
        raise InfrastructureError(
            "HubUnavailable",
            f"publish.repository: {repository}: the push broke off ({type(cause).__name__}: {cause})",
        ) from error


def _answered(status: int, repository: str, words: str) -> StepError:
    if status in (401, 403, 404):
        return PermanentError(
            "HubAccessDenied",
            f"publish.repository: {repository}: the hub answered {status}: the token of publish.tokenSecretRef must be "
            "one that may write there",
        )
    if status < 500 and status not in _PASSING:
        said = " ".join(words.split())[:300]
        return PermanentError("HubRefused", f"publish.repository: {repository}: the hub answered {status}: {said}")
    return InfrastructureError("HubUnavailable", f"publish.repository: {repository}: the hub answered {status}")
