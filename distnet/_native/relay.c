/* See relay.h. */
#define _GNU_SOURCE
#include "relay.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "list.h"
#include "message.h"

enum {
    READ_SIZE = 64 * 1024,
    MOST_HELD = 64 * 1024, /* bytes of a guest's that wait for the master */
    MAX_ID_DIGITS = 10,
    SEGMENT = 1460, /* as the master has it */
};
#define FIRST_WAIT (SECOND / 20)
#define MOST_WAIT SECOND
#define CONNECT_TIME (5 * SECOND)
#define LINGER_TIME (2 * SECOND)

static void append(struct buffer *buffer, const unsigned char *data, size_t size)
{
    if (!size)
        return;
    if (buffer->size + size > buffer->room) {
        buffer->room = buffer->size + size;
        buffer->data = must(realloc(buffer->data, buffer->room));
    }
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

static void consume(struct buffer *buffer, size_t size)
{
    buffer->size -= size;
    if (buffer->size) {
        memmove(buffer->data, buffer->data + size, buffer->size);
    } else {
        free(buffer->data);
        *buffer = (struct buffer){0};
    }
}

static void want(struct relay *relay, struct watch *watch, uint32_t events, int is_wanted)
{
    uint32_t wanted = is_wanted ? watch->wanted | events : watch->wanted & ~events;
    watch_want(relay->guest, watch, wanted);
}

static int has_master(const struct relay *relay)
{
    return relay->far.fd >= 0 && !relay->is_dialing;
}

static void close_end(struct relay *relay, struct watch *watch)
{
    if (watch->fd < 0)
        return;
    watch_want(relay->guest, watch, 0);
    close(watch->fd);
    watch->fd = -1;
}

static void say(struct relay *relay, int is_warning, const char *what, const char *more)
{
    const unsigned char *ip = relay->progress.address, *mac = relay->guest->mac;
    guest_log(
        relay->guest, is_warning, "%d.%d.%d.%d (%02x:%02x:%02x:%02x:%02x:%02x): %s%s", ip[0], ip[1],
        ip[2], ip[3], mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], what, more);
}

/* What the master's address is called. */
static void show_master(const struct relay *relay, char *text, size_t size)
{
    if (!relay->master.port) {
        char name[sizeof relay->master.name + 1];
        for (size_t i = 0; i < relay->master.size; i++)
            name[i] = relay->master.name[i] ? relay->master.name[i] : '@';
        name[relay->master.size] = 0;
        snprintf(text, size, "unix:%s", name);
    } else if (strchr(relay->master.name, ':'))
        snprintf(text, size, "tcp:[%s]:%d", relay->master.name, relay->master.port);
    else
        snprintf(text, size, "tcp:%s:%d", relay->master.name, relay->master.port);
}

/* The end */

static void end(struct relay *relay)
{
    struct guest *guest = relay->guest;
    if (relay->ended)
        return;
    relay->ended = 1;
    relay->at = NEVER;
    close_end(relay, &relay->near);
    close_end(relay, &relay->far);
    for (struct relay **each = &guest->relays; *each; each = &(*each)->next)
        if (*each == relay) {
            *each = relay->next;
            guest->relay_count--;
            break;
        }
    relay->next = guest->ended;
    guest->ended = relay;
    const unsigned char *ip = relay->progress.address;
    guest_tellf(
        guest, "{\"over\": [\"%02x%02x%02x%02x\", %d]}", ip[0], ip[1], ip[2], ip[3],
        relay->progress.port);
    guest_turn(guest);
}

void relay_free(struct relay *relay)
{
    free(relay->to_master.data);
    free(relay->to_guest.data);
    free(relay);
}

void relay_abort(struct relay *relay, const char *why, int to_guest)
{
    if (relay->ended)
        return;
    say(relay, 0, why, "");
    guest_reset(relay->guest, &relay->progress, to_guest);
    end(relay);
}

static void close_late(struct relay *relay)
{
    relay_abort(relay, "does not close its side: reset", 1);
}

/* Finding the master */

