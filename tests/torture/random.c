/* SPDX-License-Identifier: MIT */
/*
 * Processes that lock, change, notify, wait, attach, detach and fork, while they
 * are killed, stopped and continued at random; some exec inside a lock. Started
 * anew each time.
 *
 * usage: torture-random [KILLS [SEED]]        (6000 1)
 *
 * What must hold
 *	- whoever locks without -EOWNERDEAD finds what the mutex protects whole, and
 *	  nobody else inside; whoever gets -EOWNERDEAD finds the dead one's mark
 *	- a child made by fork is told -ECHILD
 *	- all the time somebody gets on: none is asleep for ever
 *	- in the end every death is counted, in the slots and in the mutexes, and
 *	  a sweep leaves nothing behind
 * and each kind of recovery must have been seen 1,000 times for 40,000 kills, or
 * the run is void: it proves nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmring/shmring.h>

#include "../procs.h"

#define MUTEXES 4
#define MOST 8
#define STUCK_NS 30000000000

/* Under one mutex each. */
struct guarded {
	uint64_t a, b;
	uint32_t inside; /* member number of who is in */
};

/* What the processes count, and the wrong they find; not in the segment. */
struct tally {
	uint64_t locked, owner_dead, mender_died, by_sweep, by_proof;
	uint64_t woken, attaches, child_refused, stale_marks;
	uint32_t wrong;	     /* line in this file of the first one */
	uint32_t condition;  /* that they wait for; only grows */
	uint64_t progress;
	uint32_t in_lock[MOST], in_wait[MOST]; /* what each is doing */
};

static char name[64];
static struct tally *tally;
static struct shr_segment *segment;
static struct shr_mutex *mutex;
static struct shr_event *event;
static struct guarded *guarded;
static uint32_t me;
static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % below;
}

static void count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static void wrong(int line)
{
	uint32_t none = 0;

	__atomic_compare_exchange_n(&tally->wrong, &none, (uint32_t)line, 0, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	_exit(1);
}

#define MUST_HOLD(condition)                                                                   \
	do {                                                                                   \
		if (!(condition))                                                              \
			wrong(__LINE__);                                                       \
	} while (0)

static int attach(void)
{
	size_t size;
	void *bytes;

	segment = NULL;
	mutex = NULL;
	event = NULL;
	if (shr_segment_attach(&segment, name, NULL) || shr_mutex_attach(&mutex, segment, "mutex") ||
	    shr_event_attach(&event, segment, "event") ||
	    shr_segment_bytes(segment, "guarded", &bytes, &size))
		return -1;
	guarded = bytes;
	me = (uint32_t)shr_segment_member(segment);
	count(&tally->attaches);
	return 0;
}

static void detach(void)
{
	MUST_HOLD(!shr_mutex_close(mutex) && !shr_event_close(event) && !shr_segment_detach(segment));
}

/* --- What a process does ------------------------------------------------------- */

static void loiter(void)
{
	for (uint32_t i = draw(400); i; i--)
		__asm__ volatile("" ::: "memory");
	if (!draw(16))
		sched_yield();
}

/* In the mutex, having been told -EOWNERDEAD. */
static void mend(uint32_t which, uint32_t deaths_before)
{
	struct guarded *mine = &guarded[which];
	struct shr_mutex_info info;

	count(&tally->owner_dead);
	MUST_HOLD(!shr_mutex_get(mutex, which, &info));
	MUST_HOLD(info.state == SHR_MUTEX_MENDING && info.owner == me);
	/* The mark may be missing: it died before it set it, or after it took it off. */
	if (mine->inside) {
		count(&tally->stale_marks);
		MUST_HOLD(mine->inside <= 16);
	}
	if (info.deaths != deaths_before)
		count(&tally->by_proof);
	else
		count(&tally->by_sweep);
	mine->inside = me;
	MUST_HOLD(mine->a - mine->b <= 1);
	loiter(); /* die here, too */
	if (mine->a != mine->b)
		mine->b = mine->a;
	loiter();
	MUST_HOLD(!shr_mutex_consistent(mutex, which));
}

static void use_mutex(uint32_t slot)
{
	uint32_t which = draw(MUTEXES);
	struct guarded *mine = &guarded[which];
	struct shr_mutex_info info;
	int err;

	MUST_HOLD(!shr_mutex_get(mutex, which, &info));
	__atomic_store_n(&tally->in_lock[slot], 1, __ATOMIC_RELAXED);
	switch (draw(4)) {
	case 0:
		err = shr_mutex_try(mutex, which);
		break;
	case 1:
		err = shr_mutex_lock_until(mutex, which, shr_deadline_ns(draw(2000000)));
		break;
	default:
		err = shr_mutex_lock(mutex, which);
	}
	__atomic_store_n(&tally->in_lock[slot], 0, __ATOMIC_RELAXED);
	if (err == -EBUSY || err == -ETIMEDOUT)
		return;
	MUST_HOLD(!err || err == -EOWNERDEAD);
	if (err) {
		mend(which, info.deaths);
	} else {
		MUST_HOLD(mine->inside == 0);
		mine->inside = me;
		MUST_HOLD(mine->a == mine->b);
	}
	mine->a++;
	loiter();
	mine->b++;
	MUST_HOLD(mine->inside == me);
	if (!draw(200)) {
		static char program[] = "/bin/true";
		char *arguments[] = {program, NULL};

		execv(arguments[0], arguments); /* inside: as good as killed */
	}
	mine->inside = 0;
	MUST_HOLD(!shr_mutex_unlock(mutex, which));
	count(&tally->locked);
}

static int moved(void *wanted)
{
	return __atomic_load_n(&tally->condition, __ATOMIC_RELAXED) != *(uint32_t *)wanted;
}

static void use_event(uint32_t slot)
{
	uint32_t seen = __atomic_load_n(&tally->condition, __ATOMIC_RELAXED);
	int err;

	if (draw(3)) {
		__atomic_fetch_add(&tally->condition, 1, __ATOMIC_RELAXED);
		MUST_HOLD(!shr_event_notify(event, 0));
		return;
	}
	__atomic_store_n(&tally->in_wait[slot], 1, __ATOMIC_RELAXED);
	err = shr_event_await_until(event, 0, moved, &seen, shr_deadline_ns(50000000));
	__atomic_store_n(&tally->in_wait[slot], 0, __ATOMIC_RELAXED);
	MUST_HOLD(!err || err == -ETIMEDOUT);
	if (!err)
		count(&tally->woken);
}

static void use_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(shr_mutex_try(mutex, 0) == -ECHILD && shr_event_notify(event, 0) == -ECHILD &&
				      shr_segment_check(segment) == -ECHILD
			      ? 0
			      : 1);
	MUST_HOLD(pid > 0 && ended(pid) == 0);
	count(&tally->child_refused);
}

