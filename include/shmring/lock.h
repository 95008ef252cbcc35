/* SPDX-License-Identifier: MIT */
/*
 * L3: who is attached to a segment and who has died there, mutexes that the
 * death of their holder cannot orphan, and events to sleep on.
 *
 * All three stand on one fact: an attached process holds a lock of the kernel
 * that ends exactly when it can no longer write to the segment (segment.h).
 * Winning that lock is the only proof of death. A process that is stopped,
 * traced or slow is alive, however long it takes.
 *
 * A service that wants nothing but a lock between processes needs one call:
 *
 *	struct shr_mutex *mutex = NULL;
 *
 *	shr_mutex_open(&mutex, "/my-lock", "+>", 1, NULL);
 *	switch (shr_mutex_lock(mutex, 0)) {
 *	case -EOWNERDEAD:
 *		repair();		// the last holder died inside
 *		shr_mutex_consistent(mutex, 0);
 *		// fall through
 *	case 0:
 *		change();
 *		shr_mutex_unlock(mutex, 0);
 *	}
 *
 * Threads. Handles may be shared by threads, but for opening and closing.
 * In a child made by fork() every call says -ECHILD, close frees its copy.
 */
#ifndef SHMRING_LOCK_H
#define SHMRING_LOCK_H

#include <shmring/base.h>
#include <shmring/segment.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Members ----------------------------------------------------------------- */

/* What a slot of the member table is. */
#define SHR_MEMBER_FREE 0
#define SHR_MEMBER_ALIVE 1   /* its process is attached */
#define SHR_MEMBER_DEAD 2    /* its process died; the next attach or sweep mends what it left */
#define SHR_MEMBER_COMING 3  /* somebody is just attaching, detaching or mending */
#define SHR_MEMBER_UNKNOWN 4 /* used, and no lock here tells whether it lives */

/* A member that died. All of it is for people, and written by peers. */
struct shr_death {
	uint32_t number; /* of its slot, which may be another's by now */
	uint32_t pid;	 /* in its own pid namespace */
	uint32_t same_namespace; /* 1: the pid was one of ours */
	uint32_t by;		 /* number of the member that proved the death */
	uint64_t deaths;      /* in this slot so far */
	uint64_t start_time;  /* field 22 of /proc/PID/stat: clock ticks since boot */
	uint64_t attached_ns; /* CLOCK_REALTIME */
	uint64_t noticed_ns;  /* CLOCK_REALTIME, when the death was proved */
	char command[17];     /* zero terminated; any bytes */
	char role[17];
};

struct shr_member_info {
	uint32_t number; /* as in shr_record.member */
	uint32_t state;	 /* SHR_MEMBER_* */
	uint32_t pid;	 /* in its own pid namespace, as all that follows for people */
	uint32_t same_namespace; /* 1: the pid is one of ours */
	uint64_t start_time;  /* field 22 of /proc/PID/stat: clock ticks since boot */
	uint64_t attached_ns; /* CLOCK_REALTIME */
	uint64_t attaches;    /* of this slot since the segment was made */
	uint64_t detaches;    /* the rest died, but for the one that lives */
	char command[17];     /* zero terminated; any bytes */
	char role[17];
	struct shr_death death; /* the last one in this slot; .deaths 0: none */
};

/*
 * Slot @number of the member table, 1 to SHR_MEMBERS_MAX. For an observer too.
 *
 * Threads:  any.  Progress: a few system calls.
 * Returns:  0, or -ENOENT no such slot, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_member_get(const struct shr_segment *segment, uint32_t number,
			   struct shr_member_info *info);

/*
 * Does a living process hold slot @number? One system call (F_OFD_GETLK,
 * fcntl(2)); true at some time during it. Somebody who is just mending what a
 * dead one left counts as living.
 *
 * Returns:  1, 0, or -ENOENT no such slot, -EOPNOTSUPP no lock here tells, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_member_alive(const struct shr_segment *segment, uint32_t number);

/*
 * Mend at once what every dead member left: its mutexes become free and dirty
 * (the next one to lock them gets -EOWNERDEAD), its unfinished records are
 * skipped, its roles and its slot are free. Waiters and the next attach do the
 * same when they come upon it; this is for who wants it done now.
 *
 * @died (may be NULL) is called for each death that was proved since this handle
 * was attached and not reported to it yet, whoever proved it: once for each
 * slot, with the last one. If .deaths grew by more than 1 since the
 * last report of that slot, the others are counted and not named.
 *
 * Threads:  any; reports go to one of those that call at the same time.
 * Progress: a few system calls for each dead member; bounded.
 * Crash:    a sweep that is killed is begun anew by the next.
 * Returns:  how many deaths were reported (0 or more), or -EROFS an observer's
 *           handle, -EOPNOTSUPP there is an object of a kind that this library
 *           cannot mend, -EACCES, -EMFILE and the like: a death cannot be
 *           proved, -EBADMSG, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_member_sweep(struct shr_segment *segment,
			     void (*died)(const struct shr_death *death, void *argument),
			     void *argument);

/*
 * Sleep until there is a death to report, then as shr_member_sweep(). A member
 * of the same pid namespace wakes it when it ends (pidfd_open(2), a hint only),
 * others are looked at ten times a second.
 *
 * Threads:  any.  Progress: blocks; uses a descriptor for each living member
 *           while it sleeps, where there are enough.
 * Returns:  1 or more, or -ETIMEDOUT, -EINTR, -ESTALE the segment is obsolete,
 *           or as shr_member_sweep()
 * Since:    0.1
 */
