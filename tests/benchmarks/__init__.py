"""Tests of the benchmarks themselves, and of what they keep watch over."""
