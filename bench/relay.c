/*
 * The least that carries the distnet wire: what is to be compared with a router, not one.
 *
 * relay [PATH]
 *
 * Listens at a TCP port of 127.0.0.1, and at the unix socket PATH, and prints the port. Ids count
 * up from 0 and are given at once. It has no limits, counts nothing, remembers nobody, does not wait
 * until an id was read, and drops what is sent to an id that is not there. A sender to a node that
 * does not read is not read either until the node does, for as long as that takes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_NODES 65536
#define ROOM (256 * 1024) /* of a read */
#define FULL (4 * 1024 * 1024) /* waiting: who sends more is not read */
#define EVENTS 256
#define HEAD 8
#define LISTENERS 2 /* are numbered from MAX_NODES on, in epoll's data */

struct node {
    int fd, open, dirty, blocked; /* blocked: the socket takes no more */
    struct node *waits_for; /* and is not read until then */
    unsigned char *in, *out;
    size_t have, at, end, room; /* in: so much; out: from at to end */
};

static struct node nodes[MAX_NODES];
static struct node *touched[MAX_NODES];
static int number, touches, poll, waiting;
static unsigned char *buffer;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int fd, uint32_t data, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = data};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

static void leave(struct node *node)
{
    close(node->fd);
    free(node->in);
    free(node->out);
    memset(node, 0, sizeof *node);
}

static void enter(int listener)
{
    char id[11];
    int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0 || number == MAX_NODES)
        fail("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    nodes[number].fd = fd;
    nodes[number].open = 1;
    if (send(fd, id, (size_t)sprintf(id, "%d", number), MSG_NOSIGNAL) < 0)
        perror("send");
    watch(fd, (uint32_t)number++, EPOLLIN | EPOLLOUT | EPOLLET);
}

static void append(struct node *node, const unsigned char *data, size_t length)
{
    if (node->end + length > node->room) {
        if (node->at)
            memmove(node->out, node->out + node->at, node->end - node->at);
        node->end -= node->at;
        node->at = 0;
        while (node->end + length > node->room)
            node->room = node->room ? node->room * 2 : 65536;
        node->out = realloc(node->out, node->room);
        if (!node->out)
            fail("memory");
    }
    memcpy(node->out + node->end, data, length);
    node->end += length;
}

static void flush(struct node *node)
{
    while (node->open && !node->blocked && node->at < node->end) {
        ssize_t taken = send(node->fd, node->out + node->at, node->end - node->at, MSG_NOSIGNAL);
        if (taken > 0)
            node->at += (size_t)taken;
        else if (taken < 0 && errno == EAGAIN)
            node->blocked = 1;
        else
            return;
    }
    if (node->at == node->end)
        node->at = node->end = 0;
}

/* Whole messages to one node. */
static void deliver(struct node *from, uint32_t dest, const unsigned char *data, size_t length)
{
    struct node *node = dest < MAX_NODES ? &nodes[dest] : NULL;
    if (!node || !node->open)
        return;
    append(node, data, length);
    if (!node->dirty) {
        node->dirty = 1;
        touched[touches++] = node;
    }
    if (node->end - node->at > FULL && !from->waits_for) {
        from->waits_for = node;
        waiting++;
    }
}

/* Deliver the whole messages, under the sender's id; how much that was, or -1 at "quit". */
static ssize_t relay(struct node *from, unsigned char *data, size_t length)
{
    uint32_t own = (uint32_t)(from - nodes), dest, size, to = 0;
    size_t at = 0, start = 0;
    while (length - at >= 4) {
        memcpy(&dest, data + at, 4);
        if (memcmp(data + at, "quit", 4) == 0)
            return -1;
        if (length - at < HEAD)
            break;
        memcpy(&size, data + at + 4, 4);
        if (length - at - HEAD < size)
            break;
        if (dest != to) {
            if (at > start)
                deliver(from, to, data + start, at - start);
            to = dest;
            start = at;
        }
        memcpy(data + at, &own, 4);
        at += HEAD + size;
    }
    if (at > start)
        deliver(from, to, data + start, at - start);
    return (ssize_t)at;
}

/* Read until nothing is there: events come at changes only. */
static void hear(struct node *node)
{
    while (node->open && !node->waits_for) {
        if (node->have)
            memcpy(buffer, node->in, node->have);
        size_t room = ROOM - node->have;
        ssize_t length = recv(node->fd, buffer + node->have, room, 0);
        if (length < 0 && errno == EAGAIN)
            return;
        size_t all = node->have + (size_t)(length > 0 ? length : 0);
        ssize_t used = length > 0 ? relay(node, buffer, all) : -1;
        if (used < 0) {
            flush(node);
            leave(node);
            return;
        }
        node->have = all - (size_t)used;
        if (node->have) {
            if (!node->in && !(node->in = malloc(ROOM)))
                fail("memory");
            memcpy(node->in, buffer + used, node->have);
        }
        while (touches) {
            struct node *to = touched[--touches];
            to->dirty = 0;
            flush(to);
        }
        if ((size_t)length < room)
            return;
    }
}

static void go_on(struct node *drained)
{
    for (int i = 0; i < number && waiting; i++)
        if (nodes[i].waits_for == drained) {
            nodes[i].waits_for = NULL;
            waiting--;
            hear(&nodes[i]);
        }
}

static void handle(uint32_t which, uint32_t events)
{
    struct node *node = &nodes[which];
    if (events & EPOLLOUT) {
        node->blocked = 0;
        flush(node);
        if (waiting && node->end - node->at < FULL / 2)
            go_on(node);
    }
    if (node->open && events & ~(uint32_t)EPOLLOUT)
        hear(node);
}

static int listening(struct sockaddr *address, socklen_t length)
{
    int fd = socket(address->sa_family, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, address, length) || listen(fd, 128))
        fail("listen");
    return fd;
}

int main(int argc, char **argv)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct epoll_event events[EVENTS];
    struct rlimit files;
    socklen_t length = sizeof place;
    int listeners[LISTENERS];

    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    buffer = malloc(ROOM);
    poll = epoll_create1(0);
    listeners[0] = listening((struct sockaddr *)&place, length);
    watch(listeners[0], MAX_NODES, EPOLLIN);
    if (argc > 1) {
        snprintf(path.sun_path, sizeof path.sun_path, "%s", argv[1]);
        listeners[1] = listening((struct sockaddr *)&path, sizeof path);
        watch(listeners[1], MAX_NODES + 1, EPOLLIN);
    }
    getsockname(listeners[0], (struct sockaddr *)&place, &length);
    printf("%d\n", ntohs(place.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            uint32_t which = events[i].data.u32;
            if (which >= MAX_NODES)
                enter(listeners[which - MAX_NODES]);
            else if (nodes[which].open)
                handle(which, events[i].events);
        }
    }
}
