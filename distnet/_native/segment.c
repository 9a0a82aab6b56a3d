/* See segment.h. */
#include "segment.h"

#include <string.h>

enum {
    IP = 14,
    TCP = IP + 20,
    IPV4_SIZE = 20,
    TCP_SIZE = 20,
    PROTOCOL_TCP = 6,
    MORE_FRAGMENTS_AND_OFFSET = 0x3fff,
    PLAIN = 0x45,
    ONES = 0xffff,
};

static void put16(unsigned char *place, uint32_t value)
{
    place[0] = (unsigned char)(value >> 8);
    place[1] = (unsigned char)value;
}

static void put32(unsigned char *place, uint32_t value)
{
    put16(place, value >> 16);
    put16(place + 2, value);
}

/* RFC 1071, without the complement: of an even number of bytes. */
static uint64_t sum_of(const unsigned char *data, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < size; i += 2)
        sum += get16(data + i);
    return sum;
}

static uint16_t checksum(uint64_t sum)
{
    while (sum > ONES)
        sum = (sum & ONES) + (sum >> 16);
    return (uint16_t)(sum ^ ONES);
}

static int is_mac_of(const unsigned char *mac, const unsigned char *address)
{
    return mac[0] == 0x52 && mac[1] == 0x55 && memcmp(mac + 2, address, 4) == 0;
}

static void put_mac_of(unsigned char *mac, const unsigned char *address)
{
    mac[0] = 0x52;
    mac[1] = 0x55;
    memcpy(mac + 2, address, 4);
}

static int is_own_mac(const struct plan *plan, const unsigned char *mac)
{
    for (int i = 0; i < plan->owns; i++)
        if (is_mac_of(mac, plan->own[i]))
            return 1;
    return 0;
}

int plan_owns(const struct plan *plan, const unsigned char *address)
{
    for (int i = 0; i < plan->owns; i++)
        if (memcmp(plan->own[i], address, 4) == 0)
            return 1;
    return 0;
}

void plan_give_mac(const struct plan *plan, unsigned char *frame, size_t size)
{
    if (size >= IP + IPV4_SIZE && get16(frame + 12) == 0x0800 && plan_owns(plan, frame + 26))
        put_mac_of(frame + 6, frame + 26);
}

static int is_plain_tcp(const unsigned char *frame, size_t size)
{
    return size >= HEADERS && get16(frame + 12) == 0x0800 && frame[IP] == PLAIN &&
        frame[23] == PROTOCOL_TCP;
}

/* The numbers of a segment with `length` bytes of data; whose it is is known already. */
static void read_segment(const unsigned char *frame, int32_t length, struct segment *segment)
{
    segment->flags = frame[47];
    segment->start = get32(frame + 38);
    segment->ack = get32(frame + 42);
    segment->end = segment->start + (uint32_t)length + !!(segment->flags & SYN) +
        !!(segment->flags & FIN);
}

int segment_from_guest(
    const struct plan *plan, const unsigned char *mac, const unsigned char *frame, size_t size,
    struct segment *segment)
{
    if (size > LONGEST_FRAME || !is_plain_tcp(frame, size) || !is_mac_of(frame, plan->master) ||
        memcmp(frame + 6, mac, 6) != 0 || is_own_mac(plan, mac))
        return 0;
    size_t total = get16(frame + 16);
    int32_t length = (int32_t)total - IPV4_SIZE - (frame[46] >> 4) * 4;
    if (memcmp(frame + 30, plan->master, 4) != 0 || get16(frame + 36) != plan->port ||
        get16(frame + 20) & MORE_FRAGMENTS_AND_OFFSET || length < 0 || total > size - IP ||
        frame[46] < TCP_SIZE / 4 << 4 || plan_owns(plan, frame + 26))
        return 0;
    memcpy(segment->address, frame + 26, 4);
    segment->port = get16(frame + TCP);
    read_segment(frame, length, segment);
    return 1;
}

int segment_is_others(
    const struct plan *plan, const unsigned char *mac, const unsigned char *frame, size_t size)
{
    if (size > LONGEST_FRAME || !is_plain_tcp(frame, size) || memcmp(frame + 6, mac, 6) != 0 ||
        !is_own_mac(plan, frame) || is_own_mac(plan, mac))
        return 0;
    size_t total = get16(frame + 16);
    uint32_t target = get32(frame + 30);
    unsigned first = frame[30];
    return total >= IPV4_SIZE + TCP_SIZE && total <= size - IP &&
        !(get16(frame + 20) & MORE_FRAGMENTS_AND_OFFSET) && !(frame[47] & SYN) &&
        !plan_owns(plan, frame + 26) && (target & plan->mask) != plan->network && first != 0 &&
        first != 127 && first < 224;
}

int segment_from_master(
    const struct plan *plan, const unsigned char *frame, size_t size, struct segment *segment)
{
    if (!is_plain_tcp(frame, size) || memcmp(frame + 26, plan->master, 4) != 0 ||
        frame[46] < TCP_SIZE / 4 << 4)
        return 0;
    int32_t length = (int32_t)get16(frame + 16) - IPV4_SIZE - (frame[46] >> 4) * 4;
    if (length < 0)
        return 0;
    memcpy(segment->address, frame + 30, 4);
    segment->port = get16(frame + 36);
    read_segment(frame, length, segment);
    return 1;
}

