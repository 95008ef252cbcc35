/* SPDX-License-Identifier: MIT */
/*
 * L3: the mutex: one word that names its owner, so that whoever proves the
 * owner's death can take it over. Nothing is registered anywhere, so any number
 * can be held, by processes of any word size.
 *
 * States of the word        owner  flags
 *	free                 0      -
 *	held                 me     -
 *	dirty                0      DIRTY
 *	being mended         me     DIRTY
 *	lost                 0      LOST
 * and in the upper half how many owners died holding it, which only changes
 * together with the owner.
 *
 *	0 --lock--> held --unlock--> 0
 *	             '--died--> dirty --lock--> being mended --consistent--> held
 *	             '--died, a waiter proves it--> being mended (of the waiter)
 *	                                        being mended --unlock--> lost
 *
 * Who writes what
 *	owner 0 -> me             anybody, by CAS
 *	me -> 0, DIRTY -> 0       the owner, by plain stores: nobody else may
 *	owner d -> 0 or me, DIRTY whoever holds the byte of the dead d, by one CAS
 *	thread, acquired          the owner; thread and last_dead also as above
 *	waited, waiting_ns        whoever goes to sleep
 *	event                     event.h: unlock is its publisher and wakes one
 *
 * Ordering (pairs)
 *	unlock:A  lock:A    what was changed inside; what is seen inside
 *	sweep:A   lock:A    the same, of the dead: its last store was before its
 *	                    death, which the kernel ordered before the byte was won
 *	notify:A  sleep:A   the word is free, a look at sleepers; sleepers, a look
 *	                    at the word (event.h)
 *
 * Progress. lock, uncontended: one CAS. unlock: one store, and a wake where
 * somebody sleeps. Before each sleep, which is a slice of at most 100 ms, the
 * owner's life is looked at. A wake is for one sleeper and clears the bit of all: who
 * was woken sets it again before it looks at the word (event_prepare()), and who leaves
 * without the mutex passes the wake on.
 *
 * Crash (the kill points have these names)
 *	mutex:taken, mutex:mine  dirty at the next look
 *	mutex:unlocked           free, but the wake is lost: sleepers look again
 *	mutex:waits              nothing: the bit costs the owner a system call
 *	mutex:stolen             being mended by the dead: dirty at the next look
 *	mutex:swept              dirty, but the wake is lost
 *	mutex:consistent         held: dirty at the next look
 */
#include "mutex.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "event.h"
#include "killpoint.h"
#include "member.h"
#include "probe.h"

#define MUTEX_TAG   0x4d555458u
#define MUTEXES_MAX (1u << 24)
#define SPINS       100 /* pauses before it sleeps */
#define SPINS_MAX   16	/* of them at a time */
#define THOROUGH_NS 1000000000 /* a plain rm tells nobody: look now and then */

struct shr_mutex {
	uint32_t tag;  /* 0 in a child */
	uint32_t fast; /* mutexes that the short paths are for: count or 0 */
	uint32_t me;   /* member number; 0: an observer */
	uint32_t count;
	int own_segment;
	int is_pthread;
	int registered; /* for membarrier */
	struct shm_mutex *shm;
	const shm_atomic_u32 *obsolete;
	struct shr_segment *segment;
};

/* --- The word ---------------------------------------------------------------- */

_Thread_local uint32_t mutex_thread_id MUTEX_THREAD_MODEL;

static uint32_t own_thread(void)
{
	if (!mutex_thread_id)
		mutex_thread_id = (uint32_t)syscall(SYS_gettid);
	return mutex_thread_id;
}

void mutex_forget_thread(void)
{
	mutex_thread_id = 0;
}

static int word_possible(uint32_t seen, uint32_t members)
{
	return !(seen & MUTEX_RESERVED) && MUTEX_OWNER(seen) <= members;
}

static int corrupt(uint32_t seen)
{
	return shr_fail(EBADMSG, "the mutex is corrupt: its word is 0x%08x", seen);
}

