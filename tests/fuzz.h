/* What the programs that feed native code with random input have in common. */
#ifndef DISTNET_TESTS_FUZZ_H
#define DISTNET_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALL = 4608 }; /* The least buffer that Linux gives a socket, in bytes. */
static const uint64_t SECOND = 1000000000;

static unsigned long seed;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "seed %lu: %s\n", seed, what);
    exit(1);
}

static uint64_t state;

static uint32_t any(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % below);
}

/* What stands at a place of what has a number. */
static unsigned char filling(uint32_t number, uint32_t at)
{
    return (unsigned char)(number * 31 + at * 7);
}

#endif
