/* See bridge.h. */
#define _GNU_SOURCE
#include "bridge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "served.h"

enum { MIN_TAGGED_FRAME = 18, NO_VLAN = -1 };

/* How often a full target is tried again: epoll says of a socket that it can be written only when
   three quarters of its buffer have been read. */
static const uint64_t RETRY = 1 * MILLISECOND;

struct port {
    int vlan;                  /* of its untagged frames, or NO_VLAN */
    struct endpoint **members; /* those of that VLAN that are at this port */
    size_t count;
};

struct vlan {
    struct endpoint **member;
    uint32_t *port; /* of each member */
    size_t members;
    int has_tagged;
};

struct bridge {
    struct poller poller;
    struct bridge_notes notes;
    enum mode mode;
    size_t max_frame, stride; /* bytes, and those from one place for a frame to the next */
    uint64_t patience;
    struct vlan vlan[VLANS];
    struct port *port; /* by number */
    size_t ports;
    struct addresses addresses;
    size_t endpoints;
    /* Since something was last waited for. */
    unsigned frames;
    int has_more;
    struct list held, fulls, chosen;
    /* What was read at once. */
    unsigned char *buffer;
    struct iovec frame[BATCH];
    struct mmsghdr in[BATCH], out[BATCH];
};

enum { LISTS = 7 };

/* All lists of endpoints. Each has room for all endpoints. */
static void find_lists(struct bridge *bridge, struct list *lists[LISTS])
{
    struct bridge_notes *notes = &bridge->notes;
    struct list *all[LISTS] = {&notes->counted, &notes->closed, &notes->givers, &notes->failed,
                               &bridge->held,   &bridge->fulls, &bridge->chosen};
    memcpy(lists, all, sizeof all);
}

static void count(struct bridge *bridge, struct endpoint *endpoint, struct tally *tally, size_t size)
{
    tally->frames++;
    tally->bytes += size;
    if (!endpoint->counted) {
        endpoint->counted = 1;
        list_enter(&bridge->notes.counted, endpoint);
    }
}

/* Frames that are kept */

static void append(struct items *items, struct item *item)
{
    if (!items->first)
        items->last = &items->first;
    item->next = NULL;
    *items->last = item;
    items->last = &item->next;
}

static void keep(struct items *items, struct endpoint *to, const struct iovec *frame)
{
    struct item *item = must(malloc(sizeof *item + frame->iov_len));
    item->to = to;
    item->size = frame->iov_len;
    memcpy(item->frame, frame->iov_base, frame->iov_len);
    append(items, item);
}

/* Take those that are for a target out of a list, and return them in order. */
static struct items pick(struct items *items, const struct endpoint *to)
{
    struct items picked = {0}, others = {0};
    for (struct item *item = items->first, *next; item; item = next) {
        next = item->next;
        append(item->to == to ? &picked : &others, item);
    }
    *items = others;
    return picked;
}

static void put_before(struct items *items, struct items *first)
{
    if (!first->first)
        return;
    *first->last = items->first;
    if (!items->first)
        items->last = first->last;
    items->first = first->first;
}

struct item *bridge_take(struct endpoint *endpoint)
{
    struct item *item = endpoint->given.first;
    if (item)
        endpoint->given.first = item->next;
    return item;
}

/* VLANs */

static int vlan_of(const struct bridge *bridge, uint32_t port)
{
    return port < bridge->ports ? bridge->port[port].vlan : NO_VLAN;
}

/* Until it is set again, frames of its ports are given to the caller. */
static void forget_vlan(struct bridge *bridge, int number)
{
    if (number == NO_VLAN)
        return;
    struct vlan *vlan = &bridge->vlan[number];
    for (size_t i = 0; i < vlan->members; i++)
        if (bridge->port[vlan->port[i]].vlan == number)
            bridge->port[vlan->port[i]] = (struct port){.vlan = NO_VLAN};
    free(vlan->member);
    free(vlan->port);
    *vlan = (struct vlan){0};
}

static int have_port(struct bridge *bridge, uint32_t number)
{
    size_t before = bridge->ports;
    if (number < before)
        return 0;
    size_t room = before ? before : 64;
    while (room <= number)
        room *= 2;
    void *grown = realloc(bridge->port, room * sizeof *bridge->port);
    if (!grown)
        return ENOMEM;
    bridge->port = grown;
    bridge->ports = room;
    for (size_t i = before; i < room; i++)
        bridge->port[i] = (struct port){.vlan = NO_VLAN};
    return 0;
}

