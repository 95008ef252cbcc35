/* SPDX-License-Identifier: MIT */
/*
 * A copy of a segment that is in use, in a file, so that what is whole in the copy was
 * whole in the segment.
 *
 * Everything is copied as it is, holes left out, and then anew, one after another:
 *
 *	a ring	its tail is read first, then its data, then the rest of its words, reclaim
 *		among them. Whatever was cleaned or overwritten while the data was copied
 *		lies below that reclaim; what was claimed meanwhile lies above that tail.
 *		So between the two all is as it was. The rest is zeroed, and no position
 *		is beyond the tail. It is done again if reclaim has passed the tail.
 *	a table	its slots, each between two looks at its sequence and generation, until
 *		they agree; then its index, in which by then every slot is whose key was
 *		there, and maybe some that are free in the copy, which are none (table.c, I1).
 *
 * A ring or table that is corrupt stays as it is: an image is for finding out why.
 */
#include "inspect.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "ring_core.h"
#include "table.h"

#define BLOCK      65536
#define RING_TRIES 8
#define AGAIN      ((uint64_t)64 << 20) /* bytes, more than the segment has: struct image */

struct image {
	const struct shr_inspect *inspect;
	int fd;
	uint64_t left_out; /* records */
	uint64_t again;    /* bytes that may still be read again as slots change, all together */
	struct inspect_work work;
};

