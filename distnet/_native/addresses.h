/* Which addresses are behind which port, in each VLAN, and when they have last sent something. */
#ifndef DISTNET_ADDRESSES_H
#define DISTNET_ADDRESSES_H

#include <stdint.h>

#include "list.h"
#include "table.h"

enum { ADDRESS_SIZE = 6 };

struct address {
    struct entry entry;
    uint32_t port;
    int touched;
    uint64_t seen; /* when; ns */
};

struct addresses {
    struct table table;
    struct list touched; /* since addresses_forget_touched() */
};

/* 0 or ENOMEM. */
int addresses_begin(struct addresses *addresses);
void addresses_end(struct addresses *addresses);
/* An address is behind a port. 0 or ENOMEM. */
int addresses_learn(
    struct addresses *addresses, unsigned vlan, const unsigned char *address, uint32_t port);
/* An address is not known any more, if it was. */
void addresses_forget(struct addresses *addresses, unsigned vlan, const unsigned char *address);
/* NULL if it is not known. */
struct address *addresses_find(
    const struct addresses *addresses, unsigned vlan, const unsigned char *address);
/* An address has sent something now. */
void addresses_touch(struct addresses *addresses, struct address *address, uint64_t now);
void addresses_forget_touched(struct addresses *addresses);
/* Write the ADDRESS_SIZE bytes of an address to `bytes`; returns its VLAN. */
unsigned address_read(const struct address *address, unsigned char *bytes);

#endif
