/*
 * Feeds the native bridge (distnet/_native/bridge.c) with random input through real sockets.
 *
 * bridge_fuzz SEED ROUNDS
 *
 * Plugs send numbered frames to each other's addresses, and read when they please; they leave,
 * end, die and come anew, are paused or slow, and move between VLANs, as their addresses do. What
 * the bridge gives is delivered as the switch would. After every call a model says of each frame
 * that was read whether it was the bridge's to deliver, and to whom: there it must arrive once,
 * unchanged, in the order of its pair, and be counted. Prints what was done, or fails with one
 * line.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge.h"

enum {
    PLUGS = 10,
    PLACES = 7,
    NETS = 3,
    OWN = 4, /* addresses of each plug; the others are only known */
    ADDRESSES = 400,
    EVERYBODY = ADDRESSES,
    NOWHERE = -1,
    ELSEWHERE = PLACES, /* a port that nothing was ever plugged into */
    HEAD = 18,
    MAX_FRAME = 6000, /* more than a socket takes */
    STEPS = 150,
    ENOUGH = 2000, /* calls that wait, for what needs two of them */
};

static const int place_of[PLUGS] = {0, 0, 1, 1, 2, 3, 4, 5, 6, 6};
static const uint32_t port_of[PLACES + 1] = {1, 2, 3, 64, 70, 130, 5000, 900000};
static const unsigned vlan_of[NETS] = {0, 7, 4094};

enum kind { USUAL, RUNT, LONG, TAGGED, END };
enum hands { NATIVE, OURS, DROPPED };

struct sent {
    uint32_t number, size;
    uint16_t to, from; /* addresses */
    uint8_t plug, kind, hands;
    uint64_t call; /* in which it was delivered or kept */
};

struct sents {
    struct sent *all;
    size_t first, end, room;
};

struct waiting {
    struct waiting *next;
    struct sent sent;
};

/* How the bridge has to do with an endpoint. */
enum what { SOCKET, FILE_LIKE, ONLY_TARGET, FOREIGN, WHATS };

struct plug {
    struct endpoint *endpoint; /* while it is here */
    enum what what;
    int here, near, far;
    int paused, blocked, slow, dead, ended;
    struct sents unread;
    struct waiting *first, **last; /* for it, with us */
    /* As a target of native code, and of us. */
    struct tally expected, sent, taken;
    uint64_t written, arrived, latest;
    /* Before a call. */
    enum state before;
    int gave;
};

struct targets {
    struct plug *plug[PLUGS];
    int count, local;
};

static struct bridge *bridge;
static int epoll, outside;
static enum mode mode;
static struct plug plugs[PLUGS];
static uint32_t numbers[PLUGS];
static struct sents pairs[PLUGS][PLUGS];
static uint64_t pending; /* in pairs, to arrive */
static uint64_t calls;
static int home[PLACES], told[NETS], tagged_out[NETS], where[NETS][ADDRESSES];
static int saw[NETS][ADDRESSES];

static struct {
    uint64_t native, given, late, kept, closed, slow, local, left, refused, ends, seen, waited;
} done;

/* Frames */

static void push(struct sents *sents, struct sent sent)
{
    if (sents->end == sents->room) {
        sents->room = sents->room ? 2 * sents->room : 64;
        sents->all = realloc(sents->all, sents->room * sizeof *sents->all);
        if (!sents->all)
            fail("memory");
    }
    sents->all[sents->end++] = sent;
}

static struct sent pop(struct sents *sents)
{
    if (sents->first == sents->end)
        fail("a frame has come that was not sent, or twice");
    struct sent sent = sents->all[sents->first++];
    if (sents->first == sents->end)
        sents->first = sents->end = 0;
    return sent;
}

static void forget(struct sents *sents)
{
    free(sents->all);
    *sents = (struct sents){0};
}

static void put_address(unsigned char *place, unsigned address)
{
    memset(place, 0xff, 6);
    if (address != EVERYBODY)
        memcpy(place, (unsigned char[]){2, 0, 0, (unsigned char)(address >> 8),
                                        (unsigned char)address, 1}, 6);
}

/* The bytes of a frame, as much as anybody reads of it. */
static const unsigned char *compose(const struct sent *sent, size_t *size)
{
    static unsigned char frame[MAX_FRAME + 1000];
    *size = sent->size;
    put_address(frame, sent->to);
    put_address(frame + 6, sent->from);
    memcpy(frame + 12, sent->kind == TAGGED ? "\x81\x00" : "\x08\x00", 2);
    frame[14] = sent->plug;
    for (int i = 0; i < 3; i++)
        frame[15 + i] = (unsigned char)(sent->number >> 8 * i);
    for (uint32_t i = HEAD; i < sent->size; i++)
        frame[i] = filling(sent->number, i);
    return frame;
}

