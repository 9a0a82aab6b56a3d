"""Makes C{twistd distnet} known."""

from twisted.application.service import ServiceMaker

distnet_master = ServiceMaker(
    "distnet master",
    "distnet.tap",
    "The master of a distributed operating system: gives kernels ids and routes their messages.",
    "distnet",
)
