"""Azure's Blob Storage, through the clients and credentials of adlfs.

Create-only is ``If-None-Match: *`` with the blob, or with the list that puts its blocks together. (adlfs's own
``put_file`` puts once more without the condition when a container is missing.) Reads ask for ranges, so that the
library never holds more than one.

Rules of the file: imports adlfs when connecting; retries of the library are off (but of a body that was cut, which it
asks for three times, whatever one says); who we are is adlfs's chain: the
``AZURE_STORAGE_`` variables, else ``DefaultAzureCredential``.
"""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

from envbuild.errors import EnvbuildError, InvalidInput, UnreachableError
from envbuild.objects import Put
from envbuild.objects.address import Address
from envbuild.objects.cloud import proxy_for
from envbuild.objects.failures import (
    STALL,
    AbsentError,
    PassingError,
    answered,
    failed,
    no_bucket,
    refused,
    retry_after,
)

_RANGE = 8 << 20
_SINGLE = 1 << 20
_BLOCK = 4 << 20
_BLOCKS_IN_FLIGHT = 4
_ROLE = "you need the role Storage Blob Data Contributor on the container (Owner alone does not read or write blobs)"
_READ_ROLE = "you need the role Storage Blob Data Reader on the container (Owner alone does not read blobs)"
_CREDENTIALS = "run: az login, or set AZURE_STORAGE_CONNECTION_STRING"
_NO_SUCH_BLOB = frozenset({"BlobNotFound", "ResourceNotFound"})
_EXISTS = frozenset({"BlobAlreadyExists", "ConditionNotMet", "UnauthorizedBlobOverwrite"})


def connect_azure(address: Address, stall: float = STALL) -> AzureBucket:
    """The container of an address, by adlfs's chain of credentials; nothing is asked yet.

    Args:
        address: With ``account``, ``endpoint`` and ``anonymous`` as options.
        stall: Seconds without a byte after which a connection is given up.

    Raises:
        InvalidInput: ``bad-address`` when nothing says which account.
    """
    from urllib.parse import urlsplit

    from adlfs import AzureBlobFileSystem

    options: dict[str, Any] = {}
    if address.option("account"):
        options["account_name"] = address.option("account")
    if address.option("endpoint"):
        parts = urlsplit(str(address.option("endpoint")))
        if parts.scheme != "https":
            raise InvalidInput(
                "an Azure endpoint in an address is https",
                reference="bad-address",
                hint="put another one into AZURE_STORAGE_CONNECTION_STRING, as BlobEndpoint",
            )
        options["account_host"] = parts.netloc + parts.path.rstrip("/")
    if address.option("anonymous"):
        options["anon"] = True
    try:
        system = AzureBlobFileSystem(use_listings_cache=False, skip_instance_cache=True, **options)
    except ValueError:
        raise InvalidInput(
            f"{address.shown}: nothing says which account, or AZURE_STORAGE_CONNECTION_STRING cannot be read",
            reference="bad-address",
            hint=f"write {address.shown}?account=NAME, or set AZURE_STORAGE_ACCOUNT_NAME",
        ) from None
    return AzureBucket(system, address, stall)


