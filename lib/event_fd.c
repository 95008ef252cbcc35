/* SPDX-License-Identifier: MIT */
/*
 * L3: a descriptor for poll(2) on an event: an eventfd(2) of this process that a
 * thread of this process writes. Strangers pass no descriptors that way, and the
 * notifier pays nothing for it.
 *
 *	control: IDLE --arm--> ARMED --changed--> IDLE, descriptor readable
 *	                                 any --> QUIT
 *
 * Arming makes the descriptor unreadable first and ARMED after that, so that a
 * change in between is not eaten; at worst it is readable once too often.
 *
 * While armed the thread sleeps on the event and on control, in slices. A notifier
 * may have died between its change and the wake: where a condition is given it
 * is looked at each slice; where not, a bit that was cleared with nothing moved
 * tells of it, or a member that was there before and is gone or came anew.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "attached.h"
#include "error.h"
#include "event.h"
#include "member.h"

enum { IDLE, ARMED, QUIT };

#define STACK_BYTES    (256 * 1024)
#define CLOSE_PAUSE_LAST_NS 10000000
#define NAP_FIRST_NS 1000000
#define NAP_LAST_NS 50000000
#define BLIND_SLICE_NS 10000000 /* without futex_waitv(2) control is seen only between slices */

/* A slot as it was at the last look. */
struct seen {
	uint64_t attaches;
	int alive;
};

struct event_fd {
	int fd;
	pthread_t thread;
	const struct shr_segment *segment;
	struct shm_event *event;
	int (*ready)(void *argument);
	void *argument;
	_Atomic uint32_t control;
	_Atomic uint32_t key;
	int sure; /* fence_heavy() works here */
	int64_t nap_ns;
	int64_t looked_ns; /* when the members were last looked at */
	struct seen seen[];
};

/* Has somebody gone, or come, since the last time? */
static int members_changed(struct event_fd *fd)
{
	int changed = 0;

	for (uint32_t i = 0; i < fd->segment->layout.header.members; i++) {
		const struct shm_member *member = segment_member(fd->segment, i);
		struct seen now = {__atomic_load_n(&member->attaches, __ATOMIC_RELAXED),
				   member_held(fd->segment->door, i) != 0};

		changed |=
			now.attaches != fd->seen[i].attaches || (fd->seen[i].alive && !now.alive);
		fd->seen[i] = now;
	}
	fd->looked_ns = event_now();
	return changed;
}

static int is_ready(struct event_fd *fd, uint32_t key)
{
	if (segment_stale(fd->segment, 0))
		return 1;
	if (fd->ready)
		return fd->ready(fd->argument) != 0;
	return atomic_load_explicit(&fd->event->sequence, memory_order_acquire) != key;
}

/* Sleep until something moves, or @slice_ns are over. */
static void doze(struct event_fd *fd, uint32_t sequence, int64_t slice_ns)
{
	const struct event_word words[2] = {{(uint32_t *)&fd->event->sequence, sequence},
					    {(uint32_t *)&fd->control, ARMED}};

	if (event_futex_wait_any(words, 2, event_now() + slice_ns) == -ENOSYS)
		event_sleep(fd->event, sequence,
			    slice_ns < BLIND_SLICE_NS ? slice_ns : BLIND_SLICE_NS);
}

/*
 * A notifier may have missed that somebody sleeps, and there is no condition to
 * look at here: let the program look, after 1 to 50 ms.
 */
static int nap(struct event_fd *fd, uint32_t key)
{
	doze(fd, key, fd->nap_ns);
	if (is_ready(fd, key))
		fd->nap_ns = NAP_FIRST_NS;
	else
		fd->nap_ns = fd->nap_ns * 2 < NAP_LAST_NS ? fd->nap_ns * 2 : NAP_LAST_NS;
	return atomic_load(&fd->control) == ARMED;
}

