"""Tests of the Metaflow extension: values by table, and real flows run by the real Metaflow."""
