/* SPDX-License-Identifier: MIT */
/*
 * For tests of programs that use the library: kill a process after the n-th
 * instruction of something that it does, and see whether the others go on well.
 *
 *	static void prepare(void *argument)	in the child, not counted: open
 *	{					what is used, handles do not survive fork()
 *		shr_ring_open(&ring, name, "+<", NULL, NULL);
 *		shr_producer_open(&producer, ring);
 *	}
 *	static void call(void *argument)	in the child, to be killed in it
 *	{
 *		shr_producer_write(producer, argument, size);
 *	}
 *	...
 *	for (uint64_t step = 1; (killed = shr_test_kill_at(step, prepare, call, &order)) == 1; step++)
 *		...				here: is everything as it should be?
 *	assert(killed == 0);			call ended before: each instruction had its turn
 *
 * Header only; not a part of shmring/shmring.h and not of the library. Linux, where
 * the kernel single-steps (ptrace(2), PTRACE_SINGLESTEP: x86, arm64, s390x and most
 * others; not under qemu-user or another debugger). A step costs some microseconds.
 */
#ifndef SHMRING_TEST_H
#define SHMRING_TEST_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __cplusplus
int kill(pid_t pid, int signal_number); /* strict C does not declare it */
#endif

/* Wait until @pid stops: the signal; or 0 it has ended; or -errno. */
static inline int shr_test_wait_(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
}

/* The end of a child that is not needed any more. */
static inline void shr_test_end_(pid_t pid)
{
	kill(pid, SIGKILL);
	while (shr_test_wait_(pid) > 0)
		;
}

/*
 * In a child made by fork(): @prepare(@argument), then @call(@argument), and SIGKILL
 * after instruction @step of that, from 1 on. The child is reaped.
 *
 * Threads:  of the caller only; the child has one.
 * Returns:  1 it was killed there; 0 @call came to its end before (and the child to
 *           its, by _exit(2), detached from nothing); -ECHILD it ended by itself; or
 *           -errno of fork(2) or ptrace(2)
 * Since:    0.1
 */
static inline int shr_test_kill_at(uint64_t step, void (*prepare)(void *), void (*call)(void *),
				   void *argument)
{
	int err, signal_number = 0;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		if (prepare)
			prepare(argument);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(127);
		raise(SIGSTOP);
		call(argument);
		raise(SIGSTOP);
		_exit(0);
	}
	err = shr_test_wait_(pid);
	if (err != SIGSTOP)
		return err < 0 ? err : -ECHILD;
	for (uint64_t i = 0; i < step; i++) {
		/* What else it gets is its own; the traps are ours. */
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, (void *)(intptr_t)signal_number) < 0) {
			err = -errno;
			shr_test_end_(pid);
			return err;
		}
		err = shr_test_wait_(pid);
		if (err <= 0)
			return err ? err : -ECHILD;
		if (err == SIGSTOP) { /* behind the call */
			shr_test_end_(pid);
			return 0;
		}
		signal_number = err == SIGTRAP ? 0 : err;
	}
	shr_test_end_(pid);
	return 1;
}

#endif
