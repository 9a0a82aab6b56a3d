/* See program.h. */
#define _GNU_SOURCE
#include "program.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define QUANTILES 1000

void fail(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, strerror(errno));
    _exit(1);
}

void wrong(const char *what)
{
    fprintf(stderr, "%s: %s\n", program, what);
    _exit(1);
}

static void say(const char *text)
{
    if (write(2, text, strlen(text)) < 0)
        _exit(2);
}

static void too_long(int number)
{
    (void)number;
    say(program);
    say(": not within 30 s: ");
    say(phase);
    say("\n");
    _exit(1);
}

void give_up_in_time(void)
{
    signal(SIGALRM, too_long);
}

uint64_t now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

void *memory(size_t bytes)
{
    void *got = calloc(1, bytes);
    if (!got)
        fail("memory");
    return got;
}

void pin(int core)
{
    cpu_set_t set;
    if (core < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        fail("the core");
}

void open_many_files(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

pid_t fork_bound(void)
{
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* It may have ended before that. */
        if (getppid() != parent)
            _exit(1);
    }
    return child;
}

void wait_for_line(void)
{
    alarm(0);
    puts("ready");
    fflush(stdout);
    if (getchar() != '\n')
        _exit(1);
}

void list(const char *name, const uint64_t *values, int number)
{
    printf(", \"%s\": [", name);
    for (int i = 0; i < number; i++)
        printf("%s%llu", i ? ", " : "", (unsigned long long)values[i]);
    printf("]");
}

static int by_size(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

void list_quantiles(uint64_t *times, uint64_t number)
{
    uint64_t quantiles[QUANTILES + 1];
    qsort(times, number, sizeof *times, by_size);
    for (int i = 0; i <= QUANTILES && number; i++)
        quantiles[i] = times[(number - 1) * (uint64_t)i / QUANTILES];
    list("quantiles", quantiles, number ? QUANTILES + 1 : 0);
}
