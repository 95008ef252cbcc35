/* SPDX-License-Identifier: MIT */
/*
 * What lines-send and lines-recv agree on: a ring of untyped records, each a
 * line with its newline, or a part of one that is longer than a record can be.
 * The last record says how much there was.
 */
#include <shmring/shmring.h>

#define LINES_NAME "/lines"
#define LINES_DATA 0 /* shr_record.type: bytes, at most one newline, at their end */
#define LINES_END  1 /* a struct lines_total, and nothing after it */

struct lines_total {
	uint64_t bytes;
	uint64_t lines; /* newlines: a last line without one is not counted */
};
