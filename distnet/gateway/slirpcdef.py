"""
What libslirp.h says, as far as it is used here; and what cffi makes of it, for L{_slirpffi}.

C{python -m distnet.gateway.slirpcdef} writes that module. Without it, each start would load a
parser of C, whose objects lie between those that guests' processes write to: 0.7 MB for each guest.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import cffi  # type: ignore[import-untyped]

MODULE: Final = "_slirpffi"
DEFINITIONS: Final = """
typedef struct Slirp Slirp;
struct in_addr { uint32_t s_addr; };
struct in6_addr { uint8_t s6_addr[16]; };
typedef struct {
    uint32_t version;
    int restricted;
    _Bool in_enabled;
    struct in_addr vnetwork, vnetmask, vhost;
    _Bool in6_enabled;
    struct in6_addr vprefix_addr6;
    uint8_t vprefix_len;
    struct in6_addr vhost6;
    const char *vhostname, *tftp_server_name, *tftp_path, *bootfile;
    struct in_addr vdhcp_start, vnameserver;
    struct in6_addr vnameserver6;
    const char **vdnssearch;
    const char *vdomainname;
    size_t if_mtu, if_mru;
    _Bool disable_host_loopback, enable_emu;
    void *outbound_addr, *outbound_addr6;
    _Bool disable_dns, disable_dhcp;
} SlirpConfig;
typedef struct {
    ssize_t (*send_packet)(const void *, size_t, void *);
    void (*guest_error)(const char *, void *);
    int64_t (*clock_get_ns)(void *);
    void *(*timer_new)(void (*)(void *), void *, void *);
    void (*timer_free)(void *, void *);
    void (*timer_mod)(void *, int64_t, void *);
    void (*register_poll_fd)(int, void *);
    void (*unregister_poll_fd)(int, void *);
    void (*notify)(void *);
    void (*init_completed)(Slirp *, void *);
    void *(*timer_new_opaque)(int, void *, void *);
} SlirpCb;
Slirp *slirp_new(const SlirpConfig *, const SlirpCb *, void *);
void slirp_cleanup(Slirp *);
void slirp_input(Slirp *, const uint8_t *, int);
void slirp_pollfds_fill(Slirp *, uint32_t *, int (*)(int, int, void *), void *);
void slirp_pollfds_poll(Slirp *, int, int (*)(int, void *), void *);
int slirp_add_unix(Slirp *, const char *, struct in_addr *, int);
int slirp_add_hostfwd(Slirp *, int, struct in_addr, int, struct in_addr, int);
int slirp_remove_hostfwd(Slirp *, int, struct in_addr, int);
char *slirp_connection_info(Slirp *);
void free(void *);
const char *slirp_version_string(void);
"""


def made() -> str:
    """The module, as it has to be."""
    ffi = cffi.FFI()
    ffi.cdef(DEFINITIONS)
    ffi.set_source(MODULE, None)
    with tempfile.TemporaryDirectory() as directory:
        return Path(ffi.compile(tmpdir=directory)).read_text()


if __name__ == "__main__":
    Path(__file__).with_name(f"{MODULE}.py").write_text(made())
