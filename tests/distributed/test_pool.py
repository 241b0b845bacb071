"""What is sent to a pool of futures, byte by byte: nothing secret, no address of this machine, no content."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from envbuild.errors import BuildError, UnreachableError
from envbuild.machine.virtual import current_platform
from envbuild.package import Platform
from envbuild.reporter import Recorder
from envbuild.session import Session
from tests.distributed.conftest import Farm
from tests.support.sdists import make_own_sdist
from tests.support.wheels import make_wheel

SECRET = "sentinel-of-a-secret"
ELSEWHERE = "mirror-of-this-machine.example"


class Recording:
    """A pool that pickles what it is given and what comes back, as one in other processes does."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.came: list[bytes] = []
        self._threads = ThreadPoolExecutor(2)

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        self.sent.append(pickle.dumps((function, arguments)))
        return self._threads.submit(self._run, self.sent[-1])

    def _run(self, sent: bytes) -> Any:
        function, arguments = pickle.loads(sent)
        self.came.append(pickle.dumps(function(*arguments)))
        return pickle.loads(self.came[-1])

    def close(self) -> None:
        self._threads.shutdown()


@pytest.fixture
def pool() -> Iterator[Recording]:
    recording = Recording()
    yield recording
    recording.close()


def test_nothing_that_is_secret_or_this_machines_own_is_sent_and_little_comes_back(
    farm: Farm, pool: Recording, tmp_path: Path
) -> None:
    environ = {
        **farm.environ,
        "XDG_CONFIG_HOME": str(tmp_path / "mine"),
        "UV_INDEX_URL": f"https://ann:{SECRET}@{ELSEWHERE}/simple",
        "HTTPS_PROXY": f"http://ann:{SECRET}@{ELSEWHERE}:3128",
        "NO_PROXY": "127.0.0.1,localhost",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "NETRC": str(tmp_path / "netrc"),
    }
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login ann password {SECRET}\n", encoding="utf-8")
    (tmp_path / "netrc").chmod(0o600)
    settings = tmp_path / "mine" / "envbuild" / "config.yaml"
    settings.parent.mkdir(parents=True)
    mirrors = {"https://conda.example": [f"https://ann:{SECRET}@{ELSEWHERE}/conda"]}
    settings.write_text(f"mirrors: {json.dumps(mirrors)}\n", encoding="utf-8")

    session = Session(farm.project, stores=[str(farm.store)], environ=environ, executor=pool)
    (realized,) = session.realize(farm.project / "brewed.yaml", mode="locked")
    assert (realized.built, realized.transmuted) == (1, 1)

    assert len(pool.sent) == len(pool.came) == 5  # its platform; two fetches, a build and a transmute
    for data in (*pool.sent, *pool.came):
        assert SECRET.encode() not in data
        assert ELSEWHERE.encode() not in data
        assert str(farm.home).encode() not in data
        assert len(data) < 20_000
    (wheel,) = farm.records("build-wheel")
    out = json.loads(wheel.read_bytes())["outputs"]["out"]["sha256"]
    assert any(out.encode() in data for data in pool.came)  # told by its name


def test_the_caller_keeps_the_pool_and_what_it_made_is_there_the_next_time(farm: Farm, pool: Recording) -> None:
    def session() -> Session:
        return Session(farm.project, stores=[str(farm.store)], environ=farm.environ, executor=pool)

    (first,) = session().realize(farm.project / "both.yaml", mode="locked")
    assert first.built == 2
    sent = len(pool.sent)
    farm.fresh()
    (second,) = session().realize(farm.project / "both.yaml", mode="locked")
    assert (second.built, len(pool.sent)) == (0, sent)


class Answering:
    """A pool that does nothing with what it is given but end it in one way."""

    def __init__(self, end: Callable[[Future[Any]], None]) -> None:
        self._end = end

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._end(future)
        return future


class Forgetful(Recording):
    """A pool that knows its workers, and loses what they do in its own way."""

    def __init__(self, end: Callable[[Future[Any]], None]) -> None:
        super().__init__()
        self._end = end

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        return Answering(self._end).submit(function) if self.sent else super().submit(function, *arguments)


def _shut(future: Future[Any]) -> None:
    raise RuntimeError("cannot schedule new futures after shutdown")


ENDS = [
    pytest.param(_shut, "cannot schedule new futures after shutdown", id="shut down"),
    pytest.param(lambda future: future.cancel(), "", id="cancelled"),
    pytest.param(
        lambda future: future.set_exception(BrokenExecutor("a process was killed")), "was killed", id="killed"
    ),
    pytest.param(lambda future: future.set_result(42), "TypeError", id="another answer"),
]


