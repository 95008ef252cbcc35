/* SPDX-License-Identifier: MIT */
/* L1 and membership: create, attach, unlink, damage, death, fork. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "crc32c.h"
#include "format.h"
#include "map_file.h"
#include "tap.h"

struct sample {
	uint64_t id;
	double value;
};
SHR_SCHEMA(sample, 1, id, value);

static char name[100], path[128];

static void setup(void)
{
	snprintf(name, sizeof(name), "/shmring-check-segment-%d", (int)getpid());
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	unlink(path);
}

static void teardown(void)
{
	unlink(path);
}

static const struct shr_object two[2] = {
	{.kind = SHR_OBJECT_BYTES, .name = "first", .size = 100, .schema = SHR_SCHEMA_OF(sample)},
	{.kind = SHR_OBJECT_BYTES, .name = "second", .size = 10000},
};

static struct shr_segment *create(uint32_t flags, uint32_t members)
{
	struct shr_segment_options options = {
		.struct_size = sizeof(options), .flags = flags, .members = members, .role = "test"};
	struct shr_segment *segment = NULL;

	ck_assert_msg(shr_segment_create(&segment, name, two, 2, &options) == 0, "%s",
		      shr_last_error());
	return segment;
}

static int attach(struct shr_segment **segment)
{
	*segment = NULL;
	return shr_segment_attach(segment, name, NULL);
}

/*
 * Attach once a dead member's slot is free. The kernel drops a mapping's file a
 * little after the exec or exit that others can already see.
 */
static int attach_soon(struct shr_segment **segment)
{
	int err = -EUSERS;

	for (int i = 0; i < 10000 && err == -EUSERS; i++) {
		err = attach(segment);
		if (err == -EUSERS)
			usleep(1000);
	}
	return err;
}

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

START_TEST(objects_are_shared_by_name)
{
	struct shr_segment *a = create(0, 0), *b;
	void *first, *second;
	size_t size;

	ck_assert_int_eq(shr_segment_created(a), 1);
	ck_assert_int_eq(attach(&b), 0);
	ck_assert_int_eq(shr_segment_created(b), 0);
	ck_assert_uint_eq(shr_segment_epoch(a), shr_segment_epoch(b));
	ck_assert_int_ne(shr_segment_member(a), shr_segment_member(b));
	ck_assert_int_eq(shr_segment_bytes(a, "second", &first, &size), 0);
	ck_assert_uint_eq(size, 10000);
	ck_assert_int_eq(shr_segment_bytes(b, "second", &second, &size), 0);
	strcpy(first, "hello");
	ck_assert_str_eq(second, "hello");
	ck_assert_int_eq(shr_segment_bytes(b, "third", &second, &size), -ENOENT);
	ck_assert_int_eq(shr_segment_detach(b), 0);
	ck_assert_int_eq(shr_segment_detach(a), 0);
}
END_TEST

START_TEST(create_of_an_existing_name)
{
	struct shr_segment *a = create(0, 0), *b = NULL, *c;
	struct shr_segment_options options = {.struct_size = sizeof(options)};
	uint64_t epoch = shr_segment_epoch(a);

	ck_assert_int_eq(shr_segment_create(&b, name, two, 2, &options), -EEXIST);
	b = create(SHR_SEGMENT_ATTACH, 0);
	ck_assert_int_eq(shr_segment_created(b), 0);
	ck_assert_uint_eq(shr_segment_epoch(b), epoch);
	c = create(SHR_SEGMENT_REPLACE, 0);
	ck_assert_int_eq(shr_segment_created(c), 1);
	ck_assert_uint_ne(shr_segment_epoch(c), epoch);
	ck_assert_int_eq(shr_segment_check(a), -ESTALE);
	ck_assert_int_eq(shr_segment_check(c), 0);
	shr_segment_detach(a);
	shr_segment_detach(b);
	shr_segment_detach(c);
}
END_TEST

