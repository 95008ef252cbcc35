/* SPDX-License-Identifier: MIT */
/* L3: who is attached and who has died there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "fixture.h"
#include "format.h"
#include "procs.h"

static void setup(void)
{
	fixture_setup("member");
}

static struct shr_segment *segment_make(uint32_t members)
{
	struct shr_segment_options options = {
		.struct_size = sizeof(options), .members = members, .role = "parent"};
	struct shr_segment *segment = NULL;
	struct shr_object objects[2];

	MUST(shr_mutex_describe(&objects[0], "m", 2));
	MUST(shr_ring_describe(&objects[1], "r", NULL));
	MUST(shr_segment_create(&segment, name, objects, 2, &options));
	return segment;
}

static struct shr_segment *attached(const char *role)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .role = role};
	struct shr_segment *segment = NULL;

	return shr_segment_attach(&segment, name, &options) ? NULL : segment;
}

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* A child that attaches as @role, says so and waits to be killed. */
static pid_t member_start(const char *role, uint32_t *told)
{
	pid_t pid;

	say(told, 0);
	pid = fork();
	if (!pid) {
		struct shr_segment *segment = attached(role);
		struct shr_mutex *mutex = NULL;

		if (!segment || shr_mutex_attach(&mutex, segment, "m"))
			_exit(1);
		shr_mutex_lock(mutex, 1); /* free, or the last victim's */
		say(told, (uint32_t)shr_segment_member(segment));
		for (;;)
			pause();
	}
	ck_assert(until_not(told, 0));
	return pid;
}

/* What was reported. */
static struct shr_death deaths[64];
static int died_count;

static void note_death(const struct shr_death *death, void *argument)
{
	ck_assert_ptr_eq(argument, deaths);
	if (died_count < 64)
		deaths[died_count++] = *death;
}

static int sweep(struct shr_segment *segment)
{
	died_count = 0;
	return shr_member_sweep(segment, note_death, deaths);
}

START_TEST(members_are_seen)
{
	struct shr_segment *segment = segment_make(8), *second = attached("second");
	struct shr_segment_options observe = {.struct_size = sizeof(observe),
					      .flags = SHR_SEGMENT_OBSERVE};
	struct shr_segment *observer = NULL, *looks[2];
	struct shr_member_info info;

	MUST(shr_segment_attach(&observer, name, &observe));
	looks[0] = segment;
	looks[1] = observer;
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(shr_member_alive(looks[i], 1), 1);
		ck_assert_int_eq(shr_member_alive(looks[i], 2), 1);
		ck_assert_int_eq(shr_member_alive(looks[i], 3), 0);
		ck_assert_int_eq(shr_member_alive(looks[i], 0), -ENOENT);
		ck_assert_int_eq(shr_member_alive(looks[i], 9), -ENOENT);
		MUST(shr_member_get(looks[i], 2, &info));
		ck_assert_int_eq(info.state, SHR_MEMBER_ALIVE);
		ck_assert_uint_eq(info.pid, (uint32_t)getpid());
		ck_assert_uint_eq(info.same_namespace, 1);
		ck_assert_str_eq(info.role, "second");
		ck_assert_uint_eq(info.attaches, 1);
		ck_assert_uint_gt(info.start_time, 0);
		ck_assert_uint_eq(info.death.deaths, 0);
		MUST(shr_member_get(looks[i], 3, &info));
		ck_assert_int_eq(info.state, SHR_MEMBER_FREE);
		ck_assert_int_eq(shr_member_get(looks[i], 9, &info), -ENOENT);
	}
	ck_assert_int_eq(shr_member_sweep(observer, NULL, NULL), -EROFS);
	ck_assert_int_eq(shr_member_wait_until(observer, NULL, NULL, 0), -EROFS);
	MUST(shr_segment_detach(second));
	ck_assert_int_eq(shr_member_alive(segment, 2), 0);
	ck_assert_int_eq(sweep(segment), 0); /* left, not died */
	MUST(shr_segment_detach(observer));
	MUST(shr_segment_detach(segment));
}
END_TEST