static void check(const struct sent *sent, const unsigned char *data, size_t size)
{
    size_t whole;
    const unsigned char *frame = compose(sent, &whole);
    if (whole > MAX_FRAME + 1)
        whole = MAX_FRAME + 1;
    if (size != whole || memcmp(frame, data, size))
        fail("a frame has changed, or is another than the next");
}

static int index_of(const struct plug *plug)
{
    return (int)(plug - plugs);
}

static int place(const struct plug *plug)
{
    return place_of[index_of(plug)];
}

static int net_of(const struct plug *plug)
{
    return home[place(plug)];
}

static void add(struct tally *tally, size_t size)
{
    tally->frames++;
    tally->bytes += size;
}

/* The model */

static void expect(struct plug *to, struct sent sent, enum hands hands)
{
    sent.hands = hands;
    sent.call = calls;
    push(&pairs[sent.plug][index_of(to)], sent);
    pending++;
}

static struct sent *expected(const struct plug *to, unsigned from, uint32_t number)
{
    if (from >= PLUGS)
        fail("a frame of nobody");
    struct sents *pair = &pairs[from][index_of(to)];
    for (size_t i = pair->first; i < pair->end; i++)
        if (pair->all[i].number == number)
            return &pair->all[i];
    fail("a frame is for somebody else, or doubled");
}

static void drop(const struct plug *to, const struct sent *sent)
{
    struct sent *found = expected(to, sent->plug, sent->number);
    if (found->hands != OURS)
        fail("a frame was dropped twice");
    found->hands = DROPPED;
    pending--;
}

static uint32_t number_in(const unsigned char *frame)
{
    return (uint32_t)frame[15] | (uint32_t)frame[16] << 8 | (uint32_t)frame[17] << 16;
}

static void arrived(struct plug *to, const unsigned char *frame, size_t size)
{
    if (size < HEAD || frame[14] >= PLUGS)
        fail("what nobody is to get has come");
    struct sents *pair = &pairs[frame[14]][index_of(to)];
    struct sent sent;
    do
        sent = pop(pair);
    while (sent.hands == DROPPED);
    check(&sent, frame, size);
    if (sent.hands == NATIVE && sent.call < to->latest)
        fail("one that came later was served first");
    if (sent.hands == NATIVE)
        to->latest = sent.call;
    to->arrived++;
    pending--;
}

/* Whether a frame is the bridge's to deliver, and to whom; early or late in a call. */
static int is_usual(
    const struct plug *from, const struct sent *sent, int late, struct targets *targets)
{
    int net = net_of(from), to = NOWHERE, at = place(from);
    *targets = (struct targets){0};
    if (mode == DIVERT || sent->kind != USUAL || !told[net])
        return 0;
    if (mode == SWITCH) {
        if (where[net][sent->from] != at)
            return 0;
        to = sent->to == EVERYBODY ? NOWHERE : where[net][sent->to];
    }
    if (to == at) {
        targets->local = 1;
        return 1;
    }
    if (to == NOWHERE ? tagged_out[net] : to == ELSEWHERE || home[to] != net)
        return 0;
    for (struct plug *plug = plugs; plug < plugs + PLUGS; plug++)
        if (plug->here && place(plug) != at &&
            (to == NOWHERE ? net_of(plug) == net : place(plug) == to)) {
            if (plug->before == CLOSED || (late && plug->endpoint->state == CLOSED))
                return 0;
            targets->plug[targets->count++] = plug;
        }
    return targets->count > 0;
}

/* What the switch does. */

static void interests(struct plug *plug)
{
    if (plug->what == FOREIGN)
        return;
    uint32_t events =
        (plug->paused ? 0 : (uint32_t)EPOLLIN) | (plug->blocked ? (uint32_t)EPOLLOUT : 0);
    int error = poller_want(bridge_poller(bridge), plug->near, events);
    if (error)
        fail(strerror(error));
}

static void show(struct plug *plug)
{
    bridge_set_state(bridge, plug->endpoint, plug->slow ? SLOW : plug->blocked ? CLOSED : OPEN);
}

static void tell_vlan(int net)
{
    struct endpoint *members[PLUGS];
    size_t count = 0;
    int first = (int)any(PLACES);
    for (int i = 0; i < PLACES; i++)
        for (int j = 0; j < PLUGS; j++)
            if (place_of[j] == (first + i) % PLACES && plugs[j].here && net_of(&plugs[j]) == net)
                members[count++] = plugs[j].endpoint;
    if (bridge_set_vlan(bridge, vlan_of[net], members, count, tagged_out[net]))
        fail("set_vlan");
    told[net] = 1;
}