static void ask(struct relay *relay)
{
    struct guest *guest = relay->guest;
    relay->at = NEVER;
    relay->asked = ++guest->asked_master;
    const unsigned char *ip = relay->progress.address;
    guest_tellf(
        guest, "{\"find\": %lu, \"address\": \"%02x%02x%02x%02x\"}", relay->asked, ip[0], ip[1],
        ip[2], ip[3]);
}

static void reach(struct relay *relay, uint64_t delay)
{
    relay->at = relay->guest->now + delay;
    relay->due = ask;
}

static void reach_again(struct relay *relay)
{
    reach(relay, relay->again);
    relay->again = relay->again * 2 < MOST_WAIT ? relay->again * 2 : MOST_WAIT;
}

static void hold(struct relay *relay, const char *why)
{
    /* Each reason once, told apart by FNV-1a. */
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const char *each = why; *each; each++)
        hash = (hash ^ (unsigned char)*each) * UINT64_C(1099511628211);
    for (int i = 0; i < relay->saids; i++)
        if (relay->said[i] == hash)
            return;
    if (relay->saids == REASONS)
        return;
    relay->said[relay->saids++] = hash;
    char text[400];
    snprintf(text, sizeof text, "waits for the master (%s)", why);
    say(relay, 1, text, "");
}

void relay_not_found(struct relay *relay, const char *why)
{
    if (relay->ended)
        return;
    hold(relay, why);
    reach_again(relay);
}

static void fail(struct relay *relay, const char *why)
{
    char name[200], text[300];
    relay->is_dialing = 0;
    relay->at = NEVER;
    close_end(relay, &relay->far);
    show_master(relay, name, sizeof name);
    if (why)
        snprintf(text, sizeof text, "%s: %s", name, why);
    else
        snprintf(text, sizeof text, "%s does not answer", name);
    relay_not_found(relay, text);
}

static void is_late(struct relay *relay)
{
    fail(relay, NULL);
}

/* As distnet/sockets/alive.py has it. */
static void keep_alive(int fd)
{
    int on = 1, idle = 30, interval = 10, tries = 3;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof tries);
}

static void connected(struct relay *relay)
{
    char name[200], port[32] = "";
    relay->is_dialing = 0;
    relay->at = NEVER;
    if (relay->master.port) {
        int on = 1;
        setsockopt(relay->far.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        keep_alive(relay->far.fd);
        struct sockaddr_storage own;
        socklen_t size = sizeof own;
        if (!getsockname(relay->far.fd, (struct sockaddr *)&own, &size))
            snprintf(
                port, sizeof port, " from port %d",
                ntohs(
                    own.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&own)->sin6_port
                                              : ((struct sockaddr_in *)&own)->sin_port));
    }
    watch_want(relay->guest, &relay->far, EPOLLIN);
    show_master(relay, name, sizeof name);
    char text[300];
    snprintf(text, sizeof text, "connected to the master at %s", name);
    say(relay, 0, text, port);
}

/* Have the master know by the name of our end that it need not pace: see distnet/sockets/cutting.py. */
static int name_cutting(int fd)
{
    static unsigned long number;
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    int size = snprintf(
        own.sun_path + 1, sizeof own.sun_path - 1, "distnet-relay-%d-%lu", (int)getpid(), number++);
    return !bind(
        fd, (struct sockaddr *)&own,
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size));
}

/* 0; or an errno; or, negative, an error of getaddrinfo(3). */
static int dial(struct relay *relay, int cuts)
{
    struct sockaddr_storage where = {0};
    socklen_t size;
    if (!relay->master.port) {
        struct sockaddr_un *address = (struct sockaddr_un *)&where;
        if (relay->master.size >= sizeof address->sun_path)
            return ENAMETOOLONG;
        address->sun_family = AF_UNIX;
        memcpy(address->sun_path, relay->master.name, relay->master.size);
        size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + relay->master.size);
        /* A path ends with a NUL; in a name of the abstract namespace each byte counts. */
        if (address->sun_path[0])
            size++;
    } else {
        /* It may have a scope: inet_pton(3) does not know any. */
        struct addrinfo *found, hints = {
            .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
        char port[16];
        snprintf(port, sizeof port, "%d", relay->master.port);
        int error = getaddrinfo(relay->master.name, port, &hints, &found);
        if (error)
            return error;
        size = found->ai_addrlen;
        memcpy(&where, found->ai_addr, size);
        freeaddrinfo(found);
    }
    relay->far.fd = socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (relay->far.fd < 0)
        return errno;
    relay->is_cutting = cuts && !relay->master.port && name_cutting(relay->far.fd);
    return connect(relay->far.fd, (struct sockaddr *)&where, size) ? errno : 0;
}