class AzureBucket:
    """One container; implements ``envbuild.objects.cloud.Bucket``.

    Args:
        system: An ``AzureBlobFileSystem`` of our own.
        address: Where.
        stall: Seconds without a byte after which a connection is given up.
    """

    def __init__(self, system: Any, address: Address, stall: float) -> None:
        self._client = system.service_client
        self._system = system
        self._name = address.bucket
        self._shown = address.shown
        self._once: dict[str, Any] = {
            "retry_total": 0,
            "connection_timeout": 10,
            "read_timeout": stall,
            "permit_redirects": False,  # signed for one server, and Azure's sends nobody elsewhere
        }
        self._client._pipeline._transport._use_env_settings = False  # netrc is not for signed requests
        if proxy := proxy_for(self._client.url):
            self._once["proxies"] = {"http": proxy, "https": proxy}

    async def size(self, key: str) -> int:
        """Bytes of a blob: one HEAD."""
        return int((await self._blob(key).get_blob_properties(**self._once)).size)

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The bytes of a blob: one GET for each 8 MiB, all of the same version."""
        start, tag = 0, None
        while True:
            same: dict[str, Any] = {"etag": tag, "match_condition": _not_modified()} if tag else {}
            try:
                answer = await self._blob(key).download_blob(
                    offset=start, length=_RANGE, max_concurrency=1, **same, **self._once
                )
                data = await answer.readall()
            except Exception as error:
                if start == 0 and getattr(error, "status_code", None) == 416:  # an empty blob has no first byte
                    return
                raise
            tag = answer.properties.etag
            start += len(data)
            if data:
                yield data
            total = int(str(answer.properties.content_range).rpartition("/")[2])
            if start >= total:
                return
            if not data:
                raise PassingError(f"{self._shown} stopped after {start} of {total} bytes")

    async def create(self, key: str, source: Path | bytes) -> Put:
        """A put under ``If-None-Match: *``; above ``_SINGLE`` of blocks, unseen before they are put together.

        The library's own upload would hold a file of up to 64 MiB whole.
        """
        blob = self._blob(key)
        try:
            if isinstance(source, bytes) and len(source) <= _SINGLE:
                await blob.upload_blob(source, length=len(source), overwrite=False, **self._once)
            else:
                with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
                    names = await self._blocks(blob, stream)
                await blob.commit_block_list(names, match_condition=_missing(), **self._once)
        except Exception as error:
            if _code(error) in _EXISTS or getattr(error, "status_code", None) == 412:
                return "exists"
            raise
        return "created"

    async def _blocks(self, blob: Any, stream: BinaryIO) -> list[str]:
        names: list[str] = []
        run = secrets.token_hex(8)  # nobody else's blocks of that name are taken for ours
        while True:
            block: list[tuple[str, bytes]] = []
            for _ in range(_BLOCKS_IN_FLIGHT):
                if data := stream.read(_BLOCK):
                    block.append((f"{run}-{len(names) + len(block):08}", data))
            if not block:
                return names
            names += [name for name, _ in block]
            await asyncio.gather(
                *(blob.stage_block(name, io.BytesIO(data), length=len(data), **self._once) for name, data in block)
            )

    async def pages(self, prefix: str) -> AsyncIterator[list[tuple[str, int, float]]]:
        """Keys under a prefix, a thousand at a time."""
        container = self._client.get_container_client(self._name)
        listing = container.list_blobs(name_starts_with=prefix, results_per_page=1000, **self._once)
        async for page in listing.by_page():
            yield [(blob.name, int(blob.size), blob.last_modified.timestamp()) async for blob in page]

    async def unfinished(self, prefix: str) -> list[tuple[str, float]]:
        """None: blocks that nobody puts together are gone after a week."""
        return []

    async def delete(self, key: str) -> None:
        """Forget a blob."""
        try:
            await self._blob(key).delete_blob(**self._once)
        except Exception as error:
            if getattr(error, "status_code", None) != 404 or _code(error) == "ContainerNotFound":
                raise

    def failure(self, doing: str, error: Exception, since: float) -> EnvbuildError | AbsentError:
        """What an exception of Azure's libraries means."""
        code, status, name = _code(error), getattr(error, "status_code", None), type(error).__name__
        after = retry_after(getattr(getattr(error, "response", None), "headers", {}))
        if code == "ContainerNotFound" or (status == 404 and doing in {"writing", "listing"}):
            return no_bucket(self._shown, "container", f"run: az storage container create --name {self._name}")
        if name in {"ClientAuthenticationError", "CredentialUnavailableError"} and status is None:
            return refused(self._shown, doing, "no credentials", _CREDENTIALS)
        if doing == "reading" and (status == 404 or code in _NO_SUCH_BLOB):
            return AbsentError()
        if status == 401 or code == "AuthenticationFailed":
            return refused(self._shown, doing, code or 401, _CREDENTIALS)
        if status == 403:
            return refused(self._shown, doing, code or 403, _READ_ROLE if doing == "reading" else _ROLE)
        if code in {"ServerBusy", "OperationTimedOut", "InternalError"}:
            return PassingError(f"{self._shown} answers {code} while {doing}", after)
        if status in {409, 412} and doing == "writing":
            return PassingError(f"{self._shown} answers {code or status} while {doing}")
        if isinstance(status, int):
            return answered(self._shown, doing, status, after)
        if isinstance(error, (ValueError, TypeError)) and not isinstance(error, OSError):
            return UnreachableError(f"{self._shown} cannot be asked: {name}", reference="bad-answer")
        return failed(self._shown, doing, error)

    def _blob(self, key: str) -> Any:
        return self._client.get_blob_client(container=self._name, blob=key)


def _code(error: BaseException) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _not_modified() -> Any:
    from azure.core import MatchConditions

    return MatchConditions.IfNotModified


def _missing() -> Any:
    from azure.core import MatchConditions

    return MatchConditions.IfMissing