SHR_API int shr_member_wait_until(struct shr_segment *segment,
				  void (*died)(const struct shr_death *death, void *argument),
				  void *argument, int64_t deadline_ns);

/* --- Mutexes ----------------------------------------------------------------- */

/*
 * An object of a segment is an array of mutexes; a program locks mutex @index of
 * it, from 0. One process may hold any number of them.
 *
 * Not recursive. A mutex is a thread's: who locked it unlocks it. A thread that
 * ends while it holds one, in a process that lives on, holds it still, as with a
 * plain pthread mutex; shr_mutex_get() has its thread id. With the pthread
 * backend the kernel tells that too, as -EOWNERDEAD.
 *
 * Backends (shr_segment_options.locks, of the whole segment). The default is a
 * word of our own: the same for 32 and 64 bits, any number held. SHR_LOCKS_PTHREAD
 * are robust process-shared pthread mutexes: only for processes of the same word
 * size and C library as the creator, the kernel stops telling of deaths beyond
 * 2,048 held at a time and of a holder that unmaps, and a peer that spoils one can
 * crash whoever uses it: glibc follows pointers in it. Who waits is not seen there.
 *
 * Crash, of the holder, at any instruction: the next one to lock gets
 * -EOWNERDEAD, once; nobody else gets in until it has called
 * shr_mutex_consistent(). If it dies too, the next one gets -EOWNERDEAD. All
 * those deaths are counted.
 */
struct shr_mutex;

/* Fill @object for shr_segment_create() with @count mutexes (0: 1). -EINVAL. Since 0.1. */
SHR_API int shr_mutex_describe(struct shr_object *object, const char *name, uint32_t count);

/*
 * The mutexes @object_name of an attached segment. *@mutex must be NULL. The
 * segment must stay attached until they are closed.
 *
 * Returns:  0, or -ENOENT no such object, -EPROTOTYPE no mutexes, -EPROTO the
 *                 segment's mutexes are pthread's of another word size or C
 *                 library, -EBADMSG, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_mutex_attach(struct shr_mutex **mutex, struct shr_segment *segment,
			     const char *object_name);

/*
 * In one call: the segment @name that holds @count mutexes, named "mutex". @mode
 * "+<" attaches to it, "+>" creates it if it is absent. *@mutex must be NULL.
 *
 * Returns:  0, or what shr_segment_create(), shr_segment_attach() and
 *           shr_mutex_attach() say
 * Since:    0.1
 */
SHR_API int shr_mutex_open(struct shr_mutex **mutex, const char *name, const char *mode,
			   uint32_t count, const struct shr_segment_options *segment_options);

/*
 * Close; -EBUSY while a thread of this process holds one of them. One whose thread
 * has ended is dirty from now on, as if its process had died. NULL is allowed.
 * Since 0.1.
 */
SHR_API int shr_mutex_close(struct shr_mutex *mutex);

/* How many there are; and the segment they lie in. Since 0.1. */
SHR_API uint32_t shr_mutex_count(const struct shr_mutex *mutex);
SHR_API struct shr_segment *shr_mutex_segment(const struct shr_mutex *mutex);

