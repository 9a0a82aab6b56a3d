/*
 * Feeds a native guest's process (distnet/_native/guest.c) with random input through real sockets.
 *
 * guest_fuzz SEED ROUNDS
 *
 * A guest makes connections to the master from several ports, and sends numbered bytes in segments
 * of all sizes, again, out of order, damaged, and between anything else that a frame can be; it
 * closes, resets and begins anew. In libslirp's place is a TCP that loses nothing and believes in
 * checksums. The master takes what comes when it pleases, and sends as well; the gateway unplugs
 * the switch, says where the master is, or why it is nowhere, and what nobody understands. On each
 * connection each byte must arrive once, in order, both ways. Prints what was done, or fails with
 * one line.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel.h"
#include "guest.h"
#include "relay.h"

enum {
    PORTS = 5,
    FIRST_PORT = 4000,
    STEPS = 120,
    LONGEST_SEGMENT = 1460,
    IP_AT = 14,
    TCP_AT = 34,
    MOST_AHEAD = 9000, /* bytes that the guest sends without an acknowledgment */
    OURS = 30000,      /* that the master sends at once at most */
};

static const unsigned char mac[6] = {2, 0, 0, 0, 0, 0x15};
static const unsigned char address[4] = {10, 0, 2, 15}, master[4] = {10, 0, 2, 16};

/* A connection, as guest, libslirp and master have it; bytes are counted from 0. */
struct connection {
    int number; /* of all that there were at this port */
    enum { CLOSED, BEGUN, OPEN } state;
    uint32_t guest_start, slirp_start; /* sequence numbers of both SYNs */
    uint32_t sent;                     /* by the guest, once or more often */
    uint32_t taken;                    /* by libslirp */
    uint32_t given, arrived;           /* by libslirp to the guest, and there */
    int near;                          /* libslirp's socket */
    int guest_done, slirp_done;
};

/* The master's end of one; whose it is is told by what comes. */
struct end {
    int fd, is_closed;
    int is_known, port, number;
    uint32_t come, sent;
    struct end *next;
};

static struct connection connections[PORTS], begun[PORTS]; /* the latter: until libslirp knows */
static struct end *ends;
static struct guest *guest;
static int frames, channel, plug, its_plug = -1, listener, forward;
static char path[108], forward_path[108];
static unsigned long asked[64];
static int asks, is_clean, is_settling;
static int is_damaged; /* something under way: what damages another segment as well, no sum shows */
static uint64_t segments, merged, arrived, came_back, others, resets;

/* What stands at a place of a stream: the first bytes say whose it is. */
static unsigned char stream(int port, int number, uint32_t at)
{
    if (at == 0)
        return (unsigned char)port;
    if (at == 1)
        return (unsigned char)number;
    return filling((uint32_t)(port * 7 + number * 13), at);
}

/* Frames */

static uint64_t sum(const unsigned char *data, size_t size)
{
    uint64_t all = 0;
    for (size_t i = 0; i < size; i++)
        all += i % 2 ? data[i] : (uint64_t)data[i] << 8;
    return all;
}

static uint16_t folded(uint64_t all)
{
    while (all >> 16)
        all = (all & 0xffff) + (all >> 16);
    return (uint16_t)all;
}

static void put(unsigned char *place, uint32_t value, int size)
{
    for (int i = 0; i < size; i++)
        place[i] = (unsigned char)(value >> 8 * (size - 1 - i));
}

static size_t make_frame(
    unsigned char *frame, int to_guest, int port, uint32_t seq, uint32_t ack, uint8_t flags,
    const unsigned char *data, size_t size)
{
    unsigned char *ip = frame + IP_AT, *tcp = frame + TCP_AT;
    memset(frame, 0, HEADERS);
    memcpy(to_guest ? frame : frame + 6, mac, 6);
    memcpy(to_guest ? frame + 6 : frame, "\x52\x55\x0a\x00\x02\x10", 6);
    frame[12] = 8;
    ip[0] = 0x45;
    put(ip + 2, (uint32_t)(40 + size), 2);
    ip[8] = 64;
    ip[9] = 6;
    memcpy(to_guest ? ip + 16 : ip + 12, address, 4);
    memcpy(to_guest ? ip + 12 : ip + 16, master, 4);
    put(ip + 10, 0xffff ^ folded(sum(ip, 20)), 2);
    put(to_guest ? tcp : tcp + 2, 1234, 2);
    put(to_guest ? tcp + 2 : tcp, (uint32_t)(FIRST_PORT + port), 2);
    put(tcp + 4, seq, 4);
    put(tcp + 8, ack, 4);
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    put(tcp + 14, 65535, 2);
    if (size)
        memcpy(tcp + 20, data, size);
    put(tcp + 16, 0xffff ^ folded(sum(ip + 12, 8) + 6 + 20 + size + sum(tcp, 20 + size)), 2);
    return HEADERS + size;
}

