"""An artifact's manifest, which says that the artifact is complete and what exactly is in it.

It is the one thing written last and put-if-absent, so its presence is the commit. It must stay readable
by every later version of the project: add fields with defaults, or raise `schemaVersion`.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel

from . import names
from .digests import canonical_json, digest_of

Hex256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


def _check_folder(value: str) -> str:
    if value and not names.is_data_folder(value):
        raise ValueError(f"not a data folder: {value!r}")
    return value


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class FileEntry(_Frozen):
    """One file of an artifact: its relative path, its size in bytes and the hex sha256 of its content."""

    name: Annotated[str, AfterValidator(names.check_file)]
    size: Annotated[int, Field(ge=0)]
    sha256: Hex256


class Manifest(_Frozen):
    """What a committed artifact consists of.

    `data` is the folder, relative to the artifact, that holds the files: empty in a folder store, where
    the artifact's folder is itself what `from_pretrained` opens, and `data-<attempt>` in a bucket, where
    attempts must not write over each other. `digest` covers the files and `inputs_digest` and neither the
    time nor `data`: the same content from the same inputs has the same digest wherever it was made.
    """

    schema_version: Literal[1] = 1
    artifact: Annotated[str, AfterValidator(names.check_artifact)]
    step: str
    inputs_digest: Digest
    created_at: AwareDatetime
    data: Annotated[str, AfterValidator(_check_folder)] = ""
    files: tuple[FileEntry, ...]
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    digest: Digest

    @classmethod
    def of(
        cls,
        artifact: str,
        files: Iterable[FileEntry],
        *,
        inputs_digest: str,
        step: str,
        metadata: Mapping[str, JsonValue],
        data: str = "",
        now: datetime | None = None,
    ) -> Self:
        """The manifest of `files`, sorted by name, with its digest worked out; `now` is for tests.

        Raises ValueError when `metadata` is not JSON: NaN and infinity are not.
        """
        canonical_json(dict(metadata))
        entries = tuple(sorted(files, key=lambda entry: entry.name))
        return cls(
            artifact=artifact,
            step=step,
            inputs_digest=inputs_digest,
            created_at=now or datetime.now(UTC),
            data=data,
            files=entries,
            metadata=dict(metadata),
            digest=content_digest(entries, inputs_digest),
        )

    @model_validator(mode="after")
    def _digest_is_of_the_files(self) -> Self:
        if self.digest != content_digest(self.files, self.inputs_digest):
            raise ValueError("digest does not match files and inputsDigest")
        if len({entry.name for entry in self.files}) != len(self.files):
            raise ValueError("a file is named twice")
        return self

    @property
    def total_bytes(self) -> int:
        return sum(entry.size for entry in self.files)

    def file(self, name: str) -> FileEntry:
        """The entry called `name`; KeyError when the artifact has none."""
        for entry in self.files:
            if entry.name == name:
                return entry
        raise KeyError(f"artifact {self.artifact} has no file {name!r}")

    def to_json(self) -> bytes:
        return self.model_dump_json(by_alias=True, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read a manifest; pydantic.ValidationError when it is torn, tampered with or of a later version."""
        return cls.model_validate_json(text)


def content_digest(files: Iterable[FileEntry], inputs_digest: str) -> str:
    """The digest that names an artifact's content and where it came from, without the time."""
    entries = sorted((entry.name, entry.size, entry.sha256) for entry in files)
    return digest_of({"inputsDigest": inputs_digest, "files": entries})
