/* SPDX-License-Identifier: MIT */
/*
 * SIGKILL at each point of every call of L3 that changes something, and then a
 * check of everything, by a process that was there before (even points) or by a
 * fresh one that attaches to the slot of the dead (odd points).
 *
 *	torture-step	after every instruction: the cpu's trap flag is set in a
 *			child (x86-64), which kills itself at the n-th trap. The
 *			library is the one that is installed.
 *	torture-points	at every kill point (lib/killpoint.h), in a library built
 *			with them; for any machine
 *
 * usage: torture-step [STRIDE]   every STRIDE-th point, about, of long calls (300); 1: all
 *
 * A scenario prepares a segment, lets a child do its call, killed at point 1, 2,
 * ... until the call ends before it, and says what must hold after each. Prints
 * TAP, with the number of points.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmring/shmring.h>

#include "step.h"

#ifdef SHR_KILL_POINTS
#define STRIDE 1
#else
#define STRIDE 300
#endif
#define DEADLINE() shr_deadline_ns(20000000000)

/* Under the mutex; a change is two stores. */
struct account {
	uint64_t a, b;
	uint32_t condition; /* of the event */
	uint32_t told;
};

static char name[64];
static struct shr_segment *segment; /* of this process */
static struct shr_mutex *mutex;
static struct shr_event *event;
static struct account *account;
static pid_t helper; /* a third process of a scenario */

/* --- The world ----------------------------------------------------------------- */

static int attach(void)
{
	size_t size;
	void *bytes;

	segment = NULL;
	mutex = NULL;
	event = NULL;
	if (shr_segment_attach(&segment, name, NULL) || shr_mutex_attach(&mutex, segment, "mutex") ||
	    shr_event_attach(&event, segment, "event") ||
	    shr_segment_bytes(segment, "account", &bytes, &size))
		return -1;
	account = bytes;
	return 0;
}

static void detach(void)
{
	CHECK(!shr_mutex_close(mutex));
	CHECK(!shr_event_close(event));
	CHECK(!shr_segment_detach(segment));
}

/* A process that does not count as dead. */
static void leave(int status)
{
	detach();
	_exit(failures ? 99 : status);
}

static void make(void)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .members = 6};
	struct shr_object objects[3];
	struct shr_segment *made = NULL;

	memset(objects, 0, sizeof(objects));
	objects[0].kind = SHR_OBJECT_BYTES;
	strcpy(objects[0].name, "account");
	objects[0].size = 4096;
	if (shr_mutex_describe(&objects[1], "mutex", 3) || shr_event_describe(&objects[2], "event", 2) ||
	    shr_segment_create(&made, name, objects, 3, &options) || shr_segment_detach(made) ||
	    attach()) {
		printf("Bail out! %s\n", shr_last_error());
		exit(99);
	}
}

/* Change both numbers, which is what the mutex protects. */
static void change(void)
{
	__atomic_store_n(&account->a, account->a + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&account->b, account->b + 1, __ATOMIC_RELAXED);
}

/* Lock mutex 0, mend what it protects if need be, change it: 1 if an owner was dead, 0, -1. */
static int lock_mend(void)
{
	int err = shr_mutex_lock_until(mutex, 0, DEADLINE());

	if (err == -EOWNERDEAD) {
		account->b = account->a;
		if (shr_mutex_consistent(mutex, 0))
			return -1;
	} else if (err) {
		return -1;
	}
	if (account->a != account->b)
		return -1;
	change();
	return err ? 1 : 0;
}

static uint32_t deaths_of_mutex(uint32_t index)
{
	struct shr_mutex_info info = {0};

	CHECK(!shr_mutex_get(mutex, index, &info));
	return info.deaths;
}

/* Deaths of all slots, and what state they are in. */
static uint64_t deaths_of_slots(void)
{
	struct shr_member_info info;
	uint64_t deaths = 0;

	for (uint32_t i = 1; !shr_member_get(segment, i, &info); i++)
		deaths += info.attaches - info.detaches - (info.state == SHR_MEMBER_ALIVE);
	return deaths;
}