static void learn(int net, unsigned address, int at)
{
    unsigned char bytes[6];
    put_address(bytes, address);
    where[net][address] = at;
    if (at == NOWHERE)
        addresses_forget(bridge_addresses(bridge), vlan_of[net], bytes);
    else if (addresses_learn(bridge_addresses(bridge), vlan_of[net], bytes, port_of[at]))
        fail("learn");
}

/* Whether a descriptor took it, or refused it for good; else it is full. */
static int write_to(struct plug *to, const struct sent *sent)
{
    size_t size;
    const unsigned char *frame = compose(sent, &size);
    if (send(to->near, frame, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        to->written++;
        return 1;
    }
    if (errno == EAGAIN)
        return 0;
    done.refused++;
    drop(to, sent);
    return 1;
}

/* It is expected already. */
static void deliver(struct plug *to, const struct sent *sent)
{
    size_t size;
    if (to->what == FOREIGN) {
        const unsigned char *frame = compose(sent, &size);
        unsigned char copy[MAX_FRAME];
        memcpy(copy, frame, size);
        to->written++;
        arrived(to, copy, size);
    } else if (to->slow) {
        drop(to, sent);
    } else if (to->blocked || !write_to(to, sent)) {
        struct waiting *waiting = malloc(sizeof *waiting);
        *waiting = (struct waiting){NULL, *sent};
        if (!to->first)
            to->last = &to->first;
        *to->last = waiting;
        to->last = &waiting->next;
        if (!to->blocked) {
            to->blocked = 1;
            show(to);
            interests(to);
        }
    }
}

static void pump(struct plug *to)
{
    while (to->first) {
        struct waiting *waiting = to->first;
        if (!write_to(to, &waiting->sent))
            return;
        to->first = waiting->next;
        free(waiting);
    }
    to->slow = 0;
    if (to->blocked) {
        to->blocked = 0;
        interests(to);
    }
}

/* The pure switch. */
static void forward(const struct plug *from, const struct sent *sent)
{
    int net = net_of(from), at = place(from), to = NOWHERE;
    if (sent->kind != USUAL)
        return;
    if (mode != HUB) {
        if (where[net][sent->from] != at)
            learn(net, sent->from, at);
        to = sent->to == EVERYBODY ? NOWHERE : where[net][sent->to];
    }
    for (struct plug *plug = plugs; plug < plugs + PLUGS; plug++)
        if (plug->here && place(plug) != at && net_of(plug) == net &&
            (to == NOWHERE || place(plug) == to)) {
            expect(plug, *sent, OURS);
            deliver(plug, sent);
        }
}

static struct plug *plug_of(const struct endpoint *endpoint)
{
    for (int i = 0; i < PLUGS; i++)
        if (plugs[i].endpoint == endpoint && plugs[i].here)
            return &plugs[i];
    fail("an endpoint that is not there");
}

static void take(struct plug *from)
{
    struct item *item;
    while (!(from->paused && from->here) && (item = bridge_take(from->endpoint))) {
        if (item->to) {
            struct plug *to = plug_of(item->to);
            struct sent *found = expected(to, (unsigned)index_of(from), number_in(item->frame));
            if (found->hands != NATIVE)
                fail("a frame was given twice");
            check(found, item->frame, item->size);
            found->hands = OURS;
            add(&to->taken, item->size);
            done.late++;
            struct sent sent = *found;
            deliver(to, &sent);
        } else {
            struct sent sent = pop(&from->unread);
            check(&sent, item->frame, item->size);
            done.given++;
            forward(from, &sent);
        }
        free(item);
        if (from->here && !any(12)) {
            from->paused = 1;
            interests(from);
        }
    }
}

static void attach(struct plug *plug)
{
    int pair[2] = {-1, -1}, size = SMALL;
    struct sents unread = plug->unread;
    unread.first = unread.end = 0;
    *plug = (struct plug){.unread = unread, .here = 1, .what = any(3) ? SOCKET : any(WHATS)};
    if (plug->what == FOREIGN && any(2))
        plug->what = FILE_LIKE;
    plug->endpoint = calloc(1, sizeof *plug->endpoint);
    if (!plug->endpoint)
        fail("memory");
    if (plug->what != FOREIGN) {
        if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair))
            fail("socketpair");
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
    plug->near = plug->endpoint->fd = pair[0];
    plug->far = pair[1];
    plug->endpoint->port = port_of[place(plug)];
    plug->endpoint->is_socket = plug->what != FILE_LIKE;
    plug->endpoint->is_source = plug->what == SOCKET || plug->what == FILE_LIKE;
    if (bridge_attach(bridge, plug->endpoint))
        fail("attach");
    if (plug->near >= 0) {
        struct endpoint other = {.fd = plug->near};
        if (bridge_attach(bridge, &other) != EEXIST)
            fail("two endpoints of one descriptor");
    }
    interests(plug);
    tell_vlan(net_of(plug));
}

