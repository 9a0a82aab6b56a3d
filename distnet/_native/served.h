/*
 * What a router and a bridge have alike: they serve descriptors of a poller again and again, until
 * there is something that their caller has to see.
 */
#ifndef DISTNET_SERVED_H
#define DISTNET_SERVED_H

#include <errno.h>

#include "poller.h"

/* The caller is not kept from its own work, such as signals, for longer; ns. */
static const uint64_t LONGEST_CALL = 20 * MILLISECOND;
/* So many frames or messages that more have come meanwhile. */
#define MANY SIZE_MAX

/* What a round of serving consists of; the first argument is the router or the bridge. */
struct serving {
    /* Try again what waits for room; when to do so next (ns), or UINT64_MAX. */
    uint64_t (*try_again)(void *whole);
    /* Serve these events of a descriptor; those that are left are for its owner. */
    uint32_t (*serve)(void *whole, int fd, uint32_t events);
    /* All events were served: how many frames or messages have come with them, or MANY. */
    size_t (*finish)(void *whole);
    /* Whether there is something that the caller should see at once, besides events. */
    int (*has_notes)(const void *whole);
};

/*
 * Wait, at most so many ms (-1: for ever), for something that the caller has to see; 0 or an errno.
 * Here, so that the compiler knows what it calls.
 */
static inline int serve(
    struct poller *poller, int timeout, const struct serving *serving, void *whole)
{
    struct epoll_event events[MAX_EVENTS];
    poller->events = 0;
    uint64_t began = poller->now = poller_now();
    uint64_t until = timeout < 0 ? UINT64_MAX : began + (uint64_t)timeout * MILLISECOND;
    for (;;) {
        uint64_t next = serving->try_again(whole);
        if (next > until)
            next = until;
        if (poller->events || serving->has_notes(whole))
            next = 0;
        int count = poller_wait(poller, events, next);
        if (count < 0)
            return poller->events || serving->has_notes(whole) ? 0 : errno;
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            uint32_t left = serving->serve(whole, fd, events[i].events);
            if (left)
                poller_tell(poller, fd, left);
        }
        size_t came = serving->finish(whole);
        if (poller->events || serving->has_notes(whole) || poller->now >= until ||
            (count && poller->now - began >= LONGEST_CALL))
            return 0;
        if (came != MANY)
            poller_moderate(poller, came);
    }
}

#endif
