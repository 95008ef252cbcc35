// SPDX-License-Identifier: MIT
// minimal-producer and minimal-consumer in one, and in C++; it works with both.
#include <shmring/shmring.hpp>
#include <cstdio>

#include "minimal.h"
SHMRING_DESCRIBED(reading);

int main(int argc, char **argv)
try {
	shmring::ring<reading> ring(argc > 1 ? argv[1] : "/minimal", "+>",
				    shmring::ring_options(SHR_RING_SINGLE_PRODUCER));
	shmring::producer<reading> producer(ring);
	shmring::cursor<reading> cursor(ring);

	for (uint64_t i = 0; i < 3; i++)
		producer.write({i, 20.5 + static_cast<double>(i), "kitchen"});
	for (const auto &record : cursor.available())
		std::printf("%llu: %.1f in the %.16s\n",
			    static_cast<unsigned long long>(record->number), record->celsius,
			    record->room);
} catch (const shmring::error &e) {
	std::fprintf(stderr, "minimal-cxx: %s\n", e.what());
	return 1;
}
