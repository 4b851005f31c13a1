"""The sources of models and seed data: addresses, formats and the secrets to read them with."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from selfreward_steps.contract.base import ContractModel, ObjectName, PositiveInt

_Key = Annotated[str, Field(max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
"""Key within a Secret or a ConfigMap."""


class SecretKeyRef(ContractModel):
    """One key of a Secret in the run's namespace. On one machine it is read from the environment instead."""

    name: ObjectName
    """Name of the Secret."""
    key: _Key = "token"
    """Key within the Secret."""


class ConfigMapKeyRef(ContractModel):
    """One key of a ConfigMap in the run's namespace. On one machine it is read from the environment instead."""

    name: ObjectName
    """Name of the ConfigMap."""
    key: _Key = "template"
    """Key within the ConfigMap."""


class ModelSource(ContractModel):
    """Where a model's weights come from."""

    uri: Annotated[str, Field(pattern=r"^(hf://|s3://|file:///|package://)[^\x00-\x1f]+$")]
    """`hf://OWNER/NAME`, `s3://BUCKET/PREFIX`, `file:///PATH` or `package://PYTHON_PACKAGE/PATH`; a folder of
    safetensors or a GGUF file."""
    revision: str | None = None
    """Git revision of an `hf://` model."""
    token_secret_ref: SecretKeyRef | None = None
    """Secret with the token for a gated `hf://` model."""
    chat_template: str | None = None
    """Jinja chat template for a model that has none; `default` takes SelfReward's plain template."""


class DataFormat(StrEnum):
    """Row shapes of seed data. `auto` recognises them by their columns."""

    AUTO = "auto"
    MESSAGES = "messages"
    ALPACA = "alpaca"
    OASST = "oasst"
    RANKED = "ranked"
    EFT = "eft"
    MT_BENCH = "mt-bench"


class ColumnNames(ContractModel):
    """A dataset's own names for the columns that are known here; what is not named keeps its name."""

    id: str | None = None
    """A row's identity."""
    system: str | None = None
    """System message."""
    history: str | None = None
    """Earlier turns: pairs of a question and its answer, or messages."""
    prompt: str | None = None
    """What is asked: text, or a list of messages."""
    response: str | None = None
    """One answer to it."""
    messages: str | None = None
    """A whole conversation."""
    chosen: str | None = None
    """The better answer of a pair."""
    rejected: str | None = None
    """The worse one."""
    answers: str | None = None
    """A list of ranked or scored answers."""
    rank: str | None = None
    """An answer's rank, 0 for the best."""
    score: str | None = None
    """An answer's score, higher for better ones."""
    critique: str | None = None
    """The reasons of a ready judgement."""


class DataSource(ContractModel):
    """A dataset as JSONL or Parquet, or one of the hub's."""

    uri: Annotated[str, Field(pattern=r"^(hf://datasets/|s3://|file:///|package://)[^\x00-\x1f]+$")]
    """`hf://datasets/OWNER/NAME`, or an `s3://`, `file://` or `package://` file (`.jsonl`, `.json`, `.parquet`)."""
    split: str = "train"
    """Split of an `hf://` dataset."""
    revision: str | None = None
    """Git revision of an `hf://` dataset."""
    token_secret_ref: SecretKeyRef | None = None
    """Secret with the token for a gated `hf://` dataset."""
    format: DataFormat = DataFormat.AUTO
    """Row shape."""
    columns: ColumnNames | None = None
    """The dataset's own names of known columns, `{prompt: question_text, chosen: best}`."""
    limit: PositiveInt | None = None
    """Take the first rows only."""


class SeedData(ContractModel):
    """The human data a run starts from. All of it may be left out when the base model is already aligned."""

    instructions: DataSource | None = None
    """Instructions with answers (the paper's IFT data: 3,200 Open Assistant examples)."""
    rankings: DataSource | None = None
    """Prompts with several answers that people ranked; source of EFT data and of the judge's test set."""
    eft: DataSource | None = None
    """Ready evaluation fine-tuning examples: prompt, response, critique, score."""
