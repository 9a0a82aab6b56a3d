/*
 * Whether native code knows when the peers of real sockets have read: what is unread is never taken
 * for read, whatever the system has acknowledged, and what was read is soon known to be.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "unread.h"

enum { MESSAGE = 1032, ROUNDS = 100, TRIES = 20 };

static struct asker asker;
static struct unread unread;
static int ours, peers;

static void connect_pair(int family)
{
    struct sockaddr_storage address = {.ss_family = (sa_family_t)family};
    socklen_t size = sizeof address;
    int on = 1, pair[2];
    if (family == AF_UNIX) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
            fail("no pair of sockets");
        ours = pair[0];
        peers = pair[1];
    } else {
        int listener = socket(family, SOCK_STREAM, 0);
        if (family == AF_INET)
            ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        else
            ((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_loopback;
        peers = socket(family, SOCK_STREAM, 0);
        if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1) ||
            getsockname(listener, (struct sockaddr *)&address, &size) ||
            connect(peers, (struct sockaddr *)&address, size))
            fail("no connection");
        ours = accept(listener, NULL, NULL);
        close(listener);
        setsockopt(ours, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(peers, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    unread_begin(&unread, &asker, ours);
    if (unread.how != (family == AF_UNIX ? UNREAD_UNIX : UNREAD_PEER))
        fail("it is not known how the system tells");
}

static void disconnect(void)
{
    close(ours);
    close(peers);
}

static int asked(void)
{
    struct unread *alone[] = {&unread};
    unread_ask(&asker, alone, 1);
    return unread.is;
}

static void write_bytes(size_t size)
{
    char data[MESSAGE] = {0};
    if (send(ours, data, size, 0) != (ssize_t)size)
        fail("not written");
}

static void read_bytes(int from, size_t size)
{
    char data[MESSAGE];
    if (recv(from, data, size, MSG_WAITALL) != (ssize_t)size)
        fail("not read");
}

static void must_be_unread(const char *when)
{
    for (int i = 0; i < TRIES; i++)
        if (!asked())
            fail(when);
}

static void must_be_read(const char *when)
{
    for (int i = 0; i < TRIES; i++)
        if (!asked())
            return;
    fail(when);
}

static int outq(void)
{
    int size = 0;
    ioctl(ours, SIOCOUTQ, &size);
    return size;
}

/* So often that Linux acknowledges late from now on. */
static void warm_up(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        write_bytes(MESSAGE);
        must_be_unread("of a stream, before it is read");
        read_bytes(peers, MESSAGE);
        must_be_read("of a stream");
    }
}

static void rest(long milliseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
}

/* What is acknowledged without having been read, as it is now and then. */
static void check(int family)
{
    connect_pair(family);
    warm_up();
    write_bytes(800);
    write_bytes(600);
    must_be_unread("of two");
    read_bytes(peers, 800);
    must_be_unread("of two, of which one was read");
    read_bytes(peers, 600);
    must_be_read("of two");

    warm_up();
    write_bytes(MESSAGE);
    read_bytes(peers, 8);
    must_be_unread("of which the header was read");
    read_bytes(peers, MESSAGE - 8);
    must_be_read("by and by");

    warm_up();
    write_bytes(MESSAGE);
    if (send(peers, "answer", 6, 0) != 6)
        fail("not answered");
    must_be_unread("acknowledged by what the peer has sent");
    read_bytes(ours, 6);
    must_be_unread("acknowledged by what the peer had sent");
    read_bytes(peers, MESSAGE);
    must_be_read("after an answer");

    warm_up();
    write_bytes(MESSAGE);
    rest(60);
    must_be_unread("acknowledged since it is late");
    read_bytes(peers, MESSAGE);
    must_be_read("late");

    warm_up();
    rest(300);
    write_bytes(MESSAGE);
    must_be_unread("acknowledged at once after a pause");
    read_bytes(peers, MESSAGE);
    must_be_read("after a pause");
    disconnect();
}

/* A peer that has every segment acknowledged at once. */
static void check_quick(void)
{
    int on = 1;
    connect_pair(AF_INET);
    for (int i = 0; i < ROUNDS; i++) {
        setsockopt(peers, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
        write_bytes(MESSAGE);
        must_be_unread("acknowledged at once");
        read_bytes(peers, MESSAGE);
        must_be_read("of one that is acknowledged at once");
    }
    disconnect();
}

/* A peer that answers acknowledges with its answers; without one, only after 40 ms. */
static void check_answering(void)
{
    for (int tries = 0; tries < TRIES; tries++) {
        connect_pair(AF_INET);
        for (int i = 0; i < ROUNDS; i++) {
            write_bytes(MESSAGE);
            read_bytes(peers, MESSAGE);
            must_be_read("of one that answers");
            if (send(peers, "answer", 6, 0) != 6)
                fail("not answered");
            read_bytes(ours, 6);
        }
        write_bytes(MESSAGE);
        read_bytes(peers, MESSAGE);
        must_be_read("though it is not acknowledged");
        int late = outq();
        disconnect();
        if (late)
            return;
    }
    fail("it was always acknowledged");
}

int main(void)
{
    check(AF_INET);
    check(AF_INET6);
    check(AF_UNIX);
    check_quick();
    check_answering();
    asker_close(&asker);
    return 0;
}
