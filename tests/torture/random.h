/* SPDX-License-Identifier: MIT */
/*
 * Processes that are killed, stopped and continued at random, and started again. For
 * ring-random.c and table-random.c, which say what they do, and what must hold.
 */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <shmring/shmring.h>

#include "../procs.h"

#define MOST 8
#define STUCK_NS 30000000000

static char name[64];	     /* of the segment */
static const char *now_what; /* kind of table or ring, for people */
static uint32_t self;	     /* number of this process */
static pid_t killer;
static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % below;
}

/* --- What they note ------------------------------------------------------------ */

typedef uint64_t counter __attribute__((aligned(8))); /* i386: 4 unless told */

static void count(counter *number, uint64_t n)
{
	__atomic_fetch_add(number, n, __ATOMIC_RELAXED);
}

static void note(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* Of the first one that finds something wrong; shared. */
struct verdict {
	uint32_t line;
	char what[160];
};
static struct verdict *verdict;

static void wrong(int line, const char *text)
{
	uint32_t none = 0;

	if (__atomic_compare_exchange_n(&verdict->line, &none, (uint32_t)line, 0, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		snprintf(verdict->what, sizeof(verdict->what), "%s: %s", text, shr_last_error());
	if (getpid() == killer) {
		printf("# %s: line %d: %s\nnot ok 1 - the account is wrong\n", now_what, line,
		       verdict->what);
		fflush(stdout);
		shr_segment_unlink(name);
	}
	_exit(1);
}

#define MUST_HOLD(condition)                                                                       \
	do {                                                                                       \
		if (!(condition))                                                                  \
			wrong(__LINE__, #condition);                                               \
	} while (0)

/* --- Killing -------------------------------------------------------------------- */

static pid_t workers[MOST];
static int stopped[MOST];
static uint32_t running;
static struct {
	uint64_t killed, stops, execs, while_stopped;
} kills;

/* The program's: start worker @slot; note what the one that died had begun. */
static void start(uint32_t slot);
static void bury(uint32_t slot);

/* Whoever ended by itself did an exec; or found something wrong. 1 if so. */
static int reap(uint32_t slot)
{
	int status;

	if (waitpid(workers[slot], &status, WNOHANG) != workers[slot])
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		kills.execs++;
	else if (!verdict->line)
		wrong(__LINE__, "somebody ended");
	bury(slot);
	start(slot);
	return 1;
}

static void disturb(uint32_t slot)
{
	if (reap(slot))
		return;
	switch (draw(6)) {
	case 0:
		kill(workers[slot], stopped[slot] ? SIGCONT : SIGSTOP);
		stopped[slot] = !stopped[slot];
		kills.stops++;
		break;
	case 1:
		if (stopped[slot])
			kill(workers[slot], SIGCONT);
		stopped[slot] = 0;
		break;
	default:
		kills.while_stopped += (uint64_t)stopped[slot];
		kill_now(workers[slot]);
		kills.killed++;
		bury(slot);
		start(slot);
	}
}

/* All that were stopped go on: do @a and @b grow by 20? 0, or 1 nobody gets on. */
static int stuck(const counter *a, const counter *b)
{
	uint64_t first_a = __atomic_load_n(a, __ATOMIC_RELAXED);
	uint64_t first_b = __atomic_load_n(b, __ATOMIC_RELAXED);
	int64_t end = clock_ns() + STUCK_NS;

	for (uint32_t i = 0; i < running; i++) {
		kill(workers[i], SIGCONT);
		stopped[i] = 0;
	}
	while (__atomic_load_n(a, __ATOMIC_RELAXED) - first_a < 20 ||
	       __atomic_load_n(b, __ATOMIC_RELAXED) - first_b < 20) {
		if (verdict->line || clock_ns() > end)
			return 1;
		for (uint32_t i = 0; i < running; i++)
			reap(i);
		usleep(300);
	}
	return 0;
}

static void start_all(void)
{
	for (uint32_t i = 0; i < running; i++)
		start(i);
}

static void kill_all(void)
{
	for (uint32_t i = 0; i < running; i++) {
		kill_now(workers[i]);
		bury(i);
	}
}

static int enough(const char *what, uint64_t number, uint64_t least)
{
	printf("# %s: %" PRIu64 "\n", what, number);
	if (number >= least)
		return 1;
	printf("# that is less than %" PRIu64 "\n", least);
	return 0;
}

#endif
