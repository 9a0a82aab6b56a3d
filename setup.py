"""Packaging of distnet. Tools are configured in pyproject.toml."""

import re
from pathlib import Path

from setuptools import Extension, setup

here = Path(__file__).parent
version = re.search(r'^__version__ = "(.+)"', (here / "distnet/__init__.py").read_text(), re.M)
assert version is not None

POLLED = ("list", "poller", "polled", "table")
"""What serves descriptors of Twisted's."""
HEADERS = ("message", "served")
"""What has no source of its own."""

setup(
    name="distnet",
    version=version[1],
    description="The network under a distributed operating system: a master for kernels",
    long_description=(here / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    # Without package_dir an editable install finds distnet but loses the plugin.
    package_dir={"": "."},
    packages=[
        "distnet",
        "distnet._native",
        "distnet.cli",
        "distnet.client",
        "distnet.cluster",
        "distnet.control",
        "distnet.daemon",
        "distnet.gateway",
        "distnet.master",
        "distnet.master.core",
        "distnet.sockets",
        "distnet.switch",
        "distnet.switch.console",
        "distnet.switch.core",
        "distnet.switch.plugs",
        "twisted.plugins",
    ],
    package_data={"distnet": ["py.typed"], "distnet._native": ["*.pyi"]},
    # Where there is no compiler, the pure version runs.
    ext_modules=[
        Extension(
            f"distnet._native.{name}",
            [f"distnet/_native/{source}.c" for source in (name, f"{name}module", *parts)],
            depends=[
                f"distnet/_native/{header}.h" for header in (name, *parts, "message", "served")
            ],
            extra_compile_args=["-std=gnu11", "-O2"],
            optional=True,
        )
        for name, parts in (
            ("router", ("unread", *POLLED)),
            ("bridge", ("addresses", *POLLED)),
            ("guest", ("relay", "segment", "list")),
        )
    ],
    install_requires=[
        "twisted[tls]>=23.10",
        "zope.interface",
        "service-identity",
        "attrs",
        # For the gateway; cryptography, which twisted[tls] needs, needs it too.
        "cffi",
    ],
    extras_require={
        "test": [
            "build",
            "pytest",
            "pytest-twisted",
            "pytest-xdist",
            "hypothesis",
            "setuptools>=70.1",
        ],
        "lint": ["ruff", "mypy", "mypy-zope"],
        "docs": ["sphinx>=8", "myst-parser>=4", "furo", "towncrier>=24.8"],
    },
    entry_points={
        "console_scripts": [
            "distnet = distnet.cli.main:main",
            "distnet-vde-switch = distnet.switch.cli:main",
        ],
        "pytest11": ["distnet = distnet.pytest_plugin"],
    },
    zip_safe=False,
    classifiers=[
        "Framework :: Twisted",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: System :: Operating System Kernels",
        "Topic :: System :: Networking",
    ],
)
