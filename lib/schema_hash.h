/* SPDX-License-Identifier: MIT */
/* FNV-1a, 64 bits (draft-eastlake-fnv): small, the same on every machine. */
#ifndef LIB_SCHEMA_HASH_H
#define LIB_SCHEMA_HASH_H

#include <stdint.h>
#include <string.h>

#define HASH_START 0xcbf29ce484222325u

static inline uint64_t hash_byte(uint64_t hash, uint8_t byte)
{
	return (hash ^ byte) * 0x100000001b3u;
}

static inline uint64_t hash_u32(uint64_t hash, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		hash = hash_byte(hash, (uint8_t)(value >> (8 * i)));
	return hash;
}

/* With its terminating zero, so that "ab","c" and "a","bc" differ. */
static inline uint64_t hash_string(uint64_t hash, const char *string)
{
	do
		hash = hash_byte(hash, (uint8_t)*string);
	while (*string++);
	return hash;
}

#endif