/* ARMED: until there is something to tell, or control is another. */
static int watch(struct event_fd *fd)
{
	int64_t slice = FENCE_SLICE_NS;

	for (;;) {
		uint32_t key = atomic_load(&fd->key), sequence = key;
		int64_t longest = EVENT_SLICE_NS;

		if (atomic_load(&fd->control) != ARMED)
			return 0;
		if (fd->ready && fd->segment->slot != SLOT_NONE) {
			longest = event_prepare(fd->event, fd->segment->membarrier, &sequence);
		} else if (fd->ready) { /* an observer cannot say that it sleeps */
			sequence = atomic_load(&fd->event->sequence);
			longest = slice;
		}
		if (is_ready(fd, key))
			return 1;
		/* Where the fence is not sure: short at first, then longer. */
		if (!fd->sure && !fd->ready)
			return nap(fd, key);
		doze(fd, sequence, longest == EVENT_SLICE_NS ? longest : slice);
		slice = slice * 2 < EVENT_SLICE_NS ? slice * 2 : EVENT_SLICE_NS;
		if (is_ready(fd, key))
			return 1;
		if (fd->ready || event_now() - fd->looked_ns < EVENT_SLICE_NS)
			continue;
		if (!atomic_load(&fd->event->sleepers) || members_changed(fd))
			return 1;
	}
}

static void *thread_main(void *argument)
{
	const uint64_t one = 1;
	struct event_fd *fd = argument;
	uint32_t control;

	while ((control = atomic_load(&fd->control)) != QUIT) {
		uint32_t armed = ARMED;

		if (control == IDLE) {
			event_futex_wait((uint32_t *)&fd->control, IDLE, SHR_FOREVER);
			continue;
		}
		if (watch(fd) && atomic_compare_exchange_strong(&fd->control, &armed, IDLE) &&
		    write(fd->fd, &one, sizeof(one)) < 0)
			continue; /* full: it is readable */
	}
	return NULL;
}

static int start(struct event_fd *fd)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int err = pthread_attr_init(&attributes);

	if (err)
		return err;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = pthread_create(&fd->thread, &attributes, thread_main, fd);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return err;
}

int event_fd_open(struct event_fd **result, const struct shr_segment *segment,
		  struct shm_event *event, int (*ready)(void *argument), void *argument)
{
	uint32_t members = segment->layout.header.members;
	struct event_fd *fd = calloc(1, sizeof(*fd) + members * sizeof(fd->seen[0]));
	int err;

	if (!fd)
		return shr_fail(ENOMEM, "out of memory");
	fd->segment = segment;
	fd->event = event;
	fd->nap_ns = NAP_FIRST_NS;
	fd->ready = ready;
	fd->argument = argument;
	fd->fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* look once, whatever was before */
	if (fd->fd < 0) {
		err = shr_fail(errno, "cannot make an eventfd: %s", strerror(errno));
		goto free_it;
	}
	members_changed(fd);
	fd->sure = fence_heavy(segment->membarrier);
	err = start(fd);
	if (err) {
		err = shr_fail(err, "cannot start the thread of a descriptor: %s", strerror(err));
		goto close_fd;
	}
	*result = fd;
	return 0;
close_fd:
	close(fd->fd);
free_it:
	free(fd);
	return err;
}

int event_fd_number(const struct event_fd *fd)
{
	return fd->fd;
}

void event_fd_arm(struct event_fd *fd, uint32_t key)
{
	uint64_t count;

	if (read(fd->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return; /* not ours any more: somebody closed it */
	atomic_store(&fd->key, key);
	if (atomic_exchange(&fd->control, ARMED) != ARMED)
		event_futex_wake((uint32_t *)&fd->control, 1);
}

void event_fd_close(struct event_fd *fd)
{
	struct timespec pause = {.tv_nsec = 20000};

	if (!fd)
		return;
	atomic_store(&fd->control, QUIT);
	/* Until it has seen that, whatever became of a wake. */
	do {
		event_futex_wake((uint32_t *)&fd->control, 1);
		nanosleep(&pause, NULL);
		pause.tv_nsec = pause.tv_nsec < CLOSE_PAUSE_LAST_NS ? pause.tv_nsec * 2 : pause.tv_nsec;
	} while (pthread_tryjoin_np(fd->thread, NULL) == EBUSY);
	close(fd->fd);
	free(fd);
}
