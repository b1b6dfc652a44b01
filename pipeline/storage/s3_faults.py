"""What an S3 client may raise, turned into faults that say who acts and name the setting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import urllib3.exceptions
from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from pipeline.errors import InputError, SettingError, StaleError
from pipeline.storage.base import ObjectMissing, StoreDenied, StoreMissing, StoreUnavailable
from pipeline.storage.retries import TransientFault

SIGN_IN = "credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, from AWS_PROFILE or from a role"

THROTTLED = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "429"}
PASSING = THROTTLED | {"InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted"}
PASSING |= {"ConditionalRequestConflict", "RequestTimeTooSkewed"}
LOST_RACE = {"PreconditionFailed", "412"}
NO_OBJECT = {"NoSuchKey", "404", "NotFound"}
NO_BUCKET = {"NoSuchBucket", "InvalidBucketName"}
DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "403", "401"}
WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
UNSUPPORTED = {"NotImplemented", "501", "MethodNotAllowed"}

NO_SIGN_IN = (NoCredentialsError, PartialCredentialsError, ProfileNotFound, CredentialRetrievalError)
NO_SIGN_IN += (SSOError, TokenRetrievalError)  # type: ignore[assignment]


@dataclass(frozen=True)
class Place:
    """Where the store is, in the words of the settings; for messages."""

    uri: str
    bucket: str
    setting: str
    endpoint_url: str | None

    def __str__(self) -> str:
        return f"{self.uri} ({self.setting})"

    @property
    def endpoint(self) -> str:
        """The endpoint and the setting to change it."""
        return f"{self.endpoint_url or 'AWS'} (s3.endpoint_url)"


@contextmanager
def s3_faults(place: Place, key: str) -> Iterator[None]:
    """Run one request; what it raises leaves as a fault of `pipeline.storage`, or as `TransientFault` to be retried.

    No message holds credentials: botocore's own never do, and the store's answer is quoted only by its code.
    """
    try:
        yield
    except ClientError as error:
        raise _of_answer(error, place, key) from error
    except NO_SIGN_IN as error:
        raise StoreDenied(f"{place}: {error}; {SIGN_IN}") from error
    except ParamValidationError as error:
        raise InputError(f"{place}/{key}: {error}") from error
    except ResponseParserError as error:
        raise SettingError(f"what answers at {place.endpoint} does not speak the S3 protocol") from error
    except (ConnectionError, HTTPClientError, IncompleteReadError, urllib3.exceptions.HTTPError) as error:
        raise TransientFault(f"no answer from {place.endpoint}: {_name(error)}") from error
    except Boto3Error as error:
        raise _of_transfer(error, place, key) from error
    except (BotoCoreError, ValueError) as error:
        raise SettingError(f"{place} can't be used with {place.endpoint}: {error}") from error


def _of_transfer(error: Boto3Error, place: Place, key: str) -> Exception:
    """Uploads in parts wrap the fault of the part that failed."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ClientError):
        return _of_answer(cause, place, key)
    return TransientFault(f"{place}/{key}: {_name(error)}")


def _of_answer(error: ClientError, place: Place, key: str) -> Exception:
    """The fault that an S3 error code stands for."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in NO_BUCKET:
        return StoreMissing(f"there is no bucket {place.bucket!r} at {place.endpoint}; it is asked for by {place}")
    if code in LOST_RACE:
        return StaleError(f"{place.uri}/{key} is not in the expected state")
    if code in NO_OBJECT and not key:
        return SettingError(f"{place.endpoint} knows nothing of {place}: it does not seem to speak the S3 protocol")
    if code in NO_OBJECT:
        return ObjectMissing(f"there is no object {place.uri}/{key}")
    if code in DENIED:
        return StoreDenied(f"{place.endpoint} refuses access to {place}: {code}; {SIGN_IN}")
    if code in WRONG_REGION:
        return SettingError(f"{place} lies in another region ({code}): set AWS_REGION or s3.endpoint_url")
    if code in PASSING or status == 429 or (status >= 500 and code not in UNSUPPORTED):
        return TransientFault(f"{place.endpoint} answers {code or status}")
    if code in UNSUPPORTED:
        return SettingError(f"{place.endpoint} does not support what Atelier needs of a store: {code}")
    return StoreUnavailable(f"{place.uri}/{key}: {code or status}")


def _name(error: Exception) -> str:
    """The kind of a network fault and its text, which names hosts and times only."""
    return f"{type(error).__name__}: {error}"[:300]
