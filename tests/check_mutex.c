/* SPDX-License-Identifier: MIT */
/* L3: mutexes, across processes. Each case with both backends where it says _i. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "fixture.h"
#include "procs.h"
#include "reseal.h"

static void setup(void)
{
	fixture_setup("mutex");
}

static struct shr_mutex *mutex_open(uint32_t locks, uint32_t count)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .locks = locks};
	struct shr_mutex *mutex = NULL;

	MUST(shr_mutex_open(&mutex, name, "+>", count, &options));
	return mutex;
}

static struct shr_mutex_info info_of(struct shr_mutex *mutex, uint32_t index)
{
	struct shr_mutex_info info;

	MUST(shr_mutex_get(mutex, index, &info));
	return info;
}

/* A child that opens the mutexes, locks @index, says so and waits to be killed. */
static pid_t holder(uint32_t *told, uint32_t index)
{
	pid_t pid = fork();

	if (!pid) {
		struct shr_mutex *mutex = NULL;

		if (shr_mutex_open(&mutex, name, "+<", 0, NULL))
			_exit(10);
		say(told, (uint32_t)(1000 - shr_mutex_lock(mutex, index)));
		for (;;)
			pause();
	}
	return pid;
}

START_TEST(lock_try_unlock)
{
	struct shr_mutex *mutex = mutex_open((uint32_t)_i, 3);
	struct shr_mutex_info info;

	ck_assert_uint_eq(shr_mutex_count(mutex), 3);
	ck_assert_int_eq(info_of(mutex, 2).state, SHR_MUTEX_FREE);
	MUST(shr_mutex_lock(mutex, 2));
	info = info_of(mutex, 2);
	ck_assert_int_eq(info.state, SHR_MUTEX_HELD);
	ck_assert_int_eq((int)info.owner, shr_segment_member(shr_mutex_segment(mutex)));
	ck_assert_uint_eq(info.thread, (uint32_t)syscall(SYS_gettid));
	ck_assert_uint_eq(info.acquired, 1);
	ck_assert_int_eq(shr_mutex_lock(mutex, 2), -EDEADLK);
	ck_assert_int_eq(shr_mutex_lock_until(mutex, 2, 0), -EDEADLK);
	ck_assert_int_eq(shr_mutex_try(mutex, 2), -EDEADLK);
	MUST(shr_mutex_try(mutex, 1));
	MUST(shr_mutex_unlock(mutex, 1));
	MUST(shr_mutex_unlock(mutex, 2));
	ck_assert_int_eq(shr_mutex_unlock(mutex, 2), -EPERM);
	ck_assert_int_eq(shr_mutex_unlock(mutex, 0), -EPERM);
	ck_assert_int_eq(shr_mutex_consistent(mutex, 0), -EPERM);
	info = info_of(mutex, 2);
	ck_assert_int_eq(info.state, SHR_MUTEX_FREE);
	ck_assert_uint_eq(info.owner, 0);
	ck_assert_uint_eq(info.thread, 0);
	MUST(shr_mutex_lock_until(mutex, 2, 0)); /* free: no deadline matters */
	ck_assert_int_eq(shr_mutex_consistent(mutex, 2), -EINVAL);
	MUST(shr_mutex_unlock(mutex, 2));
	ck_assert_int_eq(shr_mutex_lock(mutex, 3), -EINVAL);
	ck_assert_int_eq(shr_mutex_try(mutex, UINT32_MAX), -EINVAL);
	ck_assert_int_eq(shr_mutex_unlock(mutex, 3), -EINVAL);
	ck_assert_int_eq(shr_mutex_consistent(mutex, 3), -EINVAL);
	ck_assert_int_eq(shr_mutex_reset(mutex, 3), -EINVAL);
	ck_assert_int_eq(shr_mutex_get(mutex, 3, &info), -EINVAL);
	MUST(shr_mutex_close(mutex));
}
END_TEST

START_TEST(another_process_is_kept_out_until_the_deadline)
{
	struct shr_mutex *mutex = mutex_open((uint32_t)_i, 1);
	uint32_t *told = shared_page();
	pid_t pid = holder(told, 0);
	struct shr_mutex_info info;
	int64_t before;

	ck_assert(until(told, 1000));
	before = clock_ns();
	ck_assert_int_eq(shr_mutex_lock_until(mutex, 0, shr_deadline_ns(250000000)), -ETIMEDOUT);
	ck_assert_int_ge(clock_ns() - before, 250000000);
	ck_assert_int_eq(shr_mutex_try(mutex, 0), -EBUSY);
	ck_assert_int_eq(shr_mutex_lock_until(mutex, 0, -1), -ETIMEDOUT);
	ck_assert_int_eq(shr_mutex_lock_until(mutex, 0, INT64_MIN), -ETIMEDOUT);
	info = info_of(mutex, 0);
	ck_assert_int_eq(info.state, SHR_MUTEX_HELD);
	ck_assert_int_ne((int)info.owner, shr_segment_member(shr_mutex_segment(mutex)));
	ck_assert_uint_eq(info.thread, (uint32_t)pid);
	kill(pid, SIGSTOP); /* stopped is alive, however long */
	ck_assert_int_eq(shr_mutex_lock_until(mutex, 0, shr_deadline_ns(300000000)), -ETIMEDOUT);
	ck_assert_uint_eq(info_of(mutex, 0).deaths, 0);
	kill_now(pid);
	ck_assert_int_eq(shr_mutex_lock(mutex, 0), -EOWNERDEAD);
	ck_assert_uint_eq(info_of(mutex, 0).deaths, 1);
	MUST(shr_mutex_consistent(mutex, 0));
	MUST(shr_mutex_unlock(mutex, 0));
	MUST(shr_mutex_close(mutex));
}
END_TEST