/* Everything is as it should be with only this process in it. */
static void check_rest(void)
{
	struct shr_member_info info;
	struct shr_mutex_info held;
	uint64_t recorded = 0;

	CHECK(shr_member_sweep(segment, NULL, NULL) >= 0);
	for (uint32_t i = 1; !shr_member_get(segment, i, &info); i++) {
		int own = (int)i == shr_segment_member(segment);

		CHECK(info.state == (own ? SHR_MEMBER_ALIVE : SHR_MEMBER_FREE));
		recorded += info.death.deaths;
	}
	CHECK(recorded == deaths_of_slots());
	for (uint32_t i = 0; i < 3; i++) {
		CHECK(!shr_mutex_get(mutex, i, &held));
		CHECK(held.owner == 0 && held.thread == 0);
		CHECK(held.state == SHR_MUTEX_FREE || held.state == SHR_MUTEX_DIRTY);
	}
}

/* --- Scenarios ----------------------------------------------------------------- */

struct scenario {
	const char *name;
	int attaches;	  /* the call itself attaches; else the child has before */
	void (*before)(void);  /* in the parent */
	void (*ready)(void);   /* in the child, attached, not to be killed */
	void (*call)(void);    /* in the child, to be killed at the point */
	void (*after)(void);   /* in whoever checks */
	int is_long; /* may be stepped through with a stride */
};

static uint32_t deaths_before;

/* A child that attaches, does @role, and ends. */
static pid_t start(void (*role)(void))
{
	pid_t pid;

	account->told = 0;
	pid = fork();
	if (!pid) {
		if (attach())
			_exit(90);
		role();
		_exit(91);
	}
	return pid;
}

static void lock_and_die(void)
{
	int err = shr_mutex_lock(mutex, 0);

	if (err && err != -EOWNERDEAD)
		_exit(92);
	account->a++; /* half a change */
	kill(getpid(), SIGKILL);
}

/* The mutex belongs to a dead process. */
static void before_dead_owner(void)
{
	CHECK(ended(start(lock_and_die)) == -SIGKILL);
}

static void ready_nothing(void)
{
}

/* The same, but it died after this process attached, and nobody has mended its slot. */
static void ready_dead_owner(void)
{
	if (ended(start(lock_and_die)) != -SIGKILL)
		_exit(5);
}

static void call_lock_change_unlock(void)
{
	if (lock_mend() < 0)
		_exit(1);
	if (shr_mutex_unlock(mutex, 0))
		_exit(2);
}

static void call_try(void)
{
	int err = shr_mutex_try(mutex, 0);

	if (err == -EOWNERDEAD)
		account->b = account->a;
	else if (err)
		_exit(1);
	if (err && shr_mutex_consistent(mutex, 0))
		_exit(3);
	if (shr_mutex_unlock(mutex, 0))
		_exit(2);
}

static void after_lock(void)
{
	struct shr_mutex_info info = {0};
	int got, dirty, dead;

	CHECK(!shr_mutex_get(mutex, 0, &info));
	dirty = info.state == SHR_MUTEX_DIRTY || info.state == SHR_MUTEX_MENDING;
	dead = info.owner && shr_member_alive(segment, info.owner) == 0;
	got = lock_mend();
	/* -EOWNERDEAD is told if and only if somebody died in it, and each of those is counted. */
	CHECK(got == (dirty || dead));
	CHECK(deaths_of_mutex(0) - info.deaths == (uint32_t)dead);
	CHECK(deaths_of_mutex(0) - deaths_before <= 2);
	CHECK(!shr_mutex_unlock(mutex, 0));
	CHECK(lock_mend() == 0);
	CHECK(!shr_mutex_unlock(mutex, 0));
}

/* The parent holds it all the while. */
static void before_held(void)
{
	CHECK(lock_mend() == 0);
}

static void call_lock_in_vain(void)
{
	if (shr_mutex_lock_until(mutex, 0, shr_deadline_ns(300000)) != -ETIMEDOUT)
		_exit(1);
}

