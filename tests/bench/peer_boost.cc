/* SPDX-License-Identifier: MIT */
/* Peers: boost's lockfree spsc_queue and interprocess message_queue. */
#include "peers.h"

#include <cstdio>
#include <new>
#include <string>
#include <unistd.h>

#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>

namespace
{

template <size_t N> struct slot {
	uint64_t words[N / 8];
};

/* Its slots are inside it, so that it works in shared memory; one is always left empty. */
template <size_t N>
using spsc = boost::lockfree::spsc_queue<slot<N>, boost::lockfree::capacity<RING_BYTES / N - 1>>;

template <size_t N> struct calls {
	static_assert(sizeof(spsc<N>) <= ARENA_BYTES, "the arena is too small");
	static void init(void *object, size_t)
	{
		new (object) spsc<N>;
	}
	static int push(void *object, const void *message, size_t)
	{
		return static_cast<spsc<N> *>(object)->push(*static_cast<const slot<N> *>(message));
	}
	static int pop(void *object, void *buffer, size_t)
	{
		return static_cast<spsc<N> *>(object)->pop(*static_cast<slot<N> *>(buffer));
	}
	static uint64_t push_batch(void *object, void *messages, size_t, uint64_t count)
	{
		return static_cast<spsc<N> *>(object)->push(static_cast<slot<N> *>(messages),
							    count);
	}
	static uint64_t pop_batch(void *object, void *buffer, size_t, uint64_t count)
	{
		return static_cast<spsc<N> *>(object)->pop(static_cast<slot<N> *>(buffer), count);
	}
	QUEUE_EACH(each, push, pop, N, 0)
	QUEUE_BATCHES(batch, push_batch, pop_batch, N, 0)
	QUEUE_PAIR(each, push, pop, N)
};

template <size_t N> constexpr queue each_of()
{
	return {"boost spsc_queue",
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

template <size_t N> constexpr queue batch_of_size()
{
	return {"boost spsc_queue, batches",
		STYLE_BATCH,
		0,
		0,
		N,
		nullptr,
		calls<N>::init,
		calls<N>::batch_put,
		calls<N>::batch_take,
		nullptr};
}

using boost::interprocess::message_queue;

/* Made before fork and used by all processes; its name goes at once. */
void *mq_open(size_t size, const char **reason)
{
	std::string name = "shmring-bench-" + std::to_string(getpid()) + "-" + std::to_string(size);

	try {
		auto *made = new message_queue(boost::interprocess::create_only, name.c_str(),
					       RING_BYTES / size, size);

		message_queue::remove(name.c_str());
		return made;
	} catch (const std::exception &) {
		message_queue::remove(name.c_str());
		*reason = "a message_queue cannot be made";
		return nullptr;
	}
}

int mq_push(void *object, const void *message, size_t size)
{
	return static_cast<message_queue *>(object)->try_send(message, size, 0);
}

int mq_pop(void *object, void *buffer, size_t size)
{
	message_queue::size_type got;
	unsigned int priority;

	if (!static_cast<message_queue *>(object)->try_receive(buffer, size, got, priority))
		return 0;
	if (got != size)
		die_plain("a message has another size than it was sent with");
	return 1;
}

QUEUE_EACH(mq, mq_push, mq_pop, size, 0)
QUEUE_EACH(mq_several, mq_push, mq_pop, size, 1)

} // namespace

extern "C" const queue boost_queues[] = {
	each_of<8>(),
	each_of<64>(),
	each_of<256>(),
	each_of<1024>(),
	each_of<4096>(),
	each_of<65536>(),
	batch_of_size<8>(),
	batch_of_size<64>(),
	batch_of_size<256>(),
	batch_of_size<1024>(),
	batch_of_size<4096>(),
	batch_of_size<65536>(),
	{"boost message_queue", STYLE_CALLS, 0, 0, 0, mq_open, nullptr, mq_put, mq_take, nullptr},
	{"boost message_queue", STYLE_CALLS, 1, 0, 0, mq_open, nullptr, mq_several_put,
	 mq_several_take, nullptr},
	{nullptr, STYLE_INLINE, 0, 0, 0, nullptr, nullptr, nullptr, nullptr, nullptr},
};