START_TEST(a_waiter_gets_it_from_an_unlock)
{
	struct shr_mutex *mutex = mutex_open((uint32_t)_i, 1);
	uint32_t *told = shared_page();
	pid_t pid;

	MUST(shr_mutex_lock(mutex, 0));
	pid = fork();
	if (!pid) {
		struct shr_mutex *own = NULL;

		if (shr_mutex_open(&own, name, "+<", 0, NULL))
			_exit(1);
		say(told, 1);
		if (shr_mutex_lock_until(own, 0, shr_deadline_ns(20000000000)))
			_exit(2);
		if (shr_mutex_unlock(own, 0) || shr_mutex_close(own))
			_exit(3);
		_exit(0);
	}
	ck_assert(until(told, 1));
	ck_assert(until_asleep(pid));
	usleep(20000);
	if (!_i) {
		struct shr_mutex_info info = info_of(mutex, 0);

		ck_assert_uint_eq(info.waiters, 1);
		ck_assert_uint_ge(info.waited, 1);
		ck_assert_uint_gt(info.waiting_ns, 0);
	}
	MUST(shr_mutex_unlock(mutex, 0));
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_uint_eq(info_of(mutex, 0).acquired, 2);
	ck_assert_uint_eq(info_of(mutex, 0).deaths, 0);
	MUST(shr_mutex_close(mutex));
}
END_TEST

/* Who sleeps is woken by the unlock, and not only by the end of its slice of 100 ms. */
START_TEST(unlock_wakes_who_sleeps)
{
	struct shr_mutex *mutex = mutex_open((uint32_t)_i, 1);
	uint32_t *told = shared_page(), rounds = 60;
	int64_t waited = 0;
	pid_t pid;

	MUST(shr_mutex_lock(mutex, 0));
	pid = fork();
	if (!pid) {
		struct shr_mutex *own = NULL;

		if (shr_mutex_open(&own, name, "+<", 0, NULL))
			_exit(1);
		for (uint32_t i = 0; i < rounds; i++) {
			if (!until(told, 2 * i + 1) || shr_mutex_lock(own, 0))
				_exit(2);
			say(told, 2 * i + 2);
			if (shr_mutex_unlock(own, 0))
				_exit(3);
		}
		_exit(shr_mutex_close(own) != 0);
	}
	for (uint32_t i = 0; i < rounds; i++) {
		int64_t start;

		say(told, 2 * i + 1);
		usleep(2000);
		ck_assert(until_asleep(pid));
		start = clock_ns();
		MUST(shr_mutex_unlock(mutex, 0));
		while (__atomic_load_n(told, __ATOMIC_SEQ_CST) != 2 * i + 2 &&
		       clock_ns() - start < 1000000000)
			sched_yield();
		waited += clock_ns() - start;
		MUST(shr_mutex_lock_until(mutex, 0, shr_deadline_ns(20000000000)));
	}
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_int_lt(waited, 3000000000); /* without a wake about 6 s; with them some ms */
	MUST(shr_mutex_unlock(mutex, 0));
	MUST(shr_mutex_close(mutex));
}
END_TEST

/* Who waits asleep while the holder dies, who comes later, and who comes by attach. */
START_TEST(owner_dead_is_told_once)
{
	struct shr_mutex *mutex = mutex_open((uint32_t)_i, 1), *second = NULL;
	uint32_t *told = shared_page();
	pid_t pid = holder(told, 0), waiter;

	ck_assert(until(told, 1000));
	waiter = fork();
	if (!waiter) {
		struct shr_mutex *own = NULL;

		if (shr_mutex_open(&own, name, "+<", 0, NULL))
			_exit(1);
		say(told, 1);
		if (shr_mutex_lock(own, 0) != -EOWNERDEAD)
			_exit(2);
		say(told, 2);
		if (!until(told, 3) || shr_mutex_consistent(own, 0) || shr_mutex_unlock(own, 0))
			_exit(3);
		_exit(shr_mutex_close(own) != 0);
	}
	ck_assert(until(told, 1));
	ck_assert(until_asleep(waiter));
	kill_now(pid);
	ck_assert(until(told, 2));
	ck_assert_int_eq(info_of(mutex, 0).state, SHR_MUTEX_MENDING);
	ck_assert_int_eq(shr_mutex_try(mutex, 0), -EBUSY); /* it mends: nobody else gets in */
	say(told, 3);
	ck_assert_int_eq(ended(waiter), 0);
	MUST(shr_mutex_lock(mutex, 0)); /* and once is enough */
	MUST(shr_mutex_unlock(mutex, 0));
	ck_assert_uint_eq(info_of(mutex, 0).deaths, 1);

	/* The next attach gets the dead one's slot and sweeps. */
	pid = holder(told, 0);
	ck_assert(until(told, 1000));
	kill_now(pid);
	MUST(shr_mutex_open(&second, name, "+<", 0, NULL));
	if (!_i)
		ck_assert_int_eq(info_of(mutex, 0).state, SHR_MUTEX_DIRTY);
	ck_assert_int_eq(shr_mutex_lock(second, 0), -EOWNERDEAD);
	ck_assert_uint_eq(info_of(mutex, 0).deaths, 2);
	MUST(shr_mutex_consistent(second, 0));
	MUST(shr_mutex_unlock(second, 0));
	MUST(shr_mutex_close(second));
	MUST(shr_mutex_close(mutex));
}
END_TEST

