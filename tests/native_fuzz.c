/*
 * Feeds the native router (distnet/_native/router.c) with random input through real sockets.
 *
 * native_fuzz SEED ROUNDS
 *
 * Nodes send numbered messages to each other, cut anywhere, and read when they please; now and
 * then one breaks the protocol, leaves, is paused, or is written to past the router. What the
 * router gives back is delivered as the master would. Every message must arrive once, unchanged
 * and in the order of its pair, and be counted; it prints what was done, or fails with one line.
 */
#include "fuzz.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "router.h"

enum { NODES = 6, MAX_PAYLOAD = 3000, FIRST_ID = 3, STEPS = 400, SEGMENT = 1460 };

struct peer {
    struct node node;
    int far;               /* the node's own end of the connection */
    struct buffer sending; /* not written by the node yet */
    struct buffer reading; /* of a message that the node has not read the rest of */
    struct buffer mailbox; /* readdressed */
    size_t gone_out;       /* of the mailbox */
    struct buffer splitter; /* what was given and is no whole message */
    int full, paused, ended, quit;
    uint64_t given, given_bytes, mailed_bytes;
};

static struct router *router;
static int epoll;
static struct peer peers[NODES];
static uint32_t sent[NODES][NODES], arrived[NODES][NODES];
static uint64_t sent_whole, arrived_whole, given_whole, begun_seen, held_rounds;