void relay_found(struct relay *relay, const char *name, size_t size, int port, int cuts)
{
    if (relay->ended || relay->far.fd >= 0)
        return;
    if (size >= sizeof relay->master.name)
        size = sizeof relay->master.name - 1;
    memcpy(relay->master.name, name, size);
    relay->master.name[size] = 0;
    relay->master.size = size;
    relay->master.port = port;
    relay->is_dialing = 1;
    int error = dial(relay, cuts);
    if (error == EINPROGRESS) {
        watch_want(relay->guest, &relay->far, EPOLLOUT);
        relay->at = relay->guest->now + CONNECT_TIME;
        relay->due = is_late;
    } else if (error) {
        fail(relay, error < 0 ? gai_strerror(error) : strerror(error));
    } else {
        connected(relay);
    }
}

static void dialed(struct relay *relay)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(relay->far.fd, SOL_SOCKET, SO_ERROR, &error, &size))
        error = errno;
    if (error)
        fail(relay, strerror(error));
    else
        connected(relay);
}

/* From the guest to the master */

/* How many bytes need not be kept any more. */
static size_t send_master(struct relay *relay, const unsigned char *data, size_t size)
{
    ssize_t sent = send(relay->far.fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0)
        return (size_t)sent;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    /* What it has sent before it ended is still to be read. */
    relay->is_deaf = 1;
    return size;
}

static void write_master(struct relay *relay)
{
    int has_room = !relay->guest_done && relay->to_master.size < MOST_HELD;
    if (!has_master(relay) || !relay->is_greeted) {
        /* A guest that sends before it has its id may still get it from another connection. */
        want(relay, &relay->near, EPOLLIN, has_room);
        return;
    }
    if (relay->to_master.size)
        consume(
            &relay->to_master, send_master(relay, relay->to_master.data, relay->to_master.size));
    want(relay, &relay->far, EPOLLOUT, relay->to_master.size != 0);
    if (!relay->guest_done)
        want(relay, &relay->near, EPOLLIN, relay->to_master.size < MOST_HELD);
    else if (!relay->to_master.size)
        shutdown(relay->far.fd, SHUT_WR);
}

void relay_read_guest(struct relay *relay)
{
    static unsigned char data[READ_SIZE];
    if (relay->ended || relay->guest_done || relay->to_master.size >= MOST_HELD)
        return;
    ssize_t size = recv(relay->near.fd, data, sizeof data, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size > 0) {
        if (relay->is_deaf)
            return;
        if (relay->is_greeted && has_master(relay) && !relay->to_master.size) {
            /* Almost always there is room for all of it. */
            size_t sent = send_master(relay, data, (size_t)size);
            if (sent == (size_t)size)
                return;
            append(&relay->to_master, data + sent, (size_t)size - sent);
        } else {
            append(&relay->to_master, data, (size_t)size);
        }
    } else {
        relay->guest_done = 1;
        want(relay, &relay->near, EPOLLIN, 0);
        if (!relay->is_greeted || relay->master_done) {
            say(relay, 0, "has ended the connection", "");
            end(relay);
            return;
        }
    }
    write_master(relay);
}

/* From the master to the guest */

/* Bytes that wait for libslirp. */
static size_t waiting(const struct relay *relay)
{
    return relay->to_guest.size - relay->taken;
}

