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

unsigned address_read(const struct address *address, unsigned char *bytes)
{
    uint64_t key = address->entry.key;
    uint16_t number;
    memcpy(bytes, &key, ADDRESS_SIZE);
    memcpy(&number, (unsigned char *)&key + ADDRESS_SIZE, sizeof number);
    return number;
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
    list_free(&addresses->touched);
}

int addresses_learn(
    struct addresses *addresses, unsigned vlan, const unsigned char *bytes, uint32_t port)
{
    addresses_forget(addresses, vlan, bytes);
    if (list_reserve(&addresses->touched, addresses->table.entries + 1))
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
    if (address->touched)
        list_strike(&addresses->touched, address);
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
        list_enter(&addresses->touched, address);
    }
}

void addresses_forget_touched(struct addresses *addresses)
{
    for (size_t i = 0; i < addresses->touched.size; i++) {
        struct address *address = addresses->touched.item[i];
        address->touched = 0;
    }
    addresses->touched.size = 0;
}
