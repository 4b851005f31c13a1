"""Import of a model, from wherever it is into a folder that `from_pretrained` opens and later steps rely on.

After this every model of the run has safetensors, a tokenizer with an end and a padding token, a chat template that
works and a model card. It loads transformers, so only the import step may import it.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import transformers
from pydantic import JsonValue
from transformers import AutoConfig, AutoTokenizer, GenerationConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from selfreward_steps.contract import ModelImport
from selfreward_steps.credentials import credential
from selfreward_steps.errors import PermanentError
from selfreward_steps.importing.card import licence_of, model_card
from selfreward_steps.importing.chat_template import Chat, prepare_chat
from selfreward_steps.importing.files import OWN_CARD, check_safetensors, edit_json, files_of, model_path
from selfreward_steps.importing.hub import download_model
from selfreward_steps.importing.sources import Place, locate, told_in_users_words
from selfreward_steps.importing.turns import end_turns, highest_token
from selfreward_steps.importing.weights import (
    check_weights,
    mend_names,
    mend_padding,
    refuse_other_heads,
    refuse_quantised,
)

TRAINED: Final = "model"
"""The field of the base model; models of the other fields only judge."""
_SUPERSEDED = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")
"""Where a tokenizer's template and special tokens may stand; an old one would overrule the new."""


@dataclass(frozen=True)
class Imported:
    """An imported model, whose folder is ready to be committed."""

    folder: Path
    metadata: dict[str, JsonValue]
    system_role: bool


def import_model(item: ModelImport, field: str, place: Place) -> Imported:
    """Bring one model into a folder of its own under `place.scratch`; `field` is the spec's (`model`).

    Raises PermanentError with SourceNotFound, HubNotFound, HubAccessDenied, BadModelFile, UnsupportedModel,
    NoChatTemplate, BadChatTemplate or NoEndToken.
    """
    transformers.utils.logging.disable_progress_bar()
    source, commit = _bring(item, field, place)
    folder = place.scratch / "models" / item.output
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with place.progress.busy(), told_in_users_words({source: item.source.uri, folder: item.source.uri}):
        path = model_path(source, field)
        tokenizer, facts = _from_gguf(path, folder, field) if path.is_file() else _from_folder(path, folder, field)
        chat = _made_to_work(item, folder, tokenizer, field, path)
        _check_reopens(folder)
    licence = facts.pop("licence", "") or (licence_of(path) if path.is_dir() else None)
    revision = commit or item.source.revision
    metadata: dict[str, JsonValue] = {
        "source": item.source.uri,
        "revision": revision,
        "licence": licence,
        "system_role": chat.system_role,
        "chat_template": chat.template,
        "repaired": list(chat.repaired),
        **facts,
    }
    (folder / OWN_CARD).write_text(model_card(item, revision, licence, facts, chat), encoding="utf-8")
    return Imported(folder, metadata, chat.system_role)


def _made_to_work(item: ModelImport, folder: Path, tokenizer: Any, field: str, path: Path) -> Chat:
    """Mend what has one right repair in `folder`, and refuse what cannot work; what was done is in the result."""
    trained = field == TRAINED
    config = AutoConfig.from_pretrained(folder)
    rows = config.get_text_config().vocab_size
    outside = tokenizer.pad_token if (tokenizer.pad_token_id or 0) >= rows else None
    if outside is not None:
        tokenizer.pad_token = None
    chat = prepare_chat(tokenizer, config, item.source.chat_template, field, item.source.uri, trained=trained)
    _refuse_unknown_tokens(tokenizer, rows, chat.where)
    if path.is_file() or chat.template != "own" or chat.repaired:
        _save_tokenizer(tokenizer, folder)
    _complete_generation_config(folder, config, tokenizer)
    repaired = list(chat.repaired)
    if outside is not None:
        repaired.append(_take_out(outside, folder))
    repaired += mend_padding(folder, rows, tokenizer.pad_token_id)
    repaired += end_turns(folder, tokenizer, chat.where) if trained else []
    repaired += mend_names(folder, field)
    if trained or getattr(config, "quantization_config", None) is None:
        check_weights(folder, field, path)
    return replace(chat, repaired=repaired)


