/* See unread.h. */
#define _GNU_SOURCE
#include "unread.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Questions in one call, and room for an answer, which is larger than its two headers. */
enum { TOGETHER = 16, ANSWER_SIZE = 512 };

static int held(int fd)
{
    int size;
    return ioctl(fd, SIOCOUTQ, &size) ? 0 : size;
}

static int open_netlink(struct asker *asker)
{
    if (!asker->netlink) {
        struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        if (fd < 0)
            return -1;
        if (connect(fd, (struct sockaddr *)&kernel, sizeof kernel)) {
            close(fd);
            return -1;
        }
        asker->netlink = fd + 1;
    }
    return asker->netlink - 1;
}

void asker_close(struct asker *asker)
{
    if (asker->netlink)
        close(asker->netlink - 1);
    asker->netlink = 0;
}

/* The peers' receive queues; how many questions had an answer. Answers come within the send. */
static size_t ask_peers(struct asker *asker, struct unread *const *those, size_t count)
{
    static unsigned char answer[TOGETHER][ANSWER_SIZE];
    struct iovec question[TOGETHER], place[TOGETHER];
    struct mmsghdr answers[TOGETHER];
    struct msghdr asked = {.msg_iov = question, .msg_iovlen = count};
    size_t told = 0;
    int fd = open_netlink(asker);
    memset(answers, 0, sizeof answers);
    for (size_t i = 0; i < count; i++) {
        /* Without an answer it is asked again. */
        those[i]->is = 1;
        those[i]->question.header.nlmsg_seq = (uint32_t)i;
        question[i] = (struct iovec){&those[i]->question, sizeof those[i]->question};
        place[i] = (struct iovec){answer[i], ANSWER_SIZE};
        answers[i].msg_hdr.msg_iov = &place[i];
        answers[i].msg_hdr.msg_iovlen = 1;
    }
    if (fd < 0)
        return 0;
    if (sendmsg(fd, &asked, 0) < 0) {
        asker_close(asker);
        return 0;
    }
    int got = recvmmsg(fd, answers, (unsigned)count, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) {
        struct nlmsghdr *header = (struct nlmsghdr *)answer[i];
        if (header->nlmsg_seq >= count)
            continue;
        struct unread *one = those[header->nlmsg_seq];
        struct inet_diag_msg *told_of = NLMSG_DATA(header);
        one->is = header->nlmsg_type == SOCK_DIAG_BY_FAMILY && told_of->idiag_rqueue;
        told += header->nlmsg_type == SOCK_DIAG_BY_FAMILY;
    }
    if (got != (int)count)
        /* Answers that are missing must not be taken for those of other questions. */
        asker_close(asker);
    return told;
}

void unread_ask(struct asker *asker, struct unread *const *those, size_t count)
{
    struct unread *peers[TOGETHER];
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        /* In this order: what is still under way to the peer's queue is in neither afterwards. */
        those[i]->is = held(those[i]->fd) != 0;
        if (!those[i]->is && those[i]->how == UNREAD_PEER)
            peers[size++] = those[i];
        if (size == TOGETHER || (size && i + 1 == count)) {
            ask_peers(asker, peers, size);
            size = 0;
        }
    }
}

/* An address as the question has it; whether it is a loopback address. */
static int written_down(const struct sockaddr_storage *from, __be32 *address, __be16 *port)
{
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)from;
        address[0] = four->sin_addr.s_addr;
        *port = four->sin_port;
        return ntohl(address[0]) >> 24 == 127;
    }
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
    memcpy(address, &six->sin6_addr, sizeof six->sin6_addr);
    *port = six->sin6_port;
    return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) ||
           (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) && six->sin6_addr.s6_addr[12] == 127);
}

void unread_begin(struct unread *unread, struct asker *asker, int fd)
{
    struct sockaddr_storage own, peer;
    socklen_t own_size = sizeof own, peer_size = sizeof peer;
    memset(unread, 0, sizeof *unread);
    unread->fd = fd;
    unread->how = UNREAD_ACKED;
    if (getsockname(fd, (struct sockaddr *)&own, &own_size) ||
        getpeername(fd, (struct sockaddr *)&peer, &peer_size))
        return;
    if (own.ss_family == AF_UNIX) {
        unread->how = UNREAD_UNIX;
        return;
    }
    if (own.ss_family != AF_INET && own.ss_family != AF_INET6)
        return;
    struct inet_diag_req_v2 *request = &unread->question.request;
    struct inet_diag_sockid *id = &request->id;
    unread->question.header = (struct nlmsghdr){
        .nlmsg_len = sizeof unread->question,
        .nlmsg_type = SOCK_DIAG_BY_FAMILY,
        .nlmsg_flags = NLM_F_REQUEST,
    };
    request->sdiag_family = (__u8)own.ss_family;
    request->sdiag_protocol = IPPROTO_TCP;
    request->idiag_states = ~0u;
    id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    /* The socket that is asked for is the peer's. */
    int is_loopback = written_down(&peer, id->idiag_src, &id->idiag_sport);
    written_down(&own, id->idiag_dst, &id->idiag_dport);
    if (is_loopback || !memcmp(id->idiag_src, id->idiag_dst, sizeof id->idiag_src)) {
        struct unread *alone[] = {unread};
        if (ask_peers(asker, alone, 1))
            unread->how = UNREAD_PEER;
    }
}
