/*
 * Sends numbered Ethernet frames through a VDE switch, and counts what becomes of them.
 *
 * frames [-b] [-e] [-d DEAD] [-r RECEIVERS] [-s SIZE] [-n COUNT] [-w WINDOW] [-c CORE] DIRECTORY|-
 * frames -i PORTS DIRECTORY
 *
 * One sender, in this process, and RECEIVERS, each a process of its own, are plugged into the
 * switch at DIRECTORY, or with "-" connected by socket pairs without a switch. It prints "ready",
 * waits for a line, sends COUNT frames of SIZE bytes as fast as the switch takes them, and prints
 * what was counted as JSON. -b: to all, by broadcast. -e: the receiver sends each frame back, and
 * the next one leaves when the last one has come back. -d: so many more ports that never read. -w:
 * only so many frames are under way at once, as with a protocol that acknowledges. -c: all on one
 * processor. -i: so many ports that do nothing once the switch has learnt their addresses.
 *
 * The sockets are made as libvdeplug makes them: blocking, with buffers of the default sizes. So a
 * switch that does not read, or pauses the sender, makes the sender wait; what is lost is lost on
 * the way to a receiver.
 */
#define _GNU_SOURCE
#include "program.h"
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CLIENTS 64
#define MAX_IDLE 65535
#define MAX_SIZE 9018
#define SOME 256 /* frames: so often it is seen that it goes on */
#define LOST_AFTER 5 /* seconds until an echo, or all that is under way, is lost */
#define END UINT64_MAX /* in the place of a number */

/* Ethernet addresses, an experimental type, the number. */
enum { SOURCE_AT = 6, TYPE_AT = 12, NUMBER_AT = 14, MIN_SIZE = NUMBER_AT + 8 };

/* VDE's control protocol, version 3: all integers are the host's. */
struct request {
    uint32_t magic, version, type;
    struct sockaddr_un address;
    char description[8];
} __attribute__((packed));

/* What a receiver has counted; it writes, the sender reads. */
struct receiver {
    uint64_t delivered, duplicated, reordered, damaged;
    uint64_t ended; /* when its last frame came, in ns */
    uint64_t cpu; /* ns */
    sem_t room; /* for frames under way */
    atomic_int done;
};

struct port {
    int control, data;
};

const char *const program = "frames";
const char *volatile phase = "all ports are plugged in, and reach each other";
static int size = 64, broadcast, echo, receivers = 1, dead, window, idle, core = -1;
static uint64_t count = 100000;

/* A new port, from which the connection to the control socket stays open. */
static struct port plug(const char *directory, int number)
{
    struct sockaddr_un ctl = {.sun_family = AF_UNIX}, given = {0};
    struct request request = {0xfeedface, 3, 0, {.sun_family = AF_UNIX}, "frames"};
    int control = socket(AF_UNIX, SOCK_STREAM, 0), data = socket(AF_UNIX, SOCK_DGRAM, 0);

    snprintf(ctl.sun_path, sizeof ctl.sun_path, "%s/ctl", directory);
    if (connect(control, (struct sockaddr *)&ctl, sizeof ctl))
        fail(ctl.sun_path);
    char own[sizeof request.address.sun_path];
    snprintf(own, sizeof own, "%s/.%05d-%05d", directory, getpid(), number);
    memcpy(request.address.sun_path, own, sizeof own);
    /* The fields of a packed structure may not be aligned: bind a copy. */
    struct sockaddr_un address = request.address;
    if (bind(data, (struct sockaddr *)&address, sizeof address))
        fail(own);
    if (write(control, &request, sizeof request) != sizeof request)
        fail("the request");
    if (recv(control, &given, sizeof given, MSG_WAITALL) != sizeof given)
        fail("no port is given");
    if (connect(data, (struct sockaddr *)&given, sizeof given))
        fail(given.sun_path);
    unlink(own);
    return (struct port){control, data};
}

/* Client 0 is the sender. Idle ports have other addresses than those of a second program. */
static void address(unsigned char *place, int number)
{
    const unsigned char station[6] = {
        2, 0, 0, idle > 0, (unsigned char)(number >> 8), (unsigned char)number};
    memcpy(place, station, sizeof station);
}

static void make_frame(unsigned char *frame, int from, int to)
{
    memset(frame, 0x5a, (size_t)size);
    if (to < 0)
        memset(frame, 0xff, 6);
    else
        address(frame, to);
    address(frame + SOURCE_AT, from);
    frame[TYPE_AT] = 0x88;
    frame[TYPE_AT + 1] = 0xb5;
}

static void send_number(int data, unsigned char *frame, uint64_t number)
{
    memcpy(frame + NUMBER_AT, &number, sizeof number);
    while (send(data, frame, (size_t)size, 0) < 0)
        if (errno != EINTR)
            fail("send");
}