static int is_whole(const unsigned char *frame, size_t size)
{
    const unsigned char *ip = frame + IP_AT;
    size_t total = get16(ip + 2);
    return size >= HEADERS && total >= 40 && total <= size - IP_AT && folded(sum(ip, 20)) == 0xffff &&
        folded(sum(ip + 12, 8) + 6 + total - 20 + sum(ip + 20, total - 20)) == 0xffff;
}

/* libslirp */

static void to_guest(struct connection *connection, uint8_t flags, const void *data, size_t size)
{
    unsigned char frame[2000];
    uint32_t seq = connection->slirp_start + (flags & SYN ? 0 : 1 + connection->given);
    uint32_t ack = connection->guest_start + 1 + connection->taken;
    size_t length = make_frame(
        frame, 1, (int)(connection - connections), seq, ack, flags, data, size);
    memcpy(frame + 6, "\x52\x55\x0a\x00\x02\x02", 6); /* libslirp has one for all */
    connection->given += (uint32_t)size;
    guest_send_packet(frame, length, guest);
}

static void slirp_close(struct connection *connection)
{
    if (connection->near >= 0) {
        guest_forget(connection->near, guest);
        close(connection->near);
    }
    connection->near = -1;
    connection->state = CLOSED;
}

static void take_data(struct connection *connection, uint32_t at, const unsigned char *data, size_t size)
{
    /* What it has already it does not take again. */
    if (at > connection->taken || at + size <= connection->taken)
        return;
    size_t known = connection->taken - at;
    ssize_t took = send(connection->near, data + known, size - known, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (took > 0)
        connection->taken += (uint32_t)took;
    if (size > LONGEST_SEGMENT)
        merged++;
}

static void slirp_input(void *instance, const uint8_t *frame, int length)
{
    (void)instance;
    size_t size = (size_t)length;
    if (size >= 42 && get16(frame + 12) == 0x0806)
        return;
    if (size < HEADERS || frame[23] != 6 || !is_whole(frame, size)) {
        if (is_clean)
            fail("libslirp got a damaged segment");
        others++;
        return;
    }
    unsigned port = get16(frame + 34) - FIRST_PORT;
    if (port >= PORTS)
        return;
    struct connection *connection = &connections[port];
    uint32_t seq = get32(frame + 38);
    uint8_t flags = frame[47];
    const unsigned char *data = frame + HEADERS;
    size_t data_size = get16(frame + 16) - 40u;
    segments++;
    if (flags & RST) {
        if (connection->state != CLOSED)
            slirp_close(connection);
        return;
    }
    if (flags & SYN) {
        if (seq == begun[port].guest_start) {
            slirp_close(connection);
            *connection = begun[port];
            to_guest(connection, SYN | ACK, NULL, 0);
        }
        return;
    }
    if (connection->state == CLOSED || !(flags & ACK))
        return;
    if (connection->state == BEGUN) {
        if (get32(frame + 42) != connection->slirp_start + 1)
            return;
        struct sockaddr_un where = {.sun_family = AF_UNIX};
        strcpy(where.sun_path, forward_path);
        connection->near = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(connection->near, (struct sockaddr *)&where, sizeof where))
            fail("libslirp cannot connect");
        connection->state = OPEN;
    }
    uint32_t at = seq - connection->guest_start - 1;
    take_data(connection, at, data, data_size);
    if (flags & FIN && at + data_size == connection->taken && !connection->guest_done) {
        connection->guest_done = 1;
        shutdown(connection->near, SHUT_WR);
    }
}

static int place_of[PORTS];

static void slirp_fill(
    void *instance, uint32_t *timeout, int (*add)(int, int, void *), void *opaque)
{
    (void)instance;
    *timeout = any(3) ? 1000 : any(2);
    for (int port = 0; port < PORTS; port++) {
        struct connection *connection = &connections[port];
        place_of[port] = -1;
        if (connection->near >= 0 && !connection->slirp_done)
            place_of[port] = add(connection->near, 1 | 8 | 16, opaque);
    }
}

