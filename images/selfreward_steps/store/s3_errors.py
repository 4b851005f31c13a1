"""Errors of an S3 server and of the way to it, each as the StepError it means.

The table decides who acts: the user (exit 64) or nobody but a retry (exit 69). Only loaded with boto3.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3.exceptions
from botocore import exceptions as boto

from ..errors import InfrastructureError, PermanentError, StepError
from .interface import StoreReason

_DENIED_CODES = {
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}
_BUSY_CODES = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests"}
_NO_CREDENTIALS = (boto.NoCredentialsError, boto.PartialCredentialsError)
_BAD_SETTINGS = (
    boto.ConfigParseError,
    boto.InvalidConfigError,
    boto.InvalidRegionError,
    boto.NoRegionError,
    boto.ParamValidationError,
    boto.ProfileNotFound,
    boto.UnknownServiceError,
)


def status_of(error: boto.ClientError) -> int:
    """The HTTP status of the server's answer; 0 when it gave none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: boto.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def s3_errors(uri: str) -> Iterator[None]:
    """Turn what boto3 raises in the body into StepErrors that name `uri`."""
    try:
        yield
    except boto.ClientError as error:
        raise _answered(error, uri) from error
    except (boto.BotoCoreError, boto.HTTPClientError, boto3.exceptions.Boto3Error) as error:
        raise _unanswered(error, uri) from error


def _answered(error: boto.ClientError, uri: str) -> StepError:
    status, code = status_of(error), code_of(error)
    said = f"the server answered {status} {code}"
    if code == "NoSuchBucket":
        return PermanentError(
            StoreReason.BUCKET_NOT_FOUND, f"{uri}: the bucket does not exist: create it or correct the URI"
        )
    if status in (401, 403) or code in _DENIED_CODES:
        return PermanentError(
            StoreReason.ACCESS_DENIED,
            f"{uri}: {said}: check the credentials and that they may get, put, list and delete there",
        )
    if (status >= 500 and status != 501) or status == 429 or code in _BUSY_CODES:
        return InfrastructureError(StoreReason.UNAVAILABLE, f"{uri}: {said}")
    return PermanentError(
        StoreReason.MISCONFIGURED, f"{uri}: {said}: check the endpoint, the region and the server's features"
    )


def _unanswered(error: Exception, uri: str) -> StepError:
    if isinstance(error, _NO_CREDENTIALS):
        return PermanentError(
            StoreReason.ACCESS_DENIED, f"{uri}: no AWS credentials were found: set them for this process"
        )
    if isinstance(error, _BAD_SETTINGS):
        return PermanentError(StoreReason.MISCONFIGURED, f"{uri}: {error}: correct the S3 settings")
    if "header value" in str(error):
        # Its text is the header, and with it the key or the session's token.
        return PermanentError(
            StoreReason.ACCESS_DENIED,
            f"{uri}: the AWS credentials hold a line break or another sign that no HTTP header can carry: correct them",
        )
    # Connections, timeouts, torn answers, and identity services that did not answer: all may heal.
    return InfrastructureError(StoreReason.UNAVAILABLE, f"{uri}: {error}")
