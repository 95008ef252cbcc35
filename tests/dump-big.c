/* SPDX-License-Identifier: MIT */
/*
 * Images of 10 GB for tests/dump-big.sh, in which nearly all is holes; and small ones that take
 * long, for tests/progress.sh.
 *
 *	dump-big KIND FILE
 *
 * KIND is several, single, overwrite: a ring of 8 GiB with some records, of which the last is
 * of 1 GiB; table, one of as many slots as there can be; or claims: a small file whose header
 * says all that. The small ones are segments: many, a ring of 100,000 records; torn, a table
 * in place of which the writer of each record died.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "format.h"
#include "table.h"

#include "reseal.h"

#define CAPACITY ((uint64_t)8 << 30)
#define RECORD   ((uint64_t)1 << 30)
#define TOTAL    ((uint64_t)10000000 * 1024)

static char name[PATH_MAX], path[PATH_MAX + 16];

static void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "dump-big: %s: %s\n", what, shr_last_error());
	unlink(path);
	exit(1);
}

static void make_ring(uint32_t mode, uint32_t flags)
{
	struct shr_ring_options options = {
		.struct_size = sizeof(options), .capacity = 4096, .mode = mode, .flags = flags};
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;

	must(shr_ring_open(&ring, name, "+>", &options, NULL), "open");
	must(shr_producer_open(&producer, ring), "producer");
	for (int i = 0; i < 10; i++)
		must(shr_producer_write(producer, "a record", 8), "write");
	must(shr_producer_close(producer), "close");
	must(shr_ring_close(ring), "close");
}

static void make_table(void)
{
	struct shr_table_options options = {
		.struct_size = sizeof(options), .slots = 8, .record_size = 24};
	struct shr_table *table = NULL;

	must(shr_table_open(&table, name, "+>", &options, NULL), "open");
	for (int i = 0; i < 3; i++)
		must(shr_table_insert(table, "a record", 8, NULL), "insert");
	must(shr_table_close(table), "close");
}

#define MANY 100000

static void make_many(void)
{
	struct shr_ring_options options = {.struct_size = sizeof(options), .capacity = 8u << 20};
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;

	must(shr_ring_open(&ring, name, "+>", &options, NULL), "open");
	must(shr_producer_open(&producer, ring), "producer");
	for (int i = 0; i < MANY; i++)
		must(shr_producer_write(producer, "a record", 8), "write");
	must(shr_producer_close(producer), "close");
	must(shr_ring_close(ring), "close");
}

/*
 * It ends in the middle of all these updates. The table is larger by far, as what is saved
 * may be read again as often as it is large: some seconds.
 */
static void make_torn(void)
{
	const uint32_t torn = 1u << 16;
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .mode = SHR_TABLE_IN_PLACE,
					    .slots = 1u << 21,
					    .record_size = 24};
	struct shr_table *table = NULL;
	void *record;

	must(shr_table_open(&table, name, "+>", &options, NULL), "open");
	for (uint32_t i = 0; i < torn; i++) {
		uint32_t slot;

		must(shr_table_insert(table, "a record", 8, &slot), "insert");
		must(shr_table_begin(table, slot, &record), "begin");
	}
}

/* What a ring of CAPACITY has, and a record of RECORD bytes behind the others. */
static void enlarge_ring(unsigned char *image, struct shm_object *entry)
{
	struct shm_ring *ring = (struct shm_ring *)(image + entry->offset);
	uint64_t header = 8 + (entry->flags & SHR_RING_SEQUENCE ? 8 : 0), at = 0, word;
	unsigned char *data = image + entry->offset + FORMAT_RING_DATA;

	if (entry->param[4] >> 32 == SHR_RING_OVERWRITE)
		header = 16; /* it has a sequence in any case */
	while (memcpy(&word, data + at, sizeof(word)), word)
		at += RECORD_TOTAL(header, WORD_LENGTH(word));
	word = WORD_MAKE(WORD_READY, 1, 0, RECORD);
	memcpy(data + at, &word, sizeof(word));
	at += RECORD_TOTAL(header, RECORD);
	ring->tail = at;
	ring->clean = CAPACITY;
	entry->param[0] = CAPACITY;
	entry->param[1] = 2 * RECORD;
	entry->param[2] = 0;
	entry->size = FORMAT_RING_DATA + CAPACITY;
}

static void enlarge_table(struct shm_object *entry)
{
	struct table_geometry is;

	must(table_geometry(&is, entry), "geometry");
	entry->param[0] = SHR_TABLE_SLOTS_MAX;
	entry->size = is.slots_at + SHR_TABLE_SLOTS_MAX * is.slot_size; /* it has no index */
	must(table_geometry(&is, entry), "geometry");
}

int main(int argc, char **argv)
{
	static unsigned char image[1 << 20];
	struct shm_header *header = (struct shm_header *)image;
	const char *kind = argc == 3 ? argv[1] : "";
	int is_table = !strcmp(kind, "table"), fd;
	ssize_t size;

	if (!strcmp(kind, "many") || !strcmp(kind, "torn")) {
		snprintf(name, sizeof(name), "file:%s", argv[2]);
		kind[0] == 'm' ? make_many() : make_torn();
		return 0;
	}
	snprintf(name, sizeof(name), "/shmring-dump-big-%d", (int)getpid());
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	if (is_table)
		make_table();
	else if (!strcmp(kind, "overwrite"))
		make_ring(SHR_RING_OVERWRITE, 0);
	else if (!strcmp(kind, "several") || !strcmp(kind, "claims"))
		make_ring(SHR_RING_STREAM, 0);
	else if (!strcmp(kind, "single"))
		make_ring(SHR_RING_STREAM, SHR_RING_SINGLE_PRODUCER | SHR_RING_SEQUENCE);
	else
		return 2;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, image, sizeof(image));
	close(fd);
	unlink(path);
	if (size <= 0)
		must(-1, "read");
	if (is_table)
		enlarge_table(&header->directory[0]);
	else
		enlarge_ring(image, &header->directory[0]);
	header->total_size = TOTAL;
	reseal_image(image, (size_t)size);
	fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, image, (size_t)size) != size ||
	    (strcmp(kind, "claims") && ftruncate(fd, (off_t)TOTAL) < 0)) {
		fprintf(stderr, "dump-big: %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	return close(fd) < 0;
}