START_TEST(a_mender_that_dies_is_followed_by_the_next)
{
	struct shr_mutex *mutex = mutex_open((uint32_t)_i, 1);
	uint32_t *told = shared_page();
	pid_t pid[3];

	for (int i = 0; i < 3; i++) {
		pid[i] = holder(told, 0);
		ck_assert(until(told, i ? 1000 + EOWNERDEAD : 1000));
		kill_now(pid[i]);
		say(told, 0);
	}
	ck_assert_int_eq(shr_mutex_try(mutex, 0), -EOWNERDEAD);
	ck_assert_uint_eq(info_of(mutex, 0).deaths, 3);
	MUST(shr_mutex_consistent(mutex, 0));
	MUST(shr_mutex_unlock(mutex, 0));
	ck_assert_int_eq(info_of(mutex, 0).state, SHR_MUTEX_FREE);
	MUST(shr_mutex_close(mutex));
}
END_TEST

START_TEST(unlocked_while_dirty_it_is_lost_until_reset)
{
	struct shr_mutex *mutex = mutex_open((uint32_t)_i, 1);
	uint32_t *told = shared_page();
	pid_t pid = holder(told, 0), waiter;

	ck_assert(until(told, 1000));
	kill_now(pid);
	ck_assert_int_eq(shr_mutex_lock(mutex, 0), -EOWNERDEAD);
	ck_assert_int_eq(shr_mutex_reset(mutex, 0), _i ? -EOPNOTSUPP : -EINVAL);
	waiter = fork();
	if (!waiter) {
		struct shr_mutex *own = NULL;

		if (shr_mutex_open(&own, name, "+<", 0, NULL))
			_exit(1);
		say(told, 1);
		_exit(shr_mutex_lock(own, 0) != -ENOTRECOVERABLE);
	}
	ck_assert(until(told, 1));
	ck_assert(until_asleep(waiter));
	MUST(shr_mutex_unlock(mutex, 0));
	ck_assert_int_eq(ended(waiter), 0);
	ck_assert_int_eq(shr_mutex_lock(mutex, 0), -ENOTRECOVERABLE);
	ck_assert_int_eq(shr_mutex_try(mutex, 0), -ENOTRECOVERABLE);
	ck_assert_int_eq(info_of(mutex, 0).state, SHR_MUTEX_LOST);
	if (!_i) {
		MUST(shr_mutex_reset(mutex, 0));
		ck_assert_int_eq(shr_mutex_lock(mutex, 0), -EOWNERDEAD);
		MUST(shr_mutex_consistent(mutex, 0));
		MUST(shr_mutex_unlock(mutex, 0));
		MUST(shr_mutex_lock(mutex, 0));
		MUST(shr_mutex_unlock(mutex, 0));
	}
	MUST(shr_mutex_close(mutex));
}
END_TEST

/* Exec ends what was mapped here, and so the membership, inside the lock. */
START_TEST(exec_inside_is_a_death)
{
	struct shr_mutex *mutex = mutex_open(SHR_LOCKS_WORD, 1);
	uint32_t *told = shared_page();
	pid_t pid = fork();
	int err;

	if (!pid) {
		struct shr_mutex *own = NULL;

		if (shr_mutex_open(&own, name, "+<", 0, NULL) || shr_mutex_lock(own, 0))
			_exit(1);
		say(told, 1);
		execlp("sleep", "sleep", "30", (char *)NULL);
		_exit(2);
	}
	ck_assert(until(told, 1));
	err = shr_mutex_lock_until(mutex, 0, shr_deadline_ns(10000000000));
	ck_assert_int_eq(err, -EOWNERDEAD);
	ck_assert_int_eq(kill(pid, 0), 0); /* it runs, as another program */
	MUST(shr_mutex_consistent(mutex, 0));
	MUST(shr_mutex_unlock(mutex, 0));
	kill_now(pid);
	MUST(shr_mutex_close(mutex));
}
END_TEST

