/* The nodes of messages.c: connections to a router, or to each other. */
#define _GNU_SOURCE
#include "messages.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Of each node. With what Linux gives by itself, megabytes, most of a short run would be spent on what
 * waits in sockets. */
#define SEND_BUFFER (128 * 1024)

void write_all(int fd, const void *data, size_t length)
{
    const char *bytes = data;
    while (length) {
        ssize_t taken = send(fd, bytes, length, MSG_NOSIGNAL);
        if (taken < 0 && errno == EINTR)
            continue;
        if (taken < 0)
            fail("send");
        bytes += taken;
        length -= (size_t)taken;
    }
}

static int connected(void)
{
    int fd, one = 1, bytes = SEND_BUFFER;
    if (strchr(place, '/')) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", place);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
            fail(place);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        return fd;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    address.sin_port = htons((uint16_t)atoi(place));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        fail(place);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return fd;
}

void connect_directly(int *one, int *other)
{
    static char port[8];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &length))
        fail("listen");
    snprintf(port, sizeof port, "%d", ntohs(address.sin_port));
    place = port;
    *one = connected();
    *other = accept(listener, NULL, NULL);
    setsockopt(*other, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(listener);
}

/* The next line, up to its end. */
static void read_line(int fd, char *line, size_t room)
{
    for (;;) {
        ssize_t length = recv(fd, line, room - 1, MSG_PEEK);
        if (length <= 0)
            wrong("the router has closed the connection");
        char *end = memchr(line, '\n', (size_t)length);
        if (end) {
            recv(fd, line, (size_t)(end + 1 - line), 0);
            end[1] = 0;
            return;
        }
    }
}

/* The subject of a node is its number, in 5 digits. */
static void greet_nats(int fd, int subject)
{
    char line[8192];
    read_line(fd, line, sizeof line);
    int length = snprintf(line, sizeof line,
                          "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1,"
                          "\"lang\":\"c\",\"version\":\"1\"}\r\n");
    if (subject >= 0)
        length += snprintf(line + length, sizeof line - (size_t)length, "SUB %05d 1\r\n", subject);
    length += snprintf(line + length, sizeof line - (size_t)length, "PING\r\n");
    write_all(fd, line, (size_t)length);
    do {
        read_line(fd, line, sizeof line);
        if (line[0] == '-')
            wrong(line);
    } while (strcmp(line, "PONG\r\n"));
}

/* A node; number is that of the subject that it receives, or negative. */
void join(struct node *node, int number)
{
    char id[11] = "";
    node->fd = connected();
    if (wire == NATS) {
        greet_nats(node->fd, number);
        return;
    }
    if (recv(node->fd, id, sizeof id - 1, 0) <= 0)
        wrong("no id comes");
    node->id = (uint32_t)strtoul(id, NULL, 10);
}
