/* SPDX-License-Identifier: MIT */
/*
 * map.h alone: a counter that processes share.
 *
 *	map-share NAME            count one run, making the counter if there is none
 *	map-share --wait NAME     wait until somebody counts, 10 seconds at most
 *	map-share --remove NAME
 *
 * NAME is of any backend that has names: /counter, file:/tmp/counter, sysv:42.
 */
#include <shmring/map.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define KIND    "map-share 1" /* what is shared here, and its version */
#define WAIT_NS 10000000000

struct share {
	_Atomic uint32_t runs;
	char kind[sizeof(KIND)];
};

static int complain(const char *why)
{
	fprintf(stderr, "map-share: %s\n", why);
	return 1;
}

/* No other process sees the object yet: plain stores will do. */
static int init(void *address, size_t size, void *argument)
{
	struct share *share = address;

	(void)size, (void)argument;
	atomic_init(&share->runs, 0);
	memcpy(share->kind, KIND, sizeof(share->kind));
	return 0;
}

static int count_run(const struct shr_map *map, struct share *share)
{
	uint32_t run = atomic_fetch_add(&share->runs, 1) + 1;

	printf("run %" PRIu32 ", %s\n", run, shr_map_created(map) ? "created" : "opened");
	if (shr_map_notify(map, offsetof(struct share, runs), INT_MAX) < 0)
		return complain(shr_last_error());
	return 0;
}

/* A wait may end for no reason: what decides is the word. */
static int wait_run(const struct shr_map *map, const struct share *share)
{
	uint32_t before = atomic_load(&share->runs), now;
	int64_t deadline_ns = shr_deadline_ns(WAIT_NS);
	int err = 0;

	while ((now = atomic_load(&share->runs)) == before && (!err || err == -EINTR))
		err = shr_map_wait(map, offsetof(struct share, runs), before, deadline_ns);
	if (now == before)
		return complain(err == -ETIMEDOUT ? "nobody counted" : shr_last_error());
	printf("now at run %" PRIu32 "\n", now);
	return 0;
}

int main(int argc, char **argv)
{
	int waits = argc == 3 && !strcmp(argv[1], "--wait"), status;
	struct shr_map_options options = {.struct_size = sizeof(options), .size = 4096, .init = init};
	struct shr_map *map = NULL;
	struct share *share;

	if (argc == 3 && !strcmp(argv[1], "--remove"))
		return shr_map_unlink(argv[2]) ? complain(shr_last_error()) : 0;
	if (!waits && (argc != 2 || argv[1][0] == '-'))
		return fputs("usage: map-share [--wait | --remove] NAME\n", stderr), 2;
	if (shr_map_open(&map, argv[argc - 1], waits ? "<" : "+>", &options))
		return complain(shr_last_error());
	share = shr_map_address(map);
	if (memcmp(share->kind, KIND, sizeof(share->kind)) != 0)
		status = complain("that is not a counter of map-share");
	else
		status = waits ? wait_run(map, share) : count_run(map, share);
	shr_map_close(map);
	return status;
}
