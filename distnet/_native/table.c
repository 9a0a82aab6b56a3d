/* See table.h. */
#include "table.h"

#include <errno.h>
#include <stdlib.h>

#ifdef TINY
enum { BUCKETS_AT_FIRST = 2 }; /* So few that tests see it grow. */
#else
enum { BUCKETS_AT_FIRST = 256 };
#endif

static void put(struct table *table, struct entry *entry)
{
    struct entry **bucket = table_bucket(table, entry->key);
    entry->next = *bucket;
    *bucket = entry;
}

static int spread(struct table *table)
{
    size_t before = table->buckets;
    struct entry **old = table->bucket;
    struct entry **bucket = calloc(2 * before, sizeof *bucket);
    if (!bucket)
        return ENOMEM;
    table->bucket = bucket;
    table->buckets = 2 * before;
    for (size_t i = 0; i < before; i++)
        for (struct entry *entry = old[i], *next; entry; entry = next) {
            next = entry->next;
            put(table, entry);
        }
    free(old);
    return 0;
}

int table_begin(struct table *table)
{
    *table = (struct table){.buckets = BUCKETS_AT_FIRST};
    table->bucket = calloc(table->buckets, sizeof *table->bucket);
    return table->bucket ? 0 : ENOMEM;
}

void table_end(struct table *table)
{
    free(table->bucket);
}

int table_put(struct table *table, struct entry *entry)
{
    if (table->entries >= table->buckets && spread(table))
        return ENOMEM;
    put(table, entry);
    table->entries++;
    return 0;
}

void table_remove(struct table *table, struct entry *entry)
{
    struct entry **link = table_bucket(table, entry->key);
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    table->entries--;
}
