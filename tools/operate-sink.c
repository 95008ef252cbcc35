/* SPDX-License-Identifier: MIT */
/* shmring: rings and tables to put records in, whatever their type. */
#include <errno.h>
#include <inttypes.h>

#include "operate.h"

#define TELL_NS 1000000000 /* of waiting, before it is told */

int sink_find(const struct shr_inspect *inspect, const char *segment, const char *name)
{
	struct shr_segment_info info;
	int found = -1, err = shr_inspect_segment(inspect, &info);

	if (!err && name) {
		found = shr_inspect_find(inspect, name);
		return found < 0 ? -1 - operate_failed(segment, found) : found;
	}
	for (uint32_t i = 0; !err && i < info.objects; i++) {
		struct shr_object_info object;

		err = shr_inspect_object(inspect, i, &object);
		if (err || object.kind != SHR_OBJECT_RING)
			continue;
		if (found >= 0)
			return -1 - operate_usage("%s has several rings: say which", segment);
		found = (int)i;
	}
	if (err)
		return -1 - operate_failed(segment, err);
	if (found < 0) {
		operate_say("%s has no ring", segment);
		return -1 - EXIT_NONE;
	}
	return found;
}

int sink_open(struct sink *sink, const struct shr_inspect *inspect, struct shr_segment *segment,
	      const char *name, uint32_t index)
{
	int err = shr_inspect_object(inspect, index, &sink->object);
	const struct shr_schema *schema = sink->object.schema;
	struct shr_schema first;

	if (!err && sink->object.kind == SHR_OBJECT_TABLE) {
		err = shr_table_attach(&sink->table, segment, sink->object.name, schema);
		return err ? operate_failed(name, err) : 0;
	}
	if (!err && sink->object.kind != SHR_OBJECT_RING) {
		operate_say("%s: %s takes no records: it is neither a ring nor a table", name,
			    sink->object.name);
		return EXIT_USAGE;
	}
	/* As a program whose struct has the first member only: it may send shorter records. */
	if (!err && schema) {
		first = *schema;
		first.field_count = 1;
		first.size = shr_kind_size(schema->fields[0].kind) *
			     (schema->fields[0].count ? schema->fields[0].count : 1);
	}
	if (!err)
		err = shr_ring_attach(&sink->ring, segment, sink->object.name,
				      schema ? &first : NULL);
	if (!err)
		err = shr_producer_open(&sink->producer, sink->ring);
	return err ? operate_failed(name, err) : 0;
}

void sink_close(struct sink *sink)
{
	shr_producer_close(sink->producer);
	shr_ring_close(sink->ring);
	shr_table_close(sink->table);
	*sink = (struct sink){0};
}

static int put_waiting(struct sink *sink, const void *payload, size_t size)
{
	const int64_t tell = shr_deadline_ns(TELL_NS);
	int err;

	do {
		err = shr_producer_write_until(sink->producer, payload, size,
					       shr_deadline_ns(SLICE_NS));
		if (operate_stopped)
			return err ? -EINTR : 0;
		if (err == -ETIMEDOUT && !sink->told && shr_deadline_ns(0) > tell) {
			operate_say("%s is full: waiting until its consumer has read",
				    sink->object.name);
			sink->told = 1;
		}
	} while (err == -ETIMEDOUT || err == -EINTR || err == -EAGAIN);
	return err;
}

int sink_put(struct sink *sink, const void *payload, size_t size, uint16_t type, int wait)
{
	int err;

	if (sink->table && size > shr_table_record_size(sink->table))
		return -EMSGSIZE;
	if (sink->table)
		return shr_table_insert(sink->table, payload, size, NULL);
	err = shr_producer_set_type(sink->producer, type);
	if (err)
		return err;
	return wait ? put_waiting(sink, payload, size)
		    : shr_producer_write(sink->producer, payload, size);
}