static void work(uint32_t slot, uint64_t seed)
{
	random_state = seed;
	if (attach())
		wrong(__LINE__);
	for (;;) {
		uint32_t what = draw(100);

		count(&tally->progress);
		if (what < 70) {
			use_mutex(slot);
		} else if (what < 94) {
			use_event(slot);
		} else if (what < 97) {
			detach();
			if (attach())
				wrong(__LINE__);
		} else if (what < 98) {
			use_fork();
		} else {
			MUST_HOLD(shr_member_sweep(segment, NULL, NULL) >= 0);
		}
	}
}

/* --- The killer ---------------------------------------------------------------- */

static pid_t workers[MOST];
static int stopped[MOST];

static void start(uint32_t slot)
{
	uint64_t seed = random_state ^ (uint64_t)slot << 40;

	draw(2);
	stopped[slot] = 0;
	tally->in_lock[slot] = tally->in_wait[slot] = 0;
	workers[slot] = fork();
	if (!workers[slot])
		work(slot, seed);
}

/* Whoever ended by itself did an exec; or found something wrong. 1 if so. */
static int reap(uint32_t slot, uint64_t *execs)
{
	int status;

	if (waitpid(workers[slot], &status, WNOHANG) != workers[slot])
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		++*execs;
	start(slot);
	return 1;
}

static void make(void)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .members = 16};
	struct shr_object objects[3];

	memset(objects, 0, sizeof(objects));
	objects[0].kind = SHR_OBJECT_BYTES;
	strcpy(objects[0].name, "guarded");
	objects[0].size = 4096;
	if (shr_mutex_describe(&objects[1], "mutex", MUTEXES) ||
	    shr_event_describe(&objects[2], "event", 1) ||
	    shr_segment_create(&segment, name, objects, 3, &options) || shr_segment_detach(segment) ||
	    attach()) {
		printf("Bail out! %s\n", shr_last_error());
		exit(99);
	}
}

struct kills {
	uint64_t killed, stops, execs, in_lock, in_wait, while_stopped;
};

static void disturb(uint32_t slot, struct kills *kills)
{
	if (reap(slot, &kills->execs))
		return;
	switch (draw(6)) {
	case 0:
		kill(workers[slot], stopped[slot] ? SIGCONT : SIGSTOP);
		stopped[slot] = !stopped[slot];
		kills->stops++;
		break;
	case 1:
		if (stopped[slot])
			kill(workers[slot], SIGCONT);
		stopped[slot] = 0;
		break;
	default:
		kills->in_lock += __atomic_load_n(&tally->in_lock[slot], __ATOMIC_RELAXED);
		kills->in_wait += __atomic_load_n(&tally->in_wait[slot], __ATOMIC_RELAXED);
		kills->while_stopped += (uint64_t)stopped[slot];
		kill_now(workers[slot]);
		kills->killed++;
		start(slot);
	}
}