START_TEST(unlink_makes_it_obsolete_and_refuses_other_files)
{
	struct shr_segment *a = create(0, 0), *b;
	int fd;

	ck_assert_int_eq(shr_segment_check(a), 0);
	ck_assert_int_eq(shr_segment_unlink(name), 0);
	ck_assert_int_eq(shr_segment_check(a), -ESTALE);
	ck_assert_int_eq(attach(&b), -ENOENT);
	ck_assert_int_eq(shr_segment_unlink(name), -ENOENT);
	shr_segment_detach(a);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(write(fd, "precious", 8), 8);
	close(fd);
	ck_assert_int_eq(shr_segment_unlink(name), -EMEDIUMTYPE);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(bad_objects_and_options_are_refused_and_make_nothing)
{
	struct shr_segment *a = NULL;
	struct shr_object objects[2];
	struct shr_segment_options options = {.struct_size = sizeof(options), .members = 1023};
	int before = open_fds();

	ck_assert_int_eq(shr_segment_create(&a, name, two, 2, &options), -EINVAL);
	options.members = 0;
	options.flags = 64;
	ck_assert_int_eq(shr_segment_create(&a, name, two, 2, &options), -EINVAL);
	memcpy(objects, two, sizeof(objects));
	objects[1].kind = 99;
	ck_assert_int_eq(shr_segment_create(&a, name, objects, 2, NULL), -EINVAL);
	memcpy(objects, two, sizeof(objects));
	strcpy(objects[1].name, "first");
	ck_assert_int_eq(shr_segment_create(&a, name, objects, 2, NULL), -EINVAL);
	objects[1].name[0] = '\0';
	ck_assert_int_eq(shr_segment_create(&a, name, objects, 2, NULL), -EINVAL);
	memcpy(objects, two, sizeof(objects));
	objects[1].size = 0;
	ck_assert_int_eq(shr_segment_create(&a, name, objects, 2, NULL), -EINVAL);
	ck_assert_int_eq(shr_segment_create(&a, name, two, 31, NULL), -E2BIG);
	ck_assert_int_eq(shr_segment_create(&a, "/a/b", two, 2, NULL), -EINVAL);
	ck_assert_ptr_null(a);
	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

/* Damage. @seal: with a fresh checksum, so that the check behind it is met. */
static struct shm_header image;

static void reseal(int fd)
{
	static const uint32_t zero;
	char schemas[4096];
	uint32_t crc = crc32c(0, &image, 16);

	if (image.schema_size > sizeof(schemas))
		return;
	if (pread(fd, schemas, image.schema_size, (off_t)image.schema_offset) < 0)
		return;
	crc = crc32c(crc, &zero, 4);
	crc = crc32c(crc, (char *)&image + 20, 128 - 20);
	crc = crc32c(crc, image.directory, sizeof(image.directory));
	image.crc = crc32c(crc, schemas, image.schema_size);
}

static const struct {
	const char *what;
	size_t offset, size;
	uint64_t value;
	int seal, err;
} flips[] = {
#define FLIP(field, value, seal, err) \
	{#field, offsetof(struct shm_header, field), sizeof(image.field), value, seal, err}
	{"magic", 0, 1, 'x', 0, -EMEDIUMTYPE},
	FLIP(byte_order, 0x04030201, 0, -EILSEQ),
	FLIP(byte_order, 7, 0, -EBADMSG),
	FLIP(major, 99, 0, -EPROTONOSUPPORT),
	FLIP(minor, 99, 1, 0), /* another minor opens */
	FLIP(crc, 1, 0, -EUCLEAN),
	FLIP(epoch, 5, 0, -EUCLEAN),
	FLIP(created_ns, 5, 0, -EUCLEAN),
	FLIP(boot_id[3], 1, 0, -EUCLEAN),
	FLIP(creator_pid, 1, 0, -EUCLEAN),
	FLIP(counters, 8, 0, -EUCLEAN),
	FLIP(counter_kinds, 6, 1, -EBADMSG),
	FLIP(counters, 1 << 20, 1, -EBADMSG),
	FLIP(counters, 4, 1, -EBADMSG),
	FLIP(header_size, 8192, 1, -EBADMSG),
	FLIP(fingerprint, 1, 1, -EPROTO),
	FLIP(total_size, (uint64_t)1 << 40, 1, -ENODATA),
	FLIP(total_size, 8192, 1, -EBADMSG),
	FLIP(epoch, 0, 1, -EBADMSG),
	FLIP(locks, 9, 1, -EBADMSG),
	FLIP(members, 0, 1, -EBADMSG),
	FLIP(members, 1023, 1, -EBADMSG),
	FLIP(objects, 31, 1, -EBADMSG),
	FLIP(member_offset, 4097, 1, -EBADMSG),
	FLIP(member_offset, UINT64_MAX - 4095, 1, -EBADMSG),
	FLIP(schema_offset, 4104, 1, -EBADMSG),
	FLIP(schema_offset, UINT64_MAX - 7, 0, -EBADMSG),
	FLIP(schema_size, UINT64_MAX, 0, -EBADMSG),
	FLIP(obsolete, 1, 0, -ESTALE),
	FLIP(directory[0].name, 0, 1, -EBADMSG),
	FLIP(directory[1].name, 0x7473726966, 1, -EBADMSG), /* "first" again */
	FLIP(directory[0].offset, 0, 1, -EBADMSG),
	FLIP(directory[0].offset, UINT64_MAX - 4095, 1, -EBADMSG),
	FLIP(directory[1].size, UINT64_MAX - 8191, 1, -EBADMSG),
	FLIP(directory[1].size, 0, 1, -EBADMSG),
	FLIP(directory[0].schema_hash, 1, 1, -EBADMSG),
	FLIP(directory[0].schema_offset, 1 << 20, 1, -EBADMSG),
	FLIP(directory[0].param, 1, 0, -EUCLEAN),
};
#define FLIPS ((int)(sizeof(flips) / sizeof(flips[0])))

START_TEST(each_header_field_flipped_has_its_error)
{
	int fd, before, err;
	struct shr_segment *b;

	ck_assert_int_eq(shr_segment_detach(create(0, 0)), 0);
	before = open_fds();
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pread(fd, &image, sizeof(image), 0), sizeof(image));
	memset((char *)&image + flips[_i].offset, 0, flips[_i].size);
	memcpy((char *)&image + flips[_i].offset, &flips[_i].value,
	       flips[_i].size < 8 ? flips[_i].size : 8);
	if (flips[_i].seal)
		reseal(fd);
	ck_assert_int_eq(pwrite(fd, &image, sizeof(image), 0), sizeof(image));
	close(fd);
	err = attach(&b);
	ck_assert_msg(err == flips[_i].err, "%s = %llx: %d (%s), not %d", flips[_i].what,
		      (unsigned long long)flips[_i].value, err, shr_last_error(), flips[_i].err);
	if (err) {
		ck_assert_ptr_null(b);
		ck_assert_int_gt((int)strlen(shr_last_error()), 10);
		ck_assert_int_eq(open_fds(), before);
	} else {
		shr_segment_detach(b);
	}
}
END_TEST

/* In a child that stops at each of its system calls, twice: run it up to the @n-th stop. */
static int run_to_stop(pid_t pid, int n)
{
	int status;

	for (int i = 0; i < n; i++) {
		ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			return 0;
	}
	return 1;
}

static void leave_obsolete(void)
{
	uint32_t one = 1;
	int fd;

	unlink(path);
	ck_assert_int_eq(shr_segment_detach(create(0, 0)), 0);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pwrite(fd, &one, sizeof(one), offsetof(struct shm_header, obsolete)),
			 sizeof(one));
	close(fd);
}

/* Is a process between its look at the name and the removal? */
static int name_is_locked(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_start = MAP_NAME_BYTE, .l_len = 1};
	int fd = open(path, O_RDWR), locked;

	locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	if (fd >= 0)
		close(fd);
	return locked;
}