/*
 * Lock mutex @index: at once or not at all; however long it takes; until
 * @deadline_ns on CLOCK_MONOTONIC (shr_deadline_ns()).
 *
 * Threads:  any.
 * Progress: uncontended, one atomic operation. Contended, spins a little, then
 *           sleeps, and looks ten times a second whether the owner lives. Not
 *           ended by signals, as pthread_mutex_lock(3): who wants that, locks
 *           until a deadline, again and again.
 * Crash:    see above. Killed while it waits, it leaves nothing behind.
 * Returns:  0, or -EOWNERDEAD        locked, but a holder died inside: repair
 *                                    what it protects, call
 *                                    shr_mutex_consistent(), unlock
 *                 -ENOTRECOVERABLE   nobody repaired it: see shr_mutex_reset()
 *                 -EBUSY             try: another holds it
 *                 -ETIMEDOUT         the deadline came first
 *                 -EDEADLK           this thread holds it already
 *                 -ESTALE            the segment is obsolete: a lock there would
 *                                    keep out nobody who uses its successor
 *                 -EINVAL            no mutex of that index
 *                 -EACCES, -EMFILE   (and what else open(2) says) the holder
 *                                    seems dead, and that cannot be proved: this
 *                                    process may not open the segment again
 *                 -EROFS an observer's handle, -EBADMSG, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_mutex_try(struct shr_mutex *mutex, uint32_t index);
SHR_API int shr_mutex_lock(struct shr_mutex *mutex, uint32_t index);
SHR_API int shr_mutex_lock_until(struct shr_mutex *mutex, uint32_t index, int64_t deadline_ns);

/*
 * Unlock. After -EOWNERDEAD and without shr_mutex_consistent() this makes the
 * mutex unrecoverable. Works in an obsolete segment too.
 *
 * Progress: wait-free but for a wake.
 * Returns:  0, or -EPERM this thread does not hold it, -EINVAL, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_mutex_unlock(struct shr_mutex *mutex, uint32_t index);

/*
 * Say, holding the mutex after -EOWNERDEAD, that what it protects is well again.
 *
 * Returns:  0, or -EPERM this thread does not hold it, -EINVAL it is not dirty,
 *           or no such index, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_mutex_consistent(struct shr_mutex *mutex, uint32_t index);

/*
 * Make an unrecoverable mutex usable again: the next one to lock it gets
 * -EOWNERDEAD and repairs. An operator's decision, so never done by itself.
 *
 * Returns:  0, or -EINVAL it is not unrecoverable, or no such index,
 *           -EOPNOTSUPP pthread backend, -EROFS, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_mutex_reset(struct shr_mutex *mutex, uint32_t index);

#define SHR_MUTEX_FREE 0
#define SHR_MUTEX_HELD 1
#define SHR_MUTEX_DIRTY 2    /* free; a holder died: the next one repairs */
#define SHR_MUTEX_MENDING 3  /* held by who was told -EOWNERDEAD */
#define SHR_MUTEX_LOST 4     /* unrecoverable */

struct shr_mutex_info {
	uint32_t state;	  /* SHR_MUTEX_* */
	/*
	 * Member number of who holds it, 0: nobody. It may have died and nobody
	 * noticed yet: see .state of shr_member_get().
	 */
	uint32_t owner;
	uint32_t thread;  /* thread id of the owner, 0: unknown */
	uint32_t waiters; /* 1: somebody may be asleep for it */
	uint64_t waiting_ns; /* with waiters: CLOCK_REALTIME since when, about */
	uint64_t acquired;   /* times it was taken */
	uint64_t waited;     /* times somebody went to sleep for it */
	uint32_t deaths;     /* owners that died holding it, modulo 65,536 */
	uint32_t last_dead;  /* member number of the last of them: shr_member_get().death */
};

/* Who holds it up, for diagnosis; for an observer too. -EINVAL, -EBADMSG, -ECHILD. Since 0.1. */
SHR_API int shr_mutex_get(const struct shr_mutex *mutex, uint32_t index,
			  struct shr_mutex_info *info);

/* --- Events ------------------------------------------------------------------ */

/*
 * An object of a segment is an array of events: places to sleep until some
 * condition on the shared data holds. The condition is the program's own.
 *
 *	notifier	change the data; shr_event_notify()
 *	sleeper		for (;;) {
 *				shr_event_prepare(event, 0, &key);
 *				if (the condition holds)
 *					break;
 *				err = shr_event_wait_until(event, 0, key, deadline);
 *				if (err)
 *					break;
 *			}
 *
 * or, in one call with spinning first, shr_event_await_until(). An event keeps no
 * count: it is the condition that says what happened.
 *
 * Nobody asleep: notify is a fence and a load, no system call. A notifier that
 * is killed between its change and the wake leaves nobody asleep for ever: every
 * sleep is at most 100 ms, then the condition is to be looked at again.
 *
 * An observer (SHR_SEGMENT_OBSERVE) cannot announce its sleep: it is woken when
 * others sleep too, and looks again after 1 to 50 ms.
 */
struct shr_event;

