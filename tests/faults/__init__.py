"""Faults, end to end and by the command line: killed, stopped, damaged, full, cut off, and lied to.

Counts are small by default; with ``ENVBUILD_TEST_TORTURE=1`` (``./dev torture``) the same tests run with full counts
and write their figures to ``docs/reliability.md``.
"""

import pytest

pytest.register_assert_rewrite("tests.faults.world")
