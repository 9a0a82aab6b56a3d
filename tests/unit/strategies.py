"""What Hypothesis makes up for tests of more than one module."""

from __future__ import annotations

from hypothesis import strategies as st

from distnet.wire import MAX_ID, QUIT_ID

ids = st.integers(0, MAX_ID).filter(lambda node: node != QUIT_ID)
messages = st.lists(st.tuples(ids, st.binary(max_size=40)), max_size=8)
"""What a node is sent: (source, payload)."""
cuts = st.lists(st.integers(1, 7), min_size=1, max_size=20)
"""How many bytes come, or go, at a time: one after the other, over and over."""


def chunked(data: bytes, sizes: list[int]) -> list[bytes]:
    """C{data} in pieces of C{sizes} bytes, over and over."""
    pieces: list[bytes] = []
    turn = 0
    while data:
        size = sizes[turn % len(sizes)]
        pieces.append(data[:size])
        data = data[size:]
        turn += 1
    return pieces