/* A child that outlives its parent does not keep the parent's lock. */
START_TEST(a_fork_does_not_keep_a_dead_parent_alive)
{
	struct shr_mutex *mutex = mutex_open(SHR_LOCKS_WORD, 1);
	uint32_t *told = shared_page();
	pid_t pid = fork();

	if (!pid) {
		struct shr_mutex *own = NULL;

		if (shr_mutex_open(&own, name, "+<", 0, NULL) || shr_mutex_lock(own, 0))
			_exit(1);
		if (!fork()) {
			struct shr_mutex_info info;

			prctl(PR_SET_PDEATHSIG, 0);
			if (shr_mutex_lock(own, 0) != -ECHILD || shr_mutex_unlock(own, 0) != -ECHILD ||
			    shr_mutex_try(own, 0) != -ECHILD ||
			    shr_mutex_consistent(own, 0) != -ECHILD ||
			    shr_mutex_get(own, 0, &info) != -ECHILD || shr_mutex_close(own))
				say(told, 3);
			else
				say(told, 1);
			until(told, 2);
			_exit(0);
		}
		for (;;)
			pause();
	}
	ck_assert(until_not(told, 0));
	ck_assert_uint_eq(*told, 1);
	kill_now(pid);
	ck_assert_int_eq(shr_mutex_lock_until(mutex, 0, shr_deadline_ns(10000000000)), -EOWNERDEAD);
	say(told, 2);
	MUST(shr_mutex_consistent(mutex, 0));
	MUST(shr_mutex_unlock(mutex, 0));
	MUST(shr_mutex_close(mutex));
}
END_TEST

/* Three times what glibc's robust list recovers at most. */
#define MANY 6500

START_TEST(thousands_held_are_all_recovered)
{
	struct shr_mutex *mutex = mutex_open(SHR_LOCKS_WORD, MANY), *second = NULL;
	uint32_t *told = shared_page();
	pid_t pid = fork();

	if (!pid) {
		struct shr_mutex *own = NULL;

		if (shr_mutex_open(&own, name, "+<", 0, NULL))
			_exit(1);
		for (uint32_t i = 0; i < MANY; i++)
			if (shr_mutex_lock(own, i))
				_exit(2);
		say(told, 1);
		for (;;)
			pause();
	}
	ck_assert(until(told, 1));
	kill_now(pid);
	for (uint32_t i = 0; i < MANY / 2; i++) { /* half by proof, half by the sweep of an attach */
		ck_assert_int_eq(shr_mutex_lock(mutex, i), -EOWNERDEAD);
		MUST(shr_mutex_consistent(mutex, i));
		MUST(shr_mutex_unlock(mutex, i));
	}
	MUST(shr_mutex_open(&second, name, "+<", 0, NULL));
	for (uint32_t i = 0; i < MANY; i++) {
		ck_assert_int_eq(shr_mutex_lock(second, i), i < MANY / 2 ? 0 : -EOWNERDEAD);
		if (i >= MANY / 2)
			MUST(shr_mutex_consistent(second, i));
		MUST(shr_mutex_unlock(second, i));
		ck_assert_uint_eq(info_of(mutex, i).deaths, 1);
	}
	MUST(shr_mutex_close(second));
	MUST(shr_mutex_close(mutex));
}
END_TEST

START_TEST(held_mutexes_cannot_be_closed)
{
	struct shr_mutex *mutex = mutex_open((uint32_t)_i, 4);
	struct shr_segment *segment = shr_mutex_segment(mutex);

	MUST(shr_mutex_lock(mutex, 3));
	ck_assert_int_eq(shr_mutex_close(mutex), -EBUSY);
	ck_assert_int_eq(shr_segment_detach(segment), -EBUSY);
	MUST(shr_mutex_unlock(mutex, 3));
	MUST(shr_mutex_close(mutex));
	MUST(shr_mutex_close(NULL));
}
END_TEST

START_TEST(no_lock_in_an_obsolete_segment)
{
	struct shr_mutex *mutex = mutex_open((uint32_t)_i, 2);
	uint32_t *told = shared_page();
	pid_t pid;

	MUST(shr_mutex_lock(mutex, 0));
	pid = fork();
	if (!pid) {
		struct shr_mutex *own = NULL;

		if (shr_mutex_open(&own, name, "+<", 0, NULL))
			_exit(1);
		say(told, 1);
		_exit(shr_mutex_lock(own, 0) != -ESTALE);
	}
	ck_assert(until(told, 1));
	ck_assert(until_asleep(pid));
	MUST(shr_segment_unlink(name));
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_int_eq(shr_mutex_lock(mutex, 1), -ESTALE);
	ck_assert_int_eq(shr_mutex_try(mutex, 1), -ESTALE);
	MUST(shr_mutex_unlock(mutex, 0));
	MUST(shr_mutex_close(mutex));
}
END_TEST

static struct shr_mutex *thread_mutex;

static void *thread_tries(void *argument)
{
	int *result = argument;

	result[0] = shr_mutex_unlock(thread_mutex, 0);
	result[1] = shr_mutex_try(thread_mutex, 0);
	result[2] = shr_mutex_lock_until(thread_mutex, 0, shr_deadline_ns(20000000));
	return NULL;
}