/*
 * The number of the next frame, or END if none comes; whether it is as it was sent: from whom, to
 * whom, and of which size is that of the expected one.
 */
static uint64_t receive_number(int data, const unsigned char *expected, int *whole)
{
    static unsigned char frame[1 << 17];
    uint64_t number;
    ssize_t length = recv(data, frame, sizeof frame, 0);
    if (length < 0 && errno == EAGAIN)
        return END;
    if (length < MIN_SIZE)
        fail("recv");
    memcpy(&number, frame + NUMBER_AT, sizeof number);
    *whole = length == size && !memcmp(frame, expected, NUMBER_AT) &&
             (length == MIN_SIZE || frame[length - 1] == 0x5a);
    return number;
}

/* Until the end of the numbers has come. */
static void receive(int data, int own, struct receiver *counted)
{
    unsigned char expected[MAX_SIZE];
    unsigned char *seen = memory(count / 8 + 1);
    uint64_t next = 0;
    int whole;
    make_frame(expected, 0, broadcast ? -1 : own);
    for (;;) {
        uint64_t number = receive_number(data, expected, &whole);
        if (number == END)
            break;
        if (number >= count || !whole) {
            counted->damaged++;
        } else if (seen[number / 8] >> number % 8 & 1) {
            counted->duplicated++;
        } else {
            seen[number / 8] |= (unsigned char)(1 << number % 8);
            counted->delivered++;
            if (number < next)
                counted->reordered++;
            /* What it has passed over is not under way any more. */
            for (; next <= number; next++)
                if (window)
                    sem_post(&counted->room);
        }
        /* Not for each frame, but for what may be the last ones: the clock is not free. */
        if (counted->delivered % 16 == 0 || number + 1024 > count)
            counted->ended = now(CLOCK_MONOTONIC);
    }
    counted->cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    counted->done = 1;
}

/* Send back what comes, until the end of the numbers. */
static void reflect(int data, int own, struct receiver *counted)
{
    unsigned char frame[MAX_SIZE], expected[MAX_SIZE];
    uint64_t number;
    int whole;
    make_frame(frame, own, 0);
    make_frame(expected, 0, own);
    while ((number = receive_number(data, expected, &whole)) != END) {
        counted->delivered += (uint64_t)whole;
        counted->damaged += (uint64_t)!whole;
        send_number(data, frame, number);
    }
    counted->cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    counted->done = 1;
}

/* Let the switch learn where everybody is: later, no frame need be flooded. */
static void introduce(const int *data)
{
    unsigned char frame[MAX_SIZE];
    int whole;
    make_frame(frame, 0, -1);
    send_number(data[0], frame, 0);
    for (int i = 1; i <= receivers; i++) {
        receive_number(data[i], frame, &whole);
        make_frame(frame, i, 0);
        send_number(data[i], frame, 0);
        receive_number(data[0], frame, &whole);
    }
}

/* Round trips, in ns, into times; how many were not lost. */
static uint64_t ping(int data, unsigned char *frame, uint64_t *times)
{
    const struct timeval most = {LOST_AFTER, 0};
    unsigned char expected[MAX_SIZE];
    uint64_t answered = 0;
    make_frame(expected, 1, 0);
    setsockopt(data, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    for (uint64_t number = 0; number < count; number++) {
        uint64_t began = now(CLOCK_MONOTONIC), got;
        int whole;
        if (number % SOME == 0)
            alarm(PATIENCE);
        send_number(data, frame, number);
        /* An answer to an earlier one, which was taken to be lost, may still come. */
        do
            got = receive_number(data, expected, &whole);
        while (got != number && got != END);
        if (got == number && whole)
            times[answered++] = now(CLOCK_MONOTONIC) - began;
    }
    return answered;
}

/* Wait until one more frame may be under way. */
static void wait_for_room(sem_t *room)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LOST_AFTER;
    while (sem_timedwait(room, &until) && errno == EINTR)
        ;
}

/* Say that no more frames come, again and again: this may be lost too. */
static void finish(const int *ways, int number, unsigned char *frame, struct receiver *counted)
{
    for (int done = 0; done < receivers;) {
        for (int i = 0; i < number; i++)
            send_number(ways[i], frame, END);
        for (int tries = 0; tries < 20 && done < receivers; tries++) {
            usleep(500);
            done = 0;
            for (int i = 0; i < receivers; i++)
                done += counted[i].done;
        }
    }
}

