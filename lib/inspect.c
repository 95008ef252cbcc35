/* SPDX-License-Identifier: MIT */
/*
 * Looking at a segment from outside: the segment, its objects and members.
 * walk.c has the rings.
 *
 * Only pread(2) on a read-only descriptor, or a read-only attach of a System V
 * segment, and F_OFD_GETLK, which asks for a lock and takes none.
 */
#include "inspect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "error.h"
#include "member.h"
#include "mutex.h"
#include "ring_core.h"

#define READ_TRIES 64
#define STEP ((uint64_t)1 << 40) /* more than a position moves between two reads */

int inspect_read(const struct shr_inspect *inspect, void *buffer, size_t size, uint64_t offset)
{
	return object_read(&inspect->object, buffer, size, offset);
}

uint64_t inspect_next_data(int fd, uint64_t offset)
{
	off_t next;

	errno = 0;
	next = fd < 0 ? -1 : lseek(fd, (off_t)offset, SEEK_DATA);
	return next >= 0 ? (uint64_t)next : errno == ENXIO ? UINT64_MAX : offset;
}

static int read_settled(const struct shr_inspect *inspect, uint64_t *value, uint64_t offset, int grows)
{
	uint64_t before = UINT64_MAX, last, now;
	int err = inspect_read(inspect, &last, sizeof(last), offset);

	for (int i = 0; i < READ_TRIES && !err; i++) {
		err = inspect_read(inspect, &now, sizeof(now), offset);
		if (err)
			break;
		if (now == last || (grows && i && now - last < STEP && last - before < STEP)) {
			*value = last;
			return 0;
		}
		before = last;
		last = now;
	}
	return err ? err : -EAGAIN;
}

int inspect_read_u64(const struct shr_inspect *inspect, uint64_t *value, uint64_t offset)
{
	return read_settled(inspect, value, offset, 0);
}

int inspect_read_position(const struct shr_inspect *inspect, uint64_t *value, uint64_t offset)
{
	return read_settled(inspect, value, offset, 1);
}

int inspect_did(struct inspect_work *work, uint64_t bytes)
{
	const struct shr_inspect *inspect = work->inspect;
	const uint64_t left = work->total - work->done;

	work->done += bytes < left ? bytes : left;
	if (!inspect->progress ||
	    !inspect->progress(work->done, work->total, inspect->progress_argument))
		return 0;
	return shr_fail(ECANCELED, "the caller has ended it");
}

void shr_inspect_on_progress(struct shr_inspect *inspect,
			     int (*progress)(uint64_t done, uint64_t total, void *argument),
			     void *argument)
{
	inspect->progress = progress;
	inspect->progress_argument = argument;
}

const struct shm_object *inspect_entry(const struct shr_inspect *inspect, uint32_t index)
{
	if (index >= inspect->layout.header.objects) {
		shr_fail(ENOENT, "the segment has no object %u", index);
		return NULL;
	}
	return &inspect->layout.header.directory[index];
}

int shr_inspect_list(int (*each)(const char *name, int err, void *argument), void *argument)
{
	int result = shr_map_list("/", SHR_LIST_SEGMENTS, each, argument);

	return result ? result : shr_map_list("sysv:", SHR_LIST_SEGMENTS, each, argument);
}

static int open_any(struct shr_inspect **result, const char *text, int image)
{
	struct shr_inspect *inspect;
	char path[PATH_MAX];
	struct name name;
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	err = name_resolve(text, &name);
	if (err)
		return err;
	inspect = calloc(1, sizeof(*inspect));
	if (!inspect)
		return shr_fail(ENOMEM, "out of memory");
	err = object_open(&inspect->object, &name, OBJECT_READ);
	if (err)
		goto free_handle;
	err = layout_read(&inspect->layout, &inspect->object);
	if (err)
		goto close_object;
	/* Without it nobody knows who is alive, and the rest is still to be seen. */
	inspect->image = image;
	inspect->life = image ? -1 : object_life_open(&inspect->object, &name, inspect->layout.header.life,
					 inspect->layout.header.epoch, 0, path);
	*result = inspect;
	return 0;
close_object:
	object_close(&inspect->object);
free_handle:
	free(inspect);
	return err;
}

int shr_inspect_open(struct shr_inspect **result, const char *text)
{
	return open_any(result, text, 0);
}

int shr_inspect_open_image(struct shr_inspect **result, int fd)
{
	char text[32];

	snprintf(text, sizeof(text), "fd:%d", fd);
	return open_any(result, text, 1);
}

void shr_inspect_close(struct shr_inspect *inspect)
{
	if (!inspect)
		return;
	object_life_close(&inspect->object, inspect->life);
	object_close(&inspect->object);
	layout_free(&inspect->layout);
	free(inspect);
}