static void plug_reads(struct plug *plug, int most)
{
    unsigned char frame[MAX_FRAME + 1];
    ssize_t size;
    while (plug->far >= 0 && most-- &&
           (size = recv(plug->far, frame, sizeof frame, MSG_DONTWAIT)) >= 0)
        arrived(plug, frame, (size_t)size);
}

static void die(struct plug *plug)
{
    plug_reads(plug, -1);
    close(plug->far);
    plug->far = -1;
    plug->dead = 1;
}

/* What it sent and nobody has read is all there, but for what came with its end. */
static void look_at_unread(struct plug *plug)
{
    unsigned char frame[MAX_FRAME + 1];
    ssize_t size;
    if (plug->ended && pop(&plug->unread).kind != END)
        fail("an end that is none");
    while (!plug->dead && (size = recv(plug->near, frame, sizeof frame, MSG_DONTWAIT)) >= 0) {
        struct sent sent;
        do
            sent = pop(&plug->unread);
        while (plug->ended && size >= HEAD && sent.number != number_in(frame));
        if (!plug->ended || size >= HEAD)
            check(&sent, frame, (size_t)size);
    }
    if (!plug->dead && !plug->ended && plug->unread.first != plug->unread.end)
        fail("a frame was read and is lost");
}

static void detach(struct plug *plug)
{
    struct tally left;
    uint64_t lost = 0;
    bridge_detach(bridge, plug->endpoint, &left);
    plug->here = 0;
    told[net_of(plug)] = 0;
    if (left.frames != plug->expected.frames - plug->sent.frames - plug->taken.frames ||
        left.bytes != plug->expected.bytes - plug->sent.bytes - plug->taken.bytes)
        fail("what was left for it is not what was not sent");
    done.left += left.frames;
    take(plug);
    free(plug->endpoint);
    plug->endpoint = NULL;
    plug_reads(plug, -1);
    if (plug->arrived != plug->written + plug->sent.frames)
        fail("what has arrived is not what was sent");
    for (int i = 0; i < PLUGS; i++) {
        struct sents *pair = &pairs[i][index_of(plug)];
        for (; pair->first < pair->end; pair->first++)
            lost += pair->all[pair->first].hands != DROPPED;
        pair->first = pair->end = 0;
    }
    pending -= lost;
    for (struct waiting *waiting; (waiting = plug->first); lost--) {
        plug->first = waiting->next;
        free(waiting);
    }
    if (lost != left.frames)
        fail("a frame did not arrive at one that has left");
    if (plug->what == FOREIGN)
        return;
    look_at_unread(plug);
    if (poller_want(bridge_poller(bridge), plug->near, 0))
        fail("unregister");
    close(plug->near);
    if (plug->far >= 0)
        close(plug->far);
}

/* Its owner reads it. */
static void read_it(struct plug *plug)
{
    unsigned char frame[MAX_FRAME + 1];
    ssize_t size;
    for (uint32_t i = 1 + any(20); i && !plug->paused && !plug->ended; i--) {
        if ((size = recv(plug->near, frame, sizeof frame, MSG_DONTWAIT)) < 0)
            return;
        if (size) {
            struct sent sent = pop(&plug->unread);
            check(&sent, frame, (size_t)size);
            forward(plug, &sent);
        } else {
            plug->ended = 1;
        }
    }
}

/* What the bridge says */