static void was_taken(struct relay *relay, size_t size)
{
    relay->taken += size;
    if (relay->taken == relay->to_guest.size || relay->taken >= MOST_HELD) {
        consume(&relay->to_guest, relay->taken);
        relay->taken = 0;
    }
}

static int may_hand_over(const struct relay *relay)
{
    return !waiting(relay) && progress_all_sent(&relay->progress);
}

static int may_read_master(const struct relay *relay)
{
    return relay->is_cutting && relay->is_greeted ? waiting(relay) < MOST_HELD
                                                  : may_hand_over(relay);
}

/* How many bytes libslirp has taken; -1 if that was the end. */
static ssize_t send_guest(struct relay *relay, const unsigned char *data, size_t size)
{
    ssize_t sent = send(relay->near.fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
        relay->progress.given += (uint32_t)sent;
        return sent;
    }
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    /* libslirp has closed its end: the guest has reset the connection. */
    say(relay, 0, "has reset the connection", "");
    end(relay);
    return -1;
}

/* Bytes of whole messages that a segment holds, or of one that is larger; 0: they have not come. */
static size_t next_batch(const unsigned char *data, size_t size)
{
    uint64_t count;
    size_t batch = whole_messages(data, size < SEGMENT ? size : SEGMENT, &count);
    if (batch || size < HEADER_SIZE)
        return batch;
    size_t first = message_size(data);
    return first > SEGMENT ? first : 0;
}

/* What libslirp may have now: all, or if it is cut, a batch once the one before it was sent. */
static size_t allowed(struct relay *relay)
{
    size_t size = waiting(relay);
    if (!relay->is_cutting)
        return size;
    if (!relay->batch && size && progress_all_sent(&relay->progress)) {
        relay->batch = next_batch(relay->to_guest.data + relay->taken, size);
        /* The master has left in the middle of a message. */
        if (!relay->batch && relay->master_done)
            relay->batch = size;
    }
    return relay->batch < size ? relay->batch : size;
}

/* The master has ended the connection, and libslirp has all that it had sent. */
static void finish(struct relay *relay)
{
    if (relay->guest_done) {
        say(relay, 0, "has ended the connection", "");
        end(relay);
        return;
    }
    if (relay->due == close_late)
        return;
    shutdown(relay->near.fd, SHUT_WR);
    relay->at = relay->guest->now + LINGER_TIME;
    relay->due = close_late;
    guest_turn(relay->guest);
}

/* Have libslirp take what it was given; whether the connection is still there. */
static int hand_over(struct relay *relay, int is_full)
{
    want(relay, &relay->near, EPOLLOUT, is_full);
    guest_turn(relay->guest);
    return !relay->ended;
}

/* Read more of the master, or wait until libslirp has sent what it has. */
static void go_on(struct relay *relay)
{
    if (relay->master_done) {
        relay->waits = waiting(relay) != 0;
        if (!relay->waits)
            finish(relay);
        return;
    }
    int may_read = may_read_master(relay);
    relay->waits = !may_read || waiting(relay);
    want(relay, &relay->far, EPOLLIN, may_read);
}

static void write_guest(struct relay *relay)
{
    /* Often it has sent a batch at once, and may have the next one. */
    for (size_t size; (size = allowed(relay)) != 0;) {
        ssize_t sent = send_guest(relay, relay->to_guest.data + relay->taken, size);
        if (sent < 0)
            return;
        was_taken(relay, (size_t)sent);
        if (relay->is_cutting)
            relay->batch -= (size_t)sent;
        if (!hand_over(relay, (size_t)sent < size))
            return;
        if ((size_t)sent < size)
            break;
    }
    go_on(relay);
}

void relay_went_on(struct relay *relay)
{
    if (relay->waits && has_master(relay) && progress_all_sent(&relay->progress))
        write_guest(relay);
}

static void greet(struct relay *relay, const unsigned char *data, size_t size)
{
    relay->is_greeted = 1;
    if (size > MAX_ID_DIGITS)
        return;
    unsigned long long number = 0;
    for (size_t i = 0; i < size; i++) {
        if (!isdigit(data[i]))
            return;
        number = number * 10 + (unsigned long long)(data[i] - '0');
    }
    char text[32];
    snprintf(text, sizeof text, "%llu", number);
    say(relay, 0, "is node ", text);
}