static void slirp_poll(void *instance, int is_error, int (*events)(int, void *), void *opaque)
{
    (void)instance, (void)is_error;
    for (int port = 0; port < PORTS; port++) {
        struct connection *connection = &connections[port];
        unsigned char data[LONGEST_SEGMENT];
        if (place_of[port] < 0 || connection->near < 0 || !(events(place_of[port], opaque) & 17))
            continue;
        ssize_t size = recv(connection->near, data, sizeof data, MSG_DONTWAIT);
        if (size > 0) {
            to_guest(connection, ACK, data, (size_t)size);
        } else if (size == 0) {
            connection->slirp_done = 1;
            to_guest(connection, ACK | FIN, NULL, 0);
        }
    }
}

/* The guest */

struct batch {
    unsigned char data[40000];
    size_t length[BATCH_FRAMES], size;
    int count;
} batch;

static void send_batch(void)
{
    unsigned char packet[sizeof batch.data + 100];
    size_t place = 2 + 2 * (size_t)batch.count;
    if (!batch.count)
        return;
    put(packet, (uint32_t)batch.count, 2);
    for (int i = 0; i < batch.count; i++)
        put(packet + 2 + 2 * i, (uint32_t)batch.length[i], 2);
    memcpy(packet + place, batch.data, batch.size);
    size_t size = place + batch.size;
    /* One that says what is not so; all that it had may be lost. */
    if (!is_clean && !any(40))
        for (size_t i = any(3); i < place; i++)
            packet[i] = (unsigned char)any(256);
    if (!is_clean && !any(60))
        size = any((uint32_t)size);
    if (!size)
        size = 1;
    send(frames, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    batch.count = 0;
    batch.size = 0;
}

static void add_frame(const unsigned char *frame, size_t size)
{
    if (batch.count == BATCH_FRAMES || batch.size + size > 36000)
        send_batch();
    memcpy(batch.data + batch.size, frame, size);
    batch.size += size;
    batch.length[batch.count++] = size;
}

static void add_segment(struct connection *connection, uint32_t at, size_t size, uint8_t flags)
{
    unsigned char frame[2000], data[LONGEST_SEGMENT];
    int port = (int)(connection - connections);
    for (size_t i = 0; i < size; i++)
        data[i] = stream(port, connection->number, at + (uint32_t)i);
    uint32_t seq = connection->guest_start + (flags & SYN ? 0 : 1 + at);
    size_t length = make_frame(
        frame, 0, port, seq, connection->slirp_start + 1 + connection->arrived, flags, data, size);
    if (!is_clean && !is_damaged && !any(40)) {
        frame[any((uint32_t)length)] ^= (unsigned char)(1 << any(8));
        is_damaged = 1;
    }
    if (!is_clean && !any(60))
        length = any((uint32_t)length);
    add_frame(frame, length);
    if (!any(30))
        add_frame(frame, length);
}

static void begin(struct connection *connection)
{
    int port = (int)(connection - connections);
    struct connection fresh = {
        .number = (connection->number + 1) & 0x7f, .state = BEGUN, .near = -1,
        .guest_start = (uint32_t)any(1u << 31) * 2u + port, .slirp_start = any(1u << 31) * 2u};
    begun[port] = fresh;
    /* Nothing of these may be lost: there is no timer here. */
    unsigned char frame[100];
    add_frame(frame, make_frame(frame, 0, port, fresh.guest_start, 0, SYN, NULL, 0));
    send_batch();
    guest_step(guest, 0);
    add_frame(
        frame, make_frame(
                   frame, 0, port, fresh.guest_start + 1, fresh.slirp_start + 1, ACK, NULL, 0));
    send_batch();
    guest_step(guest, 0);
}

static void send_some(struct connection *connection)
{
    int count = 1 + (int)any(12);
    for (int i = 0; i < count; i++) {
        size_t size = any(4) ? LONGEST_SEGMENT : any(LONGEST_SEGMENT);
        uint32_t at = connection->sent;
        if (connection->guest_done)
            return;
        if (at - connection->taken > MOST_AHEAD || !any(10))
            at = connection->taken; /* again */
        add_segment(connection, at, size, any(2) ? ACK : ACK | PSH);
        if (at + size > connection->sent)
            connection->sent = at + (uint32_t)size;
    }
}

static void junk(void)
{
    unsigned char frame[LONGEST_FRAME];
    size_t size = any(8) ? any(200) : any(LONGEST_FRAME);
    for (size_t i = 0; i < size; i++)
        frame[i] = (unsigned char)any(256);
    if (size >= HEADERS && any(3)) {
        unsigned char head[HEADERS];
        make_frame(head, 0, (int)any(PORTS + 2), any(1u << 31), any(1u << 31), (uint8_t)any(64), NULL, 0);
        memcpy(frame, head, any(HEADERS));
    }
    add_frame(frame, size);
}

/* What has come from the gateway's port. */
static void read_plug(void)
{
    unsigned char frame[2000];
    for (ssize_t size; (size = recv(plug, frame, sizeof frame, MSG_DONTWAIT)) > 0;) {
        if (size < HEADERS || frame[23] != 6)
            continue;
        if (!is_whole(frame, (size_t)size))
            fail("a frame for the guest is damaged");
        if (memcmp(frame + 6, "\x52\x55\x0a\x00\x02\x10", 6) != 0)
            fail("a frame for the guest is from somebody else");
        struct connection *connection = &connections[(get16(frame + 36) - FIRST_PORT) % PORTS];
        int port = (int)(connection - connections);
        uint32_t at = get32(frame + 38) - connection->slirp_start - 1;
        size_t data = get16(frame + 16) - 40u;
        if (frame[47] & RST) {
            resets++;
            continue;
        }
        if (!data || connection->state != OPEN)
            continue;
        if (at != connection->arrived)
            continue; /* of one before, or after one that was dropped */
        for (size_t i = 0; i < data; i++)
            if (frame[HEADERS + i] != (unsigned char)(i + at == 0 ? '7' : filling((uint32_t)port, at + (uint32_t)i)))
                fail("what came to the guest is not what was sent");
        connection->arrived += (uint32_t)data;
        came_back += data;
    }
}

/* The master */

static void accept_ends(void)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct end *end = calloc(1, sizeof *end);
        *end = (struct end){.fd = fd, .next = ends};
        ends = end;
        if (is_settling || any(10)) {
            if (write(fd, "7", 1) == 1)
                end->sent = 1;
        } else {
            close(fd);
            end->is_closed = 1;
        }
    }
}

