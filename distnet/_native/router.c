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
    QUEUE_SIZE = 1000,
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
    /* As much as --reserve lets wait for each node in any case. */
    QUEUE_SIZE = 128 * 1024,
};
#endif
/* So many bytes take so long to deliver that more have come meanwhile. */
enum { PLENTY = 64 * 1024 };
/* Who takes one part in so many of what waits for it, within the patience, is only slow. */
enum { PROGRESS = 8 };

/*
 * How soon a paced node is looked at again, that the system has no event for: at growing intervals.
 * Of many that stand still, each has a share of the time.
 */
enum { SOON = 15 * 1000, LATEST = 50 * 1000 * 1000, LATEST_SHARE = 200 * 1000 };
/*
 * A unix socket whose buffer is as small as can be has an EPOLLOUT when all was read. Linux grants no
 * less than 4608 bytes; a write of more than 192 bytes is enough for it to be without room.
 */
enum { NARROW = 1, ENOUGH = 192, ASKED_TOGETHER = 64 };

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
    size_t came, messages; /* bytes, and whole messages, since something was last waited for */
    unsigned char *arena;
    size_t arena_size, arena_used;
    struct slot *slots;
    int slots_used;
    struct table nodes; /* by id */
    struct list held, touched;
    struct list dirty;  /* paced nodes that have something to write */
    struct list polled; /* paced nodes that have something, once all is read */
    struct asker asker;
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

enum { LISTS = 8 };

/* All lists of nodes. Each has room for all nodes. */
static void find_lists(struct router *router, struct list *lists[LISTS])
{
    struct router_notes *notes = &router->notes;
    struct list *all[LISTS] = {
        &notes->fulls,  &notes->givers,   &notes->failed,  &notes->roomy,
        &router->held, &router->touched, &router->dirty, &router->polled};
    memcpy(lists, all, sizeof all);
}

/* By id; NULL if there is none. */
static struct node *find(const struct router *router, uint32_t id)
{
    return table_find(&router->nodes, id);
}

/* Tell the poller what is waited for. */
static void expect(struct router *router, struct node *node)
{
    poller_change(&router->poller, node->fd, node->held ? EPOLLIN : 0,
                  node->outbox.awaited ? EPOLLOUT : 0);
}

