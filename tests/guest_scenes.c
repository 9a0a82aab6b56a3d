/*
 * Scenes with a native guest's process (distnet/_native/guest.c), whose time is the scene's: what it
 * does when, at which limit, and in which order. tests/integration/test_guest_scenes.py runs each.
 *
 * guest_scenes NAME
 *
 * The scene is the guest, libslirp, the gateway, the master, and Python. Prints nothing, or fails
 * with one line.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "guest.h"
#include "relay.h"

enum { PORT = 4000, MOST_SEEN = 2000, LONGEST_LINE = 300, SMALL = 4608, PLENTY = 1 << 20 };
#define MS (SECOND / 1000)
#define CHECK(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #what); \
            exit(1); \
        } \
    } while (0)

static const unsigned char mac[6] = {2, 0, 0, 0, 0, 0x15};
static const unsigned char master[4] = {10, 0, 2, 16};
static const unsigned char fixed[1][4] = {{10, 0, 2, 17}}; /* the address of a fixed node */
static unsigned char address[4] = {10, 0, 2, 15};          /* the guest's */

static struct guest *guest;
static int frames, channel, plug, its_plug, forward, listener;
static char path[108], forward_path[108];

/* Time: nobody waits for it, it flies */

static uint64_t now = 1000 * SECOND;

int clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    time->tv_sec = (time_t)(now / SECOND);
    time->tv_nsec = (long)(now % SECOND);
    return 0;
}

int epoll_wait(int fd, struct epoll_event *event, int most, int timeout)
{
    int count = (int)syscall(SYS_epoll_pwait, fd, event, most, 0, NULL, 0);
    CHECK(count || timeout >= 0);
    if (count == 0)
        now += (uint64_t)timeout * MS;
    return count;
}

/* What the gateway was told */

static char told[MOST_SEEN][LONGEST_LINE];
static int tolds;

static void hear(void)
{
    ssize_t size;
    while (tolds < MOST_SEEN &&
           (size = recv(channel, told[tolds], LONGEST_LINE - 1, MSG_DONTWAIT)) > 0)
        told[tolds++][size] = 0;
}

/* How many messages have this in them. */
static int heard(const char *what)
{
    int count = 0;
    hear();
    for (int i = 0; i < tolds; i++)
        count += strstr(told[i], what) != NULL;
    return count;
}

static void tell(const char *message, int fd)
{
    CHECK(send_message(channel, message, fd) > 0);
}

/* Let everything happen that is to happen by then. */
static void go_on(uint64_t duration)
{
    uint64_t end = now + duration;
    do {
        guest_step(guest, end);
    } while (now < end);
    for (int i = 0; i < 4; i++)
        guest_step(guest, 0);
    hear();
}

/* libslirp, which is the scene */

static int inputs, questions, input_resets;
static size_t input_bytes;
static int asked_fd = -1, asked_events, events_given;

static void slirp_input(void *instance, const uint8_t *frame, int size)
{
    (void)instance;
    if (size == 42 && get16(frame + 12) == 0x0806) {
        questions++;
        return;
    }
    inputs++;
    input_bytes += (size_t)size;
    input_resets += (frame[47] & RST) != 0;
}

static int place = -1;

static void slirp_fill(
    void *instance, uint32_t *timeout, int (*add)(int, int, void *), void *opaque)
{
    (void)instance;
    *timeout = 1000;
    place = asked_fd >= 0 ? add(asked_fd, asked_events, opaque) : -1;
}

static void slirp_poll(void *instance, int is_error, int (*events)(int, void *), void *opaque)
{
    (void)instance, (void)is_error;
    if (place >= 0)
        events_given = events(place, opaque);
}

/* Python, which is too */

static int received, complaints, idles, is_gone;

static int rest_received(void *self, const unsigned char *frame, size_t size)
{
    (void)self, (void)frame, (void)size;
    received++;
    return 0;
}