/*
 * Whoever finds a segment obsolete that has its name still removes it: not the one that
 * another puts there meanwhile, at whichever system call of the first.
 */
START_TEST(who_clears_away_an_obsolete_one_spares_its_successor)
{
	int replaced = 0, more = 1, status;

	for (int n = 1; more; n++) {
		pid_t pid;

		leave_obsolete();
		pid = fork();
		if (!pid) {
			struct shr_segment_options options = {.struct_size = sizeof(options),
							      .flags = SHR_SEGMENT_ATTACH};
			struct shr_segment *own = NULL;

			ptrace(PTRACE_TRACEME, 0, NULL, NULL);
			raise(SIGSTOP);
			if (_i)
				_exit(shr_segment_create(&own, name, two, 2, &options) != 0);
			_exit(shr_segment_attach(&own, name, NULL) == -EBADMSG);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		more = run_to_stop(pid, n);
		if (!more)
			break;
		if (name_is_locked()) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			continue;
		}
		unlink(path);
		ck_assert_int_eq(shr_segment_detach(create(0, 0)), 0);
		replaced++;
		ck_assert_int_eq(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "stop %d: status %x", n, status);
		{
			struct shr_segment *b;

			ck_assert_msg(attach(&b) == 0, "stop %d: %s", n, shr_last_error());
			shr_segment_detach(b);
		}
	}
	ck_assert_int_gt(replaced, 20);
}
END_TEST

