/* SPDX-License-Identifier: MIT */
/* L3: event, the word and the kernel. The protocol is in event.h. */
#include "event.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/time_types.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <shmring/base.h>

#include "killpoint.h"

#ifdef SYS_futex /* its time is the kernel's long, whatever time_t is */
#define FUTEX_CALL SYS_futex
struct futex_time {
	long seconds, ns;
};
#else
#define FUTEX_CALL SYS_futex_time64
struct futex_time {
	int64_t seconds, ns;
};
#endif

int64_t event_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t event_prepare(struct shm_event *event, int membarrier, uint32_t *sequence)
{
	int sure;

	*sequence = atomic_load_explicit(&event->sequence, memory_order_acquire);
	atomic_store_explicit(&event->sleepers, 1, memory_order_relaxed);
	/* sleep:A. The bit before the second look. Pairs with notify:A, commit:A. */
	sure = fence_heavy(membarrier);
	KILL_POINT("event:prepared");
	return sure ? EVENT_SLICE_NS : FENCE_SLICE_NS;
}

int event_sleep(struct shm_event *event, uint32_t sequence, int64_t timeout_ns)
{
	struct futex_time timeout;

	if (timeout_ns <= 0)
		return 0;
	timeout.seconds = (long)(timeout_ns / 1000000000);
	timeout.ns = (long)(timeout_ns % 1000000000);
	if (syscall(FUTEX_CALL, (void *)&event->sequence, FUTEX_WAIT, sequence, &timeout, NULL, 0) < 0 &&
	    errno == EINTR)
		return -EINTR;
	return 0;
}

void event_wake(struct shm_event *event, int count)
{
	atomic_exchange_explicit(&event->sleepers, 0, memory_order_seq_cst);
	KILL_POINT("event:cleared");
	atomic_fetch_add_explicit(&event->sequence, 1, memory_order_seq_cst);
	KILL_POINT("event:moved");
	syscall(FUTEX_CALL, (void *)&event->sequence, FUTEX_WAKE, count, NULL, NULL, 0);
}

int event_futex_wait(uint32_t *word, uint32_t value, int64_t deadline_ns)
{
	/* FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC: futex(2). */
	struct futex_time deadline = {deadline_ns / 1000000000, deadline_ns % 1000000000};

	if (!syscall(FUTEX_CALL, word, FUTEX_WAIT_BITSET, value,
		     deadline_ns == SHR_FOREVER ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY))
		return 0;
	return -errno;
}

int event_futex_wake(uint32_t *word, int count)
{
	long woken = syscall(FUTEX_CALL, word, FUTEX_WAKE, count, NULL, NULL, 0);

	return woken < 0 ? -errno : (int)woken;
}

int event_futex_wait_any(const struct event_word *words, uint32_t count, int64_t deadline_ns)
{
#if defined(SYS_futex_waitv) && defined(FUTEX_32)
	const struct __kernel_timespec deadline = {deadline_ns / 1000000000, deadline_ns % 1000000000};
	struct futex_waitv waits[FUTEX_WAITV_MAX];

	for (uint32_t i = 0; i < count; i++)
		waits[i] = (struct futex_waitv){
			.val = words[i].value,
			.uaddr = (uintptr_t)words[i].word,
			.flags = FUTEX_32};
	if (syscall(SYS_futex_waitv, waits, count, 0, deadline_ns == SHR_FOREVER ? NULL : &deadline,
		    CLOCK_MONOTONIC) >= 0)
		return 0;
	return errno == EAGAIN || errno == ETIMEDOUT || errno == EINTR ? -errno : -ENOSYS;
#else
	(void)words;
	(void)count;
	(void)deadline_ns;
	return -ENOSYS;
#endif
}
