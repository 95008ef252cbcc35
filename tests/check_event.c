/* SPDX-License-Identifier: MIT */
/* L3: events: sleep, wake, many at once, descriptors, observers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "fixture.h"
#include "format.h"
#include "procs.h"

static void setup(void)
{
	fixture_setup("event");
}

static struct shr_event *event_open(uint32_t count, uint32_t flags)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .flags = flags};
	struct shr_event *event = NULL;

	MUST(shr_event_open(&event, name, "+>", count, &options));
	return event;
}

/* What is waited for, beside the event. */
static uint32_t *condition;

static int holds(void *argument)
{
	return __atomic_load_n(condition, __ATOMIC_RELAXED) >= *(uint32_t *)argument;
}

START_TEST(wait_and_notify)
{
	struct shr_event *event = event_open(2, 0);
	uint32_t key, other;
	int64_t before;

	ck_assert_uint_eq(shr_event_count(event), 2);
	MUST(shr_event_prepare(event, 1, &key));
	ck_assert_int_eq(shr_event_wait_until(event, 1, key, 0), -ETIMEDOUT);
	before = clock_ns();
	ck_assert_int_eq(shr_event_wait_until(event, 1, key, shr_deadline_ns(20000000)), 0);
	ck_assert_int_ge(clock_ns() - before, 20000000);
	ck_assert_int_eq(shr_event_wait_until(event, 1, key, shr_deadline_ns(-1)), -ETIMEDOUT);
	MUST(shr_event_notify(event, 0)); /* another one */
	ck_assert_int_eq(shr_event_wait_until(event, 1, key, 0), -ETIMEDOUT);
	MUST(shr_event_notify(event, 1));
	MUST(shr_event_wait_until(event, 1, key, 0)); /* has moved, whatever the deadline */
	MUST(shr_event_prepare(event, 1, &other));
	ck_assert_uint_ne(other, key);
	before = clock_ns();
	MUST(shr_event_wait_until(event, 1, other, SHR_FOREVER)); /* a slice: look again */
	ck_assert_int_lt(clock_ns() - before, 5000000000);
	ck_assert_int_eq(shr_event_prepare(event, 2, &key), -EINVAL);
	ck_assert_int_eq(shr_event_notify(event, 2), -EINVAL);
	ck_assert_int_eq(shr_event_wait_until(event, 2, 0, 0), -EINVAL);
	ck_assert_int_eq(shr_event_fd(event, 2), -EINVAL);
	ck_assert_int_eq(shr_event_await_until(event, 2, holds, &key, 0), -EINVAL);
	MUST(shr_event_close(event));
	MUST(shr_event_close(NULL));
}
END_TEST

/*
 * Two processes wake each other, from the spin and, every fourth time, from sleep:
 * where each lost wake costs a slice of 100 ms, they would show.
 */
static int ping_pong(struct shr_event *event, int me, uint32_t rounds)
{
	for (uint32_t i = 0; i < rounds; i++) {
		uint32_t wanted = 2 * i + (uint32_t)me;
		int err = shr_event_await_until(event, (uint32_t)me, holds, &wanted,
						shr_deadline_ns(20000000000));

		if (err)
			return err;
		if (i % 4 == 0) /* the other one has done spinning then */
			usleep(70);
		__atomic_store_n(condition, wanted + 1, __ATOMIC_RELAXED);
		err = shr_event_notify(event, (uint32_t)!me);
		if (err)
			return err;
	}
	return 0;
}

#define ROUNDS 10000