/* Does anybody get on? With all that were stopped continued. */
static int stuck(uint32_t running)
{
	uint64_t before = __atomic_load_n(&tally->progress, __ATOMIC_RELAXED);
	int64_t end = clock_ns() + STUCK_NS;

	for (uint32_t i = 0; i < running; i++) {
		kill(workers[i], SIGCONT);
		stopped[i] = 0;
	}
	while (__atomic_load_n(&tally->progress, __ATOMIC_RELAXED) - before < 100) {
		if (tally->wrong || clock_ns() > end)
			return 1;
		for (uint32_t i = 0; i < running; i++) {
			uint64_t execs = 0;

			reap(i, &execs);
		}
		usleep(500);
	}
	return 0;
}

static int check_end(void)
{
	struct shr_member_info member;
	struct shr_mutex_info info;
	uint64_t deaths = 0, recorded = 0, dead_inside = 0;
	int bad = 0;

	if (shr_member_sweep(segment, NULL, NULL) < 0)
		bad = printf("# the last sweep failed: %s\n", shr_last_error());
	for (uint32_t i = 1; !shr_member_get(segment, i, &member); i++) {
		deaths += member.attaches - member.detaches - (member.state == SHR_MEMBER_ALIVE);
		recorded += member.death.deaths;
		if (member.state != (i == me ? SHR_MEMBER_ALIVE : SHR_MEMBER_FREE))
			bad = printf("# slot %u is in state %u\n", i, member.state);
	}
	for (uint32_t i = 0; i < MUTEXES; i++) {
		int err = shr_mutex_lock_until(mutex, i, shr_deadline_ns(5000000000));

		if (err == -EOWNERDEAD) {
			guarded[i].b = guarded[i].a;
			err = shr_mutex_consistent(mutex, i);
		}
		if (err || shr_mutex_get(mutex, i, &info) || shr_mutex_unlock(mutex, i))
			bad = printf("# mutex %u cannot be had: %d %s\n", i, err, shr_last_error());
		if (guarded[i].a != guarded[i].b)
			bad = printf("# guarded %u is not whole\n", i);
		dead_inside += info.deaths;
	}
	printf("# slots: %" PRIu64 " attached in all, %" PRIu64 " died, %" PRIu64 " recorded; died inside "
	       "mutexes: %" PRIu64 " (mod 65,536 each)\n",
	       tally->attaches, deaths, recorded, dead_inside);
	if (recorded != deaths)
		bad = printf("# not every death is recorded\n");
	return bad;
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 6000, least = wanted / 40;
	uint32_t running = 5;
	struct kills kills = {0};
	int bad = 0;

	random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	printf("1..3\n");
	fflush(stdout);
	tally = shared_page();
	snprintf(name, sizeof(name), "/shmring-random-%d", (int)getpid());
	make();
	for (uint32_t i = 0; i < running; i++)
		start(i);
	for (uint64_t turn = 0; kills.killed < wanted && !tally->wrong && !bad; turn++) {
		disturb(draw(running), &kills);
		usleep(draw(300));
		if (turn % 500 == 499) {
			bad = stuck(running);
			if (running < MOST && draw(2))
				start(running++);
			else if (running > 3)
				kill_now(workers[--running]), kills.killed++;
		}
	}
	if (!bad && !tally->wrong)
		bad = stuck(running);
	for (uint32_t i = 0; i < running; i++)
		kill_now(workers[i]);
	printf("# %" PRIu64 " kills (%" PRIu64 " in lock, %" PRIu64 " in wait, %" PRIu64 " while stopped), %"
	       PRIu64 " stops, %" PRIu64 " execs inside\n",
	       kills.killed, kills.in_lock, kills.in_wait, kills.while_stopped, kills.stops, kills.execs);
	printf("# %" PRIu64 " locked, %" PRIu64 " with a dead owner (%" PRIu64 " by proof, %" PRIu64
	       " after a sweep, %" PRIu64 " with its mark), %" PRIu64 " woken, %" PRIu64
	       " children refused\n",
	       tally->locked, tally->owner_dead, tally->by_proof, tally->by_sweep, tally->stale_marks,
	       tally->woken, tally->child_refused);
	if (tally->wrong)
		printf("# wrong: line %u\n", tally->wrong);
	if (bad)
		printf("# nobody gets on\n");
	printf("%s 1 - %" PRIu64 " kills: nobody finds anything wrong, or is stuck\n",
	       tally->wrong || bad ? "not ok" : "ok", kills.killed);
	bad |= tally->wrong || check_end();
	printf("%s 2 - every death is counted and nothing is left behind\n", bad ? "not ok" : "ok");
	if (tally->by_proof < least || tally->by_sweep < least || tally->woken < least ||
	    kills.in_lock < least || kills.in_wait < least || tally->child_refused < least / 2) {
		printf("not ok 3 - void: less than %" PRIu64 " of some kind\n", least);
		bad = 1;
	} else {
		printf("ok 3 - at least %" PRIu64 " of each kind\n", least);
	}
	detach();
	shr_segment_unlink(name);
	return bad ? 1 : 0;
}
