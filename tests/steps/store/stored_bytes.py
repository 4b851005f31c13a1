"""Reaching behind a store's back, to damage what it keeps and to see what it left."""

from selfreward_steps.store import Store
from selfreward_steps.store.file_store import FileStore
from selfreward_steps.store.s3_store import S3Store

A = "sha256:" + "a" * 64
B = "sha256:" + "b" * 64


def _key(store: S3Store, artifact: str, name: str) -> str:
    manifest = store.read_manifest(artifact)
    assert manifest is not None
    return f"{store._root}{artifact}/{manifest.data}/{name}"


def overwrite(store: Store, artifact: str, name: str, content: bytes) -> None:
    """Put other bytes in place of a committed file (or add a file)."""
    if isinstance(store, FileStore):
        path = store.root / artifact / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)
    else:
        assert isinstance(store, S3Store)
        store._bucket.put(_key(store, artifact, name), content)


def lose(store: Store, artifact: str, name: str) -> None:
    if isinstance(store, FileStore):
        (store.root / artifact / name).unlink()
    else:
        assert isinstance(store, S3Store)
        store._bucket.delete(_key(store, artifact, name))


def overwrite_manifest(store: Store, artifact: str, content: bytes) -> None:
    if isinstance(store, FileStore):
        path = store.root / artifact / "manifest.json"
        path.unlink()
        path.write_bytes(content)
    else:
        assert isinstance(store, S3Store)
        store._bucket.put(f"{store._root}{artifact}/manifest.json", content)


def put_foreign(store: Store, name: str) -> None:
    """A file that somebody else keeps in the same place."""
    if isinstance(store, FileStore):
        path = store.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    else:
        assert isinstance(store, S3Store)
        store._bucket.put(store._root + name, b"mine")


def everything(store: Store) -> list[str]:
    """Every stored file or object, whoever wrote it, relative to the root."""
    if isinstance(store, FileStore):
        return sorted(p.relative_to(store.root).as_posix() for p in store.root.rglob("*") if p.is_file())
    assert isinstance(store, S3Store)
    return sorted(key.removeprefix(store._root) for key in store._bucket.keys(store._root))
