/* SPDX-License-Identifier: MIT */
/*
 * Processes that use what another one scribbles over. Each call must return, soon,
 * what its header says that it may return; nobody may die of it. Beside each mapping
 * of a file lie pages that nobody may touch. For scribble.c and scribble-table.c.
 *
 * Link statically, with -Wl,--wrap=mmap.
 */
#ifndef TESTS_SCRIBBLE_H
#define TESTS_SCRIBBLE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "format.h"

#define ACTORS 10
#define HANG_NS 8000000000 /* longest call: all waits end after 20 ms, a lock is given up after 1 s */
#define ROUND_NS 250000000

static uint64_t state;
static char name[64];

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t random64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1du;
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)(random64() >> 32) % n;
}

/* What the parent sees of each. */
static struct actor {
	const char *volatile call; /* the same address in all: they are forked */
	volatile uint64_t since;   /* in that call; 0: in none */
	volatile uint64_t calls, good;
} *actors;
static struct actor *me;
static volatile uint32_t *stop;

static void in(const char *call)
{
	me->call = call;
	me->since = now_ns();
}

static void wrong(const char *call, int said)
{
	fprintf(stderr, "scribble: %s said %d (%s): %s\n", call, said,
		said < 0 ? strerror(-said) : "a count", shr_last_error());
	_exit(2);
}

/* @said is 0 or more, or one of the errors @may, which ends with 0. */
static int out(int said, const int *may)
{
	me->since = 0;
	me->calls++;
	if (said >= 0) {
		me->good++;
		return said;
	}
	while (*may && *may != -said)
		may++;
	if (!*may)
		wrong(me->call, said);
	return said;
}

static const int nothing[] = {0};

#define CALL(call, may) (in(#call), out((call), (may)))
#define SHORTLY shr_deadline_ns(1000000 + (int64_t)below(20000000))

#define PAGE ((size_t)4096)

/*
 * In the place of mmap(2): before and behind each map of a file lies a page that is
 * the end of whoever goes there.
 */
void *__real_mmap(void *address, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int prot, int flags, int fd, off_t offset)
{
	size_t pages = (size + PAGE - 1) & ~(PAGE - 1);
	uint8_t *around;

	if (fd < 0 || address)
		return __real_mmap(address, size, prot, flags, fd, offset);
	around = __real_mmap(NULL, pages + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (around == MAP_FAILED)
		return MAP_FAILED;
	return __real_mmap(around + PAGE, size, prot, flags | MAP_FIXED, fd, offset);
}

/* --- A round -------------------------------------------------------------------------- */

/* What actor @who does, of whom 0 scribbles: the program's. */
static void act(int who, const void *kind);

static pid_t start(int who, const void *kind)
{
	uint64_t seed = random64();
	pid_t pid = fork();

	if (pid)
		return pid;
	state = seed | 1;
	me = &actors[who];
	me->since = 0;
	act(who, kind);
	_exit(0);
}

/* What is wrong with actor @who, if it is. */
static int bad(int who, int status)
{
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return 0; /* by us */
	fprintf(stderr, "scribble: process %d ended by %s %d in %s\n", who,
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		actors[who].call ? actors[who].call : "nothing");
	return 1;
}

static int watch(pid_t *pid, const void *kind)
{
	uint64_t begin = now_ns(), kill_at = begin + below(40) * (uint64_t)1000000;
	int failed = 0, status;

	while (!failed && now_ns() - begin < ROUND_NS) {
		usleep(5000);
		for (int i = 0; i < ACTORS; i++) {
			uint64_t since = actors[i].since;

			if (since && now_ns() > since + HANG_NS) {
				fprintf(stderr, "scribble: process %d hangs in %s\n", i, actors[i].call);
				failed = 1;
			}
			if (pid[i] > 0 && waitpid(pid[i], &status, WNOHANG) == pid[i]) {
				failed |= bad(i, status);
				pid[i] = failed ? 0 : start(i, kind);
			}
		}
		if (now_ns() > kill_at) {
			int i = 1 + (int)below(ACTORS - 1);

			kill(pid[i], SIGKILL);
			kill_at = now_ns() + below(60) * (uint64_t)1000000;
		}
	}
	return failed;
}

/* 1: somebody did something wrong. */
static int play_actors(const void *kind)
{
	pid_t pid[ACTORS];
	uint64_t end;
	int failed, left = ACTORS, status;

	*stop = 0;
	for (int i = ACTORS - 1; i >= 0; i--)
		pid[i] = start(i, kind);
	failed = watch(pid, kind);
	*stop = 1;
	end = now_ns() + HANG_NS;
	while (left) { /* all see that, or hang */
		left = 0;
		for (int i = 0; i < ACTORS; i++) {
			if (pid[i] <= 0)
				continue;
			if (waitpid(pid[i], &status, WNOHANG) == pid[i]) {
				failed |= bad(i, status);
				pid[i] = 0;
			} else if (failed || now_ns() > end) {
				if (!failed)
					fprintf(stderr, "scribble: process %d does not end: %s\n", i,
						actors[i].call);
				failed = 1;
				if (!getenv("SCRIBBLE_KEEP"))
					kill(pid[i], SIGKILL);
				left++;
			} else {
				left++;
			}
		}
		if (left)
			usleep(1000);
	}
	return failed;
}

static void scribble_begin(const char *what, uint64_t seed)
{
	snprintf(name, sizeof(name), "/shmring-%s-%d", what, (int)getpid());
	actors = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	stop = (volatile uint32_t *)(void *)&actors[ACTORS];
	state = seed * 2 + 1;
	printf("1..1\n");
}

/* The result, as the exit status. */
static int scribble_end(uint64_t rounds, const char *what)
{
	uint64_t calls = 0, good = 0;

	for (int i = 1; i < ACTORS; i++) {
		calls += actors[i].calls;
		good += actors[i].good;
	}
	printf("# %llu rounds, %llu words, %llu calls, %llu of them without an error\n",
	       (unsigned long long)rounds, (unsigned long long)actors[0].calls, (unsigned long long)calls,
	       (unsigned long long)good);
	if (!good || calls == good) {
		printf("not ok 1 - nothing was tested\n");
		return 1;
	}
	printf("ok 1 - scribbled %s are errors and nothing worse\n", what);
	return 0;
}

#endif
