"""The opening of a store by its URI; the one place that knows which kinds there are."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import PermanentError
from .interface import Store, StoreReason
from .names import bucket_problem, root_problem


def open_store(uri: str, *, endpoint_url: str | None = None, region: str | None = None, brief: bool = False) -> Store:
    """Open `file:///abs/path` or `s3://bucket/prefix`; nothing is read or written yet.

    A `?` or `#` is refused: what follows is no part of a path, and the run's own folder would be lost with it. So are
    the segments `.`, `..` and empty ones, written plainly or as %2E. `endpoint_url` and `region` are for S3 and
    default to what the AWS environment says; credentials come from there alone (environment, profile, pod or instance
    identity). `brief` gives a server seconds to answer, for a caller who asks again himself. Raises PermanentError
    StoreMisconfigured for any other URI.
    """
    parts = urlsplit(uri)
    if "?" in uri or "#" in uri:
        raise _bad(uri, "it may not hold '?' or '#' (in a file URI write %3F and %23)")
    match parts.scheme:
        case "file":
            return _open_file(uri, parts.netloc, parts.path)
        case "s3":
            return _open_s3(uri, parts.netloc, parts.path, endpoint_url, region, brief)
        case _:
            raise _bad(uri, "use file:///absolute/path or s3://bucket/prefix")


def _open_file(uri: str, host: str, path: str) -> Store:
    from .file_store import FileStore
    from .hashed import Hashed

    if host or not path.startswith("/") or not path.strip("/"):
        raise _bad(uri, "a file URI has three slashes and an absolute path, as in file:///data/run")
    if problem := root_problem(unquote(path)):
        raise _bad(uri, problem)
    return FileStore(Path(unquote(path)), Hashed.of_this_machine())


def _open_s3(uri: str, bucket: str, path: str, endpoint_url: str | None, region: str | None, brief: bool) -> Store:
    if problem := bucket_problem(bucket) or root_problem(path):
        raise _bad(uri, problem)
    from .s3_client import BRIEF, connect
    from .s3_store import S3Store

    return S3Store(
        connect(bucket, endpoint_url=endpoint_url, region=region, options=BRIEF if brief else None), path.strip("/")
    )


def _bad(uri: str, hint: str) -> PermanentError:
    return PermanentError(StoreReason.MISCONFIGURED, f"storage URI {uri!r} cannot be used: {hint}")
