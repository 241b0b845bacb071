"""What a run needs stays as long as it runs, and what a killed process held goes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.metaflow.flows import Flows

FLOW = """
    class Tidy(FlowSpec):
        @pypi(packages={"toy": "1.0"})
        @step
        def start(self):
            import subprocess
            variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
            command = [os.environ["LAUNCHING"], "-m", "envbuild", "gc", "--caches", "--keep-days", "0"]
            done = subprocess.run(command, env=variables, capture_output=True, text=True)
            say("start", code=done.returncode, said=done.stderr.strip()[-300:])
            self.next(self.end)

        @pypi(packages={"toy": "1.0"})
        @step
        def end(self):
            import toy, metaflow
            say("end", toy=toy.__version__, metaflow=os.path.realpath(metaflow.__file__))
"""


def test_a_collection_of_caches_during_a_run_leaves_what_later_steps_import(flows: Flows) -> None:
    flows.environ["LAUNCHING"] = sys.executable
    flows.write(FLOW).run()
    assert flows.printed("start", "code") == "0", flows.printed("start", "said")
    assert flows.printed("end", "toy") == "1.0"
    assert not (flows.home / "cache" / "uv").exists()  # it did collect
    (folder,) = (flows.home / "cache" / "metaflow").iterdir()
    flows.envbuild("gc", "--caches")
    assert folder.is_dir()  # a kernel may import from it
    assert not list((flows.home / "cache").glob("metaflow-escape/*"))
    (folder / "metaflow").unlink()
    (folder / "metaflow").symlink_to(flows.project / "nowhere")
    flows.envbuild("gc", "--caches")
    assert not folder.exists()


def test_credentials_that_a_killed_process_held_go_with_the_next_that_does_anything(flows: Flows) -> None:
    program = (
        "import os, metaflow; from envbuild.metaflow.signing_in import with_hosts\n"
        'print(with_hosts(\'{"a.example.org": ["reader", "s3cret-word"]}\', os.environ)[\'NETRC\'], flush=True)\n'
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=flows.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = Path(done.stdout.strip())
    assert left.read_text() == "machine a.example.org login reader password s3cret-word\n"
    assert left.stat().st_mode & 0o777 == 0o600
    assert left.is_relative_to(flows.home)
    flows.environ["LAUNCHING"] = "/bin/true"
    flows.write(FLOW).run()
    assert not left.parent.exists()
