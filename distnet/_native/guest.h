/*
 * The datapath of a guest's process: see distnet/gateway/pure_datapath.py, which defines it. What is
 * done for every guest is done here, without Python; the rest is handed to Python.
 *
 * Python is shared with all other guests' processes for as long as it is not run.
 */
#ifndef DISTNET_GUEST_H
#define DISTNET_GUEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "segment.h"

enum {
    DESCRIPTORS = 512,
    ADDRESSES = 16,       /* entries of libslirp's ARP table */
    SIMPLE_FLOWS = 12,    /* connections that are not counted any more exactly */
    REASONS = 32,         /* for frames that were not sent */
    BATCH_FRAMES = 24,
    LONGEST_MESSAGE = 60000,
    MESSAGE_DESCRIPTORS = 4,
};
#define NEVER UINT64_MAX
#define SECOND UINT64_C(1000000000)

/* What libslirp.h has. */
struct slirp {
    void *instance;
    void (*input)(void *, const uint8_t *, int);
    void (*fill)(void *, uint32_t *, int (*)(int, int, void *), void *);
    void (*poll)(void *, int, int (*)(int, void *), void *);
};

/* What Python does. Each returns 0, or -1 when there is no going on: an exception is set then. */
struct rest {
    void *self;
    /* A frame that is not just a segment for the master. */
    int (*received)(void *self, const unsigned char *frame, size_t size);
    /* A message of the gateway's that is not known here; the descriptors become Python's. */
    int (*told)(void *self, const char *message, size_t size, const int *fds, int count);
    /* The gateway has gone. */
    int (*gone)(void *self);
    /* Its own descriptors are ready, or its time has come. */
    int (*turn)(void *self);
    /* The guest was silent for long, and has no connection to the master. */
    int (*idle)(void *self);
    /* A frame for the guest, before it is sent: it may change it in place. */
    int (*outward)(void *self, unsigned char *frame, size_t size);
    int (*complain)(void *self, const char *line);
};

/* A descriptor that is waited for. */
struct watch {
    int fd; /* -1 if there is none */
    uint32_t wanted;
    void (*ready)(void *owner, uint32_t events);
    void *owner;
};

struct buffer {
    unsigned char *data;
    size_t size, room;
};

struct relay;

/* A connection that libslirp was let begin: see Flows in flows.py. */
struct flow {
    unsigned char ethernet[12], source[6], target[6];
    uint32_t number;
    uint64_t since;
};

struct dropped {
    int error; /* 0: there is no switch; -1: no room */
    unsigned long count;
};

enum outward { OUTWARD_NONE, OUTWARD_SYNS, OUTWARD_ALL };

struct guest {
    struct plan plan;
    struct slirp slirp;
    struct rest rest;
    int failed; /* by Python: there is an exception; or there is an error */
    int error;  /* an errno */
    unsigned char mac[6];
    const unsigned char (*fixed)[4]; /* addresses of fixed nodes */
    size_t fixed_count;

    int epoll;
    uint64_t now; /* ns */
    struct watch frames, channel, plug, stack, python;
    int listener;
    uint64_t python_at, idle_at, gone_at, doubt_at, stack_at;

    /* libslirp's descriptors. */
    uint32_t registered[DESCRIPTORS];
    struct {
        int fd;
        int events;
    } asked[DESCRIPTORS];
    int asked_count;
    uint32_t wanted[DESCRIPTORS]; /* what is asked of each, in this turn */
    int revents[DESCRIPTORS];
    unsigned char held[DESCRIPTORS];
    int turning;
    uint64_t active;

    uint64_t heard;
    int answered, proven;
    unsigned char known[ADDRESSES][4];
    int known_count;
    struct flow flow[SIMPLE_FLOWS];
    int flows, python_flows; /* the latter: Python counts them */
    enum outward outward;
    int asking; /* Python is to see what the guest sends to others */
    struct run run;

    struct relay *relays, *ended;
    int relay_count;
    unsigned long asked_master;

    struct queue *to_switch, *to_gateway;
    struct dropped dropped[REASONS];
};

struct guest *guest_new(const struct plan *plan, const unsigned char (*fixed)[4], size_t count);
/* It must have no connections any more. Nobody but tests frees one. */
void guest_free(struct guest *guest);
/* Begin to be the process of a guest; and go on once there is something to do, or it is `until`. */
void guest_begin(
    struct guest *guest, const unsigned char *mac, int frames, int channel, int listener);
void guest_step(struct guest *guest, uint64_t until);
/* Be the process of a guest; returns when it has failed. */
void guest_run(
    struct guest *guest, const unsigned char *mac, int frames, int channel, int listener);

/* libslirp's callbacks; `guest` is their opaque pointer. */
ssize_t guest_send_packet(const void *data, size_t size, void *guest);
int64_t guest_clock(void *guest);
void guest_forget(int fd, void *guest);
void guest_ignore_fd(int fd, void *guest);
void guest_ignore(void *guest);

uint64_t guest_seconds(void);
void guest_input(struct guest *guest, const unsigned char *frame, size_t size);
/* Let libslirp go on with what it can. */
void guest_turn(struct guest *guest);
void guest_put(struct guest *guest, const unsigned char *frame, size_t size);
void guest_flush(struct guest *guest);
/* A message for the gateway: a JSON object. */
void guest_tell(struct guest *guest, const char *message, size_t size);
/* The same for a short one, as by printf(3). */
__attribute__((format(printf, 2, 3))) void guest_tellf(
    struct guest *guest, const char *format, ...);
__attribute__((format(printf, 3, 4))) void guest_log(
    struct guest *guest, int is_warning, const char *format, ...);
void guest_introduce(struct guest *guest, const unsigned char *address);
void guest_prove(struct guest *guest, const struct segment *segment);
/* Hand libslirp a segment for the master. */
void guest_segment(
    struct guest *guest, const unsigned char *frame, size_t size, const struct segment *segment);
/* Read and deal with what the gateway hands over. */
void guest_read(struct guest *guest);
void guest_abort_all(struct guest *guest, const char *why, int to_guest);
/* Somebody else connects from an address of this guest's. */
void guest_doubt(struct guest *guest, const unsigned char *address);
/* The answer to a question of a relay's: where the master is, see relay_found(); or why nowhere. */
void guest_found(
    struct guest *guest, unsigned long number, const char *name, size_t size, int port, int cuts);
void guest_not_found(struct guest *guest, unsigned long number, const char *why);
/* Have Python take its turn whenever there is something to read; before guest_run(). */
void guest_wait_for(struct guest *guest, int fd);
/* Another plug, or none (-1). */
void guest_change_plug(struct guest *guest, int fd);

/* For relays. */
void watch_want(struct guest *guest, struct watch *watch, uint32_t wanted);
void guest_probe(struct guest *guest, const struct progress *progress);
void guest_reset(struct guest *guest, const struct progress *progress, int to_guest);

#endif
