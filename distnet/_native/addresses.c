/* See addresses.h. */
#include "addresses.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* Have room for one more to be touched. */
static int make_room(struct addresses *addresses)
{
    if (addresses->table.entries < addresses->touched_room)
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
    *addresses = (struct addresses){0};
    return table_begin(&addresses->table);
}

void addresses_end(struct addresses *addresses)
{
    const struct table *table = &addresses->table;
    for (size_t i = 0; table->bucket && i < table->buckets; i++)
        for (struct entry *entry = table->bucket[i], *next; entry; entry = next) {
            next = entry->next;
            free(entry);
        }
    table_end(&addresses->table);
    free(addresses->touched);
    free(addresses->seen);
}

int addresses_learn(
    struct addresses *addresses, unsigned vlan, const unsigned char *bytes, uint32_t port)
{
    addresses_forget(addresses, vlan, bytes);
    if (make_room(addresses))
        return ENOMEM;
    struct address *address = calloc(1, sizeof *address);
    if (!address)
        return ENOMEM;
    address->entry.key = key_of(vlan, bytes);
    address->port = port;
    if (table_put(&addresses->table, &address->entry)) {
        free(address);
        return ENOMEM;
    }
    return 0;
}

void addresses_forget(struct addresses *addresses, unsigned vlan, const unsigned char *bytes)
{
    struct address *address = addresses_find(addresses, vlan, bytes);
    if (!address)
        return;
    table_remove(&addresses->table, &address->entry);
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
    return table_find(&addresses->table, key_of(vlan, bytes));
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
        read_key(addresses->touched[i]->entry.key, &addresses->seen[i]);
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
