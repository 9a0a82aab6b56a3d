/*
 * Sends numbered messages through a router, and counts what becomes of them.
 *
 * messages [-m HOW] [-w WIRE] [-p PAIRS] [-s SIZE] [-n COUNT] [-t SECONDS] [-c CORE] [-r READER] [-d MS]
 *          [-x NODES] PLACE
 *
 * HOW: batched (each sender to its own receiver, 32 KiB at once), interleaved (the same, but each
 * message goes to another receiver than the last), single (one message at a time), stalled (batched,
 * and receiver 0 does not read until all others are done), ping (one message there and back), idle
 * (PAIRS nodes that do nothing). WIRE: distnet, nats, or direct: senders are connected to their
 * receivers over TCP without a router. PLACE: a TCP port of 127.0.0.1 or the path of a unix socket.
 *
 * READER: stream (receivers read as much as there is), chunks (4096 bytes at most, as QEMU does, which are
 * cut into segments of 1460: a message that is not whole in one of them is split), strict (as a kernel
 * does, a header, then the payload, each in one read: one of which less comes is split). MS: all receivers
 * stand still for so long, again and again, after reading for as long. NODES: so many more are connected,
 * and do nothing.
 *
 * Every node is a connection of its own; all senders are in this process, all receivers in a second
 * one, each with one thread. It prints "ready" when each receiver has got a first message, waits for
 * a line, sends COUNT messages of each sender or for SECONDS, whatever ends first, and prints what
 * was counted as JSON. SIZE is that of the payload, which says sender, receiver and number, so that
 * source and order of every message are checked; if it is 0, they are only counted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#define _GNU_SOURCE
#include "messages.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOME 256 /* nodes: so often it is seen that it goes on */

const char *const program = "messages";
const char *volatile phase = "all nodes have their ids";
static const char *const hows[] = {"batched", "interleaved", "single", "stalled", "ping", "idle"};
static const char *const wires[] = {"distnet", "nats", "direct"};
static const char *const readers[] = {"stream", "chunks", "strict"};

enum how how = BATCHED;
enum wire wire = DISTNET;
enum reader reader = STREAM;
int pairs = 1, size = 64;
uint64_t count = UINT64_MAX, duration = UINT64_MAX, still;
const char *place;
struct shared *shared;
struct node *senders, *receivers;
unsigned char *buffer;
static int core = -1, others;

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
}

static void options(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "m:w:p:s:n:t:c:r:d:x:")) != -1)
        switch (option) {
        case 'm': how = (enum how)which(optarg, hows, 6); break;
        case 'w': wire = (enum wire)which(optarg, wires, 3); break;
        case 'p': pairs = atoi(optarg); break;
        case 's': size = atoi(optarg); break;
        case 'n': count = strtoull(optarg, NULL, 10); break;
        case 't': duration = (uint64_t)(atof(optarg) * 1e9); break;
        case 'c': core = atoi(optarg); break;
        case 'r': reader = (enum reader)which(optarg, readers, 3); break;
        case 'd': still = (uint64_t)(atof(optarg) * 1e6); break;
        case 'x': others = atoi(optarg); break;
        default: _exit(2);
        }
    errno = EINVAL;
    int endless = count == UINT64_MAX && (how == PING || duration == UINT64_MAX) && how != IDLE;
    if (optind != argc - 1 || !count || (size && size < MIN_SIZE) || size > MAX_SIZE ||
        pairs < 1 || others < 0 || (wire == NATS && reader != STREAM) ||
        (pairs > MAX_PAIRS && how != IDLE) || endless ||
        (wire == DIRECT && (how == INTERLEAVED || how == IDLE)))
        fail("options");
    place = argv[optind];
    if (how == PING)
        pairs = 2;
}

/* Before the others, so that what looks at one after the other meets them first. */
static void join_others(void)
{
    struct node node;
    for (int i = 0; i < others; i++) {
        if (i % SOME == 0)
            alarm(PATIENCE);
        join(&node, -1);
    }
}

int main(int argc, char **argv)
{
    options(argc, argv);
    open_many_files();
    pin(core);
    give_up_in_time();
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("memory");
    buffer = memory(ROOM);
    receivers = memory(sizeof *receivers * (size_t)pairs);
    senders = memory(sizeof *senders * (size_t)pairs);
    measure_units();
    join_others();
    for (int i = 0; i < pairs; i++) {
        if (i % SOME == 0)
            alarm(PATIENCE);
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