static int rest_told(void *self, const char *message, size_t size, const int *fds, int count)
{
    (void)self, (void)message, (void)size;
    for (int i = 0; i < count; i++)
        close(fds[i]);
    return 0;
}

static int rest_gone(void *self)
{
    (void)self;
    is_gone = 1;
    return -1;
}

static int rest_turn(void *self)
{
    (void)self;
    return 0;
}

static int rest_idle(void *self)
{
    (void)self;
    idles++;
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
    complaints++;
    return 0;
}

/* The guest, with sequence numbers from 1000 on, and libslirp's from 5000 on */

static void put(unsigned char *where, uint32_t value, int size)
{
    for (int i = 0; i < size; i++)
        where[i] = (unsigned char)(value >> 8 * (size - 1 - i));
}

/* A segment; nobody here looks at checksums. */
static size_t make(
    unsigned char *frame, int to_guest, int port, uint8_t flags, uint32_t seq, uint32_t ack,
    size_t size)
{
    memset(frame, 0, HEADERS + size);
    memcpy(to_guest ? frame : frame + 6, mac, 6);
    memcpy(to_guest ? frame + 6 : frame, "\x52\x55\x0a\x00\x02\x10", 6);
    put(frame + 12, 0x0800, 2);
    frame[14] = 0x45;
    put(frame + 16, (uint32_t)(40 + size), 2);
    frame[23] = 6;
    memcpy(to_guest ? frame + 30 : frame + 26, address, 4);
    memcpy(to_guest ? frame + 26 : frame + 30, master, 4);
    put(to_guest ? frame + 34 : frame + 36, 1234, 2);
    put(to_guest ? frame + 36 : frame + 34, (uint32_t)port, 2);
    put(frame + 38, seq, 4);
    put(frame + 42, ack, 4);
    frame[46] = 5 << 4;
    frame[47] = flags;
    return HEADERS + size;
}

static void send_segment(int port, uint8_t flags, uint32_t seq, uint32_t ack, size_t size)
{
    unsigned char packet[2000] = {0, 1};
    size_t length = make(packet + 4, 0, port, flags, seq, ack, size);
    put(packet + 2, (uint32_t)length, 2);
    CHECK(send(frames, packet, 4 + length, 0) > 0);
    guest_step(guest, 0);
}

/* libslirp sends a segment with so much. */
static void slirp_sends(int port, uint32_t seq, size_t size)
{
    unsigned char frame[2000];
    guest_send_packet(frame, make(frame, 1, port, ACK, seq, 1001, size), guest);
}

/* Frames that have come to the switch; each tells the last one's sequence number. */
static int came, came_resets;
static uint32_t came_last;

static void look_at_switch(void)
{
    unsigned char frame[2000];
    while (recv(plug, frame, sizeof frame, MSG_DONTWAIT) >= HEADERS) {
        came++;
        came_resets += (frame[47] & RST) != 0;
        came_last = get32(frame + 38);
    }
}

static int connect_to(const char *name)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    strcpy(where.sun_path, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(connect(fd, (struct sockaddr *)&where, sizeof where) == 0);
    return fd;
}

/* The guest connects; libslirp's end. */
static int begin(int port)
{
    int near = connect_to(forward_path);
    send_segment(port, ACK, 1001, 5001, 0);
    go_on(0);
    CHECK(relay_find(guest, address, (uint16_t)port));
    return near;
}

/* The master sends a stream, which is cut. */
static int cuts;

/* The gateway says where the master is; the master's end. */
static int find(void)
{
    char message[300];
    snprintf(
        message, sizeof message, "{\"found\": %lu, \"path\": \"%s\"%s}", guest->asked_master, path,
        cuts ? ", \"cut\": true" : "");
    tell(message, -1);
    go_on(0);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    CHECK(fd >= 0);
    return fd;
}

static void say_nowhere(const char *why)
{
    char message[300];
    snprintf(
        message, sizeof message, "{\"found\": %lu, \"why\": \"%s\"}", guest->asked_master, why);
    tell(message, -1);
    go_on(0);
}

