"""
Some tests on each version of Python, and with the oldest Twisted, that setup.py allows: C{nox}.

All unit tests, and of those with real daemons some that show whether the reactor, the native code,
the command line and the plugins for twistd and pytest work. nox and not tox, as these few lines of
Python say it; it takes the interpreters that it finds on PATH, or fetches what is missing if uv is
installed.
"""

from __future__ import annotations

import nox

TESTS = (
    "tests/unit",
    *(f"tests/integration/test_{name}.py"
      for name in ("delivery", "client", "aio", "control", "native", "vde_control",
                   "pytest_plugin")),
)  # fmt: skip


def _test(session: nox.Session, *constraints: str) -> None:
    # In place: what the tests start imports the checkout.
    session.install("--editable", ".[test]", *constraints)
    session.run("python", "setup.py", "--quiet", "build_ext", "--inplace")
    session.run("pytest", *(session.posargs or TESTS))


@nox.session(python=["3.11", "3.12", "3.13"])
def newest(session: nox.Session) -> None:
    """With the newest of all that it needs."""
    _test(session)


@nox.session(python="3.11")
def oldest(session: nox.Session) -> None:
    """With the oldest Twisted."""
    _test(session, "twisted==23.10.0")
