/* SPDX-License-Identifier: MIT */
/* shmring-dump: times, read and written. */
#ifndef TOOLS_TIMES_H
#define TOOLS_TIMES_H

#include <stdint.h>
#include <stdio.h>

/* How times are written. */
enum time_style { TIMES_LOCAL, TIMES_UTC, TIMES_UNIX };
void time_set_style(enum time_style style);

/* To the second. */
void time_write(FILE *out, uint64_t time_ns);

uint64_t time_now(void);    /* CLOCK_REALTIME */
uint64_t time_steady(void); /* CLOCK_MONOTONIC */

/*
 * 2026-11-25T10:00:00.5Z, without Z in local time, T a space or the time of day left
 * out; @1764064800.5, since 1970; or -5m, before now, in s, m, h or d.
 * 0, or -EINVAL.
 */
int time_parse(const char *text, uint64_t *time_ns);

#endif
