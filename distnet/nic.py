"""A guest's network card: which models the QEMU of an architecture has, and what each goes on."""

from __future__ import annotations

import difflib
import re
import shutil
from typing import Final

from distnet.errors import LocalError
from distnet.qemu import ask_qemu

_NIC: Final = re.compile(
    r"(?P<model>[A-Za-z0-9][A-Za-z0-9_.-]*)(?P<options>(,[^\s,='\"\\]+=[^\s'\"\\,]*)*)"
)
_GIVEN: Final = ("netdev", "mac")
"""Options of the card that are made here."""

_PCI: Final = "PCI"
_CURES: Final = {
    _PCI: "a machine that has one, such as virt or q35, or the model virtio-net-device",
    "virtio-bus": "a machine that has one, such as virt or (x86_64) microvm, or the model"
    " virtio-net-pci",
    "usb-bus": "a USB controller, such as -device qemu-xhci",
    "ISA": "a machine that has one, such as pc",
}
_NO_BUS: Final = re.compile(r"No '(.+)' bus found for device '(.+)'")


def check_nic(text: str) -> str:
    """
    A network card as it stands in QEMU's C{-device}: C{MODEL}, or C{MODEL,OPTION=VALUE...}.

    @raise LocalError: it is none; the message is one line.
    """
    found = _NIC.fullmatch(text)
    if found is None:
        raise LocalError(
            f"{text!r} is no network card: it is like e1000 or virtio-net-device,"
            f" or a model with options of its own, virtio-net-device,bus=virtio-mmio-bus.0"
        )
    for option in found["options"].split(",")[1:]:
        name = option.partition("=")[0]
        if name in _GIVEN:
            raise LocalError(f"{text!r}: the option {name} of a network card is given by distnet")
    return text


def model_of(nic: str) -> str:
    """The model of a network card, without its options."""
    return nic.partition(",")[0]


def read_models(text: str) -> dict[str, str]:
    """
    The buses of network cards by model, in what C{qemu-system-... -device help} prints; a model's
    alias is there, too.
    """
    models = {}
    _, _, cards = text.partition("Network devices:\n")
    for line in cards.partition("\n\n")[0].splitlines():
        found = dict(re.findall(r'\b(name|alias) "([^"]*)"', line))
        bus = re.search(r'", bus ([^,]+)', line)
        models.update(dict.fromkeys(found.values(), bus[1] if bus else ""))
    return models


def find_bus(architecture: str, nic: str) -> str | None:
    """
    What a network card goes on, as QEMU calls it: C{PCI}, C{virtio-bus}.

    @return: None if there is no QEMU for the architecture on this machine.
    @raise LocalError: that QEMU has no such model; the message names those that are near.
    @raise MachineError: it does not say which it has.
    """
    program = shutil.which(f"qemu-system-{architecture}")
    if program is None:
        return None
    models = read_models(ask_qemu(program, "-device", "help"))
    model = model_of(nic)
    if model not in models:
        near = difflib.get_close_matches(model, models, 3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise LocalError(
            f"qemu-system-{architecture} has no network card {model!r}: {hint}"
            f"qemu-system-{architecture} -device help lists them, under Network devices"
        )
    return models[model]


def without_rom(nic: str, bus: str | None) -> str:
    """
    The same card without a program to boot from it, if it can have one: nobody boots from it here,
    and the file of that program need not be installed.
    """
    return f"{nic},romfile=" if bus == _PCI and ",romfile=" not in nic else nic


def about_bus(nic: str, bus: str | None) -> str | None:
    """What a card needs of the machine, in one line, or None if any machine will do."""
    if bus is None or bus == _PCI or bus not in _CURES:
        return None
    return f"{model_of(nic)} goes on {_a_bus(bus)}: it needs {_CURES[bus]}."


def what_is_missing(said: str) -> str | None:
    """What to do about QEMU having found no bus for a card, if it is that what it said."""
    found = _NO_BUS.search(said)
    if found is None or found[1] not in _CURES:
        return None
    bus, model = found.groups()
    return f"{model} goes on {_a_bus(bus)}, and this machine has none: it needs {_CURES[bus]}"


def _a_bus(bus: str) -> str:
    if bus.endswith("bus"):
        return f"a {bus}"
    return f"an {bus} bus" if bus[0] in "AEIOU" else f"a {bus} bus"
