"""Where a run's models and data are, field by field, and what of an address is known to be wrong without asking anyone.

The steps read addresses by the same rules (`selfreward_steps.sources`, `hub`, `store.opening`), but hours may have
passed until one does. It must not look whether anything is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from selfreward_steps.contract import DataSource, JudgeModel, ModelSource
from selfreward_steps.store.names import bucket_problem, root_problem, within_run

from selfreward.api.spec import SelfRewardRunSpec

_HUB_PART: Final = re.compile(r"(?!.*(--|\.\.|\.git$))[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
"""An owner's or a repository's name (huggingface_hub, `validate_repo_id`)."""
_PACKAGE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def sources(spec: SelfRewardRunSpec) -> dict[str, ModelSource | DataSource]:
    """The models and data that a run reads, by the field that names each."""
    judge, mine = spec.judge, spec.evaluation
    named = {
        "spec.model": spec.model,
        "spec.judge.source": judge.source if judge.model is JudgeModel.MODEL else None,
        "spec.seedData.instructions": spec.seed_data.instructions,
        "spec.seedData.rankings": spec.seed_data.rankings,
        "spec.seedData.eft": spec.seed_data.eft,
        "spec.prompts.source": spec.prompts.source,
        "spec.evaluation.source": mine.source,
        "spec.evaluation.outside": mine.outside,
        "spec.evaluation.mtBench": mine.mt_bench,
        "spec.evaluation.safetyPrompts": mine.safety_prompts,
        "spec.evaluation.judge.source": mine.judge.source if mine.judge.model is JudgeModel.MODEL else None,
    }
    return {field: source for field, source in named.items() if source is not None}


def read_uris(spec: SelfRewardRunSpec) -> dict[str, str]:
    """Every address that the import reads, by its field: sources, and the judge's template."""
    found = {f"{field}.uri": source.uri for field, source in sources(spec).items()}
    template = spec.judge.imported_template
    if template is not None and template.uri is not None:
        found["spec.judge.customTemplate.uri"] = template.uri
    return found


def bad_addresses(spec: SelfRewardRunSpec) -> Iterator[str]:
    """One line for each address that leads nowhere, whatever lies there."""
    for field, uri in read_uris(spec).items():
        if problem := _source_problem(uri):
            yield f"{field}: {uri}: {problem}"
    if spec.storage.uri is not None and (problem := _storage_problem(spec.storage.uri)):
        yield f"spec.storage.uri: {spec.storage.uri}: {problem}"

    if spec.publish is not None and (problem := _repository_problem(spec.publish.repository)):
        yield f"spec.publish.repository: {spec.publish.repository}: {problem}"


def _repository_problem(name: str) -> str | None:
    """What no hub has as OWNER/NAME-m2: it would be found once the first model is trained."""
    owner, _, own = name.partition("/")
    if _HUB_PART.fullmatch(owner) and _HUB_PART.fullmatch(f"{own}-m2"):
        return None
    return "a hub takes no -- and .. in a name, nor - and . at the end of one"


def _source_problem(uri: str) -> str | None:
    scheme, _, rest = uri.partition("://")
    match scheme:
        case "hf":
            return _hub_problem(rest)
        case "s3":
            bucket, _, key = rest.partition("/")
            if not key.strip("/"):
                return "use s3://BUCKET/KEY, or s3://BUCKET/PREFIX for a folder"
            return bucket_problem(bucket)
        case "package":
            name, _, inside = rest.partition("/")
            if _PACKAGE.fullmatch(name) is None or not inside or ".." in unquote(inside).split("/"):
                return "use package://NAME/PATH with a path inside the package"
            return _path_problem(inside)
        case _:
            return _path_problem(rest)


def _hub_problem(rest: str) -> str | None:
    kind = "datasets/" if rest.startswith("datasets/") else ""
    owner, _, name = rest.removeprefix(kind).strip("/").partition("/")
    name = name.partition("/")[0]
    if _HUB_PART.fullmatch(owner) and _HUB_PART.fullmatch(name):
        return None
    return f"use hf://{kind}OWNER/NAME"


def _path_problem(path: str) -> str | None:
    return "holds a NUL, which no path can" if "\0" in unquote(path) else None


def _storage_problem(uri: str) -> str | None:
    """Whatever would lead out of the run's own folder below the URI, or into another's, or not to any."""
    scheme, _, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    path = unquote(rest) if scheme == "file" else prefix
    if problem := _path_problem(path) or root_problem(path) or within_run(unquote(path)):
        return problem
    if scheme == "file":
        return None if path.strip("/") else "use a folder, as in file:///data/runs"
    return bucket_problem(bucket)
