/* See unread.h. */
#define _GNU_SOURCE
#include "unread.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Questions in one call, and room for an answer: two headers, and what is known of a connection. */
enum { TOGETHER = 16, ANSWER_SIZE = 1024 };
/*
 * A peer that sends acknowledges what it has read with what it sends next, or after 40 ms. So from
 * this look on it is asked, whether it has acknowledged or not.
 */
enum { LOOKS = 7 };

static int held(int fd)
{
    int size;
    return ioctl(fd, SIOCOUTQ, &size) ? 0 : size;
}

/* Whether the peer's socket has received less than was written, as far as its answer tells. */
static int is_under_way(const struct unread *unread, const struct nlmsghdr *answer)
{
    const size_t at = offsetof(struct tcp_info, tcpi_bytes_received);
    struct tcp_info own = {0};
    socklen_t size = sizeof own;
    uint64_t received;
    size_t left = NLMSG_PAYLOAD(answer, sizeof(struct inet_diag_msg));
    struct rtattr *told = (void *)((struct inet_diag_msg *)NLMSG_DATA(answer) + 1);
    while (RTA_OK(told, left) && told->rta_type != INET_DIAG_INFO)
        told = RTA_NEXT(told, left);
    if (!RTA_OK(told, left) || RTA_PAYLOAD(told) < at + sizeof received ||
        getsockopt(unread->fd, IPPROTO_TCP, TCP_INFO, &own, &size))
        return 1;
    memcpy(&received, (unsigned char *)RTA_DATA(told) + at, sizeof received);
    return received != own.tcpi_bytes_acked + (uint64_t)unread->held;
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
        those[i]->question.request.idiag_ext = those[i]->held ? 1 << (INET_DIAG_INFO - 1) : 0;
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
        one->is = header->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
                  (told_of->idiag_rqueue || (one->held && is_under_way(one, header)));
        told += header->nlmsg_type == SOCK_DIAG_BY_FAMILY;
    }
    if (got != (int)count)
        /* Answers that are missing must not be taken for those of other questions. */
        asker_close(asker);
    return told;
}

/* Whether it is known without a question; else the peer is to be asked. */
static int is_known(struct unread *unread)
{
    unread->held = held(unread->fd);
    unread->is = unread->held != 0;
    return unread->how != UNREAD_PEER || (unread->is && ++unread->looks < LOOKS);
}

void unread_ask(struct asker *asker, struct unread *const *those, size_t count)
{
    struct unread *peers[TOGETHER];
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        /* In this order: what is still under way to the peer's queue is in neither afterwards. */
        if (!is_known(those[i]))
            peers[size++] = those[i];
        if (size == TOGETHER || (size && i + 1 == count)) {
            ask_peers(asker, peers, size);
            size = 0;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (!those[i]->is)
            those[i]->looks = 0;
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
