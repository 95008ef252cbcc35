/* SPDX-License-Identifier: MIT */
#include <shmring/shmring.h>

struct reading {
	uint64_t number;
	double celsius;
	char room[16];
};
SHR_SCHEMA(reading, 1, number, celsius, room);
