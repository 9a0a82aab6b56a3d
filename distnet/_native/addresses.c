/* See addresses.h. */
#include "addresses.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_AT_FIRST = 256 };

/* The bytes of an address, then those of the number of a VLAN. */
static uint64_t key_of(unsigned vlan, const unsigned char *address)
{
    uint64_t key = 0;
    uint16_t number = (uint16_t)vlan;
    memcpy(&key, address, ADDRESS_SIZE);
    memcpy((unsigned char *)&key + ADDRESS_SIZE, &number, sizeof number);
    return key;
}

static void read_key(uint64_t key, struct seen *seen)
{
    uint16_t number;
    memcpy(seen->address, &key, ADDRESS_SIZE);
    memcpy(&number, (unsigned char *)&key + ADDRESS_SIZE, sizeof number);
    seen->vlan = number;
}

static size_t place(const struct addresses *addresses, uint64_t key)
{
    return (key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (addresses->buckets - 1);
}

static struct address *find(const struct addresses *addresses, uint64_t key)
{
    struct address *address = addresses->bucket[place(addresses, key)];
    while (address && address->key != key)
        address = address->next;
    return address;
}

static void put(struct addresses *addresses, struct address *address)
{
    struct address **first = &addresses->bucket[place(addresses, address->key)];
    address->next = *first;
    *first = address;
}

static int spread(struct addresses *addresses)
{
    size_t before = addresses->buckets;
    struct address **old = addresses->bucket;
    struct address **bucket = calloc(2 * before, sizeof *bucket);
    if (!bucket)
        return ENOMEM;
    addresses->bucket = bucket;
    addresses->buckets = 2 * before;
    for (size_t i = 0; i < before; i++)
        for (struct address *address = old[i], *next; address; address = next) {
            next = address->next;
            put(addresses, address);
        }
    free(old);
    return 0;
}

/* Have room for one more to be touched. */
static int make_room(struct addresses *addresses)
{
    if (addresses->count < addresses->touched_room)
        return 0;
    size_t room = addresses->touched_room ? 2 * addresses->touched_room : 64;
    void *touched = realloc(addresses->touched, room * sizeof *addresses->touched);
    if (!touched)
        return ENOMEM;
    addresses->touched = touched;
    void *seen = realloc(addresses->seen, room * sizeof *addresses->seen);
    if (!seen)
        return ENOMEM;
    addresses->seen = seen;
    addresses->touched_room = room;
    return 0;
}

int addresses_begin(struct addresses *addresses)
{
    *addresses = (struct addresses){.buckets = BUCKETS_AT_FIRST};
    addresses->bucket = calloc(addresses->buckets, sizeof *addresses->bucket);
    return addresses->bucket ? 0 : ENOMEM;
}

void addresses_end(struct addresses *addresses)
{
    for (size_t i = 0; addresses->bucket && i < addresses->buckets; i++)
        for (struct address *address = addresses->bucket[i], *next; address; address = next) {
            next = address->next;
            free(address);
        }
    free(addresses->bucket);
    free(addresses->touched);
    free(addresses->seen);
}

int addresses_learn(
    struct addresses *addresses, unsigned vlan, const unsigned char *bytes, uint32_t port)
{
    if (addresses->count >= addresses->buckets && spread(addresses))
        return ENOMEM;
    if (make_room(addresses))
        return ENOMEM;
    struct address *address = calloc(1, sizeof *address);
    if (!address)
        return ENOMEM;
    addresses_forget(addresses, vlan, bytes);
    address->key = key_of(vlan, bytes);
    address->port = port;
    put(addresses, address);
    addresses->count++;
    return 0;
}

void addresses_forget(struct addresses *addresses, unsigned vlan, const unsigned char *bytes)
{
    uint64_t key = key_of(vlan, bytes);
    struct address *address = find(addresses, key);
    if (!address)
        return;
    struct address **link = &addresses->bucket[place(addresses, key)];
    while (*link != address)
        link = &(*link)->next;
    *link = address->next;
    addresses->count--;
    if (address->touched) {
        size_t kept = 0;
        for (size_t i = 0; i < addresses->touched_size; i++)
            if (addresses->touched[i] != address)
                addresses->touched[kept++] = addresses->touched[i];
        addresses->touched_size = kept;
    }
    free(address);
}

struct address *addresses_find(
    const struct addresses *addresses, unsigned vlan, const unsigned char *bytes)
{
    return find(addresses, key_of(vlan, bytes));
}

void addresses_touch(struct addresses *addresses, struct address *address, uint64_t now)
{
    address->seen = now;
    if (!address->touched) {
        address->touched = 1;
        addresses->touched[addresses->touched_size++] = address;
    }
}

size_t addresses_seen(struct addresses *addresses, uint64_t now, struct seen **seen)
{
    for (size_t i = 0; i < addresses->touched_size; i++) {
        read_key(addresses->touched[i]->key, &addresses->seen[i]);
        addresses->seen[i].ago = now - addresses->touched[i]->seen;
    }
    *seen = addresses->seen;
    return addresses->touched_size;
}

void addresses_seen_by_all(struct addresses *addresses)
{
    for (size_t i = 0; i < addresses->touched_size; i++)
        addresses->touched[i]->touched = 0;
    addresses->touched_size = 0;
}
