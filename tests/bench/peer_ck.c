/* SPDX-License-Identifier: MIT */
/* Peer: ck_ring of Concurrency Kit, one producer or several, slots of the message's size. */
#include "peers.h"

#include <ck_ring.h>

/* In the arena, a ring and its slots. */
struct arena_ck {
	struct ck_ring ring;
	char slots[] __attribute__((aligned(64)));
};

static void ck_init(void *object, size_t size)
{
	struct arena_ck *arena = object;

	ck_ring_init(&arena->ring, (unsigned int)(RING_BYTES / size));
}

#define CK_OF(bytes)                                                                               \
	struct slot_##bytes {                                                                      \
		uint64_t words[bytes / 8];                                                         \
	};                                                                                         \
	CK_RING_PROTOTYPE(of_##bytes, slot_##bytes)                                                \
	static int push_##bytes(void *object, const void *message, size_t size)                    \
	{                                                                                          \
		struct arena_ck *arena = object;                                                   \
		void *from = (void *)(uintptr_t)message;                                           \
                                                                                                   \
		(void)size;                                                                        \
		return ck_ring_enqueue_spsc_of_##bytes(&arena->ring, (void *)arena->slots, from);  \
	}                                                                                          \
	static int pop_##bytes(void *object, void *buffer, size_t size)                            \
	{                                                                                          \
		struct arena_ck *arena = object;                                                   \
                                                                                                   \
		(void)size;                                                                        \
		return ck_ring_dequeue_spsc_of_##bytes(&arena->ring, (void *)arena->slots,         \
						       buffer);                                    \
	}                                                                                          \
	QUEUE_EACH(ck_##bytes, push_##bytes, pop_##bytes, bytes, 0)                                \
	QUEUE_PAIR(ck_##bytes, push_##bytes, pop_##bytes, bytes)

CK_OF(8)
CK_OF(64)
CK_OF(256)
CK_OF(1024)
CK_OF(4096)
CK_OF(65536)

static int push_several(void *object, const void *message, size_t size)
{
	struct arena_ck *arena = object;
	void *from = (void *)(uintptr_t)message;

	(void)size;
	return ck_ring_enqueue_mpsc_of_64(&arena->ring, (void *)arena->slots, from);
}

static int pop_several(void *object, void *buffer, size_t size)
{
	struct arena_ck *arena = object;

	(void)size;
	return ck_ring_dequeue_mpsc_of_64(&arena->ring, (void *)arena->slots, buffer);
}

QUEUE_EACH(ck_several, push_several, pop_several, 64, 1)

#define CK_QUEUE(bytes)                                                                            \
	{                                                                                          \
		.name = "ck_ring", .style = STYLE_INLINE, .size = bytes, .init = ck_init,          \
		.put = ck_##bytes##_put, .take = ck_##bytes##_take, .pair = ck_##bytes##_pair,     \
	}

const struct queue ck_queues[] = {
	CK_QUEUE(8),
	CK_QUEUE(64),
	CK_QUEUE(256),
	CK_QUEUE(1024),
	CK_QUEUE(4096),
	CK_QUEUE(65536),
	{.name = "ck_ring",
	 .style = STYLE_INLINE,
	 .several = 1,
	 .size = 64,
	 .init = ck_init,
	 .put = ck_several_put,
	 .take = ck_several_take},
	{.name = NULL},
};
