/*
 * Whether the peer of a stream socket has read all that was sent to it, where the system knows. As
 * distnet.master.unread, which says how.
 */
#ifndef DISTNET_UNREAD_H
#define DISTNET_UNREAD_H

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <stddef.h>

/* How the system tells: by what our socket holds, by that at once, or by the peer's socket too. */
enum unread_how { UNREAD_ACKED, UNREAD_UNIX, UNREAD_PEER };

struct unread {
    int fd;
    enum unread_how how;
    int held;  /* bytes that the system still had when it was last looked */
    int looks; /* at which it had some, since all was read */
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } question;
    int is; /* the answer: whether something is unread */
};

/* A socket of the system's to ask for others'; it is opened when it is needed. Zero is none. */
struct asker {
    int netlink; /* plus 1 */
};

void unread_begin(struct unread *unread, struct asker *asker, int fd);
/* Ask for some. A socket that the system does not know of counts as read. */
void unread_ask(struct asker *asker, struct unread *const *those, size_t count);
void asker_close(struct asker *asker);

#endif
