"""What ``Task.environment_info`` of Metaflow's client says of a task: of our runs, and of those that others ran.

A task of ours tells it in one field of its metadata. Runs of Metaflow's own conda and pypi, and of the extension of
Netflix, keep what their environments held in the code package of the run; it is read there, and given in the form in
which their own client gives it, so that code which reads it goes on working.

Rules of the file: read wherever Metaflow's client is, also inside of steps: nothing but Metaflow and the standard
library.
"""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from typing import Any

from envbuild.metaflow.names import FIELD

_OWN = "conda.manifest"
"""Where Metaflow's own conda writes what its environments hold: by id and platform."""

_PREDECESSOR = "conda_v2.cnd"
"""Where Netflix's extension does: by platform, request and environment."""


def client_info(kind: str, flow_name: str, metadata: Any) -> Any:
    """What is known of the environment of a task.

    Args:
        kind: The type of environment of the run.
        flow_name: The flow.
        metadata: The task's metadata: field to text.
    """
    if metadata.get(FIELD):
        return {"type": kind, **json.loads(metadata[FIELD])}
    if metadata.get("conda_env_id"):
        return _of_predecessor(kind, flow_name, metadata)
    prefix = metadata.get("conda_env_prefix")
    if prefix:
        _, platform, identity = prefix.split("/")[:3]
        return _held(flow_name, metadata, _OWN, (identity, platform)) or {"type": kind, "prefix": prefix}
    return {"type": kind}


def _of_predecessor(kind: str, flow_name: str, metadata: Any) -> Any:
    request, environment, platform = json.loads(metadata["conda_env_id"])
    info = {"type": kind, "req_id": request, "full_id": environment, "arch": platform}
    held = _held(flow_name, metadata, _PREDECESSOR, ("environments", platform, request, environment))
    if isinstance(held, dict):
        names = [item.get("filename") or item.get("url", "").rpartition("/")[2] for item in held.get("packages", ())]
        info["user_deps"] = "; ".join(held.get("deps", ()))
        info["all_packages"] = "; ".join(names)
    return info


def _held(flow_name: str, metadata: Any, name: str, keys: Any) -> Any:
    """What stands under some keys in a JSON file of a task's code package; None when it is not there."""
    package = metadata.get("code-package")
    if not package:
        return None
    from metaflow.client.filecache import FileCache

    where = json.loads(package)
    _, data = FileCache().get_data(where["ds_type"], flow_name, where["location"], where["sha"])
    with tarfile.open(fileobj=BytesIO(data), mode="r:*") as archive:
        member = next((item for item in archive if item.isfile() and item.name.split("/")[-1] == name), None)
        stream = archive.extractfile(member) if member is not None else None
        found = json.loads(stream.read().decode("utf-8")) if stream is not None else {}
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found
