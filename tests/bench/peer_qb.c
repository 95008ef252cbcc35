/* SPDX-License-Identifier: MIT */
/* Peer: libqb's ring buffer, in place on both sides, with and without its semaphore. */
#include "peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <qb/qbrb.h>

/* Its two files lose their names at once: nothing stays behind, however this ends. */
static void names_remove(qb_ringbuffer_t *ring)
{
	static const char suffix[] = "header";
	char path[512];
	size_t length = (size_t)snprintf(path, sizeof(path), "%s", qb_rb_name_get(ring));

	if (length >= sizeof(path) || length < sizeof(suffix) ||
	    strcmp(path + length - strlen(suffix), suffix))
		return;
	unlink(path);
	strcpy(path + length - strlen(suffix), "data");
	unlink(path);
}

static void *ring_open(uint32_t flags, const char *name, const char **reason)
{
	char text[64];
	qb_ringbuffer_t *ring;

	snprintf(text, sizeof(text), "shmring-bench-%d-%s", (int)getpid(), name);
	ring = qb_rb_open(text, RING_BYTES, QB_RB_FLAG_CREATE | QB_RB_FLAG_SHARED_PROCESS | flags,
			  0);
	if (!ring) {
		*reason = "qb_rb_open fails";
		return NULL;
	}
	names_remove(ring);
	return ring;
}

static void *bare_open(size_t size, const char **reason)
{
	static void *ring;

	(void)size;
	return ring ? ring : (ring = ring_open(QB_RB_FLAG_NO_SEMAPHORE, "bare", reason));
}

static void *semaphore_open(size_t size, const char **reason)
{
	static void *ring;

	(void)size;
	return ring ? ring : (ring = ring_open(0, "semaphore", reason));
}

static int ring_push(void *object, const void *message, size_t size)
{
	void *chunk = qb_rb_chunk_alloc(object, size);

	if (!chunk)
		return 0;
	memcpy(chunk, message, size);
	if (qb_rb_chunk_commit(object, size))
		die_plain("qb_rb_chunk_commit fails");
	return 1;
}

static int ring_pop(void *object, void *buffer, size_t size)
{
	void *chunk;
	ssize_t n = qb_rb_chunk_peek(object, &chunk, 0);

	if (n <= 0)
		return 0;
	if ((size_t)n != size)
		die_plain("a chunk has another size than it was sent with");
	memcpy(buffer, chunk, size);
	qb_rb_chunk_reclaim(object);
	return 1;
}

QUEUE_EACH(qb, ring_push, ring_pop, size, 0)
QUEUE_PAIR(qb, ring_push, ring_pop, size)

const struct queue qb_queues[] = {
	{.name = "libqb",
	 .style = STYLE_CALLS,
	 .open = bare_open,
	 .put = qb_put,
	 .take = qb_take,
	 .pair = qb_pair},
	{.name = "libqb, semaphore",
	 .style = STYLE_CALLS,
	 .open = semaphore_open,
	 .put = qb_put,
	 .take = qb_take},
	{.name = NULL},
};