START_TEST(a_death_is_proved_mended_and_reported_once)
{
	struct shr_segment *segment = segment_make(8), *second = attached("second");
	struct shr_member_info info;
	struct shr_mutex *mutex = NULL;
	struct shr_mutex_info held;
	uint32_t *told = shared_page(), number;
	pid_t pid = member_start("victim", told);

	number = *told;
	MUST(shr_mutex_attach(&mutex, segment, "m"));
	ck_assert_int_eq(sweep(segment), 0);
	kill(pid, SIGSTOP);
	ck_assert_int_eq(sweep(segment), 0); /* stopped is alive */
	kill_now(pid);
	MUST(shr_member_get(segment, number, &info));
	ck_assert_int_eq(info.state, SHR_MEMBER_DEAD);
	ck_assert_int_eq(sweep(segment), 1);
	ck_assert_int_eq(died_count, 1);
	ck_assert_uint_eq(deaths[0].number, number);
	ck_assert_uint_eq(deaths[0].pid, (uint32_t)pid);
	ck_assert_uint_eq(deaths[0].deaths, 1);
	ck_assert_uint_eq(deaths[0].same_namespace, 1);
	ck_assert_int_eq((int)deaths[0].by, shr_segment_member(segment));
	ck_assert_str_eq(deaths[0].role, "victim");
	ck_assert_uint_eq(deaths[0].attached_ns, info.attached_ns);
	ck_assert_uint_ge(deaths[0].noticed_ns, deaths[0].attached_ns);
	ck_assert_int_eq(sweep(segment), 0);
	ck_assert_int_eq(sweep(second), 1); /* each handle is told, whoever proved it */
	ck_assert_uint_eq(deaths[0].pid, (uint32_t)pid);
	ck_assert_int_eq(sweep(second), 0);
	MUST(shr_member_get(segment, number, &info));
	ck_assert_int_eq(info.state, SHR_MEMBER_FREE);
	ck_assert_uint_eq(info.death.pid, (uint32_t)pid);
	MUST(shr_mutex_get(mutex, 1, &held));
	ck_assert_int_eq(held.state, SHR_MUTEX_DIRTY);
	ck_assert_uint_eq(held.deaths, 1);
	MUST(shr_mutex_close(mutex));
	MUST(shr_segment_detach(second));
	MUST(shr_segment_detach(segment));
}
END_TEST

/* Each death is counted, whoever comes upon it; a slot's jump by more than 1 tells of all. */
START_TEST(deaths_are_counted_by_attach_too)
{
	struct shr_segment *segment = segment_make(2);
	uint32_t *told = shared_page();
	pid_t pid = 0;

	for (int i = 0; i < 5; i++) {
		pid = member_start("victim", told);
		kill_now(pid);
	}
	ck_assert_int_eq(sweep(segment), 1);
	ck_assert_uint_eq(deaths[0].deaths, 5);
	ck_assert_uint_eq(deaths[0].pid, (uint32_t)pid);
	MUST(shr_segment_detach(segment));
}
END_TEST

START_TEST(a_wait_ends_with_a_death)
{
	struct shr_segment *segment = segment_make(8);
	uint32_t *told = shared_page();
	pid_t pid = member_start("victim", told), killer;
	int64_t before = clock_ns();

	ck_assert_int_eq(shr_member_wait_until(segment, note_death, deaths, shr_deadline_ns(50000000)),
			 -ETIMEDOUT);
	ck_assert_int_ge(clock_ns() - before, 50000000);
	killer = fork();
	if (!killer) {
		usleep(30000);
		kill(pid, SIGKILL);
		_exit(0);
	}
	died_count = 0;
	ck_assert_int_eq(
		shr_member_wait_until(segment, note_death, deaths, shr_deadline_ns(20000000000)), 1);
	ck_assert_uint_eq(deaths[0].pid, (uint32_t)pid);
	ended(killer);
	ended(pid);
	pid = member_start("victim", told);
	MUST(shr_segment_unlink(name));
	ck_assert_int_eq(shr_member_wait_until(segment, NULL, NULL, SHR_FOREVER), -ESTALE);
	kill_now(pid);
	MUST(shr_segment_detach(segment));
}
END_TEST