START_TEST(every_byte_of_the_schemas_is_checked)
{
	int fd, before;

	ck_assert_int_eq(shr_segment_detach(create(0, 0)), 0);
	before = open_fds();
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pread(fd, &image, sizeof(image), 0), sizeof(image));
	for (uint64_t i = 0; i < image.schema_size; i++) {
		struct shr_segment *b;
		unsigned char byte;
		off_t at = (off_t)(image.schema_offset + i);

		ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
		byte ^= 0x55;
		ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
		ck_assert_int_eq(attach(&b), -EUCLEAN);
		/* Sealed again it is refused, or it was a byte of no weight here. */
		reseal(fd);
		ck_assert_int_eq(pwrite(fd, &image, sizeof(image), 0), sizeof(image));
		if (attach(&b) == 0)
			shr_segment_detach(b);
		byte ^= 0x55;
		ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
		reseal(fd);
		ck_assert_int_eq(pwrite(fd, &image, sizeof(image), 0), sizeof(image));
	}
	close(fd);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(truncated_files_are_errors)
{
	static const off_t sizes[] = {0, 1, 7, 8, 100, 4095, 4096, 4097, 8191, 12288};
	struct shr_segment *b;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int err;

		ck_assert_int_eq(shr_segment_detach(create(SHR_SEGMENT_REPLACE, 0)), 0);
		ck_assert_int_eq(truncate(path, sizes[i]), 0);
		err = attach(&b);
		ck_assert_msg(err == -ENODATA, "%d: %d", (int)sizes[i], err);
		ck_assert_int_eq(unlink(path), 0);
	}
}
END_TEST

START_TEST(slots_run_out_and_come_back)
{
	struct shr_segment *a = create(0, 2), *b, *c;

	ck_assert_int_eq(attach(&b), 0);
	ck_assert_int_eq(attach(&c), -EUSERS);
	ck_assert_int_eq(shr_segment_detach(a), 0);
	ck_assert_int_eq(attach(&c), 0);
	ck_assert_int_eq(shr_segment_member(c), 1);
	shr_segment_detach(b);
	shr_segment_detach(c);
}
END_TEST

static pid_t child_that_attaches(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct shr_segment *b;

		byte = attach(&b) ? 'e' : 'a';
		if (write(ready[1], &byte, 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(byte, 'a');
	close(ready[0]);
	close(ready[1]);
	return pid;
}

START_TEST(a_stopped_member_is_alive_a_killed_one_is_not)
{
	struct shr_segment *a = create(0, 2), *c;
	pid_t pid = child_that_attaches();
	int status;

	kill(pid, SIGSTOP);
	waitpid(pid, &status, WUNTRACED);
	ck_assert_int_eq(attach(&c), -EUSERS);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ck_assert_int_eq(attach_soon(&c), 0);
	ck_assert_int_eq(shr_segment_member(c), 2);
	shr_segment_detach(a);
	shr_segment_detach(c);
}
END_TEST

START_TEST(exec_ends_membership)
{
	struct shr_segment *a = create(0, 2), *c = NULL;
	int ready[2], status;
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		if (attach(&c) == 0)
			execlp("sleep", "sleep", "100", (char *)NULL);
		_exit(1);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 0); /* closed by the exec */
	ck_assert_int_eq(attach_soon(&c), 0);
	ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0); /* and it lives */
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	shr_segment_detach(a);
	shr_segment_detach(c);
}
END_TEST