/* Ports of which each has sent a frame to the first one, so that the switch knows all addresses. */
static void stay_idle(const char *directory)
{
    struct port *ports = memory(sizeof *ports * (size_t)idle);
    unsigned char frame[MAX_SIZE];
    int whole, alive = 0;
    for (int i = 0; i < idle; i++) {
        alarm(PATIENCE);
        ports[i] = plug(directory, i);
        make_frame(frame, i, i ? 0 : -1);
        send_number(ports[i].data, frame, 0);
        if (i)
            receive_number(ports->data, frame, &whole);
    }
    wait_for_line();
    for (int i = 0; i < idle; i++)
        alive += recv(ports[i].control, frame, 1, MSG_DONTWAIT) < 0;
    printf("{\"alive\": %d}\n", alive);
}

static void options(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "bed:r:s:n:w:c:i:")) != -1)
        switch (option) {
        case 'b': broadcast = 1; break;
        case 'e': echo = 1; break;
        case 'd': dead = atoi(optarg); break;
        case 'r': receivers = atoi(optarg); break;
        case 's': size = atoi(optarg); break;
        case 'w': window = atoi(optarg); break;
        case 'c': core = atoi(optarg); break;
        case 'i': idle = atoi(optarg); break;
        case 'n': count = strtoull(optarg, NULL, 10); break;
        default: exit(2);
        }
    errno = EINVAL;
    if (optind != argc - 1 || !count || size < MIN_SIZE || size > MAX_SIZE || receivers < 1 ||
        dead < 0 || receivers + dead > MAX_CLIENTS || window < 0 || idle < 0 || idle > MAX_IDLE ||
        (receivers > 1 && (echo || window || !broadcast)))
        fail("options");
}

int main(int argc, char **argv)
{
    int data[MAX_CLIENTS + 1], ways[MAX_CLIENTS], number = 1;
    unsigned char frame[MAX_SIZE];
    options(argc, argv);
    open_many_files();
    pin(core);
    give_up_in_time();
    if (idle) {
        stay_idle(argv[optind]);
        return 0;
    }
    if (strcmp(argv[optind], "-") == 0) {
        for (number = 0; number < receivers; number++) {
            int pair[2];
            if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
                fail("socketpair");
            ways[number] = pair[0];
            data[number + 1] = pair[1];
        }
    } else {
        alarm(PATIENCE);
        for (int i = 0; i <= receivers + dead; i++)
            data[i] = plug(argv[optind], i).data;
        ways[0] = data[0];
        introduce(data);
    }

    struct receiver *counted = mmap(NULL, sizeof *counted * (size_t)receivers,
                                    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t *times = echo ? memory(count * sizeof *times) : NULL;
    if (counted == MAP_FAILED)
        fail("memory");
    for (int i = 0; i < receivers; i++)
        sem_init(&counted[i].room, 1, (unsigned)window);
    for (int i = 0; i < receivers; i++)
        if (fork_bound() == 0) {
            if (echo)
                reflect(data[i + 1], i + 1, &counted[i]);
            else
                receive(data[i + 1], i + 1, &counted[i]);
            _exit(0);
        }

    wait_for_line();
    phase = "the switch takes a frame, or it comes back";
    make_frame(frame, 0, broadcast ? -1 : 1);
    uint64_t answered = 0, cpu = now(CLOCK_PROCESS_CPUTIME_ID), began = now(CLOCK_MONOTONIC);
    if (echo) {
        answered = ping(ways[0], frame, times);
    } else {
        for (uint64_t i = 0; i < count; i++) {
            if (i % SOME == 0)
                alarm(PATIENCE);
            if (window && sem_trywait(&counted->room))
                wait_for_room(&counted->room);
            for (int way = 0; way < number; way++)
                send_number(ways[way], frame, i);
        }
    }
    uint64_t ended = now(CLOCK_MONOTONIC);
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    phase = "all receivers have seen the end";
    alarm(PATIENCE);
    finish(ways, number, frame, counted);
    while (wait(NULL) > 0)
        ;

    printf("{\"sent\": %llu, \"seconds\": %.9f, \"cpu\": %.9f", (unsigned long long)count,
           (double)(ended - began) / 1e9, (double)cpu / 1e9);
    if (echo) {
        printf(", \"answered\": %llu", (unsigned long long)answered);
        list_quantiles(times, answered);
    }
    printf(", \"receivers\": [");
    for (int i = 0; i < receivers; i++)
        printf("%s{\"delivered\": %llu, \"duplicated\": %llu, \"reordered\": %llu,"
               " \"damaged\": %llu, \"seconds\": %.9f, \"cpu\": %.9f}",
               i ? ", " : "", (unsigned long long)counted[i].delivered,
               (unsigned long long)counted[i].duplicated, (unsigned long long)counted[i].reordered,
               (unsigned long long)counted[i].damaged,
               counted[i].ended ? (double)(counted[i].ended - began) / 1e9 : 0,
               (double)counted[i].cpu / 1e9);
    puts("]}");
    return 0;
}
