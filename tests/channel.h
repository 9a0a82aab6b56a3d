/* The gateway's end of the channel of a guest's process, as the programs that play it have it. */
#ifndef DISTNET_TESTS_CHANNEL_H
#define DISTNET_TESTS_CHANNEL_H

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Send a message, and a descriptor with it unless that is negative; as sendmsg(2). */
static ssize_t send_message(int channel, const char *message, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {(void *)(uintptr_t)message, strlen(message)};
    struct msghdr header = {.msg_iov = &piece, .msg_iovlen = 1};
    if (fd >= 0) {
        header.msg_control = &control;
        header.msg_controllen = sizeof control;
        control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    return sendmsg(channel, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

#endif