/* The parent dies, its child lives on: the parent's slot must be free. */
START_TEST(a_fork_does_not_keep_a_dead_parent_alive)
{
	struct shr_segment *a = create(0, 2), *c;
	int hold[2], ready[2], status;
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(hold), 0);
	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		if (attach(&c))
			_exit(1);
		if (!fork()) {
			close(hold[1]);
			byte = shr_segment_check(c) == -ECHILD && shr_segment_member(c) == -ECHILD &&
			       shr_segment_detach(c) == 0;
			if (write(ready[1], &byte, 1) != 1 || read(hold[0], &byte, 1) < 0)
				_exit(1);
			_exit(0);
		}
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(byte, 1);
	ck_assert_int_eq(attach(&c), -EUSERS);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ck_assert_int_eq(attach_soon(&c), 0);
	close(hold[1]); /* lets the grandchild go */
	shr_segment_detach(a);
	shr_segment_detach(c);
}
END_TEST

START_TEST(attach_and_detach_leak_nothing)
{
	struct shr_segment *a = create(0, 0), *b;
	int before = open_fds();

	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(attach(&b), 0);
		ck_assert_int_eq(shr_segment_member(b), 2);
		ck_assert_int_eq(shr_segment_detach(b), 0);
	}
	ck_assert_int_eq(open_fds(), before);
	shr_segment_detach(a);
}
END_TEST

/* Many create, attach and replace at once: an opener sees nothing or all. */
START_TEST(nobody_sees_a_half_made_segment)
{
	enum { WORKERS = 3, ROUNDS = 1500 };
	pid_t pid[WORKERS];
	int status;

	for (int w = 0; w < WORKERS; w++) {
		pid[w] = fork();
		for (int i = 0; !pid[w] && i < ROUNDS; i++) {
			struct shr_segment_options options = {
				.struct_size = sizeof(options),
				.flags = w == 0 ? SHR_SEGMENT_REPLACE : SHR_SEGMENT_ATTACH};
			struct shr_segment *s = NULL;
			void *bytes;
			size_t size;
			int err = w == 2 ? attach(&s)
					 : shr_segment_create(&s, name, two, 2, &options);

			if (err && err != -ENOENT && err != -ESTALE && err != -EEXIST)
				_exit(-err);
			if (!err && shr_segment_bytes(s, "second", &bytes, &size))
				_exit(255);
			shr_segment_detach(s);
		}
		if (!pid[w])
			_exit(0);
	}
	for (int w = 0; w < WORKERS; w++) {
		waitpid(pid[w], &status, 0);
		ck_assert_msg(status == 0, "worker %d: %d (%s)", w, WEXITSTATUS(status),
			      strerror(WEXITSTATUS(status)));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("segment");
	TCase *tc = tcase_create("segment");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, objects_are_shared_by_name);
	tcase_add_test(tc, create_of_an_existing_name);
	tcase_add_test(tc, unlink_makes_it_obsolete_and_refuses_other_files);
	tcase_add_loop_test(tc, who_clears_away_an_obsolete_one_spares_its_successor, 0, 2);
	tcase_add_test(tc, bad_objects_and_options_are_refused_and_make_nothing);
	tcase_add_loop_test(tc, each_header_field_flipped_has_its_error, 0, FLIPS);
	tcase_add_test(tc, every_byte_of_the_schemas_is_checked);
	tcase_add_test(tc, truncated_files_are_errors);
	tcase_add_test(tc, slots_run_out_and_come_back);
	tcase_add_test(tc, a_stopped_member_is_alive_a_killed_one_is_not);
	tcase_add_test(tc, exec_ends_membership);
	tcase_add_test(tc, a_fork_does_not_keep_a_dead_parent_alive);
	tcase_add_test(tc, attach_and_detach_leak_nothing);
	tcase_add_test(tc, nobody_sees_a_half_made_segment);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
