/* SPDX-License-Identifier: MIT */
/*
 * Segments for tests/dump.sh to look at.
 *
 *	dump-segment make NAME            one with every type and odd contents
 *	dump-segment odd NAME             counters whose names are made to spoil a format
 *	dump-segment hold NAME            another member: reserves, and waits for a kill
 *	dump-segment damage NAME N FILE   copy it to FILE with damage number N
 *	dump-segment later NAME FILE      copy it to FILE as a later version may make it
 *	dump-segment pour NAME            commit and read records until killed
 */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "crc32c.h"
#include "format.h"

struct all {
	uint64_t u64;
	int64_t i64;
	double f64;
	double nan;
	double inf[2];
	uint32_t u32;
	int32_t i32;
	float f32;
	uint16_t u16[2];
	int16_t i16;
	uint8_t u8;
	int8_t i8;
	char text[16];
	char odd[12];
};
SHR_SCHEMA(all, 7, u64, i64, f64, nan, inf, u32, i32, f32, u16, i16, u8, i8, text, odd);

static const struct all extreme = {.u64 = UINT64_MAX,
				   .i64 = INT64_MIN,
				   .f64 = 0.1,
				   .nan = NAN,
				   .inf = {INFINITY, -INFINITY},
				   .u32 = UINT32_MAX,
				   .i32 = INT32_MIN,
				   .f32 = 0.25f,
				   .u16 = {1, 65535},
				   .i16 = -32768,
				   .u8 = 255,
				   .i8 = -128,
				   .text = "gr\xc3\xbc\xc3\x9f \"dich\"\n",
				   .odd = "\x1b[2J\x80\xff"};

static void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "dump-segment: %s: %s\n", what, shr_last_error());
	exit(1);
}

static void make(const char *name)
{
	struct shr_ring_options typed = {.struct_size = sizeof(typed),
					 .capacity = 4096,
					 .flags = SHR_RING_SINGLE_PRODUCER,
					 .schema = SHR_SCHEMA_OF(all)};
	struct shr_ring_options plain = {.struct_size = sizeof(plain), .capacity = 4096};
	struct shr_object objects[3] = {
		{0}, {0}, {.kind = SHR_OBJECT_BYTES, .name = "blob", .size = 64}};
	struct shr_segment_options options = {
		.struct_size = sizeof(options), .members = 3, .role = "maker"};
	struct shr_segment *segment = NULL;
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;
	struct shr_cursor *cursor = NULL;
	struct shr_record record;
	struct {
		struct all all;
		char more[8];
	} longer = {{.u64 = 1, .text = "longer"}, "and\tmore"};
	void *payload;

	must(shr_ring_describe(&objects[0], "typed", &typed), "describe");
	must(shr_ring_describe(&objects[1], "plain", &plain), "describe");
	must(shr_segment_create(&segment, name, objects, 3, &options), "create");
	must(shr_ring_attach(&ring, segment, "typed", SHR_SCHEMA_OF(all)), "attach");
	must(shr_producer_open(&producer, ring), "producer");
	must(shr_producer_write(producer, &extreme, sizeof(extreme)), "write");
	must(shr_producer_set_type(producer, 9), "type");
	must(shr_producer_write(producer, &longer, sizeof(longer)), "write");
	must(shr_producer_close(producer), "close");
	must(shr_ring_close(ring), "close");
	ring = NULL;
	producer = NULL;
	must(shr_ring_attach(&ring, segment, "plain", NULL), "attach");
	must(shr_producer_open(&producer, ring), "producer");
	must(shr_cursor_open(&cursor, ring, NULL), "cursor");
	must(shr_producer_write(producer, "read", 4), "write");
	must(shr_producer_reserve(producer, 100, &payload), "reserve");
	must(shr_producer_abort(producer), "abort");
	must(shr_producer_write(producer, "un\0read\xff", 8), "write");
	must(shr_producer_write(producer, "", 0), "write");
	must(shr_cursor_next(cursor, &record), "next");
	must(shr_cursor_release(cursor), "release");
	must(shr_cursor_next(cursor, &record), "next"); /* passes the skip */
	must(shr_cursor_close(cursor), "close");
	must(shr_producer_close(producer), "close");
	must(shr_ring_close(ring), "close");
	must(shr_segment_detach(segment), "detach");
}

/* Names, units and help that a format has to escape, to tell apart, or to do without. */
struct odd {
	char key[40];
	uint64_t number[14];
};

