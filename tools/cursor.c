/* SPDX-License-Identifier: MIT */
/* shmring-dump follow --cursor-file. */
#include "cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dump.h"

struct cursor_file {
	const char *path;
	char *temporary;
	json_t *json;
	json_t *rings; /* in it */
};

static void *told(const char *path, const char *sentence)
{
	fflush(stdout);
	fputs("shmring-dump: ", stderr);
	text_string(stderr, path);
	fprintf(stderr, ": %s\n", sentence);
	return NULL;
}

static void begin_anew(struct cursor_file *cursor)
{
	json_decref(cursor->json);
	cursor->json = json_object();
	cursor->rings = json_object();
	json_put(cursor->json, "v", json_integer(1));
	json_put(cursor->json, "rings", cursor->rings);
	/* json_put() gave its reference up: the object holds it. */
}

/* The member @key of @json: digits of @base, and nothing else. */
static int get_number(const json_t *json, const char *key, int base, uint64_t *number)
{
	const char *text = json_string_value(json_object_get(json, key));
	char *end;

	if (!text || strspn(text, base == 16 ? "0123456789abcdef" : "0123456789") != strlen(text) ||
	    !*text)
		return -EINVAL;
	errno = 0;
	*number = strtoull(text, &end, base);
	return errno ? -EINVAL : 0;
}

/* Is it one of ours? */
static int valid(const json_t *json)
{
	json_t *rings = json_object_get(json, "rings"), *ring;
	const char *name;
	uint64_t number;

	if (json_integer_value(json_object_get(json, "v")) != 1 || !json_is_object(rings) ||
	    get_number(json, "epoch", 16, &number))
		return 0;
	json_object_foreach(rings, name, ring)
	{
		if (get_number(ring, "position", 10, &number) || number & 7 ||
		    get_number(ring, "sequence", 10, &number))
			return 0;
	}
	return 1;
}

struct cursor_file *cursor_open(const char *path)
{
	struct cursor_file *cursor = calloc(1, sizeof(*cursor));
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (cursor)
		cursor->temporary = malloc(strlen(path) + 32);
	if (!cursor || !cursor->temporary) {
		told(path, "out of memory");
		goto failed;
	}
	cursor->path = path;
	sprintf(cursor->temporary, "%s.%ld.tmp", path, (long)getpid());
	if (fd < 0 && errno == ENOENT) {
		begin_anew(cursor);
		return cursor;
	}
	if (fd < 0) {
		told(path, strerror(errno));
		goto failed;
	}
	cursor->json = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	close(fd);
	fd = -1;
	if (valid(cursor->json)) {
		cursor->rings = json_object_get(cursor->json, "rings");
		return cursor;
	}
	told(path, "not a cursor file of shmring-dump");
failed:
	if (fd >= 0)
		close(fd);
	if (cursor)
		cursor_close(cursor);
	return NULL;
}

void cursor_close(struct cursor_file *cursor)
{
	if (!cursor)
		return;
	json_decref(cursor->json);
	free(cursor->temporary);
	free(cursor);
}

int cursor_of(struct cursor_file *cursor, uint64_t epoch)
{
	uint64_t before;
	int known = !get_number(cursor->json, "epoch", 16, &before);

	if (known && before == epoch)
		return 0;
	begin_anew(cursor);
	json_put(cursor->json, "epoch", json_sprintf("%016" PRIx64, epoch));
	return known ? -ESTALE : 1;
}

int cursor_get(const struct cursor_file *cursor, const char *ring, uint64_t *position,
	       uint64_t *sequence)
{
	const json_t *json = json_object_get(cursor->rings, ring);

	if (!json)
		return -ENOENT;
	get_number(json, "position", 10, position);
	get_number(json, "sequence", 10, sequence);
	return 0;
}

void cursor_set(struct cursor_file *cursor, const char *ring, uint64_t position, uint64_t sequence)
{
	json_t *json = json_object();

	json_put(json, "position", json_u64(position));
	json_put(json, "sequence", json_u64(sequence));
	json_put(cursor->rings, ring, json);
}

int cursor_save(struct cursor_file *cursor)
{
	int fd = open(cursor->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		      0666);

	if (fd < 0) {
		told(cursor->temporary, strerror(errno));
		return -1;
	}
	/*
	 * By rename there is the old or the new one, whenever this process is killed. Not
	 * synced: a machine that loses its page cache loses the segment, too.
	 */
	if (json_dumpfd(cursor->json, fd, JSON_COMPACT) || write(fd, "\n", 1) != 1 ||
	    rename(cursor->temporary, cursor->path)) {
		told(cursor->path, errno ? strerror(errno) : "cannot write");
		close(fd);
		unlink(cursor->temporary);
		return -1;
	}
	close(fd);
	return 0;
}
