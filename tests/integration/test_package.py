"""What is installed: from a wheel, from sources, in editable mode, and from the checkout alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.daemons import PATIENCE, ROOT, TWISTD
from tests.masters import Kernel, Master, running
from tests.suites import why_not_native

PIP = ["-m", "pip", "--quiet", "--disable-pip-version-check"]
COMPILED = sysconfig.get_config_var("EXT_SUFFIX")
NOT_SOURCES = (
    ".*", "build", "dist", "*.egg-info", "__pycache__", "dropin.cache", f"*{COMPILED}",
    "_trial_temp*", "twistd.*",
)  # fmt: skip
"""What lies in a checkout and is not of it."""


class Environment:
    """A virtual environment of its own, which borrows what distnet depends on from this one."""

    def __init__(self, directory: Path) -> None:
        venv.create(directory, with_pip=False, symlinks=True)
        self.bin = directory / "bin"
        self.python = str(self.bin / "python")
        (site,) = directory.glob("lib/python*/site-packages")
        (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(self, *command: str, cwd: Path) -> str:
        """The output of a command in it, which must succeed."""
        ended = subprocess.run(
            command, cwd=cwd, env=clean(), capture_output=True, text=True,
            timeout=PATIENCE * 4, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def install(self, *what: str) -> None:
        """Install by pip, as it is; what this environment borrows does not count."""
        subprocess.run(
            [sys.executable, *PIP, "--python", self.python, "install", "--no-deps",
             "--ignore-installed", *what], check=True, capture_output=True,
        )  # fmt: skip

    def check(self, outside: Path, package: Path, *, compiled: bool = True) -> None:
        """
        twistd knows distnet, which is the one that was installed, and both commands run.

        @param compiled: whether it has native code, if the checkout has.
        """
        outside.mkdir()
        where = self.run(self.python, "-c", "import distnet; print(distnet.__file__)", cwd=outside)
        assert Path(where.strip()).is_relative_to(package)
        twistd = str(self.bin / "twistd")
        (self.bin / "twistd").write_text(
            f"#!{self.python}\nfrom twisted.scripts.twistd import run\nraise SystemExit(run())\n"
        )
        (self.bin / "twistd").chmod(0o755)
        known = self.run(twistd, "--help", cwd=outside)
        for daemon, option in (("distnet", "--port="), ("distnet-vde", "--sock=")):
            assert f" {daemon} " in known
            assert option in self.run(twistd, daemon, "--help", cwd=outside)
            told = self.run(twistd, daemon, "--version", cwd=outside)
            if not compiled:
                assert ", pure Python: " in told
            elif why_not_native() is None:
                assert told.endswith(", with native code\n")
        distnet = str(self.bin / "distnet")
        assert self.run(distnet, "--version", cwd=outside).startswith("distnet ")
        switch = str(self.bin / "distnet-vde-switch")
        assert self.run(switch, "--version", cwd=outside).startswith("distnet ")
        outside.joinpath("master").mkdir()
        master = Master(outside / "master", "--port", "0", twistd=twistd, environment=clean())
        with running(master), Kernel(("127.0.0.1", master.port)) as kernel:
            assert kernel.read_id() == 0


def clean() -> dict[str, str]:
    """The environment of a user who knows nothing of the checkout."""
    return {**os.environ, "PYTHONPATH": ""}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packaged, since building leaves things behind."""
    return copied(tmp_path_factory.mktemp("copy") / "source")


def copied(copy: Path) -> Path:
    """A directory with all that is packaged."""
    return shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_SOURCES))


def build(source: Path, directory: Path, **environment: str) -> Path:
    """A wheel of a copy, or of packed sources, made in a directory."""
    made(
        *PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(directory),
        str(source), **environment,
    )  # fmt: skip
    (built,) = directory.glob("*.whl")
    return built


def made(*words: str, **environment: str) -> str:
    """What is said by a Python that makes a package, and must succeed."""
    ended = subprocess.run(
        [sys.executable, *words], env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def packaged(wheel: Path) -> set[str]:
    """What is in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def below(pattern: str) -> set[str]:
    """Files of the package."""
    return {str(path.relative_to(ROOT)) for path in (ROOT / "distnet").rglob(pattern)}


@pytest.fixture(scope="module")
def packed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, packed as they are published."""
    directory = tmp_path_factory.mktemp("packed")
    told = made("-m", "build", "--sdist", "--no-isolation", "--outdir", str(directory), str(source))
    assert "deprecated" not in told
    (archive,) = directory.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, made of packed sources."""
    return build(packed, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_has_all_of_the_package(wheel: Path) -> None:
    """Every module is in the wheel; twisted and twisted/plugins are nobody's package there."""
    stubs = below("*.pyi")
    compiled = {name for name in packaged(wheel) if name.endswith(COMPILED)}
    assert packaged(wheel) - compiled == below("*.py") | stubs | {
        "distnet/py.typed",
        "twisted/plugins/distnet_plugin.py",
    }
    if why_not_native() is None:
        assert compiled == {stub.removesuffix(".pyi") + COMPILED for stub in stubs}


def test_packed_sources_are_the_checkout(packed: Path, tmp_path: Path) -> None:
    """All that is in a checkout is in them: headers, documents, tests, the licence."""
    pristine = copied(tmp_path / "pristine")
    wanted = {str(path.relative_to(pristine)) for path in pristine.rglob("*") if path.is_file()}
    with tarfile.open(packed) as archive:
        top = packed.name.removesuffix(".tar.gz")
        there = {name.removeprefix(f"{top}/") for name in archive.getnames()}
    assert wanted - there == set()
    assert "distnet/_native/table.h" in there


def test_the_wheel_has_the_licence(wheel: Path) -> None:
    """Whoever gets the wheel gets the licence too, and is told which it is."""
    with zipfile.ZipFile(wheel) as archive:
        (licence,) = (name for name in archive.namelist() if name.endswith("LICENSE"))
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
        (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        assert re.search(r"^License(-Expression)?: MIT$", archive.read(metadata).decode(), re.M)


def test_without_a_compiler(tmp_path: Path) -> None:
    """Where nothing can be compiled, a wheel has the pure version, and runs."""
    pure = build(copied(tmp_path / "source"), tmp_path, CC="false")
    assert not [name for name in packaged(pure) if name.endswith(COMPILED)]
    environment = Environment(tmp_path / "venv")
    environment.install("--no-index", str(pure))
    environment.check(tmp_path / "outside", tmp_path / "venv", compiled=False)


def test_from_a_wheel(wheel: Path, tmp_path: Path) -> None:
    """A wheel brings twistd's plugin and the distnet command."""
    environment = Environment(tmp_path / "venv")
    environment.install("--no-index", str(wheel))
    environment.check(tmp_path / "outside", tmp_path / "venv")


def test_an_editable_install(source: Path, tmp_path: Path) -> None:
    """An editable install has the plugin too."""
    environment = Environment(tmp_path / "venv")
    environment.install("--no-build-isolation", "--editable", str(source))
    environment.check(tmp_path / "outside", source)


def test_from_the_checkout(tmp_path: Path) -> None:
    """Without an installation it is enough that Python looks in the checkout."""
    ended = subprocess.run(
        [TWISTD, "--help"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert " distnet " in ended.stdout
    assert " distnet-vde " in ended.stdout