/* What was delivered natively, as the model has been until now. */
static void account_for(struct plug *from, struct tally *slow, struct tally *local)
{
    struct targets targets;
    struct tally received = from->endpoint->received;
    from->endpoint->received = (struct tally){0};
    if (received.frames && (from->gave || from->paused || !from->endpoint->is_source))
        fail("a source was read that is held");
    while (received.frames--) {
        struct sent sent = pop(&from->unread);
        if (!is_usual(from, &sent, 0, &targets))
            fail("a frame was delivered that is not the bridge's");
        for (int i = 0; i < targets.count; i++) {
            struct plug *to = targets.plug[i];
            if (to->before == SLOW) {
                add(&slow[index_of(to)], sent.size);
            } else {
                expect(to, sent, NATIVE);
                add(&to->expected, sent.size);
            }
        }
        if (targets.local)
            add(&local[index_of(from)], sent.size);
        if (mode == SWITCH)
            saw[net_of(from)][sent.from] |= 1;
        received.bytes -= sent.size;
    }
    if (received.bytes)
        fail("the bytes received are wrong");
    int whole = 0, kept[PLUGS] = {0};
    for (struct item *item = from->endpoint->kept.first; item; item = item->next)
        if (++kept[index_of(plug_of(item->to))] > BATCH || !item->to->full)
            fail("too much is kept, or for one that is not full");
    /* What was given has a reason. */
    for (struct item *item = from->endpoint->given.first; item; item = item->next)
        whole += !item->to;
    if (!whole || from->gave)
        return;
    if (whole > BATCH || from->paused || from->unread.first == from->unread.end)
        fail("a source was read that is paused, or too much of it");
    if (is_usual(from, &from->unread.all[from->unread.first], 1, &targets))
        fail("a frame was given for no reason");
}

static int same(struct tally one, struct tally other)
{
    return one.frames == other.frames && one.bytes == other.bytes;
}

static void look_at_counts(void)
{
    const struct list *counted = &bridge_notes(bridge)->counted;
    struct tally slow[PLUGS] = {0}, local[PLUGS] = {0};
    int listed[PLUGS] = {0};
    for (size_t i = 0; i < counted->size; i++)
        if (listed[index_of(plug_of(counted->item[i]))]++)
            fail("an endpoint is counted twice");
    for (int i = 0; i < PLUGS; i++) {
        struct endpoint *endpoint = plugs[i].endpoint;
        if (plugs[i].here && !listed[i] != !(endpoint->received.frames + endpoint->sent.frames +
                                             endpoint->slow.frames + endpoint->local.frames))
            fail("it is not said of whom something was counted");
    }
    for (int i = 0; i < PLUGS; i++)
        if (plugs[i].here)
            account_for(&plugs[i], slow, local);
    for (int i = 0; i < PLUGS; i++) {
        struct plug *plug = &plugs[i];
        struct endpoint *endpoint = plug->endpoint;
        if (!plug->here)
            continue;
        if (!same(endpoint->slow, slow[i]) || !same(endpoint->local, local[i]))
            fail("slow or local ones are counted wrong");
        plug->sent.frames += endpoint->sent.frames;
        plug->sent.bytes += endpoint->sent.bytes;
        if (plug->sent.frames + plug->taken.frames > plug->expected.frames)
            fail("more was sent than there was");
        done.native += endpoint->sent.frames;
        done.slow += slow[i].frames;
        done.local += local[i].frames;
        done.kept += endpoint->kept.first != NULL;
        endpoint->sent = endpoint->slow = endpoint->local = (struct tally){0};
        if (!endpoint->held != !(endpoint->kept.first || endpoint->given.first))
            fail("a source is held for nothing, or not held");
    }
}

static void look_at_seen(uint64_t elapsed)
{
    const struct poller *poller = bridge_poller(bridge);
    const struct list *seen = &bridge_addresses(bridge)->touched;
    for (size_t i = 0; i < seen->size; i++) {
        const struct address *entry = seen->item[i];
        unsigned char found[6], bytes[6];
        unsigned vlan = address_read(entry, found);
        int net = 0;
        while (net < NETS && vlan_of[net] != vlan)
            net++;
        unsigned address = (unsigned)found[3] << 8 | found[4];
        put_address(bytes, address);
        if (net == NETS || address >= ADDRESSES || memcmp(bytes, found, 6) ||
            where[net][address] == NOWHERE || saw[net][address] & 2)
            fail("an address was seen that is not known, or twice");
        if (poller->now < entry->seen || poller->now - entry->seen > elapsed)
            fail("an address was seen before");
        saw[net][address] |= 2;
    }
    for (int net = 0; net < NETS; net++)
        for (int i = 0; i < ADDRESSES; i++)
            if (saw[net][i] == 1)
                fail("an address was not seen");
    memset(saw, 0, sizeof saw);
    done.seen += seen->size;
}

static void look_at_events(const struct event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t said = events[i].events;
        if (events[i].fd == outside) {
            eventfd_t value;
            eventfd_read(outside, &value);
        }
        for (int j = 0; j < PLUGS; j++) {
            struct plug *plug = &plugs[j];
            if (!plug->here || plug->near != events[i].fd || plug->what == FOREIGN)
                continue;
            if (said & EPOLLIN && plug->endpoint->is_source && !(said & (EPOLLERR | EPOLLHUP)))
                fail("a source is to be read by its owner");
            if (said & EPOLLOUT)
                pump(plug);
            if (said & (EPOLLIN | EPOLLERR))
                read_it(plug);
        }
    }
}

