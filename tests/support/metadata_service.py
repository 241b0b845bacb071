"""A Metaflow metadata service: the REST interface of the real one, kept in memory, on loopback.

The real service (Netflix's metaflow-service) is no package of any index and wants PostgreSQL. This one answers what
Metaflow's client asks of it, with its paths, statuses and fields: objects are created by POST, looked up and listed by
GET, unknown ones are 404, and tasks can be filtered by a metadata field (since version 2.5.0 of the service). Metaflow
itself writes into it and reads from it, so an answer that is not the interface's fails there.

Rules of the file: no test logic; nothing listens but on loopback.
"""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_KEYS = ("flow_id", "run_number", "step_name", "task_id")
_PLURALS = {"runs": 2, "steps": 3, "tasks": 4}
"""Lists of children, and how many words the path of a child has."""


class MetadataService(ThreadingHTTPServer):
    """A running service.

    Attributes:
        version: What it says of itself; before 2.5.0 tasks cannot be filtered.
        asked: Every request, as ``GET /flows/…``.
    """

    daemon_threads = True

    def __init__(self, version: str = "2.5.0") -> None:
        self.version = version
        self.asked: list[str] = []
        self.objects: dict[tuple[str, ...], dict[str, Any]] = {}
        self.metadata: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        self.artifacts: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        self.guard = threading.Lock()
        self._numbers = 0
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def number(self) -> str:
        """A number that nothing has yet."""
        self._numbers += 1
        return str(self._numbers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MetadataService

    def do_GET(self) -> None:
        """Look something up."""
        address = urllib.parse.urlsplit(self.path)
        words = _words(address.path)
        service = self.server
        with service.guard:
            service.asked.append(f"GET {address.path}")
            if words == ["ping"]:
                self._send(200, "pong")
            elif words[-1] == "metadata" and _object(words[:-1]) in service.objects:
                self._send(200, service.metadata.get(_object(words[:-1]), []))
            elif words[-1] == "artifacts" and _object(words[:-1]) in service.objects:
                self._send(200, service.artifacts.get(_object(words[:-1]), []))
            elif words[-1] == "filtered_tasks" and service.version >= "2.5.0":
                self._send(200, self._filtered(_object(words[:-1]), urllib.parse.parse_qs(address.query)))
            elif words[-1] in _PLURALS and _object(words[:-1]) in service.objects:
                parent, length = _object(words[:-1]), _PLURALS[words[-1]]
                below = [item for key, item in service.objects.items() if key[: length - 1] == parent]
                self._send(200, [item for item in below if len([key for key in _KEYS if key in item]) == length])
            elif _object(words) in service.objects:
                self._send(200, service.objects[_object(words)])
            else:
                self._send(404, {"message": "not found"})

    def do_POST(self) -> None:
        """Create something."""
        words = _words(self.path)
        data = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
        service = self.server
        with service.guard:
            service.asked.append(f"POST {self.path}")
            if words[-1] == "heartbeat":
                self._send(200, {"wait_time_in_seconds": 60})
                return
            if words[-1] in {"metadata", "artifact"}:
                kept = service.metadata if words[-1] == "metadata" else service.artifacts
                kept.setdefault(_object(words[:-1]), []).extend({**item, "id": service.number()} for item in data)
                self._send(200, data)
                return
            if words[-1] in {"run", "task"}:
                own = "run_number" if words[-1] == "run" else "task_id"
                key = (*_object(words[:-1]), str(data.get(own) or service.number()))
            else:
                key = _object(words[:-1]) if words[-1] == "step" else _object(words)
            if key in service.objects:
                self._send(409, {"message": "is there"})
                return
            known = dict(zip(_KEYS, key, strict=False))
            service.objects[key] = {"ts_epoch": int(time.time() * 1000), "tags": [], **(data or {}), **known}
            self._send(200, service.objects[key])

    def _filtered(self, step: tuple[str, ...], query: dict[str, list[str]]) -> list[str]:
        field, pattern = query["metadata_field_name"][0], re.compile(query["pattern"][0])
        return [
            "/".join(task)
            for task, records in self.server.metadata.items()
            if task[:3] == step
            and any(item["field_name"] == field and pattern.search(item["value"]) for item in records)
        ]

    def _send(self, status: int, answer: Any) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("METADATA_SERVICE_VERSION", self.server.version)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


def _words(path: str) -> list[str]:
    return [urllib.parse.unquote(word) for word in path.strip("/").split("/")]


def _object(words: list[str]) -> tuple[str, ...]:
    """``flows/F/runs/1/steps/s`` as (F, 1, s)."""
    return tuple(words[1::2])


@contextmanager
def metadata_service(version: str = "2.5.0") -> Iterator[MetadataService]:
    """A service for the time of a test."""
    service = MetadataService(version)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        service.server_close()
        thread.join()