static void add(struct buffer *buffer, const void *data, size_t size)
{
    if (buffer->room - buffer->size < size) {
        buffer->room = 2 * (buffer->size + size);
        buffer->data = realloc(buffer->data, buffer->room);
        if (!buffer->data)
            fail("memory");
    }
    if (size)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

static void drop(struct buffer *buffer, size_t size)
{
    if (size)
        memmove(buffer->data, buffer->data + size, buffer->size - size);
    buffer->size -= size;
}

static void forget(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

static uint32_t get32(const unsigned char *place)
{
    return (uint32_t)place[0] | (uint32_t)place[1] << 8 | (uint32_t)place[2] << 16 |
           (uint32_t)place[3] << 24;
}

static void put32(unsigned char *place, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        place[i] = (unsigned char)(value >> 8 * i);
}

static void compose(struct peer *peer, int to)
{
    static unsigned char message[HEADER_SIZE + MAX_PAYLOAD];
    int from = (int)(peer - peers);
    uint32_t size = any(8) ? 4 + any(60) : 4 + any(MAX_PAYLOAD - 3), number = sent[from][to]++;
    put32(message, (uint32_t)to + FIRST_ID);
    put32(message + 4, size);
    put32(message + HEADER_SIZE, number);
    for (uint32_t i = 4; i < size; i++)
        message[HEADER_SIZE + i] = filling(number, i);
    add(&peer->sending, message, HEADER_SIZE + size);
    sent_whole++;
}

/* The node writes some of what it has to. */
static void node_writes(struct peer *peer, size_t most)
{
    size_t size = peer->sending.size < most ? peer->sending.size : most;
    if (peer->far < 0 || !size)
        return;
    ssize_t written = send(peer->far, peer->sending.data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written > 0)
        drop(&peer->sending, (size_t)written);
}

/* Of what has come to a paced node and is unread, there is no more than a segment, or one message. */
static void keeps_pace(const struct peer *peer)
{
    int unread;
    unsigned char header[HEADER_SIZE];
    size_t had = peer->reading.size < HEADER_SIZE ? peer->reading.size : HEADER_SIZE;
    if (!peer->node.outbox.segment || ioctl(peer->far, FIONREAD, &unread) || unread <= SEGMENT)
        return;
    if (had)
        memcpy(header, peer->reading.data, had);
    if (recv(peer->far, header + had, HEADER_SIZE - had, MSG_PEEK) < 0)
        fail("peek");
    if (HEADER_SIZE + get32(header + 4) < peer->reading.size + (size_t)unread)
        fail("more is unread than a segment, and one message");
}

/* The node reads some of what has come, and looks at each message. */
static void node_reads(struct peer *peer, size_t most)
{
    static unsigned char data[65536];
    int to = (int)(peer - peers);
    if (peer->far < 0)
        return;
    keeps_pace(peer);
    ssize_t got = recv(peer->far, data, most < sizeof data ? most : sizeof data, MSG_DONTWAIT);
    if (got <= 0)
        return;
    add(&peer->reading, data, (size_t)got);
    size_t at = 0;
    while (peer->reading.size - at >= HEADER_SIZE) {
        const unsigned char *message = peer->reading.data + at;
        uint32_t from = get32(message) - FIRST_ID, size = get32(message + 4);
        if (from >= NODES || size < 4 || size > MAX_PAYLOAD)
            fail("a message with a bad header has come");
        if (peer->reading.size - at - HEADER_SIZE < size)
            break;
        uint32_t number = get32(message + HEADER_SIZE);
        if (number != arrived[from][to]++)
            fail("a message is lost, doubled or out of order");
        for (uint32_t i = 4; i < size; i++)
            if (message[HEADER_SIZE + i] != filling(number, i))
                fail("a message has changed");
        arrived_whole++;
        at += HEADER_SIZE + size;
    }
    drop(&peer->reading, at);
}

/* What the master does. */

static void interests(struct peer *peer)
{
    int writes = peer->full && (!peer->node.outbox.segment || peer->gone_out);
    uint32_t events = (peer->paused ? 0 : (uint32_t)EPOLLIN) | (writes ? (uint32_t)EPOLLOUT : 0);
    int error = poller_want(router_poller(router), peer->node.fd, events);
    if (error)
        fail(strerror(error));
}

/* Give a paced node what waits for it, as far as it takes that. */
static void push(struct peer *peer)
{
    uint64_t messages;
    drop(&peer->mailbox, router_push(router, &peer->node, peer->mailbox.data, peer->mailbox.size,
                                     &messages));
    peer->full = peer->mailbox.size != 0;
    if (peer->full)
        router_close(router, &peer->node);
    else
        router_open(router, &peer->node);
    interests(peer);
}

static void pump(struct peer *peer)
{
    int paced = peer->node.outbox.segment != 0;
    if (paced && !peer->gone_out) {
        push(peer);
        return;
    }
    while (peer->gone_out < peer->mailbox.size) {
        size_t first = HEADER_SIZE + get32(peer->mailbox.data + 4);
        if (paced && peer->gone_out == first) {
            drop(&peer->mailbox, first);
            peer->gone_out = 0;
            push(peer);
            return;
        }
        ssize_t written = send(peer->node.fd, peer->mailbox.data + peer->gone_out,
                               (paced ? first : peer->mailbox.size) - peer->gone_out, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (written < 0) {
            if (errno != EAGAIN)
                fail(strerror(errno));
            peer->full = 1;
            router_close(router, &peer->node);
            interests(peer);
            return;
        }
        peer->gone_out += (size_t)written;
        peer->mailed_bytes += (uint64_t)written;
    }
    forget(&peer->mailbox);
    peer->gone_out = 0;
    peer->full = 0;
    router_open(router, &peer->node);
    interests(peer);
}

static void mail(struct peer *to, const unsigned char *message, size_t size)
{
    add(&to->mailbox, message, size);
    if (!to->full)
        pump(to);
}

static void received(struct peer *from, const unsigned char *data, size_t size)
{
    size_t at = 0;
    add(&from->splitter, data, size);
    while (from->splitter.size - at >= 4 && !from->ended) {
        unsigned char *message = from->splitter.data + at;
        if (get32(message) == QUIT_ID) {
            from->ended = from->quit = 1;
            break;
        }
        if (from->splitter.size - at < HEADER_SIZE)
            break;
        uint32_t to = get32(message) - FIRST_ID, length = get32(message + 4);
        if (length > MAX_PAYLOAD) {
            from->ended = from->quit = 1;
            break;
        }
        if (from->splitter.size - at - HEADER_SIZE < length)
            break;
        put32(message, from->node.id);
        if (to < NODES)
            mail(&peers[to], message, HEADER_SIZE + length);
        from->given++;
        from->given_bytes += HEADER_SIZE + length;
        given_whole++;
        at += HEADER_SIZE + length;
    }
    drop(&from->splitter, at);
}

static void take(struct peer *peer)
{
    struct buffer given = peer->node.given;
    peer->node.given = (struct buffer){0};
    received(peer, given.data, given.size);
    free(given.data);
}

static void attach(struct peer *peer)
{
    if (router_attach(router, &peer->node))
        fail("attach");
    if (!peer->full)
        router_open(router, &peer->node);
    else if (peer->node.outbox.segment)
        pump(peer);
    if (!peer->ended) {
        if (router_read(router, &peer->node, peer->splitter.data, peer->splitter.size))
            fail("read");
        forget(&peer->splitter);
    }
}

static void detach(struct peer *peer)
{
    struct outbox *outbox = &peer->node.outbox;
    router_detach(router, &peer->node);
    if (outbox->queue.size > outbox->done) {
        /* Before all that waits. */
        struct buffer all = {0};
        if (peer->gone_out)
            fail("a message was begun, and there are others before it");
        add(&all, outbox->queue.data + outbox->done, outbox->queue.size - outbox->done);
        add(&all, peer->mailbox.data, peer->mailbox.size);
        forget(&peer->mailbox);
        peer->mailbox = all;
        peer->gone_out = outbox->written;
        begun_seen += outbox->written != 0;
        peer->full = 1;
    }
    forget(&outbox->queue);
    peer->node.outbox = (struct outbox){.segment = outbox->segment};
    interests(peer);
    take(peer);
}

static struct peer *peer_of(const struct node *node)
{
    for (int i = 0; i < NODES; i++)
        if (&peers[i].node == node)
            return &peers[i];
    fail("an unknown node");
}

static void poll_once(int timeout)
{
    const struct router_notes *notes = router_notes(router);
    struct poller *poller = router_poller(router);
    static struct event copy[2 * MAX_EVENTS];
    if (router_poll(router, timeout))
        fail("poll");
    for (size_t i = 0; i < notes->fulls.size; i++) {
        const struct node *node = notes->fulls.item[i];
        struct peer *peer = peer_of(node);
        if (peer->mailbox.size || peer->full)
            fail("a closed node was written to");
        add(&peer->mailbox, node->begun.data, node->begun.size);
        peer->gone_out = node->written;
        peer->full = 1;
        interests(peer);
        begun_seen += node->begun.size != 0;
    }
    struct peer *roomy[NODES], *from[NODES];
    size_t takers = notes->roomy.size, givers = notes->givers.size, told = poller->events;
    memcpy(copy, poller->event, told * sizeof *copy);
    if (takers > NODES || notes->failed.size || givers > NODES)
        fail("a node failed");
    for (size_t i = 0; i < givers; i++)
        from[i] = peer_of(notes->givers.item[i]);
    for (size_t i = 0; i < takers; i++)
        roomy[i] = peer_of(notes->roomy.item[i]);
    for (size_t i = 0; i < givers; i++)
        take(from[i]);
    for (size_t i = 0; i < takers; i++)
        if (roomy[i]->full)
            pump(roomy[i]);
    for (size_t i = 0; i < told; i++)
        for (int j = 0; j < NODES; j++)
            if (peers[j].node.fd == copy[i].fd && copy[i].events & EPOLLOUT)
                pump(&peers[j]);
    for (int i = 0; i < NODES; i++)
        if (peers[i].ended && !peers[i].paused) {
            peers[i].paused = 1;
            interests(&peers[i]);
        }
}

static void open_all(uint64_t patience)
{
    int size = SMALL;
    epoll = epoll_create1(0);
    router = router_new(epoll, MAX_PAYLOAD, patience);
    memset(peers, 0, sizeof peers);
    memset(sent, 0, sizeof sent);
    memset(arrived, 0, sizeof arrived);
    for (int i = 0; i < NODES; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
            fail("socketpair");
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        peers[i].node.fd = pair[0];
        peers[i].node.id = (uint32_t)i + FIRST_ID;
        /* All of them, none, or every other one. */
        peers[i].node.outbox.segment = seed / 3 % 3 > (uint64_t)(i % 2) ? SEGMENT : 0;
        peers[i].far = pair[1];
        if (poller_want(router_poller(router), pair[0], EPOLLIN))
            fail("register");
        attach(&peers[i]);
    }
    state = seed;
}

static void step(void)
{
    struct peer *peer = &peers[any(NODES)];
    uint32_t what = any(100);
    if (what < 40) {
        /* Runs for one dest, or each message to another. */
        uint32_t to = any(NODES), changes = any(2);
        for (uint32_t i = any(40); i && !peer->quit && peer->sending.size < 200000; i--)
            compose(peer, (int)(changes ? any(NODES) : to));
    }
    if (what < 60)
        node_writes(peer, 1 + any(any(2) ? 40 : 60000));
    else if (what < 80)
        node_reads(peer, 1 + any(any(4) ? 60000 : 20));
    else if (what < 84) {
        peer->paused = !peer->paused && !peer->ended;
        if (peer->ended)
            peer->paused = 1;
        interests(peer);
    } else if (what < 87 && !peer->ended) {
        detach(peer);
        attach(peer);
    } else if (what < 88 && !any(20) && !peer->quit) {
        static const unsigned char bad[] = {3, 0, 0, 0, 255, 255, 255, 255};
        if (any(2))
            add(&peer->sending, "quit", 4);
        else
            add(&peer->sending, bad, sizeof bad);
        peer->quit = 1;
    }
    poll_once(0);
}

/* Everybody goes on until all has arrived. */
static void settle(void)
{
    int ending = 1;
    for (int round = 0; arrived_whole < sent_whole || ending; round++) {
        if (round > 100000)
            fail("messages, or what ends a connection, do not arrive");
        ending = 0;
        for (int i = 0; i < NODES; i++) {
            struct peer *peer = &peers[i];
            if (peer->paused && !peer->ended) {
                peer->paused = 0;
                interests(peer);
            }
            node_writes(peer, 1 << 20);
            node_reads(peer, 1 << 20);
            held_rounds += (uint64_t)peer->node.held;
            ending |= peer->quit && !peer->ended;
        }
        poll_once(0);
    }
    for (int from = 0; from < NODES; from++)
        for (int to = 0; to < NODES; to++)
            if (sent[from][to] != arrived[from][to])
                fail("a message did not arrive");
}

static void close_all(void)
{
    uint64_t in = 0, out = 0, in_bytes = 0, out_bytes = 0, given = 0;
    for (int i = 0; i < NODES; i++) {
        struct peer *peer = &peers[i];
        detach(peer);
        in += peer->node.received + peer->given;
        in_bytes += peer->node.received_bytes + peer->given_bytes;
        out += peer->node.delivered;
        out_bytes += peer->node.delivered_bytes + peer->mailed_bytes;
        given += peer->given;
        if (poller_want(router_poller(router), peer->node.fd, 0))
            fail("unregister");
        close(peer->node.fd);
        close(peer->far);
        forget(&peer->sending);
        forget(&peer->reading);
        forget(&peer->mailbox);
        forget(&peer->splitter);
    }
    if (in != sent_whole || in_bytes != out_bytes || out + given + begun_seen < in || out > in)
        fail("the counters are wrong");
    router_free(router);
    close(epoll);
}

int main(int argc, char **argv)
{
    static const uint64_t patiences[] = {0, 1000000, 3600 * SECOND};
    uint64_t all = 0, all_given = 0, all_begun = 0, all_held = 0;
    if (argc != 3)
        return 2;
    unsigned long first = strtoul(argv[1], NULL, 10), rounds = strtoul(argv[2], NULL, 10);
    for (seed = first; seed < first + rounds; seed++) {
        sent_whole = arrived_whole = given_whole = begun_seen = held_rounds = 0;
        open_all(patiences[seed % 3]);
        for (int i = 0; i < STEPS; i++)
            step();
        settle();
        close_all();
        all += arrived_whole;
        all_given += given_whole;
        all_begun += begun_seen;
        all_held += held_rounds;
    }
    printf("%llu messages, %llu given, %llu begun, %llu held\n", (unsigned long long)all,
           (unsigned long long)all_given, (unsigned long long)all_begun,
           (unsigned long long)all_held);
    return 0;
}