/* Mine now, with @before as it was: note who, and say whether it must be mended. */
static int taken(struct shm_mutex *mutex, uint32_t before)
{
	uint64_t times = atomic_load_explicit(&mutex->acquired, memory_order_relaxed);

	KILL_POINT("mutex:taken");
	/* Relaxed, both: for people, and for this thread itself. */
	atomic_store_explicit(&mutex->thread, own_thread(), memory_order_relaxed);
	atomic_store_explicit(&mutex->acquired, times + 1, memory_order_relaxed);
	KILL_POINT("mutex:mine");
	return before & MUTEX_DIRTY ? -EOWNERDEAD : 0;
}

int mutex_taken(struct shm_mutex *mutex, int dirty)
{
	return taken(mutex, dirty ? MUTEX_DIRTY : 0);
}

static int take(struct shm_mutex *mutex, uint32_t *seen, uint32_t me)
{
	/* lock:A. Acquire: what the last owner did. Pairs with unlock:A, sweep:A. */
	return atomic_compare_exchange_strong_explicit(&mutex->word, seen, *seen | me,
						       memory_order_acquire, memory_order_relaxed);
}

/*
 * With the byte of the dead @owner held: is the word still its? Then it is mine.
 * 1, or 0 it changed.
 */
static int steal(struct shm_mutex *mutex, uint32_t owner, uint32_t me)
{
	/* Read now: before the byte was won another may have taken it, and given the byte back. */
	uint32_t seen = atomic_load_explicit(&mutex->word, memory_order_acquire);

	while (MUTEX_OWNER(seen) == owner) {
		uint32_t mine = ((seen & ~MUTEX_OWNER(~0u)) | me | MUTEX_DIRTY) + MUTEX_ONE_DEATH;

		/* Not the id of the dead: it might be that of a thread of this process, too. */
		atomic_store_explicit(&mutex->thread, 0, memory_order_relaxed);
		atomic_store_explicit(&mutex->last_dead, owner, memory_order_relaxed);
		/* sweep:A. Acquire and release: the bytes of the dead, and then the mender's. */
		if (atomic_compare_exchange_strong_explicit(&mutex->word, &seen, mine,
							    memory_order_acq_rel,
							    memory_order_relaxed)) {
			KILL_POINT("mutex:stolen");
			return 1;
		}
	}
	return 0;
}

/* -EOWNERDEAD: it is mine now; 0: the owner lives, or it changed. */
static int look_at_owner(const struct shr_segment *segment, struct shm_mutex *mutex, uint32_t me)
{
	uint32_t seen = atomic_load_explicit(&mutex->word, memory_order_relaxed);
	uint32_t owner = MUTEX_OWNER(seen);
	int token, mine, err;

	if (!word_possible(seen, segment->layout.header.members))
		return corrupt(seen);
	/* Nobody, or a thread of this process; and first the cheap question. */
	if (!owner || owner == me || member_held(segment->door, owner - 1) > 0)
		return 0;
	err = member_win(segment, owner - 1, &token);
	if (err) /* not dead; or it cannot be told, and nobody should wait for ever for that */
		return err == -EBUSY ? 0 : err;
	mine = steal(mutex, owner, me);
	member_release(token, owner - 1);
	PROBE(repair, owner, me, "mutex");
	return mine ? taken(mutex, MUTEX_DIRTY) : 0;
}

/* One try at the word: -EAGAIN if it is another's. */
static int try_word(const struct shr_segment *segment, struct shm_mutex *mutex, uint32_t me)
{
	uint32_t seen = atomic_load_explicit(&mutex->word, memory_order_relaxed);

	for (;;) {
		if (!word_possible(seen, segment->layout.header.members))
			return corrupt(seen);
		if (seen & MUTEX_LOST)
			return shr_fail(ENOTRECOVERABLE, "a holder died, and the next one unlocked "
							 "without shr_mutex_consistent()");
		if (MUTEX_OWNER(seen))
			return -EAGAIN;
		if (take(mutex, &seen, me))
			return taken(mutex, seen);
	}
}

