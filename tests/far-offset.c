/* SPDX-License-Identifier: MIT */
/* Maps a window beyond 4 GiB of a sparse file: for builds of 32 bits. */
#include <stdio.h>
#include <string.h>

#include <shmring/map.h>

#define FAR ((int64_t)5 << 30)

int main(int argc, char **argv)
{
	struct shr_map_options options = {.struct_size = sizeof(options), .size = 1000, .offset = FAR - 5};
	struct shr_map *a = NULL, *b = NULL;
	struct shr_map_status status;

	if (argc != 2 || shr_map_open(&a, argv[1], "+<", &options) || shr_map_stat(a, &status))
		goto error;
	memcpy(shr_map_address(a), "far away", 9);
	options.size = 0;
	if (shr_map_open(&b, argv[1], "<", &options))
		goto error;
	printf("%u bits: %s, object of %llu bytes\n", (unsigned)sizeof(void *) * 8,
	       (char *)shr_map_address(b), (unsigned long long)status.size);
	options.offset = 0;
	options.size = (uint64_t)5 << 30;
	shr_map_close(b);
	b = NULL;
	if (sizeof(void *) == 4 && !shr_map_open(&b, argv[1], "<", &options))
		goto error;
	return 0;
error:
	fprintf(stderr, "far-offset: %s\n", shr_last_error());
	return 1;
}
