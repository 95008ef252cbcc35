// SPDX-License-Identifier: MIT
/* Ours in C++: what ring.c does by the calls of C, by those of shmring.hpp. */
#include <shmring/shmring.hpp>

#include "peers.h"

struct message_8 {
	uint64_t words[1];
};
SHMRING_SCHEMA(message_8, 1, words);

struct message_64 {
	uint64_t words[8];
};
SHMRING_SCHEMA(message_64, 1, words);

namespace
{

template <class T>
struct calls {
	shmring::ring<T> ring;
	shmring::producer<T> producer;
	shmring::cursor<T> cursor;

	static void *open(size_t, const char **)
	{
		static calls made;

		return &made;
	}
	/* In the process that runs it, once: handles do not survive fork(). */
	static void init(void *object, size_t)
	{
		calls &self = *static_cast<calls *>(object);
		shmring::ring_options options(SHR_RING_SINGLE_PRODUCER);

		if (self.ring)
			return;
		options.capacity = RING_BYTES;
		try {
			self.ring = shmring::ring<T>("anon:bench", "+>", options);
			self.producer = shmring::producer<T>(self.ring);
			self.cursor = shmring::cursor<T>(self.ring);
		} catch (const shmring::error &e) {
			die_plain(e.what());
		}
	}
	static int push(void *object, const void *message, size_t)
	{
		auto record = static_cast<calls *>(object)->producer.try_reserve();

		if (!record)
			return 0;
		*record = *static_cast<const T *>(message);
		record.commit();
		return 1;
	}
	static int pop(void *object, void *buffer, size_t)
	{
		calls &self = *static_cast<calls *>(object);
		auto record = self.cursor.try_next();

		if (!record)
			return 0;
		*static_cast<T *>(buffer) = *record;
		self.cursor.release();
		return 1;
	}
	QUEUE_PAIR(each, push, pop, sizeof(T))
};

template <class T>
constexpr queue alone_of()
{
	return {"shmring, C++", STYLE_INLINE,   0,       0,       sizeof(T),
		calls<T>::open, calls<T>::init, nullptr, nullptr, calls<T>::each_pair};
}

} // namespace

extern "C" const queue cxx_queues[] = {
	alone_of<message_8>(),
	alone_of<message_64>(),
	{nullptr, STYLE_INLINE, 0, 0, 0, nullptr, nullptr, nullptr, nullptr, nullptr},
};
