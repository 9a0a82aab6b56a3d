/*
 * The native path of a switch: reads endpoints, finds where each frame goes, and writes it there.
 *
 * The pure version (distnet.switch.core: bridge and delivery) defines what is done; this does the
 * usual case of it: frames without a tag, from addresses that are known, for endpoints that are
 * open. The rest is left to its caller, in order for each source. No Python in here. One thread at
 * a time.
 */
#ifndef DISTNET_BRIDGE_H
#define DISTNET_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

#include "addresses.h"
#include "list.h"
#include "poller.h"

#define LARGEST_FRAME (1u << 20)
enum { PORTS = 1 << 20, VLANS = 4096 };
#ifdef TINY
enum { BATCH = 5 }; /* For tests: so small that they reach all limits. */
#else
enum { BATCH = 64 };
#endif

struct tally {
    uint64_t frames, bytes;
};

/* A frame that was read and is not delivered. */
struct item {
    struct item *next;
    struct endpoint *to; /* the only one that has not got it, or NULL if nothing is decided yet */
    size_t size;
    unsigned char frame[];
};

struct items {
    struct item *first, **last;
};

/* Of an endpoint as a target. */
enum state {
    CLOSED, /* its frames are the caller's to deliver */
    OPEN,   /* nothing waits for it there */
    SLOW,   /* frames for it are dropped */
};

/*
 * An endpoint, made by the caller. Zeroed, but for port, fd and what it is; then attached.
 *
 * While a target takes no more, what its sources have for it stays in their `kept`, and they are
 * not read, until it takes that, or has taken nothing for as long as the bridge's patience.
 */
struct endpoint {
    uint32_t port;
    int fd;        /* -1: always closed */
    int is_socket; /* else frames are written to it one by one */
    int is_source; /* it is read here, whenever its owner wants it to be read */
    /* For the caller to read; it changes them by bridge_set_state() and so on. */
    int attached;
    enum state state;
    /* Since the caller last set them to 0. */
    struct tally received, sent, slow, local;
    int error; /* why it cannot be read, if it failed */
    /* The bridge's own. */
    struct items kept, given;
    int held; /* it is not read while there is something in kept or given */
    int full; /* as a target: some have something in kept for it */
    uint64_t retry_at, patient_until; /* of a full one; ns */
    int noted, counted, chosen; /* it is in the list of givers, of counted ones, of targets */
    unsigned frames;            /* in this batch, for it as a target */
    uint8_t frame[BATCH];       /* which ones */
};

struct bridge;

enum mode {
    SWITCH,
    HUB,    /* every frame goes everywhere */
    DIVERT, /* every frame is given to the caller */
};

/*
 * The switch of what epoll descriptor, with what limit, and for how many ns a source is held.
 * NULL if there is no memory.
 */
struct bridge *bridge_new(int epoll, size_t max_frame, uint64_t patience);
void bridge_free(struct bridge *bridge); /* all endpoints are detached */
/* Where all descriptors of the epoll descriptor are registered. */
struct poller *bridge_poller(struct bridge *bridge);
/* What is known: to be told of what is learned and forgotten. */
struct addresses *bridge_addresses(struct bridge *bridge);

/* 0 or an errno: EEXIST if the descriptor is attached, ENOMEM. */
int bridge_attach(struct bridge *bridge, struct endpoint *endpoint);
/*
 * Afterwards given holds all that had come from it and was not delivered. What was for it alone is
 * counted in the last argument.
 */
void bridge_detach(struct bridge *bridge, struct endpoint *endpoint, struct tally *left);
void bridge_set_state(struct bridge *bridge, struct endpoint *endpoint, enum state state);

/*
 * The endpoints of a VLAN that get its frames without a tag, those of one port together, and
 * whether there are others. 0 or ENOMEM. When a port goes from one VLAN to another, set both before
 * anything else.
 */
int bridge_set_vlan(
    struct bridge *bridge, unsigned vlan, struct endpoint **members, size_t count, int has_tagged);

/*
 * Wait, at most so many ms (-1: for ever), for something that the caller has to see; serve the
 * endpoints meanwhile. What it is is in the bridge until the next call. 0 or an errno.
 */
int bridge_poll(struct bridge *bridge, int timeout, enum mode mode);

/*
 * What the caller has to see: endpoints, in this order, and before the events in the poller; after
 * `counted` the addresses that have sent something (`touched`).
 */
struct bridge_notes {
    struct list counted; /* something was counted of them, which is to be set to 0 then */
    struct list closed;  /* they were open as targets, and are closed now */
    struct list givers;  /* sources of which there is something to bridge_take() */
    struct list failed;  /* they cannot be read, or with error 0 have said that they end */
};

const struct bridge_notes *bridge_notes(const struct bridge *bridge);

/* The first frame that is given of an endpoint, for the caller to free, or NULL. */
struct item *bridge_take(struct endpoint *endpoint);

#endif