/* Fill @object for shr_segment_create() with @count events (0: 1). -EINVAL. Since 0.1. */
SHR_API int shr_event_describe(struct shr_object *object, const char *name, uint32_t count);

/* As shr_mutex_attach(): -ENOENT, -EPROTOTYPE, -EBADMSG, -ECHILD. Since 0.1. */
SHR_API int shr_event_attach(struct shr_event **event, struct shr_segment *segment,
			     const char *object_name);

/* As shr_mutex_open(), the object is named "event". Since 0.1. */
SHR_API int shr_event_open(struct shr_event **event, const char *name, const char *mode,
			   uint32_t count, const struct shr_segment_options *segment_options);

/*
 * Close; ends the threads of shr_event_fd(). -EBUSY: of shr_event_open(), and other
 * objects of its segment are still open. NULL is allowed. Since 0.1.
 */
SHR_API int shr_event_close(struct shr_event *event);

/* How many there are; and the segment they lie in. Since 0.1. */
SHR_API uint32_t shr_event_count(const struct shr_event *event);
SHR_API struct shr_segment *shr_event_segment(const struct shr_event *event);

/*
 * Wake everybody who sleeps on event @index, after the condition was changed by
 * stores of any order.
 *
 * Threads:  any.
 * Progress: wait-free but for the wake: nobody asleep, a fence and a load.
 * Crash:    killed inside, sleepers look again within 100 ms.
 * Returns:  0, or -EINVAL no such index, -EROFS, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_event_notify(struct shr_event *event, uint32_t index);

/*
 * Announce a sleep; look at the condition after this. Not sleeping after all
 * costs the next notifier one system call and nothing else. Also makes the
 * descriptor of shr_event_fd() not readable until the next notify.
 *
 * Returns:  0, or -EINVAL no such index, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_event_prepare(struct shr_event *event, uint32_t index, uint32_t *key);

/*
 * Sleep until a notify since shr_event_prepare() gave @key.
 *
 * Threads:  any.  Progress: blocks, at most 100 ms.
 * Returns:  0 look at the condition again, whatever the reason; or -ETIMEDOUT
 *           the deadline has come, -EINTR a signal handler has run, -ESTALE the
 *           segment is obsolete, -EINVAL no such index, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_event_wait_until(struct shr_event *event, uint32_t index, uint32_t key,
				 int64_t deadline_ns);

/*
 * Wait until @ready(@argument) is not 0: spin for about the time of one wake-up,
 * then sleep. @ready is called in this thread, often; it must not block.
 *
 * Returns:  0, or a negative number that @ready returned, -ETIMEDOUT, -EINTR,
 *           -ESTALE, -EINVAL, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_event_await_until(struct shr_event *event, uint32_t index,
				  int (*ready)(void *argument), void *argument, int64_t deadline_ns);

#define SHR_EVENT_WAITS_MAX 128

/* One of several events to sleep on; the key is from shr_event_prepare(). */
struct shr_event_wait {
	struct shr_event *event;
	uint32_t index;
	uint32_t key;
};

/*
 * Sleep until any of @count events was notified since it was prepared, with one
 * system call where there is futex_waitv(2) (Linux 5.16); else it looks at them
 * up to 1,000 times a second.
 *
 * Returns:  0 look at all conditions again; or -E2BIG over SHR_EVENT_WAITS_MAX,
 *           and as shr_event_wait_until()
 * Since:    0.1
 */
SHR_API int shr_event_wait_any_until(const struct shr_event_wait *waits, size_t count,
				     int64_t deadline_ns);

/*
 * A descriptor for poll(2), epoll(7) and the like: readable once event @index was
 * notified after the last shr_event_prepare(). One way to use it:
 *
 *	for (;;) {
 *		shr_event_prepare(event, 0, &key);
 *		while (the condition holds)
 *			work;
 *		epoll_wait(...);
 *	}
 *
 * It becomes readable too when a member has died or left, which may have been
 * about to notify. Never read or close it: it is the handle's. A thread of this
 * process (all signals blocked) sleeps on the event for it and is started by the
 * first call. No descriptor is passed between processes.
 *
 * Where membarrier(2) is refused it is readable, also without a notify, after 1 to
 * 50 ms. In a child made by fork() it stays open until exec.
 *
 * Threads:  any; one at a time prepares.
 * Returns:  a descriptor, or -EINVAL, -EMFILE, -ENOMEM, -EAGAIN no thread, -EROFS,
 *           -ECHILD
 * Since:    0.1
 */
SHR_API int shr_event_fd(struct shr_event *event, uint32_t index);

#ifdef __cplusplus
}
#endif

#endif
