/* A hash table of things that have an entry of it as their first member. It grows. */
#ifndef DISTNET_TABLE_H
#define DISTNET_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct entry {
    struct entry *next;
    uint64_t key;
};

struct table {
    struct entry **bucket;
    size_t buckets, entries;
};

/* 0 or ENOMEM. */
int table_begin(struct table *table);
/* The entries are the caller's, and stay as they are. */
void table_end(struct table *table);
static inline struct entry **table_bucket(const struct table *table, uint64_t key)
{
    size_t place = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    return &table->bucket[place & (table->buckets - 1)];
}

/* NULL if there is none. Here, since it is asked of each message and each frame. */
static inline void *table_find(const struct table *table, uint64_t key)
{
    struct entry *entry = *table_bucket(table, key);
    while (entry && entry->key != key)
        entry = entry->next;
    return entry;
}

/* Put in an entry, whose key has none yet. 0 or ENOMEM. */
int table_put(struct table *table, struct entry *entry);
/* Take out an entry that is there. */
void table_remove(struct table *table, struct entry *entry);

#endif
