"""Builds and caches what a test guest boots: a Debian kernel and an initramfs with our client.

Everything lands in a cache outside the repository (C{$DISTNET_CACHE}, else the user's cache
directory) and is made again only when its inputs changed. It is not a distribution builder: one
kernel, the NIC's modules, busybox, the client. C{python -m tests.guest.image} prints the paths of
kernel and initramfs; C{--refresh} asks apt for a newer kernel.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import gzip
import hashlib
import lzma
import os
import pathlib
import shutil
import stat
import struct
import sys
import tempfile
from collections.abc import Iterator, Sequence

from tests.guest.debian import ImageError, Packages, foreign, mirror, one, run

HERE = pathlib.Path(__file__).resolve().parent
MODULES = ("pps_core", "ptp", "e1000e")
APPLETS = ("sh", "mount", "cat", "insmod", "ip", "sleep", "stty", "poweroff", "udhcpc")
CFLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-static")
LAYOUT = "1"  # part of the initramfs' name: raise it when this file packs differently


@dataclasses.dataclass(frozen=True, slots=True)
class Arch:
    """What differs between guest architectures."""

    name: str
    deb: str
    kernel_package: str
    kernel_glob: str
    cc: str
    qemu: str
    machine: tuple[str, ...]
    console: str
    append: str
    suite: str = ""
    """Debian's, for an architecture that need not be this machine's; else what apt has."""


ARCHS = {
    "x86_64": Arch(
        name="x86_64",
        deb="amd64",
        kernel_package="linux-image-amd64",
        kernel_glob="boot/vmlinuz-*",
        cc="gcc",
        qemu="qemu-system-x86_64",
        # No option ROM: nobody boots from the NIC, and its package need not be installed.
        machine=("-machine", "pc", "-global", "e1000e.romfile="),
        console="ttyS0",
        # To patch the lock prefixes out of the kernel takes an eighth of the boot under emulation.
        append="cryptomgr.notests=1 ipv6.disable=1 noreplace-smp",
    ),
    "riscv64": Arch(
        name="riscv64",
        deb="riscv64",
        kernel_package="linux-image-riscv64",
        kernel_glob="boot/vmlinux-*",
        cc="riscv64-linux-gnu-gcc",
        qemu="qemu-system-riscv64",
        machine=("-machine", "virt", "-global", "e1000e.romfile="),
        console="ttyS0",
        append="cryptomgr.notests=1 ipv6.disable=1",
        suite="trixie",  # the first with riscv64
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """Paths of a bootable pair."""

    kernel: pathlib.Path
    initramfs: pathlib.Path


def cache_dir() -> pathlib.Path:
    """Where images live: never inside the repository."""
    if chosen := os.environ.get("DISTNET_CACHE"):
        return pathlib.Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "distnet"


def missing_tools(arch: str = "x86_64") -> list[str]:
    """Programs without which no guest can be built and run on this machine."""
    table = ARCHS[arch]
    return [tool for tool in (table.qemu, table.cc, "dpkg") if not shutil.which(tool)]


def build(arch: str = "x86_64", refresh: bool = False) -> Image:
    """The image for C{arch}, from the cache where it is up to date. Raises ImageError."""
    try:
        table = ARCHS[arch]
    except KeyError:
        raise ImageError(f"no guest architecture {arch!r}, only {', '.join(ARCHS)}") from None
    cache = cache_dir() / "guest" / arch
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        base = _base(table, cache, refresh)
        return Image(base / "kernel", _initramfs(table, cache, base))


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
    """Let a second builder wait instead of downloading the same again."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _base(arch: Arch, cache: pathlib.Path, refresh: bool) -> pathlib.Path:
    """The directory with the parts that come from Debian: kernel, modules, busybox."""
    kept = sorted(cache.glob("base-*/complete"), key=lambda path: path.stat().st_mtime)
    if kept and not refresh:
        return kept[-1].parent
    with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as scratch:
        work, parts = pathlib.Path(scratch), pathlib.Path(scratch) / "parts"
        parts.mkdir()
        packages = Packages()
        if arch.suite:
            packages = foreign(arch.deb, arch.suite, mirror(), work)
        package = packages.kernel(arch.kernel_package)
        target = cache / f"base-{package}"
        if (target / "complete").exists():
            return target
        tree = packages.unpack(package, work)
        (parts / "kernel").write_bytes(_uncompressed(one(tree, arch.kernel_glob).read_bytes()))
        for name in MODULES:
            for found in tree.rglob(f"{name}.ko*"):
                data = found.read_bytes()
                data = lzma.decompress(data) if found.suffix == ".xz" else data
                (parts / f"{name}.ko").write_bytes(data)
        if not (parts / "e1000e.ko").exists():
            raise ImageError(f"package {package} has no module e1000e")
        shutil.copyfile(_busybox(arch, packages, work), parts / "busybox")
        (parts / "complete").touch()
        shutil.rmtree(target, ignore_errors=True)
        parts.rename(target)
    return target


