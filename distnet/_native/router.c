/* See router.h. */
#define _GNU_SOURCE
#include "router.h"

#include <endian.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "served.h"

#ifdef TINY
/* For tests: so small that they reach all limits. */
enum {
    READ_SIZE = 700,
    ARENA_SIZE = 2000,
    SLOTS = 3,
    SEGMENTS = 3,
    STAGE_SIZE = 160,
    COPY_BELOW = 100,
};
#else
enum {
    /* Each read and each write may wake somebody: the larger, the fewer of them. */
    READ_SIZE = 256 * 1024,
    /* What is read is written when so much has been, or when nothing more is at hand. */
    ARENA_SIZE = 2 * 1024 * 1024,
    SLOTS = 64,
    SEGMENTS = 64,
    STAGE_SIZE = 32 * 1024,
    /* Shorter runs are copied together: that is cheaper than one more segment. */
    COPY_BELOW = 2048,
};
#endif
/* So many bytes take so long to deliver that more have come meanwhile; those of a small message. */
enum { PLENTY = 64 * 1024, SMALL = 64 };
/* Who takes one part in so many of what waits for it, within the patience, is only slow. */
enum { PROGRESS = 8 };

/* What is to be written to one node. Segments hold whole messages. */
struct slot {
    struct node *node;
    uint64_t messages;
    size_t bytes;
    size_t staged;
    int segments;
    struct iovec segment[SEGMENTS];
    unsigned char stage[STAGE_SIZE];
};

struct router {
    struct poller poller;
    struct router_notes notes;
    uint32_t max_payload;
    uint64_t patience;
    size_t came; /* bytes, since something was last waited for */
    unsigned char *arena;
    size_t arena_size, arena_used;
    struct slot *slots;
    int slots_used;
    struct table nodes; /* by id */
    struct list held, touched;
};

static uint32_t get32(const unsigned char *place)
{
    uint32_t value;
    memcpy(&value, place, sizeof value);
    return le32toh(value);
}

static void put32(unsigned char *place, uint32_t value)
{
    value = htole32(value);
    memcpy(place, &value, sizeof value);
}

