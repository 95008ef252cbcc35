/* SPDX-License-Identifier: MIT */
/* Records that describe themselves. */
#ifndef TESTS_RECORDS_H
#define TESTS_RECORDS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
