/* SPDX-License-Identifier: MIT */
/* Processes for tests of L3: started, told when to go on, killed, and waited for. */
#ifndef TESTS_PROCS_H
#define TESTS_PROCS_H

#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Memory that parent and children share, beside what is tested. */
static inline void *shared_page(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static inline int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Until *@word is @value (or is not), for at most 20 s: 1, or 0 too late. */
static inline int until_that(volatile uint32_t *word, uint32_t value, int is)
{
	int64_t end = clock_ns() + 20000000000;

	while ((__atomic_load_n(word, __ATOMIC_SEQ_CST) == value) != is) {
		if (clock_ns() > end)
			return 0;
		usleep(200);
	}
	return 1;
}

static inline int until(volatile uint32_t *word, uint32_t value)
{
	return until_that(word, value, 1);
}

static inline int until_not(volatile uint32_t *word, uint32_t value)
{
	return until_that(word, value, 0);
}

static inline void say(volatile uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* SIGKILL @pid and wait for its end, which is after its kernel locks are free. */
static inline void kill_now(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The exit status of @pid, or -signal. */
static inline int ended(pid_t pid)
{
	int status = 0;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Wait until @pid sleeps in the kernel, for at most 20 s. */
static inline int until_asleep(pid_t pid)
{
	int64_t end = clock_ns() + 20000000000;
	char stat_path[64], text[256];

	snprintf(stat_path, sizeof(stat_path), "/proc/%d/stat", (int)pid);
	while (clock_ns() < end) {
		FILE *stream = fopen(stat_path, "re");
		const char *state = NULL;

		if (stream && fgets(text, sizeof(text), stream))
			state = strrchr(text, ')');
		if (stream)
			fclose(stream);
		if (state && state[2] == 'S')
			return 1;
		usleep(200);
	}
	return 0;
}

#endif
