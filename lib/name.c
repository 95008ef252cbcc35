/* SPDX-License-Identifier: MIT */
#include "name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>

#include "error.h"

#define LABEL_MAX 249 /* memfd_create(2) */

static int name_posix(const char *text, struct name *name)
{
	const char *base = text + strspn(text, "/");
	size_t length = strlen(base);

	name->backend = SHR_BACKEND_POSIX;
	if (!length || strchr(base, '/') || !strcmp(base, ".") || !strcmp(base, ".."))
		return shr_fail(EINVAL,
				"\"%.80s\" is no name for shared memory: it needs one part, as in "
				"\"/name\"; a file is \"file:PATH\"",
				text);
	if (length > NAME_MAX)
		return shr_fail(ENAMETOOLONG, "a name of %zu bytes is over %d", length, NAME_MAX);
	snprintf(name->path, sizeof(name->path), SHM_DIR "/%s", base);
	strcpy(name->dir, SHM_DIR);
	return 0;
}

static int name_file(const char *file, struct name *name)
{
	size_t length = strlen(file);
	char *slash;

	name->backend = SHR_BACKEND_FILE;
	if (!length || file[length - 1] == '/')
		return shr_fail(EINVAL, "\"file:%.80s\" names no file", file);
	if (length >= sizeof(name->path))
		return shr_fail(ENAMETOOLONG, "a path of %zu bytes is over %d", length, PATH_MAX - 1);
	strcpy(name->path, file);
	strcpy(name->dir, file);
	slash = strrchr(name->dir, '/');
	if (!slash)
		strcpy(name->dir, ".");
	else if (slash == name->dir)
		slash[1] = '\0';
	else
		*slash = '\0';
	return 0;
}

/* All of @text as a number from @low to @high: 1 if it is one. */
static int whole_number(const char *text, int base, int64_t low, int64_t high, int64_t *number)
{
	char *end;

	if (!*text || strspn(text, "-0123456789abcdefABCDEFxX") != strlen(text))
		return 0;
	errno = 0;
	*number = strtoll(text, &end, base);
	return !errno && !*end && *number >= low && *number <= high;
}

static int name_ftok(const char *text, struct name *name)
{
	const char *hash = strrchr(text, '#');
	char path[PATH_MAX];
	int64_t project = 1;
	size_t length = strlen(text);
	key_t key;

	if (hash && !strchr(hash, '/')) {
		if (!whole_number(hash + 1, 10, 1, 255, &project))
			return shr_fail(EINVAL, "\"%.80s\": after # comes a project from 1 to 255", text);
		length = (size_t)(hash - text);
	}
	if (length >= sizeof(path))
		return shr_fail(ENAMETOOLONG, "a path of %zu bytes is over %d", length, PATH_MAX - 1);
	memcpy(path, text, length);
	path[length] = '\0';
	key = ftok(path, (int)project);
	if (key == -1)
		return shr_fail(errno, "no key for %.200s: %s", path, strerror(errno));
	name->key = (int32_t)key;
	return 0;
}

static int name_sysv(const char *text, struct name *name)
{
	int64_t number;

	name->backend = SHR_BACKEND_SYSV;
	if (*text == '#') {
		if (!whole_number(text + 1, 10, 0, INT32_MAX, &number))
			return shr_fail(EINVAL, "\"sysv:%.80s\": after # comes an identifier", text);
		name->id = (int32_t)number;
		return 0;
	}
	if (!strcmp(text, "private"))
		return 0;
	if (strchr(text, '/'))
		return name_ftok(text, name);
	/* ipcs(1) shows keys in hexadecimal, up to 0xffffffff. */
	if (!whole_number(text, 0, INT32_MIN, UINT32_MAX, &number))
		return shr_fail(EINVAL,
				"\"sysv:%.80s\" is none of sysv:KEY, sysv:PATH#PROJ with a slash in "
				"PATH, sysv:#ID, sysv:private",
				text);
	if (!number)
		return shr_fail(EINVAL, "key 0 makes a private segment: write sysv:private");
	name->key = (int32_t)number;
	return 0;
}

static int name_anon(const char *label, struct name *name)
{
	name->backend = SHR_BACKEND_ANON;
	if (strlen(label) > LABEL_MAX)
		return shr_fail(ENAMETOOLONG, "a label of %zu bytes is over %d", strlen(label), LABEL_MAX);
	strcpy(name->path, label);
	return 0;
}

static int name_fd(const char *text, struct name *name)
{
	int64_t number;

	name->backend = SHR_BACKEND_FD;
	if (!whole_number(text, 10, INT32_MIN, INT32_MAX, &number))
		return shr_fail(EINVAL, "\"fd:%.80s\" names no descriptor", text);
	name->fd = (int)number;
	return 0;
}

int name_resolve(const char *text, struct name *name)
{
	static const struct {
		const char *prefix;
		int (*resolve)(const char *text, struct name *name);
	} backends[] = {{"file:", name_file}, {"sysv:", name_sysv}, {"anon:", name_anon}, {"fd:", name_fd}};

	if (!text)
		return shr_fail(EINVAL, "the name is NULL");
	name->path[0] = name->dir[0] = '\0';
	name->fd = name->id = -1;
	name->key = 0;
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		size_t length = strlen(backends[i].prefix);

		if (!strncmp(text, backends[i].prefix, length))
			return backends[i].resolve(text + length, name);
	}
	return name_posix(text, name);
}