static void poll_once(int timeout)
{
    static struct event copy[2 * MAX_EVENTS];
    const struct bridge_notes *notes = bridge_notes(bridge);
    struct plug *gives[PLUGS], *fails[PLUGS];
    struct poller *poller = bridge_poller(bridge);
    int gives_now[PLUGS] = {0};
    for (int net = 0; net < NETS; net++)
        if (!told[net] && any(3))
            tell_vlan(net);
    for (int i = 0; i < PLUGS; i++) {
        struct plug *plug = &plugs[i];
        if (!plug->here)
            continue;
        if (!plug->blocked && !plug->slow && plug->endpoint->state != OPEN && any(3))
            show(plug);
        plug->before = plug->endpoint->state;
        plug->gave = plug->endpoint->given.first != NULL;
    }
    uint64_t began = poller_now();
    calls++;
    if (bridge_poll(bridge, timeout, mode))
        fail("poll");
    look_at_counts();
    look_at_seen(poller_now() - began);
    for (size_t i = 0; i < notes->closed.size; i++) {
        struct endpoint *endpoint = notes->closed.item[i];
        if (plug_of(endpoint)->before != OPEN || endpoint->state != CLOSED)
            fail("it is not closed, or was so before");
    }
    done.closed += notes->closed.size;
    size_t givers = notes->givers.size;
    for (size_t i = 0; i < givers; i++)
        gives_now[index_of(gives[i] = plug_of(notes->givers.item[i]))]++;
    for (int i = 0; i < PLUGS; i++) {
        const struct endpoint *endpoint = plugs[i].endpoint;
        if (plugs[i].here && gives_now[i] != (endpoint->given.first && !endpoint->kept.first))
            fail("it is not said who gives something");
    }
    for (size_t i = 0; i < notes->failed.size; i++) {
        const struct endpoint *endpoint = notes->failed.item[i];
        fails[i] = plug_of(endpoint);
        if (endpoint->error && !fails[i]->dead)
            fail("a source cannot be read");
        fails[i]->ended |= !endpoint->error;
    }
    size_t told_of = poller->events;
    memcpy(copy, poller->event, told_of * sizeof *copy);
    for (size_t i = 0; i < told_of; i++)
        if (copy[i].events & (EPOLLIN | EPOLLOUT) & ~poller_wanted(poller, copy[i].fd))
            fail("an event that nobody wants");
    for (size_t i = 0; i < givers; i++)
        take(gives[i]);
    look_at_events(copy, told_of);
    for (int i = 0; i < PLUGS; i++)
        if (plugs[i].here && plugs[i].ended) {
            detach(&plugs[i]);
            done.ends++;
        }
}

/* What happens */

static unsigned any_address(void)
{
    return any(20) ? any(PLUGS) * OWN + any(2) : any(ADDRESSES);
}

