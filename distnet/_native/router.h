/*
 * The native path of a master: reads nodes, cuts what they send into messages, writes each to its
 * dest.
 *
 * The pure version (distnet.wire, and distnet.master.core: router and outbox) defines what is done;
 * this does the usual case of it and leaves the rest to its caller: messages for nodes that are not
 * open, nodes that end or break the protocol, links that take no more. No Python in here. One thread
 * at a time.
 */
#ifndef DISTNET_ROUTER_H
#define DISTNET_ROUTER_H

#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "message.h"
#include "poller.h"
#include "table.h"
#include "unread.h"

#define QUIT_ID 0x74697571u /* "quit" as a dest */

/* The largest payload that the buffers are made for. */
#define LARGEST_PAYLOAD (1u << 20)

struct buffer {
    unsigned char *data;
    size_t size, room;
};

/*
 * What waits for a paced node: whole messages, but for `written` bytes of the first one. Of what
 * was written, `outstanding` bytes are unread at the most.
 */
struct outbox {
    size_t segment; /* 0: the node is not paced */
    struct buffer queue;
    size_t done; /* bytes at the queue's begin that are gone */
    size_t written;
    size_t outstanding;
    int full; /* closed since the queue is long */
    int shut; /* closed by the caller, who is to be told when the queue is shorter */
    int awaited;    /* EPOLLOUT is */
    int polled;     /* it is in the list of those that are looked at */
    int looked;     /* it is looked at just now */
    int narrow, wide; /* the socket's buffer holds next to nothing; how much it held before */
    uint64_t look_at, look_after; /* ns: when to look next, and how long after the last time */
    struct unread unread;
};

/*
 * A node, made by the caller. Zeroed, but for id, fd, and the segment of its outbox; then attached.
 *
 * While a dest takes no more, what its senders have for it stays in their `kept`, and they are not
 * read, until it is open again, has taken next to nothing for as long as the router's patience, or
 * they have been held for that long.
 */
struct node {
    struct entry entry; /* the router's own */
    uint32_t id;
    int fd;
    struct outbox outbox;
    /* For the caller to read; it changes them by router_open() and so on. */
    int attached;
    int open;  /* it is written to, since nothing waits for it anywhere */
    int reads; /* it is read here */
    /* Since the caller last set them to 0: bytes count headers too. */
    uint64_t received, received_bytes, delivered, delivered_bytes;
    struct buffer given; /* whole messages, then what follows them if it is not read any more */
    /* Of one that takes no more: a message of which it took the first `written` bytes, or nothing. */
    struct buffer begun;
    size_t written;
    /* The router's own. */
    struct buffer kept; /* whole messages for closed dests */
    struct buffer rest; /* what came after the last whole message */
    int bad;            /* rest starts with what ends the connection */
    int held;           /* it is not read while there is something in kept */
    int was_held;       /* for long enough: until all is settled, nothing more is kept */
    uint64_t held_until; /* ns */
    uint32_t waits_for; /* the dest of the first message in kept */
    uint64_t patient_until; /* as a closed dest: until then its senders are held; ns */
    int unsent;             /* bytes that the system had when that began; 0: it takes none */
    /* It is in the list of givers, of roomy ones, of those to be settled, of those to be written. */
    int noted, noted_roomy, touched, dirty;
    struct slot *slot;
};

struct router;

/*
 * The router of what epoll descriptor, with what limit, and for how many ns a sender is held.
 * NULL if there is no memory.
 */
struct router *router_new(int epoll, uint32_t max_payload, uint64_t patience);
void router_free(struct router *router); /* all nodes are detached */

/* Where all descriptors of the epoll descriptor are registered. */
struct poller *router_poller(struct router *router);

/*
 * Put whole, readdressed messages into the outbox of a paced node, as far as that goes; return how
 * many bytes, and messages. What is not taken is for the caller to keep, who is told of room later.
 */
size_t router_push(
    struct router *router, struct node *node, const void *data, size_t size, uint64_t *messages);

/* 0 or an errno: EEXIST if the id or the descriptor is attached, ENOMEM. */
int router_attach(struct router *router, struct node *node);
/*
 * Afterwards given holds all that had come from the node and was not delivered, and the queue of its
 * outbox what was not written, from `done` on.
 */
void router_detach(struct router *router, struct node *node);
void router_open(struct router *router, struct node *node);
void router_close(struct router *router, struct node *node);
/* Read a node from now on; what came after its last whole message. 0 or ENOMEM. */
int router_read(struct router *router, struct node *node, const void *rest, size_t size);

/*
 * Wait, at most so many ms (-1: for ever), for something that the caller has to see; serve the
 * nodes meanwhile. What it is is in the router until the next call. 0 or an errno.
 */
int router_poll(struct router *router, int timeout);

/* What the caller has to see: nodes, in this order, and before the events in the poller. */
struct router_notes {
    struct list fulls;  /* they take no more, and are closed; to be opened once they take more */
    struct list givers; /* messages of theirs are given to the caller */
    struct list failed; /* they cannot be read, or written */
    struct list roomy;  /* of those paced ones that are closed: they take more */
};

const struct router_notes *router_notes(const struct router *router);

#endif