static int put(const struct image *image, const void *data, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(image->fd, (const char *)data + done, size - done,
				   (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return shr_fail(n ? errno : EIO, "cannot write the image: %s",
					strerror(n ? errno : EIO));
		done += (size_t)n;
	}
	return 0;
}

static int all_zero(const char *bytes, size_t size)
{
	return !bytes[0] && !memcmp(bytes, bytes + 1, size - 1);
}

/* Zeroes need not be written where nothing is: a page that has them needs no neighbour. */
static int put_zeroes(const struct image *image, const char *zeroes, size_t size, uint64_t offset)
{
	const uint64_t end = offset + size;
	int err = 0;

	while (!err && (offset = inspect_next_data(image->fd, offset)) < end) {
		off_t hole = lseek(image->fd, (off_t)offset, SEEK_HOLE);
		uint64_t stop = hole > (off_t)offset && (uint64_t)hole < end ? (uint64_t)hole : end;

		err = put(image, zeroes, (size_t)(stop - offset), offset);
		offset = stop;
	}
	return err;
}

static int put_some(const struct image *image, const char *data, size_t size, uint64_t offset)
{
	return all_zero(data, size) ? put_zeroes(image, data, size, offset)
				    : put(image, data, size, offset);
}

/* Of the bytes from @offset to @end those up to the end of a page, a block at most. */
static size_t block_of(uint64_t offset, uint64_t end)
{
	uint64_t size = BLOCK - offset % FORMAT_PAGE;

	return (size_t)(end - offset < size ? end - offset : size);
}

/* Copy what is from @offset to @end. A hole of the segment is one of the image, too. */
static int copy(struct image *image, uint64_t offset, uint64_t end)
{
	char block[BLOCK];
	int err = 0;

	while (!err && offset < end) {
		uint64_t data = inspect_next_data(image->inspect->object.fd, offset), next = end;

		if (data < end) {
			size_t size = block_of(data, end);

			err = inspect_read(image->inspect, block, size, data);
			if (!err)
				err = put_some(image, block, size, data);
			next = data + size;
		}
		if (!err)
			err = inspect_did(&image->work, next - offset);
		offset = next;
	}
	return err;
}

/* --- Rings ------------------------------------------------------------------- */

/* Zero the data from position @from up to @to, at most a capacity apart. */
static int zero(const struct image *image, const struct ring_view *view, uint64_t data,
		uint64_t from, uint64_t to)
{
	static const char zeroes[BLOCK];
	int err = 0;

	while (!err && (int64_t)(to - from) > 0) {
		uint64_t at = from & (view->capacity - 1), size = view->capacity - at;

		size = block_of(data + at, data + at + (size < to - from ? size : to - from));
		err = put_some(image, zeroes, (size_t)size, data + at);
		from += size;
	}
	return err;
}

static void not_beyond(shm_atomic_u64 *position, uint64_t tail)
{
	uint64_t at = atomic_load_explicit(position, memory_order_relaxed);

	if ((int64_t)(at - tail) > 0)
		atomic_store_explicit(position, tail, memory_order_relaxed);
}

/* The words of a ring, in a copy, with @status as it was before its data was copied. */
static void settle(struct shm_ring *ring, const struct ring_view *view,
		   const struct shr_ring_status *status)
{
	uint64_t tail = status->tail;

	atomic_store_explicit(&ring->tail, tail, memory_order_relaxed);
	if (status->sequence)
		atomic_store_explicit(&ring->sequence, status->sequence, memory_order_relaxed);
	not_beyond(&ring->reclaim, tail);
	not_beyond(&ring->take, tail);
	for (uint32_t i = 0; i < FORMAT_CURSORS; i++) {
		not_beyond(&ring->cursor[i].position, tail);
		not_beyond(&ring->cursor[i].delivered, tail);
	}
	atomic_store_explicit(&ring->clean,
			      atomic_load_explicit(&ring->reclaim, memory_order_relaxed) +
				      view->capacity,
			      memory_order_relaxed);
}

static int save_ring(struct image *image, uint32_t index, const struct shm_object *entry)
{
	const uint64_t data = entry->offset + FORMAT_RING_DATA;
	struct shr_ring_status status;
	struct ring_view view;
	struct shm_ring ring;
	uint64_t reclaim = 0;
	int err = -EAGAIN;

	if (ring_entry_check(entry))
		return 0;
	ring_view_make(&view, NULL, entry, image->inspect->layout.header.members);
	for (int i = 0; i < RING_TRIES; i++) {
		err = shr_inspect_ring(image->inspect, index, &status);
		if (err == -EAGAIN)
			continue;
		if (err)
			break;
		image->work.total += i ? view.capacity : 0;
		/* The system calls are in order, and each reads what is there by then. */
		err = copy(image, data, data + view.capacity);
		if (!err)
			err = inspect_read(image->inspect, &ring, sizeof(ring), entry->offset);
		reclaim = ring.reclaim;
		if (err || (int64_t)(reclaim - status.tail) <= 0)
			break;
	}
	if (err)
		return err == -EBADMSG || err == -EAGAIN ? 0 : err;
	if ((int64_t)(reclaim - status.tail) > 0)
		reclaim = status.tail;
	if (status.tail - reclaim > view.capacity)
		return 0;
	settle(&ring, &view, &status);
	err = zero(image, &view, data, status.tail, reclaim + view.capacity);
	return err ? err : put(image, &ring, sizeof(ring), entry->offset);
}

/* --- Tables ------------------------------------------------------------------ */

static int torn(const struct table_geometry *is, const struct shm_slot *slot)
{
	return is->mode == SHR_TABLE_IN_PLACE && slot->generation & slot->sequence & 1;
}

static int same(const struct shm_slot *a, const struct shm_slot *b)
{
	return a->sequence == b->sequence && a->generation == b->generation;
}

/* May so many bytes be read again? A peer that changes slots all the time is not followed. */
static int again(struct image *image, uint64_t bytes)
{
	if (image->again < bytes)
		return 0;
	image->again -= bytes;
	image->work.total += bytes;
	return 1;
}

/* The slot at byte @at: whole, or torn if it stays so, or as if it were free. */
static int save_slot(struct image *image, const struct table_geometry *is, uint64_t at)
{
	struct shm_slot before, after;
	int err = 0;

	for (int i = 0; i < SHR_INSPECT_TRIES && !err; i++) {
		if (i && !again(image, is->slot_size))
			break;
		err = inspect_read(image->inspect, &before, sizeof(before), at);
		if (!err)
			err = copy(image, at + sizeof(before), at + is->slot_size);
		if (!err)
			err = inspect_read(image->inspect, &after, sizeof(after), at);
		if (!err && same(&before, &after) && !torn(is, &after))
			return put(image, &after, sizeof(after), at);
	}
	if (err)
		return err;
	if (!torn(is, &after)) {
		image->left_out++;
		after.generation &= ~(uint64_t)1;
	}
	return put(image, &after, sizeof(after), at);
}

/* @count slots from byte @at on, small ones, with few system calls. */
static int save_slots(struct image *image, const struct table_geometry *is, uint64_t at,
		      uint32_t count)
{
	char before[BLOCK], block[BLOCK], after[BLOCK];
	const size_t size = (size_t)(count * is->slot_size);
	int err;

	/* In a hole none was ever used. */
	if (inspect_next_data(image->inspect->object.fd, at) >= at + size)
		return inspect_did(&image->work, size);
	err = inspect_read(image->inspect, before, size, at);
	if (!err)
		err = inspect_read(image->inspect, block, size, at);
	if (!err)
		err = inspect_read(image->inspect, after, size, at);
	if (!err)
		err = put_some(image, block, size, at);
	if (!err)
		err = inspect_did(&image->work, size);
	for (uint32_t i = 0; !err && i < count; i++) {
		struct shm_slot first, second, third;

		memcpy(&first, before + i * is->slot_size, sizeof(first));
		memcpy(&second, block + i * is->slot_size, sizeof(second));
		memcpy(&third, after + i * is->slot_size, sizeof(third));
		if (!same(&first, &second) || !same(&second, &third) || torn(is, &third))
			err = save_slot(image, is, at + i * is->slot_size);
	}
	return err;
}

static int save_table(struct image *image, const struct shm_object *entry)
{
	struct table_geometry is;
	uint64_t slots;
	uint32_t some;
	int err = 0;

	if (table_entry_check(entry) || table_geometry(&is, entry))
		return 0;
	slots = entry->offset + is.slots_at;
	some = is.slot_size <= BLOCK ? (uint32_t)(BLOCK / is.slot_size) : 0;
	for (uint32_t i = 0; !err && i < is.slots; i += some ? some : 1) {
		uint32_t count = some < is.slots - i ? some : is.slots - i;

		err = some ? save_slots(image, &is, slots + i * is.slot_size, count)
			   : save_slot(image, &is, slots + i * is.slot_size);
	}
	return err ? err : copy(image, entry->offset, slots);
}

/* Bytes of an object that are read once more. */
static uint64_t copied_anew(const struct shm_object *entry)
{
	if (entry->kind == SHR_OBJECT_RING && entry->size > FORMAT_RING_DATA)
		return entry->size - FORMAT_RING_DATA;
	return entry->kind == SHR_OBJECT_TABLE ? entry->size : 0;
}

int shr_inspect_save(const struct shr_inspect *inspect, int fd, uint64_t *left_out)
{
	const struct shm_header *h = &inspect->layout.header;
	struct image image = {.inspect = inspect,
			      .fd = fd,
			      .again = h->total_size + AGAIN,
			      .work = {inspect, 0, h->total_size}};
	char last;
	int err;

	if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)h->total_size) < 0)
		return shr_fail(errno, "cannot make an image of %llu bytes: %s",
				(unsigned long long)h->total_size, strerror(errno));
	for (uint32_t i = 0; i < h->objects; i++)
		image.work.total += copied_anew(&h->directory[i]);
	err = copy(&image, 0, h->total_size);
	for (uint32_t i = 0; !err && i < h->objects; i++) {
		const struct shm_object *entry = &h->directory[i];

		if (entry->kind == SHR_OBJECT_RING)
			err = save_ring(&image, i, entry);
		else if (entry->kind == SHR_OBJECT_TABLE)
			err = save_table(&image, entry);
	}
	/* What lay in holes may be cut off meanwhile. */
	if (!err)
		err = inspect_read(inspect, &last, sizeof(last), h->total_size - sizeof(last));
	if (!err)
		err = inspect_did(&image.work, UINT64_MAX);
	if (left_out)
		*left_out = image.left_out;
	return err;
}