static void plug_sends(struct plug *plug, uint8_t kind, unsigned to, unsigned from)
{
    struct sent sent = {.to = (uint16_t)to, .from = (uint16_t)from, .kind = kind};
    sent.plug = (uint8_t)index_of(plug);
    sent.number = numbers[sent.plug];
    sent.size = kind == END    ? 0
                : kind == RUNT ? 1 + any(HEAD - 1)
                : kind == LONG ? MAX_FRAME + 1 + any(900)
                : any(8)       ? HEAD + any(200)
                               : HEAD + any(any(16) ? 1500 : MAX_FRAME + 1 - HEAD);
    if (plug->what != FOREIGN) {
        size_t size;
        const unsigned char *frame = compose(&sent, &size);
        if (plug->far < 0 || send(plug->far, frame, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            return;
        push(&plug->unread, sent);
    } else {
        forward(plug, &sent);
    }
    numbers[sent.plug]++;
}

static void send_some(struct plug *plug)
{
    unsigned to = any_address(), own = (unsigned)index_of(plug) * OWN;
    uint32_t changes = any(2), floods = !any(6), odd = !any(6);
    for (uint32_t i = any(any(6) ? 30 : 200); i; i--) {
        if (changes)
            to = odd ? any_address() : any(PLUGS) * OWN + any(2);
        if (floods && !any(4))
            to = EVERYBODY;
        if (odd && !any(10))
            plug_sends(plug, USUAL, to, any_address());
        else
            plug_sends(plug, odd && !any(10) ? (uint8_t)(RUNT + any(3)) : USUAL, to, own + any(2));
    }
}

static void move(int at)
{
    int before = home[at], follow = (int)any(4);
    home[at] = (int)any(any(3) ? 1 : NETS);
    tell_vlan(before);
    tell_vlan(home[at]);
    for (unsigned i = 0; i < PLUGS * OWN && follow; i++)
        if (where[before][i] == at) {
            learn(before, i, NOWHERE);
            learn(home[at], i, at);
        }
}

static void happen(struct plug *plug, uint32_t what)
{
    if (!plug->here) {
        if (any(3))
            attach(plug);
    } else if (plug->dead && what < 20) {
        detach(plug);
    } else if (what < 30) {
        send_some(plug);
    } else if (what < 75) {
        plug_reads(plug, any(3) ? -1 : 1 + (int)any(6));
        if (any(2))
            pump(plug);
    } else if (what < 78) {
        plug->paused = !plug->paused;
        interests(plug);
    } else if (what < 80) {
        pump(plug);
    } else if (what < 82 && plug->what != FOREIGN) {
        plug->slow = 1;
        show(plug);
    } else if (what < 85) {
        detach(plug);
    } else if (what < 86) {
        if (plug->far >= 0)
            die(plug);
    } else if (what < 87 && plug->what != FOREIGN) {
        plug_sends(plug, END, 0, 0);
        send_some(plug);
    } else if (what < 89) {
        move(place(plug));
    } else if (what < 90) {
        int net = net_of(plug);
        tagged_out[net] = !any(3);
        tell_vlan(net);
    } else if (what < 92) {
        mode = any(4) ? SWITCH : any(2) ? HUB : DIVERT;
    } else if (what < 98) {
        learn((int)any(NETS), any_address(), (int)any(PLACES + 2) - 1);
    } else {
        eventfd_write(outside, 1);
    }
}

/* Everybody goes on until all has arrived. */
static void settle(void)
{
    int more = 1;
    mode = SWITCH;
    for (int rounds = 0; more; rounds++) {
        if (rounds > ENOUGH)
            fail("frames do not arrive");
        more = pending != 0;
        for (int i = 0; i < PLUGS; i++) {
            struct plug *plug = &plugs[i];
            if (!plug->here)
                continue;
            if (plug->dead) {
                detach(plug);
                continue;
            }
            if (plug->paused) {
                plug->paused = 0;
                interests(plug);
            }
            plug_reads(plug, -1);
            pump(plug);
            show(plug);
            more |= plug->unread.first != plug->unread.end || plug->endpoint->held;
        }
        poll_once(rounds % 4 == 3 ? 1 : 0);
    }
}

static void open_all(uint64_t patience)
{
    epoll = epoll_create1(0);
    outside = eventfd(0, EFD_NONBLOCK);
    bridge = bridge_new(epoll, MAX_FRAME, patience);
    state = seed;
    mode = SWITCH;
    pending = 0;
    memset(tagged_out, 0, sizeof tagged_out);
    memset(where, 0xff, sizeof where);
    for (int i = 0; i < PLACES; i++)
        home[i] = (int)any(any(3) ? 1 : NETS);
    for (int i = 0; i < PLUGS; i++)
        attach(&plugs[i]);
    for (unsigned i = 0; i < PLUGS * OWN; i++)
        learn(home[place_of[i / OWN]], i, place_of[i / OWN]);
    for (unsigned i = PLUGS * OWN; i < ADDRESSES && seed % 4 == 0; i++)
        for (int net = 0; net < NETS; net++)
            learn(net, i, (int)any(PLACES));
    if (poller_want(bridge_poller(bridge), outside, EPOLLIN))
        fail("register");
}

static void close_all(void)
{
    for (int i = 0; i < PLUGS; i++) {
        struct endpoint *endpoint = plugs[i].endpoint;
        if (plugs[i].here) {
            if (endpoint->full || endpoint->held || plugs[i].blocked)
                fail("it is full or held at the end");
            detach(&plugs[i]);
        }
        forget(&plugs[i].unread);
        for (int j = 0; j < PLUGS; j++)
            forget(&pairs[i][j]);
    }
    bridge_free(bridge);
    close(outside);
    close(epoll);
}

/* One fills another, which is tried again although epoll does not say that it can be written. */
static void wait_for_full(uint64_t patience)
{
    static unsigned char frame[1000] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
    struct endpoint from = {.port = 1, .is_socket = 1, .is_source = 1};
    struct endpoint to = {.port = 2, .is_socket = 1};
    struct endpoint *both[] = {&from, &to};
    int one[2], other[2], size = SMALL, rounds = 0, closed = 0;
    struct tally left;
    epoll = epoll_create1(0);
    bridge = bridge_new(epoll, MAX_FRAME, patience);
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, one) || socketpair(AF_UNIX, SOCK_DGRAM, 0, other))
        fail("socketpair");
    setsockopt(other[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    from.fd = one[0];
    to.fd = other[0];
    bridge_attach(bridge, &from);
    bridge_attach(bridge, &to);
    bridge_set_vlan(bridge, 0, both, 2, 0);
    addresses_learn(bridge_addresses(bridge), 0, frame + 6, 1);
    addresses_learn(bridge_addresses(bridge), 0, frame, 2);
    bridge_set_state(bridge, &to, OPEN);
    poller_want(bridge_poller(bridge), one[0], EPOLLIN);
    for (int i = 0; i < 20; i++)
        send(one[1], frame, sizeof frame, 0);
    do {
        bridge_poll(bridge, 1, SWITCH);
        closed += (int)bridge_notes(bridge)->closed.size;
    } while (!to.full && !closed && rounds++ < ENOUGH);
    uint64_t before = to.sent.frames;
    if (patience > SECOND && recv(other[1], frame, sizeof frame, MSG_DONTWAIT) < 0)
        fail("nothing has come");
    while (patience > SECOND ? to.sent.frames == before : !closed) {
        if (rounds++ > ENOUGH)
            fail("a full one is not tried again, or for ever");
        bridge_poll(bridge, 2, SWITCH);
        closed += (int)bridge_notes(bridge)->closed.size;
    }
    if (closed > 1 || to.full == closed || (closed && to.state != CLOSED))
        fail("a full one is closed, or is not");
    done.waited += (uint64_t)closed;
    bridge_detach(bridge, &to, &left);
    bridge_detach(bridge, &from, &left);
    for (struct item *item; (item = bridge_take(&from));)
        free(item);
    for (int i = 0; i < 2; i++) {
        close(one[i]);
        close(other[i]);
    }
    bridge_free(bridge);
    close(epoll);
}

/* What cannot be read is said to have failed, and why. */
static void fail_to_read(void)
{
    struct endpoint *endpoint = &(struct endpoint){.port = 1, .is_socket = 1, .is_source = 1};
    struct tally left;
    epoll = epoll_create1(0);
    bridge = bridge_new(epoll, MAX_FRAME, 0);
    endpoint->fd = eventfd(1, EFD_NONBLOCK);
    bridge_attach(bridge, endpoint);
    poller_want(bridge_poller(bridge), endpoint->fd, EPOLLIN);
    const struct list *failed = &bridge_notes(bridge)->failed;
    if (bridge_poll(bridge, -1, SWITCH) || failed->size != 1 || failed->item[0] != endpoint ||
        endpoint->error != ENOTSOCK)
        fail("it is not said that something cannot be read");
    bridge_detach(bridge, endpoint, &left);
    close(endpoint->fd);
    bridge_free(bridge);
    close(epoll);
}

static int descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        count++;
    closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    static const uint64_t patiences[] = {0, 1000000, 3600 * SECOND};
    if (argc != 3)
        return 2;
    unsigned long first = strtoul(argv[1], NULL, 10), rounds = strtoul(argv[2], NULL, 10);
    int before = descriptors();
    signal(SIGPIPE, SIG_IGN);
    seed = first;
    fail_to_read();
    for (int i = 0; i < 3; i++)
        wait_for_full(patiences[i]);
    for (seed = first; seed < first + rounds; seed++) {
        open_all(patiences[seed % 3]);
        for (int i = 0; i < STEPS; i++) {
            happen(&plugs[any(PLUGS)], any(100));
            poll_once(any(40) ? 0 : 1 + (int)any(2));
        }
        settle();
        close_all();
    }
    if (descriptors() != before)
        fail("a descriptor is left open");
    const struct {
        const char *what;
        uint64_t count;
    } all[] = {
        {"delivered natively", done.native}, {"given", done.given},
        {"given late", done.late},           {"kept", done.kept},
        {"closed", done.closed},             {"slow", done.slow},
        {"local", done.local},               {"left", done.left},
        {"refused", done.refused},           {"ended", done.ends},
        {"seen", done.seen},                 {"out of patience", done.waited},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        printf("%s%llu %s", i ? ", " : "", (unsigned long long)all[i].count, all[i].what);
        if (!all[i].count)
            fail("something was not tried");
    }
    printf("\n");
    return 0;
}