static int is_same_end(const struct segment *one, const struct segment *other)
{
    return one->port == other->port && memcmp(one->address, other->address, 4) == 0;
}

int segment_outdoes(const struct segment *segment, const struct segment *earlier)
{
    uint32_t more = segment->ack - earlier->ack;
    return segment->flags == ACK && earlier->flags == ACK && is_same_end(segment, earlier) &&
        segment->start == segment->end && segment->start == earlier->start &&
        segment->start == earlier->end && more != 0 && more <= UINT32_MAX >> 1;
}

int run_takes(const unsigned char *frame, size_t size, const struct segment *segment)
{
    uint32_t data = segment->end - segment->start;
    return data && (segment->flags | PSH) == (ACK | PSH) && frame[46] == TCP_SIZE / 4 << 4 &&
        size == HEADERS + (size_t)data;
}

int run_goes_on(
    const struct run *run, const unsigned char *frame, size_t size, const struct segment *segment)
{
    size_t data = size - HEADERS;
    return segment->start == run->following && is_same_end(segment, &run->first) &&
        segment->ack == run->first.ack && memcmp(frame + 48, run->frame + 48, 2) == 0 &&
        /* The next one's data are summed up in pairs of bytes. */
        !(run->size & 1) && run->size + data <= LONGEST_MERGED - HEADERS &&
        sum_of(frame + IP, IPV4_SIZE) % ONES == 0;
}

void run_begin(
    struct run *run, const unsigned char *frame, size_t size, const struct segment *segment)
{
    run->first = *segment;
    run->following = segment->end;
    run->size = size - HEADERS;
    run->frames = 1;
    run->sum = sum_of(frame + TCP, TCP_SIZE);
    memcpy(run->frame, frame, size);
}

void run_add(struct run *run, const unsigned char *frame, size_t size)
{
    size_t data = size - HEADERS;
    memcpy(run->frame + HEADERS + run->size, frame + HEADERS, data);
    run->size += data;
    run->following += (uint32_t)data;
    run->frames++;
    /* Each header tells, by its checksum, the sum of the data behind it. */
    run->sum += sum_of(frame + TCP, TCP_SIZE);
    run->frame[47] = run->first.flags | (frame[47] & PSH);
}

size_t run_end(struct run *run, struct segment *segment)
{
    unsigned char *frame = run->frame;
    *segment = run->first;
    if (run->frames > 1) {
        uint32_t before = get16(frame + 16), total = (uint32_t)(HEADERS - IP + run->size);
        /* RFC 1624: a sum changes by as much as what is summed up. */
        put16(frame + 24, (get16(frame + 24) + before + ONES - total % ONES) % ONES);
        put16(frame + 16, total);
        uint64_t more = (uint64_t)run->frames - 1;
        uint64_t each = sum_of(frame + 26, 8) + PROTOCOL_TCP + TCP_SIZE;
        put16(frame + 50, 0);
        uint64_t head = sum_of(frame + TCP, TCP_SIZE) % ONES;
        put16(frame + 50, (uint32_t)((run->sum + more * each + ONES - head) % ONES));
        segment->flags = frame[47];
        segment->end = segment->start + (uint32_t)run->size;
    }
    run->frames = 0;
    return HEADERS + run->size;
}

void progress_begin(struct progress *progress, const struct segment *first)
{
    memcpy(progress->address, first->address, 4);
    progress->port = first->port;
    progress->from_guest = first->end;
    progress->begin = first->start;
    progress->from_master = progress->given = first->ack;
}

static void advance(uint32_t *number, uint32_t end)
{
    uint32_t further = end - *number;
    if (further && further < UINT32_C(1) << 31)
        *number = end;
}

void progress_guest_sent(struct progress *progress, const struct segment *segment)
{
    advance(&progress->from_guest, segment->end);
}

void progress_master_sent(struct progress *progress, const struct segment *segment)
{
    advance(&progress->from_master, segment->end);
}

void segment_bare(
    const struct plan *plan, const unsigned char *mac, const struct progress *progress, int to_guest,
    uint32_t number, uint8_t flags, unsigned char *frame)
{
    memset(frame, 0, BARE);
    unsigned char *ip = frame + IP, *tcp = frame + TCP;
    memcpy(to_guest ? frame : frame + 6, mac, 6);
    put_mac_of(to_guest ? frame + 6 : frame, plan->master);
    put16(frame + 12, 0x0800);
    ip[0] = PLAIN;
    put16(ip + 2, IPV4_SIZE + TCP_SIZE);
    ip[8] = 64;
    ip[9] = PROTOCOL_TCP;
    memcpy(to_guest ? ip + 12 : ip + 16, plan->master, 4);
    memcpy(to_guest ? ip + 16 : ip + 12, progress->address, 4);
    put16(ip + 10, checksum(sum_of(ip, IPV4_SIZE)));
    put16(to_guest ? tcp : tcp + 2, plan->port);
    put16(to_guest ? tcp + 2 : tcp, progress->port);
    put32(tcp + 4, number);
    put32(tcp + 8, to_guest ? progress->from_guest : progress->from_master);
    tcp[12] = TCP_SIZE / 4 << 4;
    tcp[13] = flags;
    put16(tcp + 16, checksum(sum_of(ip + 12, 8) + PROTOCOL_TCP + TCP_SIZE + sum_of(tcp, TCP_SIZE)));
}
