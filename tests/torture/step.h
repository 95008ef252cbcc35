/* SPDX-License-Identifier: MIT */
/*
 * A child that dies at the n-th point of a call: after n instructions, by the cpu's
 * trap flag (x86-64); or, built with SHR_KILL_POINTS, at the n-th kill point of the
 * library. And the loop over the points of a scenario.
 *
 * Link with -Wl,--wrap=fcntl where points are instructions.
 */
#ifndef TESTS_STEP_H
#define TESTS_STEP_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <shmring/shmring.h>

#include "../procs.h"

/* --- Reporting ----------------------------------------------------------------- */

static int failures, cases;
static unsigned long all_points;
static char what[200];

static void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	failures++;
}

#define CHECK(condition)                                                                       \
	do {                                                                                   \
		if (!(condition) && !failures)                                                 \
			fail("%s at %d: %s", #condition, __LINE__, shr_last_error());          \
	} while (0)

/* --- Dying at a point ---------------------------------------------------------- */

static unsigned long limit; /* the point to die at */
static volatile unsigned long reached;

#ifdef SHR_KILL_POINTS
#define LABELS 128
static const char **labels; /* shared: where a child was killed */
static int armed;

void shr_kill_point(const char *label);
void shr_kill_point(const char *label)
{
	if (!armed || ++reached != limit)
		return;
	for (int i = 0; i < LABELS; i++)
		if (!labels[i] || labels[i] == label) {
			labels[i] = label; /* a constant of the program: the same address everywhere */
			break;
		}
	kill(getpid(), SIGKILL);
}

static void points_begin(void)
{
	armed = 1;
}

static void points_end(void)
{
	armed = 0;
}

static void points_begin_at_lock(void)
{
	armed = 1;
}
#else

static void on_trap(int signal)
{
	(void)signal;
	if (++reached == limit)
		syscall(SYS_kill, getpid(), SIGKILL);
}

static void trap_flag(int set)
{
	/* Past the red zone. */
	if (set)
		__asm__ volatile("lea -128(%%rsp), %%rsp\n pushfq\n orq $0x100, (%%rsp)\n popfq\n"
				 "lea 128(%%rsp), %%rsp" ::: "memory", "cc");
	else
		__asm__ volatile("lea -128(%%rsp), %%rsp\n pushfq\n andq $~0x100, (%%rsp)\n popfq\n"
				 "lea 128(%%rsp), %%rsp" ::: "memory", "cc");
}

static void points_begin(void)
{
	struct sigaction action = {.sa_handler = on_trap};

	sigaction(SIGTRAP, &action, NULL);
	trap_flag(1);
}

static void points_end(void)
{
	trap_flag(0);
}

/*
 * Attach reads and checks for thousands of instructions before it changes
 * anything: begin at its first lock of the kernel's.
 */
static int begin_at_lock;
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	va_list args;
	void *argument;

	va_start(args, command);
	argument = va_arg(args, void *);
	va_end(args);
	if (begin_at_lock && command == F_OFD_SETLK) {
		begin_at_lock = 0;
		points_begin();
	}
	return __real_fcntl(fd, command, argument);
}

static void points_begin_at_lock(void)
{
	begin_at_lock = 1;
}
#endif

/* --- All points of a scenario --------------------------------------------------- */

/*
 * @at() says 1 as long as the child was killed at point 1, 2, ..., 0 when the call was
 * over before. How many points that were. With @stride over 1 about every @stride-th, at
 * random, and at least one. After a failure *@failed is its point.
 */
static unsigned long step_points(int (*at)(const void *argument, unsigned long point),
				 const void *argument, unsigned long stride, unsigned long *failed)
{
	unsigned long point = 1, points = 0;

	failures = 0;
	if (stride > 1)
		point += (unsigned long)rand() % stride;
	while (!failures) {
		if (at(argument, point)) {
			points++;
			if (!failures)
				point += stride > 1 ? 1 + (unsigned long)rand() % (2 * stride - 1) : 1;
		} else if (!points && point > 1) {
			point /= 2;
		} else {
			break;
		}
	}
	*failed = point;
	all_points += points;
	return points;
}

static void step_result(const char *scenario, unsigned long points, unsigned long stride)
{
	cases++;
	printf("%s %d - %s: %lu points%s\n", failures ? "not ok" : "ok", cases, scenario, points,
	       stride > 1 ? " (of all, at random)" : "");
}

#ifdef SHR_KILL_POINTS
/* Every label of the library must have been the place of a death. */
static void labels_check(const char *const wanted[], size_t count)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		int j = 0;

		while (j < LABELS && labels[j] && strcmp(labels[j], wanted[i]))
			j++;
		if (j < LABELS && labels[j])
			found++;
		else
			printf("# nobody was killed at %s\n", wanted[i]);
	}
	cases++;
	printf("%s %d - killed at each of %zu labels\n", found == count ? "ok" : "not ok", cases, count);
	if (found != count)
		failures++;
}
#endif

#endif