/* What there is to read, up to some; -1 at the end. */
static int read_all(int fd)
{
    static char data[PLENTY];
    int count = 0;
    for (ssize_t size; (size = recv(fd, data, sizeof data, MSG_DONTWAIT)) >= 0; count += (int)size)
        if (size == 0)
            return count ? count : -1;
    return count;
}

/* A connection of the guest's to the master, which has given it an id. */
static int open_all(int port, int *end)
{
    int near = begin(port);
    *end = find();
    CHECK(send(*end, "7", 1, 0) == 1);
    go_on(0);
    CHECK(read_all(near) == 1);
    slirp_sends(port, 5001, 1);
    go_on(0);
    return near;
}

/* Scenes */

/* What the guest sends before it has its id reaches the master after it, in order. */
static void before_the_id(void)
{
    int near = begin(PORT);
    CHECK(send(near, "early", 5, 0) == 5);
    int end = find();
    CHECK(send(near, ", too", 5, 0) == 5);
    go_on(0);
    CHECK(read_all(end) == 0);
    CHECK(send(end, "7", 1, 0) == 1);
    go_on(0);
    CHECK(heard("is node 7") == 1);
    CHECK(read_all(end) == 10);
}

/* What is too long for an id is none. */
static void no_id(void)
{
    begin(PORT);
    CHECK(send(find(), "12345678901", 11, 0) == 11);
    go_on(0);
    CHECK(heard("is node") == 0 && guest->relays->is_greeted);
}

/* A guest that ends its side still gets what the master has; then both ends are closed. */
static void guest_closes(void)
{
    int end, near = open_all(PORT, &end);
    CHECK(send(near, "last", 4, 0) == 4);
    CHECK(shutdown(near, SHUT_WR) == 0);
    go_on(0);
    CHECK(read_all(end) == 4);
    CHECK(read_all(end) == -1);
    CHECK(send(end, "more", 4, 0) == 4);
    go_on(10 * SECOND);
    CHECK(read_all(near) == 4);
    CHECK(heard("\"over\"") == 0);
    close(end);
    slirp_sends(PORT, 5002, 4);
    go_on(0);
    CHECK(heard("has ended the connection") == 1 && heard("\"over\"") == 1);
    CHECK(read_all(near) == -1);
}

/* All that a guest has sent before it ended its side comes, however late the master reads it. */
static void guest_closes_early(void)
{
    static char data[PLENTY];
    int end, near = open_all(PORT, &end), sent = 0, come = 0;
    for (ssize_t size; (size = send(near, data, sizeof data, MSG_DONTWAIT)) > 0; go_on(0))
        sent += (int)size;
    CHECK(sent > 2 * SMALL && shutdown(near, SHUT_WR) == 0);
    for (int count; (count = read_all(end)) >= 0; go_on(0))
        come += count;
    CHECK(come == sent);
}

/* When both have closed it is over at once. */
static void both_close(void)
{
    int end, near = open_all(PORT, &end);
    close(end);
    go_on(0);
    CHECK(heard("the master has closed the connection") == 1 && heard("\"over\"") == 0);
    close(near);
    go_on(0);
    CHECK(heard("has ended the connection") == 1 && heard("\"over\"") == 1);
}

/* A guest has two seconds to close its side after the master has: then it is reset. */
static void master_closes(void)
{
    int end, near = open_all(PORT, &end);
    CHECK(shutdown(end, SHUT_WR) == 0);
    go_on(0);
    CHECK(read_all(near) == -1);
    CHECK(send(near, "last", 4, 0) == 4);
    go_on(2 * SECOND - 10 * MS);
    CHECK(read_all(end) == 4);
    CHECK(heard("\"over\"") == 0 && input_resets == 0);
    go_on(20 * MS);
    CHECK(heard("does not close its side: reset") == 1 && heard("\"over\"") == 1);
    look_at_switch();
    CHECK(input_resets == 1 && came_resets == 1);
}

