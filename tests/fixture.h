/* SPDX-License-Identifier: MIT */
/* A segment name a case, and records that describe themselves. */
#ifndef TESTS_FIXTURE_H
#define TESTS_FIXTURE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <shmring/shmring.h>

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

/* A record: who, which, and a fill that both determine. Below 16 bytes who is in the top byte. */
struct head {
	uint32_t producer;
	uint32_t size;
	uint64_t sequence;
};

static inline uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15u;
	return x ^ x >> 29;
}

static inline void fill(void *payload, uint32_t producer, uint64_t sequence, uint32_t size)
{
	struct head head = {producer, size, sequence};
	uint64_t brief = (uint64_t)producer << 56 | sequence;
	unsigned char *byte = payload;
	uint32_t start = size < sizeof(brief) ? 0 : size < sizeof(head) ? sizeof(brief) : sizeof(head);

	if (start == sizeof(brief))
		memcpy(byte, &brief, sizeof(brief));
	else if (start)
		memcpy(byte, &head, sizeof(head));
	for (uint32_t i = start; i < size; i++)
		byte[i] = (unsigned char)(mix(sequence + producer) + i);
}

/* The head of a whole record, or the producer -1. */
static inline struct head check_payload(const void *payload, size_t size)
{
	struct head head, bad = {UINT32_MAX, 0, 0};
	const unsigned char *byte = payload;
	uint64_t brief;
	unsigned char start;

	if (size < sizeof(brief))
		return bad;
	if (size < sizeof(head)) {
		memcpy(&brief, byte, sizeof(brief));
		head = (struct head){(uint32_t)(brief >> 56), (uint32_t)size, brief << 8 >> 8};
	} else {
		memcpy(&head, byte, sizeof(head));
	}
	if (head.size != size)
		return bad;
	start = (unsigned char)mix(head.sequence + head.producer);
	for (size_t i = size < sizeof(head) ? sizeof(brief) : sizeof(head); i < size; i++)
		if (byte[i] != (unsigned char)(start + i))
			return bad;
	return head;
}

#endif