int bridge_set_vlan(
    struct bridge *bridge, unsigned number, struct endpoint **members, size_t count, int has_tagged)
{
    if (number >= VLANS)
        return EINVAL;
    forget_vlan(bridge, (int)number);
    struct vlan *vlan = &bridge->vlan[number];
    vlan->member = malloc((count + 1) * sizeof *vlan->member);
    vlan->port = malloc((count + 1) * sizeof *vlan->port);
    if (!vlan->member || !vlan->port)
        return ENOMEM;
    vlan->has_tagged = has_tagged;
    for (size_t i = 0; i < count; i++) {
        struct endpoint *endpoint = members[i];
        if (have_port(bridge, endpoint->port))
            return ENOMEM;
        struct port *port = &bridge->port[endpoint->port];
        vlan->member[i] = endpoint;
        vlan->port[i] = endpoint->port;
        vlan->members = i + 1;
        if (!i || vlan->port[i - 1] != endpoint->port)
            *port = (struct port){(int)number, &vlan->member[i], 0};
        port->count++;
    }
    return 0;
}

/* What epoll is told */

static void tell(struct bridge *bridge, struct endpoint *endpoint)
{
    poller_change(
        &bridge->poller, endpoint->fd, endpoint->held ? EPOLLIN : 0,
        endpoint->full ? EPOLLOUT : 0);
}

/* A source of which something is kept or given is held, and of given ones the caller is told. */
static void settle(struct bridge *bridge, struct endpoint *source)
{
    int held = source->kept.first || source->given.first;
    if (held != source->held) {
        source->held = held;
        if (held)
            list_enter(&bridge->held, source);
        else
            list_strike(&bridge->held, source);
        tell(bridge, source);
    }
    int gives = source->given.first && !source->kept.first;
    if (gives != source->noted) {
        source->noted = gives;
        if (gives)
            list_enter(&bridge->notes.givers, source);
        else
            list_strike(&bridge->notes.givers, source);
    }
}

/* Writing */

