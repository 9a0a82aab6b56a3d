/* What the parts of messages.c share: nodes, messages, and what is counted of them. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "program.h"

#define MAX_PAIRS 512
#define MAX_SIZE 65536
#define ROOM (512 * 1024) /* of a read */
#define HELLO UINT64_MAX /* in the place of a number */

/*
 * In the payload: sender, receiver, number; at its end, the number's complement. An empty payload says
 * nothing: such messages are counted, by their source where the wire tells it.
 */
enum { SENDER_AT = 0, RECEIVER_AT = 4, NUMBER_AT = 8, CHECK_SIZE = 8, MIN_SIZE = 24 };
enum how { BATCHED, INTERLEAVED, SINGLE, STALLED, PING, IDLE };
enum wire { DISTNET, NATS, DIRECT };
enum reader { STREAM, CHUNKS, STRICT };

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
    uint64_t split; /* messages of which a reader that is none of a stream got only a part */
    uint64_t ended; /* when the last message came to those that read all the time, ns */
    uint64_t cpu; /* of the receivers, ns */
};

/* messages.c */
extern enum how how;
extern enum wire wire;
extern enum reader reader;
extern int pairs, size;
extern uint64_t count, duration, still;
extern const char *place;
extern struct shared *shared;
extern struct node *senders, *receivers;
extern unsigned char *buffer; /* for reads */

/* nodes.c */
void write_all(int fd, const void *data, size_t length);
/* Both ends of a TCP connection. */
void connect_directly(int *one, int *other);
/* A node; number is that of the subject that it receives, or negative. */
void join(struct node *node, int number);

/* units.c: a unit is a message with all that surrounds it on the wire. */
extern size_t unit_out, head_out, unit_in, head_in;

/* Of a receiver: what it expects. */
struct expectation {
    unsigned char head[64]; /* of every message, with NATS */
    uint64_t *next; /* number, of each sender */
};

void measure_units(void);
/* Write a message from a sender, but for receiver and number. */
void make(unsigned char *unit, int sender);
void readdress(unsigned char *unit, int sender, int receiver);

static inline void number_it(unsigned char *unit, uint64_t number)
{
    uint64_t check = ~number;
    if (!size)
        return;
    memcpy(unit + head_out + NUMBER_AT, &number, 8);
    memcpy(unit + head_out + (size_t)size - CHECK_SIZE, &check, 8);
}

void expect(struct expectation *expected, int receiver);
/* Count the whole messages at data; the size of what was counted. */
size_t take(struct node *node, const struct expectation *expected, int receiver,
            const unsigned char *data, size_t length);
/* Wait for a message, which must be as it was sent. */
void receive_one(struct node *node, const struct expectation *expected, int number, uint64_t *got);
/* A message from each sender to its receiver: from then on all of them are known, and settled. */
void introduce(void);

/* streams.c and trips.c: what is measured. */
void stream(void);
void ping(void);

#endif
