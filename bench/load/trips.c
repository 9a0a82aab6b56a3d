/* Messages there and back, one after the other. */
#include "messages.h"
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOME 256 /* messages: so often it is seen that it goes on */

/*
 * Node 0 sends to node 1, which answers. Both are sender and receiver: the number of each is its
 * place in both tables.
 */
void ping(void)
{
    struct expectation expected[2];
    unsigned char *unit = memory(unit_out);
    uint64_t *times, got, cpu;
    for (int i = 0; i < 2; i++)
        expect(&expected[i], i);
    pid_t child = fork_bound();
    int own = child ? 0 : 1;
    struct node *node = &receivers[own];
    make(unit, own);
    readdress(unit, own, 1 - own);
    if (child == 0) {
        for (uint64_t number = 0; number < count + 1; number++) {
            receive_one(node, &expected[own], own, &got);
            number_it(unit, got);
            write_all(node->fd, unit, unit_out);
        }
        shared->cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        _exit(0);
    }
    times = memory(sizeof *times * (size_t)count);
    phase = "a first message comes back";
    number_it(unit, HELLO);
    write_all(node->fd, unit, unit_out);
    receive_one(node, &expected[own], own, &got);
    wait_for_line();
    cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t began = now(CLOCK_MONOTONIC), before = began;
    phase = "a message comes back";
    for (uint64_t number = 0; number < count; number++) {
        if (number % SOME == 0)
            alarm(PATIENCE);
        number_it(unit, number);
        write_all(node->fd, unit, unit_out);
        receive_one(node, &expected[own], own, &got);
        if (size && got != number)
            wrong("another message than that which was sent has come back");
        uint64_t after = now(CLOCK_MONOTONIC);
        times[number] = after - before;
        before = after;
    }
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    phase = "the other node ends";
    alarm(PATIENCE);
    waitpid(child, NULL, 0);
    printf("{\"seconds\": %.9f, \"cpu\": %.9f", (double)(before - began) / 1e9,
           (double)(cpu + shared->cpu) / 1e9);
    list_quantiles(times, count);
    puts("}");
}
