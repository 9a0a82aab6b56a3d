/* A list of pointers, each of which stands in it once at the most. */
#ifndef DISTNET_LIST_H
#define DISTNET_LIST_H

#include <stddef.h>

struct list {
    void **item;
    size_t size, room;
};

/* Have room for so many. 0 or ENOMEM. */
int list_reserve(struct list *list, size_t size);
void list_strike(struct list *list, const void *item);
void list_free(struct list *list);

/* There must be room. Here, since it is done while messages and frames are delivered. */
static inline void list_enter(struct list *list, void *item)
{
    list->item[list->size++] = item;
}

/*
 * Memory that there must be: what has come and is not delivered must not be lost for want of it. The
 * process ends rather than that.
 */
void *must(void *memory);

#endif
