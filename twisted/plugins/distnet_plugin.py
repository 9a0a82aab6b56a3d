"""Makes C{twistd distnet} known."""

from twisted.application.service import ServiceMaker

distnet_master = ServiceMaker(
    "distnet master",
    "distnet.master.options",
    "The master of a distributed operating system: gives kernels ids and routes their messages.",
    "distnet",
)

distnet_switch = ServiceMaker(
    "distnet switch",
    "distnet.switch.options",
    "A virtual Ethernet switch: vde_switch's place taken, options and all.",
    "distnet-vde",
)
