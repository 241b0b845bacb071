"""Benchmarks: envbuild beside the engines that it is built on, in the same run and on the same inputs.

``python -m benchmarks [--quick] [NAMES]`` prints a table and writes ``docs/performance.md``. One file per question;
each says what it measures and why.
"""
