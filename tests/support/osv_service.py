"""OSV's service on loopback, over advisories that a test writes: ``querybatch`` in pages, and single documents.

It judges by names alone and leaves ranges to its client, as it may: what a client believes unread is found that way.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.answers import Body, Incoming


class OsvService:
    """Content for ``serve``.

    Args:
        advisories: Documents.
        page: Advisories of one package in one answer.
    """

    def __init__(self, *advisories: dict[str, Any], page: int = 1) -> None:
        self.advisories = {item["id"]: item for item in advisories}
        self.page = page
        self.queries: list[dict[str, Any]] = []

    def __call__(self, request: Incoming) -> Body | None:
        if request.method == "POST" and request.path == "/v1/querybatch":
            queries = json.loads(request.sent)["queries"]
            self.queries += queries
            return _json({"results": [self._found(query) for query in queries]})
        if request.path.startswith("/v1/vulns/"):
            found = self.advisories.get(request.path.rpartition("/")[2])
            return None if found is None else _json(found)
        return None

    def _found(self, query: dict[str, Any]) -> dict[str, Any]:
        wanted = query["package"]["name"]
        ids = [
            name
            for name, item in sorted(self.advisories.items())
            if any(one["package"]["name"].lower() == wanted for one in item["affected"])
        ]
        start = int(query.get("page_token", "0"))
        result: dict[str, Any] = {}
        if part := ids[start : start + self.page]:
            result["vulns"] = [{"id": name, "modified": "2026-01-01T00:00:00Z"} for name in part]
        if ids[start + self.page :]:
            result["next_page_token"] = str(start + self.page)
        return result


def _json(tree: dict[str, Any]) -> Body:
    return Body(data=json.dumps(tree).encode(), type="application/json")


def advisory(name: str, project: str, *events: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A document as OSV has it."""
    return {
        "schema_version": "1.6.0",
        "id": name,
        "modified": "2026-01-01T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": project},
                "ranges": [{"type": "ECOSYSTEM", "events": [{what: version} for what, version in events]}],
            }
        ],
        **more,
    }