int shr_inspect_segment(const struct shr_inspect *inspect, struct shr_segment_info *info)
{
	const struct shm_header *h = &inspect->layout.header;
	uint32_t obsolete;
	uint8_t boot[16];
	int err = inspect_read(inspect, &obsolete, sizeof(obsolete),
			       offsetof(struct shm_header, obsolete));

	if (err)
		return err;
	if (!obsolete && !inspect->image && object_gone(&inspect->object))
		obsolete = 1;
	boot_id(boot);
	*info = (struct shr_segment_info){.format_major = h->major,
					  .format_minor = h->minor,
					  .size = h->total_size,
					  .epoch = h->epoch,
					  .created_ns = h->created_ns,
					  .creator_pid = h->creator_pid,
					  .members = h->members,
					  .objects = h->objects,
					  .obsolete = !!obsolete,
					  .backend = inspect->object.backend,
					  .uid = object_owner(&inspect->object),
					  .locks = FORMAT_LOCKS_BACKEND(h->locks),
					  .life = inspect->image	       ? SHR_LIFE_IMAGE
						  : inspect->life < 0	       ? SHR_LIFE_NONE
						  : h->life == FORMAT_LIFE_OWN ? SHR_LIFE_FILE
									       : SHR_LIFE_COMPANION,
					  .this_boot = !memcmp(boot, h->boot_id, sizeof(boot))};
	return 0;
}

int shr_inspect_object(const struct shr_inspect *inspect, uint32_t index,
		       struct shr_object_info *info)
{
	const struct shm_object *entry = inspect_entry(inspect, index);
	int err;

	if (!entry)
		return -ENOENT;
	err = kind_check(entry);
	if (err)
		return err;
	*info = (struct shr_object_info){.kind = entry->kind,
					 .flags = entry->flags,
					 .offset = entry->offset,
					 .size = entry->size,
					 .schema_hash = entry->schema_hash,
					 .schema = inspect->layout.schema[index]};
	memcpy(info->name, entry->name, sizeof(info->name));
	if (entry->kind == SHR_OBJECT_RING) {
		ring_entry_options(&info->ring, entry);
		info->ring.schema = info->schema;
	}
	if (entry->kind == SHR_OBJECT_MUTEX || entry->kind == SHR_OBJECT_EVENT ||
	    entry->kind == SHR_OBJECT_TABLE)
		info->count = (uint32_t)entry->param[0];
	return 0;
}

int shr_inspect_find(const struct shr_inspect *inspect, const char *name)
{
	return layout_find(&inspect->layout, name);
}

int shr_inspect_member(const struct shr_inspect *inspect, uint32_t number,
		       struct shr_member_info *info)
{
	const struct shm_header *h = &inspect->layout.header;
	struct shm_member member;
	int err, held;

	if (!number || number > h->members)
		return shr_fail(ENOENT, "the segment has no member %u", number);
	held = member_held(inspect->life, number - 1);
	err = inspect_read(inspect, &member, sizeof(member),
			   h->member_offset + (uint64_t)(number - 1) * sizeof(member));
	if (err)
		return err;
	member_view(info, &member, number, held, boot_pid_namespace());
	return 0;
}

int shr_inspect_mutex(const struct shr_inspect *inspect, uint32_t index, uint32_t number,
		      struct shr_mutex_info *info)
{
	const struct shm_object *entry = inspect_entry(inspect, index);
	struct shm_mutex copy;
	int err;

	if (!entry)
		return -ENOENT;
	if (entry->kind != SHR_OBJECT_MUTEX)
		return shr_fail(EPROTOTYPE, "object %.47s has no mutexes", entry->name);
	err = kind_check(entry);
	if (err)
		return err;
	if (number >= entry->param[0])
		return shr_fail(ENOENT, "object %.47s has no mutex %u", entry->name, number);
	err = inspect_read(inspect, &copy, sizeof(copy),
			   entry->offset + (uint64_t)number * sizeof(copy));
	return err ? err : mutex_view(info, &copy, inspect->layout.header.members);
}

int shr_inspect_bytes(const struct shr_inspect *inspect, uint32_t index, uint64_t offset,
		      void *buffer, size_t size)
{
	const struct shm_object *entry = inspect_entry(inspect, index);

	if (!entry)
		return -ENOENT;
	if (offset > entry->size || size > entry->size - offset)
		return shr_fail(ERANGE, "object %.47s has %llu bytes", entry->name,
				(unsigned long long)entry->size);
	return inspect_read(inspect, buffer, size, entry->offset + offset);
}
