"""Google's Cloud Storage, through the session and credentials of gcsfs.

Create-only is ``ifGenerationMatch=0`` of one media upload, whatever its size: a single request with the object's bytes
as its body, seen whole or not at all. (gcsfs's own small upload wraps the bytes in a MIME message with a fixed
boundary, which bytes that hold the boundary would end.) What arrived is held against size and md5; a wrong object is
deleted, by its generation, and asked again.

A 403 is absent to readers: it is said of absent names to those who may not list.

Rules of the file: imports gcsfs when connecting; its retries are off; credentials are Google's default chain, never
gcsfs's own cache of tokens.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import warnings
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from envbuild.digest import CHUNK
from envbuild.errors import EnvbuildError, UnreachableError
from envbuild.objects import Put
from envbuild.objects.address import Address
from envbuild.objects.cloud import proxy_for
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

_HEAVY = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"
_CREDENTIALS = "run: gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS"


def connect_gs(address: Address, stall: float = STALL) -> GsBucket:
    """The bucket of an address, by Google's default credentials; nothing is asked yet.

    Args:
        address: With ``endpoint`` and ``anonymous`` as options.
        stall: Seconds without a byte after which a connection is given up.

    Raises:
        UnreachableError: ``refused`` when there are no credentials.
    """
    GCSFileSystem, aiohttp = _libraries()  # noqa: N806  a class
    import google.auth.exceptions

    emulated = "STORAGE_EMULATOR_HOST" in os.environ
    try:
        system = GCSFileSystem(
            token="anon" if emulated or address.option("anonymous") else "google_default",
            endpoint_url=address.option("endpoint"),
            requests_timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=stall),
            use_listings_cache=False,
            skip_instance_cache=True,
        )
    except google.auth.exceptions.GoogleAuthError:
        raise refused(address.shown, "us", "no credentials", _CREDENTIALS) from None
    return GsBucket(system, address)


def _libraries() -> tuple[Any, Any]:
    """The class of gcsfs and aiohttp, without gRPC and without words about versions of Python."""
    setting = os.environ.get(_HEAVY)
    os.environ[_HEAVY] = "false"  # else importing gcsfs starts gRPC, which nothing here uses
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            import aiohttp
            from gcsfs.core import GCSFileSystem
    finally:
        if setting is None:
            os.environ.pop(_HEAVY, None)
        else:
            os.environ[_HEAVY] = setting
    return GCSFileSystem, aiohttp


class StatusError(Exception):
    """An answer that is not the one asked for."""

    def __init__(self, status: int, after: float, text: str) -> None:
        super().__init__(status)
        self.status = status
        self.after = after
        self.no_bucket = status == 404 and "bucket does not exist" in text.lower()


class GsBucket:
    """One bucket; implements ``envbuild.objects.cloud.Bucket``.

    Args:
        system: A ``GCSFileSystem`` of our own.
        address: Where.
    """

    def __init__(self, system: Any, address: Address) -> None:
        self._system = system
        self._name = address.bucket
        self._shown = address.shown
        self._renewal = Renewal()
        self._proxy = proxy_for(system._location)

    async def size(self, key: str) -> int:
        """Bytes of an object: one GET of its metadata."""
        async with await self._ask("GET", self._object(key), params={"fields": "size"}) as response:
            return int((await response.json(content_type=None))["size"])

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The bytes of an object: one GET."""
        url = f"{self._system._location}/download/storage/v1/b/{quote(self._name)}/o/{quote(key, safe='')}"
        headers = {"Accept-Encoding": "identity"}
        async with await self._ask("GET", url, params={"alt": "media"}, headers=headers) as response:
            promised, done = response.content_length, 0
            async for piece in response.content.iter_any():
                done += len(piece)
                yield piece
            check_whole(self._shown, done, promised)

    async def create(self, key: str, source: Path | bytes) -> Put:
        """One media upload under ``ifGenerationMatch=0``."""
        url = f"{self._system._location}/upload/storage/v1/b/{quote(self._name)}/o"
        params = {"uploadType": "media", "name": key, "ifGenerationMatch": "0"}
        size, md5 = await asyncio.to_thread(_size_and_md5, source)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with ExitStack() as stack:
            body = stack.enter_context(io.BytesIO(source) if isinstance(source, bytes) else source.open("rb"))
            try:
                async with await self._ask("POST", url, params=params, headers=headers, data=body) as response:
                    made = await response.json(content_type=None)
            except StatusError as error:
                if error.status == 412:
                    return "exists"
                raise
        if int(made["size"]) != size or made.get("md5Hash", md5) != md5:
            async with await self._ask("DELETE", self._object(key), params={"generation": made["generation"]}):
                raise PassingError(f"{self._shown} got other bytes than were sent")
        return "created"

    async def pages(self, prefix: str) -> AsyncIterator[list[tuple[str, int, float]]]:
        """Keys under a prefix, a thousand at a time."""
        params = {"prefix": prefix, "fields": "items(name,size,updated),nextPageToken", "maxResults": "1000"}
        while True:
            async with await self._ask("GET", self._objects, params=params) as response:
                answer = await response.json(content_type=None)
            found = answer.get("items") or []
            yield [(item["name"], int(item["size"]), _seconds(item["updated"])) for item in found]
            if not answer.get("nextPageToken"):
                return
            params["pageToken"] = answer["nextPageToken"]

    async def unfinished(self, prefix: str) -> list[tuple[str, float]]:
        """None: an object is one request, and half of one is nothing."""
        return []

    async def delete(self, key: str) -> None:
        """Forget an object."""
        try:
            async with await self._ask("DELETE", self._object(key)):
                pass
        except StatusError as error:
            if error.status != 404 or error.no_bucket:
                raise

    def failure(self, doing: str, error: Exception, since: float) -> EnvbuildError | AbsentError:
        """What an exception of gcsfs, Google's credentials or aiohttp means."""
        module = type(error).__module__
        if isinstance(error, StatusError):
            return self._meaning(doing, error, since)
        if module.startswith("google.auth"):
            passing = type(error).__name__ == "TransportError"
            return (
                failed(self._shown, doing, error)
                if passing
                else refused(self._shown, doing, "no credentials", _CREDENTIALS)
            )
        if type(error).__name__ in {"NonRetryableError", "HttpError"}:  # gcsfs's words for a token that is not renewed
            return refused(self._shown, doing, "no credentials", _CREDENTIALS)
        if isinstance(error, (OSError, asyncio.TimeoutError)) or module.startswith("aiohttp"):
            return failed(self._shown, doing, error)
        return UnreachableError(f"{self._shown} cannot be asked: {type(error).__name__}", reference="bad-answer")

    def _meaning(self, doing: str, error: StatusError, since: float) -> EnvbuildError | AbsentError:
        if error.no_bucket or (error.status == 404 and doing in {"writing", "listing"}):
            return no_bucket(self._shown, "bucket", f"run: gcloud storage buckets create gs://{self._name}")
        if doing == "reading" and error.status in {403, 404}:
            return AbsentError()
        credentials = self._system.credentials
        if error.status == 401 and self._renewal.helps(since, lambda: credentials.connect(method=credentials.method)):
            return PassingError(f"{self._shown}: the credentials have expired")
        if error.status == 401:
            return refused(self._shown, doing, 401, _CREDENTIALS)
        if error.status == 403:
            role = "Storage Object User" if doing != "listing" else "Storage Object Viewer"
            return refused(self._shown, doing, 403, f"you need the role {role} on the bucket")
        if error.status in {409, 412} and doing == "writing":
            return PassingError(f"{self._shown} answers {error.status} while {doing}")
        return answered(self._shown, doing, error.status, error.after)

    @property
    def _objects(self) -> str:
        return f"{self._system.base}b/{quote(self._name)}/o"

    def _object(self, key: str) -> str:
        return f"{self._objects}/{quote(key, safe='')}"

    async def _ask(self, method: str, url: str, *, headers: dict[str, str] | None = None, **options: Any) -> Any:
        """An answer below 300; the caller closes it."""
        session = await self._system._set_session()
        credentials = self._system.credentials
        if credentials.credentials is not None and not credentials.credentials.valid:
            await asyncio.to_thread(credentials.maybe_refresh)
        sent = self._system._get_headers(headers)
        response = await session.request(
            method,
            url,
            headers=sent,
            timeout=self._system.requests_timeout,
            allow_redirects=False,
            proxy=self._proxy,
            **options,
        )
        if response.status < 300:
            return response
        try:
            text = (await response.content.read(1 << 14)).decode("utf-8", "replace")
        finally:
            response.close()
        raise StatusError(response.status, retry_after(response.headers), text)


def _size_and_md5(source: Path | bytes) -> tuple[int, str]:
    state = hashlib.md5(usedforsecurity=False)
    size = 0
    if isinstance(source, bytes):
        state.update(source)
        size = len(source)
    else:
        with source.open("rb") as stream:
            while piece := stream.read(CHUNK):
                state.update(piece)
                size += len(piece)
    return size, base64.b64encode(state.digest()).decode()


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