/* Frames of `out` for a target; how many it took, and if not all an errno. */
static size_t transmit(struct bridge *bridge, struct endpoint *to, size_t frames, int *error)
{
    size_t sent = 0;
    *error = 0;
    while (sent < frames) {
        struct mmsghdr *out = &bridge->out[sent];
        ssize_t took;
        if (!to->is_socket)
            took = write(to->fd, out->msg_hdr.msg_iov->iov_base, out->msg_hdr.msg_iov->iov_len) < 0
                       ? -1
                       : 1;
        else if (frames - sent == 1)
            took = send(to->fd, out->msg_hdr.msg_iov->iov_base, out->msg_hdr.msg_iov->iov_len,
                        MSG_DONTWAIT | MSG_NOSIGNAL) < 0
                       ? -1
                       : 1;
        else
            took = sendmmsg(
                to->fd, out, (unsigned)(frames - sent), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (took > 0) {
            for (ssize_t i = 0; i < took; i++)
                count(bridge, to, &to->sent, bridge->out[sent + (size_t)i].msg_hdr.msg_iov->iov_len);
            sent += (size_t)took;
        } else if (errno != EINTR) {
            *error = errno;
            break;
        }
    }
    return sent;
}

/* A target is the caller's from now on, with what is kept for it. */
static void close_target(struct bridge *bridge, struct endpoint *to)
{
    if (to->state == OPEN)
        list_enter(&bridge->notes.closed, to);
    to->state = CLOSED;
    if (!to->full)
        return;
    to->full = 0;
    list_strike(&bridge->fulls, to);
    tell(bridge, to);
    for (size_t i = 0, size = bridge->held.size; i < size; i++) {
        struct endpoint *source = bridge->held.item[i];
        struct items picked = pick(&source->kept, to);
        /* Only those that something was picked of are settled: another, of which the caller has taken
           all that was given, would leave this list within the loop. The next poll does that. */
        if (!picked.first)
            continue;
        put_before(&source->given, &picked);
        settle(bridge, source);
    }
}

/* A target takes no more, and what is for it is kept: try again soon, but not for ever. */
static void refused(struct bridge *bridge, struct endpoint *to, int error)
{
    if (!to->full) {
        to->full = 1;
        to->patient_until = bridge->poller.now + bridge->patience;
        list_enter(&bridge->fulls, to);
        tell(bridge, to);
    }
    to->retry_at = bridge->poller.now + RETRY;
    if ((error != EAGAIN && error != EWOULDBLOCK) || bridge->poller.now >= to->patient_until)
        close_target(bridge, to);
}

/* Write to a target what is kept for it. */
static void retry(struct bridge *bridge, struct endpoint *to)
{
    int error = 0;
    for (size_t i = 0; i < bridge->held.size && !error;) {
        struct endpoint *source = bridge->held.item[i];
        struct items picked = pick(&source->kept, to);
        while (picked.first && !error) {
            size_t frames = 0;
            for (struct item *item = picked.first; item && frames < BATCH; item = item->next) {
                bridge->frame[frames] = (struct iovec){item->frame, item->size};
                bridge->out[frames].msg_hdr.msg_iov = &bridge->frame[frames];
                frames++;
            }
            size_t sent = transmit(bridge, to, frames, &error);
            if (sent)
                to->patient_until = bridge->poller.now + bridge->patience;
            while (sent--) {
                struct item *item = picked.first;
                picked.first = item->next;
                free(item);
            }
        }
        if (picked.first)
            put_before(&source->kept, &picked);
        settle(bridge, source);
        /* If it has left the list, another is in its place now. */
        if (i < bridge->held.size && bridge->held.item[i] == source)
            i++;
    }
    if (error) {
        refused(bridge, to, error);
    } else {
        to->full = 0;
        list_strike(&bridge->fulls, to);
        tell(bridge, to);
    }
}

/* Write what was read of a source to those it is for. */
static void write_batch(struct bridge *bridge, struct endpoint *source)
{
    for (size_t i = 0; i < bridge->chosen.size; i++) {
        struct endpoint *to = bridge->chosen.item[i];
        size_t sent = 0;
        int error = 0;
        for (unsigned frame = 0; frame < to->frames; frame++)
            bridge->out[frame].msg_hdr.msg_iov = &bridge->frame[to->frame[frame]];
        /* What is kept for it came first. */
        if (!to->full)
            sent = transmit(bridge, to, to->frames, &error);
        for (size_t frame = sent; frame < to->frames; frame++)
            keep(&source->kept, to, bridge->out[frame].msg_hdr.msg_iov);
        to->chosen = 0;
        to->frames = 0;
        settle(bridge, source);
        if (error)
            refused(bridge, to, error);
    }
    bridge->chosen.size = 0;
}

/* Forwarding */

static void choose(struct bridge *bridge, struct endpoint *to, unsigned frame)
{
    if (to->state == SLOW) {
        count(bridge, to, &to->slow, bridge->frame[frame].iov_len);
        return;
    }
    if (!to->chosen) {
        to->chosen = 1;
        list_enter(&bridge->chosen, to);
    }
    to->frame[to->frames++] = (uint8_t)frame;
}

/* Deliver to endpoints but those of the port it came from; 0 if it is for the caller. */
static int deliver(
    struct bridge *bridge, const struct endpoint *source, struct endpoint **targets, size_t count,
    unsigned frame)
{
    size_t others = 0;
    for (size_t i = 0; i < count; i++)
        if (targets[i]->port != source->port) {
            others++;
            if (targets[i]->state == CLOSED)
                return 0;
        }
    if (!others)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (targets[i]->port != source->port)
            choose(bridge, targets[i], frame);
    return 1;
}

/* Find out where a frame goes; 0 if it is for the caller. */
static int forward(struct bridge *bridge, struct endpoint *source, unsigned number, enum mode mode)
{
    const unsigned char *frame = bridge->frame[number].iov_base;
    size_t size = bridge->frame[number].iov_len;
    int home = vlan_of(bridge, source->port);
    if (mode == DIVERT || size < MIN_TAGGED_FRAME || size > bridge->max_frame || home == NO_VLAN ||
        (frame[12] == 0x81 && frame[13] == 0x00))
        return 0;
    const struct vlan *vlan = &bridge->vlan[home];
    struct address *to = NULL;
    if (mode == SWITCH) {
        struct address *from = addresses_find(&bridge->addresses, (unsigned)home, frame + 6);
        if (!from || from->port != source->port)
            return 0;
        addresses_touch(&bridge->addresses, from, bridge->poller.now);
        to = addresses_find(&bridge->addresses, (unsigned)home, frame);
    }
    if (!to) {
        if (vlan->has_tagged || !deliver(bridge, source, vlan->member, vlan->members, number))
            return 0;
    } else if (to->port == source->port) {
        count(bridge, source, &source->local, size);
    } else {
        const struct port *port = to->port < bridge->ports ? &bridge->port[to->port] : NULL;
        if (!port || port->vlan != home ||
            !deliver(bridge, source, port->members, port->count, number))
            return 0;
    }
    count(bridge, source, &source->received, size);
    return 1;
}

/* How many frames were read into `frame`, or -1 with errno. */
static int read_frames(struct bridge *bridge, const struct endpoint *source)
{
    for (int i = 0; i < BATCH; i++)
        /* A byte more, so that a frame that is too long does not look like one that fits. */
        bridge->frame[i] =
            (struct iovec){bridge->buffer + (size_t)i * bridge->stride, bridge->max_frame + 1};
    int frames = 0;
    if (source->is_socket) {
        for (int i = 0; i < BATCH; i++)
            bridge->in[i].msg_hdr.msg_iov = &bridge->frame[i];
        frames = recvmmsg(source->fd, bridge->in, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < frames; i++)
            bridge->frame[i].iov_len = bridge->in[i].msg_len;
        return frames;
    }
    while (frames < BATCH) {
        ssize_t size = read(source->fd, bridge->frame[frames].iov_base, bridge->max_frame + 1);
        if (size < 0)
            return frames ? frames : -1;
        bridge->frame[frames++].iov_len = (size_t)size;
        if (!size)
            break;
    }
    return frames;
}

static void failed(struct bridge *bridge, struct endpoint *source, int error)
{
    source->error = error;
    list_enter(&bridge->notes.failed, source);
}

static void read_batch(struct bridge *bridge, struct endpoint *source, enum mode mode)
{
    int frames = read_frames(bridge, source);
    if (frames < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            failed(bridge, source, errno);
        return;
    }
    bridge->frames += (unsigned)frames;
    bridge->has_more |= frames == BATCH;
    int diverted = 0;
    for (int i = 0; i < frames; i++) {
        if (!bridge->frame[i].iov_len) {
            /* What follows a goodbye is not looked at. */
            failed(bridge, source, 0);
            break;
        }
        /* Those after one that the caller delivers must not overtake it. */
        diverted = diverted || !forward(bridge, source, (unsigned)i, mode);
        if (diverted)
            keep(&source->given, NULL, &bridge->frame[i]);
    }
    write_batch(bridge, source);
    settle(bridge, source);
}

/* Endpoints */

int bridge_attach(struct bridge *bridge, struct endpoint *endpoint)
{
    struct list *lists[LISTS];
    if (endpoint->attached || endpoint->port >= PORTS)
        return EINVAL;
    find_lists(bridge, lists);
    for (int i = 0; i < LISTS; i++)
        if (list_reserve(lists[i], bridge->endpoints + 1))
            return ENOMEM;
    if (endpoint->fd >= 0) {
        int error = poller_serve(&bridge->poller, endpoint->fd, endpoint);
        if (error)
            return error;
    }
    bridge->endpoints++;
    endpoint->attached = 1;
    return 0;
}

void bridge_detach(struct bridge *bridge, struct endpoint *endpoint, struct tally *left)
{
    struct list *lists[LISTS];
    *left = (struct tally){0};
    if (!endpoint->attached)
        return;
    endpoint->attached = 0;
    endpoint->state = CLOSED;
    bridge->endpoints--;
    forget_vlan(bridge, vlan_of(bridge, endpoint->port));
    put_before(&endpoint->given, &endpoint->kept);
    endpoint->kept = (struct items){0};
    find_lists(bridge, lists);
    for (int i = 0; i < LISTS; i++)
        list_strike(lists[i], endpoint);
    endpoint->held = endpoint->full = endpoint->noted = endpoint->counted = 0;
    if (endpoint->fd >= 0)
        poller_serve_no_more(&bridge->poller, endpoint->fd);
    for (size_t i = bridge->held.size; i-- > 0;) {
        struct endpoint *source = bridge->held.item[i];
        struct items kept = pick(&source->kept, endpoint), given = pick(&source->given, endpoint);
        put_before(&given, &kept);
        for (struct item *item = given.first, *next; item; item = next) {
            next = item->next;
            left->frames++;
            left->bytes += item->size;
            free(item);
        }
        settle(bridge, source);
    }
}

void bridge_set_state(struct bridge *bridge, struct endpoint *endpoint, enum state state)
{
    if (!endpoint->attached || endpoint->fd < 0)
        return;
    if (state != OPEN)
        close_target(bridge, endpoint);
    list_strike(&bridge->notes.closed, endpoint);
    endpoint->state = state;
}

/* Waiting */

static void forget_notes(struct bridge *bridge)
{
    struct bridge_notes *notes = &bridge->notes;
    for (size_t i = 0; i < notes->counted.size; i++) {
        struct endpoint *endpoint = notes->counted.item[i];
        endpoint->counted = 0;
    }
    addresses_forget_touched(&bridge->addresses);
    notes->counted.size = notes->closed.size = notes->failed.size = 0;
    /* The caller has perhaps taken what was given. */
    for (size_t i = notes->givers.size; i-- > 0;)
        settle(bridge, notes->givers.item[i]);
}

static int has_notes(const void *whole)
{
    const struct bridge *bridge = whole;
    const struct bridge_notes *notes = &bridge->notes;
    if (notes->closed.size || notes->failed.size)
        return 1;
    for (size_t i = 0; i < notes->givers.size; i++) {
        const struct endpoint *source = notes->givers.item[i];
        if (poller_is_read(&bridge->poller, source->fd))
            return 1;
    }
    return 0;
}

/* Try full targets again for which it is time; when it is for the next one. */
static uint64_t try_again(void *whole)
{
    struct bridge *bridge = whole;
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < bridge->fulls.size;) {
        struct endpoint *to = bridge->fulls.item[i];
        if (to->retry_at <= bridge->poller.now)
            retry(bridge, to);
        if (i < bridge->fulls.size && bridge->fulls.item[i] == to) {
            if (to->retry_at < next)
                next = to->retry_at;
            i++;
        }
    }
    return next;
}