static void lost(struct relay *relay, const char *why, int by_reset)
{
    if (!relay->is_greeted) {
        char text[200];
        close_end(relay, &relay->far);
        snprintf(text, sizeof text, "%s before it gave an id", why);
        hold(relay, text);
        reach_again(relay);
    } else if (by_reset) {
        relay_abort(relay, why, 1);
    } else {
        if (!relay->guest_done)
            say(relay, 0, why, "");
        relay->master_done = 1;
        want(relay, &relay->far, EPOLLIN, 0);
        write_guest(relay);
    }
}

static void read_master(struct relay *relay)
{
    static unsigned char data[READ_SIZE];
    if (relay->ended || !has_master(relay) || relay->master_done)
        return;
    if (!may_read_master(relay)) {
        relay->waits = 1;
        want(relay, &relay->far, EPOLLIN, 0);
        return;
    }
    ssize_t size = recv(relay->far.fd, data, sizeof data, MSG_DONTWAIT);
    if (size < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return;
        char text[120];
        snprintf(text, sizeof text, "the master has ended the connection (%s)", strerror(errno));
        lost(relay, text, 1);
        return;
    }
    if (!size) {
        lost(relay, "the master has closed the connection", 0);
        return;
    }
    if (!relay->is_greeted) {
        greet(relay, data, (size_t)size);
        relay->batch = relay->is_cutting ? (size_t)size : 0;
    }
    if (relay->is_cutting) {
        append(&relay->to_guest, data, (size_t)size);
        write_guest(relay);
    } else {
        /* Almost always there is room for all of it. */
        ssize_t sent = send_guest(relay, data, (size_t)size);
        if (sent < 0)
            return;
        append(&relay->to_guest, data + sent, (size_t)(size - sent));
        if (hand_over(relay, sent < size))
            go_on(relay);
    }
    if (!relay->ended && (relay->to_master.size || relay->guest_done))
        write_master(relay);
}

/* What is ready */

static void near_ready(void *owner, uint32_t events)
{
    struct relay *relay = owner;
    uint32_t over = EPOLLHUP | EPOLLERR;
    if (events & (EPOLLIN | over) && relay->near.wanted & EPOLLIN)
        relay_read_guest(relay);
    if (!relay->ended && events & (EPOLLOUT | over) && relay->near.wanted & EPOLLOUT)
        write_guest(relay);
}

static void far_ready(void *owner, uint32_t events)
{
    struct relay *relay = owner;
    uint32_t over = EPOLLHUP | EPOLLERR;
    if (relay->is_dialing) {
        dialed(relay);
        return;
    }
    if (events & (EPOLLIN | over) && relay->far.wanted & EPOLLIN)
        read_master(relay);
    if (!relay->ended && events & (EPOLLOUT | over) && relay->far.wanted & EPOLLOUT)
        write_master(relay);
}

struct relay *relay_new(struct guest *guest, const struct segment *first, int near)
{
    struct relay *relay = calloc(1, sizeof *relay);
    if (!relay)
        return NULL;
    relay->guest = guest;
    progress_begin(&relay->progress, first);
    relay->near = (struct watch){near, 0, near_ready, relay};
    relay->far = (struct watch){-1, 0, far_ready, relay};
    relay->again = FIRST_WAIT;
    relay->doubted_until = NEVER;
    /* The oldest is the first to be ended, and to have its time. */
    struct relay **last = &guest->relays;
    while (*last)
        last = &(*last)->next;
    *last = relay;
    guest->relay_count++;
    watch_want(guest, &relay->near, EPOLLIN);
    reach(relay, 0);
    return relay;
}

struct relay *relay_find(const struct guest *guest, const unsigned char *address, uint16_t port)
{
    struct relay *relay = guest->relays;
    while (relay &&
           (relay->progress.port != port || memcmp(relay->progress.address, address, 4) != 0))
        relay = relay->next;
    return relay;
}
