/* SPDX-License-Identifier: MIT */
/*
 * The store-load fence between "I have changed it" and "does anybody sleep?",
 * paid by who is about to sleep and not by who changes.
 *
 *	changer		store; fence_light(); look for a sleeper
 *	sleeper		say that one sleeps; fence_heavy(); look at what is stored
 *
 * One of the two sees the other, if the changer's process is registered for
 * membarrier(2), MEMBARRIER_CMD_GLOBAL_EXPEDITED (Linux 4.16): the heavy fence
 * then is a fence in every running thread of every such process, so that the
 * light one need only hold back the compiler. A process that is not (an older
 * kernel, a seccomp filter, SHR_SEGMENT_NO_MEMBARRIER) has a real fence for a
 * light one, and that is correct with any sleeper. Registration ends with exec
 * and is the process's own after fork; handles end with both, and each attach
 * registers anew.
 *
 * A sleeper that may not call membarrier cannot be seen by a changer whose store
 * is on its way at that very moment. It sleeps for FENCE_SLICE_NS first, then
 * looks again, as every sleeper does after every slice because notifiers die.
 *
 * Why (tests/bench): on some machines the fence costs as much as all the rest of
 * a record: 9 to 12 ns on an AMD EPYC, where membarrier takes 0.2 us alone.
 */
#ifndef LIB_FENCE_H
#define LIB_FENCE_H

#include <stdatomic.h>
#include <stdint.h>

#define FENCE_SLICE_NS 50000

/* Register this process: 1, or 0 and its light fences must be real. */
int fence_register(void);

/*
 * 1, or 0: not certain, sleep for FENCE_SLICE_NS at most and look again. @allowed
 * 0: without asking for membarrier.
 */
int fence_heavy(int allowed);

static inline void fence_light(int registered)
{
	if (registered)
		atomic_signal_fence(memory_order_seq_cst);
	else
		atomic_thread_fence(memory_order_seq_cst);
}

#endif
