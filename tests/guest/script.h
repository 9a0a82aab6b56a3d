/* What the steps of a script share: see strict_client.c, which runs them. */
#ifndef SCRIPT_H
#define SCRIPT_H
#include <stdbool.h>
#include <stdint.h>

typedef unsigned long long u64; /* what %llu prints */

/* Print "DN KIND ..." and exit: 1 for a PANIC, 2 for a FAIL. */
__attribute__((noreturn, format(printf, 2, 3))) void stop(const char *kind, const char *format, ...);
double now(void);
/* Wait for events until the deadline; false when it passed. */
bool wait_for_events(int fd, short events, double deadline);
uint32_t number(const char *text);
double seconds(const char *text);

#define UNUSED __attribute__((unused))
#define STEP(function) void function(const char *step UNUSED, char **arg UNUSED)

/* ethernet.c */
STEP(do_ping);
STEP(do_serve);
STEP(do_fetch);
#endif
