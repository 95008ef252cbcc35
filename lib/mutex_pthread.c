/* SPDX-License-Identifier: MIT */
/*
 * L3: the other backend of mutexes: robust process-shared pthread mutexes. Their
 * layout is the C library's and differs with the word size, so a segment says
 * whose they are, and others are refused.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include <shmring/base.h>

#include "error.h"
#include "event.h"
#include "mutex.h"

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(((struct shm_mutex *)0)->pthread),
	       "a pthread_mutex_t has its place in a struct shm_mutex");
_Static_assert(_Alignof(pthread_mutex_t) <= 16, "and its alignment");

#ifdef __GLIBC__
#define OWN_LIBC 1
#else
#define OWN_LIBC 2
#endif

static pthread_mutex_t *of(struct shm_mutex *mutex)
{
	return (pthread_mutex_t *)(void *)mutex->pthread;
}

uint32_t mutex_pthread_abi(void)
{
	return FORMAT_LOCKS(FORMAT_LOCKS_PTHREAD, OWN_LIBC, sizeof(pthread_mutex_t));
}

int mutex_pthread_init(struct shm_mutex *mutex)
{
	pthread_mutexattr_t attributes;
	int err = pthread_mutexattr_init(&attributes);

	if (err)
		return -err;
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	err = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	if (!err)
		err = pthread_mutex_init(of(mutex), &attributes);
	pthread_mutexattr_destroy(&attributes);
	return -err;
}

static int result(int err)
{
	switch (err) {
	case ENOTRECOVERABLE:
		return shr_fail(err, "a holder died, and the next one unlocked without "
				     "shr_mutex_consistent()");
	case EDEADLK:
		return shr_fail(err, "this thread holds the mutex already");
	case EPERM:
		return shr_fail(err, "this thread does not hold the mutex");
	case EINVAL:
		return shr_fail(EBADMSG, "the mutex is corrupt: pthread refuses it");
	default:
		return -err;
	}
}

static int lock_once(struct shm_mutex *mutex, int64_t deadline_ns)
{
	struct timespec deadline = {(time_t)(deadline_ns / 1000000000), deadline_ns % 1000000000};

	/*
	 * Not trylock first: where the mutex is not recoverable, glibc 2.36's leaves it
	 * locked by the caller.
	 */
	return result(pthread_mutex_clocklock(of(mutex), CLOCK_MONOTONIC, &deadline));
}

/*
 * The kernel tells of the death; the word says for people who owns it. Nobody can
 * wake a waiter, so it looks every slice whether the segment is current.
 */
int mutex_pthread_lock(const struct shr_segment *segment, struct shm_mutex *mutex, uint32_t me,
		       int64_t deadline_ns)
{
	uint32_t seen, mine;
	int64_t now = event_now();
	int err, counted;

	if (deadline_ns < 0)
		deadline_ns = 0;
	while ((err = lock_once(mutex, deadline_ns - now < EVENT_SLICE_NS
					       ? deadline_ns
					       : now + EVENT_SLICE_NS)) == -ETIMEDOUT) {
		now = event_now();
		if (now >= deadline_ns)
			return err;
		err = segment_stale(segment, 1);
		if (err)
			return err;
	}
	if (err && err != -EOWNERDEAD)
		return err;
	seen = atomic_load_explicit(&mutex->word, memory_order_relaxed);
	if (err && MUTEX_OWNER(seen))
		atomic_store_explicit(&mutex->last_dead, MUTEX_OWNER(seen), memory_order_relaxed);
	do {
		/* Dirty and nobody's: it was swept, and counted then. */
		counted = !MUTEX_OWNER(seen) && seen & MUTEX_DIRTY;
		mine = (seen & ~(MUTEX_OWNER(~0u) | MUTEX_DIRTY)) | me;
		if (err)
			mine = (mine | MUTEX_DIRTY) + (counted ? 0 : MUTEX_ONE_DEATH);
	} while (!atomic_compare_exchange_weak_explicit(
		&mutex->word, &seen, mine, memory_order_acquire, memory_order_relaxed));
	return mutex_taken(mutex, !!err);
}

int mutex_pthread_unlock(struct shm_mutex *mutex, uint32_t seen)
{
	uint32_t lost = seen & MUTEX_DIRTY ? MUTEX_LOST : 0;

	atomic_store_explicit(&mutex->thread, 0, memory_order_relaxed);
	atomic_store_explicit(&mutex->word, (seen & ~(MUTEX_ONE_DEATH - 1)) | lost,
			      memory_order_relaxed);
	return result(pthread_mutex_unlock(of(mutex)));
}

int mutex_pthread_consistent(struct shm_mutex *mutex)
{
	return result(pthread_mutex_consistent(of(mutex)));
}