/* By its pidfd, and not only by the next look after 100 ms. */
START_TEST(a_death_wakes_who_waits_for_it)
{
	struct shr_segment *segment = segment_make(8);
	uint32_t *told = shared_page();
	int64_t *when = (int64_t *)(void *)(told + 16), late = 0;

	for (int i = 0; i < 20; i++) {
		pid_t pid = member_start("victim", told), killer = fork();

		if (!killer) {
			usleep(5000);
			*when = clock_ns();
			kill(pid, SIGKILL);
			_exit(0);
		}
		ck_assert_int_eq(shr_member_wait_until(segment, NULL, NULL, shr_deadline_ns(20000000000)),
				 1);
		late += clock_ns() - *when;
		ended(killer);
		ended(pid);
	}
	ck_assert_int_lt(late, 900000000); /* without, 20 times 95 ms */
	MUST(shr_segment_detach(segment));
}
END_TEST

static void on_signal(int signal)
{
	(void)signal;
}

START_TEST(a_wait_is_interrupted_by_a_signal)
{
	struct shr_segment *segment = segment_make(8);
	struct sigaction action = {.sa_handler = on_signal};
	pid_t parent = getpid(), pid;

	sigaction(SIGUSR1, &action, NULL);
	pid = fork();
	if (!pid) {
		for (int i = 0; i < 200; i++) {
			usleep(5000);
			kill(parent, SIGUSR1);
		}
		_exit(0);
	}
	ck_assert_int_eq(shr_member_wait_until(segment, NULL, NULL, shr_deadline_ns(20000000000)),
			 -EINTR);
	kill_now(pid);
	MUST(shr_segment_detach(segment));
}
END_TEST

/* A leader that ended its own thread is a zombie to look at, and alive all the same. */
static uint32_t *leader_told;

static void *outlive(void *argument)
{
	(void)argument;
	usleep(50000);
	say(leader_told, 1);
	for (;;)
		pause();
	return NULL;
}

START_TEST(a_process_whose_first_thread_ended_is_alive)
{
	struct shr_segment *segment = segment_make(8);
	pid_t pid;

	leader_told = shared_page();
	pid = fork();
	if (!pid) {
		pthread_t thread;

		if (!attached("headless") || pthread_create(&thread, NULL, outlive, NULL))
			_exit(1);
		pthread_exit(NULL);
	}
	ck_assert(until(leader_told, 1));
	ck_assert_int_eq(shr_member_alive(segment, 2), 1);
	ck_assert_int_eq(sweep(segment), 0);
	kill_now(pid);
	ck_assert_int_eq(sweep(segment), 1);
	ck_assert_str_eq(deaths[0].role, "headless");
	MUST(shr_segment_detach(segment));
}
END_TEST

/* Forks that race attaches must not hold the lock of a member that has died. */
static volatile int stop_forking;

static void *fork_all_the_time(void *argument)
{
	uint32_t *forks = argument;

	while (!stop_forking) {
		pid_t pid = fork();

		if (!pid) { /* outlives the parent a little */
			usleep(300000);
			_exit(0);
		}
		__atomic_fetch_add(forks, 1, __ATOMIC_SEQ_CST);
		usleep(200);
	}
	return NULL;
}

START_TEST(a_fork_that_races_an_attach_keeps_no_lock)
{
	struct shr_segment *segment = segment_make(32);
	uint32_t *told = shared_page();
	int rounds = 30;

	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < rounds; i++) {
		pid_t pid;
		int64_t end;

		say(told, 0);
		pid = fork();
		if (!pid) {
			pthread_t thread;

			signal(SIGCHLD, SIG_IGN);
			pthread_create(&thread, NULL, fork_all_the_time, told + 1);
			for (int j = 0; j < 40; j++) {
				struct shr_segment *own = attached("racer");

				if (!own || (j < 39 && shr_segment_detach(own)))
					_exit(1);
			}
			say(told, 1);
			raise(SIGKILL);
		}
		ck_assert(until(told, 1));
		/* Dead within a moment, though children of it still run for 300 ms. */
		end = clock_ns() + 200000000;
		while (shr_member_alive(segment, 2) && clock_ns() < end)
			usleep(500);
		ck_assert_int_eq(shr_member_alive(segment, 2), 0);
		ck_assert_int_eq(sweep(segment), 1);
	}
	ck_assert_uint_gt(told[1], (uint32_t)rounds);
	MUST(shr_segment_detach(segment));
}
END_TEST

