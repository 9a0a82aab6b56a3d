/* See poller.h. */
#define _GNU_SOURCE
#include "poller.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How long to wait for more. */
static const struct timespec LULL = {.tv_nsec = 150 * 1000};
/* A lull is worth it if so many frames or messages come in it. After so many in a row that were in
   vain there is none for so many times: who waits for each answer is not to be kept waiting. */
enum { WORTH = 4, IN_VAIN = 3, WITHOUT = 2000 };

/* By as many ns the system may lengthen a wait, instead of by 50 us, which is more than many are. */
enum { SLACK = 1000 };

void poller_begin(struct poller *poller, int epoll)
{
    poller->epoll = epoll;
    prctl(PR_SET_TIMERSLACK, SLACK);
}

uint64_t poller_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int is_known(const struct poller *poller, int fd)
{
    return fd >= 0 && (size_t)fd < poller->descriptors;
}

static int have(struct poller *poller, int fd)
{
    if (fd < 0)
        return EBADF;
    size_t needed = (size_t)fd + 1, before = poller->descriptors;
    if (needed > before) {
        size_t room = before ? before : 64;
        while (room < needed)
            room *= 2;
        void *grown = realloc(poller->descriptor, room * sizeof *poller->descriptor);
        if (!grown)
            return ENOMEM;
        poller->descriptor = grown;
        memset(poller->descriptor + before, 0, (room - before) * sizeof *poller->descriptor);
        poller->descriptors = room;
    }
    return 0;
}

/* Tell epoll what is wanted of a descriptor now; 0 or an errno. */
static int tell_epoll(struct poller *poller, int fd)
{
    uint32_t events = (poller->descriptor[fd].wanted & ~poller->descriptor[fd].withheld) |
                      poller->descriptor[fd].added;
    uint32_t told = poller->descriptor[fd].told;
    if (events == told)
        return 0;
    /* Without events it is taken out, or the end of the connection would be told again and again,
       and taken for the end of what can be read. */
    struct epoll_event event = {.events = events, .data = {.fd = fd}};
    int how = !told ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    if (epoll_ctl(poller->epoll, how, fd, &event)) {
        int error = errno;
        if (how == EPOLL_CTL_DEL)
            poller->descriptor[fd].told = 0;
        return error;
    }
    poller->descriptor[fd].told = events;
    return 0;
}

int poller_want(struct poller *poller, int fd, uint32_t events)
{
    int error = have(poller, fd);
    if (error)
        return error;
    uint32_t before = poller->descriptor[fd].wanted;
    poller->descriptor[fd].wanted = events;
    error = tell_epoll(poller, fd);
    if (error && events)
        poller->descriptor[fd].wanted = before;
    return error;
}

int poller_knows(struct poller *poller, int fd, uint32_t events)
{
    int error = have(poller, fd);
    if (!error)
        poller->descriptor[fd].wanted = poller->descriptor[fd].told = events;
    return error;
}

uint32_t poller_wanted(const struct poller *poller, int fd)
{
    return is_known(poller, fd) ? poller->descriptor[fd].wanted : 0;
}

int poller_serve(struct poller *poller, int fd, void *served)
{
    int error = have(poller, fd);
    if (error)
        return error;
    if (poller->descriptor[fd].served)
        return EEXIST;
    poller->descriptor[fd].served = served;
    return 0;
}

void poller_serve_no_more(struct poller *poller, int fd)
{
    poller_change(poller, fd, 0, 0);
    poller->descriptor[fd].served = NULL;
}

void *poller_served(const struct poller *poller, int fd)
{
    return is_known(poller, fd) ? poller->descriptor[fd].served : NULL;
}

void poller_change(struct poller *poller, int fd, uint32_t withheld, uint32_t added)
{
    poller->descriptor[fd].withheld = withheld;
    poller->descriptor[fd].added = added;
    tell_epoll(poller, fd);
}

void poller_tell(struct poller *poller, int fd, uint32_t events)
{
    if (poller->events < sizeof poller->event / sizeof *poller->event)
        poller->event[poller->events++] = (struct event){fd, events};
}

/* As epoll_wait(2), but with ns; ENOSYS before Linux 5.11. */
static int wait_shortly(const struct poller *poller, struct epoll_event *events, uint64_t time)
{
#ifdef SYS_epoll_pwait2
    struct timespec left = {.tv_nsec = (long)time};
    return (int)syscall(SYS_epoll_pwait2, poller->epoll, events, MAX_EVENTS, &left, NULL, 0);
#else
    (void)poller, (void)events, (void)time;
    errno = ENOSYS;
    return -1;
#endif
}

int poller_wait(struct poller *poller, struct epoll_event *events, uint64_t until)
{
    uint64_t now = poller->now;
    if (until > now && until - now < MILLISECOND) {
        now = poller_now();
        int soon = wait_shortly(poller, events, until > now ? until - now : 0);
        if (soon >= 0 || errno != ENOSYS) {
            if (soon >= 0)
                poller->now = poller_now();
            return soon;
        }
    }
    uint64_t left = until > now ? (until - now + MILLISECOND - 1) / MILLISECOND : 0;
    int wait = until == UINT64_MAX ? -1 : left > INT_MAX ? INT_MAX : (int)left;
    int count = epoll_wait(poller->epoll, events, MAX_EVENTS, wait);
    if (count >= 0)
        poller->now = poller_now();
    return count;
}

void poller_moderate(struct poller *poller, size_t came)
{
    if (!came)
        return;
    if (poller->lull_in) {
        poller->lull_in--;
        return;
    }
    poller->in_vain = came < WORTH ? poller->in_vain + 1 : 0;
    if (poller->in_vain <= IN_VAIN) {
        nanosleep(&LULL, NULL);
    } else {
        poller->in_vain = 0;
        poller->lull_in = WITHOUT;
    }
}

void poller_free(struct poller *poller)
{
    free(poller->descriptor);
}
