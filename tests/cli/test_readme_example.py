"""The README's own run: valid on a cluster as it stands, and of a size that fits the GPUs it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from selfreward.api import SelfRewardRunSpec
from selfreward.cli.validating import loaded
from selfreward.render.memory import memory_limits

ROOT = Path(__file__).parents[2]
LLAMA_8B = 8_030_261_248
NODE = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}


def readme() -> str:
    (text,) = (
        each for each in re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    )
    return text


def chart() -> str:
    annotations = yaml.safe_load((ROOT / "charts/selfreward/Chart.yaml").read_text(encoding="utf-8"))["annotations"]
    return yaml.safe_dump(yaml.safe_load(annotations["artifacthub.io/crdsExamples"])[0])


@pytest.mark.parametrize("example", [readme, chart])
def test_it_is_valid_and_fits(example: object, tmp_path: Path) -> None:
    assert callable(example)
    path = tmp_path / "run.yaml"
    path.write_text(example())
    spec = loaded(path, [], for_cluster=True).spec
    document = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    for kind in ("serving", "training"):
        document["workloads"][kind]["nodeSelector"] = NODE
    limits = memory_limits(SelfRewardRunSpec.model_validate(document))
    assert [limit.field for limit in limits] == ["spec.training.sft", "spec.training.dpo", "spec.serving"]
    assert [limit.refusal(LLAMA_8B) for limit in limits] == [None, None, None]
    on_one = spec.training.model_copy(update={"processes_per_node": 1}).model_dump(mode="json", by_alias=True)
    alone = SelfRewardRunSpec.model_validate({**document, "training": on_one})
    assert any(limit.refusal(LLAMA_8B) for limit in memory_limits(alone)), "the example says why it asks for more"
