// SPDX-License-Identifier: MIT
// The same from C++: the header, a schema and a call that is not inline.
#include <cstdio>
#include <shmring/shmring.h>

struct reading {
	uint64_t number;
	double celsius;
};
SHR_SCHEMA(reading, 1, number, celsius);

int main()
{
	std::printf("%s: schema of %s\n", shr_version(), SHR_SCHEMA_OF(reading)->name);
}
