/* SPDX-License-Identifier: MIT */
/* L3: mutexes. The protocol is at the top of mutex.c. */
#ifndef LIB_MUTEX_H
#define LIB_MUTEX_H

#include <errno.h>
#include <limits.h>

#include <shmring/lock.h>

#include "attached.h"
#include "event.h"
#include "format.h"
#include "killpoint.h"

/*
 * Of this thread: gettid(2), asked once. initial-exec is one load, in a library,
 * too; glibc keeps some room for libraries that are loaded later, others do not.
 */
#ifdef __GLIBC__
#define MUTEX_THREAD_MODEL __attribute__((tls_model("initial-exec")))
#else
#define MUTEX_THREAD_MODEL
#endif

/* For kinds.c */
int mutex_entry_check(const struct shm_object *entry);
int mutex_init(void *object, const struct shm_object *entry, uint32_t locks);
void mutex_sweep(void *object, const struct shm_object *entry, uint32_t locks, uint32_t dead);
void mutex_wake(void *object, const struct shm_object *entry);

/* In a child: the thread has another id. */
void mutex_forget_thread(void);

/* What people are shown, from an untrusted copy: 0 or -EBADMSG. */
int mutex_view(struct shr_mutex_info *info, const struct shm_mutex *mutex, uint32_t members);

/*
 * The one word by itself, for layers above. @me is the caller's member number.
 * lock: 0, -EOWNERDEAD, -ENOTRECOVERABLE, -ETIMEDOUT, -EDEADLK, -ESTALE, -EBADMSG.
 */
int mutex_word_lock(const struct shr_segment *segment, struct shm_mutex *mutex, uint32_t me,
		    int64_t deadline_ns);

/*
 * The short way: it is free and without a flag, and this thread has locked one
 * before. 1 locked, or 0: mutex_word_lock().
 */
extern __attribute__((visibility("hidden"))) _Thread_local uint32_t mutex_thread_id MUTEX_THREAD_MODEL;
static inline int mutex_word_fast(struct shm_mutex *mutex, uint32_t me)
{
	uint32_t seen = atomic_load_explicit(&mutex->word, memory_order_relaxed);
	uint32_t thread = mutex_thread_id;

	/* lock:A. Acquire: what the last owner did. Pairs with unlock:A, sweep:A. */
	if (!thread || seen & (MUTEX_ONE_DEATH - 1) ||
	    !atomic_compare_exchange_strong_explicit(&mutex->word, &seen, seen | me,
						     memory_order_acquire, memory_order_relaxed))
		return 0;
	KILL_POINT("mutex:taken");
	/* Relaxed, both: for people, and for this thread itself. */
	atomic_store_explicit(&mutex->thread, thread, memory_order_relaxed);
	atomic_store_explicit(&mutex->acquired,
			      atomic_load_explicit(&mutex->acquired, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	KILL_POINT("mutex:mine");
	return 1;
}

/* Does this thread hold it? 0 and *@seen is the word, or -EPERM. */
static inline int mutex_word_held(const struct shm_mutex *mutex, uint32_t me, uint32_t *seen)
{
	*seen = atomic_load_explicit(&mutex->word, memory_order_relaxed);
	if (MUTEX_OWNER(*seen) != me || !mutex_thread_id ||
	    atomic_load_explicit(&mutex->thread, memory_order_relaxed) != mutex_thread_id)
		return -EPERM;
	return 0;
}

/* By who holds it, with the word that it has now. consistent() returns the new word. */
uint32_t mutex_word_consistent(struct shm_mutex *mutex, uint32_t seen);
/* Free it, well or lost. Nobody else changes the word of a living owner. */
static inline void mutex_word_unlock(struct shm_mutex *mutex, uint32_t seen, int registered)
{
	uint32_t lost = seen & MUTEX_DIRTY ? MUTEX_LOST : 0;

	atomic_store_explicit(&mutex->thread, 0, memory_order_relaxed);
	/* unlock:A. Release: what was changed inside. Pairs with lock:A. */
	atomic_store_explicit(&mutex->word, (seen & ~(MUTEX_ONE_DEATH - 1)) | lost,
			      memory_order_release);
	KILL_POINT("mutex:unlocked");
	event_notify(&mutex->event, registered, lost ? INT_MAX : 1);
}

/* Unlock a dirty one as it is: the next one is told -EOWNERDEAD, too. */
void mutex_word_leave(struct shm_mutex *mutex, uint32_t seen, int registered);

/* With the byte of @dead held: it owns it no more. */
void mutex_word_orphan(struct shm_mutex *mutex, uint32_t dead);
static inline uint32_t mutex_word_owner(const struct shm_mutex *mutex)
{
	return MUTEX_OWNER(atomic_load_explicit(&mutex->word, memory_order_relaxed));
}

/* At the end of a handle: -EBUSY a thread of this process holds it; of one that has ended: 0. */
int mutex_word_give_back(struct shm_mutex *mutex, uint32_t me);

/* Note who has it now: 0, or -EOWNERDEAD if @dirty. */
int mutex_taken(struct shm_mutex *mutex, int dirty);

/* mutex_pthread.c: the other backend. Same results. @seen is the word. */
uint32_t mutex_pthread_abi(void);
int mutex_pthread_init(struct shm_mutex *mutex);
int mutex_pthread_lock(const struct shr_segment *segment, struct shm_mutex *mutex, uint32_t me,
		       int64_t deadline_ns);
int mutex_pthread_unlock(struct shm_mutex *mutex, uint32_t seen);
int mutex_pthread_consistent(struct shm_mutex *mutex);

#endif