/* _i: both with membarrier, the child without, both without. */
START_TEST(no_wake_is_lost_between_processes)
{
	static const uint32_t flags[3][2] = {{0, 0},
					     {0, SHR_SEGMENT_NO_MEMBARRIER},
					     {SHR_SEGMENT_NO_MEMBARRIER, SHR_SEGMENT_NO_MEMBARRIER}};
	struct shr_event *event = event_open(2, flags[_i][0]);
	int64_t before = clock_ns();
	pid_t pid;

	condition = shared_page();
	pid = fork();
	if (!pid) {
		struct shr_segment_options options = {.struct_size = sizeof(options),
						      .flags = flags[_i][1]};
		struct shr_event *own = NULL;

		if (shr_event_open(&own, name, "+<", 0, &options))
			_exit(1);
		_exit(ping_pong(own, 1, ROUNDS) ? 2 : 0);
	}
	MUST(ping_pong(event, 0, ROUNDS));
	ck_assert_int_eq(ended(pid), 0);
	/* 200 lost ones would be 20 s. Generous: the machine may be busy. */
	ck_assert_int_lt(clock_ns() - before, 20000000000);
	MUST(shr_event_close(event));
}
END_TEST

/* From now on system call @number is answered with @action. */
static int forbid(uint32_t number, uint32_t action)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* _i 0: membarrier is refused; 1: asking for it is the end, and the process says not to. */
START_TEST(seccomp_may_forbid_membarrier)
{
	struct shr_event *event = event_open(2, 0);
	pid_t pid;

	condition = shared_page();
	pid = fork();
	if (!pid) {
		struct shr_segment_options options = {.struct_size = sizeof(options),
						      .flags = _i ? SHR_SEGMENT_NO_MEMBARRIER : 0};
		struct shr_event *own = NULL;
		struct pollfd poll_fd = {.events = POLLIN};
		uint32_t key;

		if (forbid(SYS_membarrier, _i ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM) ||
		    (!_i && (syscall(SYS_membarrier, 0, 0, 0) != -1 || errno != EPERM)))
			_exit(3);
		if (shr_event_open(&own, name, "+<", 0, &options))
			_exit(1);
		if (ping_pong(own, 1, 5000))
			_exit(2);
		/* It cannot be sure to be seen: the descriptor lets it look, now and then. */
		poll_fd.fd = shr_event_fd(own, 0);
		if (shr_event_prepare(own, 0, &key) || poll(&poll_fd, 1, 10000) != 1)
			_exit(4);
		_exit(shr_event_close(own) ? 5 : 0);
	}
	MUST(ping_pong(event, 0, 5000));
	ck_assert_int_eq(ended(pid), 0);
	MUST(shr_event_close(event));
}
END_TEST

#ifdef SYS_futex_waitv
/* Where futex_waitv(2) is refused: slower, not busy, and nobody is missed. */
START_TEST(seccomp_may_forbid_futex_waitv)
{
	struct shr_event *event = event_open(2, 0);
	pid_t pid = fork();

	if (!pid) {
		struct shr_event *own = NULL;
		struct shr_event_wait waits[2];
		int64_t end, cpu;
		int looks = 0, fd;
		struct timespec used;

		if (forbid(SYS_futex_waitv, SECCOMP_RET_ERRNO | EPERM) ||
		    shr_event_open(&own, name, "+<", 0, NULL))
			_exit(1);
		fd = shr_event_fd(own, 1);
		for (uint32_t i = 0; i < 2; i++) {
			waits[i] = (struct shr_event_wait){own, i, 0};
			if (fd < 0 || shr_event_prepare(own, i, &waits[i].key))
				_exit(2);
		}
		end = clock_ns() + 200000000;
		while (clock_ns() < end && !shr_event_wait_any_until(waits, 2, end))
			looks++;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
		cpu = (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
		if (looks > 400 || cpu > 150000000)
			_exit(3);
		if (shr_event_notify(own, 1) || shr_event_wait_any_until(waits, 2, 0))
			_exit(4);
		_exit(shr_event_close(own) ? 5 : 0);
	}
	ck_assert_int_eq(ended(pid), 0);
	MUST(shr_event_close(event));
}
END_TEST
#endif

START_TEST(one_notify_wakes_all)
{
	struct shr_event *event = event_open(1, 0);
	pid_t pid[5];
	uint32_t one = 1;

	condition = shared_page();
	for (int i = 0; i < 5; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			struct shr_event *own = NULL;

			if (shr_event_open(&own, name, "+<", 0, NULL))
				_exit(1);
			_exit(shr_event_await_until(own, 0, holds, &one, SHR_FOREVER) ? 2 : 0);
		}
	}
	for (int i = 0; i < 5; i++)
		ck_assert(until_asleep(pid[i]));
	__atomic_store_n(condition, 1, __ATOMIC_RELAXED);
	MUST(shr_event_notify(event, 0));
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(ended(pid[i]), 0);
	MUST(shr_event_close(event));
}
END_TEST

