/* SPDX-License-Identifier: MIT */
/*
 * L3, event: sleep until something changed.
 *
 *	publisher	store the change; if sleepers: sleepers = 0,
 *			sequence + 1, wake all
 *	sleeper		event_prepare(): read sequence, set sleepers; look again
 *			for the change; event_sleep()
 *
 * Ordering. The publisher's store and its look at sleepers, and the sleeper's
 * set of sleepers (sleep:A) and its second look, are sequentially consistent:
 * one of the two sees the other.
 *
 * Crash. A publisher that dies between its store and the wake loses the wake:
 * sleeps are slices of at most 100 ms. A sleeper that dies leaves a bit, which
 * costs the next publisher one system call.
 */
#ifndef LIB_EVENT_H
#define LIB_EVENT_H

#include <stdint.h>

#include "format.h"

#define EVENT_SLICE_FIRST 2000000  /* ns */
#define EVENT_SLICE_LAST 100000000 /* ns */

int64_t event_now(void); /* CLOCK_MONOTONIC, ns */

/* Announce a sleep. What it returns goes to event_sleep(). */
uint32_t event_prepare(struct shm_event *event);

/* Up to @timeout_ns. 0 (woken, or not, or late), or -EINTR. */
int event_sleep(struct shm_event *event, uint32_t sequence, int64_t timeout_ns);

void event_wake(struct shm_event *event);

/* Call after the store of the change, which must be sequentially consistent. */
static inline void event_notify(struct shm_event *event)
{
	if (atomic_load_explicit(&event->sleepers, memory_order_seq_cst))
		event_wake(event);
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
/* How many were woken, or -errno. */
int event_futex_wake(uint32_t *word, int count);

#endif
