/* See guest.h. */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "list.h"
#include "relay.h"

enum {
    BATCHES_AT_ONCE = 4, /* before libslirp has its turn */
    ROUNDS = 16,         /* how often libslirp goes on in one turn */
    MOST_WAITING = 512,  /* frames, while the switch does not read */
    MOST_MESSAGES = 1024,
    LONGEST_BATCH = 2 + BATCH_FRAMES * (2 + LONGEST_FRAME + 1),
    SENT_TOGETHER = 64,
    LONGEST_SENT = 1600,
    EVENTS = 64,
    MOST_TOUCHED = 64,
    FOR_EVER_MS = -1, /* libslirp's, as an unsigned number */
    NOTHING_TO_DO_MS = 1000,
    ESCAPED = 6, /* bytes of a character that JSON escapes */
};
#define QUIET_TIME (10 * SECOND)
#define LATEST_TIME (60 * SECOND)
#define IDLE_TIME (60 * SECOND)
#define SWITCH_GONE_TIME (30 * SECOND)
#define DOUBT_TIME SECOND
#define MILLISECOND (SECOND / 1000)

/* What waits to be sent: each is one packet. */
struct queue {
    struct packet {
        struct packet *next;
        size_t size;
        unsigned char data[];
    } *first, **last;
    size_t count;
};

static struct queue *queue_new(void)
{
    struct queue *queue = must(calloc(1, sizeof *queue));
    queue->last = &queue->first;
    return queue;
}

static void queue_add(struct queue *queue, const void *data, size_t size)
{
    struct packet *packet = must(malloc(sizeof *packet + size));
    packet->next = NULL;
    packet->size = size;
    memcpy(packet->data, data, size);
    *queue->last = packet;
    queue->last = &packet->next;
    queue->count++;
}

static void queue_drop(struct queue *queue)
{
    struct packet *packet = queue->first;
    queue->first = packet->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->count--;
    free(packet);
}

/* Frames that are sent to the switch together. */
static struct {
    unsigned char frame[SENT_TOGETHER][LONGEST_SENT];
    size_t size[SENT_TOGETHER];
    unsigned count;
} outbox;

uint64_t guest_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

/* An exception of Python's ends it all, as soon as nothing of libslirp's is in the middle. */
static void check(struct guest *guest, int result)
{
    if (result)
        guest->failed = 1;
}

/* So does an error that there is no going on with. */
static void fail(struct guest *guest, int error)
{
    guest->failed = 1;
    guest->error = error;
}

/* Descriptors */

void watch_want(struct guest *guest, struct watch *watch, uint32_t wanted)
{
    if (wanted == watch->wanted)
        return;
    struct epoll_event event = {wanted, {.ptr = watch}};
    int what = !watch->wanted ? EPOLL_CTL_ADD : wanted ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    if (epoll_ctl(guest->epoll, what, watch->fd, &event) && what != EPOLL_CTL_DEL)
        /* It would be waited for in vain, for ever. */
        fail(guest, errno);
    watch->wanted = wanted;
}

/* To the gateway */

