/* SPDX-License-Identifier: MIT */
/* L3: public events, arrays of struct shm_event_line. The protocol is in event.h. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <shmring/lock.h>

#include "attached.h"
#include "error.h"
#include "event.h"
#include "killpoint.h"

#define EVENT_TAG  0x45564e54u
#define EVENTS_MAX (1u << 24)
#define ANY_NAP_NS 1000000
#define NAP_FIRST  1000000  /* ns */
#define NAP_LAST   50000000 /* ns */

struct shr_event {
	uint32_t tag;   /* 0 in a child */
	uint32_t light; /* events that are notified with a light fence: count or 0 */
	uint32_t count;
	int own_segment;
	int observes;
	struct shm_event_line *shm;
	struct shr_segment *segment;
	_Atomic int64_t looked_ns;
	_Atomic int64_t nap_ns; /* the next sleep of who is not sure to be woken */
	_Atomic int unsure;
	_Atomic(struct event_fd *) *_Atomic fds; /* one an event, or NULL: none yet */
	pthread_mutex_t fds_mutex;
};

/* --- Handles ----------------------------------------------------------------- */

int shr_event_describe(struct shr_object *object, const char *name, uint32_t count)
{
	if (!count)
		count = 1;
	if (count > EVENTS_MAX)
		return shr_fail(EINVAL, "%u events are over %u", count, EVENTS_MAX);
	return kind_describe(object, SHR_OBJECT_EVENT, name, count,
			     (uint64_t)count * sizeof(struct shm_event_line));
}

int event_entry_check(const struct shm_object *entry)
{
	if (entry->flags || !entry->param[0] || entry->param[0] > EVENTS_MAX || entry->param[1] ||
	    entry->param[2] || entry->param[3] || entry->param[4] ||
	    entry->size != entry->param[0] * sizeof(struct shm_event_line))
		return shr_fail(EBADMSG, "events %.47s have an impossible count", entry->name);
	return 0;
}

void event_wake_all(void *object, const struct shm_object *entry)
{
	struct shm_event_line *line = object;

	for (uint64_t i = 0; i < entry->param[0]; i++)
		event_wake(&line[i].event, INT_MAX);
}

int shr_event_attach(struct shr_event **result, struct shr_segment *segment,
		     const char *object_name)
{
	struct shr_event *event;
	int index;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	index = segment_find(segment, object_name, SHR_OBJECT_EVENT, "events");
	if (index < 0)
		return index;
	event = handle_alloc(sizeof(*event));
	if (!event)
		return shr_fail(ENOMEM, "out of memory");
	event->segment = segment;
	event->observes = segment->slot == SLOT_NONE;
	event->unsure = event->observes;
	event->count = (uint32_t)segment->layout.header.directory[index].param[0];
	event->light = segment->registered ? event->count : 0;
	event->shm =
		(struct shm_event_line *)(void *)(segment->base +
						  segment->layout.header.directory[index].offset);
	pthread_mutex_init(&event->fds_mutex, NULL);
	event->tag = EVENT_TAG;
	atomic_fetch_add(&segment->users, 1);
	*result = event;
	return 0;
}

int shr_event_open(struct shr_event **result, const char *name, const char *mode, uint32_t count,
		   const struct shr_segment_options *segment_options)
{
	struct shr_segment *segment = NULL;
	struct shr_object object;
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	err = shr_event_describe(&object, "event", count);
	if (!err)
		err = segment_open_one(&segment, name, mode, &object, segment_options);
	if (err)
		return err;
	err = shr_event_attach(result, segment, "event");
	if (err)
		shr_segment_detach(segment);
	else
		(*result)->own_segment = 1;
	return err;
}