def _busybox(arch: Arch, packages: Packages, work: pathlib.Path) -> pathlib.Path:
    """The static busybox, from this machine if it is of the guest's architecture."""
    installed = pathlib.Path("/bin/busybox")
    if os.uname().machine == arch.name and installed.exists():
        with installed.open("rb") as program:
            if b"ld-linux" not in program.read(4096):
                return installed
    tree = packages.unpack("busybox-static", work)
    # usr/share holds an initramfs-tools hook of the same name
    return next(path for path in tree.rglob("bin/busybox") if path.is_file())


def _uncompressed(kernel: bytes) -> bytes:
    """The ELF inside a bzImage, or the kernel as it is.

    QEMU boots the ELF directly (PVH), which spares the guest unpacking it under emulation: half of
    the boot time. The offsets are those of the boot protocol (Documentation/arch/x86/boot.rst).
    """
    if kernel[0x202:0x206] != b"HdrS":
        return kernel
    offset, length = struct.unpack_from("<II", kernel, 0x248)
    start = ((kernel[0x1F1] or 4) + 1) * 512 + offset
    packed = kernel[start : start + length]
    for magic, decompress in (
        (b"\xfd7zXZ", lambda data: lzma.LZMADecompressor().decompress(data)),
        (b"\x1f\x8b", gzip.decompress),
    ):
        if packed.startswith(magic):
            unpacked = decompress(packed)
            return unpacked if unpacked.startswith(b"\x7fELF") else kernel
    return kernel


def compile_client(compiler: str, target: pathlib.Path) -> None:
    """Compile what runs scripts in a guest. Raises ImageError."""
    units = [str(unit) for unit in sorted(HERE.glob("*.c"))]
    run([compiler, *CFLAGS, "-o", str(target), *units], "compiling the client")


def _initramfs(arch: Arch, cache: pathlib.Path, base: pathlib.Path) -> pathlib.Path:
    init, leased = ((HERE / name).read_bytes() for name in ("init", "leased"))
    modules = {path.name: path.read_bytes() for path in sorted(base.glob("*.ko"))}
    busybox = (base / "busybox").read_bytes()
    digest = hashlib.sha256(repr((LAYOUT, arch.cc, CFLAGS, APPLETS, list(modules))).encode())
    texts = [source.read_bytes() for source in sorted(HERE.glob("*.[ch]"))]
    for part in (*texts, init, leased, busybox, *modules.values()):
        digest.update(hashlib.sha256(part).digest())
    target = cache / f"initramfs-{digest.hexdigest()[:16]}.cpio.gz"
    if target.exists():
        return target

    with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as scratch:
        client = pathlib.Path(scratch) / "strict_client"
        compile_client(arch.cc, client)
        archive = _Cpio()
        for directory in ("bin", "dev", "lib", "proc", "sys"):
            archive.add(directory, stat.S_IFDIR | 0o755)
        archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        archive.add("init", stat.S_IFREG | 0o755, init)
        archive.add("bin/leased", stat.S_IFREG | 0o755, leased)
        archive.add("bin/busybox", stat.S_IFREG | 0o755, busybox)
        archive.add("bin/strict_client", stat.S_IFREG | 0o755, client.read_bytes())
        for applet in APPLETS:
            archive.add(f"bin/{applet}", stat.S_IFLNK | 0o777, b"busybox")
        for name, data in modules.items():
            archive.add(f"lib/{name}", stat.S_IFREG | 0o644, data)
        packed = pathlib.Path(scratch) / "packed"
        packed.write_bytes(gzip.compress(archive.finish(), compresslevel=1, mtime=0))
        packed.rename(target)
    return target


class _Cpio:
    """Writer of the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst).

    Our own, because a device node in an archive then needs neither root nor fakeroot.
    """

    def __init__(self) -> None:
        self._out = bytearray()
        self._inode = 0

    def add(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self._inode += 1
        path = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        self._out += b"070701" + b"".join(b"%08x" % field for field in fields) + path
        self._pad()
        self._out += data
        self._pad()

    def finish(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return bytes(self._out)

    def _pad(self) -> None:
        self._out += bytes(-len(self._out) % 4)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the paths of kernel and initramfs, one a line."""
    parser = argparse.ArgumentParser(description="build the test guests' image")
    parser.add_argument("--arch", default="x86_64", choices=sorted(ARCHS))
    parser.add_argument("--refresh", action="store_true", help="ask apt for a newer kernel")
    options = parser.parse_args(argv)
    try:
        image = build(options.arch, options.refresh)
    except ImageError as error:
        print(f"image.py: {error}", file=sys.stderr)
        return 1
    print(image.kernel, image.initramfs, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