/* What the master has sent before it has gone still comes to a guest that sends. */
static void master_goes(void)
{
    int end, near = open_all(PORT, &end);
    CHECK(send(end, "first", 5, 0) == 5);
    go_on(0);
    CHECK(send(end, "last", 4, 0) == 4);
    close(end);
    CHECK(send(near, "never", 5, 0) == 5);
    go_on(0);
    CHECK(read_all(near) == 5);
    slirp_sends(PORT, 5002, 5);
    go_on(0);
    CHECK(read_all(near) == 4);
}

/* A guest that sends while there is no master is held up at a limit. */
static void much_before_the_master(void)
{
    static char data[PLENTY];
    int near = begin(PORT);
    for (int i = 0; i < 40; i++) {
        send(near, data, sizeof data, MSG_DONTWAIT);
        send_segment(PORT, ACK, 1001, 5001, 0);
        go_on(0);
    }
    size_t held = guest->relays->to_master.size;
    CHECK(held >= 64 << 10 && held < 128 << 10 && !(guest->relays->near.wanted & EPOLLIN));
    int end = find();
    CHECK(send(end, "7", 1, 0) == 1);
    /* Nor is more held while the master does not read. */
    for (int i = 0; i < 40; i++) {
        send(near, data, sizeof data, MSG_DONTWAIT);
        go_on(0);
    }
    held = guest->relays->to_master.size;
    CHECK(held >= 64 << 10 && held < 128 << 10 && !(guest->relays->near.wanted & EPOLLIN));
    size_t come = 0;
    for (int count; (count = read_all(end)) > 0; go_on(0))
        come += (size_t)count;
    CHECK(come > held && guest->relays->to_master.size == 0);
}

/* What a master sends is read when libslirp has sent all before it, and not earlier. */
static void one_at_a_time(void)
{
    int end, near = open_all(PORT, &end);
    CHECK(send(end, "first", 5, 0) == 5);
    go_on(0);
    CHECK(read_all(near) == 5);
    CHECK(send(end, "second", 6, 0) == 6);
    go_on(0);
    CHECK(read_all(near) == 0);
    slirp_sends(PORT, 5002, 3);
    go_on(0);
    CHECK(read_all(near) == 0 && !(guest->relays->far.wanted & EPOLLIN));
    slirp_sends(PORT, 5005, 2);
    go_on(0);
    CHECK(read_all(near) == 6);
}

static void master_sends(int fd, uint32_t size, size_t sent)
{
    unsigned char message[9000] = {7, 0, 0, 0, size & 255, size >> 8 & 255, size >> 16};
    CHECK(send(fd, message, sent, 0) == (ssize_t)sent);
}

/* Of a stream libslirp gets whole messages of a segment at most, when it has sent those before. */
static void cut(void)
{
    cuts = 1;
    int end, near = open_all(PORT, &end);
    master_sends(end, 700, 708);
    master_sends(end, 744, 752);
    master_sends(end, 8, 16);
    master_sends(end, 8000, 100);
    go_on(0);
    CHECK(read_all(near) == 1460);
    slirp_sends(PORT, 5002, 1459);
    go_on(0);
    CHECK(read_all(near) == 0);
    slirp_sends(PORT, 6461, 1);
    go_on(0);
    CHECK(read_all(near) == 16);
    slirp_sends(PORT, 6462, 16);
    go_on(0);
    CHECK(read_all(near) == 100);
    master_sends(end, 0, 7908);
    go_on(0);
    CHECK(read_all(near) == 7908);
    for (int i = 0; i < 8; i++)
        slirp_sends(PORT, 6478 + i * 1001, 1001);
    master_sends(end, 100, 50);
    go_on(0);
    CHECK(read_all(near) == 0);
    close(end);
    go_on(0);
    CHECK(read_all(near) == 50);
}

