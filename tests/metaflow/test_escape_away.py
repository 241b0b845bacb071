"""Modules that only the Python of a node's image has, used from inside of a step's environment there."""

from __future__ import annotations

import textwrap
import zipfile
from pathlib import Path

import pytest

from tests.metaflow.flows import Flows
from tests.metaflow.nodes import Node, can_isolate, tool_wheels
from tests.metaflow.test_escape import extension
from tests.metaflow.test_remote import argo_templates, as_argo, node_of, remote, s3_server
from tests.support.object_servers import ObjectServer

__all__ = ["remote", "s3_server"]

pytestmark = pytest.mark.skipif(not can_isolate(), reason="NO NETWORK NAMESPACES: unshare -n or ip is not there")

FLOW = """
    class Escaping(FlowSpec):
        @pypi(packages={"toy": "1.0"})
        @step
        def start(self):
            import subprocess, toy
            try:
                import outer
                say("start", here=sys.prefix, there=outer.prefix(), library=outer.variable("LD_LIBRARY_PATH"))
                say("start", toy=outer.has("toy"), beside=outer.has("beside"), image=outer.answer())
                again = "import outer; print('start: again=' + outer.prefix())"
                print(subprocess.run([sys.executable, "-c", again], stdout=subprocess.PIPE, text=True).stdout)
            except ImportError as error:
                say("start", error=str(error).strip().splitlines()[-1])
            import test_lib
            say("start", value=test_lib.test_value)
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            pass
"""

MAPPINGS = """
    import importlib.util, os, sys
    import only_image

    def prefix():
        return sys.prefix

    def variable(name):
        return os.environ.get(name)

    def has(name):
        return importlib.util.find_spec(name) is not None

    EXPORTED_CLASSES = {}
    EXPORTED_EXCEPTIONS = {}
    EXPORTED_FUNCTIONS = {
        "outer": {"prefix": prefix, "variable": variable, "has": has, "answer": only_image.answer}
    }
    EXPORTED_VALUES = {}
    PROXIED_CLASSES = []
"""


@pytest.fixture
def escaping(remote: Flows, tmp_path: Path) -> Flows:
    """A flow with an extension whose module wants one that images have."""
    folder = extension(tmp_path / "beside")
    (mappings,) = folder.rglob("server_mappings.py")
    mappings.write_text(textwrap.dedent(MAPPINGS))
    (remote.project / "beside.py").touch()
    remote.environ["PYTHONPATH"] = str(folder)
    return remote.write(FLOW)


def image(node: Node, *requirements: str) -> Path:
    """Give the node's Python some distributions; where they lie."""
    (site,) = node.python.parent.parent.glob("lib/python*/site-packages")
    for wheel in tool_wheels(*requirements).iterdir() if requirements else ():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    return site


def test_a_module_that_escapes_runs_in_the_python_of_the_image(
    escaping: Flows, tmp_path: Path, s3_server: ObjectServer
) -> None:
    template = argo_templates(escaping)["start"]
    node = node_of(tmp_path / "node", s3_server)
    template["container"]["env"].append({"name": "LD_LIBRARY_PATH", "value": "/nowhere/of/the/image"})

    site = image(node)
    bare = as_argo(node, template, s3_server)
    assert bare.returncode != 0
    said = f"outer is used from outside of this environment, and {node.python} of the image has no requests"
    assert f"start: error={said}, without which Metaflow does not start there" in bare.stdout

    image(node, "requests")
    lacking = as_argo(node, template, s3_server)
    assert "start: value=1" in lacking.stdout, lacking.stdout + lacking.stderr
    assert "Cannot import server_mappings from" in lacking.stdout
    assert ": No module named 'only_image'\n" in lacking.stdout

    (site / "only_image.py").write_text("def answer():\n    return 42\n")
    done = as_argo(node, template, s3_server)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"start: here={node.home}/.local/share/envbuild/prefixes/" in done.stdout
    for said in (
        f"there={node.python.parent.parent}",
        f"again={node.python.parent.parent}",
        "library=/nowhere/of/the/image",
        "toy=False",
        "beside=True",
        "image=42",
        "value=1",
    ):
        assert f"start: {said}\n" in done.stdout, done.stdout + done.stderr


def test_a_deployment_without_the_escape_has_none(escaping: Flows, tmp_path: Path, s3_server: ObjectServer) -> None:
    escaping.environ["METAFLOW_ENV_ESCAPE_DISABLED"] = "True"
    node = node_of(tmp_path / "node", s3_server)
    image(node, "requests")
    done = as_argo(node, argo_templates(escaping)["start"], s3_server)
    assert "start: error=No module named 'outer'" in done.stdout, done.stdout + done.stderr
    assert "No module named 'test_lib'" in done.stdout + done.stderr