START_TEST(a_mutex_is_one_threads)
{
	int result[3] = {0};
	pthread_t thread;

	thread_mutex = mutex_open((uint32_t)_i, 1);
	MUST(shr_mutex_lock(thread_mutex, 0));
	pthread_create(&thread, NULL, thread_tries, result);
	pthread_join(thread, NULL);
	ck_assert_int_eq(result[0], -EPERM);
	ck_assert_int_eq(result[1], -EBUSY);
	ck_assert_int_eq(result[2], -ETIMEDOUT);
	MUST(shr_mutex_unlock(thread_mutex, 0));
	MUST(shr_mutex_close(thread_mutex));
}
END_TEST

/* Several that wait for the same dead owner: one mends, and all get it in their turn. */
static void *mend_in_thread(void *argument)
{
	int *result = argument;
	int err = shr_mutex_lock_until(thread_mutex, 0, shr_deadline_ns(20000000000));

	*result = err == -EOWNERDEAD ? shr_mutex_consistent(thread_mutex, 0) : err;
	usleep(100);
	if (shr_mutex_unlock(thread_mutex, 0))
		*result = -1000;
	return NULL;
}

START_TEST(waiters_that_prove_a_death_at_the_same_time)
{
	uint32_t *told = shared_page();

	thread_mutex = mutex_open((uint32_t)_i, 1);
	for (int round = 0; round < 40; round++) {
		pthread_t threads[4];
		int results[4];
		pid_t pid;

		say(told, 0);
		pid = holder(told, 0);
		until(told, 1000);
		ck_assert_uint_eq(*told, 1000);
		for (int i = 0; i < 4; i++)
			pthread_create(&threads[i], NULL, mend_in_thread, &results[i]);
		usleep(500);
		kill_now(pid);
		for (int i = 0; i < 4; i++) {
			pthread_join(threads[i], NULL);
			ck_assert_int_eq(results[i], 0);
		}
		ck_assert_uint_eq(info_of(thread_mutex, 0).deaths, (uint32_t)round + 1);
		ck_assert_uint_ne(info_of(thread_mutex, 0).last_dead, 0);
	}
	MUST(shr_mutex_close(thread_mutex));
}
END_TEST

/* Tries of others' mutexes must not keep the proof from the one that needs it. */
START_TEST(try_proves_a_death_beside_other_tries)
{
	struct shr_mutex *mutex = mutex_open(SHR_LOCKS_WORD, 2);
	uint32_t *told = shared_page();
	pid_t alive = holder(told, 0), dead;
	int err = 0;

	ck_assert(until(told, 1000));
	say(told, 0);
	dead = holder(told, 1);
	ck_assert(until(told, 1000));
	kill_now(dead);
	for (int i = 0; i < 10 && err != -EOWNERDEAD; i++) {
		ck_assert_int_eq(shr_mutex_try(mutex, 0), -EBUSY);
		err = shr_mutex_try(mutex, 1);
	}
	ck_assert_int_eq(err, -EOWNERDEAD);
	ck_assert_int_eq(shr_mutex_try(mutex, 1), -EDEADLK);
	MUST(shr_mutex_consistent(mutex, 1));
	MUST(shr_mutex_unlock(mutex, 1));
	kill_now(alive);
	MUST(shr_mutex_close(mutex));
}
END_TEST

static void *lock_and_end(void *argument)
{
	*(int *)argument = shr_mutex_lock(thread_mutex, 1);
	return NULL;
}

START_TEST(a_mutex_of_a_thread_that_ended_is_orphaned_by_close)
{
	struct shr_mutex *other;
	pthread_t thread;
	int result = -1;

	thread_mutex = mutex_open(SHR_LOCKS_WORD, 2);
	other = mutex_open(SHR_LOCKS_WORD, 0);
	pthread_create(&thread, NULL, lock_and_end, &result);
	pthread_join(thread, NULL);
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(shr_mutex_try(other, 1), -EBUSY);
	MUST(shr_mutex_close(thread_mutex));
	ck_assert_int_eq(shr_mutex_try(other, 1), -EOWNERDEAD);
	MUST(shr_mutex_consistent(other, 1));
	MUST(shr_mutex_unlock(other, 1));
	MUST(shr_mutex_close(other));
}
END_TEST

/* Nobody's word: a thread that never locked one cannot unlock another's. */
static void *unlock_only(void *argument)
{
	*(int *)argument = shr_mutex_unlock(thread_mutex, 0);
	return NULL;
}