/* Killed between its change and the wake, at each step of it: nobody sleeps for ever. */
START_TEST(a_killed_notifier_leaves_nobody_asleep)
{
	struct shr_event *event = event_open(1, 0);
	struct shm_header header;
	struct shm_event *shm;
	int fd = open(path, O_RDWR);
	uint32_t one = 1;
	pid_t pid;
	char *map;

	ck_assert_int_eq(pread(fd, &header, sizeof(header), 0), sizeof(header));
	map = mmap(NULL, header.total_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	shm = (struct shm_event *)(void *)(map + header.directory[0].offset);
	condition = shared_page();
	pid = fork();
	if (!pid) {
		struct shr_event *own = NULL;

		if (shr_event_open(&own, name, "+<", 0, NULL))
			_exit(1);
		_exit(shr_event_await_until(own, 0, holds, &one, SHR_FOREVER) ? 2 : 0);
	}
	ck_assert(until_asleep(pid));
	ck_assert_uint_eq(atomic_load(&shm->sleepers), 1);
	/* What the dead one did: the change (_i 0), the bit (1), the sequence (2), and no wake. */
	__atomic_store_n(condition, 1, __ATOMIC_SEQ_CST);
	if (_i >= 1)
		atomic_store(&shm->sleepers, 0);
	if (_i >= 2)
		atomic_fetch_add(&shm->sequence, 1);
	ck_assert_int_eq(ended(pid), 0);
	munmap(map, header.total_size);
	close(fd);
	MUST(shr_event_close(event));
}
END_TEST

static int fails(void *argument)
{
	(void)argument;
	return -ENODATA;
}

START_TEST(await_ends_as_it_should)
{
	struct shr_event *event = event_open(1, 0);
	uint32_t one = 1;
	int64_t before;

	condition = shared_page();
	ck_assert_int_eq(shr_event_await_until(event, 0, fails, NULL, SHR_FOREVER), -ENODATA);
	before = clock_ns();
	ck_assert_int_eq(shr_event_await_until(event, 0, holds, &one, shr_deadline_ns(30000000)),
			 -ETIMEDOUT);
	ck_assert_int_ge(clock_ns() - before, 30000000);
	ck_assert_int_eq(shr_event_await_until(event, 0, holds, &one, 0), -ETIMEDOUT);
	*condition = 1;
	MUST(shr_event_await_until(event, 0, holds, &one, 0));
	MUST(shr_segment_unlink(name));
	*condition = 0;
	ck_assert_int_eq(shr_event_await_until(event, 0, holds, &one, SHR_FOREVER), -ESTALE);
	MUST(shr_event_close(event));
}
END_TEST

START_TEST(an_unlink_wakes_who_sleeps)
{
	struct shr_event *event = event_open(1, 0);
	uint32_t *told = shared_page();
	pid_t pid = fork();

	if (!pid) {
		struct shr_event *own = NULL;
		uint32_t key;
		int err;

		if (shr_event_open(&own, name, "+<", 0, NULL))
			_exit(1);
		say(told, 1);
		do {
			shr_event_prepare(own, 0, &key);
			err = shr_event_wait_until(own, 0, key, SHR_FOREVER);
		} while (!err);
		_exit(err != -ESTALE);
	}
	ck_assert(until(told, 1));
	ck_assert(until_asleep(pid));
	MUST(shr_segment_unlink(name));
	ck_assert_int_eq(ended(pid), 0);
	MUST(shr_event_close(event));
}
END_TEST

START_TEST(any_of_many_wakes)
{
	struct shr_event *event = event_open(SHR_EVENT_WAITS_MAX, 0);
	struct shr_event_wait waits[SHR_EVENT_WAITS_MAX + 1];
	pid_t pid;

	for (uint32_t i = 0; i <= SHR_EVENT_WAITS_MAX; i++)
		waits[i] = (struct shr_event_wait){event, i % SHR_EVENT_WAITS_MAX, 0};
	for (uint32_t i = 0; i < SHR_EVENT_WAITS_MAX; i++)
		MUST(shr_event_prepare(event, i, &waits[i].key));
	ck_assert_int_eq(shr_event_wait_any_until(waits, 0, 0), -EINVAL);
	ck_assert_int_eq(shr_event_wait_any_until(waits, SHR_EVENT_WAITS_MAX + 1, 0), -E2BIG);
	ck_assert_int_eq(shr_event_wait_any_until(waits, SHR_EVENT_WAITS_MAX, 0), -ETIMEDOUT);
	for (uint32_t which = 0; which < SHR_EVENT_WAITS_MAX; which += 127) {
		int64_t before = clock_ns();
		uint32_t moved = 0, now;

		pid = fork();
		if (!pid) {
			struct shr_event *own = NULL;

			usleep(20000);
			if (shr_event_open(&own, name, "+<", 0, NULL))
				_exit(1);
			_exit(shr_event_notify(own, which) != 0);
		}
		while (!moved) {
			int err = shr_event_wait_any_until(waits, SHR_EVENT_WAITS_MAX, SHR_FOREVER);

			ck_assert_int_eq(err, 0);
			ck_assert_int_lt(clock_ns() - before, 20000000000);
			for (uint32_t i = 0; i < SHR_EVENT_WAITS_MAX; i++) {
				MUST(shr_event_prepare(event, i, &now));
				if (now != waits[i].key)
					ck_assert_uint_eq(i, which);
				moved += now != waits[i].key;
				waits[i].key = now;
			}
		}
		ck_assert_int_eq(ended(pid), 0);
	}
	waits[3].index = SHR_EVENT_WAITS_MAX;
	ck_assert_int_eq(shr_event_wait_any_until(waits, 5, 0), -EINVAL);
	MUST(shr_event_close(event));
}
END_TEST

static int readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms) == 1 && poll_fd.revents == POLLIN;
}