/* The master is asked for again, after 50 ms, then twice as long each time, at most a second. */
static void nowhere(void)
{
    static const uint64_t pauses[] = {50, 100, 200, 400, 800, 1000, 1000};
    begin(PORT);
    int asked = 1;
    CHECK(heard("\"find\"") == asked);
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        say_nowhere(i == 3 ? "it is elsewhere" : "there is none");
        go_on(pauses[i] * MS - 5 * MS);
        CHECK(heard("\"find\"") == asked);
        go_on(10 * MS);
        CHECK(heard("\"find\"") == ++asked);
    }
    CHECK(heard("waits for the master (there is none)") == 1);
    CHECK(heard("waits for the master (it is elsewhere)") == 1);
}

/* A master that does not answer is given up after five seconds, and asked for again. */
static void no_answer(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    int full = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(full, (struct sockaddr *)&where, size) == 0 && listen(full, 0) == 0);
    CHECK(getsockname(full, (struct sockaddr *)&where, &size) == 0);
    for (int i = 0; i < 4; i++)
        connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), (struct sockaddr *)&where, size);
    begin(PORT);
    char message[200];
    snprintf(
        message, sizeof message, "{\"found\": 1, \"host\": \"127.0.0.1\", \"port\": %d}",
        ntohs(where.sin_port));
    tell(message, -1);
    go_on(5 * SECOND - 10 * MS);
    CHECK(heard("does not answer") == 0 && guest->relays->is_dialing);
    go_on(20 * MS);
    CHECK(heard("does not answer") == 1 && heard("\"find\"") == 1);
    go_on(SECOND);
    CHECK(heard("\"find\"") == 2);
}

/* A master that ends before it gives an id is no end: another one is looked for. */
static void master_without_an_id(void)
{
    int near = begin(PORT);
    CHECK(send(near, "early", 5, 0) == 5);
    close(find());
    go_on(SECOND);
    CHECK(heard("before it gave an id") == 1 && heard("\"over\"") == 0);
    CHECK(heard("\"find\"") == 2);
    int end = find();
    CHECK(send(end, "7", 1, 0) == 1);
    go_on(0);
    CHECK(read_all(end) == 5 && read_all(near) == 1);
}

/* An answer that comes twice is one. */
static void two_answers(void)
{
    begin(PORT);
    find();
    guest->relays->asked = 9;
    guest->asked_master = 9;
    char message[200];
    snprintf(message, sizeof message, "{\"found\": 9, \"path\": \"%s\"}", path);
    tell(message, -1);
    go_on(0);
    CHECK(accept4(listener, NULL, NULL, SOCK_NONBLOCK) < 0);
    CHECK(heard("connected to the master") == 1);
}

/* Of a guest that connects again the older connection is asked about, or ended if it is fixed. */
static void again(void)
{
    begin(PORT);
    look_at_switch();
    int before = came;
    begin(PORT + 1);
    look_at_switch();
    CHECK(guest->relay_count == 2 && came == before + 1 && came_last == 5000);
    memcpy(address, fixed[0], 4);
    begin(PORT);
    begin(PORT + 1);
    CHECK(guest->relay_count == 3 && heard("10.0.2.17 (02:00:00:00:00:15): connects again") == 1);
    CHECK(input_resets == 1);
}

/* A fixed node that somebody else connects as has a second to answer; others have all time. */
static void doubted(void)
{
    int end;
    open_all(PORT, &end);
    guest_doubt(guest, address);
    go_on(10 * SECOND);
    CHECK(guest->relay_count == 1);
    memcpy(address, fixed[0], 4);
    open_all(PORT, &end);
    look_at_switch();
    int before = came;
    guest_doubt(guest, address);
    go_on(0);
    look_at_switch();
    CHECK(came == before + 1);
    go_on(500 * MS);
    send_segment(PORT, ACK, 1001, 5002, 0);
    go_on(10 * SECOND);
    CHECK(guest->relay_count == 2);
    guest_doubt(guest, address);
    go_on(SECOND - 10 * MS);
    CHECK(guest->relay_count == 2);
    go_on(20 * MS);
    CHECK(guest->relay_count == 1 && heard("10.0.2.17 (02:00:00:00:00:15): connects again") == 1);
}

