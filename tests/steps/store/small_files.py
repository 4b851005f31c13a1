"""The files of the artifact that tests of the store's contract commit."""

from pathlib import Path

FILES = {
    "pairs.jsonl": b'{"prompt": "1+1?", "chosen": "2", "rejected": "3"}\n',
    "empty.txt": b"",
    "nested/deeper/weights.bin": bytes(range(256)) * 64,
    "nested/manifest.json": b"{}",
    "Ünïcode name.txt": "grüße".encode(),
}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    found.pop("manifest.json", None)
    return found
