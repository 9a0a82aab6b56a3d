/*
 * One connection of a guest's to the master: libslirp's end of it here, the master's there. See
 * distnet/gateway/relay.py and dial.py.
 */
#ifndef DISTNET_RELAY_H
#define DISTNET_RELAY_H

#include "guest.h"

struct relay {
    struct relay *next;
    struct guest *guest;
    struct progress progress;
    struct watch near, far;
    uint64_t at; /* when `due` is to be called */
    void (*due)(struct relay *relay);
    uint64_t again; /* ns, until a master is tried again after the next failure */
    unsigned long asked;
    int is_dialing, is_greeted, is_deaf, guest_done, master_done, ended;
    int waits;             /* relay_went_on() is to be called */
    int silent;            /* its guest was not heard since its switch had gone */
    uint64_t doubted_until; /* NEVER, or another came, and then its guest is to have answered */
    int touched;
    struct buffer to_master, to_guest;
    /*
     * What the master sends comes as a stream, and is cut here: of what is in to_guest `taken` bytes
     * are gone, and libslirp may have `batch` bytes now.
     */
    int is_cutting;
    size_t taken, batch;
    struct {
        int port; /* 0: it is a unix socket */
        size_t size;
        char name[160];
    } master;
    uint64_t said[REASONS];
    int saids;
};

/* With libslirp's connection. NULL: there is no memory. */
struct relay *relay_new(struct guest *guest, const struct segment *first, int near);
struct relay *relay_find(const struct guest *guest, const unsigned char *address, uint16_t port);
void relay_abort(struct relay *relay, const char *why, int to_guest);
/* Something may have come from the guest. */
void relay_read_guest(struct relay *relay);
/* libslirp has sent something to the guest: perhaps all that it had. */
void relay_went_on(struct relay *relay);
/*
 * This is where the master is: an IP address with a port; or, if that is 0, a unix socket's path, or
 * its name in the abstract namespace behind a NUL. It `cuts`: the master may send a stream.
 */
void relay_found(struct relay *relay, const char *name, size_t size, int port, int cuts);
void relay_not_found(struct relay *relay, const char *why);
void relay_free(struct relay *relay);

#endif
