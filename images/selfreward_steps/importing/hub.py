"""Models from the Hugging Face hub, and what the hub's refusals mean to the user.

`hf://OWNER/NAME` is a repository, `hf://OWNER/NAME/FILE.gguf` one file of it. It must not load torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfreward_steps.contract import ModelSource
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError
from selfreward_steps.hub import broken_connections
from selfreward_steps.importing.sources import Place
from selfreward_steps.proxies import require_proxies

PATTERNS = (
    "*.safetensors",
    "*.json",
    "*.jinja",
    "*.model",
    "*.txt",
    "README.md",
    "LICENSE*",
    "NOTICE*",
)
"""What a model consists of here: no pickled weights, no second copy in another framework's format, no code."""
LEFT_OUT = ("original/*", "onnx/*", "openvino/*", "*.gguf")


def download_model(source: ModelSource, field: str, token: str | None, place: Place) -> tuple[Path, str]:
    """Bring an `hf://` model to this machine; a restart continues where the last attempt ended.

    Returns the folder, or the one file asked for, and the commit it is of. Raises PermanentError HubAccessDenied,
    HubNotFound; InfrastructureError HubUnavailable.
    """
    import huggingface_hub

    owner, name, inside = split_hub(source.uri.removeprefix("hf://"), f"{field}.uri", source.uri)
    with hub_errors(field, source.uri, source.revision, token is not None), place.progress.busy():
        commit = commit_of("model", f"{owner}/{name}", source.revision, token)
        folder = place.scratch / "hub" / owner / name / commit
        huggingface_hub.snapshot_download(
            f"{owner}/{name}",
            revision=commit,
            token=token or False,
            local_dir=folder,
            allow_patterns=[inside] if inside else list(PATTERNS),
            ignore_patterns=None if inside else list(LEFT_OUT),
        )
    path = folder / inside if inside else folder
    if not path.exists():
        raise PermanentError("HubNotFound", f"{field}.uri: {source.uri}: the repository has no file {inside}")
    return path, commit


def commit_of(kind: str, repository: str, revision: str | None, token: str | None) -> str:
    """The commit that `revision` is now, since a branch may move meanwhile. `kind` is `model` or `dataset`."""
    import huggingface_hub

    api = huggingface_hub.HfApi(token=token or False)
    return str(api.repo_info(repository, repo_type=kind, revision=revision).sha)


def split_hub(address: str, field: str, uri: str) -> tuple[str, str, str]:
    """`OWNER/NAME` or `OWNER/NAME/REST` as its three parts."""
    parts = address.strip("/").split("/", 2)
    if len(parts) < 2 or not all(parts):
        raise PermanentError("HubNotFound", f"{field}: {uri}: use hf://OWNER/NAME")
    return parts[0], parts[1], parts[2] if len(parts) == 3 else ""


@contextmanager
def hub_errors(field: str, uri: str, revision: str | None, with_token: bool) -> Iterator[None]:
    """Turn what the hub's client raises in the body into StepErrors that name `field` and `uri`.

    Raises PermanentError BadProxy before that where the environment's proxies cannot be used.
    """
    from huggingface_hub import errors

    require_proxies()
    broken: tuple[type[Exception], ...] = (*broken_connections(), FileNotFoundError)
    try:
        yield
    except errors.HFValidationError as error:
        raise PermanentError("HubNotFound", f"{field}.uri: {uri}: {error}") from error
    except errors.RevisionNotFoundError as error:
        raise PermanentError(
            "HubNotFound", f"{field}.revision: {revision!r}: {uri} has no such branch, tag or commit"
        ) from error
    except errors.HfHubHTTPError as error:
        raise _answered(error, field, uri, with_token) from error
    except broken as error:
        # The client turns a failed connection into "not in the local cache", the datasets library into "no such file".
        cause = error.__cause__ or error
        raise InfrastructureError(
            "HubUnavailable", f"{field}.uri: {uri}: the hub cannot be reached ({type(cause).__name__}: {cause})"
        ) from error


def _answered(error: Any, field: str, uri: str, with_token: bool) -> StepError:
    from huggingface_hub import errors

    status = int(error.response.status_code)
    token = "the token given may not read it" if with_token else f"no token was given: set {field}.tokenSecretRef"
    if isinstance(error, errors.GatedRepoError):
        return PermanentError(
            "HubAccessDenied", f"{field}.uri: {uri}: gated: {token}, and accept its terms on the hub's page"
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status == 401:
        # The hub answers alike for what is private and for what is not there.
        return PermanentError("HubNotFound", f"{field}.uri: {uri}: no such repository, or a private one ({token})")
    if status == 403:
        return PermanentError("HubAccessDenied", f"{field}.uri: {uri}: the hub answered 403: {token}")
    if status == 404:
        return PermanentError("HubNotFound", f"{field}.uri: {uri}: the hub answered 404: correct the name")
    return InfrastructureError("HubUnavailable", f"{field}.uri: {uri}: the hub answered {status}")