int shr_event_close(struct shr_event *event)
{
	int err;

	if (!event)
		return 0;
	if (event->tag == EVENT_TAG) {
		_Atomic(struct event_fd *) *fds = event->fds;

		if (event->own_segment && atomic_load(&event->segment->users) > 1)
			return shr_fail(EBUSY, "other objects of the segment are still open: close "
					       "them first");
		for (uint32_t i = 0; fds && i < event->count; i++) {
			event_fd_close(fds[i]);
			fds[i] = NULL;
		}
		err = segment_let_go(event->segment, event->own_segment);
		if (err)
			return err;
		free((void *)fds);
		pthread_mutex_destroy(&event->fds_mutex);
	}
	handle_free(event, sizeof(*event));
	return 0;
}

uint32_t shr_event_count(const struct shr_event *event)
{
	return event->count;
}

struct shr_segment *shr_event_segment(const struct shr_event *event)
{
	return event->segment;
}

/* Why this handle cannot do it with event @index. */
static int refuse(const struct shr_event *event, uint32_t index)
{
	if (event->tag != EVENT_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (index >= event->count)
		return shr_fail(EINVAL, "there are %u events, and no number %u", event->count,
				index);
	return shr_fail(EROFS, HANDLE_OBSERVES);
}

/* --- Calls ------------------------------------------------------------------- */

static __attribute__((noinline)) int notify_fenced(struct shr_event *event, uint32_t index)
{
	if (index >= event->count || event->observes)
		return refuse(event, index);
	event_notify(&event->shm[index].event, 0, INT_MAX);
	return 0;
}

int shr_event_notify(struct shr_event *event, uint32_t index)
{
	KILL_POINT("event:look");
	/* In a child all of it is zero: no index is below. */
	if (__builtin_expect(index >= event->light, 0))
		return notify_fenced(event, index);
	event_notify(&event->shm[index].event, 1, INT_MAX);
	return 0;
}

int shr_event_prepare(struct shr_event *event, uint32_t index, uint32_t *key)
{
	_Atomic(struct event_fd *) *fds;
	struct event_fd *fd;

	if (index >= event->count)
		return refuse(event, index);
	if (event->observes) {
		*key = atomic_load(&event->shm[index].event.sequence);
		return 0;
	}
	fds = event->fds;
	fd = fds ? fds[index] : NULL;
	if (event_prepare(&event->shm[index].event, event->segment->membarrier, key) < EVENT_SLICE_NS)
		atomic_store_explicit(&event->unsure, 1, memory_order_relaxed);
	if (fd)
		event_fd_arm(fd, *key);
	return 0;
}

/* The next nap: longer, the longer nothing moves. */
static int64_t nap_of(struct shr_event *event)
{
	int64_t nap = atomic_load_explicit(&event->nap_ns, memory_order_relaxed);

	if (nap < NAP_FIRST)
		nap = NAP_FIRST;
	atomic_store_explicit(&event->nap_ns, nap * 2 < NAP_LAST ? nap * 2 : NAP_LAST,
			      memory_order_relaxed);
	return nap;
}

int shr_event_wait_until(struct shr_event *event, uint32_t index, uint32_t key, int64_t deadline_ns)
{
	struct shm_event *shm;
	int64_t now, slice;
	int err;

	if (index >= event->count)
		return refuse(event, index);
	shm = &event->shm[index].event;
	if (atomic_load_explicit(&shm->sequence, memory_order_acquire) != key) {
		atomic_store_explicit(&event->nap_ns, 0, memory_order_relaxed);
		return 0;
	}
	now = event_now();
	err = event_stale(event->segment, &event->looked_ns, now);
	if (err)
		return err;
	if (now >= deadline_ns)
		return -ETIMEDOUT;
	slice = atomic_load_explicit(&event->unsure, memory_order_relaxed) ? nap_of(event)
									   : EVENT_SLICE_NS;
	err = event_sleep(shm, key, slice < deadline_ns - now ? slice : deadline_ns - now);
	if (atomic_load_explicit(&shm->sequence, memory_order_relaxed) != key)
		atomic_store_explicit(&event->nap_ns, 0, memory_order_relaxed);
	return err;
}

struct await {
	int (*ready)(void *argument);
	void *argument;
};

static int await_attempt(void *argument)
{
	const struct await *await = argument;
	int ready = await->ready(await->argument);

	return ready > 0 ? 0 : ready ? ready : -EAGAIN;
}

int shr_event_await_until(struct shr_event *event, uint32_t index, int (*ready)(void *argument),
			  void *argument, int64_t deadline_ns)
{
	struct await await = {ready, argument};
	const int64_t slice_last = EVENT_SLICE_NS;
	int err;

	if (index >= event->count)
		return refuse(event, index);
	err = await_attempt(&await);
	if (err != -EAGAIN)
		return err;
	return event_await(event->segment, &event->looked_ns, &event->shm[index].event, deadline_ns,
			   await_attempt, &await, &slice_last);
}

/* Without futex_waitv(2): 0 one has moved, or the nap is over. */
static int nap_on_any(const struct event_word *words, size_t count, int64_t timeout_ns)
{
	const struct timespec nap = {0, timeout_ns < ANY_NAP_NS ? timeout_ns : ANY_NAP_NS};

	for (size_t i = 0; i < count; i++)
		if (__atomic_load_n(words[i].word, __ATOMIC_ACQUIRE) != words[i].value)
			return 0;
	return nanosleep(&nap, NULL) < 0 && errno == EINTR ? -EINTR : 0;
}

int shr_event_wait_any_until(const struct shr_event_wait *waits, size_t count, int64_t deadline_ns)
{
	struct event_word words[SHR_EVENT_WAITS_MAX];
	int64_t now = event_now(), slice = EVENT_SLICE_NS;
	int err;

	if (!count)
		return shr_fail(EINVAL, "no events to wait for");
	if (count > SHR_EVENT_WAITS_MAX)
		return shr_fail(E2BIG, "%zu events are over %d", count, SHR_EVENT_WAITS_MAX);
	for (size_t i = 0; i < count; i++) {
		struct shr_event *event = waits[i].event;

		if (waits[i].index >= event->count)
			return refuse(event, waits[i].index);
		err = event_stale(event->segment, &event->looked_ns, now);
		if (err)
			return err;
		if (atomic_load_explicit(&event->unsure, memory_order_relaxed)) {
			int64_t nap = nap_of(event);

			slice = nap < slice ? nap : slice;
		}
		words[i] = (struct event_word){
			(uint32_t *)&event->shm[waits[i].index].event.sequence, waits[i].key};
	}
	if (now >= deadline_ns) {
		for (size_t i = 0; i < count; i++)
			if (__atomic_load_n(words[i].word, __ATOMIC_ACQUIRE) != words[i].value)
				return 0;
		return -ETIMEDOUT;
	}
	if (slice > deadline_ns - now)
		slice = deadline_ns - now;
	err = event_futex_wait_any(words, (uint32_t)count, now + slice);
	if (err == -ENOSYS)
		err = nap_on_any(words, count, slice);
	for (size_t i = 0; i < count; i++)
		if (__atomic_load_n(words[i].word, __ATOMIC_RELAXED) != words[i].value)
			atomic_store_explicit(&waits[i].event->nap_ns, 0, memory_order_relaxed);
	return err == -EINTR ? err : 0;
}

static int fd_of(struct shr_event *event, uint32_t index)
{
	_Atomic(struct event_fd *) *fds = event->fds;
	struct event_fd *fd = NULL;
	int err;

	if (!fds)
		event->fds = fds = calloc(event->count, sizeof(*fds));
	if (!fds)
		return shr_fail(ENOMEM, "out of memory");
	if (!fds[index]) {
		err = event_fd_open(&fd, event->segment, &event->shm[index].event, NULL, NULL);
		if (err)
			return err;
		fds[index] = fd;
	}
	return event_fd_number(fds[index]);
}

int shr_event_fd(struct shr_event *event, uint32_t index)
{
	int err;

	if (index >= event->count || event->observes)
		return refuse(event, index);
	pthread_mutex_lock(&event->fds_mutex);
	err = fd_of(event, index);
	pthread_mutex_unlock(&event->fds_mutex);
	return err;
}