START_TEST(a_descriptor_becomes_readable)
{
	struct shr_event *event = event_open(3, 0);
	uint32_t key;
	int fd = shr_event_fd(event, 1), flags;
	pid_t pid;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(shr_event_fd(event, 1), fd);
	flags = fcntl(fd, F_GETFD);
	ck_assert_int_eq(flags & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert(readable(fd, 0)); /* at first: look once */
	for (int i = 0; i < 50; i++) {
		MUST(shr_event_prepare(event, 1, &key));
		ck_assert(!readable(fd, i ? 0 : 150));
		if (i % 2) {
			MUST(shr_event_notify(event, 1));
			ck_assert(readable(fd, 10000));
			continue;
		}
		pid = fork();
		if (!pid) {
			struct shr_event *own = NULL;

			if (shr_event_open(&own, name, "+<", 0, NULL) || shr_event_notify(own, 1))
				_exit(1);
			for (;;)
				pause();
		}
		ck_assert(readable(fd, 10000));
		ck_assert(readable(fd, 0)); /* until it is prepared again */
		kill_now(pid);
	}
	MUST(shr_event_close(event));
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

/* The change is there, the notifier died before the wake: the descriptor tells of it. */
START_TEST(a_descriptor_tells_of_a_member_that_died)
{
	struct shr_event *event = event_open(1, 0);
	uint32_t *told = shared_page(), key;
	int fd = shr_event_fd(event, 0);
	pid_t pid = fork();

	if (!pid) {
		struct shr_event *own = NULL;

		if (shr_event_open(&own, name, "+<", 0, NULL))
			_exit(1);
		say(told, 1);
		for (;;)
			pause();
	}
	ck_assert(until(told, 1));
	MUST(shr_event_prepare(event, 0, &key));
	readable(fd, 300); /* it has seen that there is a member */
	MUST(shr_event_prepare(event, 0, &key));
	ck_assert(!readable(fd, 300));
	kill_now(pid);
	ck_assert(readable(fd, 10000));
	MUST(shr_event_close(event));
}
END_TEST

START_TEST(descriptors_of_many_events_and_no_thread_left)
{
	struct shr_event *event = event_open(64, 0);
	int epoll = epoll_create1(0);
	int64_t before;
	uint32_t key;

	for (uint32_t i = 0; i < 64; i++) {
		struct epoll_event want = {.events = EPOLLIN, .data.u32 = i};
		int fd = shr_event_fd(event, i);

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &want), 0);
		MUST(shr_event_prepare(event, i, &key));
	}
	for (uint32_t i = 0; i < 64; i += 9) {
		struct epoll_event got;

		MUST(shr_event_notify(event, i));
		ck_assert_int_eq(epoll_wait(epoll, &got, 1, 10000), 1);
		ck_assert_uint_eq(got.data.u32, i);
		MUST(shr_event_prepare(event, i, &key));
	}
	close(epoll);
	for (uint32_t i = 0; i < 64; i++)
		MUST(shr_event_prepare(event, i, &key));
	before = clock_ns();
	MUST(shr_event_close(event));
	ck_assert_int_lt(clock_ns() - before, 2000000000); /* 64 slices would be 6 s */
	{
		char line[64] = "", *threads = NULL;
		FILE *stream = fopen("/proc/self/status", "re");

		while (!threads && fgets(line, sizeof(line), stream))
			threads = strncmp(line, "Threads:", 8) ? NULL : line + 8;
		fclose(stream);
		ck_assert_ptr_nonnull(threads);
		ck_assert_int_eq(atoi(threads), 1);
	}
}
END_TEST