static int send_message(struct guest *guest, const void *message, size_t size)
{
    /* Who has gone is noticed where it is read. */
    return send(guest->channel.fd, message, size, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ||
        (errno != EAGAIN && errno != ENOBUFS && errno != EINTR);
}

void guest_tell(struct guest *guest, const char *message, size_t size)
{
    if (!guest->to_gateway->count && send_message(guest, message, size))
        return;
    if (guest->to_gateway->count < MOST_MESSAGES)
        queue_add(guest->to_gateway, message, size);
    watch_want(guest, &guest->channel, EPOLLIN | EPOLLOUT);
}

void guest_tellf(struct guest *guest, const char *format, ...)
{
    char message[100];
    va_list arguments;
    va_start(arguments, format);
    guest_tell(guest, message, (size_t)vsnprintf(message, sizeof message, format, arguments));
    va_end(arguments);
}

static void tell_more(struct guest *guest)
{
    struct queue *queue = guest->to_gateway;
    while (queue->first && send_message(guest, queue->first->data, queue->first->size))
        queue_drop(queue);
    if (!queue->first)
        watch_want(guest, &guest->channel, EPOLLIN);
}

/* How many bytes a character of UTF-8 has, RFC 3629; 0 if that is none. */
static size_t character(const char *text)
{
    const unsigned char *byte = (const unsigned char *)text;
    size_t size = byte[0] < 0x80 ? 1 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;
    if (size == 1)
        return 1;
    if (byte[0] < 0xc2 || byte[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
    /* Longer than need be, a surrogate, or beyond the last one. */
    if ((byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xed && byte[1] > 0x9f) ||
        (byte[0] == 0xf0 && byte[1] < 0x90) || (byte[0] == 0xf4 && byte[1] > 0x8f))
        return 0;
    return size;
}

void guest_log(struct guest *guest, int is_warning, const char *format, ...)
{
    char line[600], message[ESCAPED * sizeof line];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    size_t size = (size_t)snprintf(
        message, sizeof message, "{\"warn\": %s, \"log\": \"", is_warning ? "true" : "false");
    for (const char *each = line; *each && size < sizeof message - 2 * ESCAPED;) {
        unsigned char byte = (unsigned char)*each;
        size_t length = character(each);
        if (!length) {
            /* As Python's surrogateescape has it, PEP 383. */
            size += (size_t)snprintf(message + size, ESCAPED + 1, "\\udc%02x", byte);
            each++;
            continue;
        }
        if (byte == '"' || byte == '\\')
            message[size++] = '\\';
        memcpy(message + size, each, length);
        if (byte < 0x20 || byte == 0x7f)
            message[size] = '?';
        size += length;
        each += length;
    }
    memcpy(message + size, "\"}", 2);
    guest_tell(guest, message, size + 2);
}

/* To the switch */

static void drop(struct guest *guest, int error)
{
    struct dropped *each = guest->dropped;
    while (each < guest->dropped + REASONS - 1 && each->count && each->error != error)
        each++;
    each->error = error;
    each->count++;
}

/* Whether it need not be sent any more. */
static int put_now(struct guest *guest, const void *frame, size_t size)
{
    if (send(guest->plug.fd, frame, size, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return 1;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    drop(guest, errno);
    return 1;
}

static void put_later(struct guest *guest, const unsigned char *frame, size_t size)
{
    if (guest->to_switch->count >= MOST_WAITING) {
        drop(guest, -1);
        return;
    }
    queue_add(guest->to_switch, frame, size);
    watch_want(guest, &guest->plug, EPOLLOUT);
}

/* Send what was put. */
static void send_outbox(struct guest *guest)
{
    struct mmsghdr message[SENT_TOGETHER];
    struct iovec piece[SENT_TOGETHER];
    unsigned count = outbox.count, done = 0;
    outbox.count = 0;
    if (!count)
        return;
    if (guest->plug.fd < 0) {
        while (count--)
            drop(guest, 0);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        piece[i] = (struct iovec){outbox.frame[i], outbox.size[i]};
        message[i].msg_hdr = (struct msghdr){.msg_iov = &piece[i], .msg_iovlen = 1};
    }
    while (done < count && !guest->to_switch->count) {
        int sent = sendmmsg(
            guest->plug.fd, message + done, count - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            done += (unsigned)sent;
        } else if (errno == EAGAIN || errno == EINTR) {
            break;
        } else {
            drop(guest, errno);
            done++;
        }
    }
    for (; done < count; done++)
        put_later(guest, outbox.frame[done], outbox.size[done]);
}

void guest_put(struct guest *guest, const unsigned char *frame, size_t size)
{
    if (size > LONGEST_SENT) {
        drop(guest, EMSGSIZE);
        return;
    }
    if (outbox.count == SENT_TOGETHER)
        send_outbox(guest);
    memcpy(outbox.frame[outbox.count], frame, size);
    outbox.size[outbox.count++] = size;
}

void guest_flush(struct guest *guest)
{
    send_outbox(guest);
    struct queue *queue = guest->to_switch;
    if (guest->plug.fd < 0)
        return;
    while (queue->first && put_now(guest, queue->first->data, queue->first->size))
        queue_drop(queue);
    if (!queue->first)
        watch_want(guest, &guest->plug, 0);
}

static void plug_ready(void *owner, uint32_t events)
{
    (void)events;
    guest_flush(owner);
}

static void give_up_silent(struct guest *guest)
{
    guest->gone_at = NEVER;
    for (struct relay *relay = guest->relays, *next; relay; relay = next) {
        next = relay->next;
        if (relay->silent)
            relay_abort(relay, "was not heard of since the switch had gone", 0);
    }
}

void guest_change_plug(struct guest *guest, int fd)
{
    if (guest->plug.fd >= 0) {
        send_outbox(guest);
        watch_want(guest, &guest->plug, 0);
        close(guest->plug.fd);
        while (guest->to_switch->first)
            queue_drop(guest->to_switch);
    }
    guest->plug.fd = fd;
    guest->gone_at = NEVER;
    int is_any_silent = 0;
    for (struct relay *relay = guest->relays; relay; relay = relay->next) {
        /* Most clients of VDE do not plug in again; one that does sends what was not acknowledged. */
        if (fd < 0)
            relay->silent = 1;
        is_any_silent |= relay->silent;
    }
    if (is_any_silent)
        guest->gone_at = guest->now + SWITCH_GONE_TIME;
}

/* libslirp */

void guest_input(struct guest *guest, const unsigned char *frame, size_t size)
{
    guest->slirp.input(guest->slirp.instance, frame, (int)size);
}

ssize_t guest_send_packet(const void *data, size_t size, void *opaque)
{
    struct guest *guest = opaque;
    /* It may be changed: it is another frame's afterwards. */
    unsigned char *frame = (unsigned char *)(uintptr_t)data;
    struct segment segment;
    if (segment_from_master(&guest->plan, frame, size, &segment)) {
        struct relay *relay = relay_find(guest, segment.address, segment.port);
        if (relay) {
            progress_master_sent(&relay->progress, &segment);
            if (relay->waits)
                relay_went_on(relay);
        }
    }
    guest->answered = 1;
    if (guest->outward == OUTWARD_ALL ||
        (guest->outward == OUTWARD_SYNS && size > 47 && frame[23] == 6 && frame[47] == SYN))
        check(guest, guest->rest.outward(guest->rest.self, frame, size));
    plan_give_mac(&guest->plan, frame, size);
    guest_put(guest, frame, size);
    return (ssize_t)size;
}

int64_t guest_clock(void *guest)
{
    (void)guest;
    return (int64_t)guest_seconds();
}

void guest_ignore_fd(int fd, void *guest)
{
    (void)fd, (void)guest;
}

void guest_ignore(void *guest)
{
    (void)guest;
}

void guest_forget(int fd, void *opaque)
{
    struct guest *guest = opaque;
    /* Before it is closed: its number may be another's the next time that we look. */
    if (fd >= 0 && fd < DESCRIPTORS && guest->registered[fd]) {
        epoll_ctl(guest->stack.fd, EPOLL_CTL_DEL, fd, NULL);
        guest->registered[fd] = 0;
    }
}

/* libslirp's numbers of events are its own. */
static const struct {
    int theirs;
    uint32_t ours;
} EVENT[] = {{1, EPOLLIN}, {2, EPOLLOUT}, {4, EPOLLPRI}, {8, EPOLLERR}, {16, EPOLLHUP}};
enum { KINDS = sizeof EVENT / sizeof *EVENT };

static uint32_t translated(int events)
{
    uint32_t all = 0;
    for (int i = 0; i < KINDS; i++)
        if (events & EVENT[i].theirs)
            all |= EVENT[i].ours;
    return all;
}

static int add_poll(int fd, int events, void *opaque)
{
    struct guest *guest = opaque;
    if (fd < 0 || fd >= DESCRIPTORS || guest->asked_count == DESCRIPTORS)
        return -1;
    guest->asked[guest->asked_count].fd = fd;
    guest->asked[guest->asked_count].events = events;
    return guest->asked_count++;
}

static int get_revents(int index, void *opaque)
{
    struct guest *guest = opaque;
    /* One that was closed since, or is new, has no place here. */
    if (index < 0 || index >= guest->asked_count)
        return 0;
    int asked = guest->asked[index].events, events = guest->revents[guest->asked[index].fd];
    /* Of one that is to be written, libslirp would read for an error, and never write. */
    return asked & 1 ? events : events & asked;
}

static void register_asked(struct guest *guest)
{
    int most = -1;
    for (int i = 0; i < guest->asked_count; i++) {
        int fd = guest->asked[i].fd;
        if (guest->held[fd])
            continue;
        guest->wanted[fd] = translated(guest->asked[i].events);
        if (fd > most)
            most = fd;
    }
    static int highest = -1; /* that may be registered */
    if (highest < most)
        highest = most;
    for (int fd = 0; fd <= highest; fd++) {
        uint32_t wanted = guest->wanted[fd], before = guest->registered[fd];
        guest->wanted[fd] = 0;
        guest->revents[fd] = 0;
        if (wanted == before)
            continue;
        struct epoll_event event = {wanted, {.fd = fd}};
        int what = !before ? EPOLL_CTL_ADD : wanted ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
        int error = epoll_ctl(guest->stack.fd, what, fd, &event) ? errno : 0;
        /* It was another one that had the number. */
        if (error == ENOENT && wanted)
            error = epoll_ctl(guest->stack.fd, EPOLL_CTL_ADD, fd, &event) ? errno : 0;
        guest->registered[fd] = error ? 0 : wanted;
        if (error == ENOSPC || error == ENOMEM)
            fail(guest, error);
    }
    while (highest >= 0 && !guest->registered[highest])
        highest--;
}

static int fill_revents(struct guest *guest)
{
    struct epoll_event event[EVENTS];
    int count = epoll_wait(guest->stack.fd, event, EVENTS, 0);
    for (int i = 0; i < count; i++)
        for (int kind = 0; kind < KINDS; kind++)
            if (event[i].events & EVENT[kind].ours)
                guest->revents[event[i].data.fd] |= EVENT[kind].theirs;
    return count > 0;
}

static void set_stack_timer(struct guest *guest, uint32_t milliseconds)
{
    if (milliseconds >= NOTHING_TO_DO_MS) {
        guest->stack_at = NEVER;
        return;
    }
    uint64_t time = milliseconds * MILLISECOND, silent = guest->now - guest->active;
    /* Of a connection where all is acknowledged its timers do nothing, twice a second. */
    uint64_t late = silent <= QUIET_TIME ? 0 : silent < LATEST_TIME ? silent : LATEST_TIME;
    guest->stack_at = guest->now + (time > late ? time : late);
}

static void turn_on(struct guest *guest)
{
    if (guest->turning)
        return;
    guest->turning = 1;
    uint32_t timeout = 0;
    for (int round = 0; round < ROUNDS; round++) {
        guest->asked_count = 0;
        timeout = (uint32_t)FOR_EVER_MS;
        guest->slirp.fill(guest->slirp.instance, &timeout, add_poll, guest);
        register_asked(guest);
        int is_ready = fill_revents(guest);
        guest->slirp.poll(guest->slirp.instance, 0, get_revents, guest);
        if (!is_ready)
            break;
    }
    guest->turning = 0;
    set_stack_timer(guest, timeout);
}

void guest_turn(struct guest *guest)
{
    guest->active = guest->now;
    turn_on(guest);
}

static void stack_ready(void *owner, uint32_t events)
{
    (void)events;
    guest_turn(owner);
}

/* From the guest */

void guest_introduce(struct guest *guest, const unsigned char *address)
{
    for (int i = 0; i < guest->known_count; i++)
        if (memcmp(guest->known[i], address, 4) == 0)
            return;
    if (guest->known_count == ADDRESSES)
        guest->known_count = 0;
    memcpy(guest->known[guest->known_count++], address, 4);
    /* As if the guest had asked for its own address, RFC 826. */
    static const unsigned char head[] = {0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1};
    unsigned char frame[42];
    memset(frame, 0xff, 6);
    memcpy(frame + 6, guest->mac, 6);
    memcpy(frame + 12, head, sizeof head);
    memcpy(frame + 22, guest->mac, 6);
    memcpy(frame + 28, address, 4);
    memset(frame + 32, 0, 6);
    memcpy(frame + 38, address, 4);
    guest_input(guest, frame, sizeof frame);
}

void guest_prove(struct guest *guest, const struct segment *segment)
{
    if (!guest->answered || guest->proven || (segment && segment->flags & SYN))
        return;
    guest->proven = 1;
    guest_tellf(guest, "{\"proven\": true}");
}

void guest_probe(struct guest *guest, const struct progress *progress)
{
    unsigned char frame[BARE];
    /* A keep-alive, RFC 9293 3.8.4. */
    segment_bare(&guest->plan, guest->mac, progress, 1, progress->from_master - 1, ACK, frame);
    guest_put(guest, frame, sizeof frame);
}

void guest_reset(struct guest *guest, const struct progress *progress, int to_guest)
{
    unsigned char frame[BARE];
    segment_bare(
        &guest->plan, guest->mac, progress, 0, progress->from_guest, RST | ACK, frame);
    guest_input(guest, frame, sizeof frame);
    if (to_guest) {
        segment_bare(
            &guest->plan, guest->mac, progress, 1, progress->from_master, RST | ACK, frame);
        guest_put(guest, frame, sizeof frame);
    }
}

static int is_fixed(const struct guest *guest, const unsigned char *address)
{
    for (size_t i = 0; i < guest->fixed_count; i++)
        if (memcmp(guest->fixed[i], address, 4) == 0)
            return 1;
    return 0;
}

static void accept_relay(struct guest *guest, const struct segment *segment)
{
    int near = accept4(guest->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (near < 0) {
        if (errno == EAGAIN || errno == EINTR || guest->failed)
            return;
        /* The next segment of the guest's has it tried again. */
        char line[100];
        snprintf(line, sizeof line, "a connection waits: %s", strerror(errno));
        check(guest, guest->rest.complain(guest->rest.self, line));
        return;
    }
    for (struct relay *old = guest->relays, *next; old; old = next) {
        next = old->next;
        if (memcmp(old->progress.address, segment->address, 4) != 0)
            continue;
        if (is_fixed(guest, segment->address))
            /* The master lets a fixed node in once; this one was started again. */
            relay_abort(old, "connects again", 0);
        else
            /* It may have been started again too, and then answers with a reset. */
            guest_probe(guest, &old->progress);
    }
    if (!relay_new(guest, segment, near)) {
        close(near);
        return;
    }
    const unsigned char *ip = segment->address;
    guest_tellf(
        guest, "{\"open\": [\"%02x%02x%02x%02x\", %d]}", ip[0], ip[1], ip[2], ip[3],
        segment->port);
}

/* The relays that may have to read what the guest has sent. */
static struct relay *touched[MOST_TOUCHED];
static int touched_count;

static void read_touched(void)
{
    for (int i = 0; i < touched_count; i++) {
        touched[i]->touched = 0;
        relay_read_guest(touched[i]);
    }
    touched_count = 0;
}

void guest_segment(
    struct guest *guest, const unsigned char *frame, size_t size, const struct segment *segment)
{
    struct relay *relay = relay_find(guest, segment->address, segment->port);
    if (relay && progress_begins_anew(&relay->progress, segment)) {
        /* It was started again and has the same port, or libslirp would be puzzled. */
        relay_abort(relay, "begins anew", 0);
        relay = NULL;
    }
    if (relay) {
        progress_guest_sent(&relay->progress, segment);
        relay->silent = 0;
        relay->doubted_until = NEVER;
    }
    guest_input(guest, frame, size);
    if (!relay && !(segment->flags & (SYN | RST)))
        accept_relay(guest, segment);
    if (relay && !relay->touched) {
        if (touched_count == MOST_TOUCHED)
            read_touched();
        relay->touched = 1;
        touched[touched_count++] = relay;
    }
}

/* Whether libslirp may have a SYN for the master; otherwise Python has to decide. */
static int admit(struct guest *guest, const unsigned char *frame, const struct segment *segment)
{
    if (guest->python_flows || guest->outward != OUTWARD_NONE || segment->flags & ACK)
        return 0;
    unsigned char source[6];
    memcpy(source, frame + 26, 4);
    memcpy(source + 4, frame + 34, 2);
    for (int i = 0; i < guest->flows; i++)
        if (memcmp(guest->flow[i].source, source, 6) == 0)
            return guest->flow[i].number == segment->start;
    if (guest->flows == SIMPLE_FLOWS)
        return 0;
    struct flow *flow = &guest->flow[guest->flows++];
    memcpy(flow->ethernet, frame, 12);
    memcpy(flow->source, source, 6);
    memcpy(flow->target, frame + 30, 4);
    memcpy(flow->target + 4, frame + 36, 2);
    flow->number = segment->start;
    flow->since = guest->now;
    return 1;
}

/* A frame with a segment for the master: a guest's, or several in one. */
static void received_segment(
    struct guest *guest, const unsigned char *frame, size_t size, const struct segment *segment)
{
    if (segment->flags & SYN && !admit(guest, frame, segment)) {
        check(guest, guest->rest.received(guest->rest.self, frame, size));
        return;
    }
    guest_prove(guest, segment);
    guest_introduce(guest, segment->address);
    guest_segment(guest, frame, size, segment);
}

/* One that acknowledges, and may be outdone by the next one. */
static struct {
    const unsigned char *frame;
    size_t size;
    struct segment segment;
} last;

static void end_last(struct guest *guest)
{
    if (last.frame)
        received_segment(guest, last.frame, last.size, &last.segment);
    last.frame = NULL;
}

static void end_run(struct guest *guest)
{
    struct segment segment;
    if (!guest->run.frames)
        return;
    size_t size = run_end(&guest->run, &segment);
    received_segment(guest, guest->run.frame, size, &segment);
}

static void received(struct guest *guest, const unsigned char *frame, size_t size)
{
    struct segment segment;
    if (!segment_from_guest(&guest->plan, guest->mac, frame, size, &segment)) {
        end_run(guest);
        end_last(guest);
        if (guest->proven && guest->outward == OUTWARD_NONE && !guest->asking &&
            segment_is_others(&guest->plan, guest->mac, frame, size)) {
            guest_introduce(guest, frame + 26);
            guest_input(guest, frame, size);
        } else {
            check(guest, guest->rest.received(guest->rest.self, frame, size));
        }
        return;
    }
    if (!guest->proven) {
        received_segment(guest, frame, size, &segment);
        return;
    }
    if (run_takes(frame, size, &segment)) {
        end_last(guest);
        if (guest->run.frames && run_goes_on(&guest->run, frame, size, &segment)) {
            run_add(&guest->run, frame, size);
        } else {
            end_run(guest);
            run_begin(&guest->run, frame, size, &segment);
        }
        return;
    }
    end_run(guest);
    if (last.frame && !segment_outdoes(&segment, &last.segment))
        end_last(guest);
    last.frame = NULL;
    if (segment.flags == ACK && segment.start == segment.end) {
        last.frame = frame;
        last.size = size;
        last.segment = segment;
    } else {
        received_segment(guest, frame, size, &segment);
    }
}

static void take_batch(struct guest *guest, const unsigned char *batch, size_t size)
{
    size_t count = get16(batch), place = 2 + 2 * count;
    if (count > BATCH_FRAMES)
        return;
    for (size_t i = 0; i < count && !guest->failed; i++) {
        size_t length = get16(batch + 2 + 2 * i);
        if (place + length > size)
            return;
        received(guest, batch + place, length);
        place += length;
    }
}

void guest_read(struct guest *guest)
{
    static unsigned char batch[BATCHES_AT_ONCE][LONGEST_BATCH];
    for (int i = 0; i < BATCHES_AT_ONCE && !guest->failed; i++) {
        ssize_t size = recv(guest->frames.fd, batch[i], sizeof batch[i], MSG_DONTWAIT);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (size < 2) {
            check(guest, guest->rest.gone(guest->rest.self));
            break;
        }
        guest->heard = guest->now;
        take_batch(guest, batch[i], (size_t)size);
    }
    if (!guest->failed) {
        end_run(guest);
        end_last(guest);
    }
    read_touched();
    guest_turn(guest);
}

static void frames_ready(void *owner, uint32_t events)
{
    (void)events;
    guest_read(owner);
}

/* From the gateway */

/* The text that follows a key, which comes first; 0 if it is another key, or not as simple. */
static int read_text(const char *place, const char *key, char *text, size_t size)
{
    if (strncmp(place, key, strlen(key)) != 0)
        return 0;
    place += strlen(key);
    size_t length = strcspn(place, "\"\\");
    if (place[length] != '"' || length >= size)
        return 0;
    memcpy(text, place, length);
    text[length] = 0;
    return 1;
}

/* Who has asked a question, which is answered now; NULL if it is no more. */
static struct relay *asker(const struct guest *guest, unsigned long number)
{
    struct relay *relay = guest->relays;
    while (relay && relay->asked != number)
        relay = relay->next;
    if (relay)
        relay->asked = 0;
    return relay;
}

void guest_found(
    struct guest *guest, unsigned long number, const char *name, size_t size, int port, int cuts)
{
    struct relay *relay = asker(guest, number);
    if (relay)
        relay_found(relay, name, size, port, cuts);
}

void guest_not_found(struct guest *guest, unsigned long number, const char *why)
{
    struct relay *relay = asker(guest, number);
    if (relay)
        relay_not_found(relay, why);
}

/* Whether it was where the master is, as json.dumps() writes it. */
static int told_found(struct guest *guest, const char *message)
{
    static const char head[] = "{\"found\": ";
    char text[400];
    if (strncmp(message, head, sizeof head - 1) != 0)
        return 0;
    char *rest;
    unsigned long number = strtoul(message + sizeof head - 1, &rest, 10);
    const char *port = strstr(rest, "\", \"port\": ");
    if (read_text(rest, ", \"path\": \"", text, sizeof text))
        guest_found(guest, number, text, strlen(text), 0, strstr(rest, "\", \"cut\": true}") != NULL);
    else if (port && read_text(rest, ", \"host\": \"", text, sizeof text))
        guest_found(guest, number, text, strlen(text), atoi(port + 11), 0);
    else if (read_text(rest, ", \"why\": \"", text, sizeof text))
        guest_not_found(guest, number, text);
    else
        return 0;
    return 1;
}

static void told(struct guest *guest, const char *message, size_t size, int *fds, int count)
{
    if (strcmp(message, "{\"plug\": true}") == 0 && count == 1)
        guest_change_plug(guest, fds[0]);
    else if (strcmp(message, "{\"plug\": false}") == 0 && !count)
        guest_change_plug(guest, -1);
    else if (count || !told_found(guest, message))
        check(guest, guest->rest.told(guest->rest.self, message, size, fds, count));
}

/* Whether there was a message, or the end. */
static int read_message(struct guest *guest)
{
    static char message[LONGEST_MESSAGE + 1];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(MESSAGE_DESCRIPTORS * sizeof(int))];
    } control;
    struct iovec piece = {message, LONGEST_MESSAGE};
    struct msghdr header = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control,
        .msg_controllen = sizeof control};
    int flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    ssize_t size = recvmsg(guest->channel.fd, &header, flags);
    if (size < 0 && errno == ECONNRESET) {
        /* The other end had not read all. What it had sent before it went is still to come. */
        header.msg_controllen = sizeof control;
        size = recvmsg(guest->channel.fd, &header, flags);
    }
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size <= 0) {
        check(guest, guest->rest.gone(guest->rest.self));
        return 0;
    }
    int fds[MESSAGE_DESCRIPTORS], count = 0;
    for (struct cmsghdr *each = CMSG_FIRSTHDR(&header); each; each = CMSG_NXTHDR(&header, each))
        if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SCM_RIGHTS) {
            count = (int)((each->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(fds, CMSG_DATA(each), (size_t)count * sizeof(int));
        }
    message[size] = 0;
    told(guest, message, (size_t)size, fds, count);
    return 1;
}

static void channel_ready(void *owner, uint32_t events)
{
    struct guest *guest = owner;
    if (events & EPOLLOUT)
        tell_more(guest);
    while (!guest->failed && read_message(guest))
        continue;
}

/* Others */

void guest_abort_all(struct guest *guest, const char *why, int to_guest)
{
    while (guest->relays)
        relay_abort(guest->relays, why, to_guest);
}

void guest_doubt(struct guest *guest, const unsigned char *address)
{
    for (struct relay *relay = guest->relays; relay; relay = relay->next)
        if (memcmp(relay->progress.address, address, 4) == 0) {
            guest_probe(guest, &relay->progress);
            /* However often that happens, the time to answer is that since the first. */
            if (is_fixed(guest, address) && relay->doubted_until == NEVER) {
                relay->doubted_until = guest->now + DOUBT_TIME;
                if (guest->doubt_at == NEVER)
                    guest->doubt_at = relay->doubted_until;
            }
        }
}

static void give_up_doubted(struct guest *guest)
{
    guest->doubt_at = NEVER;
    for (struct relay *relay = guest->relays, *next; relay; relay = next) {
        next = relay->next;
        if (relay->doubted_until <= guest->now)
            relay_abort(relay, "connects again", 0);
        else if (relay->doubted_until < guest->doubt_at)
            guest->doubt_at = relay->doubted_until;
    }
}

void guest_wait_for(struct guest *guest, int fd)
{
    guest->python.fd = fd;
}

static void look_whether_idle(struct guest *guest)
{
    guest->idle_at = guest->now + IDLE_TIME;
    if (guest->now - guest->heard >= IDLE_TIME && !guest->relays)
        check(guest, guest->rest.idle(guest->rest.self));
}

static void python_ready(void *owner, uint32_t events)
{
    struct guest *guest = owner;
    (void)events;
    check(guest, guest->rest.turn(guest->rest.self));
}

/* The loop */

static uint64_t next_time(const struct guest *guest)
{
    const uint64_t times[] = {
        guest->python_at, guest->idle_at, guest->gone_at, guest->doubt_at, guest->stack_at};
    uint64_t next = NEVER;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (times[i] < next)
            next = times[i];
    for (const struct relay *relay = guest->relays; relay; relay = relay->next)
        if (relay->at < next)
            next = relay->at;
    return next;
}

static void run_timers(struct guest *guest)
{
    uint64_t now = guest->now;
    if (guest->stack_at <= now)
        turn_on(guest);
    if (guest->gone_at <= now)
        give_up_silent(guest);
    if (guest->doubt_at <= now)
        give_up_doubted(guest);
    if (guest->idle_at <= now)
        look_whether_idle(guest);
    if (guest->python_at <= now)
        python_ready(guest, 0);
    for (struct relay *relay = guest->relays, *next; relay; relay = next) {
        next = relay->next;
        if (relay->at <= now) {
            relay->at = NEVER;
            relay->due(relay);
        }
    }
}

static void free_ended(struct guest *guest)
{
    while (guest->ended) {
        struct relay *relay = guest->ended;
        guest->ended = relay->next;
        relay_free(relay);
    }
}

void guest_step(struct guest *guest, uint64_t until)
{
    struct epoll_event event[EVENTS];
    uint64_t next = next_time(guest);
    if (until < next)
        next = until;
    int wait = -1;
    if (next != NEVER) {
        uint64_t left = next > guest->now ? next - guest->now : 0;
        uint64_t milliseconds = (left + MILLISECOND - 1) / MILLISECOND;
        wait = milliseconds < 1000000 ? (int)milliseconds : 1000000;
    }
    int count = epoll_wait(guest->epoll, event, EVENTS, wait);
    guest->now = guest_seconds();
    for (int i = 0; i < count && !guest->failed; i++) {
        struct watch *watch = event[i].data.ptr;
        /* One that was served before may have given up another. */
        if (watch->fd >= 0 && watch->wanted)
            watch->ready(watch->owner, event[i].events);
    }
    if (!guest->failed)
        run_timers(guest);
    send_outbox(guest);
    free_ended(guest);
}

struct guest *guest_new(const struct plan *plan, const unsigned char (*fixed)[4], size_t count)
{
    struct guest *guest = calloc(1, sizeof *guest);
    if (!guest)
        return NULL;
    guest->plan = *plan;
    guest->fixed = fixed;
    guest->fixed_count = count;
    guest->frames = (struct watch){-1, 0, frames_ready, guest};
    guest->channel = (struct watch){-1, 0, channel_ready, guest};
    guest->plug = (struct watch){-1, 0, plug_ready, guest};
    guest->stack = (struct watch){-1, 0, stack_ready, guest};
    guest->python = (struct watch){-1, 0, python_ready, guest};
    guest->python_at = guest->gone_at = guest->doubt_at = guest->stack_at = NEVER;
    guest->to_switch = queue_new();
    guest->to_gateway = queue_new();
    return guest;
}

void guest_free(struct guest *guest)
{
    while (guest->to_switch->first)
        queue_drop(guest->to_switch);
    while (guest->to_gateway->first)
        queue_drop(guest->to_gateway);
    free(guest->to_switch);
    free(guest->to_gateway);
    free_ended(guest);
    free(guest);
}

void guest_begin(
    struct guest *guest, const unsigned char *mac, int frames, int channel, int listener)
{
    static unsigned char merged[LONGEST_MERGED];
    guest->run.frame = merged;
    memcpy(guest->mac, mac, 6);
    guest->listener = listener;
    guest->epoll = epoll_create1(EPOLL_CLOEXEC);
    guest->frames.fd = frames;
    guest->channel.fd = channel;
    guest->stack.fd = epoll_create1(EPOLL_CLOEXEC);
    if (guest->epoll < 0 || guest->stack.fd < 0) {
        fail(guest, errno);
        return;
    }
    guest->now = guest->heard = guest->active = guest_seconds();
    guest->idle_at = guest->now + IDLE_TIME;
    watch_want(guest, &guest->frames, EPOLLIN);
    watch_want(guest, &guest->channel, EPOLLIN);
    watch_want(guest, &guest->stack, EPOLLIN);
    if (guest->python.fd >= 0)
        watch_want(guest, &guest->python, EPOLLIN);
    guest_tellf(guest, "{\"up\": %d}", getpid());
    /* The plug, before there is a frame that is answered. */
    channel_ready(guest, EPOLLIN);
}

void guest_run(
    struct guest *guest, const unsigned char *mac, int frames, int channel, int listener)
{
    guest_begin(guest, mac, frames, channel, listener);
    while (!guest->failed)
        guest_step(guest, NEVER);
}
