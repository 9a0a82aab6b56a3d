/*
 * Sends numbered messages through a router, and counts what becomes of them.
 *
 * messages [-m HOW] [-w WIRE] [-p PAIRS] [-s SIZE] [-n COUNT] [-t SECONDS] [-c CORE] PLACE
 *
 * HOW: batched (each sender to its own receiver, 32 KiB at once), interleaved (the same, but each
 * message goes to another receiver than the last), single (one message at a time), stalled (batched,
 * and receiver 0 does not read until all others are done), ping (one message there and back), idle
 * (PAIRS nodes that do nothing). WIRE: distnet, nats, or direct: senders are connected to their
 * receivers over TCP without a router. PLACE: a TCP port of 127.0.0.1 or the path of a unix socket.
 *
 * Every node is a connection of its own; all senders are in this process, all receivers in a second
 * one, each with one thread. It prints "ready" when each receiver has got a first message, waits for
 * a line, sends COUNT messages of each sender or for SECONDS, whatever ends first, and prints what
 * was counted as JSON. SIZE is that of the payload, which says sender, receiver and number, so that
 * source and order of every message are checked.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_PAIRS 512
#define MAX_SIZE 65536
#define BATCH 32768
/* Of each node. With what Linux gives by itself, megabytes, most of a short run would be spent on what
 * waits in sockets. */
#define SEND_BUFFER (128 * 1024)
#define ROOM (512 * 1024) /* of a read */
#define EVENTS 256
#define PATIENCE 30 /* seconds until an answer, or the end, is given up */
#define LOST_AFTER 2 /* seconds without a message until those that are under way are lost */
#define SECOND UINT64_C(1000000000)
#define HELLO UINT64_MAX /* in the place of a number */
#define QUANTILES 1000

/* In the payload: sender, receiver, number; at its end, the number's complement. */
enum { SENDER_AT = 0, RECEIVER_AT = 4, NUMBER_AT = 8, CHECK_SIZE = 8, MIN_SIZE = 24 };
enum how { BATCHED, INTERLEAVED, SINGLE, STALLED, PING, IDLE };
enum wire { DISTNET, NATS, DIRECT };
static const char *const hows[] = {"batched", "interleaved", "single", "stalled", "ping", "idle"};
static const char *const wires[] = {"distnet", "nats", "direct"};

struct node {
    int fd;
    uint32_t id; /* of the distnet wire; with NATS it has a subject instead */
    unsigned char *rest; /* the start of a message of which more must come */
    size_t have;
};

/* What the processes tell each other; each field has one writer. */
struct shared {
    atomic_int finished; /* 1: the totals are final, but that of a stalled receiver; 2: all are */
    uint64_t began;
    uint64_t sent[MAX_PAIRS]; /* to each receiver */
    uint64_t delivered[MAX_PAIRS];
    int closed[MAX_PAIRS]; /* the router has ended the connection */
    uint64_t late, damaged, misdelivered;
    uint64_t ended; /* when the last message came to those that read all the time, ns */
    uint64_t cpu; /* of the receivers, ns */
};

static enum how how = BATCHED;
static enum wire wire = DISTNET;
static int pairs = 1, size = 64, core = -1;
static uint64_t count = UINT64_MAX, duration = UINT64_MAX;
static const char *place;
static const char *volatile phase = "all nodes have their ids";
static struct shared *shared;
static struct node *senders, *receivers;
static unsigned char *buffer; /* for reads */
static size_t unit_out, head_out, unit_in, head_in;
static char formatted[64];