static void after_held(void)
{
	CHECK(deaths_of_mutex(0) == deaths_before);
	CHECK(!shr_mutex_unlock(mutex, 0));
	CHECK(lock_mend() == 0);
	CHECK(!shr_mutex_unlock(mutex, 0));
}

/* The child holds it, a third process sleeps for it. */
static void wait_for_lock(void)
{
	if (!until(&account->told, 1))
		_exit(93);
	account->told = 2;
	if (lock_mend() < 0)
		_exit(94);
	leave(shr_mutex_unlock(mutex, 0) ? 95 : 0);
}

static void before_waiter(void)
{
	helper = start(wait_for_lock);
}

static void ready_held_with_a_sleeper(void)
{
	if (lock_mend() < 0)
		_exit(3);
	say(&account->told, 1);
	if (!until(&account->told, 2) || !until_asleep(helper))
		_exit(4);
}

static void call_unlock(void)
{
	if (shr_mutex_unlock(mutex, 0))
		_exit(1);
}

static void after_waiter(void)
{
	CHECK(deaths_of_mutex(0) - deaths_before <= 1);
	CHECK(lock_mend() == 0); /* the waiter mended it */
	CHECK(!shr_mutex_unlock(mutex, 0));
}

static void call_attach(void)
{
	if (attach())
		_exit(1);
}

static void call_detach(void)
{
	if (shr_mutex_close(mutex) || shr_event_close(event))
		_exit(1);
	if (shr_segment_detach(segment))
		_exit(2);
}

static void call_sweep(void)
{
	if (shr_member_sweep(segment, NULL, NULL) < 0)
		_exit(1);
}

static int holds(void *argument)
{
	(void)argument;
	return __atomic_load_n(&account->condition, __ATOMIC_RELAXED) != 0;
}

static void sleep_on_event(void)
{
	account->told = 1;
	leave(shr_event_await_until(event, 0, holds, NULL, DEADLINE()) ? 96 : 0);
}

static void before_sleeper(void)
{
	account->condition = 0;
	helper = start(sleep_on_event);
	CHECK(until(&account->told, 1));
	CHECK(until_asleep(helper));
	__atomic_store_n(&account->condition, 1, __ATOMIC_RELAXED);
}

static void call_notify(void)
{
	if (shr_event_notify(event, 0))
		_exit(1);
}

/* It ends well: woken, or within a slice, whatever became of the wake. */
static void end_helper(void)
{
	if (helper)
		CHECK(ended(helper) == 0);
	helper = 0;
}

static void call_wait(void)
{
	uint32_t key;
	int err;

	if (shr_event_prepare(event, 0, &key))
		_exit(1);
	err = shr_event_wait_until(event, 0, key, shr_deadline_ns(200000));
	if (err && err != -ETIMEDOUT)
		_exit(2);
}

/* A dead sleeper disturbs nobody: the next one is woken. */
static void after_wait(void)
{
	before_sleeper();
	call_notify();
	end_helper();
}

static const struct scenario scenarios[] = {
	{"lock, change, unlock", 0, NULL, ready_nothing, call_lock_change_unlock, after_lock, 0},
	{"try of a dead owner's", 0, NULL, ready_dead_owner, call_try, after_lock, 1},
	{"lock of a dirty mutex", 0, before_dead_owner, ready_nothing, call_lock_change_unlock,
	 after_lock, 0},
	{"lock of a living owner's", 0, before_held, ready_nothing, call_lock_in_vain, after_held, 1},
	{"lock of a dead owner's: proof, mend, unlock", 0, NULL, ready_dead_owner,
	 call_lock_change_unlock, after_lock, 1},
	{"unlock with a sleeper", 0, before_waiter, ready_held_with_a_sleeper, call_unlock,
	 after_waiter, 0},
	{"attach to a free slot", 1, NULL, NULL, call_attach, after_lock, 1},
	{"attach to the slot of a dead owner", 1, before_dead_owner, NULL, call_attach, after_lock, 1},
	{"detach", 0, NULL, ready_nothing, call_detach, after_lock, 1},
	{"sweep of a dead owner", 0, NULL, ready_dead_owner, call_sweep, after_lock, 1},
	{"notify with a sleeper", 0, before_sleeper, ready_nothing, call_notify, end_helper, 0},
	{"wait", 0, NULL, ready_nothing, call_wait, after_wait, 0},
};

