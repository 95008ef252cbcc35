/* SPDX-License-Identifier: MIT */
/* Images that are changed at random, and always the same ones for the same seed. */
#ifndef TESTS_FUZZ_MUTATE_H
#define TESTS_FUZZ_MUTATE_H

#include <stdint.h>

#include "seeds.h"

#define IMAGE_MAX (1u << 20) /* bytes */

/* A stream of random numbers. */
struct dice {
	uint64_t state;
};
uint64_t dice_roll(struct dice *dice);
/* From 0 to @sides - 1; 0 if there are none. */
uint64_t dice_below(struct dice *dice, uint64_t sides);

/* A changed one of the @count @seeds to @image, which has room for IMAGE_MAX. Returns its size. */
size_t mutate(unsigned char *image, const struct seed *seeds, size_t count, struct dice *dice);

#endif