/* However often that happens, the second is that since the first time that was not answered. */
static void doubted_again(void)
{
    int end;
    memcpy(address, fixed[0], 4);
    open_all(PORT, &end);
    guest_doubt(guest, address);
    go_on(500 * MS);
    send_segment(PORT, ACK, 1001, 5002, 0);
    guest_doubt(guest, address);
    for (int i = 0; i < 9; i++) {
        go_on(100 * MS);
        guest_doubt(guest, address);
    }
    CHECK(guest->relay_count == 1);
    go_on(200 * MS);
    CHECK(guest->relay_count == 0);
}

/* Who has not been heard of for half a minute after the switch went has gone with it. */
static void no_switch(void)
{
    int end;
    open_all(PORT, &end);
    open_all(PORT + 1, &end);
    tell("{\"plug\": false}", -1);
    go_on(10 * SECOND);
    tell("{\"plug\": true}", its_plug);
    go_on(SECOND);
    send_segment(PORT + 1, ACK, 1001, 5002, 0);
    go_on(28 * SECOND);
    CHECK(guest->relay_count == 2);
    go_on(2 * SECOND);
    CHECK(guest->relay_count == 1 && heard("was not heard of since the switch had gone") == 1);
    CHECK(relay_find(guest, address, PORT + 1));
    go_on(100 * SECOND);
    CHECK(guest->relay_count == 1);
}

/* So many connections are let begin as they come, each by one SYN; Python counts the others. */
static void beginning(void)
{
    for (int i = 0; i < SIMPLE_FLOWS; i++) {
        send_segment(PORT + i, SYN, 1000, 0, 0);
        CHECK(inputs == i + 1 && received == 0);
    }
    send_segment(PORT, SYN, 1000, 0, 0);
    CHECK(inputs == SIMPLE_FLOWS + 1 && received == 0);
    send_segment(PORT, SYN, 7777, 0, 0);
    CHECK(inputs == SIMPLE_FLOWS + 1 && received == 1);
    send_segment(PORT + SIMPLE_FLOWS, SYN, 1000, 0, 0);
    send_segment(PORT, SYN | ACK, 1000, 0, 0);
    CHECK(inputs == SIMPLE_FLOWS + 1 && received == 3);
}

/* libslirp is told of each address once, as far as it remembers them. */
static void addresses(void)
{
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < ADDRESSES; i++) {
            address[3] = (unsigned char)(100 + i);
            send_segment(PORT, ACK, 1001, 5001, 0);
            CHECK(questions == (round ? ADDRESSES : i + 1));
        }
    for (int i = 0; i < 3 * ADDRESSES; i++) {
        address[3] = (unsigned char)(150 + i);
        send_segment(PORT, ACK, 1001, 5001, 0);
        CHECK(questions == ADDRESSES + i + 1);
    }
}

/* Frames wait while the switch does not read, so many, and leave in their order. */
static void full_switch(void)
{
    enum { PUT = 700 };
    unsigned char frame[2000];
    for (uint32_t i = 0; i < PUT; i++) {
        guest_put(guest, frame, make(frame, 1, PORT, ACK, i, 0, 1400));
        if (i % 10 == 0)
            guest_step(guest, 0);
    }
    go_on(0);
    unsigned long lost = guest->dropped[0].count;
    CHECK(guest->dropped[0].error == -1 && lost > 0 && lost < PUT - 512);
    uint32_t next = 0;
    for (int pauses = 0; pauses < 2;) {
        if (recv(plug, frame, sizeof frame, MSG_DONTWAIT) < 0) {
            go_on(0);
            pauses++;
            continue;
        }
        pauses = 0;
        CHECK(get32(frame + 38) == next);
        if (++next == 100)
            /* One that comes then has its place at the end. */
            guest_put(guest, frame, make(frame, 1, PORT, ACK, PUT - (uint32_t)lost, 0, 0));
    }
    CHECK(next == PUT - lost + 1);
}

