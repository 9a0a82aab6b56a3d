/* See list.h. */
#include "list.h"

#include <errno.h>
#include <stdlib.h>

enum { ROOM_AT_FIRST = 64 };

int list_reserve(struct list *list, size_t size)
{
    size_t room = list->room ? list->room : ROOM_AT_FIRST;
    while (room < size)
        room *= 2;
    if (room == list->room)
        return 0;
    void *grown = realloc(list->item, room * sizeof *list->item);
    if (!grown)
        return ENOMEM;
    list->item = grown;
    list->room = room;
    return 0;
}

void list_strike(struct list *list, const void *item)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->size; i++)
        if (list->item[i] != item)
            list->item[kept++] = list->item[i];
    list->size = kept;
}

void list_free(struct list *list)
{
    free(list->item);
    *list = (struct list){0};
}

void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}
