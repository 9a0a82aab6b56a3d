/*
 * An epoll descriptor of which some descriptors are served here and the others by its owner, who
 * registers all of them as with epoll itself, and is told of the events that are not served.
 * Who serves one may withhold events from it for a while, or have others added.
 */
#ifndef DISTNET_POLLER_H
#define DISTNET_POLLER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

enum { MAX_EVENTS = 256 };
#define MILLISECOND UINT64_C(1000000)

struct event {
    int fd;
    uint32_t events;
};

struct poller {
    int epoll;
    struct {
        void *served;    /* by what, or NULL */
        uint32_t wanted; /* by the owner */
        uint32_t withheld, added, told;
    } *descriptor; /* by number */
    size_t descriptors;
    uint64_t now; /* when something was last waited for */
    unsigned in_vain, lull_in; /* see poller_moderate() */
    struct event event[2 * MAX_EVENTS]; /* to be told to the owner */
    size_t events;
};

/* One that is zeroed, for an epoll descriptor; the thread's short waits are kept to some us. */
void poller_begin(struct poller *poller, int epoll);

/* On CLOCK_MONOTONIC; ns. */
uint64_t poller_now(void);

/* What the owner of a descriptor wants to be told of; 0 or an errno. */
int poller_want(struct poller *poller, int fd, uint32_t events);
/* Say so of a descriptor that is registered with epoll already. 0 or ENOMEM. */
int poller_knows(struct poller *poller, int fd, uint32_t events);
uint32_t poller_wanted(const struct poller *poller, int fd);
/* Whether the owner wants to be told when there is something to read. */
static inline int poller_is_read(const struct poller *poller, int fd)
{
    return (poller_wanted(poller, fd) & EPOLLIN) != 0;
}

/* Ends and errors are the owner's to deal with, and with them what can still be read. */
static inline int poller_is_over(uint32_t events)
{
    return (events & ~(uint32_t)(EPOLLIN | EPOLLOUT)) != 0;
}

/* Whoever serves a descriptor from now on; 0, EEXIST if somebody does, or another errno. */
int poller_serve(struct poller *poller, int fd, void *served);
void poller_serve_no_more(struct poller *poller, int fd);
/* NULL if nobody serves it. */
void *poller_served(const struct poller *poller, int fd);
/* Which events a descriptor that is served must not have, and which it must, from now on. */
void poller_change(struct poller *poller, int fd, uint32_t withheld, uint32_t added);

/* Have the owner told of an event. */
void poller_tell(struct poller *poller, int fd, uint32_t events);
/* Wait until a time, 0 not at all, UINT64_MAX for ever; as epoll_wait(2). It is `now` then. */
int poller_wait(struct poller *poller, struct epoll_event *events, uint64_t until);

/*
 * All that had come was dealt with, so many frames or messages: perhaps wait for more before the next
 * poller_wait(), as network cards do. Where they come in streams, nobody is woken for each then.
 */
void poller_moderate(struct poller *poller, size_t came);

void poller_free(struct poller *poller);

#endif