static void append(struct buffer *buffer, const void *data, size_t size)
{
    if (!size)
        return;
    if (buffer->room - buffer->size < size) {
        size_t room = buffer->room ? buffer->room : 256;
        while (room - buffer->size < size)
            room *= 2;
        buffer->data = must(realloc(buffer->data, room));
        buffer->room = room;
    }
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

static void clear(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

enum { LISTS = 5 };

/* All lists of nodes. Each has room for all nodes. */
static void find_lists(struct router *router, struct list *lists[LISTS])
{
    struct router_notes *notes = &router->notes;
    struct list *all[LISTS] = {
        &notes->fulls, &notes->givers, &notes->failed, &router->held, &router->touched};
    memcpy(lists, all, sizeof all);
}

/* By id; NULL if there is none. */
static struct node *find(const struct router *router, uint32_t id)
{
    return table_find(&router->nodes, id);
}

static void hold(struct router *router, struct node *node, int held)
{
    node->held = held;
    node->held_until = router->poller.now + router->patience;
    poller_change(&router->poller, node->fd, held ? EPOLLIN : 0, 0);
}

/* What is given to the caller, and what is kept until a dest is open */

static void give(struct router *router, struct node *node, const void *data, size_t size)
{
    append(&node->given, data, size);
    if (!node->noted) {
        node->noted = 1;
        list_enter(&router->notes.givers, node);
    }
}

/* A node is to be settled once all has been written. */
static void touch(struct router *router, struct node *node)
{
    if (!node->touched) {
        node->touched = 1;
        list_enter(&router->touched, node);
    }
}

/* How much the system has of what was written to a node; 0 too if it does not tell. */
static int unsent(const struct node *node)
{
    int size;
    return ioctl(node->fd, SIOCOUTQ, &size) ? 0 : size;
}

/* A node takes no more: its senders are held for as long as the patience. */
static void be_patient(const struct router *router, struct node *to, uint64_t now)
{
    to->unsent = unsent(to);
    to->patient_until = now + router->patience;
}

/*
 * While a node goes on taking, its senders are still held, each for as long as the patience: who
 * sends without a pause would only fill its mailbox, by Python, and then have messages dropped.
 */
static int is_patient(const struct router *router, struct node *to)
{
    if (!to)
        return 0;
    if (router->poller.now < to->patient_until)
        return 1;
    if (!to->unsent || !router->patience)
        return 0;
    int before = to->unsent;
    be_patient(router, to, router->poller.now);
    if (before - to->unsent >= before / PROGRESS + 1)
        return 1;
    to->unsent = 0;
    to->patient_until = 0;
    return 0;
}

/* Keep or give whole messages, still with their dests, that cannot be written now. */
static void put_off(
    struct router *router, struct node *from, struct node *to, const void *data, size_t size)
{
    if (!from->was_held && is_patient(router, to)) {
        if (!from->kept.size)
            from->waits_for = to->id;
        append(&from->kept, data, size);
        touch(router, from);
    } else {
        give(router, from, data, size);
    }
}

/* Writing */

/* A message that was counted as received is not written: back to the node that sent it. */
static void turn_back(struct router *router, struct node *to, unsigned char *message, size_t size)
{
    struct node *from = find(router, get32(message));
    from->received--;
    from->received_bytes -= size;
    put32(message, to->id);
    put_off(router, from, to, message, size);
}

/* Of what a slot holds only so many bytes were written: the rest is begun, or turned back. */
static void written_in_part(struct router *router, struct slot *slot, size_t written, int is_full)
{
    struct node *to = slot->node;
    size_t before = 0;
    to->open = 0;
    to->patient_until = 0;
    to->unsent = 0;
    if (is_full)
        be_patient(router, to, router->poller.now);
    to->written = 0;
    for (int i = 0; i < slot->segments; i++) {
        unsigned char *data = slot->segment[i].iov_base;
        size_t size = slot->segment[i].iov_len, at = 0;
        while (at < size) {
            size_t message = HEADER_SIZE + (size_t)get32(data + at + 4);
            if (before + message <= written) {
                to->delivered++;
            } else if (before < written) {
                append(&to->begun, data + at, message);
                to->written = written - before;
            } else {
                turn_back(router, to, data + at, message);
            }
            before += message;
            at += message;
        }
    }
    to->delivered_bytes += written;
    if (is_full)
        list_enter(&router->notes.fulls, to);
}

/* Write what a slot holds, and leave it empty. */
static void write_slot(struct router *router, struct slot *slot)
{
    struct node *to = slot->node;
    if (!slot->segments)
        return;
    struct msghdr message = {.msg_iov = slot->segment, .msg_iovlen = (size_t)slot->segments};
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    ssize_t written;
    do
        written = slot->segments == 1
                      ? send(to->fd, slot->segment->iov_base, slot->segment->iov_len, flags)
                      : sendmsg(to->fd, &message, flags);
    while (written < 0 && errno == EINTR);
    if (written >= 0 && (size_t)written == slot->bytes) {
        to->delivered += slot->messages;
        to->delivered_bytes += slot->bytes;
    } else {
        /* What any other error means the caller finds out, by writing itself. */
        int is_full = written >= 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS;
        written_in_part(router, slot, written > 0 ? (size_t)written : 0, is_full);
    }
    slot->messages = slot->bytes = slot->staged = 0;
    slot->segments = 0;
}

/* Write all; the arena is free again. */
static void write_all(struct router *router)
{
    for (int i = 0; i < router->slots_used; i++) {
        struct slot *slot = &router->slots[i];
        write_slot(router, slot);
        slot->node->slot = NULL;
    }
    router->slots_used = 0;
}

/* Put a run of readdressed messages for an open node with what is to be written. */
static void add(
    struct router *router, struct node *to, unsigned char *data, size_t size, uint64_t messages)
{
    struct slot *slot = to->slot;
    if (!slot) {
        if (router->slots_used == SLOTS)
            write_all(router);
        slot = to->slot = &router->slots[router->slots_used++];
        slot->node = to;
        slot->messages = slot->bytes = slot->staged = 0;
        slot->segments = 0;
    }
    struct iovec *last = slot->segments ? &slot->segment[slot->segments - 1] : NULL;
    unsigned char *end = last ? (unsigned char *)last->iov_base + last->iov_len : NULL;
    slot->messages += messages;
    slot->bytes += size;
    if (last && end == data) {
        last->iov_len += size;
        return;
    }
    if (size < COPY_BELOW) {
        unsigned char *copy = slot->stage + slot->staged;
        memcpy(copy, data, size);
        slot->staged += size;
        if (last && end == copy) {
            last->iov_len += size;
            return;
        }
        data = copy;
    }
    slot->segment[slot->segments++] = (struct iovec){.iov_base = data, .iov_len = size};
}

/* Make sure that a slot has room for one more run. */
static void make_room(struct router *router, struct node *to)
{
    struct slot *slot = to->slot;
    if (slot && (slot->segments == SEGMENTS || STAGE_SIZE - slot->staged < COPY_BELOW))
        write_slot(router, slot);
}

/* Reading */

/* Deliver, keep or give the whole messages in data; return how many bytes they are. */
static size_t deliver(struct router *router, struct node *from, unsigned char *data, size_t size)
{
    size_t at = 0;
    while (size - at >= 4) {
        uint32_t dest = get32(data + at);
        if (dest == QUIT_ID) {
            from->bad = 1;
            break;
        }
        if (size - at < HEADER_SIZE)
            break;
        uint32_t length = get32(data + at + 4);
        if (length > router->max_payload) {
            from->bad = 1;
            break;
        }
        if (size - at - HEADER_SIZE < length)
            break;
        struct node *to = find(router, dest);
        if (to && to->open)
            make_room(router, to); /* which may close it */
        int open = to && to->open;
        size_t start = at;
        uint64_t messages = 0;
        for (;;) {
            if (open)
                put32(data + at, from->id);
            at += HEADER_SIZE + (size_t)length;
            messages++;
            if (size - at < HEADER_SIZE || get32(data + at) != dest)
                break;
            length = get32(data + at + 4);
            if (length > router->max_payload || size - at - HEADER_SIZE < length)
                break;
        }
        if (open) {
            from->received += messages;
            from->received_bytes += at - start;
            add(router, to, data + start, at - start, messages);
        } else {
            put_off(router, from, to, data + start, at - start);
        }
    }
    return at;
}

/* So many bytes of the arena that nothing points into; all is written first if there are too few. */
static unsigned char *space(struct router *router, size_t size)
{
    if (router->arena_size - router->arena_used < size) {
        write_all(router);
        router->arena_used = 0;
        if (router->arena_size < size) {
            free(router->arena);
            router->arena = must(malloc(size));
            router->arena_size = size;
        }
    }
    return router->arena + router->arena_used;
}

/* Read what a node has sent, once. */
static void read_node(struct router *router, struct node *node)
{
    size_t before = node->rest.size;
    unsigned char *data = space(router, before + READ_SIZE);
    ssize_t got = recv(node->fd, data + before, READ_SIZE, MSG_DONTWAIT);
    if (got < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            list_enter(&router->notes.failed, node);
        return;
    }
    router->came += (size_t)got;
    if (got == 0) {
        /* The end of the connection, which its owner finds by reading. */
        poller_tell(&router->poller, node->fd, EPOLLIN);
        return;
    }
    if (before)
        memcpy(data, node->rest.data, before);
    size_t size = before + (size_t)got;
    router->arena_used += size;
    size_t whole = deliver(router, node, data, size);
    node->rest.size = 0;
    if (size > whole)
        append(&node->rest, data + whole, size - whole);
    else if (before)
        clear(&node->rest);
    if (node->bad)
        touch(router, node);
}

/* After all has been written: hold nodes that have to wait; of others give what ends them. */
static void settle(struct router *router)
{
    for (size_t i = 0; i < router->touched.size; i++) {
        struct node *node = router->touched.item[i];
        node->touched = node->was_held = 0;
        if (node->kept.size) {
            if (!node->held) {
                hold(router, node, 1);
                list_enter(&router->held, node);
            }
        } else if (node->bad) {
            give(router, node, node->rest.data, node->rest.size);
            clear(&node->rest);
            node->bad = node->reads = 0;
        }
    }
    router->touched.size = 0;
}

static void write_and_settle(struct router *router)
{
    write_all(router);
    router->arena_used = 0;
    settle(router);
}

/* Try again to deliver what a node has kept. */
static void retry(struct router *router, struct node *node)
{
    struct buffer kept = node->kept;
    unsigned char *data = space(router, kept.size);
    node->kept = (struct buffer){0};
    memcpy(data, kept.data, kept.size);
    router->arena_used += kept.size;
    node->was_held = router->poller.now >= node->held_until;
    deliver(router, node, data, kept.size);
    clear(&kept);
    touch(router, node);
}

/* Whether a held node has to wait; `until` becomes no later than when that is to be asked again. */
static int has_to_wait(const struct router *router, const struct node *node, uint64_t *until)
{
    struct node *to = find(router, node->waits_for);
    if (!to || to->open || router->poller.now >= node->held_until || !is_patient(router, to))
        return 0;
    uint64_t next = to->patient_until < node->held_until ? to->patient_until : node->held_until;
    if (next < *until)
        *until = next;
    return 1;
}

/* Try those held nodes again for which something has changed; when to do so next. */
static uint64_t try_again(void *whole)
{
    struct router *router = whole;
    uint64_t next = UINT64_MAX;
    int tried = 0;
    for (size_t i = 0; i < router->held.size; i++) {
        struct node *node = router->held.item[i];
        /* One that its owner has paused stays held until it is not paused any more. */
        if (poller_is_read(&router->poller, node->fd) && !has_to_wait(router, node, &next)) {
            retry(router, node);
            tried = 1;
        }
    }
    if (!tried)
        return next;
    write_and_settle(router);
    size_t still = 0;
    next = UINT64_MAX;
    for (size_t i = 0; i < router->held.size; i++) {
        struct node *node = router->held.item[i];
        if (node->kept.size) {
            if (poller_is_read(&router->poller, node->fd))
                has_to_wait(router, node, &next);
            router->held.item[still++] = node;
        } else {
            hold(router, node, 0);
        }
    }
    router->held.size = still;
    return next;
}

/* Nodes */

int router_attach(struct router *router, struct node *node)
{
    struct list *lists[LISTS];
    if (find(router, node->id) || node->attached)
        return EEXIST;
    find_lists(router, lists);
    for (int i = 0; i < LISTS; i++)
        if (list_reserve(lists[i], router->nodes.entries + 1))
            return ENOMEM;
    int error = poller_serve(&router->poller, node->fd, node);
    if (error)
        return error;
    node->entry.key = node->id;
    error = table_put(&router->nodes, &node->entry);
    if (error) {
        poller_serve_no_more(&router->poller, node->fd);
        return error;
    }
    node->attached = 1;
    return 0;
}

void router_detach(struct router *router, struct node *node)
{
    struct list *lists[LISTS];
    if (!node->attached)
        return;
    table_remove(&router->nodes, &node->entry);
    node->attached = node->open = node->reads = 0;
    append(&node->given, node->kept.data, node->kept.size);
    append(&node->given, node->rest.data, node->rest.size);
    clear(&node->kept);
    clear(&node->rest);
    clear(&node->begun);
    find_lists(router, lists);
    for (int i = 0; i < LISTS; i++)
        list_strike(lists[i], node);
    node->held = node->noted = 0;
    poller_serve_no_more(&router->poller, node->fd);
}

void router_open(struct router *router, struct node *node)
{
    (void)router;
    node->open = node->attached;
}

void router_close(struct router *router, struct node *node)
{
    node->open = 0;
    be_patient(router, node, poller_now());
}

int router_read(struct router *router, struct node *node, const void *rest, size_t size)
{
    (void)router;
    if (!node->attached)
        return EINVAL;
    append(&node->rest, rest, size);
    node->reads = 1;
    return 0;
}

/* Waiting */

static void forget_notes(struct router *router)
{
    struct router_notes *notes = &router->notes;
    for (size_t i = 0; i < notes->fulls.size; i++) {
        struct node *node = notes->fulls.item[i];
        clear(&node->begun);
    }
    for (size_t i = 0; i < notes->givers.size; i++) {
        struct node *node = notes->givers.item[i];
        node->noted = 0;
    }
    notes->fulls.size = notes->givers.size = notes->failed.size = 0;
}

static int has_notes(const void *whole)
{
    const struct router_notes *notes = &((const struct router *)whole)->notes;
    return notes->fulls.size || notes->givers.size || notes->failed.size;
}

static uint32_t serve_node(void *whole, int fd, uint32_t events)
{
    struct router *router = whole;
    struct node *node = poller_served(&router->poller, fd);
    if (!node || !node->reads || node->held || poller_is_over(events))
        return events;
    if (events & EPOLLIN)
        read_node(router, node);
    return events & ~(uint32_t)EPOLLIN;
}

static size_t finish(void *whole)
{
    struct router *router = whole;
    size_t came = router->came;
    write_and_settle(router);
    router->came = 0;
    return came < PLENTY ? came / SMALL : MANY;
}

int router_poll(struct router *router, int timeout)
{
    static const struct serving serving = {try_again, serve_node, finish, has_notes};
    forget_notes(router);
    return serve(&router->poller, timeout, &serving, router);
}

const struct router_notes *router_notes(const struct router *router)
{
    return &router->notes;
}

struct poller *router_poller(struct router *router)
{
    return &router->poller;
}

struct router *router_new(int epoll, uint32_t max_payload, uint64_t patience)
{
    struct router *router = calloc(1, sizeof *router);
    if (!router)
        return NULL;
    router->poller.epoll = epoll;
    router->max_payload = max_payload;
    router->patience = patience;
    router->arena_size = ARENA_SIZE;
    router->arena = malloc(router->arena_size);
    router->slots = malloc(SLOTS * sizeof *router->slots);
    if (table_begin(&router->nodes) || !router->arena || !router->slots) {
        router_free(router);
        return NULL;
    }
    return router;
}

void router_free(struct router *router)
{
    struct list *lists[LISTS];
    find_lists(router, lists);
    for (int i = 0; i < LISTS; i++)
        list_free(lists[i]);
    free(router->arena);
    free(router->slots);
    table_end(&router->nodes);
    poller_free(&router->poller);
    free(router);
}
