/* What each load generator needs of a program: errors, clocks, quantiles, processes. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define PATIENCE 30 /* seconds until an answer, or the end, is given up */
#define SECOND UINT64_C(1000000000)

extern const char *const program; /* its name, for errors */
extern const char *volatile phase; /* what it waits for */

/* End with a line, with and without the error of the last system call. */
void fail(const char *what) __attribute__((noreturn));
void wrong(const char *what) __attribute__((noreturn));

/* From now on, what takes longer than alarm(PATIENCE) ends with a line that names the phase. */
void give_up_in_time(void);
uint64_t now(clockid_t clock); /* ns */
void *memory(size_t bytes); /* all 0 */
/* Use one processor only, if the number is not negative. */
void pin(int core);
/* Use as many descriptors as one may. */
void open_many_files(void);
/* A child that does not outlive us. */
pid_t fork_bound(void);
/* Say that all is ready, and wait until we are told to begin. */
void wait_for_line(void);
/* Print a member of a JSON object. */
void list(const char *name, const uint64_t *values, int number);
/* Sort times, and print which ones 0/1000 to 1000/1000 of them do not exceed; nothing if none. */
void list_quantiles(uint64_t *times, uint64_t number);

#endif
