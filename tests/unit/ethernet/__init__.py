"""Tests of distnet.ethernet."""