static void read_end(struct end *end)
{
    unsigned char data[70000];
    ssize_t size = recv(end->fd, data, 1 + any(sizeof data - 1), MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN)) {
        close(end->fd);
        end->is_closed = 1;
    }
    for (ssize_t i = 0; i < size; i++, end->come++) {
        if (end->come == 0) {
            end->port = data[i];
        } else if (end->come == 1) {
            end->number = data[i];
            end->is_known = 1;
        } else if (data[i] != stream(end->port, end->number, end->come)) {
            fail("what came to the master is not what was sent");
        }
        arrived++;
    }
}

/* The master's bytes are told apart by the port, which it knows once something has come. */
static void write_end(struct end *end)
{
    unsigned char data[OURS];
    size_t size = any(OURS);
    if (!end->is_known || !end->sent)
        return;
    for (size_t i = 0; i < size; i++)
        data[i] = filling((uint32_t)end->port, end->sent + (uint32_t)i);
    ssize_t sent = send(end->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0)
        end->sent += (uint32_t)sent;
}

static void serve_ends(void)
{
    accept_ends();
    for (struct end *end = ends; end; end = end->next) {
        if (end->is_closed)
            continue;
        if (is_settling || any(2))
            read_end(end);
        if (is_settling)
            continue;
        if (!end->is_closed && !any(3))
            write_end(end);
        if (!end->is_closed && !any(60)) {
            close(end->fd);
            end->is_closed = 1;
        }
    }
}

/* The gateway */

static void tell(const char *message, int fd)
{
    send_message(channel, message, fd);
}

static void hear(void)
{
    char message[2000];
    for (ssize_t size; (size = recv(channel, message, sizeof message - 1, MSG_DONTWAIT)) > 0;) {
        message[size] = 0;
        if (message[0] != '{' || message[size - 1] != '}')
            fail("a message for the gateway is no object");
        if (strncmp(message, "{\"find\": ", 9) == 0 && asks < 64)
            asked[asks++] = strtoul(message + 9, NULL, 10);
    }
}

