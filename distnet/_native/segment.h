/*
 * TCP segments in Ethernet frames of one guest and of libslirp, and what is made of some. No I/O.
 * distnet/gateway/segments.py, frames.py and merge.py define all of it.
 */
#ifndef DISTNET_SEGMENT_H
#define DISTNET_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };
enum {
    HEADERS = 54, /* bytes, none of which has options: Ethernet, IPv4, TCP */
    LONGEST_FRAME = 1536,
    LONGEST_MERGED = 14 + 65535,
    OWNS = 4,
};

/* The network of the guests. Addresses are 4 bytes, as in frames. */
struct plan {
    unsigned char own[OWNS][4];
    int owns;
    unsigned char master[4];
    uint16_t port;
    uint32_t network, mask;
};

/* See Segment in segments.py. */
struct segment {
    unsigned char address[4]; /* the guest's */
    uint16_t port;            /* the guest's */
    uint8_t flags;
    uint32_t start, end, ack;
};

/* How far a connection has come: see Progress. */
struct progress {
    unsigned char address[4];
    uint16_t port;
    uint32_t from_guest, from_master, begin, given;
};

static inline uint16_t get16(const unsigned char *place)
{
    return (uint16_t)(place[0] << 8 | place[1]);
}

static inline uint32_t get32(const unsigned char *place)
{
    return (uint32_t)get16(place) << 16 | get16(place + 2);
}

/* Whether an address is the gateway's own. */
int plan_owns(const struct plan *plan, const unsigned char *address);
/* Give a frame of libslirp's the MAC address of its IPv4 address as its source. */
void plan_give_mac(const struct plan *plan, unsigned char *frame, size_t size);

/* The segment in a guest's frame to the master, if it is as almost all are; otherwise 0. */
int segment_from_guest(
    const struct plan *plan, const unsigned char *mac, const unsigned char *frame, size_t size,
    struct segment *segment);
/* Whether a guest's frame is one more of a TCP connection with others than us, who may be reached. */
int segment_is_others(
    const struct plan *plan, const unsigned char *mac, const unsigned char *frame, size_t size);
/* The segment in a frame of libslirp's, if it comes from where guests find the master. */
int segment_from_master(
    const struct plan *plan, const unsigned char *frame, size_t size, struct segment *segment);

/* Whether what an earlier segment says is said by the one after it. */
int segment_outdoes(const struct segment *segment, const struct segment *earlier);

/* Segments of one connection that follow each other, which become one. */
struct run {
    struct segment first;
    uint32_t following;
    size_t size; /* bytes of data */
    int frames;
    unsigned char *frame; /* what they have become so far, in LONGEST_MERGED bytes */
    uint64_t sum;
};

/* Whether a frame with this segment has data that can be merged. */
int run_takes(const unsigned char *frame, size_t size, const struct segment *segment);
int run_goes_on(
    const struct run *run, const unsigned char *frame, size_t size, const struct segment *segment);
void run_begin(
    struct run *run, const unsigned char *frame, size_t size, const struct segment *segment);
void run_add(struct run *run, const unsigned char *frame, size_t size);
/* The frame that it has become, and its segment; nothing is in it any more. Returns its size. */
size_t run_end(struct run *run, struct segment *segment);

void progress_begin(struct progress *progress, const struct segment *first);
void progress_guest_sent(struct progress *progress, const struct segment *segment);
void progress_master_sent(struct progress *progress, const struct segment *segment);
static inline int progress_all_sent(const struct progress *progress)
{
    return progress->from_master == progress->given;
}
/* Whether a segment from the guest is of another connection. */
static inline int progress_begins_anew(
    const struct progress *progress, const struct segment *segment)
{
    return (segment->flags & SYN) && segment->end != progress->begin;
}

enum { BARE = HEADERS };
/* A frame with a segment that has no data, in BARE bytes: from the guest, or to it. */
void segment_bare(
    const struct plan *plan, const unsigned char *mac, const struct progress *progress, int to_guest,
    uint32_t number, uint8_t flags, unsigned char *frame);

#endif