START_TEST(an_observer_waits_too)
{
	struct shr_segment_options observe = {.struct_size = sizeof(observe),
					      .flags = SHR_SEGMENT_OBSERVE};
	struct shr_event *event = event_open(1, 0), *seen = NULL;
	uint32_t *told = shared_page(), one = 1, key;
	pid_t pid;

	condition = shared_page();
	pid = fork();
	if (!pid) {
		struct shr_event *own = NULL;

		if (shr_event_open(&own, name, "+<", 0, &observe))
			_exit(1);
		say(told, 1);
		_exit(shr_event_await_until(own, 0, holds, &one, shr_deadline_ns(20000000000)) ? 2 : 0);
	}
	ck_assert(until(told, 1));
	usleep(100000);
	__atomic_store_n(condition, 1, __ATOMIC_RELAXED);
	MUST(shr_event_notify(event, 0));
	ck_assert_int_eq(ended(pid), 0);
	MUST(shr_event_open(&seen, name, "+<", 0, &observe));
	ck_assert_int_eq(shr_event_notify(seen, 0), -EROFS);
	ck_assert_int_eq(shr_event_fd(seen, 0), -EROFS);
	ck_assert_int_eq(shr_event_notify(seen, 1), -EINVAL);
	MUST(shr_event_prepare(seen, 0, &key));
	MUST(shr_event_wait_until(seen, 0, key, SHR_FOREVER)); /* a nap */
	ck_assert_int_eq(shr_event_wait_until(seen, 0, key, 0), -ETIMEDOUT);
	MUST(shr_event_close(seen));
	MUST(shr_event_close(event));
}
END_TEST