static void answer(void)
{
    static const char *const answers[] = {
        "{\"found\": %lu, \"why\": \"there is none\"}",
        "{\"found\": %lu, \"path\": \"/nowhere\"}",
        "{\"found\": %lu, \"host\": \"127.0.0.1\", \"port\": 1}",
        "{\"found\": %lu, \"host\": \"::1\", \"port\": 1}",
        "{\"found\": %lu, \"path\": \"a\\u00e9\"}",
        "{\"found\": %lu}",
        "{\"found\": %lu, \"path\": \"",
    };
    char message[400];
    if (!asks)
        return;
    unsigned long number = asked[--asks];
    if (is_settling || any(4)) {
        snprintf(
            message, sizeof message, "{\"found\": %lu, \"path\": \"%s\"%s}", number, path,
            any(2) ? ", \"cut\": true" : "");
        tell(message, -1);
    } else {
        snprintf(message, sizeof message, answers[any(sizeof answers / sizeof *answers)], number);
        tell(message, -1);
    }
}

static void change_plug(void)
{
    if (any(3)) {
        tell("{\"plug\": true}", its_plug);
    } else {
        tell("{\"plug\": false}", -1);
    }
}

/* Python */

static int rest_received(void *self, const unsigned char *frame, size_t size)
{
    (void)self;
    unsigned total = 0; /* All of it can be read. */
    for (size_t i = 0; i < size; i++)
        total += frame[i];
    others += total != 1;
    struct segment segment;
    /* As Python would, of one that connects. */
    if (segment_from_guest(&guest->plan, mac, frame, size, &segment) && !any(4)) {
        guest_introduce(guest, segment.address);
        guest_segment(guest, frame, size, &segment);
    }
    return 0;
}

static int rest_told(void *self, const char *message, size_t size, const int *fds, int count)
{
    (void)self;
    if (message[size])
        fail("a message does not end");
    if (strncmp(message, "{\"found\": ", 10) == 0)
        guest_not_found(guest, strtoul(message + 10, NULL, 10), "that is no answer");
    for (int i = 0; i < count; i++)
        close(fds[i]);
    return 0;
}

static int rest_gone(void *self)
{
    (void)self;
    guest_abort_all(guest, "ended", 1);
    return -1;
}

static int rest_nothing(void *self)
{
    (void)self;
    return 0;
}

static int rest_outward(void *self, unsigned char *frame, size_t size)
{
    (void)self, (void)frame, (void)size;
    return 0;
}

static int rest_complain(void *self, const char *line)
{
    (void)self, (void)line;
    return 0;
}

/* All of it */

static void go_on(int steps)
{
    for (int i = 0; i < steps; i++) {
        guest_step(guest, 0);
        hear();
        read_plug();
    }
}

static int listen_at(const char *name)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    strcpy(where.sun_path, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(fd, (struct sockaddr *)&where, sizeof where) || listen(fd, 128))
        fail("cannot listen");
    return fd;
}

static void step(void)
{
    struct connection *connection = &connections[any(PORTS)];
    switch (any(14)) {
    case 0:
        if (connection->state == CLOSED || !any(10))
            begin(connection);
        break;
    case 1: case 2: case 3: case 4: case 5:
        if (connection->state == OPEN)
            send_some(connection);
        break;
    case 6:
        if (connection->state == OPEN)
            add_segment(connection, connection->taken, 0, ACK);
        break;
    case 7:
        if (!is_clean)
            junk();
        break;
    case 8:
        if (connection->state == OPEN && !any(8))
            add_segment(connection, connection->taken, 0, any(2) ? ACK | FIN : ACK | RST);
        break;
    case 9:
        if (!any(10))
            change_plug();
        break;
    case 10: case 11:
        answer();
        break;
    case 12:
        if (!any(20))
            guest_doubt(guest, address);
        break;
    default:
        tell(any(2) ? "{}" : "what?", any(2) ? -1 : its_plug);
    }
    if (any(2))
        send_batch();
    serve_ends();
    go_on(1 + (int)any(3));
    if (!batch.count)
        is_damaged = 0;
}

