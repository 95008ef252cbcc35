/* SPDX-License-Identifier: MIT */
/*
 * Tables for tests/dump-tables.sh to look at: a member that does what it is told.
 *
 *	dump-tables NAME	makes the segment, or attaches to it, and reads lines:
 *
 *	insert KEY		a service
 *	insert-block HEX	a block of one byte and zeroes
 *	fill			as many blocks as fit
 *	insert-stats KEY
 *	update SLOT N		a service, N times
 *	remove SLOT		a service
 *	add SLOT N		to a counter
 *	begin SLOT		an update of a service that does not end
 *	begin-block SLOT	the same of a block, half of it
 *	commit-block SLOT	end it
 *	sweep			who is dead is told to the locks
 *	spin SLOT		update a service until killed
 *	crawl SLOT		the same, with 20 ms in each update
 *	hold			say so, and wait to be killed
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <shmring/shmring.h>

struct service {
	char name[16];
	uint64_t beats;
	double load;
};
SHR_SCHEMA(service, 2, name, beats, load);

struct stats {
	char name[8];
	uint64_t hits;
	int32_t level;
	uint32_t sizes[3];
};

SHR_SCHEMA(stats, 1, name, (hits, SHR_UNIT("requests"), SHR_HELP("that were answered")), level,
	   (sizes, SHR_UNIT("answers"), SHR_HELP("small, middle and large")));

static struct shr_segment *segment;
static struct shr_table *services, *blocks, *stats;

static void must(int err, const char *what)
{
	if (err >= 0 || err == -EOWNERDEAD)
		return;
	fprintf(stderr, "dump-tables: %s: %s\n", what, shr_last_error());
	exit(1);
}

static void open_tables(const char *name)
{
	struct shr_table_options service = {.struct_size = sizeof(service),
					    .slots = 4,
					    .schema = SHR_SCHEMA_OF(service),
					    .key = "name"};
	struct shr_table_options block = {.struct_size = sizeof(block),
					  .mode = SHR_TABLE_IN_PLACE,
					  .slots = 600,
					  .record_size = 24};
	struct shr_table_options stat = {.struct_size = sizeof(stat),
					 .mode = SHR_TABLE_COUNTERS,
					 .slots = 2,
					 .schema = SHR_SCHEMA_OF(stats),
					 .key = "name"};
	struct shr_segment_options options = {.struct_size = sizeof(options), .members = 8};
	struct shr_object objects[3] = {{0}};
	int err;

	must(shr_table_describe(&objects[0], "services", &service), "describe");
	must(shr_table_describe(&objects[1], "blocks", &block), "describe");
	must(shr_table_describe(&objects[2], "stats", &stat), "describe");
	err = shr_segment_attach(&segment, name, &options);
	if (err == -ENOENT)
		err = shr_segment_create(&segment, name, objects, 3, &options);
	must(err, name);
	must(shr_table_attach(&services, segment, "services", SHR_SCHEMA_OF(service)), "attach");
	must(shr_table_attach(&blocks, segment, "blocks", NULL), "attach");
	must(shr_table_attach(&stats, segment, "stats", SHR_SCHEMA_OF(stats)), "attach");
}

static void update(uint32_t slot)
{
	struct service *service;

	must(shr_table_begin(services, slot, (void **)&service), "begin");
	service->beats++;
	service->load = 0.5;
	must(shr_table_commit(services, slot), "commit");
}

static void insert(const char *what, const char *key)
{
	struct service service = {.beats = 1, .load = 0.25};
	struct stats stat = {.level = -3};
	unsigned char byte = (unsigned char)strtoul(key, NULL, 16);

	if (!strcmp(what, "insert")) {
		snprintf(service.name, sizeof(service.name), "%s", key);
		must(shr_table_insert(services, &service, sizeof(service), NULL), what);
	} else if (!strcmp(what, "insert-block")) {
		must(shr_table_insert(blocks, &byte, 1, NULL), what);
	} else {
		snprintf(stat.name, sizeof(stat.name), "%s", key);
		must(shr_table_insert(stats, &stat, sizeof(stat), NULL), what);
	}
}

static void add(uint32_t slot, int64_t hits)
{
	must(shr_table_add(stats, slot, offsetof(struct stats, hits), hits, NULL), "add");
	must(shr_table_add(stats, slot, offsetof(struct stats, sizes[1]), 2, NULL), "add");
}

static void crawl(uint32_t slot)
{
	void *record;

	puts("crawls");
	fflush(stdout);
	for (;;) {
		must(shr_table_begin(services, slot, &record), "begin");
		usleep(20000);
		must(shr_table_commit(services, slot), "commit");
	}
}

static void hold(void)
{
	puts("held");
	fflush(stdout);
	for (;;)
		pause();
}

static int command(const char *what, const char *argument, uint64_t number)
{
	uint32_t slot = (uint32_t)strtoul(argument, NULL, 10);
	void *record;

	if (!strncmp(what, "insert", 6)) {
		insert(what, argument);
	} else if (!strcmp(what, "update")) {
		while (number--)
			update(slot);
	} else if (!strcmp(what, "remove")) {
		must(shr_table_remove(services, slot), what);
	} else if (!strcmp(what, "add")) {
		add(slot, (int64_t)number);
	} else if (!strcmp(what, "begin")) {
		must(shr_table_begin(services, slot, &record), what);
		memset(record, 'x', sizeof(struct service));
	} else if (!strcmp(what, "begin-block")) {
		must(shr_table_begin(blocks, slot, &record), what);
		memset(record, 'x', 12);
	} else if (!strcmp(what, "commit-block")) {
		must(shr_table_commit(blocks, slot), what);
	} else if (!strcmp(what, "sweep")) {
		must(shr_member_sweep(segment, NULL, NULL), what);
	} else if (!strcmp(what, "fill")) {
		while (!shr_table_insert(blocks, "", 1, NULL))
			;
	} else if (!strcmp(what, "crawl")) {
		crawl(slot);
	} else if (!strcmp(what, "spin")) {
		puts("spins");
		fflush(stdout);
		for (;;)
			update(slot);
	} else if (!strcmp(what, "hold")) {
		hold();
	} else {
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	char line[100], what[20], argument[40];

	if (argc != 2)
		return 2;
	open_tables(argv[1]);
	while (fgets(line, sizeof(line), stdin)) {
		uint64_t number = 1;

		argument[0] = 0;
		if (sscanf(line, "%19s %39s %" SCNu64, what, argument, &number) < 1 ||
		    command(what, argument, number)) {
			fprintf(stderr, "dump-tables: what is %s", line);
			return 2;
		}
		printf("done %s\n", what);
		fflush(stdout);
	}
	must(shr_table_close(services), "close");
	must(shr_table_close(blocks), "close");
	must(shr_table_close(stats), "close");
	must(shr_segment_detach(segment), "detach");
	return 0;
}
