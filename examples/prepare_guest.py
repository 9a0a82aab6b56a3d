"""Puts the kernel and the initramfs of the project's own guest where the examples expect them.

C{python3 prepare_guest.py ARCH}: they are built from Debian's packages, into the user's cache, and
linked as build/guest/ARCH/kernel and build/guest/ARCH/initramfs in the checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.guest.image import ImageError, build, missing_tools  # noqa: E402


def main(arch: str) -> int:
    """Build and link; if that fails, say why in one line."""
    if missing := missing_tools(arch):
        names = ", ".join(missing)
        print(f"missing: {names}; as root on Debian, python3 -m tests.packages installs them")
        return 1
    try:
        image = build(arch)
    except ImageError as error:
        print(error)
        return 1
    place = ROOT / "build" / "guest" / arch
    place.mkdir(parents=True, exist_ok=True)
    for name, file in (("kernel", image.kernel), ("initramfs", image.initramfs)):
        new = place / f"{name}.new"
        new.unlink(missing_ok=True)
        new.symlink_to(file)
        # At once, for a cluster that is starting beside this one.
        new.rename(place / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