/* For people: since when somebody waits. */
static void note_wait(struct shm_mutex *mutex)
{
	struct timespec now;

	atomic_fetch_add_explicit(&mutex->waited, 1, memory_order_relaxed);
	if (atomic_load_explicit(&mutex->event.sleepers, memory_order_relaxed))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	atomic_store_explicit(&mutex->waiting_ns,
			      (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
			      memory_order_relaxed);
}

/*
 * Sleep until the mutex is mine. Whoever leaves without it passes on the wake
 * that it may have got: another may sleep for it.
 */
static int sleep_for(const struct shr_segment *segment, struct shm_mutex *mutex, uint32_t me,
		     int64_t deadline_ns)
{
	int64_t now = event_now(), looked = now, slice = 0;
	int err;

	note_wait(mutex);
	for (;;) {
		uint32_t sequence;
		int64_t first = event_prepare(&mutex->event, segment->membarrier, &sequence);

		KILL_POINT("mutex:waits");
		err = try_word(segment, mutex, me);
		if (err != -EAGAIN)
			break;
		/* It may be dead already; if it dies later, that is seen after this slice. */
		err = look_at_owner(segment, mutex, me);
		if (!err && now >= deadline_ns)
			err = -ETIMEDOUT;
		if (!err)
			err = segment_stale(segment, now - looked > THOROUGH_NS);
		if (err)
			break;
		if (now - looked > THOROUGH_NS)
			looked = now;
		slice = slice ? (slice * 2 < EVENT_SLICE_NS ? slice * 2 : EVENT_SLICE_NS) : first;
		event_futex_wait((uint32_t *)&mutex->event.sequence, sequence,
				 deadline_ns - now < slice ? deadline_ns : now + slice);
		now = event_now();
	}
	/*
	 * Where it is mine, others that sleep are not forgotten: the bit is set since
	 * event_prepare(), or was taken for a wake whose sleeper sets it again.
	 */
	if (err && err != -EOWNERDEAD)
		event_notify(&mutex->event, segment->registered, 1);
	return err;
}

/* It is this thread that stored its id, if this thread is the owner. */
static int is_mine(const struct shm_mutex *mutex, uint32_t me)
{
	return MUTEX_OWNER(atomic_load_explicit(&mutex->word, memory_order_relaxed)) == me &&
	       atomic_load_explicit(&mutex->thread, memory_order_relaxed) == own_thread();
}

int mutex_word_lock(const struct shr_segment *segment, struct shm_mutex *mutex, uint32_t me,
		    int64_t deadline_ns)
{
	int err;

	if (is_mine(mutex, me))
		return shr_fail(EDEADLK, "this thread holds the mutex already");
	/*
	 * Each look takes the line from the owner, who then waits for it to unlock. So looks
	 * become rare: two that write one record of a table do 9.6 M/s where it was 6.1,
	 * far 6.6 where it was 3.9.
	 */
	for (int spun = 0, pauses = 1; spun < SPINS; pauses = pauses < SPINS_MAX ? 2 * pauses : pauses) {
		err = try_word(segment, mutex, me);
		if (err != -EAGAIN)
			return err;
		for (int i = 0; i < pauses; i++)
			event_pause();
		spun += pauses;
	}
	return sleep_for(segment, mutex, me, deadline_ns);
}

/* @dead owns it no more, if it does. */
static void orphan(struct shm_mutex *mutex, uint32_t dead, int is_pthread)
{
	uint32_t seen = atomic_load_explicit(&mutex->word, memory_order_relaxed), dirty;

	while (MUTEX_OWNER(seen) == dead) {
		dirty = ((seen & ~MUTEX_OWNER(~0u)) | MUTEX_DIRTY) + MUTEX_ONE_DEATH;
		/* With pthread the next owner does not wait for this, and may have stored its own.
		 */
		if (!is_pthread)
			atomic_store_explicit(&mutex->thread, 0, memory_order_relaxed);
		atomic_store_explicit(&mutex->last_dead, dead, memory_order_relaxed);
		/* sweep:A. Release: the bytes of the dead. Pairs with lock:A. */
		if (!atomic_compare_exchange_weak_explicit(
			    &mutex->word, &seen, dirty, memory_order_acq_rel, memory_order_relaxed))
			continue;
		KILL_POINT("mutex:swept");
		event_notify(&mutex->event, 0, 1);
		return;
	}
}

/* --- For layers above ---------------------------------------------------------- */

uint32_t mutex_word_consistent(struct shm_mutex *mutex, uint32_t seen)
{
	/* Release: whoever finds it well finds it mended. Pairs with lock:A. */
	atomic_store_explicit(&mutex->word, seen & ~MUTEX_DIRTY, memory_order_release);
	KILL_POINT("mutex:consistent");
	return seen & ~MUTEX_DIRTY;
}

void mutex_word_leave(struct shm_mutex *mutex, uint32_t seen, int registered)
{
	atomic_store_explicit(&mutex->thread, 0, memory_order_relaxed);
	/* unlock:A. Release, and dirty as before. Pairs with lock:A. */
	atomic_store_explicit(&mutex->word, seen & ~MUTEX_OWNER(~0u), memory_order_release);
	KILL_POINT("mutex:unlocked");
	event_notify(&mutex->event, registered, 1);
}

void mutex_word_orphan(struct shm_mutex *mutex, uint32_t dead)
{
	orphan(mutex, dead, 0);
}

int mutex_word_give_back(struct shm_mutex *mutex, uint32_t me)
{
	uint32_t thread = atomic_load_explicit(&mutex->thread, memory_order_relaxed);

	if (mutex_word_owner(mutex) != me)
		return 0;
	if (thread && !syscall(SYS_tgkill, getpid(), (pid_t)thread, 0))
		return -EBUSY;
	orphan(mutex, me, 0);
	return 0;
}

/* --- Handles ----------------------------------------------------------------- */

int shr_mutex_describe(struct shr_object *object, const char *name, uint32_t count)
{
	if (!count)
		count = 1;
	if (count > MUTEXES_MAX)
		return shr_fail(EINVAL, "%u mutexes are over %u", count, MUTEXES_MAX);
	return kind_describe(object, SHR_OBJECT_MUTEX, name, count,
			     (uint64_t)count * sizeof(struct shm_mutex));
}

int shr_mutex_attach(struct shr_mutex **result, struct shr_segment *segment,
		     const char *object_name)
{
	const struct shm_header *h;
	struct shr_mutex *mutex;
	int index;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	index = segment_find(segment, object_name, SHR_OBJECT_MUTEX, "mutexes");
	if (index < 0)
		return index;
	h = &segment->layout.header;
	if (FORMAT_LOCKS_BACKEND(h->locks) == FORMAT_LOCKS_PTHREAD &&
	    h->locks != mutex_pthread_abi())
		return shr_fail(
			EPROTO,
			"the mutexes of this segment are pthread mutexes of %u bytes, of a process "
			"of another word size or C library; here they have %u. Make the segment "
			"with SHR_LOCKS_WORD to share it",
			FORMAT_LOCKS_SIZE(h->locks), FORMAT_LOCKS_SIZE(mutex_pthread_abi()));
	mutex = handle_alloc(sizeof(*mutex));
	if (!mutex)
		return shr_fail(ENOMEM, "out of memory");
	mutex->segment = segment;
	mutex->me = segment->slot == SLOT_NONE ? 0 : segment->slot + 1;
	mutex->registered = segment->registered;
	mutex->count = (uint32_t)h->directory[index].param[0];
	mutex->is_pthread = FORMAT_LOCKS_BACKEND(h->locks) == FORMAT_LOCKS_PTHREAD;
	mutex->fast = mutex->me && !mutex->is_pthread && mutex->registered ? mutex->count : 0;
	mutex->shm = (struct shm_mutex *)(void *)(segment->base + h->directory[index].offset);
	mutex->obsolete = &segment_header(segment)->obsolete;
	mutex->tag = MUTEX_TAG;
	atomic_fetch_add(&segment->users, 1);
	*result = mutex;
	return 0;
}

int shr_mutex_open(struct shr_mutex **result, const char *name, const char *mode, uint32_t count,
		   const struct shr_segment_options *segment_options)
{
	struct shr_segment *segment = NULL;
	struct shr_object object;
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	err = shr_mutex_describe(&object, "mutex", count);
	if (!err)
		err = segment_open_one(&segment, name, mode, &object, segment_options);
	if (err)
		return err;
	err = shr_mutex_attach(result, segment, "mutex");
	if (err)
		shr_segment_detach(segment);
	else
		(*result)->own_segment = 1;
	return err;
}

/*
 * Before the segment is detached: a mutex whose thread lives is held, -EBUSY; one
 * whose thread has ended is an orphan.
 */
static int give_back(struct shr_mutex *mutex, struct shm_mutex *shm)
{
	if (mutex->is_pthread)
		return mutex_word_owner(shm) == mutex->me ? -EBUSY : 0;
	return mutex_word_give_back(shm, mutex->me);
}

int shr_mutex_close(struct shr_mutex *mutex)
{
	int err;

	if (!mutex)
		return 0;
	if (mutex->tag == MUTEX_TAG) {
		for (uint32_t i = 0; mutex->me && i < mutex->count; i++)
			if (give_back(mutex, &mutex->shm[i]))
				return shr_fail(EBUSY,
						"a thread of this process holds mutex %u: "
						"unlock it first",
						i);
		err = segment_let_go(mutex->segment, mutex->own_segment);
		if (err)
			return err;
	}
	handle_free(mutex, sizeof(*mutex));
	return 0;
}

uint32_t shr_mutex_count(const struct shr_mutex *mutex)
{
	return mutex->count;
}

struct shr_segment *shr_mutex_segment(const struct shr_mutex *mutex)
{
	return mutex->segment;
}

/* --- Calls ------------------------------------------------------------------- */

/* Why this handle cannot do anything with mutex @index. */
static int refuse(const struct shr_mutex *mutex, uint32_t index)
{
	if (mutex->tag != MUTEX_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (index >= mutex->count)
		return shr_fail(EINVAL, "there are %u mutexes, and no number %u", mutex->count,
				index);
	return shr_fail(EROFS, HANDLE_OBSERVES);
}

static int usable(const struct shr_mutex *mutex, uint32_t index)
{
	/* In a child all of it is zero: no index is below the count. */
	return index < mutex->count && mutex->me;
}

static int lock_until(struct shr_mutex *mutex, uint32_t index, int64_t deadline_ns)
{
	struct shm_mutex *shm = &mutex->shm[index];

	if (mutex->is_pthread)
		return mutex_pthread_lock(mutex->segment, shm, mutex->me, deadline_ns);
	return mutex_word_lock(mutex->segment, shm, mutex->me, deadline_ns);
}

static int lock_check(const struct shr_mutex *mutex, uint32_t index)
{
	if (!usable(mutex, index))
		return refuse(mutex, index);
	/* Acquire: nothing inside is done before. */
	if (atomic_load_explicit(mutex->obsolete, memory_order_acquire))
		return segment_stale(mutex->segment, 0);
	return 0;
}

static __attribute__((noinline)) int lock_slow(struct shr_mutex *mutex, uint32_t index,
					       int64_t deadline_ns)
{
	int err = lock_check(mutex, index);

	return err ? err : lock_until(mutex, index, deadline_ns);
}

/* Free, without a flag, in a segment that is current: what a lock mostly is. */
static inline int lock_fast(struct shr_mutex *mutex, uint32_t index)
{
	struct shm_mutex *shm;
	uint32_t seen;

	if (__builtin_expect(index >= mutex->fast, 0) ||
	    atomic_load_explicit(mutex->obsolete, memory_order_acquire))
		return 0;
	shm = &mutex->shm[index];
	seen = atomic_load_explicit(&shm->word, memory_order_relaxed);
	if (seen & (MUTEX_ONE_DEATH - 1) || !take(shm, &seen, mutex->me))
		return 0;
	taken(shm, 0);
	return 1;
}

int shr_mutex_lock(struct shr_mutex *mutex, uint32_t index)
{
	return lock_fast(mutex, index) ? 0 : lock_slow(mutex, index, SHR_FOREVER);
}

int shr_mutex_lock_until(struct shr_mutex *mutex, uint32_t index, int64_t deadline_ns)
{
	return lock_fast(mutex, index) ? 0 : lock_slow(mutex, index, deadline_ns);
}

int shr_mutex_try(struct shr_mutex *mutex, uint32_t index)
{
	struct shm_mutex *shm;
	int err;

	if (lock_fast(mutex, index))
		return 0;
	err = lock_check(mutex, index);
	if (err)
		return err;
	shm = &mutex->shm[index];
	if (mutex->is_pthread) {
		err = mutex_pthread_lock(mutex->segment, shm, mutex->me, 0);
		return err == -ETIMEDOUT ? -EBUSY : err;
	}
	if (is_mine(shm, mutex->me))
		return shr_fail(EDEADLK, "this thread holds the mutex already");
	err = try_word(mutex->segment, shm, mutex->me);
	if (err == -EAGAIN)
		err = look_at_owner(mutex->segment, shm, mutex->me);
	else
		return err;
	return err ? err : -EBUSY;
}

/* Does this thread hold it? */
static int hold_check(const struct shr_mutex *mutex, uint32_t index, uint32_t *seen)
{
	if (!usable(mutex, index))
		return refuse(mutex, index);
	if (mutex_word_held(&mutex->shm[index], mutex->me, seen))
		return shr_fail(EPERM, "this thread does not hold the mutex");
	return 0;
}

static __attribute__((noinline)) int unlock_slow(struct shr_mutex *mutex, uint32_t index)
{
	struct shm_mutex *shm;
	uint32_t seen;
	int err = hold_check(mutex, index, &seen);

	if (err)
		return err;
	shm = &mutex->shm[index];
	if (!mutex->is_pthread) {
		mutex_word_unlock(shm, seen, mutex->registered);
		return 0;
	}
	return mutex_pthread_unlock(shm, seen);
}

int shr_mutex_unlock(struct shr_mutex *mutex, uint32_t index)
{
	struct shm_mutex *shm;
	uint32_t seen;

	if (__builtin_expect(index >= mutex->fast, 0))
		return unlock_slow(mutex, index);
	shm = &mutex->shm[index];
	seen = atomic_load_explicit(&shm->word, memory_order_relaxed);
	/* Not dirty, and this thread's, which has an id if it ever locked one. */
	if (!mutex_thread_id || (seen & (MUTEX_ONE_DEATH - 1)) != mutex->me ||
	    atomic_load_explicit(&shm->thread, memory_order_relaxed) != mutex_thread_id)
		return unlock_slow(mutex, index);
	mutex_word_unlock(shm, seen, 1);
	return 0;
}

int shr_mutex_consistent(struct shr_mutex *mutex, uint32_t index)
{
	uint32_t seen;
	int err = hold_check(mutex, index, &seen);

	if (err)
		return err;
	if (!(seen & MUTEX_DIRTY))
		return shr_fail(EINVAL, "the mutex is not dirty");
	if (mutex->is_pthread)
		err = mutex_pthread_consistent(&mutex->shm[index]);
	if (!err)
		mutex_word_consistent(&mutex->shm[index], seen);
	return err;
}

int shr_mutex_reset(struct shr_mutex *mutex, uint32_t index)
{
	uint32_t seen;

	if (!usable(mutex, index))
		return refuse(mutex, index);
	if (mutex->is_pthread)
		return shr_fail(EOPNOTSUPP,
				"a pthread mutex cannot be reset while others may use it");
	seen = atomic_load_explicit(&mutex->shm[index].word, memory_order_relaxed);
	if (!(seen & MUTEX_LOST) || MUTEX_OWNER(seen) ||
	    !atomic_compare_exchange_strong_explicit(&mutex->shm[index].word, &seen,
						     (seen & ~MUTEX_LOST) | MUTEX_DIRTY,
						     memory_order_acq_rel, memory_order_relaxed))
		return shr_fail(EINVAL, "the mutex is not unrecoverable");
	return 0;
}

/* --- Looking at it ----------------------------------------------------------- */

int mutex_view(struct shr_mutex_info *info, const struct shm_mutex *mutex, uint32_t members)
{
	uint32_t word = atomic_load_explicit(&mutex->word, memory_order_relaxed);
	int owned = !!MUTEX_OWNER(word);

	if (!word_possible(word, members))
		return corrupt(word);
	*info = (struct shr_mutex_info){
		.owner = MUTEX_OWNER(word),
		.thread = atomic_load_explicit(&mutex->thread, memory_order_relaxed),
		.waiters = !!atomic_load_explicit(&mutex->event.sleepers, memory_order_relaxed),
		.acquired = atomic_load_explicit(&mutex->acquired, memory_order_relaxed),
		.waited = atomic_load_explicit(&mutex->waited, memory_order_relaxed),
		.last_dead = atomic_load_explicit(&mutex->last_dead, memory_order_relaxed),
		.deaths = MUTEX_DEATHS(word)};
	if (info->waiters)
		info->waiting_ns = atomic_load_explicit(&mutex->waiting_ns, memory_order_relaxed);
	if (!owned)
		info->thread = 0;
	info->state = word & MUTEX_LOST    ? SHR_MUTEX_LOST
		      : word & MUTEX_DIRTY ? (owned ? SHR_MUTEX_MENDING : SHR_MUTEX_DIRTY)
		      : owned              ? SHR_MUTEX_HELD
					   : SHR_MUTEX_FREE;
	return 0;
}

int shr_mutex_get(const struct shr_mutex *mutex, uint32_t index, struct shr_mutex_info *info)
{
	if (index >= mutex->count)
		return refuse(mutex, index);
	return mutex_view(info, &mutex->shm[index], mutex->segment->layout.header.members);
}

/* --- For the segment --------------------------------------------------------- */

int mutex_entry_check(const struct shm_object *entry)
{
	if (entry->flags || !entry->param[0] || entry->param[0] > MUTEXES_MAX || entry->param[1] ||
	    entry->param[2] || entry->param[3] || entry->param[4] ||
	    entry->size != entry->param[0] * sizeof(struct shm_mutex))
		return shr_fail(EBADMSG, "mutexes %.47s have an impossible count", entry->name);
	return 0;
}

int mutex_init(void *object, const struct shm_object *entry, uint32_t locks)
{
	struct shm_mutex *mutex = object;
	int err = 0;

	if (FORMAT_LOCKS_BACKEND(locks) == FORMAT_LOCKS_PTHREAD)
		for (uint64_t i = 0; i < entry->param[0] && !err; i++)
			err = mutex_pthread_init(&mutex[i]);
	return err;
}

void mutex_sweep(void *object, const struct shm_object *entry, uint32_t locks, uint32_t dead)
{
	struct shm_mutex *mutex = object;

	for (uint64_t i = 0; i < entry->param[0]; i++)
		orphan(&mutex[i], dead, FORMAT_LOCKS_BACKEND(locks) == FORMAT_LOCKS_PTHREAD);
}

void mutex_wake(void *object, const struct shm_object *entry)
{
	struct shm_mutex *mutex = object;

	for (uint64_t i = 0; i < entry->param[0]; i++)
		event_notify(&mutex[i].event, 0, INT_MAX);
}
