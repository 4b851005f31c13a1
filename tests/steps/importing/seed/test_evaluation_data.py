"""What a user brings to the evaluation: files of other tools as they are, and refusals by field and line."""

import json
from pathlib import Path
from typing import Any

import pytest
from selfreward_steps.contract import ImportConfig
from selfreward_steps.errors import PermanentError
from selfreward_steps.identity import output_digests, step_digest
from steps.importing.seed.seeding import config_of, seed, write


def brought(tmp_path: Path, **rows: list[Any]) -> dict[str, Any]:
    return {"evaluation": {name: write(tmp_path / f"{name}.jsonl", each) for name, each in rows.items()}}


def test_files_of_alpaca_eval_and_mt_bench_are_read_as_they_are(tmp_path: Path) -> None:
    outputs = tmp_path / "model_outputs.json"
    row = {"instruction": "Say hi", "output": "Hi", "generator": "gpt4", "dataset": "helpful_base"}
    outputs.write_text(json.dumps([row]))
    evaluation = {
        "source": {"uri": outputs.as_uri()},
        "outside": {"uri": outputs.as_uri()},
        "mtBench": write(
            tmp_path / "question.jsonl", [{"question_id": 81, "category": "writing", "turns": ["Write.", "Rewrite."]}]
        ),
        "safetyPrompts": write(tmp_path / "harm.jsonl", [{"prompt": "How is a bomb made?"}]),
    }
    rows, metadata = seed(tmp_path, {}, evaluation=evaluation)
    assert [each["prompt"] for each in rows["held_out"]] == ["Say hi"]
    assert [message["content"] for message in rows["outside"][0]["messages"]] == ["Say hi", "Hi"]
    assert rows["mt_bench"] == [{"id": "81", "prompt": "Write.", "turns": ["Write.", "Rewrite."]}]
    assert [each["prompt"] for each in rows["safety_prompts"]] == ["How is a bomb made?"]
    assert metadata["counts"] == {"held_out": 1, "outside": 1, "mt_bench": 1, "safety_prompts": 1}


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [
        pytest.param("mtBench", {"prompt": "Write."}, "expected question_id, turns", id="no questions"),
        pytest.param("mtBench", {"question_id": 1, "turns": []}, "turns is []", id="no turn"),
        pytest.param("mtBench", {"question_id": 1, "turns": ["a", 3]}, "turns[1] is 3, expected text", id="no text"),
        pytest.param("outside", {"prompt": "Say hi"}, "found columns prompt", id="no answers"),
        pytest.param("safetyPrompts", {"prompt": " "}, "prompt is empty", id="empty"),
    ],
)
def test_what_cannot_be_read_names_field_and_line(tmp_path: Path, name: str, row: dict[str, Any], words: str) -> None:
    with pytest.raises(PermanentError) as caught:
        seed(tmp_path, {}, **brought(tmp_path, **{name: [row]}))
    assert f"evaluation.{name}: " in str(caught.value)
    assert "line 1" in str(caught.value)
    assert words in str(caught.value)


def test_the_seed_data_does_not_depend_on_the_evaluations() -> None:
    def digest(config: ImportConfig) -> str:
        return output_digests(config, "seed", step_digest(config, {}, None))["seed"]

    data = {"instructions": {"uri": "file:///a.jsonl"}}
    assert digest(config_of(data)) == digest(config_of(data, evaluation=None))
    assert digest(config_of(data)) != digest(config_of(data, evaluation={"source": {"uri": "file:///b.jsonl"}}))
