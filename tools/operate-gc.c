/* SPDX-License-Identifier: MIT */
/*
 * shmring gc: segments that nobody uses and that hold nothing are removed.
 *
 * Nobody can come in between: before a segment is removed, gc is every member that it
 * can have. Each place is won with the kernel's lock, which is the proof that nobody else
 * has it, and an attach finds none left. What is in the segment is looked at once more
 * then.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "operate.h"

#define CHUNK 65536 /* of plain bytes, looked at at once */

struct gc {
	int dry_run;
	int force;
	uint64_t removed;
	uint64_t kept;
	uint64_t unreadable;
};

static const struct option_row options[] = {
	{'n', "dry-run", NULL, "only tell what would be removed, and why the rest stays"},
	{'f', "force", NULL, "also what has unread records, used slots or other contents"},
	{0}};

static int take(void *request, int letter, const char *argument)
{
	struct gc *gc = request;

	(void)argument;
	if (letter == 'n')
		gc->dry_run = 1;
	else
		gc->force = 1;
	return 0;
}

/* --- Why it stays: 1 and a sentence, 0, or -errno ------------------------------------------ */

__attribute__((format(printf, 2, 3))) static int stays(char *why, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, SENTENCE, format, arguments);
	va_end(arguments);
	return 1;
}

static int has_members(const struct shr_inspect *inspect, char *why)
{
	struct shr_segment_info info;
	int err = shr_inspect_segment(inspect, &info);

	if (!err && info.life == SHR_LIFE_NONE)
		return stays(why, "nobody can know whether its members live");
	for (uint32_t i = 1; !err && i <= info.members; i++) {
		struct shr_member_info member;

		err = shr_inspect_member(inspect, i, &member);
		if (!err && member.state != SHR_MEMBER_FREE && member.state != SHR_MEMBER_DEAD)
			return stays(why, "member %" PRIu32 ", pid %" PRIu32 " %s, is %s", i,
				     member.pid, member.command,
				     member.state == SHR_MEMBER_ALIVE ? "alive"
								      : "coming or not known");
	}
	return err;
}

static int has_unread(const struct shr_inspect *inspect, uint32_t index,
		      const struct shr_object_info *object, char *why)
{
	struct shr_ring_status status;
	struct shr_cursor_info cursor;
	int err = shr_inspect_ring(inspect, index, &status);

	if (err)
		return err;
	if (object->ring.mode == SHR_RING_OVERWRITE)
		return status.tail == status.reclaim
			       ? 0
			       : stays(why, "flight recorder %s has records", object->name);
	if (object->ring.mode == SHR_RING_QUEUE)
		return status.tail == status.position
			       ? 0
			       : stays(why, "queue %s has %" PRIu64 " bytes that are not done",
				       object->name, status.tail - status.position);
	for (uint32_t i = 0; i < SHR_RING_CURSORS_MAX; i++) {
		err = shr_inspect_cursor(inspect, index, i, &cursor);
		if (err && err != -ENOENT)
			return err;
		if (!err && cursor.flags & SHR_CURSOR_DURABLE && cursor.position != status.tail)
			return stays(why,
				     "ring %s has %" PRIu64 " bytes that cursor %s has not read",
				     object->name, status.tail - cursor.position, cursor.name);
	}
	return 0;
}

static int has_bytes(const struct shr_inspect *inspect, uint32_t index,
		     const struct shr_object_info *object, char *why)
{
	static const unsigned char zero[CHUNK];
	static unsigned char bytes[CHUNK];

	for (uint64_t at = 0; at < object->size; at += CHUNK) {
		size_t size = object->size - at < CHUNK ? (size_t)(object->size - at) : CHUNK;
		int err = shr_inspect_bytes(inspect, index, at, bytes, size);

		if (err)
			return err;
		if (memcmp(bytes, zero, size))
			return stays(why, "there is something in the plain bytes %s", object->name);
	}
	return 0;
}

static int has_contents(const struct shr_inspect *inspect, char *why)
{
	struct shr_table_status table;
	struct shr_segment_info info;
	int err = shr_inspect_segment(inspect, &info);

	for (uint32_t i = 0; !err && i < info.objects; i++) {
		struct shr_object_info object;

		err = shr_inspect_object(inspect, i, &object);
		if (err)
			break;
		if (object.kind == SHR_OBJECT_RING)
			err = has_unread(inspect, i, &object, why);
		else if (object.kind == SHR_OBJECT_BYTES)
			err = has_bytes(inspect, i, &object, why);
		else if (object.kind == SHR_OBJECT_TABLE) {
			err = shr_inspect_table(inspect, i, &table);
			if (!err && table.used)
				return stays(why, "table %s has %" PRIu32 " used slots",
					     object.name, table.used);
		} else if (object.kind != SHR_OBJECT_MUTEX && object.kind != SHR_OBJECT_EVENT) {
			return stays(why, "%s is of a kind that is not known here", object.name);
		}
	}
	return err;
}