static void hold(struct router *router, struct node *node, int held)
{
    node->held = held;
    node->held_until = router->poller.now + router->patience;
    expect(router, node);
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
            size_t message = message_size(data + at);
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

/* Paced nodes: whole messages of at most a segment are unread at a time, or a larger one */

static size_t waiting(const struct outbox *outbox)
{
    return outbox->queue.size - outbox->done;
}

static void reopen(struct node *node)
{
    node->open = node->attached && !node->outbox.full && !node->outbox.shut;
}

/* Wait for EPOLLOUT or no more. */
static void await(struct router *router, struct node *node, int awaited)
{
    if (node->outbox.awaited != awaited) {
        node->outbox.awaited = awaited;
        expect(router, node);
    }
}

/* Have the buffer of a unix socket as small as can be, or as it was. */
static void narrow(struct outbox *outbox, int is_narrow)
{
    int size = is_narrow ? NARROW : outbox->wide / 2;
    socklen_t length = sizeof outbox->wide;
    if (outbox->narrow == is_narrow || outbox->unread.how != UNREAD_UNIX)
        return;
    if (!outbox->wide &&
        getsockopt(outbox->unread.fd, SOL_SOCKET, SO_SNDBUF, &outbox->wide, &length))
        return;
    if (!setsockopt(outbox->unread.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size))
        outbox->narrow = is_narrow;
}

/* Something waits for a node whose peer has not read what was written. */
static void wait_until_read(struct router *router, struct node *node, int woken)
{
    struct outbox *outbox = &node->outbox;
    if (!woken && outbox->unread.how == UNREAD_UNIX && outbox->outstanding > ENOUGH) {
        narrow(outbox, 1);
        if (outbox->narrow) {
            await(router, node, 1);
            return;
        }
    }
    if (!outbox->polled) {
        outbox->polled = 1;
        outbox->look_after = SOON;
        outbox->look_at = poller_now() + SOON;
        list_enter(&router->polled, node);
    }
}

static void note_failed(struct router *router, struct node *node)
{
    node->outbox.shut = 1;
    node->open = 0;
    for (size_t i = 0; i < router->notes.failed.size; i++)
        if (router->notes.failed.item[i] == node)
            return;
    list_enter(&router->notes.failed, node);
}

/* Bytes at the begin of an outbox are gone. */
static void gone(struct router *router, struct node *node, size_t size)
{
    struct outbox *outbox = &node->outbox;
    outbox->done += size;
    if (outbox->done == outbox->queue.size) {
        outbox->done = outbox->queue.size = 0;
        if (outbox->queue.room > QUEUE_SIZE / 8)
            clear(&outbox->queue);
    }
    if ((outbox->full || outbox->shut) && waiting(outbox) <= QUEUE_SIZE / 2)
        touch(router, node);
}

/*
 * Write what may be written now. Afterwards nothing waits, or it is known for what: that the socket
 * has room, or that the peer has read.
 * It was `woken` by an EPOLLOUT: as long as nothing is written, another one would come at once.
 */
static void pace(struct router *router, struct node *node, int woken)
{
    struct outbox *outbox = &node->outbox;
    while (waiting(outbox) && node->attached) {
        unsigned char *data = outbox->queue.data + outbox->done;
        size_t size = waiting(outbox), batch = 0;
        uint64_t messages = 0;
        if (!outbox->written && outbox->outstanding < outbox->segment) {
            size_t most = outbox->segment - outbox->outstanding;
            batch = whole_messages(data, size < most ? size : most, &messages);
        }
        if (!batch && !outbox->written && outbox->outstanding) {
            struct unread *alone[] = {&outbox->unread};
            unread_ask(&router->asker, alone, 1);
            if (outbox->unread.is) {
                wait_until_read(router, node, woken);
                return;
            }
            outbox->outstanding = 0;
            continue;
        }
        if (!batch) {
            batch = message_size(data);
            messages = 1;
        }
        if (batch > outbox->segment)
            narrow(outbox, 0);
        ssize_t sent;
        do
            sent = send(node->fd, data + outbox->written, batch - outbox->written,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
            note_failed(router, node);
            return;
        }
        if (sent < 0)
            sent = 0;
        woken = woken && !sent;
        node->delivered_bytes += (uint64_t)sent;
        outbox->outstanding += (size_t)sent;
        if (outbox->written + (size_t)sent < batch) {
            size_t at = outbox->written + (size_t)sent;
            size_t before = whole_messages(data, at, &messages);
            node->delivered += messages;
            outbox->written = at - before;
            gone(router, node, before);
            await(router, node, 1);
            return;
        }
        node->delivered += messages;
        outbox->written = 0;
        gone(router, node, batch);
    }
    await(router, node, 0);
}

static void pace_soon(struct router *router, struct node *node)
{
    if (!node->dirty && !node->outbox.awaited && !node->outbox.polled) {
        node->dirty = 1;
        list_enter(&router->dirty, node);
    }
}

/* Put readdressed messages into an outbox, as far as they fit: bytes, and messages. */
static size_t put_in(
    struct router *router, struct node *to, const unsigned char *data, size_t size,
    uint64_t *messages)
{
    struct outbox *outbox = &to->outbox;
    size_t room = waiting(outbox) < QUEUE_SIZE ? QUEUE_SIZE - waiting(outbox) : 0;
    if (size > room) {
        size = whole_messages(data, room, messages);
        if (!size && waiting(outbox) <= QUEUE_SIZE / 2) {
            size = message_size(data);
            *messages = 1;
        }
        outbox->full = 1;
        reopen(to);
    }
    if (outbox->done && outbox->done > outbox->queue.size / 2) {
        outbox->queue.size -= outbox->done;
        memmove(outbox->queue.data, outbox->queue.data + outbox->done, outbox->queue.size);
        outbox->done = 0;
    }
    append(&outbox->queue, data, size);
    pace_soon(router, to);
    return size;
}

static void pace_all(struct router *router)
{
    for (size_t i = 0; i < router->dirty.size; i++) {
        struct node *node = router->dirty.item[i];
        node->dirty = 0;
        pace(router, node, 0);
    }
    router->dirty.size = 0;
}

/* Look at those nodes for which it is time. */
static void look(struct router *router)
{
    uint64_t now = poller_now();
    uint64_t longest = LATEST + router->polled.size * LATEST_SHARE;
    struct unread *those[ASKED_TOGETHER];
    size_t asked = 0, left = 0;
    for (size_t i = 0; i < router->polled.size && asked < ASKED_TOGETHER; i++) {
        struct node *node = router->polled.item[i];
        node->outbox.looked = node->outbox.look_at <= now;
        if (node->outbox.looked)
            those[asked++] = &node->outbox.unread;
    }
    if (asked)
        unread_ask(&router->asker, those, asked);
    for (size_t i = 0; i < router->polled.size; i++) {
        struct node *node = router->polled.item[i];
        struct outbox *outbox = &node->outbox;
        if (outbox->looked && !outbox->unread.is) {
            outbox->looked = outbox->polled = 0;
            outbox->outstanding = 0;
            if (!node->dirty) {
                node->dirty = 1;
                list_enter(&router->dirty, node);
            }
            continue;
        }
        if (outbox->looked) {
            outbox->looked = 0;
            outbox->look_after *= 2;
            if (outbox->look_after > longest)
                outbox->look_after = longest;
            outbox->look_at = now + outbox->look_after;
        }
        router->polled.item[left++] = node;
    }
    router->polled.size = left;
    pace_all(router);
}

/* When to look next; UINT64_MAX if nobody is to be looked at. */
static uint64_t next_look(const struct router *router)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < router->polled.size; i++) {
        const struct node *node = router->polled.item[i];
        if (node->outbox.look_at < next)
            next = node->outbox.look_at;
    }
    return next;
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
        if (to && to->open && !to->outbox.segment)
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
        router->messages += messages;
        if (open && to->outbox.segment) {
            size_t taken = put_in(router, to, data + start, at - start, &messages);
            from->received += messages;
            from->received_bytes += taken;
            if (start + taken < at) {
                be_patient(router, to, router->poller.now);
                for (size_t next = start + taken; next < at;) {
                    put32(data + next, to->id);
                    next += message_size(data + next);
                }
                put_off(router, from, to, data + start + taken, at - start - taken);
            }
        } else if (open) {
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
    /* No more than fits into an open outbox: the rest would have to be kept. */
    size_t most = node->outbox.segment && before < QUEUE_SIZE / 2 ? QUEUE_SIZE / 2 : READ_SIZE;
    unsigned char *data = space(router, before + most);
    ssize_t got = recv(node->fd, data + before, most, MSG_DONTWAIT);
    if (got < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            note_failed(router, node);
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

/* The queue of a paced node is shorter. */
static void make_roomy(struct router *router, struct node *node)
{
    struct outbox *outbox = &node->outbox;
    if (outbox->shut && !node->noted_roomy) {
        node->noted_roomy = 1;
        list_enter(&router->notes.roomy, node);
    }
    if (!outbox->full)
        return;
    if (router->notes.givers.size) {
        /* Nothing must overtake what was given, and is for it: later. */
        node->touched = 1;
        return;
    }
    outbox->full = 0;
    reopen(node);
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
        if (node->outbox.segment && waiting(&node->outbox) <= QUEUE_SIZE / 2)
            make_roomy(router, node);
    }
    size_t left = 0;
    for (size_t i = 0; i < router->touched.size; i++) {
        struct node *node = router->touched.item[i];
        if (node->touched)
            router->touched.item[left++] = node;
    }
    router->touched.size = left;
}

static void write_and_settle(struct router *router)
{
    write_all(router);
    router->arena_used = 0;
    pace_all(router);
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
static uint64_t try_again(void *all)
{
    struct router *router = all;
    uint64_t next = UINT64_MAX;
    int tried = 0;
    if (router->polled.size)
        look(router);
    if (router->touched.size || router->dirty.size)
        write_and_settle(router);
    for (size_t i = 0; i < router->held.size; i++) {
        struct node *node = router->held.item[i];
        /* One that its owner has paused stays held until it is not paused any more. */
        if (poller_is_read(&router->poller, node->fd) && !has_to_wait(router, node, &next)) {
            retry(router, node);
            tried = 1;
        }
    }
    if (!tried) {
        uint64_t looks = next_look(router);
        return looks < next ? looks : next;
    }
    write_and_settle(router);
    size_t still = 0;
    next = next_look(router);
    for (size_t i = 0; i < router->held.size; i++) {
        struct node *node = router->held.item[i];
        if (node->kept.size) {
            /* Its dest may have taken what was put into its outbox, and be open again. */
            if (poller_is_read(&router->poller, node->fd) && !has_to_wait(router, node, &next))
                next = 0;
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
    if (node->outbox.segment) {
        unread_begin(&node->outbox.unread, &router->asker, node->fd);
        /* Nobody knows what was written before. */
        node->outbox.outstanding = node->outbox.segment;
        node->outbox.shut = 1;
    }
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
    node->held = node->noted = node->dirty = node->touched = node->noted_roomy = 0;
    node->outbox.polled = node->outbox.awaited = 0;
    narrow(&node->outbox, 0);
    poller_serve_no_more(&router->poller, node->fd);
}

void router_open(struct router *router, struct node *node)
{
    node->outbox.shut = 0;
    if (node->outbox.segment) {
        node->outbox.outstanding = node->outbox.segment;
        pace_soon(router, node);
    }
    reopen(node);
}

void router_close(struct router *router, struct node *node)
{
    node->open = 0;
    be_patient(router, node, poller_now());
    if (node->outbox.segment) {
        node->outbox.shut = 1;
        touch(router, node);
    }
}

size_t router_push(
    struct router *router, struct node *node, const void *data, size_t size, uint64_t *messages)
{
    size_t taken = 0;
    *messages = 0;
    while (node->attached && taken < size && waiting(&node->outbox) < QUEUE_SIZE) {
        const unsigned char *rest = (const unsigned char *)data + taken;
        uint64_t more;
        size_t all = whole_messages(rest, size - taken, &more);
        size_t put = all ? put_in(router, node, rest, all, &more) : 0;
        if (!put)
            break;
        taken += put;
        *messages += more;
        if (node->dirty)
            pace_all(router);
    }
    return taken;
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
    for (size_t i = 0; i < notes->roomy.size; i++) {
        struct node *node = notes->roomy.item[i];
        node->noted_roomy = 0;
    }
    notes->fulls.size = notes->givers.size = notes->failed.size = notes->roomy.size = 0;
}

static int has_notes(const void *whole)
{
    const struct router_notes *notes = &((const struct router *)whole)->notes;
    return notes->fulls.size || notes->givers.size || notes->failed.size || notes->roomy.size;
}

static uint32_t serve_node(void *whole, int fd, uint32_t events)
{
    struct router *router = whole;
    struct node *node = poller_served(&router->poller, fd);
    if (!node)
        return events;
    if (node->outbox.awaited && (events & EPOLLOUT || poller_is_over(events))) {
        /* Of one that is over, writing fails; nobody else may look at it just now. */
        await(router, node, 0);
        pace(router, node, 1);
        events &= ~(uint32_t)EPOLLOUT | poller_wanted(&router->poller, fd);
    }
    if (!node->reads || node->held || poller_is_over(events))
        return events;
    if (events & EPOLLIN)
        read_node(router, node);
    return events & ~(uint32_t)EPOLLIN;
}

static size_t finish(void *whole)
{
    struct router *router = whole;
    size_t came = router->came, messages = router->messages;
    write_and_settle(router);
    router->came = router->messages = 0;
    if (router->polled.size)
        return MANY;
    return came < PLENTY ? messages : MANY;
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
    poller_begin(&router->poller, epoll);
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
    asker_close(&router->asker);
    poller_free(&router->poller);
    free(router);
}