/* Messages wait while the gateway does not read, so many, and come in their order. */
static void full_gateway(void)
{
    enum { SAID = 1900 };
    hear();
    tolds = 0;
    for (int i = 0; i < SAID; i++)
        guest_log(guest, 0, "%d.%0200d", i, 0);
    int count = 0, is_last = 0;
    for (int i = 0; i < 20; i++) {
        hear();
        for (int each = 0; each < tolds; each++, count++) {
            char text[LONGEST_LINE];
            snprintf(text, sizeof text, "\"log\": \"%d.0", count);
            CHECK(!is_last);
            is_last = strstr(told[each], "last") != NULL;
            CHECK(is_last || strstr(told[each], text));
        }
        tolds = 0;
        if (i == 1)
            /* There is room, but others have come before. */
            guest_log(guest, 0, "last");
        guest_step(guest, 0);
    }
    CHECK(is_last);
    CHECK(count > 1024 && count < SAID);
}

/* A guest that has no connection and sends nothing for a minute is idle. */
static void silent_guest(void)
{
    int near = begin(PORT);
    go_on(200 * SECOND);
    CHECK(idles == 0);
    close(near);
    go_on(0);
    CHECK(guest->relay_count == 0);
    send_segment(PORT, ACK, 1001, 5001, 0);
    go_on(55 * SECOND);
    CHECK(idles == 0);
    go_on(70 * SECOND);
    CHECK(idles >= 1);
}

/* Who has answered what came to it is there, and none who has only asked. */
static void proof(void)
{
    guest->answered = guest->proven = 0;
    send_segment(PORT, ACK, 1001, 5001, 0);
    CHECK(heard("proven") == 0);
    slirp_sends(PORT, 5000, 0);
    send_segment(PORT, SYN, 1000, 0, 0);
    CHECK(heard("proven") == 0);
    send_segment(PORT, ACK, 1001, 5001, 0);
    CHECK(heard("proven") == 1 && guest->proven);
}

/* It wakes up when a connection's time has come, if nothing else happens. */
static void waking_up(void)
{
    begin(PORT);
    say_nowhere("there is none");
    uint64_t before = now;
    while (heard("\"find\"") < 2)
        guest_step(guest, NEVER);
    CHECK(now - before <= 51 * MS);
    memcpy(address, fixed[0], 4);
    begin(PORT);
    guest_doubt(guest, address);
    before = now;
    while (heard("connects again") < 1)
        guest_step(guest, NEVER);
    CHECK(now - before <= SECOND + MS);
    tell("{\"plug\": false}", -1);
    before = now;
    while (guest->relays)
        guest_step(guest, NEVER);
    CHECK(now - before <= 31 * SECOND);
    before = now;
    while (!idles)
        guest_step(guest, NEVER);
    CHECK(now - before <= 121 * SECOND);
}

/* libslirp is told of what it has asked for; of what it only writes, of nothing else. */
static void libslirps_descriptors(void)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    asked_fd = pair[0];
    asked_events = 2;
    guest_turn(guest);
    CHECK(events_given == 2);
    asked_events = 1 | 8 | 16;
    guest_turn(guest);
    CHECK(events_given == 0);
    CHECK(send(pair[1], "x", 1, 0) == 1);
    guest_turn(guest);
    CHECK(events_given == 1);
    guest->held[asked_fd] = 1;
    guest_turn(guest);
    CHECK(events_given == 0);
    guest->held[asked_fd] = 0;
    close(pair[1]);
    asked_events = 2;
    guest_turn(guest);
    CHECK(events_given == 2);
    asked_events = 1;
    guest_turn(guest);
    CHECK(events_given & 1 && events_given & 16);
    /* Another one has its number then. */
    guest_forget(asked_fd, guest);
    close(pair[0]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0 && pair[0] == asked_fd);
    guest_turn(guest);
    CHECK(events_given == 0);
    CHECK(send(pair[1], "x", 1, 0) == 1);
    guest_turn(guest);
    CHECK(events_given == 1);
}

