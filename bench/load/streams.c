/* Messages one way, as many as a router takes: all senders are in one process, all receivers in another. */
#include "messages.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 32768
#define EVENTS 256
#define CHUNK 4096 /* QEMU reads at most so much at once */
#define SEGMENT 1460 /* and its guest gets so much of it in one segment */
#define STRICT_READS 16
#define LOST_AFTER 2 /* seconds without a message until those that are under way are lost */

/* Receivers */

/* Of messages that end in a chunk which begins at a place: how many are not whole in one segment. */
static uint64_t cut(size_t begin, size_t end)
{
    uint64_t found = 0;
    for (size_t at = 0; at + unit_in <= end; at += unit_in)
        found += at < begin || (at - begin) / SEGMENT != (at + unit_in - 1 - begin) / SEGMENT;
    return found;
}

/* The rest of a message, which comes a little later. 0 when the connection has ended. */
static int await(int fd, unsigned char *data, size_t length)
{
    return recv(fd, data, length, MSG_WAITALL) == (ssize_t)length;
}

/* Read messages as kernels do. 0 when the connection has ended. */
static int read_strictly(struct node *node, const struct expectation *expected, int receiver)
{
    for (int i = 0; i < STRICT_READS; i++) {
        size_t wanted[] = {head_in, (size_t)size}, at = 0;
        uint64_t split = 0;
        for (int part = 0; part < 2 && wanted[part]; at += wanted[part++]) {
            ssize_t length = recv(node->fd, buffer + at, wanted[part], MSG_DONTWAIT);
            if (length < 0 && errno != EAGAIN && errno != EINTR)
                return 0;
            if (length == 0)
                return 0;
            if (length < 0 && part == 0)
                return 1;
            size_t have = length < 0 ? 0 : (size_t)length;
            if (have < wanted[part]) {
                split = 1;
                if (!await(node->fd, buffer + at + have, wanted[part] - have))
                    return 0;
            }
        }
        shared->split += split;
        take(node, expected, receiver, buffer, at);
    }
    return 1;
}

/* Read what has come to a node. 0 when its connection has ended. */
static int drain(struct node *node, const struct expectation *expected, int receiver)
{
    if (reader == STRICT)
        return read_strictly(node, expected, receiver);
    memcpy(buffer, node->rest, node->have);
    size_t room = reader == CHUNKS ? CHUNK : ROOM - node->have;
    ssize_t length = recv(node->fd, buffer + node->have, room, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    if (length <= 0)
        return 0;
    size_t all = node->have + (size_t)length;
    if (reader == CHUNKS)
        shared->split += cut(node->have, all);
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
    uint64_t last = now(CLOCK_MONOTONIC), rest_at = last + still;
    for (int i = 0; i < pairs; i++) {
        expect(&expected[i], i);
        if (i >= stalled)
            watch(poll, receivers[i].fd, i, EPOLLIN);
    }
    for (;;) {
        if (still && now(CLOCK_MONOTONIC) >= rest_at && !shared->finished) {
            usleep((useconds_t)(still / 1000));
            rest_at = now(CLOCK_MONOTONIC) + still;
        }
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

void stream(void)
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
    for (int i = 0; i < pairs; i++) {
        closed += (uint64_t)shared->closed[i];
        if (!size && shared->delivered[i] > shared->sent[i]) {
            shared->late += shared->delivered[i] - shared->sent[i];
            shared->delivered[i] = shared->sent[i];
        }
    }
    printf("{\"seconds\": %.9f, \"sender_seconds\": %.9f, \"sender_cpu\": %.9f, "
           "\"receiver_cpu\": %.9f",
           shared->ended > shared->began ? (double)(shared->ended - shared->began) / 1e9 : 0,
           (double)took / 1e9, (double)cpu / 1e9, (double)shared->cpu / 1e9);
    printf(", \"late\": %llu, \"damaged\": %llu, \"misdelivered\": %llu, \"closed\": %llu",
           (unsigned long long)shared->late, (unsigned long long)shared->damaged,
           (unsigned long long)shared->misdelivered, (unsigned long long)closed);
    printf(", \"split\": %llu", (unsigned long long)shared->split);
    list("sent", shared->sent, pairs);
    list("delivered", shared->delivered, pairs);
    puts("}");
}