/* The child of one point: dies there (-SIGKILL), or the call ended before (0). */
static int victim(const struct scenario *scenario)
{
	pid_t pid = fork();

	if (pid)
		return ended(pid);
	reached = 0;
	if (scenario->attaches) {
		points_begin_at_lock();
	} else {
		if (attach())
			_exit(80);
		scenario->ready();
		points_begin();
	}
	scenario->call();
	points_end();
	_exit(0);
}

static void check_now(const struct scenario *scenario)
{
	scenario->after();
	check_rest();
}

/* Point @point: 1 the child was killed there, 0 the call was done. */
static int run_point(const struct scenario *scenario, unsigned long point)
{
	uint64_t slots_before = deaths_of_slots(), died;
	int by_fresh = point & 1 && scenario->before != before_held, status;

	limit = point;
	deaths_before = deaths_of_mutex(0);
	if (scenario->before)
		scenario->before();
	status = victim(scenario);
	if (status != -SIGKILL && status)
		fail("the call itself failed: %d", status);
	end_helper();
	if (by_fresh) {
		pid_t pid = fork();

		if (!pid) {
			if (attach())
				_exit(97);
			scenario->after();
			leave(failures ? 98 : 0);
		}
		if (ended(pid) && !failures)
			fail("a fresh process found it wrong at point %lu", point);
	}
	check_now(scenario);
	/* Every death is counted once: of the victim and of what prepared it. */
	died = deaths_of_slots() - slots_before - (scenario->before == before_dead_owner) -
	       (scenario->ready == ready_dead_owner);
	if (scenario->attaches || scenario->call == call_detach)
		CHECK(died <= 1);
	else
		CHECK(died == 1); /* killed, or ended without a detach */
	return status == -SIGKILL;
}

static int run_one(const void *scenario, unsigned long point)
{
	return run_point(scenario, point);
}

#ifdef SHR_KILL_POINTS
/* Every label of the library must have been the place of a death. */
static void check_labels(void)
{
	static const char *const wanted[] = {
		"event:cleared", "event:look", "event:moved", "event:prepared", "member:byte", "member:counted",
		"member:detached", "member:free", "member:introduced", "member:recorded",
		"member:release", "member:sweep", "member:swept", "member:used", "member:won",
		"mutex:consistent", "mutex:mine", "mutex:stolen", "mutex:swept", "mutex:taken",
		"mutex:unlocked", "mutex:waits"};

	labels_check(wanted, sizeof(wanted) / sizeof(wanted[0]));
}
#endif

int main(int argc, char **argv)
{
	size_t count = sizeof(scenarios) / sizeof(scenarios[0]);
	unsigned long stride = argc > 1 ? strtoul(argv[1], NULL, 10) : STRIDE;
	int bad = 0;

#ifdef SHR_KILL_POINTS
	labels = shared_page();
	printf("1..%zu\n", count + 1);
#elif defined(__x86_64__)
	printf("1..%zu\n", count);
#else
	printf("1..0 # SKIP: needs the trap flag of x86-64\n");
	return 0;
#endif
	fflush(stdout);
	srand(1);
	snprintf(name, sizeof(name), "/shmring-torture-%d", (int)getpid());
	make();
	for (size_t i = 0; i < count; i++) {
		unsigned long step = scenarios[i].is_long ? stride : 1, point;
		unsigned long points = step_points(run_one, &scenarios[i], step, &point);

		step_result(scenarios[i].name, points, step);
		if (failures)
			printf("# point %lu: %s\n", point, what);
		fflush(stdout);
		bad += failures;
	}
	printf("# %lu points\n", all_points);
#ifdef SHR_KILL_POINTS
	failures = 0;
	check_labels();
	bad += failures;
#endif
	failures = 0;
	detach();
	shr_segment_unlink(name);
	return bad ? 1 : 0;
}