/* A program whose own fork handlers take a lock under which it also attaches. */
static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;

static void host_prepare(void)
{
	pthread_mutex_lock(&host_lock);
}

static void host_after(void)
{
	pthread_mutex_unlock(&host_lock);
}

static void *attach_under_host_lock(void *argument)
{
	(void)argument;
	while (!stop_forking) {
		struct shr_segment *own;

		pthread_mutex_lock(&host_lock);
		own = attached("host");
		if (own)
			shr_segment_detach(own);
		pthread_mutex_unlock(&host_lock);
	}
	return NULL;
}

START_TEST(fork_handlers_of_the_program_do_not_deadlock)
{
	struct shr_segment *segment = segment_make(8);
	pthread_t thread;

	stop_forking = 0;
	pthread_atfork(host_prepare, host_after, host_after);
	pthread_create(&thread, NULL, attach_under_host_lock, NULL);
	for (int i = 0; i < 200; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		ck_assert_int_eq(ended(pid), 0);
	}
	stop_forking = 1;
	pthread_join(thread, NULL);
	MUST(shr_segment_detach(segment));
}
END_TEST

/* What is spoilt in one object keeps nobody from attaching, nor the others from being mended. */
START_TEST(a_spoilt_ring_does_not_close_the_segment)
{
	struct shr_segment *segment = segment_make(8), *second;
	struct shm_header header;
	struct shm_ring *ring;
	uint32_t *told = shared_page();
	pid_t pid = member_start("victim", told);
	struct shr_mutex *mutex = NULL;
	struct shr_mutex_info info;
	int fd = open(path, O_RDWR);
	char *map;

	MUST(shr_mutex_attach(&mutex, segment, "m"));
	kill_now(pid);
	ck_assert_int_eq(pread(fd, &header, sizeof(header), 0), sizeof(header));
	map = mmap(NULL, header.total_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ring = (struct shm_ring *)(void *)(map + header.directory[1].offset);
	atomic_store(&ring->tail, 1ull << 50); /* walking to there is impossible */
	second = attached("second");
	ck_assert_ptr_nonnull(second);
	MUST(shr_mutex_get(mutex, 1, &info));
	ck_assert_int_eq(info.state, SHR_MUTEX_DIRTY);
	ck_assert_int_eq(sweep(segment), 1); /* the death is told, all the same */
	MUST(shr_segment_detach(second));
	munmap(map, header.total_size);
	close(fd);
	MUST(shr_mutex_close(mutex));
	MUST(shr_segment_detach(segment));
}
END_TEST

START_TEST(calls_in_a_child_say_so)
{
	int before = open_fds();
	struct shr_segment *segment = segment_make(4);
	struct shr_member_info info;
	pid_t pid = fork();

	if (!pid)
		_exit(!(open_fds() == before && shr_member_get(segment, 1, &info) == -ECHILD &&
			shr_member_alive(segment, 1) == -ECHILD &&
			shr_member_sweep(segment, NULL, NULL) == -ECHILD &&
			shr_member_wait_until(segment, NULL, NULL, 0) == -ECHILD &&
			shr_segment_detach(segment) == 0));
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_int_eq(shr_member_alive(segment, 1), 1);
	MUST(shr_segment_detach(segment));
}
END_TEST

/* A member of another pid namespace: alive and dead all the same, its pid is not ours. */
START_TEST(pid_namespaces_do_not_matter)
{
	struct shr_segment *segment = segment_make(4);
	struct shr_member_info info;
	uint32_t *told = shared_page();
	pid_t pid = fork();

	if (!pid) {
		if (unshare(CLONE_NEWPID)) {
			say(told, 2);
			_exit(0);
		}
		if (!fork()) {
			struct shr_segment *own = attached("inside");

			say(told, own ? 1 : 3);
			for (;;)
				pause();
		}
		for (;;)
			pause();
	}
	ck_assert(until_not(told, 0));
	ck_assert_uint_ne(*told, 3);
	if (*told == 1) { /* permitted here */
		MUST(shr_member_get(segment, 2, &info));
		ck_assert_int_eq(info.state, SHR_MEMBER_ALIVE);
		ck_assert_uint_eq(info.pid, 1);
		ck_assert_uint_eq(info.same_namespace, 0);
	}
	/* The first process of the namespace is its grandchild: end that by its namespace's. */
	if (*told == 1) {
		char command[64];
		FILE *stream;
		int inner = 0;

		snprintf(command, sizeof(command), "/proc/%d/task/%d/children", (int)pid, (int)pid);
		stream = fopen(command, "re");
		ck_assert_ptr_nonnull(stream);
		ck_assert_int_eq(fscanf(stream, "%d", &inner), 1);
		fclose(stream);
		kill(inner, SIGKILL);
		died_count = 0;
		ck_assert_int_eq(shr_member_wait_until(segment, note_death, deaths,
						       shr_deadline_ns(20000000000)),
				 1);
		ck_assert_str_eq(deaths[0].role, "inside");
	}
	kill_now(pid);
	MUST(shr_segment_detach(segment));
}
END_TEST

/* Whatever stands in the member table: no crash, no wait without end. */
START_TEST(a_scribbled_member_table_is_survived)
{
	struct shr_segment *segment = segment_make(16);
	struct shm_header header;
	int fd = open(path, O_RDWR);
	unsigned char *map;

	ck_assert_int_eq(pread(fd, &header, sizeof(header), 0), sizeof(header));
	map = mmap(NULL, header.total_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	srand(11);
	for (int i = 0; i < 300; i++) {
		struct shr_member_info info;
		struct shr_segment *second;
		int n;

		for (size_t at = 0; at < 16 * sizeof(struct shm_member); at++)
			map[header.member_offset + at] = (unsigned char)(rand() >> 7);
		n = sweep(segment);
		ck_assert_msg(n >= 0 && n <= 16, "%d %s", n, shr_last_error());
		for (uint32_t number = 1; number <= 16; number++) {
			MUST(shr_member_get(segment, number, &info));
			ck_assert_uint_le(strlen(info.command), 16);
			ck_assert_uint_le(strlen(info.death.role), 16);
		}
		second = attached("second");
		ck_assert_ptr_nonnull(second);
		n = shr_member_wait_until(segment, NULL, NULL, shr_deadline_ns(1000000));
		ck_assert(n >= 0 || n == -ETIMEDOUT);
		MUST(shr_segment_detach(second));
	}
	munmap(map, header.total_size);
	close(fd);
	MUST(shr_segment_detach(segment));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("member");
	TCase *tc = tcase_create("member");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, members_are_seen);
	tcase_add_test(tc, a_death_is_proved_mended_and_reported_once);
	tcase_add_test(tc, deaths_are_counted_by_attach_too);
	tcase_add_test(tc, a_wait_ends_with_a_death);
	tcase_add_test(tc, a_death_wakes_who_waits_for_it);
	tcase_add_test(tc, a_wait_is_interrupted_by_a_signal);
	tcase_add_test(tc, a_process_whose_first_thread_ended_is_alive);
	tcase_add_test(tc, a_fork_that_races_an_attach_keeps_no_lock);
	tcase_add_test(tc, fork_handlers_of_the_program_do_not_deadlock);
	tcase_add_test(tc, a_spoilt_ring_does_not_close_the_segment);
	tcase_add_test(tc, calls_in_a_child_say_so);
	tcase_add_test(tc, pid_namespaces_do_not_matter);
	tcase_add_test(tc, a_scribbled_member_table_is_survived);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