static void odd(const char *name)
{
#define ODD(i, n, u, h)                                                                            \
	{                                                                                          \
		.name = n, .offset = (uint32_t)offsetof(struct odd, number[i]),                    \
		.kind = SHR_KIND_U64, .unit = u, .help = h                                         \
	}
	static const struct shr_field fields[] = {
		{.name = "key", .count = 40, .kind = SHR_KIND_CHAR},
		ODD(0, "x} 1\nup 0\n# EOF\n", "times", "a\nb \\ \"c\" \x1b[2J \xff"),
		ODD(1, "aa.bb", NULL, NULL),
		ODD(2, "aa-bb", NULL, NULL),
		ODD(3, "AA_BB", NULL, NULL),
		ODD(4, "n_total", NULL, "n"),
		ODD(5, "n_created", NULL, "n"),
		ODD(6, "n_sum", NULL, "n"),
		ODD(7, "lost_bytes", "bytes", "n"),
		ODD(8, "busy", "ns", "n"),
		ODD(9, "\xff\xfe", "\xc3\xa4\"{}", "n"),
		ODD(10, "aa.bb", NULL, "twice"),
		ODD(11, "n", "total", "n"),
		ODD(12, "_", "", ""),
		ODD(13, "9", "9", "9"),
	};
	static struct shr_schema schema = {
		sizeof(schema), sizeof(fields[0]), "odd{\n\"}", 1, sizeof(struct odd), 15, 0,
		fields};
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .mode = SHR_TABLE_COUNTERS,
					    .slots = 3,
					    .schema = &schema,
					    .key = "key"};
	struct odd record = {.key = "k\"\\\n\x1b[2J\xff{}=,# "};
	struct shr_table *table = NULL;

	for (int i = 0; i < 14; i++)
		record.number[i] = (uint64_t)i + 1;
	record.number[8] = UINT64_C(12345678901234567890);
	must(shr_table_open(&table, name, "+>", &options, NULL), "open");
	must(shr_table_insert(table, &record, sizeof(record), NULL), "insert");
	must(shr_table_close(table), "close");
}

static void hold(const char *name)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .role = "holder"};
	struct shr_segment *segment = NULL;
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;
	void *payload;

	must(shr_segment_attach(&segment, name, &options), "attach");
	must(shr_ring_attach(&ring, segment, "plain", NULL), "attach");
	must(shr_producer_open(&producer, ring), "producer");
	must(shr_producer_reserve(producer, 24, &payload), "reserve");
	puts("held");
	fflush(stdout);
	for (;;)
		pause();
}

static void pour(const char *name)
{
	struct shr_ring_options options = {.struct_size = sizeof(options), .capacity = 1 << 20};
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;
	struct shr_cursor *cursor = NULL;
	struct shr_record record;
	char text[32];

	must(shr_ring_open(&ring, name, "+>", &options, NULL), "open");
	must(shr_producer_open(&producer, ring), "producer");
	must(shr_cursor_open(&cursor, ring, NULL), "cursor");
	for (uint64_t i = 0;; i++) {
		int n = snprintf(text, sizeof(text), "number %" PRIu64, i);

		must(shr_producer_write(producer, text, (size_t)n), "write");
		must(shr_cursor_next(cursor, &record), "next");
		must(shr_cursor_release(cursor), "release");
	}
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15u;
	return x ^ x >> 29;
}

/* What is in the segment @name, for free(). */
static char *image_read(const char *name, size_t *size)
{
	char path[300], *image = NULL;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/dev/shm/%s", name + (name[0] == '/'));
	fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st) || !(image = malloc((size_t)st.st_size)) ||
	    read(fd, image, (size_t)st.st_size) != st.st_size)
		must(-1, "image");
	close(fd);
	*size = (size_t)st.st_size;
	return image;
}

/* Write it to @file, with the checksum made good, so that it is looked at. */
static void image_write(char *image, size_t size, const char *file)
{
	static const uint32_t zero;
	struct shm_header header;
	uint32_t crc;
	int fd;

	memcpy(&header, image, sizeof(header));
	crc = crc32c(0, image, offsetof(struct shm_header, crc));
	crc = crc32c(crc, &zero, 4);
	crc = crc32c(crc, image + 20, 128 - 20);
	crc = crc32c(crc, image + offsetof(struct shm_header, directory), sizeof(header.directory));
	crc = crc32c(crc, image + header.schema_offset, header.schema_size);
	memcpy(image + offsetof(struct shm_header, crc), &crc, sizeof(crc));
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, image, size) != (ssize_t)size)
		must(-1, file);
	close(fd);
	free(image);
}

/* A few bytes changed. */
static void damage(const char *name, uint64_t seed, const char *file)
{
	struct shm_header header;
	size_t size;
	char *image = image_read(name, &size);

	memcpy(&header, image, sizeof(header));
	for (uint64_t n = 1 + mix(seed) % 8, r = seed * 77; n-- > 0;) {
		r = mix(r + n + 1);
		/* Directory, schemas, or the objects. */
		if (r % 3 == 0)
			image[256 + mix(r) % 512] = (char)(r >> 40);
		else if (r % 3 == 1)
			image[header.schema_offset + mix(r) % header.schema_size] = (char)(r >> 40);
		else
			image[header.directory[r & 1].offset + mix(r) % 4400] = (char)(r >> 40);
	}
	image_write(image, size, file);
}

/* The last object is of a kind that nobody knows yet. */
static void later(const char *name, const char *file)
{
	struct shm_header header;
	size_t size;
	char *image = image_read(name, &size);

	memcpy(&header, image, sizeof(header));
	header.directory[header.objects - 1].kind = 77;
	memcpy(image, &header, sizeof(header));
	image_write(image, size, file);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "make"))
		make(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "odd"))
		odd(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "hold"))
		hold(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "pour"))
		pour(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "later"))
		later(argv[2], argv[3]);
	else if (argc == 5 && !strcmp(argv[1], "damage"))
		damage(argv[2], strtoull(argv[3], NULL, 10), argv[4]);
	else
		return 2;
	return 0;
}