START_TEST(a_thread_without_a_lock_unlocks_nothing)
{
	struct shm_header header;
	int fd, result = 0;
	struct shm_mutex *shm;
	pthread_t thread;
	char *map;

	thread_mutex = mutex_open(SHR_LOCKS_WORD, 1);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pread(fd, &header, sizeof(header), 0), sizeof(header));
	map = mmap(NULL, header.total_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	shm = (struct shm_mutex *)(void *)(map + header.directory[0].offset);
	MUST(shr_mutex_lock(thread_mutex, 0));
	atomic_store(&shm->thread, 0); /* as it is for an instant when it has just been taken */
	pthread_create(&thread, NULL, unlock_only, &result);
	pthread_join(thread, NULL);
	ck_assert_int_eq(result, -EPERM);
	atomic_store(&shm->thread, (uint32_t)syscall(SYS_gettid));
	MUST(shr_mutex_unlock(thread_mutex, 0));
	munmap(map, header.total_size);
	close(fd);
	MUST(shr_mutex_close(thread_mutex));
}
END_TEST

/* Cancelled while it proves a death: the process can still fork and prove. */
static void *lock_cancelled(void *argument)
{
	(void)argument;
	pthread_cancel(pthread_self());
	shr_mutex_lock(thread_mutex, 0);
	pthread_testcancel();
	return NULL;
}

START_TEST(a_cancelled_thread_leaves_nothing_locked)
{
	uint32_t *told = shared_page();
	pid_t pid;
	pthread_t thread;

	thread_mutex = mutex_open(SHR_LOCKS_WORD, 1);
	pid = holder(told, 0);
	ck_assert(until(told, 1000));
	kill_now(pid);
	pthread_create(&thread, NULL, lock_cancelled, NULL);
	pthread_join(thread, NULL);
	pid = fork();
	if (!pid)
		_exit(0);
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_int_eq(shr_member_sweep(shr_mutex_segment(thread_mutex), NULL, NULL), 1);
	MUST(shr_mutex_close(thread_mutex));
}
END_TEST

/* A process that may not open the segment again cannot prove anything, and says so. */
START_TEST(a_death_that_cannot_be_proved_is_an_error)
{
	struct shr_mutex *mutex = mutex_open(SHR_LOCKS_WORD, 1);
	struct rlimit none = {0, 0}, before;
	uint32_t *told = shared_page();
	pid_t pid = holder(told, 0);
	int err;

	ck_assert(until(told, 1000));
	kill_now(pid);
	getrlimit(RLIMIT_NOFILE, &before);
	none.rlim_max = before.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	err = shr_mutex_lock_until(mutex, 0, shr_deadline_ns(5000000000));
	setrlimit(RLIMIT_NOFILE, &before);
	ck_assert_int_eq(err, -EMFILE);
	ck_assert_int_eq(shr_mutex_lock(mutex, 0), -EOWNERDEAD);
	MUST(shr_mutex_consistent(mutex, 0));
	MUST(shr_mutex_unlock(mutex, 0));
	MUST(shr_mutex_close(mutex));
}
END_TEST

/* Two numbers under each of two mutexes; threads and processes change them. */
struct pairs {
	uint64_t a[2], b[2];
	uint32_t wrong;
};

static void change_pairs(struct shr_mutex *mutex, struct pairs *pairs, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		uint32_t which = (uint32_t)i & 1;
		int err = i % 7 ? shr_mutex_lock(mutex, which)
				: shr_mutex_lock_until(mutex, which, shr_deadline_ns(30000000000));

		if (err || pairs->a[which] != pairs->b[which])
			pairs->wrong = 1;
		pairs->a[which]++;
		if (i % 32 == 0)
			sched_yield();
		pairs->b[which]++;
		if (shr_mutex_unlock(mutex, which))
			pairs->wrong = 1;
	}
}

#define EACH 20000

static void *change_in_thread(void *pairs)
{
	change_pairs(thread_mutex, pairs, EACH);
	return NULL;
}

START_TEST(processes_and_threads_exclude_each_other)
{
	struct pairs *pairs = shared_page();
	pthread_t thread;
	pid_t pid[2];

	thread_mutex = mutex_open((uint32_t)_i, 2);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			struct shr_mutex *own = NULL;

			if (shr_mutex_open(&own, name, "+<", 0, NULL))
				_exit(1);
			change_pairs(own, pairs, EACH);
			_exit(shr_mutex_close(own) != 0);
		}
	}
	pthread_create(&thread, NULL, change_in_thread, pairs);
	change_pairs(thread_mutex, pairs, EACH);
	pthread_join(thread, NULL);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(ended(pid[i]), 0);
	ck_assert_uint_eq(pairs->wrong, 0);
	ck_assert_uint_eq(pairs->a[0] + pairs->a[1], 4 * EACH);
	ck_assert_uint_eq(info_of(thread_mutex, 0).acquired + info_of(thread_mutex, 1).acquired,
			  4 * EACH);
	MUST(shr_mutex_close(thread_mutex));
}
END_TEST