static void fail(const char *what)
{
    fprintf(stderr, "messages: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void wrong(const char *what)
{
    fprintf(stderr, "messages: %s\n", what);
    _exit(1);
}

static void too_long(int number)
{
    static const char text[] = "messages: not within 30 s: ";
    (void)number;
    if (write(2, text, sizeof text - 1) < 0 || write(2, phase, strlen(phase)) < 0 ||
        write(2, "\n", 1) < 0)
        _exit(2);
    _exit(1);
}

static uint64_t now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static void *memory(size_t bytes)
{
    void *got = calloc(1, bytes);
    if (!got)
        fail("memory");
    return got;
}

static void write_all(int fd, const void *data, size_t length)
{
    const char *bytes = data;
    while (length) {
        ssize_t taken = send(fd, bytes, length, MSG_NOSIGNAL);
        if (taken < 0 && errno == EINTR)
            continue;
        if (taken < 0)
            fail("send");
        bytes += taken;
        length -= (size_t)taken;
    }
}

/* Connecting */

static int connected(void)
{
    int fd, one = 1, bytes = SEND_BUFFER;
    if (strchr(place, '/')) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", place);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
            fail(place);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        return fd;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    address.sin_port = htons((uint16_t)atoi(place));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        fail(place);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return fd;
}

/* Both ends of a TCP connection. */
static void connect_directly(int *one, int *other)
{
    static char port[8];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &length))
        fail("listen");
    snprintf(port, sizeof port, "%d", ntohs(address.sin_port));
    place = port;
    *one = connected();
    *other = accept(listener, NULL, NULL);
    setsockopt(*other, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(listener);
}

/* The next line, up to its end. */
static void read_line(int fd, char *line, size_t room)
{
    for (;;) {
        ssize_t length = recv(fd, line, room - 1, MSG_PEEK);
        if (length <= 0)
            wrong("the router has closed the connection");
        char *end = memchr(line, '\n', (size_t)length);
        if (end) {
            recv(fd, line, (size_t)(end + 1 - line), 0);
            end[1] = 0;
            return;
        }
    }
}

/* The subject of a node is its number, in 5 digits. */
static void greet_nats(int fd, int subject)
{
    char line[8192];
    read_line(fd, line, sizeof line);
    int length = snprintf(line, sizeof line,
                          "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1,"
                          "\"lang\":\"c\",\"version\":\"1\"}\r\n");
    if (subject >= 0)
        length += snprintf(line + length, sizeof line - (size_t)length, "SUB %05d 1\r\n", subject);
    length += snprintf(line + length, sizeof line - (size_t)length, "PING\r\n");
    write_all(fd, line, (size_t)length);
    do {
        read_line(fd, line, sizeof line);
        if (line[0] == '-')
            wrong(line);
    } while (strcmp(line, "PONG\r\n"));
}

/* A node; number is that of the subject that it receives, or negative. */
static void join(struct node *node, int number)
{
    char id[11] = "";
    node->fd = connected();
    if (wire == NATS) {
        greet_nats(node->fd, number);
        return;
    }
    if (recv(node->fd, id, sizeof id - 1, 0) <= 0)
        wrong("no id comes");
    node->id = (uint32_t)strtoul(id, NULL, 10);
}

/* Messages */

static void measure_units(void)
{
    if (wire != NATS) {
        head_out = head_in = 8;
        unit_out = unit_in = head_out + (size_t)size;
        return;
    }
    head_out = (size_t)snprintf(formatted, sizeof formatted, "PUB %05d %d\r\n", 0, size);
    head_in = (size_t)snprintf(formatted, sizeof formatted, "MSG %05d 1 %d\r\n", 0, size);
    unit_out = head_out + (size_t)size + 2;
    unit_in = head_in + (size_t)size + 2;
}

/* Write a message from a sender, but for receiver and number. */
static void make(unsigned char *unit, int sender)
{
    uint32_t source = (uint32_t)sender, length = (uint32_t)size;
    memset(unit + head_out, 0x5a, (size_t)size);
    memcpy(unit + head_out + SENDER_AT, &source, 4);
    if (wire == NATS) {
        sprintf(formatted, "PUB %05d %d\r\n", 0, size);
        memcpy(unit, formatted, head_out);
        memcpy(unit + head_out + size, "\r\n", 2);
    } else {
        memcpy(unit + 4, &length, 4);
    }
}

static void readdress(unsigned char *unit, int sender, int receiver)
{
    uint32_t dest = (uint32_t)receiver;
    memcpy(unit + head_out + RECEIVER_AT, &dest, 4);
    if (wire == NATS) {
        for (int place_of = 8; place_of > 3; place_of--, dest /= 10)
            unit[place_of] = (unsigned char)('0' + dest % 10);
        return;
    }
    dest = wire == DIRECT ? senders[sender].id : receivers[receiver].id;
    memcpy(unit, &dest, 4);
}

static inline void number_it(unsigned char *unit, uint64_t number)
{
    uint64_t check = ~number;
    memcpy(unit + head_out + NUMBER_AT, &number, 8);
    memcpy(unit + head_out + (size_t)size - CHECK_SIZE, &check, 8);
}

/* Of a receiver: what it expects. */
struct expectation {
    unsigned char head[64]; /* of every message, with NATS */
    uint64_t *next; /* number, of each sender */
};

/* What is not a message: a line of NATS. Its size, or 0 if more must come. */
static size_t control(struct node *node, const unsigned char *data, size_t length)
{
    const unsigned char *end = memchr(data, '\n', length);
    if (!end)
        return 0;
    size_t line = (size_t)(end + 1 - data);
    if (line >= 4 && memcmp(data, "PING", 4) == 0)
        write_all(node->fd, "PONG\r\n", 6);
    else if (line < 4 || (memcmp(data, "INFO", 4) && memcmp(data, "-ERR", 4)))
        wrong("what comes is no message, or not of the size of those that were sent");
    return line;
}

/* The whole message at data, if it is one: whether it is as it was sent, by whom and its number. */
static int check(const struct expectation *expected, int receiver, const unsigned char *data,
                 uint32_t *sender, uint64_t *number)
{
    const unsigned char *payload = data + head_in;
    uint32_t dest, source;
    uint64_t complement;
    memcpy(sender, payload + SENDER_AT, 4);
    memcpy(&dest, payload + RECEIVER_AT, 4);
    memcpy(number, payload + NUMBER_AT, 8);
    memcpy(&complement, payload + size - CHECK_SIZE, 8);
    if (complement != ~*number || *sender >= (uint32_t)pairs)
        return 0;
    if (wire == NATS) {
        if (memcmp(data, expected->head, head_in))
            wrong("what comes is no message, or not of the size of those that were sent");
    } else {
        memcpy(&source, data, 4);
        if (source != senders[*sender].id) {
            shared->misdelivered++;
            return 0;
        }
    }
    if (dest != (uint32_t)receiver) {
        shared->misdelivered++;
        return 0;
    }
    return 1;
}

/* Count the whole messages at data; the size of what was counted. */
static size_t take(struct node *node, const struct expectation *expected, int receiver,
                   const unsigned char *data, size_t length)
{
    size_t used = 0;
    uint64_t delivered = 0, number, misdelivered = shared->misdelivered;
    uint32_t sender, said;
    while (used < length) {
        const unsigned char *unit = data + used;
        if (wire == NATS && *unit != 'M') {
            size_t line = control(node, unit, length - used);
            if (!line)
                break;
            used += line;
            continue;
        }
        if (length - used < unit_in)
            break;
        if (wire != NATS) {
            memcpy(&said, unit + 4, 4);
            if (said != (uint32_t)size)
                wrong("what comes is no message, or not of the size of those that were sent");
        }
        used += unit_in;
        if (!check(expected, receiver, unit, &sender, &number)) {
            shared->damaged += shared->misdelivered == misdelivered;
            misdelivered = shared->misdelivered;
        } else if (number < expected->next[sender] || number == HELLO) {
            shared->late++;
        } else {
            /* What was passed over is lost, or late if it comes. */
            expected->next[sender] = number + 1;
            delivered++;
        }
    }
    shared->delivered[receiver] += delivered;
    return used;
}

static void expect(struct expectation *expected, int receiver)
{
    expected->next = memory(sizeof *expected->next * (size_t)pairs);
    if (wire == NATS) {
        sprintf(formatted, "MSG %05d 1 %d\r\n", receiver, size);
        memcpy(expected->head, formatted, head_in);
    }
}

/* Receivers */

/* Read what has come to a node. 0 when its connection has ended. */
static int drain(struct node *node, const struct expectation *expected, int receiver)
{
    memcpy(buffer, node->rest, node->have);
    ssize_t length = recv(node->fd, buffer + node->have, ROOM - node->have, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    if (length <= 0)
        return 0;
    size_t all = node->have + (size_t)length;
    size_t used = take(node, expected, receiver, buffer, all);
    node->have = all - used;
    memcpy(node->rest, buffer + used, node->have);
    return 1;
}

static int complete(int first)
{
    for (int i = first; i < pairs; i++)
        if (!shared->closed[i] && shared->delivered[i] < shared->sent[i])
            return 0;
    return 1;
}

static void watch(int poll, int fd, int number, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = (uint32_t)number};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

static void receive(void)
{
    struct epoll_event events[EVENTS];
    struct expectation *expected = memory(sizeof *expected * (size_t)pairs);
    int poll = epoll_create1(0), stalled = how == STALLED;
    uint64_t last = now(CLOCK_MONOTONIC);
    for (int i = 0; i < pairs; i++) {
        expect(&expected[i], i);
        if (i >= stalled)
            watch(poll, receivers[i].fd, i, EPOLLIN);
    }
    for (;;) {
        int number = epoll_wait(poll, events, EVENTS, 20);
        for (int i = 0; i < number; i++) {
            int which = (int)events[i].data.u32;
            if (!drain(&receivers[which], &expected[which], which)) {
                shared->closed[which] = 1;
                epoll_ctl(poll, EPOLL_CTL_DEL, receivers[which].fd, NULL);
            }
        }
        if (number > 0) {
            last = now(CLOCK_MONOTONIC);
            if (stalled || how != STALLED)
                shared->ended = last;
        }
        if (!shared->finished)
            continue;
        int silent = now(CLOCK_MONOTONIC) - last > LOST_AFTER * SECOND;
        if (stalled && (complete(1) || silent)) {
            watch(poll, receivers[0].fd, 0, EPOLLIN);
            stalled = 0;
            last = now(CLOCK_MONOTONIC);
        } else if (!stalled && shared->finished == 2 && (complete(0) || silent)) {
            break;
        }
    }
    shared->cpu = now(CLOCK_PROCESS_CPUTIME_ID);
}

/* Senders */

struct outgoing {
    unsigned char *data;
    size_t at, filled;
    uint64_t left; /* messages */
    uint64_t *numbers; /* the next one, for each receiver */
    int receiver; /* of the last message */
    int blocked, pong;
};

/* The next batch of a sender. */
static void fill(struct outgoing *out, int sender, int most)
{
    unsigned char *unit = out->data;
    out->at = 0;
    while (most-- && out->left) {
        if (how == INTERLEAVED) {
            out->receiver = (out->receiver + 1) % pairs;
            readdress(unit, sender, out->receiver);
        }
        number_it(unit, out->numbers[out->receiver]++);
        out->left--;
        unit += unit_out;
    }
    out->filled = (size_t)(unit - out->data);
}

/* What comes to a sender: with NATS the router asks now and then whether it is there. */
static void hear(struct node *node, struct outgoing *out)
{
    char line[8192];
    ssize_t length;
    while ((length = recv(node->fd, line, sizeof line - 1, MSG_DONTWAIT)) > 0) {
        line[length] = 0;
        out->pong |= strstr(line, "PING") != NULL;
    }
    if (length == 0 || errno != EAGAIN)
        wrong("the router has closed the connection of a sender");
}

/* Whether a sender can go on at once. */
static int send_some(struct node *node, struct outgoing *out)
{
    if (out->at == 0 && out->pong) {
        write_all(node->fd, "PONG\r\n", 6);
        out->pong = 0;
    }
    ssize_t taken = send(node->fd, out->data + out->at, out->filled - out->at,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken >= 0)
        out->at += (size_t)taken;
    else if (errno == EAGAIN)
        out->blocked = 1;
    else
        fail("send");
    return !out->blocked;
}

/* One turn of all senders from first on; whether there is more to send, and some sender can. */
static int turn(struct outgoing *out, int first, int most, int *more)
{
    int ready = 0;
    *more = 0;
    for (int i = first; i < pairs; i++) {
        if (out[i].at == out[i].filled && most)
            fill(&out[i], i, most);
        if (out[i].at < out[i].filled) {
            *more = 1;
            if (!out[i].blocked)
                ready |= send_some(&senders[i], &out[i]);
        }
    }
    return ready;
}

/* Patience is with what goes on: a router may have much to deliver yet. */
static void be_patient(void)
{
    static uint64_t before = UINT64_MAX;
    uint64_t all = 0;
    for (int i = 0; i < pairs; i++)
        all += shared->delivered[i];
    if (all != before)
        alarm(PATIENCE);
    before = all;
}

/* Let senders that were blocked go on when they can. */
static void wait_for_room(int poll, struct outgoing *out, int milliseconds)
{
    struct epoll_event events[EVENTS];
    int number = epoll_wait(poll, events, EVENTS, milliseconds);
    for (int i = 0; i < number; i++) {
        int which = (int)events[i].data.u32;
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            hear(&senders[which], &out[which]);
        if (events[i].events & EPOLLOUT)
            out[which].blocked = 0;
    }
}

static void tell_totals(const struct outgoing *out)
{
    for (int receiver = 0; receiver < pairs; receiver++) {
        shared->sent[receiver] = 0;
        for (int i = 0; i < pairs; i++)
            shared->sent[receiver] += out[i].numbers[receiver];
    }
}

static void prepare(struct outgoing *out, int poll, int most)
{
    for (int i = 0; i < pairs; i++) {
        out[i].data = memory(unit_out * (size_t)most);
        out[i].numbers = memory(sizeof *out->numbers * (size_t)pairs);
        out[i].left = count;
        out[i].receiver = i;
        for (int each = 0; each < most; each++) {
            make(out[i].data + unit_out * (size_t)each, i);
            readdress(out[i].data + unit_out * (size_t)each, i, i);
        }
        watch(poll, senders[i].fd, i, EPOLLIN | EPOLLOUT | EPOLLET);
    }
}

/* Send all, until it is on its way; seconds and CPU of that, in ns. */
static void send_all(struct outgoing *out, int poll, int most, uint64_t *took, uint64_t *cpu)
{
    int more, stalled = how == STALLED, turns = 0;
    uint64_t began = now(CLOCK_MONOTONIC), before = now(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t until = duration == UINT64_MAX ? UINT64_MAX : began + duration;
    shared->began = began;
    for (;;) {
        int ready = turn(out, 0, most, &more);
        if (!more || now(CLOCK_MONOTONIC) >= until)
            break;
        /* Not for each message: what has room again can wait a little while others go on. */
        if (!ready || turns++ % 16 == 0)
            wait_for_room(poll, out, ready ? 0 : 100);
    }
    *took = now(CLOCK_MONOTONIC) - began;
    *cpu = now(CLOCK_PROCESS_CPUTIME_ID) - before;
    phase = "more of what was sent comes, or is lost";
    for (int first = stalled; turn(out, first, 0, &more), more; be_patient())
        wait_for_room(poll, out, 100);
    tell_totals(out);
    shared->finished = 1;
    uint64_t last = now(CLOCK_MONOTONIC);
    while (stalled && (turn(out, 0, 0, &more), more)) {
        size_t at = out->at;
        wait_for_room(poll, out, 100);
        turn(out, 0, 0, &more);
        if (out->at != at)
            last = now(CLOCK_MONOTONIC);
        if (now(CLOCK_MONOTONIC) - last > 2 * LOST_AFTER * SECOND) {
            out->numbers[0] -= (out->filled - out->at + unit_out - 1) / unit_out;
            break;
        }
    }
    tell_totals(out);
    shared->finished = 2;
}

/* Wait for a message, which must be as it was sent. */
static void receive_one(struct node *node, const struct expectation *expected, int number,
                        uint64_t *got)
{
    uint32_t sender;
    for (;;) {
        size_t used = 0;
        while (wire == NATS && used < node->have && node->rest[used] != 'M') {
            size_t line = control(node, node->rest + used, node->have - used);
            if (!line)
                break;
            used += line;
        }
        int whole = node->have - used >= unit_in && (wire != NATS || node->rest[used] == 'M');
        if (whole) {
            if (!check(expected, number, node->rest + used, &sender, got))
                wrong("a message has come that was not sent so");
            used += unit_in;
        }
        memmove(node->rest, node->rest + used, node->have -= used);
        if (whole)
            return;
        ssize_t length = recv(node->fd, node->rest + node->have, unit_in + 8192 - node->have, 0);
        if (length <= 0)
            wrong("the router has closed the connection");
        node->have += (size_t)length;
    }
}

/* A message from each sender to its receiver: from then on all of them are known, and settled. */
static void introduce(void)
{
    unsigned char *unit = memory(unit_out);
    for (int i = 0; i < pairs; i++) {
        make(unit, i);
        readdress(unit, i, i);
        number_it(unit, HELLO);
        write_all(senders[i].fd, unit, unit_out);
    }
    for (int i = 0; i < pairs; i++) {
        struct expectation expected;
        uint64_t number;
        expect(&expected, i);
        receive_one(&receivers[i], &expected, i, &number);
        free(expected.next);
    }
    free(unit);
}

static void wait_for_line(void)
{
    alarm(0);
    puts("ready");
    fflush(stdout);
    if (getchar() != '\n')
        _exit(1);
}

static void list(const char *name, const uint64_t *values, int number)
{
    printf(", \"%s\": [", name);
    for (int i = 0; i < number; i++)
        printf("%s%llu", i ? ", " : "", (unsigned long long)values[i]);
    printf("]");
}

/* A child that does not outlive us. */
static pid_t fork_bound(void)
{
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* It may have ended before that. */
        if (getppid() != parent)
            _exit(1);
    }
    return child;
}

static void stream(void)
{
    struct outgoing *out = memory(sizeof *out * (size_t)pairs);
    int poll = epoll_create1(0), most = how == SINGLE ? 1 : (int)(BATCH / unit_out);
    uint64_t took, cpu, closed = 0;
    if (most < 1)
        most = 1;
    pid_t child = fork_bound();
    if (child == 0) {
        receive();
        _exit(0);
    }
    prepare(out, poll, most);
    wait_for_line();
    send_all(out, poll, most, &took, &cpu);
    int status = 0;
    for (; waitpid(child, &status, WNOHANG) == 0; be_patient())
        usleep(10000);
    if (status)
        _exit(1);
    for (int i = 0; i < pairs; i++)
        closed += (uint64_t)shared->closed[i];
    printf("{\"seconds\": %.9f, \"sender_seconds\": %.9f, \"sender_cpu\": %.9f, "
           "\"receiver_cpu\": %.9f",
           shared->ended > shared->began ? (double)(shared->ended - shared->began) / 1e9 : 0,
           (double)took / 1e9, (double)cpu / 1e9, (double)shared->cpu / 1e9);
    printf(", \"late\": %llu, \"damaged\": %llu, \"misdelivered\": %llu, \"closed\": %llu",
           (unsigned long long)shared->late, (unsigned long long)shared->damaged,
           (unsigned long long)shared->misdelivered, (unsigned long long)closed);
    list("sent", shared->sent, pairs);
    list("delivered", shared->delivered, pairs);
    puts("}");
}

/* Round trips */

static int by_size(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

/*
 * Node 0 sends to node 1, which answers. Both are sender and receiver: the number of each is its
 * place in both tables.
 */
static void ping(void)
{
    struct expectation expected[2];
    unsigned char *unit = memory(unit_out);
    uint64_t *times, got, quantiles[QUANTILES + 1], cpu;
    for (int i = 0; i < 2; i++)
        expect(&expected[i], i);
    pid_t child = fork_bound();
    int own = child ? 0 : 1;
    struct node *node = &receivers[own];
    make(unit, own);
    readdress(unit, own, 1 - own);
    if (child == 0) {
        for (uint64_t number = 0; number < count + 1; number++) {
            receive_one(node, &expected[own], own, &got);
            number_it(unit, got);
            write_all(node->fd, unit, unit_out);
        }
        shared->cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        _exit(0);
    }
    times = memory(sizeof *times * (size_t)count);
    phase = "a first message comes back";
    number_it(unit, HELLO);
    write_all(node->fd, unit, unit_out);
    receive_one(node, &expected[own], own, &got);
    wait_for_line();
    cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t began = now(CLOCK_MONOTONIC), before = began;
    for (uint64_t number = 0; number < count; number++) {
        number_it(unit, number);
        write_all(node->fd, unit, unit_out);
        receive_one(node, &expected[own], own, &got);
        if (got != number)
            wrong("another message than that which was sent has come back");
        uint64_t after = now(CLOCK_MONOTONIC);
        times[number] = after - before;
        before = after;
    }
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    phase = "the other node ends";
    alarm(PATIENCE);
    waitpid(child, NULL, 0);
    qsort(times, count, sizeof *times, by_size);
    for (int i = 0; i <= QUANTILES; i++)
        quantiles[i] = times[(count - 1) * (uint64_t)i / QUANTILES];
    printf("{\"seconds\": %.9f, \"cpu\": %.9f", (double)(before - began) / 1e9,
           (double)(cpu + shared->cpu) / 1e9);
    list("quantiles", quantiles, QUANTILES + 1);
    puts("}");
}

static void idle(void)
{
    int alive = 0;
    char byte;
    wait_for_line();
    for (int i = 0; i < pairs; i++)
        alive += recv(receivers[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
    printf("{\"connected\": %d, \"alive\": %d}\n", pairs, alive);
}

static int which(const char *name, const char *const *names, int number)
{
    for (int i = 0; i < number; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    wrong("no such word");
    return 0;
}

static void options(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "m:w:p:s:n:t:c:")) != -1)
        switch (option) {
        case 'm': how = (enum how)which(optarg, hows, 6); break;
        case 'w': wire = (enum wire)which(optarg, wires, 3); break;
        case 'p': pairs = atoi(optarg); break;
        case 's': size = atoi(optarg); break;
        case 'n': count = strtoull(optarg, NULL, 10); break;
        case 't': duration = (uint64_t)(atof(optarg) * 1e9); break;
        case 'c': core = atoi(optarg); break;
        default: _exit(2);
        }
    errno = EINVAL;
    int endless = count == UINT64_MAX && (how == PING || duration == UINT64_MAX) && how != IDLE;
    if (optind != argc - 1 || !count || size < MIN_SIZE || size > MAX_SIZE || pairs < 1 ||
        (pairs > MAX_PAIRS && how != IDLE) || endless ||
        (wire == DIRECT && (how == INTERLEAVED || how == IDLE)))
        fail("options");
    place = argv[optind];
    if (how == PING)
        pairs = 2;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    options(argc, argv);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (core >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        if (sched_setaffinity(0, sizeof set, &set))
            fail("the core");
    }
    signal(SIGALRM, too_long);
    alarm(PATIENCE);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("memory");
    buffer = memory(ROOM);
    receivers = memory(sizeof *receivers * (size_t)pairs);
    senders = memory(sizeof *senders * (size_t)pairs);
    measure_units();
    for (int i = 0; i < pairs; i++) {
        if (wire == DIRECT && how != PING) {
            connect_directly(&senders[i].fd, &receivers[i].fd);
            senders[i].id = (uint32_t)i;
        } else if (wire == DIRECT) {
            if (i == 0)
                connect_directly(&receivers[0].fd, &receivers[1].fd);
            senders[i].id = (uint32_t)i;
        } else {
            join(&receivers[i], i);
        }
        if (how != IDLE)
            receivers[i].rest = memory(unit_in + 8192);
    }
    for (int i = 0; i < pairs && wire != DIRECT && how != IDLE; i++)
        if (how == PING)
            senders[i] = receivers[i];
        else
            join(&senders[i], -1);
    if (how == PING) {
        ping();
    } else if (how == IDLE) {
        idle();
    } else {
        phase = "each receiver has a first message";
        introduce();
        stream();
    }
    return 0;
}
