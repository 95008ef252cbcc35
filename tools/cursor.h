/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump follow --cursor-file: where it stopped, in JSON:
 *
 *	{"v": 1, "epoch": "HEX", "rings": {"NAME": {"position": "N", "sequence": "N"}}}
 *
 * The position is that of the next record, and the sequence its number, 0 where the ring
 * has none or none was seen.
 */
#ifndef TOOLS_CURSOR_H
#define TOOLS_CURSOR_H

#include <stdint.h>

struct cursor_file;

/* Read @path; there may be no such file. NULL after a message. */
struct cursor_file *cursor_open(const char *path);
void cursor_close(struct cursor_file *cursor);

/*
 * What is known is of the segment with @epoch from now on. 0; 1: nothing was known;
 * -ESTALE: it was of another segment, and is forgotten.
 */
int cursor_of(struct cursor_file *cursor, uint64_t epoch);

/* 0, or -ENOENT: it does not know the ring. */
int cursor_get(const struct cursor_file *cursor, const char *ring, uint64_t *position,
	       uint64_t *sequence);
void cursor_set(struct cursor_file *cursor, const char *ring, uint64_t position, uint64_t sequence);

/* Write it, all or nothing. 0, or -1 after a message. */
int cursor_save(struct cursor_file *cursor);

#endif
