/* SPDX-License-Identifier: MIT */
/*
 * Records for tests/dump-query.sh and tests/dump-follow.sh to look for.
 *
 *	dump-query NAME		makes the segment, or attaches to it, and reads lines:
 *
 *	order ID DELTA PRICE RATIO NAME		to the ring orders, which overwrites
 *	orders FROM TO				some with these numbers as ID, and names
 *	log TEXT				to the ring log, which has no type
 *	service NAME BEATS			to the table services
 *	sleep MS
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <shmring/shmring.h>

struct order {
	uint64_t id;
	int64_t delta;
	double price;
	float ratio;
	int16_t levels[2];
	char name[7];
	char side;
};
SHR_SCHEMA(order, 1, id, delta, price, ratio, levels, name, side);

struct service {
	char name[16];
	uint64_t beats;
};
SHR_SCHEMA(service, 1, name, beats);

static struct shr_segment *segment;
static struct shr_ring *orders, *lines;
static struct shr_producer *orders_out, *lines_out;
static struct shr_table *services;

static void must(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "dump-query: %s: %s\n", what, shr_last_error());
	exit(1);
}

static void open_all(const char *name)
{
	struct shr_ring_options order = {.struct_size = sizeof(order),
					 .mode = SHR_RING_OVERWRITE,
					 .flags = SHR_RING_TIME,
					 .capacity = 8192,
					 .schema = SHR_SCHEMA_OF(order)};
	struct shr_ring_options line = {
		.struct_size = sizeof(line), .mode = SHR_RING_OVERWRITE, .capacity = 4096};
	struct shr_table_options service = {.struct_size = sizeof(service),
					    .slots = 4,
					    .schema = SHR_SCHEMA_OF(service),
					    .key = "name"};
	struct shr_segment_options options = {.struct_size = sizeof(options), .members = 4};
	struct shr_object objects[3] = {{0}};
	int err;

	must(shr_ring_describe(&objects[0], "orders", &order), "describe");
	must(shr_ring_describe(&objects[1], "log", &line), "describe");
	must(shr_table_describe(&objects[2], "services", &service), "describe");
	err = shr_segment_attach(&segment, name, &options);
	if (err == -ENOENT)
		err = shr_segment_create(&segment, name, objects, 3, &options);
	must(err, name);
	must(shr_ring_attach(&orders, segment, "orders", SHR_SCHEMA_OF(order)), "attach");
	must(shr_ring_attach(&lines, segment, "log", NULL), "attach");
	must(shr_table_attach(&services, segment, "services", SHR_SCHEMA_OF(service)), "attach");
	must(shr_producer_open(&orders_out, orders), "producer");
	must(shr_producer_open(&lines_out, lines), "producer");
}

static int send_order(const char *line)
{
	struct order order = {.side = 'B'};
	char name[8] = "";

	if (sscanf(line, "%" SCNu64 " %" SCNd64 " %lf %f %7s", &order.id, &order.delta,
		   &order.price, &order.ratio, name) < 4)
		return 1;
	memcpy(order.name, name, sizeof(order.name));
	order.levels[0] = (int16_t)order.delta;
	order.levels[1] = (int16_t)(order.id % 1000);
	must(shr_producer_set_type(orders_out, (uint16_t)order.id), "type");
	must(shr_producer_write(orders_out, &order, sizeof(order)), "write");
	return 0;
}

static int send_orders(uint64_t from, uint64_t to)
{
	static const char *const names[] = {"web", "mail", "dns"};

	for (; from <= to; from++) {
		struct order order = {.id = from, .side = 'S'};

		snprintf(order.name, sizeof(order.name), "%s", names[from % 3]);
		must(shr_producer_write(orders_out, &order, sizeof(order)), "write");
	}
	return 0;
}

static int send_service(const char *line)
{
	struct service service = {.beats = 0};

	if (sscanf(line, "%15s %" SCNu64, service.name, &service.beats) != 2)
		return 1;
	must(shr_table_insert(services, &service, sizeof(service), NULL), "insert");
	return 0;
}

static int command(char *line)
{
	uint64_t from, to;
	size_t size = strcspn(line, "\n");

	line[size] = 0;
	if (!strncmp(line, "order ", 6))
		return send_order(line + 6);
	if (sscanf(line, "orders %" SCNu64 " %" SCNu64, &from, &to) == 2)
		return send_orders(from, to);
	if (!strncmp(line, "log ", 4)) {
		must(shr_producer_write(lines_out, line + 4, size - 4), "write");
		return 0;
	}
	if (!strncmp(line, "service ", 8))
		return send_service(line + 8);
	if (sscanf(line, "sleep %" SCNu64, &from) == 1)
		return usleep((useconds_t)(from * 1000));
	return 1;
}

int main(int argc, char **argv)
{
	char line[200];

	if (argc != 2)
		return 2;
	open_all(argv[1]);
	while (fgets(line, sizeof(line), stdin))
		if (command(line)) {
			fprintf(stderr, "dump-query: what is %s\n", line);
			return 2;
		}
	must(shr_table_close(services), "close");
	must(shr_producer_close(orders_out), "close");
	must(shr_producer_close(lines_out), "close");
	must(shr_ring_close(orders), "close");
	must(shr_ring_close(lines), "close");
	must(shr_segment_detach(segment), "detach");
	return 0;
}
