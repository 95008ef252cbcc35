/* SPDX-License-Identifier: MIT */
/* Small images of all kinds of segments, made by the library. */
#ifndef TESTS_FUZZ_SEEDS_H
#define TESTS_FUZZ_SEEDS_H

#include <stddef.h>

#define SEEDS_MAX 8

struct seed {
	const char *what;
	unsigned char *image;
	size_t size; /* bytes */
};

/* Make all of @seeds: how many. Times, process ids and random numbers are always the same. */
size_t seeds_make(struct seed seeds[SEEDS_MAX]);

#endif
