/* SPDX-License-Identifier: MIT */
/*
 * Peer: atomic_queue's AtomicQueue2, for one producer. For several it does not
 * keep the order of each one's messages: the consumer moves its index before it
 * has the element, so that a producer a lap ahead can store into the slot of one
 * that was interrupted between taking its place and storing.
 */
#include "peers.h"

#include <new>

#include <atomic_queue/atomic_queue.h>

namespace
{

template <size_t N> struct slot {
	uint64_t words[N / 8];
};

template <size_t N>
using queue_of = atomic_queue::AtomicQueue2<slot<N>, RING_BYTES / N, true, true, false, true>;

template <size_t N> struct calls {
	using type = queue_of<N>;
	static_assert(sizeof(type) <= ARENA_BYTES, "the arena is too small");
	static void init(void *object, size_t)
	{
		new (object) type;
	}
	static int push(void *object, const void *message, size_t)
	{
		return static_cast<type *>(object)->try_push(
			*static_cast<const slot<N> *>(message));
	}
	static int pop(void *object, void *buffer, size_t)
	{
		return static_cast<type *>(object)->try_pop(*static_cast<slot<N> *>(buffer));
	}
	QUEUE_EACH(each, push, pop, N, 0)
	QUEUE_PAIR(each, push, pop, N)
};

template <size_t N> constexpr queue each_of()
{
	return {"atomic_queue",
		STYLE_INLINE,
		0,
		0,
		N,
		nullptr,
		calls<N>::init,
		calls<N>::each_put,
		calls<N>::each_take,
		calls<N>::each_pair};
}

} // namespace

extern "C" const queue atomic_queue_queues[] = {
	each_of<8>(),
	each_of<64>(),
	each_of<256>(),
	each_of<1024>(),
	each_of<4096>(),
	each_of<65536>(),
	{nullptr, STYLE_INLINE, 0, 0, 0, nullptr, nullptr, nullptr, nullptr, nullptr},
};
