"""What Hypothesis makes up for tests of more than one module."""

from __future__ import annotations

from hypothesis import strategies as st

from distnet.core.wire import MAX_ID, QUIT_ID

ids = st.integers(0, MAX_ID).filter(lambda node: node != QUIT_ID)
messages = st.lists(st.tuples(ids, st.binary(max_size=40)), max_size=8)
"""What a node is sent: (source, payload)."""
