/* The messages of messages.c, as they are on the wire: made, and checked. */
#include "messages.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

size_t unit_out, head_out, unit_in, head_in;
static char formatted[64];

void measure_units(void)
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
void make(unsigned char *unit, int sender)
{
    uint32_t source = (uint32_t)sender, length = (uint32_t)size;
    memset(unit + head_out, 0x5a, (size_t)size);
    if (size)
        memcpy(unit + head_out + SENDER_AT, &source, 4);
    if (wire == NATS) {
        sprintf(formatted, "PUB %05d %d\r\n", 0, size);
        memcpy(unit, formatted, head_out);
        memcpy(unit + head_out + size, "\r\n", 2);
    } else {
        memcpy(unit + 4, &length, 4);
    }
}

void readdress(unsigned char *unit, int sender, int receiver)
{
    uint32_t dest = (uint32_t)receiver;
    if (size)
        memcpy(unit + head_out + RECEIVER_AT, &dest, 4);
    if (wire == NATS) {
        for (int place_of = 8; place_of > 3; place_of--, dest /= 10)
            unit[place_of] = (unsigned char)('0' + dest % 10);
        return;
    }
    dest = wire == DIRECT ? senders[sender].id : receivers[receiver].id;
    memcpy(unit, &dest, 4);
}

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

/* The same of a message without payload, which gets the number that is due. */
static int check_empty(const struct expectation *expected, const unsigned char *data, uint32_t *sender,
                       uint64_t *number)
{
    uint32_t source = 0;
    if (wire == NATS && memcmp(data, expected->head, head_in))
        wrong("what comes is no message, or not of the size of those that were sent");
    if (wire != NATS) {
        memcpy(&source, data, 4);
        source -= senders[0].id;
    }
    if (source >= (uint32_t)pairs) {
        shared->misdelivered++;
        return 0;
    }
    *sender = source;
    *number = expected->next[source];
    return 1;
}

/* The whole message at data, if it is one: whether it is as it was sent, by whom and its number. */
static int check(const struct expectation *expected, int receiver, const unsigned char *data,
                 uint32_t *sender, uint64_t *number)
{
    const unsigned char *payload = data + head_in;
    uint32_t dest, source;
    uint64_t complement;
    if (!size)
        return check_empty(expected, data, sender, number);
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
size_t take(struct node *node, const struct expectation *expected, int receiver,
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

void expect(struct expectation *expected, int receiver)
{
    expected->next = memory(sizeof *expected->next * (size_t)pairs);
    if (wire == NATS) {
        sprintf(formatted, "MSG %05d 1 %d\r\n", receiver, size);
        memcpy(expected->head, formatted, head_in);
    }
}

/* Wait for a message, which must be as it was sent. */
void receive_one(struct node *node, const struct expectation *expected, int number,
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
void introduce(void)
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
