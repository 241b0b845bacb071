"""requirements.txt: every line that pip documents, what it becomes, and what is said when it cannot be."""

from __future__ import annotations

import codecs
from collections.abc import Mapping

import pytest

from envbuild.errors import InvalidInput
from envbuild.formats import Foreign, detect, nothing_opened, read
from envbuild.recipe import GitSource, PathSource, PypiRequirement, UrlSource

SHA = "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"
SHB = "0cde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"


def opening(files: Mapping[str, str]):
    def opened(path: str) -> bytes:
        if path not in files:
            raise InvalidInput(f"there is no file {path}", reference="missing-file")
        return files[path].encode()

    return opened


def asked(text: str | bytes, file: str = "requirements.txt", **files: str) -> Foreign:
    named = {name.replace("__", "/") + ".txt": content for name, content in files.items()}
    data = text if isinstance(text, bytes) else text.encode()
    return read("requirements", data, file, opening(named))


def one(text: str) -> PypiRequirement:
    (found,) = asked(text).pypi.packages
    return found


def told(text: str | bytes, **files: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        asked(text, **files)
    return [f"{issue.where} {issue.reference}" for issue in caught.value.all_issues()]


def hints(text: str) -> list[str | None]:
    with pytest.raises(InvalidInput) as caught:
        asked(text)
    return [issue.hint for issue in caught.value.all_issues()]


@pytest.mark.parametrize(
    ("line", "name", "version", "extras", "markers"),
    [
        ("numpy", "numpy", "", (), None),
        ("Num_Py.Two == 1.0", "num-py-two", "==1.0", (), None),
        ("numpy>=1.21 , <2", "numpy", "<2,>=1.21", (), None),
        ("numpy==1.21.*", "numpy", "==1.21.*", (), None),
        ("numpy ~= 1.21 # why", "numpy", "~=1.21", (), None),
        ("numpy (>=1.2)", "numpy", ">=1.2", (), None),
        ("requests[socks, Security]>=2", "requests", ">=2", ("security", "socks"), None),
        ("requests[]", "requests", "", (), None),
        ("six;python_version<'3'", "six", "", (), 'python_version < "3"'),
        ("six==1 ; sys_platform=='linux' and python_version>='3.9'", "six", "==1", (), None),
        ("torch==1.0+cu117", "torch", "==1.0+cu117", (), None),
        ("numpy==1.0 ; # nothing", "numpy", "==1.0", (), None),
        ("weird===1.0-custom", "weird", "===1.0-custom", (), None),
        ("a-b_c==2!1.0rc1.post2.dev3", "a-b-c", "==2!1.0rc1.post2.dev3", (), None),
    ],
)
def test_a_requirement(line: str, name: str, version: str, extras: tuple[str, ...], markers: str | None) -> None:
    found = one(line)
    assert (found.name, found.version, found.extras) == (name, version, extras)
    if markers is not None or ";" not in line or "nothing" in line:
        assert found.markers == markers


@pytest.mark.parametrize(
    ("line", "name", "source"),
    [
        (f"x @ https://h/x-1.0.tar.gz#sha256={SHA}", "x", UrlSource(url="https://h/x-1.0.tar.gz", sha256=SHA)),
        ("https://h/a/My_Pkg-1.0-py3-none-any.whl", "my-pkg", UrlSource(url="https://h/a/My_Pkg-1.0-py3-none-any.whl")),
        ("https://h/some-pkg-1.0.4.zip", "some-pkg", UrlSource(url="https://h/some-pkg-1.0.4.zip")),
        ("https://h/main.zip#egg=x&subdirectory=s/t", "x", UrlSource(url="https://h/main.zip", subdirectory="s/t")),
        ("git+https://h/a/b.git@v1.0#egg=B", "b", GitSource(git="https://h/a/b.git", rev="v1.0")),
        ("b @ git+https://h/a/b@feature/x", "b", GitSource(git="https://h/a/b", rev="feature/x")),
        ("b[e] @ git+https://h/b#subdirectory=s ; os_name=='nt'", "b", GitSource(git="https://h/b", subdirectory="s")),
        ("git+ssh://git@h/a/b.git@abc#egg=b", "b", GitSource(git="ssh://git@h/a/b.git", rev="abc")),
        ("./down/numpy-1.9.2-cp34-none-win32.whl", "numpy", PathSource(path="down/numpy-1.9.2-cp34-none-win32.whl")),
        ("./down/x-y-1.0.tar.gz ; os_name=='nt'", "x-y", PathSource(path="down/x-y-1.0.tar.gz")),
        ("./libs/a#egg=a", "a", PathSource(path="libs/a")),
        ("file:libs/a#egg=a", "a", PathSource(path="libs/a")),
    ],
)
def test_a_source(line: str, name: str, source: object) -> None:
    found = one(line)
    assert (found.name, found.source, found.version) == (name, source, "")
    assert bool(found.markers) == (";" in line)


def test_a_folder_is_called_what_its_metadata_says() -> None:
    files = {
        "lib/pyproject.toml": "[project]\nversion='1'\nname = 'My.Lib'\n",
        "old/setup.cfg": "[metadata]\nname = old\n",
    }
    found = read("requirements", b"../lib[x]\n../old\n", "reqs/r.txt", opening(files)).pypi.packages
    assert [(item.name, item.extras, item.source) for item in found] == [
        ("my-lib", ("x",), PathSource(path="lib")),
        ("old", (), PathSource(path="old")),
    ]


def test_lines_are_joined_and_comments_dropped_as_pip_does() -> None:
    found = asked(
        "# -r gone.txt\nnumpy \\\n  >=1 \\\n  ,<2  # x\n\n six#not-a-comment==1\n".replace(
            " six#not-a-comment==1", "six # c"
        )
    )
    assert [(item.name, item.version, str(item.where)) for item in found.pypi.packages] == [
        ("numpy", "<2,>=1", "requirements.txt:2:1"),
        ("six", "", "requirements.txt:6:1"),
    ]
    assert told("numpy\\\n# comment\nsix\n-e .\n") == ["requirements.txt:4:1 editable"]


def test_hashes_stay_with_their_requirement() -> None:
    found = one(f"six==1.16 \\\n  --hash=sha256:{SHA} \\\n  --hash sha256:{SHB}\n")
    assert found.hashes == tuple(sorted((SHA, SHB)))
    assert told("six --hash=md5:d41d8cd98f00b204e9800998ecf8427e") == ["requirements.txt:1:5 bad-hash"]
    assert told("six --hash=sha256:12") == ["requirements.txt:1:5 bad-hash"]
    (note,) = asked("six --hash=sha512:" + "a" * 128).notes
    assert note.reference == "lost"
    assert told(f"--require-hashes\nsix==1\nrich==2 --hash=sha256:{SHA}") == ["requirements.txt:2:1 missing-hash"]


def test_settings_become_those_of_a_recipe() -> None:
    pypi = asked(
        "-i https://h/simple\n--extra-index-url=https://h/other --extra-index-url https://h/third\n-f ./wheels\n"
        "--find-links https://h/links.html\n--pre\n--only-binary numpy,Scipy\nnumpy\n",
        "sub/requirements.txt",
    ).pypi
    assert pypi.index is not None
    assert pypi.index.url == "https://h/simple"
    assert [index.url for index in pypi.extra_indices] == ["https://h/other", "https://h/third"]
    assert pypi.find_links == ("./sub/wheels", "https://h/links.html")
    assert pypi.prereleases is True
    assert pypi.no_build == ("numpy", "scipy")
    assert asked("--only-binary=:all:\n--no-index\n").pypi.no_build is True
    assert asked("--no-index\n").pypi.no_index is True


@pytest.mark.parametrize(
    ("line", "reference"),
    [
        ("--trusted-host h", "configuration"),
        ("--prefer-binary", "no-meaning"),
        ("--use-feature=fast-deps", "no-meaning"),
        ("--no-binary numpy", "lost"),
        ("numpy --pre", "no-meaning"),
        ("x @ https://h/x-1.tar.gz#md5=abc", "lost"),
        ("-i https://h/a\n-i https://h/b", "no-meaning"),
    ],
)
def test_what_has_no_meaning_here_is_noted_with_its_place(line: str, reference: str) -> None:
    (note,) = asked(line).notes
    assert note.reference == reference
    assert note.where is not None
    assert note.where.line == line.count("\n") + 1


def test_the_predecessors_lines_for_conda() -> None:
    found = asked(
        "--conda-pkg ffmpeg>=5\n--conda-pkg git-lfs == 3.1\n--conda-channel bioconda\n--sys-pkg __glibc==2.27=0\nsix\n"
    )
    assert [(item.name, item.version) for item in found.conda.packages] == [("ffmpeg", ">=5"), ("git-lfs", "==3.1")]
    assert found.conda.channels == ("bioconda",)
    assert found.system == (("__glibc", "2.27"),)


def test_files_name_files() -> None:
    found = asked(
        "-r more/a.txt\n-c c.txt\nsix\n", more__a="rich\n-r ../b.txt\n-c ../c.txt\n", b="six>1\n", c="rich<14\n"
    )
    assert [(item.name, item.version) for item in found.pypi.packages] == [("rich", ""), ("six", ">1")]
    assert [(item.name, item.version, str(item.where)) for item in found.pypi.constraints] == [
        ("rich", "<14", "c.txt:1:1")
    ]
    assert told("-r a.txt\n", a="-r b.txt\n", b="-r a.txt\n") == ["b.txt:1:1 include-cycle"]
    assert told("-r requirements.txt\n") == ["requirements.txt:1:1 include-cycle"]
    assert told("-r gone.txt\nx=1\n-c c.txt\n", c="six[x]\n-e .\n") == [
        "c.txt:1:1 bad-requirement",
        "c.txt:2:1 editable",
        "requirements.txt:1:1 missing-file",
        "requirements.txt:2:1 bad-requirement",
    ]


def test_requirements_of_one_name_hold_together() -> None:
    found = asked("six>=1\nsix[x]<2\nsix==9 ; os_name=='nt'\n").pypi.packages
    assert [(item.version, item.extras, item.markers) for item in found] == [
        ("<2,>=1", ("x",), None),
        ("==9", (), 'os_name == "nt"'),
    ]
    with pytest.raises(InvalidInput) as caught:
        asked("six\nsix>=2\nrich\nsix<2\n")
    assert "requirements.txt:2:1 says '>=2', requirements.txt:4:1 says '<2'" in caught.value.message


@pytest.mark.parametrize(
    ("line", "reference"),
    [
        ("-e .", "editable"),
        ("-e git+https://h/x.git#egg=x", "editable"),
        ("six=1.0", "bad-requirement"),
        ("six 1.0", "bad-requirement"),
        ("six>=1.*", "bad-requirement"),
        ("six>=1 rich", "bad-requirement"),
        ("six ; python_version", "bad-requirement"),
        ("git+https://h/a/b.git", "no-name"),
        ("./folder", "no-name"),
        ("https://h/zipball/main", "no-name"),
        ("hg+https://h/x#egg=x", "not-available"),
        ("x @ svn+https://h/x", "not-available"),
        ("bzr+lp:x#egg=x", "not-available"),
        ("x @ git+file:///etc", "bad-url"),
        ("git+git@h:a/b.git#egg=b", "bad-url"),
        ("b @ git+git@h:a/b.git", "bad-url"),
        ("x @ git+ext::sh#egg=x", "bad-url"),
        ("x @ file:///home/x/x", "bad-path"),
        ("/home/x/x-1.0.tar.gz", "bad-path"),
        ("C:\\x\\y-1.0.tar.gz", "bad-path"),
        ("x @ https://169.254.169.254/x-1.tar.gz", "bad-url"),
        ("x @ https://me:pw@h/x-1.tar.gz", "secret-in-url"),
        ("--index-url https://me:pw@h/simple", "secret-in-url"),
        ("--index-url https://${USER}:${TOKEN}@h/simple", "environment-variable"),
        ("x @ git+https://${TOKEN}@h/x", "environment-variable"),
        ("-r https://h/r.txt", "bad-path"),
        ("--nope", "unknown-option"),
        ("--extra-index-ur1 https://h", "unknown-option"),
        ("-r", "missing-value"),
        ("--hash=sha256:" + SHA, "bad-value"),
        ("six --install-option=x", "not-available"),
        ("six --config-settings=x", "bad-value"),
        ("six --hash='sha256:", "bad-syntax"),
        ("<<<<<<< HEAD", "merge-conflict"),
        ("con==1", "bad-name"),
        ("--conda-pkg __cuda", "bad-name"),
        ("--sys-pkg __cuda", "bad-value"),
        ("num\u0440", "bad-requirement"),
    ],
)
def test_what_is_refused(line: str, reference: str) -> None:
    assert [found.split()[1] for found in told("\n" + line + "\n")] == [reference]
    assert told("\n" + line + "\n")[0].startswith("requirements.txt:2:")
    assert all(hints(line)) or reference in {"bad-name", "bad-url"}


def test_hints_can_be_typed() -> None:
    assert hints("-e .") == ["write `.`, and work on it with `envbuild realize --prefix DIR --editable NAME`"]
    assert hints("-e git+https://h/x.git@v1#egg=x") == ["write `x @ git+https://h/x.git@v1`"]
    assert hints("git+https://h/a/dllogger.git@v1") == ["write `dllogger @ git+https://h/a/dllogger.git@v1`"]
    assert hints("six=1.0") == ["write six==1.0: one `=` is conda's"]
    assert hints("six>=1.*") == ["write six>=1: `.*` goes with == and != only"]
    assert hints("--fnd-links x") == ["did you mean `--find-links`?"]


def test_secrets_are_not_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        asked("-i https://me:hunter2@h/simple\nx @ git+https://me:hunter2@h/x\nx @ https://me:hunter2@h/x-1.zip\n")
    assert "hunter2" not in "".join(f"{issue.message}{issue.hint}" for issue in caught.value.all_issues())


def test_settings_of_builds() -> None:
    (built,) = asked('six==1 --config-settings "opt=a b" -C "--other=c"\n').build
    assert (built.name, built.config_settings) == ("six", (("--other", "c"), ("opt", "a b")))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_say_the_encoding(encoding: str) -> None:
    assert [item.name for item in asked("six\nrich\n".encode(encoding)).pypi.packages] == ["rich", "six"]


def test_encodings() -> None:
    assert asked("# -*- coding: latin-1 -*-\nsix # caf\xe9\n".encode("latin-1")).pypi.packages
    assert told(b"six # caf\xe9\n") == ["requirements.txt:1 bad-encoding"]
    assert told(b"# coding: rot13\nfvk\n") == ["requirements.txt:1:1 bad-encoding"]
    assert told(codecs.BOM_UTF16_LE + b"s") == ["requirements.txt:1 bad-encoding"]
    assert told("six\nrich\x00==1\n") == ["requirements.txt:2:5 bad-syntax"]
    assert told("six # \u2028-i https://h\n") == ["requirements.txt:1:7 bad-syntax"]


def test_line_ends_of_all_systems() -> None:
    assert [item.name for item in asked(b"a\r\nb\rc\nd").pypi.packages] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("file", "data", "found"),
    [
        ("requirements.txt", b"", "requirements"),
        ("requirements/dev.in", b"six", "requirements"),
        ("constraints", b"six", "requirements"),
        ("spec.txt", b"# x\n@EXPLICIT\nhttps://h", "explicit"),
        ("environment.yml", b"name: x\ndependencies: [a]", "environment-yml"),
        ("x.yaml", b"channels:\n- a\n", "environment-yml"),
        ("conda-lock.yml", b"", "conda-lock"),
        ("pixi.lock", b"", "pixi-lock"),
        ("uv.lock", b"", "uv-lock"),
        ("pyproject.toml", b"", "pyproject"),
        ("pylock.dev.toml", b"", "pylock"),
        ("x.toml", b"[project]\nname='x'", "pyproject"),
    ],
)
def test_formats_are_known_by_name_and_first_lines(file: str, data: bytes, found: str) -> None:
    assert detect(file, data) == found


def test_an_unknown_format_is_said() -> None:
    with pytest.raises(InvalidInput) as caught:
        detect("photo.jpg", b"\xff\xd8")
    assert caught.value.reference == "unknown-format"
    with pytest.raises(InvalidInput):
        nothing_opened("x")