@pytest.mark.parametrize("kind", [Answering, Forgetful])
@pytest.mark.parametrize(("end", "said"), ENDS)
def test_a_pool_that_does_not_do_it_is_said_and_ends_nothing_but_what_was_in_flight(
    farm: Farm, kind: type[Answering | Forgetful], end: Callable[[Future[Any]], None], said: str
) -> None:
    session = Session(farm.project, stores=[str(farm.store)], environ=farm.environ, executor=kind(end))
    with pytest.raises(UnreachableError) as caught:
        session.realize(farm.project / "brewed.yaml", mode="locked")
    assert (caught.value.reference, caught.value.exit_code) == ("executor-lost", 5)
    assert kind.__name__ in caught.value.message
    assert said in caught.value.message


def test_a_pool_without_futures_is_said(farm: Farm) -> None:
    class Nothing:
        def submit(self, function: Any, *arguments: Any) -> None:
            """Take it and give nothing."""

    session = Session(farm.project, stores=[str(farm.store)], environ=farm.environ, executor=Nothing())
    with pytest.raises(UnreachableError, match="its `submit` gives NoneType, which is no future"):
        session.realize(farm.project / "brewed.yaml", mode="locked")


def test_a_build_for_a_platform_that_nobody_is_marked_for_says_which_worker_is_missing(
    farm: Farm, pool: Recording, tmp_path: Path
) -> None:
    other = "linux-aarch64" if current_platform() == "linux-64" else "linux-64"
    for machine in ("x86_64", "aarch64"):
        make_wheel(farm.wheels, "compiled-tool", "1.0", tag=f"py3-none-manylinux_2_17_{machine}")
    needs = ["compiled-tool"]
    make_own_sdist(farm.wheels, "foreign", "1.0", scratch=tmp_path / "sources", static=True, build_requires=needs)
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    recipe = farm.project / "foreign.yaml"
    recipe.write_text(
        f"interpreter: host\npython: '{series}'\nplatforms: [{other}]\n{farm.pypi_lines('foreign:')}",
        encoding="utf-8",
    )
    farm.run("lock", "foreign.yaml")
    session = Session(farm.project, stores=[str(farm.store)], environ=farm.environ, executor=pool)
    with pytest.raises(BuildError) as caught:
        session.bring(recipe, Platform(other))
    assert (caught.value.reference, caught.value.exit_code) == ("no-builder", 9)
    assert f"foreign 1.0 can only be built on {other}: it is built with compiled_tool" in caught.value.message
    assert caught.value.message.endswith(f"Recording lacks a worker of {other}")
    assert f"--resources '{other}=1'" in str(caught.value.hint)
    assert len(pool.sent) == 1  # where it is was asked, and nothing else


def test_modules_are_compiled_far_away_where_their_python_is_an_input_and_here_where_it_is_not(
    farm: Farm, pool: Recording
) -> None:
    def compiled(name: str, text: str) -> tuple[int, list[str]]:
        farm.recipe(name, f"bytecode: true\n{text}{farm.pypi_lines('idle-hands:')}")
        pool.sent.clear()
        recorder = Recorder()
        session = Session(
            farm.project, stores=[str(farm.store)], environ=farm.environ, executor=pool, reporter=recorder
        )
        session.realize(farm.project / f"{name}.yaml")
        sent = [pickle.loads(pickle.loads(data)[1][0][-1]).job.derivation for data in pool.sent[1:]]
        done = [event for event in recorder.named("finished") if event.data["kind"] == "bytecode"]
        return len(done), sorted(item.label for item in sent if item.kind == "bytecode")

    done, sent = compiled("compiled", f"python: {farm.series}\n{farm.conda_lines()}")
    assert "idle-hands 2.1" in sent
    assert done == len(sent) == len(farm.records("bytecode"))
    assert list(farm.project.glob(".envs/compiled/lib/python*/site-packages/idle_hands/__pycache__/*.pyc"))
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert compiled("own", f"interpreter: host\npython: '{series}'\n") == (1, [])


def test_where_only_signatures_count_who_sent_the_work_signs_what_came_home(
    farm: Farm, pool: Recording, tmp_path: Path
) -> None:
    passphrase = {"ENVBUILD_SIGNING_PASSPHRASE": "for a test"}
    made = farm.run("key", "new", "ci", "--output", str(tmp_path / "ci.key"), "--json", environ=passphrase)
    environ = {**farm.environ, "XDG_CONFIG_HOME": str(tmp_path / "mine"), **passphrase}
    settings = tmp_path / "mine" / "envbuild" / "config.yaml"
    settings.parent.mkdir(parents=True)
    trust = {"mode": "signed", "keys": {"ci": json.loads(made.out)["public"]}}
    settings.write_text(
        f"trust: {json.dumps(trust)}\nsigning-key: {tmp_path / 'ci.key'}\nstores: [{farm.store}]\n", encoding="utf-8"
    )
    (first,) = Session(farm.project, environ=environ, executor=pool).realize(farm.project / "brewed.yaml")
    assert (first.built, first.transmuted) == (1, 1)
    assert len(list(farm.store.glob("signatures/results/build-wheel/**/*.json"))) == 1
    farm.fresh()
    (second,) = Session(farm.project, environ=environ).realize(farm.project / "brewed.yaml")
    assert (second.built, second.transmuted) == (0, 0)