static uint32_t serve_endpoint(void *whole, int fd, uint32_t events)
{
    struct bridge *bridge = whole;
    struct endpoint *endpoint = poller_served(&bridge->poller, fd);
    if (!endpoint)
        return events;
    if (endpoint->full && (events & EPOLLOUT))
        retry(bridge, endpoint);
    if (!(poller_wanted(&bridge->poller, fd) & EPOLLOUT))
        events &= ~(uint32_t)EPOLLOUT;
    if (endpoint->held)
        events &= ~(uint32_t)EPOLLIN;
    if (!endpoint->is_source || poller_is_over(events))
        return events;
    if (events & EPOLLIN)
        read_batch(bridge, endpoint, bridge->mode);
    return events & ~(uint32_t)EPOLLIN;
}

static size_t finish(void *whole)
{
    struct bridge *bridge = whole;
    size_t came = bridge->has_more ? MANY : bridge->frames;
    bridge->frames = 0;
    bridge->has_more = 0;
    return came;
}

int bridge_poll(struct bridge *bridge, int timeout, enum mode mode)
{
    static const struct serving serving = {try_again, serve_endpoint, finish, has_notes};
    bridge->mode = mode;
    forget_notes(bridge);
    return serve(&bridge->poller, timeout, &serving, bridge);
}