static int must_stay(const struct gc *gc, const struct shr_inspect *inspect, char *why)
{
	int err = has_members(inspect, why);

	return err || gc->force ? err : has_contents(inspect, why);
}

/* --- Removing -------------------------------------------------------------------------------- */

struct held {
	struct shr_segment *segment[SHR_MEMBERS_MAX];
	uint32_t count;
};

/* A descriptor or two each. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Be all of the @members that the segment can have. */
static int hold(struct held *held, const char *name, uint32_t members)
{
	struct shr_segment_options how = {.struct_size = sizeof(how), .role = "shmring gc"};
	char first[32];
	int err = 0;

	while (held->count < members && !err) {
		if (held->count)
			snprintf(first, sizeof(first), "fd:%d", shr_segment_fd(held->segment[0]));
		err = shr_segment_attach(&held->segment[held->count], held->count ? first : name,
					 &how);
		held->count += !err;
	}
	return err;
}

static void let_go(struct held *held)
{
	while (held->count)
		shr_segment_detach(held->segment[--held->count]);
}

/* Is @map of the memory that the descriptor @fd is of? */
static int same_file(const struct shr_map *map, int fd)
{
	struct shr_map_status status;
	struct stat st;

	return !shr_map_stat(map, &status) && !fstat(fd, &st) && status.device == st.st_dev &&
	       status.inode == st.st_ino;
}

/* All of it is held: make it obsolete, then remove its name, if that is still its own. */
static int remove_held(const struct held *held, const struct shr_map *map, char *why)
{
	int fd = shr_segment_fd(held->segment[0]), err;
	char first[32];

	if (!same_file(map, fd))
		return stays(why, "it was just replaced");
	snprintf(first, sizeof(first), "fd:%d", fd);
	err = shr_segment_unlink(first);
	return err ? err : shr_map_unlink_own(map);
}

static int remove_segment(const struct gc *gc, const char *name, const struct shr_inspect *inspect,
			  char *why)
{
	static struct held held;
	struct shr_segment_info info;
	struct shr_map *map = NULL;
	int err = shr_inspect_segment(inspect, &info);

	if (!err)
		err = shr_map_open(&map, name, "<", NULL);
	if (!err)
		err = hold(&held, name, info.members);
	if (err == -EUSERS)
		err = stays(why, "somebody is just attaching");
	if (!err && shr_segment_epoch(held.segment[0]) != info.epoch)
		err = stays(why, "it was just replaced");
	if (!err && !gc->force)
		err = has_contents(inspect, why);
	if (!err)
		err = remove_held(&held, map, why);
	let_go(&held);
	shr_map_close(map);
	return err;
}

/* --- All of them --------------------------------------------------------------------------------
 */

static void tell(const char *what, const char *name, const char *why)
{
	printf("%s ", what);
	text_string(stdout, name);
	fputs(why ? ": " : "", stdout);
	text_string(stdout, why ? why : "");
	putchar('\n');
}

static int each(const char *name, int listed, void *argument)
{
	struct gc *gc = argument;
	struct shr_inspect *inspect = NULL;
	char why[SENTENCE] = "";
	int err = listed;

	if (listed) {
		gc->unreadable++;
		return 0;
	}
	if (!strncmp(name, "sysv:", 5))
		err = stays(why, "a System V segment, left to ipcrm");
	else if (!strncmp(name, "fd:", 3) || !strncmp(name, "anon:", 5))
		err = stays(why, "it has no name to remove");
	if (!err)
		err = shr_inspect_open(&inspect, name);
	if (err == -ENOENT) /* somebody else has removed it */
		return 0;
	if (!err)
		err = must_stay(gc, inspect, why);
	if (!err && !gc->dry_run)
		err = remove_segment(gc, name, inspect, why);
	shr_inspect_close(inspect);
	if (!err) {
		tell(gc->dry_run ? "would remove" : "removed", name, NULL);
		gc->removed++;
		return 0;
	}
	tell("kept", name, err < 0 ? shr_last_error() : why);
	gc->kept++;
	return 0;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct gc gc = {0};
	int err, result = operate_options(command, argc, argv, 0, argc, &gc);

	if (result != NO_COMMAND)
		return result;
	raise_limit();
	for (int i = optind; i < argc; i++)
		each(argv[i], 0, &gc);
	err = optind == argc ? shr_inspect_list(each, &gc) : 0;
	if (err)
		return operate_failed("/dev/shm", err);
	printf("%" PRIu64 " segments %sremoved, %" PRIu64 " kept\n", gc.removed,
	       gc.dry_run ? "would be " : "", gc.kept);
	if (gc.unreadable)
		operate_say("files in /dev/shm that may not be read: %" PRIu64, gc.unreadable);
	return 0;
}

const struct command command_gc = {
	.name = "gc",
	.arguments = "[SEGMENT...]",
	.summary = "Remove segments that nobody uses and that hold nothing.",
	.options = options,
	.take = take,
	.run = run};
