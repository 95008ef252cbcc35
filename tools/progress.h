/* SPDX-License-Identifier: MIT */
/* How far long work is: a line on a terminal that is written again and again. */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdint.h>

/*
 * Work begins. Nothing is ever written where stderr is no terminal, and in the first second
 * nothing if stdout is the same one.
 */
void progress_begin(void);

/* What is done so far: written if the last time is a fifth of a second ago. */
__attribute__((format(printf, 1, 2))) void progress_show(const char *format, ...);

/* The same of bytes, for shr_inspect_on_progress(): 0. */
int progress_bytes(uint64_t done, uint64_t total, void *unused);

/* Clear the line: at the end, and before anything else is written. */
void progress_clear(void);

#endif