def _refuse_unknown_tokens(tokenizer: Any, rows: int, where: str) -> None:
    highest, token = highest_token(tokenizer)
    if highest >= rows:
        raise PermanentError(
            "BadChatTemplate",
            f"{where} writes {token!r}, whose id {highest} lies outside the model's {rows} embeddings: use the "
            "tokenizer that the model was trained with, or resize its embeddings",
        )


def _take_out(token: str, folder: Path) -> str:
    """Take an added token out of the saved tokenizer, where text that happens to hold it would be an id too high."""
    path = folder / "tokenizer.json"
    if path.is_file():
        added = json.loads(path.read_text(encoding="utf-8"))["added_tokens"]
        edit_json(path, {"added_tokens": [each for each in added if each["content"] != token]})
    return f"padding token {token!r}, for which the model has no embedding, taken out"


def _bring(item: ModelImport, field: str, place: Place) -> tuple[Path, str | None]:
    if not item.source.uri.startswith("hf://"):
        return locate(item.source.uri, field, place), None
    token = credential(os.environ, item.token_variable, f"{field}.tokenSecretRef") if item.token_variable else ""
    return download_model(item.source, field, token or None, place)


def _from_gguf(path: Path, folder: Path, field: str) -> tuple[Any, dict[str, str]]:
    from selfreward_steps.importing.gguf import convert

    return convert(path, folder, field)


def _from_folder(path: Path, folder: Path, field: str) -> tuple[Any, dict[str, str]]:
    weights, kinds = check_safetensors(path, field)
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except (ValueError, KeyError, TypeError, OSError, ImportError) as error:
        raise _unsupported(field, path, str(error)) from error
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise _unsupported(field, path, f"model type {config.model_type!r} is not a causal language model")
    refuse_other_heads(config, field, path)
    if field == TRAINED:
        refuse_quantised(config, kinds, field, path)
    for file in files_of(path):
        # Linked, since committing reads them once anyway; never written through, see _save_tokenizer.
        (folder / file.name).symlink_to(file.resolve())
    return tokenizer, {"architecture": config.model_type, "weights": f"{weights:,}", "stored as": ", ".join(kinds)}


def _unsupported(field: str, path: Path, problem: str) -> PermanentError:
    return PermanentError(
        "UnsupportedModel",
        f"{field}.uri: {path}: transformers {transformers.__version__} cannot open it without running its own code: "
        f"{problem}: use a model that transformers knows",
    )


def _save_tokenizer(tokenizer: Any, folder: Path) -> None:
    fresh = folder.with_name(folder.name + ".tokenizer")
    shutil.rmtree(fresh, ignore_errors=True)
    tokenizer.save_pretrained(fresh)
    for name in _SUPERSEDED:
        (folder / name).unlink(missing_ok=True)
    for path in fresh.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(fresh)
            target.parent.mkdir(parents=True, exist_ok=True)
            # A rename replaces a link; writing would go through it into the user's own folder.
            path.replace(target)
    shutil.rmtree(fresh)


def _complete_generation_config(folder: Path, config: Any, tokenizer: Any) -> None:
    """Without one a server would not know which token ends an answer."""
    if not (folder / "generation_config.json").exists():
        ends = config.eos_token_id if config.eos_token_id is not None else tokenizer.eos_token_id
        GenerationConfig(
            bos_token_id=tokenizer.bos_token_id, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id
        ).save_pretrained(folder)


def _check_reopens(folder: Path) -> None:
    """What later steps will see, which is not always what was set here."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not (tokenizer.chat_template and tokenizer.eos_token and tokenizer.pad_token):
        raise RuntimeError(f"{folder}: the saved tokenizer lacks its template, end or padding token")
