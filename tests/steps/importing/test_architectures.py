"""Look-alikes of the most used open models are imported as they are: what is repaired of each, and nothing else, is
said."""

from pathlib import Path

import pytest
from lookalikes.models import MODELS, made
from steps.importing.bringing import bring
from transformers import AutoTokenizer, GenerationConfig


@pytest.mark.parametrize("name", MODELS)
def test_a_look_alike_is_imported(name: str, tmp_path: Path) -> None:
    model = MODELS[name]
    imported = bring(made(model, tmp_path / "model"), tmp_path)
    assert imported.metadata["repaired"] == list(model.repaired)
    assert imported.system_role is model.takes_system
    tokenizer = AutoTokenizer.from_pretrained(imported.folder)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    learnt = tokenizer.apply_chat_template(chat, tokenize=False)
    assert learnt.startswith(asked)
    after = tokenizer(learnt.rpartition("Ho")[2], add_special_tokens=False)["input_ids"]
    ends = GenerationConfig.from_pretrained(imported.folder).eos_token_id
    assert set(after) & set(ends), "what ends a turn ends generation"