/* What all must come to when the master is there and reads. */
static void settle(void)
{
    is_settling = 1;
    tell("{\"plug\": true}", its_plug);
    for (int i = 0; i < 60; i++) {
        for (struct relay *relay = guest->relays; relay; relay = relay->next)
            if (relay->far.fd < 0 && relay->at != NEVER)
                relay->at = 0; /* time flies */
        while (asks)
            answer();
        serve_ends();
        go_on(2);
    }
    is_settling = 0;
    for (const struct relay *relay = guest->relays; relay; relay = relay->next) {
        if (relay->far.fd < 0 || !relay->is_greeted)
            fail("a connection has no master");
        /* An end has a number, too. */
        int has_come = relay->master_done || progress_all_sent(&relay->progress);
        /* The begin of a header is no message; what follows one here is one that does not end. */
        size_t left = relay->to_guest.size - relay->taken;
        if (relay->to_master.size || left >= (relay->is_cutting ? 8 : 1) || !has_come)
            fail("a connection stands still");
    }
}

/* Both ends of a connection take so little that it comes in parts. */
static void narrow(void)
{
    int small = SMALL;
    for (const struct relay *relay = guest->relays; relay; relay = relay->next) {
        setsockopt(relay->near.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        if (relay->far.fd >= 0)
            setsockopt(relay->far.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    }
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void begin_round(void)
{
    int ours[2], control[2], switches[2];
    struct plan plan = {.owns = 2, .port = 1234, .network = 0x0a000200, .mask = 0xfffffe00};
    memcpy(plan.own[0], "\x0a\x00\x02\x02", 4);
    memcpy(plan.own[1], master, 4);
    memcpy(plan.master, master, 4);
    static const unsigned char fixed[1][4] = {{10, 0, 2, 15}};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ours) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, control) ||
        socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, switches))
        fail("no sockets");
    if (any(2)) {
        int small = SMALL;
        setsockopt(switches[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    }
    frames = ours[0];
    channel = control[0];
    plug = switches[0];
    its_plug = switches[1];
    forward = listen_at(forward_path);
    listener = listen_at(path);
    guest = guest_new(&plan, fixed, any(2));
    guest->slirp = (struct slirp){guest, slirp_input, slirp_fill, slirp_poll};
    guest->rest = (struct rest){
        guest, rest_received, rest_told, rest_gone, rest_nothing, rest_nothing, rest_outward,
        rest_complain};
    tell("{\"plug\": true}", its_plug);
    for (int port = 0; port < PORTS; port++)
        connections[port] = (struct connection){.near = -1};
    guest_begin(guest, mac, ours[1], control[1], forward);
}

static void end_round(void)
{
    batch.count = 0;
    batch.size = 0;
    asks = 0;
    /* The gateway goes: all that there is ends. */
    close(channel);
    while (!guest->failed)
        guest_step(guest, 0);
    if (guest->relays)
        fail("a connection outlives the gateway");
    for (int port = 0; port < PORTS; port++)
        slirp_close(&connections[port]);
    while (ends) {
        struct end *end = ends;
        ends = end->next;
        if (!end->is_closed)
            close(end->fd);
        free(end);
    }
    close(guest->frames.fd);
    close(guest->channel.fd);
    if (guest->plug.fd >= 0)
        close(guest->plug.fd);
    close(guest->stack.fd);
    close(guest->epoll);
    close(frames);
    close(plug);
    close(its_plug);
    close(forward);
    close(listener);
    unlink(path);
    unlink(forward_path);
    guest_free(guest);
}

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    unsigned long rounds = strtoul(words[2], NULL, 10);
    signal(SIGPIPE, SIG_IGN);
    seed = strtoul(words[1], NULL, 10);
    snprintf(path, sizeof path, "/tmp/distnet-guest-fuzz-%d.m", getpid());
    snprintf(forward_path, sizeof forward_path, "/tmp/distnet-guest-fuzz-%d.f", getpid());
    int before = open_descriptors();
    for (unsigned long round = 0; round < rounds; round++, seed++) {
        state = seed;
        begin_round();
        is_clean = !any(3);
        int is_narrow = any(2);
        for (int i = 0; i < STEPS; i++) {
            step();
            if (is_narrow)
                narrow();
        }
        settle();
        end_round();
    }
    if (open_descriptors() != before)
        fail("descriptors are left open");
    printf(
        "%llu segments, %llu of them several in one; %llu bytes came to the master, %llu to the guest; "
        "%llu other frames, %llu resets\n",
        (unsigned long long)segments, (unsigned long long)merged, (unsigned long long)arrived,
        (unsigned long long)came_back, (unsigned long long)others, (unsigned long long)resets);
    return !(merged && arrived > 100000 && came_back > 10000 && resets);
}
