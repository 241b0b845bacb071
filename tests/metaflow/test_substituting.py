"""Variables in names that are looked up when a task starts."""

from __future__ import annotations

import pytest

from envbuild.errors import InvalidInput
from envbuild.metaflow.substituting import parameter_variable, substituted, variables


def test_each_variable_stands_for_its_value() -> None:
    text = "t/x:@{METAFLOW_RUN_ID}-@{A}-@{METAFLOW_RUN_ID}"
    assert variables(text) == ("METAFLOW_RUN_ID", "A")
    assert substituted(text, {"METAFLOW_RUN_ID": "12", "A": "@{A}"}) == "t/x:12-@{A}-12"
    assert substituted("t/x:$A-{A}-@A", {}) == "t/x:$A-{A}-@A"


def test_one_that_nobody_knows_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(InvalidInput) as caught:
        substituted("t/@{A}:@{B}-@{C}", {"A": "1"})
    assert caught.value.reference == "unknown-variable"
    assert caught.value.message == "'t/@{A}:@{B}-@{C}': @{B}, @{C} are not known"
    assert "METAFLOW_INIT_<PARAMETER>" in (caught.value.hint or "")


def test_a_parameter_s_variable_is_as_metaflow_writes_it() -> None:
    assert parameter_variable("my-lr") == "METAFLOW_INIT_MY_LR"