START_TEST(objects_and_names_are_checked)
{
	struct shr_object objects[3];
	struct shr_segment *segment = NULL;
	struct shr_mutex *mutex = NULL;
	struct shr_event *event = NULL;
	struct shr_ring *ring = NULL;

	ck_assert_int_eq(shr_mutex_describe(&objects[0], "", 1), -EINVAL);
	ck_assert_int_eq(shr_mutex_describe(&objects[0], NULL, 1), -EINVAL);
	ck_assert_int_eq(shr_mutex_describe(&objects[0], "m", UINT32_MAX), -EINVAL);
	ck_assert_int_eq(shr_event_describe(&objects[0], "e", UINT32_MAX), -EINVAL);
	MUST(shr_mutex_describe(&objects[0], "m", 0));
	MUST(shr_event_describe(&objects[1], "e", 5));
	MUST(shr_ring_describe(&objects[2], "r", NULL));
	objects[0].size++;
	ck_assert_int_eq(shr_segment_create(&segment, name, objects, 3, NULL), -EINVAL);
	objects[0].size--;
	MUST(shr_segment_create(&segment, name, objects, 3, NULL));
	ck_assert_int_eq(shr_mutex_attach(&mutex, segment, "x"), -ENOENT);
	ck_assert_int_eq(shr_mutex_attach(&mutex, segment, "e"), -EPROTOTYPE);
	ck_assert_int_eq(shr_event_attach(&event, segment, "m"), -EPROTOTYPE);
	ck_assert_int_eq(shr_ring_attach(&ring, segment, "m", NULL), -EPROTOTYPE);
	MUST(shr_mutex_attach(&mutex, segment, "m"));
	ck_assert_int_eq(shr_mutex_attach(&mutex, segment, "m"), -EBUSY);
	ck_assert_ptr_eq(shr_mutex_segment(mutex), segment);
	ck_assert_int_eq(shr_segment_detach(segment), -EBUSY);
	MUST(shr_mutex_close(mutex));
	MUST(shr_segment_detach(segment));
	mutex = NULL;
	ck_assert_int_eq(shr_mutex_open(&mutex, name, "<", 1, NULL), -EINVAL);
	ck_assert_int_eq(shr_mutex_open(&mutex, name, NULL, 1, NULL), -EINVAL);
	ck_assert_int_eq(shr_mutex_open(&mutex, name, "+<", 1, NULL), -ENOENT); /* none named "mutex" */
}
END_TEST

