/*
 * Answers questions about frames and segments by native code (distnet/_native/segment.c, and what
 * guest.c makes of it), to be compared with what Python answers: tests/integration/test_segments.py
 * asks.
 *
 * A question is its kind, how many bytes follow (32 bits, network byte order, like all numbers), and
 * those. Each answer is a line. Frames are where a byte more or less would be noticed.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

static struct guest *guest;
static int frames, plug;
static int is_any; /* whether there is something in this line */

/* What follows in a question. */
static const unsigned char *rest;
static size_t left;

static const unsigned char *take(size_t size)
{
    if (size > left)
        fail("a question is too short");
    const unsigned char *taken = rest;
    rest += size;
    left -= size;
    return taken;
}

static uint32_t take32(void)
{
    return get32(take(4));
}

static void take_segment(struct segment *segment)
{
    memcpy(segment->address, take(4), 4);
    segment->port = get16(take(2));
    segment->flags = *take(1);
    segment->start = take32();
    segment->end = take32();
    segment->ack = take32();
}

static void print_segment(const struct segment *segment)
{
    const unsigned char *ip = segment->address;
    printf(
        "%02x%02x%02x%02x %u %u %u %u %u", ip[0], ip[1], ip[2], ip[3], segment->port, segment->flags,
        segment->start, segment->end, segment->ack);
}

static void print_frame(const unsigned char *frame, size_t size)
{
    if (is_any)
        putchar(' ');
    for (size_t i = 0; i < size; i++)
        printf("%02x", frame[i]);
    is_any = 1;
}

/* What guest.c has libslirp do, and Python */

static void slirp_input(void *instance, const uint8_t *frame, int size)
{
    (void)instance;
    /* Where a guest is told of at first. */
    if (size != 42 || get16(frame + 12) != 0x0806)
        print_frame(frame, (size_t)size);
}

static void slirp_fill(
    void *instance, uint32_t *timeout, int (*add)(int, int, void *), void *opaque)
{
    (void)instance, (void)timeout, (void)add, (void)opaque;
}

static void slirp_poll(void *instance, int is_error, int (*events)(int, void *), void *opaque)
{
    (void)instance, (void)is_error, (void)events, (void)opaque;
}

static int rest_received(void *self, const unsigned char *frame, size_t size)
{
    (void)self;
    print_frame(frame, size);
    return 0;
}

static int rest_complain(void *self, const char *line)
{
    (void)self, (void)line;
    return 0;
}

/* Questions */

static void set_plan(void)
{
    struct plan *plan = &guest->plan;
    memcpy(plan->master, take(4), 4);
    plan->port = get16(take(2));
    plan->network = take32();
    plan->mask = take32();
    for (plan->owns = 0; left; plan->owns++)
        memcpy(plan->own[plan->owns], take(4), 4);
}

static void merge(void)
{
    memcpy(guest->mac, take(6), 6);
    while (left) {
        size_t size = take32();
        if (send(frames, take(size), size, MSG_DONTWAIT) < 0)
            fail("no room for a batch");
    }
    guest_read(guest);
}

/* The runs that have ended, with what is known of each. */
static void run(void)
{
    static unsigned char merged[LONGEST_MERGED];
    unsigned char mac[6];
    struct run run = {.frame = merged};
    struct segment segment, whole;
    memcpy(mac, take(6), 6);
    while (left) {
        size_t size = take32();
        const unsigned char *frame = take(size);
        int has_data = segment_from_guest(&guest->plan, mac, frame, size, &segment) &&
            run_takes(frame, size, &segment);
        if (has_data && run.frames && run_goes_on(&run, frame, size, &segment)) {
            run_add(&run, frame, size);
            continue;
        }
        if (run.frames) {
            run_end(&run, &whole);
            print_segment(&whole);
            printf(", ");
        }
        if (has_data)
            run_begin(&run, frame, size, &segment);
    }
}

static void follow(void)
{
    struct progress progress;
    struct segment segment;
    memcpy(guest->mac, take(6), 6);
    take_segment(&segment);
    progress_begin(&progress, &segment);
    while (left) {
        unsigned char what = *take(1);
        take_segment(&segment);
        if (what == 'g')
            progress_guest_sent(&progress, &segment);
        else if (what == 'm')
            progress_master_sent(&progress, &segment);
        else
            progress.given += segment.end;
        printf(
            "%u %u %d %d, ", progress.from_guest, progress.from_master, progress_all_sent(&progress),
            progress_begins_anew(&progress, &segment));
    }
    guest_probe(guest, &progress);
    guest_reset(guest, &progress, 1);
    guest_flush(guest);
    unsigned char frame[2000];
    for (ssize_t size; (size = recv(plug, frame, sizeof frame, MSG_DONTWAIT)) > 0;)
        print_frame(frame, (size_t)size);
}

static void answer(char kind)
{
    unsigned char mac[6];
    struct segment one, other;
    int is_found;
    switch (kind) {
    case 'P':
        set_plan();
        break;
    case 'G':
        memcpy(mac, take(6), 6);
        is_found = segment_from_guest(&guest->plan, mac, rest, left, &one);
        if (is_found)
            print_segment(&one);
        break;
    case 'M':
        is_found = segment_from_master(&guest->plan, rest, left, &one);
        if (is_found)
            print_segment(&one);
        break;
    case 'O':
        memcpy(mac, take(6), 6);
        printf("%d", segment_is_others(&guest->plan, mac, rest, left));
        break;
    case 'N':
        plan_give_mac(&guest->plan, (unsigned char *)(uintptr_t)rest, left);
        print_frame(rest, left);
        break;
    case 'X':
        take_segment(&one);
        take_segment(&other);
        printf("%d", segment_outdoes(&one, &other));
        break;
    case 'B':
        merge();
        break;
    case 'R':
        run();
        break;
    case 'F':
        follow();
        break;
    default:
        fail("what a question");
    }
    putchar('\n');
}

int main(void)
{
    int ours[2], control[2], switches[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ours) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, control) ||
        socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, switches))
        fail("no sockets");
    frames = ours[0];
    plug = switches[0];
    struct plan plan = {0};
    guest = guest_new(&plan, NULL, 0);
    guest->slirp = (struct slirp){guest, slirp_input, slirp_fill, slirp_poll};
    guest->rest = (struct rest){
        .self = guest, .received = rest_received, .complain = rest_complain};
    guest_begin(guest, plan.own[0], ours[1], control[1], -1);
    guest_change_plug(guest, switches[1]);
    guest->answered = guest->proven = 1;
    unsigned char head[5];
    while (fread(head, sizeof head, 1, stdin)) {
        size_t size = get32(head + 1);
        unsigned char *question = malloc(size);
        if (fread(question, 1, size, stdin) != size)
            fail("a question is cut off");
        rest = question;
        left = size;
        is_any = 0;
        answer((char)head[0]);
        free(question);
    }
    return 0;
}