START_TEST(calls_in_a_child_say_so)
{
	struct shr_event *event = event_open(1, 0);
	struct shr_event_wait wait = {event, 0, 0};
	uint32_t key;
	pid_t pid;

	ck_assert_int_ge(shr_event_fd(event, 0), 0);
	pid = fork();
	if (!pid)
		_exit(!(shr_event_notify(event, 0) == -ECHILD && shr_event_fd(event, 0) == -ECHILD &&
			shr_event_prepare(event, 0, &key) == -ECHILD &&
			shr_event_wait_until(event, 0, 0, SHR_FOREVER) == -ECHILD &&
			shr_event_wait_any_until(&wait, 1, SHR_FOREVER) == -ECHILD &&
			shr_event_await_until(event, 0, fails, NULL, SHR_FOREVER) == -ECHILD &&
			shr_event_close(event) == 0));
	ck_assert_int_eq(ended(pid), 0);
	MUST(shr_event_prepare(event, 0, &key));
	MUST(shr_event_notify(event, 0));
	ck_assert(readable(shr_event_fd(event, 0), 10000));
	MUST(shr_event_close(event));
}
END_TEST

/* A ring and its consumer's descriptor: readable when there is something, and only then. */
START_TEST(a_cursors_descriptor)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .flags = _i ? SHR_RING_SINGLE_PRODUCER : 0});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_record record;
	int fd = shr_cursor_fd(cursor);
	void *payload;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(shr_cursor_fd(cursor), fd);
	ck_assert(readable(fd, 0));
	ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	ck_assert(!readable(fd, 150));
	for (int i = 0; i < 200; i++) {
		MUST(shr_producer_write(producer, &i, sizeof(i)));
		ck_assert(readable(fd, 10000));
		MUST(shr_cursor_next(cursor, &record));
		ck_assert_int_eq(*(const int *)record.payload, i);
		MUST(shr_cursor_release(cursor));
		ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
		ck_assert(!readable(fd, 0));
	}
	/*
	 * Reserved and not committed is nothing: no wake, but for a look every other
	 * slice whether its producer lives, which a busy machine may make early.
	 */
	MUST(shr_producer_reserve(producer, 8, &payload));
	for (int tries = 0; tries < 10 && readable(fd, 60); tries++) {
		ck_assert_int_lt(tries, 9);
		ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	}
	memset(payload, 1, 8);
	MUST(shr_producer_commit(producer));
	ck_assert(readable(fd, 10000));
	MUST(shr_cursor_next(cursor, &record));
	MUST(shr_cursor_release(cursor));
	ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	ck_assert(!readable(fd, 0));
	MUST(shr_segment_unlink(name));
	ck_assert(readable(fd, 10000));
	ck_assert_int_eq(shr_cursor_next(cursor, &record), -ESTALE);
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

/* The other thread of this process. */
static pid_t task_of_thread(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	pid_t task = 0;

	while ((entry = readdir(dir)))
		if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != (int)getpid())
			task = atoi(entry->d_name);
	closedir(dir);
	return task;
}

/* Who consumes without waiting for the descriptor finds it readable when it does wait. */
START_TEST(a_cursors_descriptor_after_reads_without_it)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 256});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_record record;
	int fd = shr_cursor_fd(cursor);
	cpu_set_t one;

	/* On one cpu, and behind this thread where that may be said, the descriptor's is late. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	ck_assert_int_eq(sched_setaffinity(task_of_thread(), sizeof(one), &one), 0);
	sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
	for (int i = 0; i < 300; i++) {
		while (!shr_cursor_next(cursor, &record))
			MUST(shr_cursor_release(cursor));
		for (int n = 0; n < 12; n++) { /* until the first is cleaned, and not a whole lap */
			MUST(shr_producer_write(producer, &n, sizeof(n)));
			if (n < 11) {
				MUST(shr_cursor_next(cursor, &record));
				MUST(shr_cursor_release(cursor));
			}
		}
		ck_assert(readable(fd, 10000));
	}
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(a_cursors_descriptor_tells_of_a_plain_rm)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 4096});
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_record record;
	int fd = shr_cursor_fd(cursor), err = -EAGAIN;

	ck_assert_int_eq(shr_cursor_next(cursor, &record), -EAGAIN);
	unlink(path);
	for (int i = 0; i < 20 && err == -EAGAIN; i++) {
		ck_assert(readable(fd, 10000));
		err = shr_cursor_next(cursor, &record);
	}
	ck_assert_int_eq(err, -ESTALE);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