const struct bridge_notes *bridge_notes(const struct bridge *bridge)
{
    return &bridge->notes;
}

struct addresses *bridge_addresses(struct bridge *bridge)
{
    return &bridge->addresses;
}

struct poller *bridge_poller(struct bridge *bridge)
{
    return &bridge->poller;
}

struct bridge *bridge_new(int epoll, size_t max_frame, uint64_t patience)
{
    struct bridge *bridge = calloc(1, sizeof *bridge);
    if (!bridge)
        return NULL;
    poller_begin(&bridge->poller, epoll);
    bridge->max_frame = max_frame;
    /* Not a multiple of a page, so that frames do not compete for the same lines of a cache. */
    bridge->stride = ((max_frame + 1 + 4095) & ~(size_t)4095) + 320;
    bridge->patience = patience;
    bridge->buffer = malloc(BATCH * bridge->stride);
    for (int i = 0; i < BATCH; i++)
        bridge->in[i].msg_hdr.msg_iovlen = bridge->out[i].msg_hdr.msg_iovlen = 1;
    if (addresses_begin(&bridge->addresses) || !bridge->buffer) {
        bridge_free(bridge);
        return NULL;
    }
    return bridge;
}

void bridge_free(struct bridge *bridge)
{
    struct list *lists[LISTS];
    for (int i = 0; i < VLANS; i++)
        forget_vlan(bridge, i);
    addresses_end(&bridge->addresses);
    find_lists(bridge, lists);
    for (int i = 0; i < LISTS; i++)
        list_free(lists[i]);
    free(bridge->port);
    free(bridge->buffer);
    poller_free(&bridge->poller);
    free(bridge);
}
