/* SPDX-License-Identifier: MIT */
/*
 * L3, event: sleep until something changed. event.c has the word and the kernel,
 * event_await.c a wait with spinning first, event_object.c the public events,
 * event_fd.c descriptors for poll(2).
 *
 *	publisher	store the change; light fence; if sleepers: sleepers = 0,
 *			sequence + 1, wake
 *	sleeper		event_prepare(): read sequence, set sleepers, heavy fence;
 *			look again for the change; event_sleep()
 *
 * Ordering. The publisher's store and its look at sleepers (notify:A), and the
 * sleeper's set of sleepers and its second look (sleep:A): one of the two sees
 * the other. fence.h says by what.
 *
 * Crash (the kill points have these names)
 *	event:look      a publisher's change is there and nobody was woken: sleeps
 *	                are slices of at most 100 ms, then the condition is looked at
 *	event:cleared   the same, and the bit is gone with nothing moved
 *	event:moved     the same, but who is about to sleep does not
 *	event:prepared  a dead sleeper's bit costs the next publisher a system call
 */
#ifndef LIB_EVENT_H
#define LIB_EVENT_H

#include <stdint.h>

#include "fence.h"
#include "format.h"

/*
 * The longest sleep without a look. Not shorter at first: a timer that is the
 * next one of its cpu is programmed and taken back, which costs more than 1 us a
 * wake on virtual machines (seen: 1.35 times a bare futex wake, 1.16 with this).
 */
#define EVENT_SLICE_NS 100000000

int64_t event_now(void); /* CLOCK_MONOTONIC, ns */

/*
 * Announce a sleep: *@sequence goes to event_sleep(). @membarrier: it is allowed.
 * Returns how long the first one may be, in ns.
 */
int64_t event_prepare(struct shm_event *event, int membarrier, uint32_t *sequence);

struct shr_segment;
struct shm_object;

/*
 * Wait until @attempt() is not -EAGAIN: spin for about one wake-up, then sleep on
 * @event in slices, the longest of which is *@slice_last_ns and may be changed by
 * @attempt(). @looked_ns is the handle's. What @attempt() says, or -ETIMEDOUT,
 * -EINTR, -ESTALE.
 */
int event_await(const struct shr_segment *segment, _Atomic int64_t *looked_ns,
		struct shm_event *event, int64_t deadline_ns, int (*attempt)(void *),
		void *argument, const int64_t *slice_last_ns);

/* -ESTALE: obsolete now, or, looked at once a second, without a name. */
int event_stale(const struct shr_segment *segment, _Atomic int64_t *looked_ns, int64_t now_ns);

/* A descriptor that a thread of its own makes readable; event_fd.c. */
struct event_fd;
/*
 * On @event: @ready(@argument) is asked, in that thread, after every change and
 * every slice; NULL: was it notified since event_fd_arm(), or has a member gone?
 */
int event_fd_open(struct event_fd **fd, const struct shr_segment *segment, struct shm_event *event,
		  int (*ready)(void *argument), void *argument);
int event_fd_number(const struct event_fd *fd);
/* Not readable until the next change after the sequence @key. */
void event_fd_arm(struct event_fd *fd, uint32_t key);
void event_fd_close(struct event_fd *fd);

/* For kinds.c */
int event_entry_check(const struct shm_object *entry);
void event_wake_all(void *object, const struct shm_object *entry);

/* Up to @timeout_ns. 0 (woken, or not, or late), or -EINTR. */
int event_sleep(struct shm_event *event, uint32_t sequence, int64_t timeout_ns);

/* Wake up to @count sleepers: the bit was seen. */
void event_wake(struct shm_event *event, int count);

/* Call after the store of the change, of any order. @registered: fence_register(). */
static inline void event_notify(struct shm_event *event, int registered, int count)
{
	/* notify:A. The change before the look at sleepers. Pairs with sleep:A. */
	fence_light(registered);
	if (atomic_load_explicit(&event->sleepers, memory_order_relaxed))
		event_wake(event, count);
}

static inline void event_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* futex(2) by itself: 0, -EAGAIN the word is another, -ETIMEDOUT, -EINTR, -errno. */
int event_futex_wait(uint32_t *word, uint32_t value, int64_t deadline_ns);
/*
 * Until one of @count words (at most 128) is another than its value: 0 woken,
 * -EAGAIN, -ETIMEDOUT, -EINTR, or -ENOSYS where futex_waitv(2) is missing or forbidden.
 */
struct event_word {
	uint32_t *word;
	uint32_t value;
};
int event_futex_wait_any(const struct event_word *words, uint32_t count, int64_t deadline_ns);
/* How many were woken, or -errno. */
int event_futex_wake(uint32_t *word, int count);

#endif