/* Both of the gateway's ends tell that it has gone; what it said last is heeded first. */
static void gateway_goes(void)
{
    begin(PORT);
    /* It has not read all. */
    guest_log(guest, 0, "nobody reads this");
    tell("{\"found\": 1, \"why\": \"the last word\"}", -1);
    close(channel);
    while (!guest->failed)
        guest_step(guest, 0);
    CHECK(is_gone && guest->relays->saids == 1);
}

static const struct {
    const char *name;
    void (*play)(void);
} SCENES[] = {
    {"before_the_id", before_the_id},
    {"no_id", no_id},
    {"guest_closes", guest_closes},
    {"guest_closes_early", guest_closes_early},
    {"both_close", both_close},
    {"master_closes", master_closes},
    {"master_goes", master_goes},
    {"much_before_the_master", much_before_the_master},
    {"one_at_a_time", one_at_a_time},
    {"cut", cut},
    {"nowhere", nowhere},
    {"no_answer", no_answer},
    {"master_without_an_id", master_without_an_id},
    {"two_answers", two_answers},
    {"again", again},
    {"doubted", doubted},
    {"doubted_again", doubted_again},
    {"no_switch", no_switch},
    {"beginning", beginning},
    {"addresses", addresses},
    {"full_switch", full_switch},
    {"full_gateway", full_gateway},
    {"silent_guest", silent_guest},
    {"proof", proof},
    {"waking_up", waking_up},
    {"libslirps_descriptors", libslirps_descriptors},
    {"gateway_goes", gateway_goes},
};

static int listen_at(char *name, const char *kind)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    snprintf(name, sizeof path, "/tmp/distnet-guest-scenes-%d.%s", getpid(), kind);
    strcpy(where.sun_path, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(bind(fd, (struct sockaddr *)&where, sizeof where) == 0 && listen(fd, 16) == 0);
    return fd;
}

static void leave(void)
{
    unlink(path);
    unlink(forward_path);
}

int main(int count, char **words)
{
    int ours[2], control[2], switches[2];
    struct plan plan = {.owns = 2, .port = 1234, .network = 0x0a000200, .mask = 0xfffffe00};
    memcpy(plan.own[0], "\x0a\x00\x02\x02", 4);
    memcpy(plan.own[1], master, 4);
    memcpy(plan.master, master, 4);
    signal(SIGPIPE, SIG_IGN);
    CHECK(count == 2);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ours) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, control) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, switches) == 0);
    frames = ours[0];
    channel = control[0];
    plug = switches[0];
    its_plug = switches[1];
    atexit(leave);
    forward = listen_at(forward_path, "f");
    listener = listen_at(path, "m");
    guest = guest_new(&plan, fixed, 1);
    guest->slirp = (struct slirp){guest, slirp_input, slirp_fill, slirp_poll};
    guest->rest = (struct rest){
        guest, rest_received, rest_told, rest_gone, rest_turn, rest_idle, rest_outward,
        rest_complain};
    tell("{\"plug\": true}", its_plug);
    guest_begin(guest, mac, ours[1], control[1], forward);
    guest->answered = guest->proven = 1;
    for (size_t i = 0; i < sizeof SCENES / sizeof *SCENES; i++)
        if (strcmp(SCENES[i].name, words[1]) == 0) {
            SCENES[i].play();
            /* What is still there at the end does not matter: it is no leak. */
            leave();
            _exit(0);
        }
    fprintf(stderr, "there is no such scene\n");
    return 2;
}
