/*
 * Messages between master and nodes, as distnet/wire.py has them: two little-endian numbers of 4
 * bytes, an id and the length of the payload, and the payload.
 */
#ifndef DISTNET_MESSAGE_H
#define DISTNET_MESSAGE_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { HEADER_SIZE = 8 };

/* Bytes of the message that begins with a header. */
static inline size_t message_size(const unsigned char *header)
{
    uint32_t length;
    memcpy(&length, header + 4, sizeof length);
    return HEADER_SIZE + (size_t)le32toh(length);
}

/* How far whole messages reach within so many bytes, and how many they are. */
static inline size_t whole_messages(const unsigned char *data, size_t size, uint64_t *count)
{
    size_t at = 0;
    *count = 0;
    while (size - at >= HEADER_SIZE) {
        size_t message = message_size(data + at);
        if (size - at < message)
            break;
        at += message;
        ++*count;
    }
    return at;
}

#endif
