/* SPDX-License-Identifier: MIT */
/* shmring-dump top: a terminal, by what every one understands (ECMA-48, xterm's screens). */
#ifndef TOOLS_SCREEN_H
#define TOOLS_SCREEN_H

#include <stddef.h>
#include <stdint.h>

struct line {
	char *text; /* printable */
	int bold, bad;
};

/*
 * Take the terminal that is standard input and output: another screen, no echo, no cursor.
 * It is given back by screen_close(), at exit(3), and while we are stopped. -errno.
 */
int screen_open(int color);
void screen_close(void);

void screen_size(int *columns, int *rows);

/* Show @count lines from the top, each cut at the right edge, and nothing else. */
void screen_show(const struct line *lines, int count);

/* What screen_wait() returns beside characters. */
#define SCREEN_TIME      0 /* it is @time_ns */
#define SCREEN_END       1 /* a signal, or the terminal is gone */
#define SCREEN_RESIZE    2 /* show all anew: another size, or we were stopped */
#define SCREEN_UP        3
#define SCREEN_DOWN      4
#define SCREEN_PAGE_UP   5
#define SCREEN_PAGE_DOWN 6

/* Wait for a key, or until it is @time_ns of CLOCK_MONOTONIC. */
int screen_wait(uint64_t time_ns);

/*
 * Bytes at the beginning of printable @text for which @columns columns are enough, and
 * how many they take, at most: a character that may be wide counts as two.
 */
size_t text_fits(const char *text, int columns, int *taken);

#endif
