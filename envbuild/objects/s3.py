"""S3 and what speaks it (MinIO, R2, Ceph …), through s3fs.

Create-only is ``If-None-Match: *``, which s3fs sends for ``mode="create"``, with the parts of a large object put
together under the same condition. A 412 says that the object exists; a 409 that somebody is just making it, and is
asked again. Reads stream one ``GetObject``; sizes are one ``HeadObject`` (s3fs's own ``info`` would list when a name is
absent).

A 403 is absent to readers: S3 says so of absent keys to those who may not list. A HEAD has no body to tell that from
wrong credentials, so the first one is looked at by a GET.

Rules of the file: imports s3fs when connecting; retries of s3fs and of botocore are off.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from envbuild.errors import EnvbuildError, UnreachableError
from envbuild.objects import Put
from envbuild.objects.address import Address
from envbuild.objects.failures import (
    STALL,
    AbsentError,
    PassingError,
    Renewal,
    answered,
    check_whole,
    failed,
    no_bucket,
    refused,
    retry_after,
)

_PART = 8 << 20
_PARTS_IN_FLIGHT = 4
_PIECE = 1 << 18
_WRONG_CREDENTIALS = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "TokenRefreshRequired",
        "AuthorizationHeaderMalformed",
    }
)
_PASSING_CODES = frozenset(
    {
        "ConditionalRequestConflict",
        "InternalError",
        "NoSuchUpload",  # the answer to putting the parts together was lost
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "XAmzContentSHA256Mismatch",
        "BadDigest",
    }
)
_NO_CREDENTIALS = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "ProfileNotFound",
        "TokenRetrievalError",
    }
)


def connect_s3(address: Address, stall: float = STALL) -> S3Bucket:
    """The bucket of an address, by the usual chain of credentials; nothing is asked yet.

    Args:
        address: With ``endpoint``, ``region``, ``profile`` and ``anonymous`` as options.
        stall: Seconds without a byte after which a connection is given up.
    """
    import s3fs

    client: dict[str, Any] = {}
    if address.option("region"):
        client["region_name"] = address.option("region")
    certificates = os.environ.get("SSL_CERT_FILE")
    if certificates and not (os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")):
        client["verify"] = certificates  # botocore does not look there
    profile = address.option("profile")
    system = s3fs.S3FileSystem(
        anon=address.option("anonymous") is not None,
        endpoint_url=address.option("endpoint"),
        client_kwargs=client,
        config_kwargs={
            "connect_timeout": 10,
            "read_timeout": stall,
            "max_pool_connections": 128,
            "retries": {"mode": "standard", "total_max_attempts": 1},
        },
        max_concurrency=_PARTS_IN_FLIGHT,
        use_listings_cache=False,
        skip_instance_cache=True,
        **({"profile": profile} if profile else {}),
    )
    system.retries = 1
    return S3Bucket(system, address)


class S3Bucket:
    """One bucket; implements ``envbuild.objects.cloud.Bucket``.

    Args:
        system: An ``S3FileSystem`` of our own.
        address: Where.
    """

    def __init__(self, system: Any, address: Address) -> None:
        self._system = system
        self._name = address.bucket
        self._shown = address.shown
        self._looked = False
        self._renewal = Renewal()

    async def size(self, key: str) -> int:
        """Bytes of an object: one HEAD."""
        try:
            answer = await self._system._call_s3("head_object", Bucket=self._name, Key=key)
        except PermissionError as error:
            if _status(error) == 403 and not self._looked:  # a HEAD does not say why
                await anext(self.stream(key), b"")
                self._looked = True
            raise
        return int(answer["ContentLength"])

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The bytes of an object: one GET."""
        answer = await self._system._call_s3("get_object", Bucket=self._name, Key=key)
        body, promised, done = answer["Body"], answer.get("ContentLength"), 0
        try:
            while piece := await body.read(_PIECE):
                done += len(piece)
                yield piece
        finally:
            body.close()
        check_whole(self._shown, done, promised)

    async def create(self, key: str, source: Path | bytes) -> Put:
        """A put under ``If-None-Match: *``; in parts from twice ``_PART`` upwards."""
        path = f"{self._name}/{key}"
        kind = {"ContentType": "application/octet-stream"}
        try:
            if isinstance(source, bytes):
                await self._system._pipe_file(path, source, chunksize=_PART, mode="create", **kind)
            else:
                await self._system._put_file(
                    str(source), path, chunksize=max(_PART, source.stat().st_size // 9000), mode="create", **kind
                )
        except FileExistsError:
            return "exists"
        except OSError as error:
            if _status(error) == 412:  # servers that do not say which condition failed
                return "exists"
            raise
        return "created"

    async def pages(self, prefix: str) -> AsyncIterator[list[tuple[str, int, float]]]:
        """Keys under a prefix, a thousand at a time."""
        more: dict[str, str] = {}
        while True:
            answer = await self._system._call_s3("list_objects_v2", Bucket=self._name, Prefix=prefix, **more)
            found = answer.get("Contents") or []
            yield [(item["Key"], int(item["Size"]), item["LastModified"].timestamp()) for item in found]
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    async def unfinished(self, prefix: str) -> list[tuple[str, float]]:
        """Uploads in parts that were begun and not ended: S3 keeps their parts until somebody ends them."""
        found: list[tuple[str, float]] = []
        more: dict[str, str] = {}
        while True:
            answer = await self._system._call_s3("list_multipart_uploads", Bucket=self._name, Prefix=prefix, **more)
            uploads = answer.get("Uploads") or []
            found += [
                (item["Key"], item["Initiated"].timestamp()) for item in uploads if item["Key"].startswith(prefix)
            ]
            if not answer.get("IsTruncated"):
                return found
            more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    async def delete(self, key: str) -> None:
        """Forget an object."""
        try:
            await self._system._call_s3("delete_object", Bucket=self._name, Key=key)
        except FileNotFoundError as error:  # S3 itself does not mind
            if _code(error) == "NoSuchBucket":
                raise

    def failure(self, doing: str, error: Exception, since: float) -> EnvbuildError | AbsentError:
        """What an exception of s3fs or botocore means."""
        code, status = _code(error), _status(error)
        name = type(error.__cause__ or error).__name__
        if name in _NO_CREDENTIALS or type(error).__name__ in _NO_CREDENTIALS:
            return refused(
                self._shown, doing, "no credentials", "run: aws configure, or set AWS_ACCESS_KEY_ID and so on"
            )
        if code == "NoSuchBucket":
            return no_bucket(self._shown, "bucket", f"run: aws s3api create-bucket --bucket {self._name}")
        # The answer to a HEAD has no body to say that it is about credentials: 400 is all.
        if code in {"ExpiredToken", "400"} and self._renewal.helps(since, self._forget_credentials):
            return PassingError(f"{self._shown}: the credentials have expired")
        if code in {"ExpiredToken", *_WRONG_CREDENTIALS}:
            return refused(self._shown, doing, code, "look at your AWS credentials: aws sts get-caller-identity")
        if code == "RequestTimeTooSkewed":
            return refused(self._shown, doing, code, "this machine's clock is wrong")
        if code in _PASSING_CODES:
            return PassingError(f"{self._shown} answers {code} while {doing}", _after(error))
        if doing == "reading" and status in {403, 404}:
            return AbsentError()
        if status == 403:
            right = {"writing": "s3:PutObject", "deleting": "s3:DeleteObject", "listing": "s3:ListBucket"}.get(doing)
            return refused(self._shown, doing, 403, f"you need the right {right} there" if right else None)
        if status is not None:
            return answered(self._shown, doing, status, _after(error))
        if isinstance(error, (ValueError, TypeError)):
            return UnreachableError(f"{self._shown} cannot be asked: {name}", reference="bad-answer")
        return failed(self._shown, doing, error)

    def _forget_credentials(self) -> None:
        """The next question reads them anew."""
        self._system._s3 = None


def _response(error: BaseException | None) -> dict[str, Any]:
    """What the server said: s3fs keeps botocore's error as the cause of its own."""
    while error is not None:
        found = getattr(error, "response", None)
        if isinstance(found, dict):
            return found
        error = error.__cause__ or error.__context__
    return {}


def _code(error: Exception) -> str:
    return str(_response(error).get("Error", {}).get("Code", ""))


def _after(error: Exception) -> float:
    return retry_after(_response(error).get("ResponseMetadata", {}).get("HTTPHeaders", {}))


def _status(error: Exception) -> int | None:
    status = _response(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None
