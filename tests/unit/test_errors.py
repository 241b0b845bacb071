"""Errors keep their data across processes, and each class has its own exit code."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from envbuild import errors
from envbuild.errors import EnvbuildError, InvalidInput, Issue, Where
from envbuild.reading import places, spelling, trial_words
from envbuild.reading.cutoff import cut_off_text

CLASSES = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, EnvbuildError)]


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_pickling(kind):
    error = kind("it broke", reference="some-thing", where=Where(file="a.yaml", line=3, column=5), hint="mend it")
    error.__cause__ = ValueError("because")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (copy.message, copy.reference, copy.where, copy.hint) == (
        "it broke",
        "some-thing",
        error.where,
        "mend it",
    )
    assert str(copy.__cause__) == "because"


def test_every_class_but_the_root_has_an_exit_code_of_its_own():
    codes = [kind.exit_code for kind in CLASSES]
    assert sorted(codes) == list(range(1, 12))
    references = [kind.default_reference for kind in CLASSES]
    assert len(set(references)) == len(references)


def test_the_tree_in_the_docstring_is_the_tree():
    for kind in CLASSES:
        assert kind.__name__ in errors.__doc__


def test_one_error_stands_for_several_findings():
    findings = tuple(
        Issue(message=f"finding {n}", reference="unknown-key", where=Where(file="a", line=n)) for n in (1, 2)
    )
    error = InvalidInput.of(findings)
    assert error.all_issues() == findings
    assert error.message == "finding 1"
    assert str(error.where) == "a:1"
    assert EnvbuildError("alone").all_issues()[0].message == "alone"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("'torch @ https://me:pa55@x/y.whl' is no name", "'torch @ https://***@x/y.whl' is no name"),
        ("https://t0ken@x/y and http://a:b@z", "https://***@x/y and http://***@z"),
        ("ssh://git:pa55@x/y is refused", "ssh://***@x/y is refused"),
        ("ssh://git@x/y, s3://bucket/a@b, https://x/a@b, https://***@x", None),
    ],
)
def test_no_error_repeats_a_password(said: str, shown: str | None) -> None:
    for error in (
        EnvbuildError(said, hint=said),
        InvalidInput.of((Issue(message=said, reference="bad-name", hint=said),)),
    ):
        wanted = shown or said
        assert (str(error), error.message, error.hint) == (wanted, wanted, wanted)
        assert {(issue.message, issue.hint) for issue in error.all_issues()} == {(wanted, wanted)}


@pytest.mark.parametrize(
    "of",
    [
        cut_off_text,
        places.check_channel_name,
        places.check_index_name,
        places.check_relative,
        spelling.conda_name,
        spelling.pypi_requirement_name,
        spelling.python_constraint,
        spelling.variable_name,
        spelling.system_name,
        trial_words.module_name,
        trial_words.program_name,
    ],
)
@pytest.mark.parametrize("host", ["host", "h" * 100])
def test_a_word_that_is_cut_before_the_end_of_its_password_is_not_shown(of: Callable[[str], object], host: str) -> None:
    for length in (10, 50, 100):
        with pytest.raises(InvalidInput) as raised:
            of(f"https://user:{'s3cret' * length}@{host}/x")
        assert "s3cret" not in str(raised.value)