/* Any word that a peer writes: an error or a free mutex, never a crash or a wait without end. */
START_TEST(any_word_is_survived)
{
	struct shr_mutex *mutex = mutex_open(SHR_LOCKS_WORD, 1);
	struct shr_segment_options observe = {.struct_size = sizeof(observe),
					      .flags = SHR_SEGMENT_OBSERVE};
	struct shr_segment *segment = NULL;
	struct shr_mutex_info info;
	struct shm_header header;
	struct shm_mutex *shm;
	int fd = open(path, O_RDWR), refused = 0, got = 0, busy = 0;
	void *map;

	MUST(shr_segment_attach(&segment, name, &observe));
	ck_assert_int_eq(pread(fd, &header, sizeof(header), 0), sizeof(header));
	map = mmap(NULL, header.total_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	shm = (struct shm_mutex *)((char *)map + header.directory[0].offset);
	srand(7);
	for (int i = 0; i < 20000; i++) {
		uint32_t word = (uint32_t)rand() ^ (uint32_t)rand() << 16;
		int err;

		if (i & 1)
			word &= 0xffffc01fu; /* more of those that are possible */
		atomic_store(&shm->word, word);
		atomic_store(&shm->thread, i % 3 ? 0 : (uint32_t)syscall(SYS_gettid));
		err = i % 5 ? shr_mutex_try(mutex, 0)
			    : shr_mutex_lock_until(mutex, 0, shr_deadline_ns(1000));
		switch (err) {
		case 0:
		case -EOWNERDEAD:
			got++;
			ck_assert(!(word & MUTEX_RESERVED) && !(word & MUTEX_LOST));
			MUST(shr_mutex_unlock(mutex, 0));
			break;
		case -EBADMSG:
			refused++;
			ck_assert(word & MUTEX_RESERVED || MUTEX_OWNER(word) > header.members);
			ck_assert_int_eq(shr_mutex_get(mutex, 0, &info), -EBADMSG);
			break;
		case -EBUSY:
		case -ETIMEDOUT:
		case -EDEADLK:
			busy++;
			break;
		default:
			ck_assert_int_eq(err, -ENOTRECOVERABLE);
		}
	}
	ck_assert_int_gt(refused, 1000);
	ck_assert_int_gt(got, 100);
	ck_assert_int_gt(busy, 100);
	atomic_store(&shm->word, 0);
	munmap(map, header.total_size);
	close(fd);
	MUST(shr_segment_detach(segment));
	MUST(shr_mutex_close(mutex));
}
END_TEST

START_TEST(an_observer_sees_and_changes_nothing)
{
	struct shr_segment_options observe = {.struct_size = sizeof(observe),
					      .flags = SHR_SEGMENT_OBSERVE};
	struct shr_mutex *mutex = mutex_open((uint32_t)_i, 2), *seen = NULL;
	struct shr_member_info member;

	MUST(shr_mutex_lock(mutex, 1));
	MUST(shr_mutex_open(&seen, name, "+<", 0, &observe));
	ck_assert_int_eq(info_of(seen, 1).state, SHR_MUTEX_HELD);
	ck_assert_int_eq((int)info_of(seen, 1).owner, shr_segment_member(shr_mutex_segment(mutex)));
	MUST(shr_member_get(shr_mutex_segment(seen), info_of(seen, 1).owner, &member));
	ck_assert_int_eq(member.state, SHR_MEMBER_ALIVE);
	ck_assert_uint_eq(member.pid, (uint32_t)getpid());
	ck_assert_int_eq(shr_mutex_lock(seen, 0), -EROFS);
	ck_assert_int_eq(shr_mutex_try(seen, 0), -EROFS);
	ck_assert_int_eq(shr_mutex_unlock(seen, 1), -EROFS);
	ck_assert_int_eq(shr_mutex_reset(seen, 1), -EROFS);
	ck_assert_int_eq(shr_mutex_lock(seen, 2), -EINVAL);
	ck_assert_int_eq(shr_segment_member(shr_mutex_segment(seen)), -EROFS);
	MUST(shr_mutex_close(seen));
	MUST(shr_mutex_unlock(mutex, 1));
	MUST(shr_mutex_close(mutex));
}
END_TEST

START_TEST(pthread_mutexes_of_another_word_size_are_refused)
{
	struct shr_mutex *mutex = mutex_open(SHR_LOCKS_PTHREAD, 1);
	struct shr_inspect *inspect = NULL;
	struct shr_segment_info info;
	char image[16 * 4096], other[sizeof(name) + 4], other_path[sizeof(other) + 16];
	struct shm_header *header = (struct shm_header *)image;
	ssize_t size;
	int fd = open(path, O_RDONLY);

	MUST(shr_mutex_close(mutex));
	size = pread(fd, image, sizeof(image), 0);
	ck_assert_int_eq(FORMAT_LOCKS_SIZE(header->locks), sizeof(pthread_mutex_t));
	close(fd);
	/* What a 32-bit process of the same C library would have made. */
	snprintf(other, sizeof(other), "%s-32", name);
	snprintf(other_path, sizeof(other_path), "/dev/shm%s", other);
	header->locks = FORMAT_LOCKS(FORMAT_LOCKS_PTHREAD, 1, 24);
	reseal_image(image, (size_t)size);
	fd = open(other_path, O_RDWR | O_CREAT | O_EXCL, 0600);
	ck_assert_int_eq(pwrite(fd, image, (size_t)size, 0), size);
	ck_assert_int_eq(ftruncate(fd, (off_t)header->total_size), 0);
	close(fd);
	mutex = NULL;
	ck_assert_int_eq(shr_mutex_open(&mutex, other, "+<", 1, NULL), -EPROTO);
	ck_assert_ptr_nonnull(strstr(shr_last_error(), "24"));
	MUST(shr_inspect_open(&inspect, other)); /* to look at it is no matter */
	MUST(shr_inspect_segment(inspect, &info));
	ck_assert_uint_eq(info.locks, SHR_LOCKS_PTHREAD);
	shr_inspect_close(inspect);
	unlink(other_path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mutex");
	TCase *tc = tcase_create("mutex");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, lock_try_unlock, 0, 2);
	tcase_add_loop_test(tc, another_process_is_kept_out_until_the_deadline, 0, 2);
	tcase_add_loop_test(tc, a_waiter_gets_it_from_an_unlock, 0, 2);
	tcase_add_loop_test(tc, unlock_wakes_who_sleeps, 0, 2);
	tcase_add_loop_test(tc, owner_dead_is_told_once, 0, 2);
	tcase_add_loop_test(tc, a_mender_that_dies_is_followed_by_the_next, 0, 2);
	tcase_add_loop_test(tc, unlocked_while_dirty_it_is_lost_until_reset, 0, 2);
	tcase_add_test(tc, exec_inside_is_a_death);
	tcase_add_test(tc, a_fork_does_not_keep_a_dead_parent_alive);
	tcase_add_test(tc, thousands_held_are_all_recovered);
	tcase_add_loop_test(tc, held_mutexes_cannot_be_closed, 0, 2);
	tcase_add_loop_test(tc, no_lock_in_an_obsolete_segment, 0, 2);
	tcase_add_loop_test(tc, a_mutex_is_one_threads, 0, 2);
	tcase_add_loop_test(tc, waiters_that_prove_a_death_at_the_same_time, 0, 2);
	tcase_add_test(tc, try_proves_a_death_beside_other_tries);
	tcase_add_test(tc, a_mutex_of_a_thread_that_ended_is_orphaned_by_close);
	tcase_add_test(tc, a_thread_without_a_lock_unlocks_nothing);
	tcase_add_test(tc, a_cancelled_thread_leaves_nothing_locked);
	tcase_add_test(tc, a_death_that_cannot_be_proved_is_an_error);
	tcase_add_loop_test(tc, processes_and_threads_exclude_each_other, 0, 2);
	tcase_add_test(tc, objects_and_names_are_checked);
	tcase_add_test(tc, any_word_is_survived);
	tcase_add_loop_test(tc, an_observer_sees_and_changes_nothing, 0, 2);
	tcase_add_test(tc, pthread_mutexes_of_another_word_size_are_refused);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
