/* SPDX-License-Identifier: MIT */
/* A segment name a case, and what rings of it are made with. */
#ifndef TESTS_FIXTURE_H
#define TESTS_FIXTURE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "records.h"
#include "tap.h"

#define MUST(call) ck_assert_msg((call) == 0, "%s: %s", #call, shr_last_error())

static char name[100], path[128];

static inline void fixture_setup(const char *suite)
{
	snprintf(name, sizeof(name), "/shmring-check-%s-%d", suite, (int)getpid());
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	unlink(path);
}

static inline void teardown(void)
{
	unlink(path);
}

static inline struct shr_producer *producer_of(struct shr_ring *ring)
{
	struct shr_producer *producer = NULL;

	MUST(shr_producer_open(&producer, ring));
	return producer;
}

static inline struct shr_cursor *cursor_of(struct shr_ring *ring)
{
	struct shr_cursor *cursor = NULL;

	MUST(shr_cursor_open(&cursor, ring, NULL));
	return cursor;
}

static inline struct shr_ring *ring_make(struct shr_ring_options options)
{
	struct shr_ring *ring = NULL;

	options.struct_size = sizeof(options);
	unlink(path);
	MUST(shr_ring_open(&ring, name, "+>", &options, NULL));
	return ring;
}

#endif
