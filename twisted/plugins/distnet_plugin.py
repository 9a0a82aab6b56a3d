"""Makes C{twistd distnet} known."""

from twisted.application.service import ServiceMaker

distnet_master = ServiceMaker(
    "distnet master",
    "distnet.tap",
    "The master of a distributed operating system: gives kernels ids and routes their messages.",
    "distnet",
)

distnet_switch = ServiceMaker(
    "distnet switch",
    "distnet.vde_tap",
    "A virtual Ethernet switch: vde_switch's place taken, options and all.",
    "distnet-vde",
)
