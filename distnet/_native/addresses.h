/* Which addresses are behind which port, in each VLAN, and when they have last sent something. */
#ifndef DISTNET_ADDRESSES_H
#define DISTNET_ADDRESSES_H

#include <stddef.h>
#include <stdint.h>

#include "table.h"

enum { ADDRESS_SIZE = 6 };

struct address {
    struct entry entry;
    uint32_t port;
    int touched;
    uint64_t seen; /* when; ns */
};

/* An address that has sent something since that was last asked. */
struct seen {
    unsigned vlan;
    unsigned char address[ADDRESS_SIZE];
    uint64_t ago; /* ns */
};

struct addresses {
    struct table table;
    struct address **touched;
    struct seen *seen; /* of those that were touched */
    size_t touched_size, touched_room;
};

/* 0 or ENOMEM. */
int addresses_begin(struct addresses *addresses);
void addresses_end(struct addresses *addresses);
/* An address is behind a port. 0 or ENOMEM. */
int addresses_learn(
    struct addresses *addresses, unsigned vlan, const unsigned char *address, uint32_t port);
/* It is not known any more, if it was. */
void addresses_forget(struct addresses *addresses, unsigned vlan, const unsigned char *address);
/* NULL if it is not known. */
struct address *addresses_find(
    const struct addresses *addresses, unsigned vlan, const unsigned char *address);
/* It has sent something now. */
void addresses_touch(struct addresses *addresses, struct address *address, uint64_t now);
/* Those that were touched since addresses_seen_by_all(). */
size_t addresses_seen(struct addresses *addresses, uint64_t now, struct seen **seen);
void addresses_seen_by_all(struct addresses *addresses);

#endif