/* By poll alone: every record of another process, one of which dies in a reservation. */
START_TEST(a_cursors_descriptor_with_a_producer_that_dies)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 65536});
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_ring_status status;
	uint32_t *told = shared_page(), wanted = 0;
	int fd = shr_cursor_fd(cursor);
	pid_t pid[2];

	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			struct shr_ring *own = NULL;
			struct shr_producer *producer = NULL;
			void *payload;

			if (shr_ring_open(&own, name, "+<", NULL, NULL) ||
			    shr_producer_open(&producer, own))
				_exit(1);
			if (i && !until(told, 1))
				_exit(2);
			for (uint32_t n = 0; i && n < 5000; n++)
				if (shr_producer_write_until(producer, &n, sizeof(n), SHR_FOREVER))
					_exit(3);
			if (i)
				_exit(0);
			if (shr_producer_reserve(producer, 8, &payload))
				_exit(4);
			say(told, 1);
			for (;;)
				pause();
		}
	}
	ck_assert(until(told, 1));
	usleep(50000);
	kill_now(pid[0]);
	while (wanted < 5000) {
		struct shr_record record;
		int err;

		ck_assert(readable(fd, 20000));
		while (!(err = shr_cursor_next(cursor, &record))) {
			ck_assert_uint_eq(*(const uint32_t *)record.payload, wanted);
			wanted++;
			MUST(shr_cursor_release(cursor));
		}
		ck_assert_int_eq(err, -EAGAIN);
	}
	MUST(shr_ring_stat(ring, &status));
	ck_assert_uint_eq(status.skipped, 1);
	ck_assert_int_eq(ended(pid[1]), 0);
	shr_cursor_close(cursor);
	MUST(shr_ring_close(ring));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("event");
	TCase *tc = tcase_create("event");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, wait_and_notify);
	tcase_add_loop_test(tc, no_wake_is_lost_between_processes, 0, 3);
	tcase_add_loop_test(tc, seccomp_may_forbid_membarrier, 0, 2);
#ifdef SYS_futex_waitv
	tcase_add_test(tc, seccomp_may_forbid_futex_waitv);
#endif
	tcase_add_test(tc, one_notify_wakes_all);
	tcase_add_loop_test(tc, a_killed_notifier_leaves_nobody_asleep, 0, 3);
	tcase_add_test(tc, await_ends_as_it_should);
	tcase_add_test(tc, an_unlink_wakes_who_sleeps);
	tcase_add_test(tc, any_of_many_wakes);
	tcase_add_test(tc, a_descriptor_becomes_readable);
	tcase_add_test(tc, a_descriptor_tells_of_a_member_that_died);
	tcase_add_test(tc, descriptors_of_many_events_and_no_thread_left);
	tcase_add_test(tc, an_observer_waits_too);
	tcase_add_test(tc, calls_in_a_child_say_so);
	tcase_add_loop_test(tc, a_cursors_descriptor, 0, 2);
	tcase_add_test(tc, a_cursors_descriptor_after_reads_without_it);
	tcase_add_test(tc, a_cursors_descriptor_tells_of_a_plain_rm);
	tcase_add_test(tc, a_cursors_descriptor_with_a_producer_that_dies);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
