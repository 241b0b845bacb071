"""What hydrating is held against: one bulk get of ``s3fs``, then linked. ``python direct_s3fs.py WHAT.json``.

``WHAT.json`` holds ``endpoint``, ``get`` (pairs of key and local path) and then either ``rattler`` (arguments of
``direct_rattler.py``, whose records are of local files) or ``uv`` (commands that install local wheels).
"""

import json
import os
import runpy
import subprocess
import sys

import s3fs

with open(sys.argv[1]) as stream:  # noqa: PTH123  nothing more is imported than is measured
    what = json.load(stream)
system = s3fs.S3FileSystem(endpoint_url=what["endpoint"], use_listings_cache=False, skip_instance_cache=True)
system.get([key for key, _ in what["get"]], [path for _, path in what["get"]])
for command in what.get("uv", ()):
    subprocess.run(command, check=True)
if "rattler" in what:
    script, *arguments = what["rattler"]
    sys.argv[:] = [script, *arguments]
    runpy.run_path(script)
os._exit(0)
