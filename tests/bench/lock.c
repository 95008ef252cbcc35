/* SPDX-License-Identifier: MIT */
/*
 * Mutexes and events, beside what the machine and pthread do.
 *
 * alone	the driver only: lock and unlock a mutex that nobody else wants
 * shared	both processes want it all the time
 * notify	what a notify with nobody asleep costs over the store before it
 * event	a wake there, another one back, as the futex rows of raw.c
 */
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t *robust_of(struct bench *bench)
{
	return (pthread_mutex_t *)(void *)bench->shared->robust;
}

void locks_create(struct bench *bench)
{
	pthread_mutexattr_t attributes;

	if (sizeof(pthread_mutex_t) > sizeof(bench->shared->robust) ||
	    pthread_mutexattr_init(&attributes) ||
	    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) ||
	    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) ||
	    pthread_mutex_init(robust_of(bench), &attributes))
		die_plain("cannot make a robust pthread mutex");
	if (pthread_spin_init(&bench->shared->spin, PTHREAD_PROCESS_SHARED))
		die_plain("cannot make a spinlock");
}

void cas_driver(struct bench *bench)
{
	bench_u64 *word = &bench->shared->ping.word;

	MEASURE(bench,
		{
			uint64_t free = 0;

			if (!atomic_compare_exchange_strong_explicit(
				    word, &free, 1, memory_order_acquire, memory_order_relaxed))
				die_plain("a CAS failed that cannot");
			atomic_store_explicit(word, 0, memory_order_release);
		},
		);
}

void robust_driver(struct bench *bench)
{
	pthread_mutex_t *mutex = robust_of(bench);

	MEASURE(bench,
		{
			if (pthread_mutex_lock(mutex) || pthread_mutex_unlock(mutex))
				die_plain("a robust mutex fails");
		},
		);
}

void mutex_driver(struct bench *bench)
{
	MEASURE(bench,
		{
			if (shr_mutex_lock(bench->mutex, 0) || shr_mutex_unlock(bench->mutex, 0))
				die("lock");
		},
		);
}

void fence_driver(struct bench *bench)
{
	bench_u64 *word = &bench->shared->ping.word;

	MEASURE(bench,
		{
			atomic_store_explicit(word, (uint64_t)i, memory_order_relaxed);
			atomic_thread_fence(memory_order_seq_cst);
		},
		atomic_store_explicit(word, (uint64_t)i, memory_order_relaxed));
}

void notify_driver(struct bench *bench)
{
	bench_u64 *word = &bench->shared->ping.word;

	MEASURE(bench,
		{
			atomic_store_explicit(word, (uint64_t)i, memory_order_relaxed);
			shr_event_notify(bench->event, 0);
		},
		atomic_store_explicit(word, (uint64_t)i, memory_order_relaxed));
}

/* --- Both processes want it ---------------------------------------------------- */

void both_drive(struct bench *bench, int (*pair)(struct bench *))
{
	struct windows windows;
	int more;

	windows_begin(&windows, &bench->samples, ONE_WAY_NS);
	do {
		for (int i = 0; i < GROUP; i++)
			if (pair(bench))
				die("lock");
		more = windows_note(&windows, GROUP);
	} while (more);
	atomic_store(&bench->shared->stop.word, 1);
}

void both_peer(struct bench *bench, int (*pair)(struct bench *))
{
	while (!atomic_load_explicit(&bench->shared->stop.word, memory_order_relaxed))
		if (pair(bench))
			die("lock");
}

static int robust_pair(struct bench *bench)
{
	return pthread_mutex_lock(robust_of(bench)) || pthread_mutex_unlock(robust_of(bench));
}

static int mutex_pair(struct bench *bench)
{
	return shr_mutex_lock(bench->mutex, 0) || shr_mutex_unlock(bench->mutex, 0);
}

void robust_shared_driver(struct bench *bench)
{
	both_drive(bench, robust_pair);
}

void robust_shared_peer(struct bench *bench)
{
	both_peer(bench, robust_pair);
}

void mutex_shared_driver(struct bench *bench)
{
	both_drive(bench, mutex_pair);
}

void mutex_shared_peer(struct bench *bench)
{
	both_peer(bench, mutex_pair);
}

/* --- Events asleep -------------------------------------------------------------- */

static uint32_t event_await_word(struct bench *bench, uint32_t index, _Atomic(uint32_t) *word,
				 uint32_t old)
{
	uint32_t key, seen;

	for (;;) {
		if (shr_event_prepare(bench->event, index, &key))
			die("prepare");
		seen = atomic_load(word);
		if (seen != old)
			return seen;
		if (shr_event_wait_until(bench->event, index, key, SHR_FOREVER))
			die("wait");
	}
}

static void event_post(struct bench *bench, uint32_t index, _Atomic(uint32_t) *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
	if (shr_event_notify(bench->event, index))
		die("notify");
}

void event_driver(struct bench *bench)
{
	struct shared *shared = bench->shared;
	int64_t then = now_ns(), end = then + ASLEEP_NS, now = then;
	uint32_t number = 0;

	bench->samples.count = 0;
	while (now < end) {
		wait_until_ns(then + PAUSE_NS);
		then = now_ns();
		event_post(bench, 0, &shared->futex_ping, ++number);
		event_await_word(bench, 1, &shared->futex_pong, number - 1);
		now = now_ns();
		samples_add(&bench->samples,
			    (double)(shared->got_ns - then + now - shared->sent_ns), 1);
		then = now;
	}
	event_post(bench, 0, &shared->futex_ping, UINT32_MAX);
}

void event_peer(struct bench *bench)
{
	struct shared *shared = bench->shared;
	uint32_t number = 0;

	while ((number = event_await_word(bench, 0, &shared->futex_ping, number)) != UINT32_MAX) {
		shared->got_ns = now_ns();
		wait_until_ns(shared->got_ns + PAUSE_NS);
		shared->sent_ns = now_ns();
		event_post(bench, 1, &shared->futex_pong, number);
	}
}
