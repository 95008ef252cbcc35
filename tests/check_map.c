/* SPDX-License-Identifier: MIT */
/* L0 on both backends: the mode table, offsets, perms, races, clean failure. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <shmring/map.h>

#include "tap.h"

static char name[3][128]; /* the same case on /name and file:PATH; sysv: */
static char path[2][128];

static void setup(void)
{
	for (int i = 0; i < 2; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/shmring-check-map-%d", i ? "/tmp" : "/dev/shm",
			 (int)getpid());
		if (i)
			snprintf(name[i], sizeof(name[i]), "file:%.100s", path[i]);
		else
			snprintf(name[i], sizeof(name[i]), "/shmring-check-map-%d", (int)getpid());
		unlink(path[i]);
	}
	snprintf(name[2], sizeof(name[2]), "sysv:0x%x", 0x55000000u | (unsigned)getpid());
	shr_map_unlink(name[2]);
}

static void teardown(void)
{
	unlink(path[0]);
	unlink(path[1]);
	shr_map_unlink(name[2]);
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

static int map(struct shr_map **m, const char *n, const char *mode, uint64_t size, int64_t offset,
	       int flags)
{
	struct shr_map_options options = {
		.struct_size = sizeof(options), .size = size, .offset = offset, .flags = flags};

	*m = NULL;
	return shr_map_open(m, n, mode, &options);
}

/* The sequence of the model's own suite. */
START_TEST(write_reopen_excl_unlink)
{
	struct shr_map *a, *b = NULL;
	struct stat st;

	ck_assert_int_eq(map(&a, name[_i], "+>", 300, 0, 0), 0);
	ck_assert_int_eq(shr_map_created(a), 1);
	ck_assert_uint_eq(shr_map_size(a), 300);
	memcpy((char *)shr_map_address(a) + 100, "foobar", 6);
	ck_assert_int_eq(shr_map_open(&b, name[_i], NULL, NULL), 0);
	ck_assert_int_eq(shr_map_created(b), 0);
	ck_assert_mem_eq((char *)shr_map_address(b) + 100, "foobar", 6);
	ck_assert_int_eq(fstat(shr_map_fd(b), &st), 0);
	ck_assert_int_ge(st.st_size, 300);
	ck_assert_uint_eq(st.st_uid, getuid());
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(fchmod(shr_map_fd(a), 0644), 0);
	shr_map_close(b);
	ck_assert_int_eq(map(&b, name[_i], "+>", 300, 0, O_EXCL), -EEXIST);
	ck_assert_int_eq(map(&b, name[_i], ">", 300, 0, O_EXCL), -EEXIST);
	ck_assert_int_eq(shr_map_unlink(name[_i]), 0);
	ck_assert_int_eq(shr_map_unlink(name[_i]), -ENOENT);
	ck_assert_int_eq(map(&b, name[_i], "<", 0, 0, 0), -ENOENT);
	/* The map outlives its name. */
	ck_assert_mem_eq((char *)shr_map_address(a) + 100, "foobar", 6);
	shr_map_close(a);
}
END_TEST

/* Every mode x state of the object x size asked for, as one table. */
enum { ABSENT = -1 };

static int expected(const char *mode, int state, uint64_t size, uint64_t *mapped, int *grown)
{
	int creates = strchr(mode, '>') != NULL, writes = strcmp(mode, "<") != 0;

	*grown = state;
	if (creates && !size)
		return -EINVAL;
	if (state == ABSENT) {
		*grown = (int)size;
		*mapped = size;
		return creates ? 0 : -ENOENT;
	}
	*mapped = size ? size : (uint64_t)state;
	if (!*mapped)
		return -ENODATA;
	if ((int)*mapped > state) {
		if (!writes)
			return -ERANGE;
		*grown = (int)*mapped;
	}
	return 0;
}

START_TEST(mode_table)
{
	static const char *const modes[] = {"<", "+<", ">", "+>"};
	static const int states[] = {ABSENT, 0, 100, 300, 9000};
	static const uint64_t sizes[] = {0, 100, 300, 9000};

	for (int m = 0; m < 4; m++)
		for (int s = 0; s < 5; s++)
			for (int z = 0; z < 4; z++) {
				struct shr_map *a;
				struct stat st;
				uint64_t mapped;
				int grown, err, got;

				unlink(path[_i]);
				if (states[s] != ABSENT) {
					int fd = open(path[_i], O_CREAT | O_RDWR, 0600);

					ck_assert_int_eq(ftruncate(fd, states[s]), 0);
					close(fd);
				}
				err = expected(modes[m], states[s], sizes[z], &mapped, &grown);
				got = map(&a, name[_i], modes[m], sizes[z], 0, 0);
				ck_assert_msg(got == err, "%s state %d size %d: %d not %d", modes[m],
					      states[s], (int)sizes[z], got, err);
				if (!err) {
					ck_assert_uint_eq(shr_map_size(a), mapped);
					ck_assert_int_eq(fstat(shr_map_fd(a), &st), 0);
					ck_assert_int_eq(st.st_size, grown);
					ck_assert_int_eq(shr_map_created(a), states[s] == ABSENT);
					if (m)
						memset(shr_map_address(a), 7, mapped);
					shr_map_close(a);
				} else if (states[s] == ABSENT) {
					ck_assert_int_eq(access(path[_i], F_OK), -1);
				}
			}
}
END_TEST

START_TEST(offset_may_be_unaligned)
{
	struct shr_map *a, *b;

	ck_assert_int_eq(map(&a, name[_i], "+>", 10000, 0, 0), 0);
	memcpy((char *)shr_map_address(a) + 5001, "here", 4);
	ck_assert_int_eq(map(&b, name[_i], "+<", 0, 5001, 0), 0);
	ck_assert_uint_eq(shr_map_size(b), 4999);
	ck_assert_mem_eq(shr_map_address(b), "here", 4);
	shr_map_close(b);
	ck_assert_int_eq(map(&b, name[_i], "+<", 100, 12345, 0), 0); /* grows to offset + size */
	((char *)shr_map_address(b))[99] = 1;
	shr_map_close(b);
	ck_assert_int_eq(map(&b, name[_i], "<", 0, 0, 0), 0);
	ck_assert_uint_eq(shr_map_size(b), 12445);
	shr_map_close(b);
	ck_assert_int_eq(map(&b, name[_i], "<", 0, 12445, 0), -ENODATA);
	ck_assert_int_eq(map(&b, name[_i], "<", 1, 12445, 0), -ERANGE);
	ck_assert_int_eq(map(&b, name[_i], "<", 0, -1, 0), -EINVAL);
	ck_assert_int_eq(map(&b, name[_i], "+<", UINT64_MAX, 1, 0), -EOVERFLOW);
	ck_assert_int_eq(map(&b, name[_i], "+<", 4096, INT64_MAX - 100, 0), -EOVERFLOW);
	shr_map_close(a);
}
END_TEST

START_TEST(bad_arguments_are_refused_and_make_nothing)
{
	struct shr_map *a = NULL;
	struct shr_map_options options = {0};
	int before = open_fds();

	ck_assert_int_eq(map(&a, name[_i], "r", 10, 0, 0), -EINVAL);
	ck_assert_int_eq(map(&a, name[_i], "", 10, 0, 0), -EINVAL);
	ck_assert_int_eq(map(&a, name[_i], "<", 0, 0, O_TRUNC), -EINVAL);
	ck_assert_int_eq(map(&a, name[_i], "+<", 10, 0, O_EXCL), -EINVAL);
	ck_assert_int_eq(map(&a, name[_i], "+>", 10, 0, O_APPEND), -EINVAL);
	ck_assert_int_eq(shr_map_open(&a, name[_i], "+>", &options), -EINVAL);
	ck_assert_ptr_nonnull(strstr(shr_last_error(), "struct_size"));
	ck_assert_int_eq(shr_map_open(NULL, name[_i], "<", NULL), -EINVAL);
	a = (struct shr_map *)&options;
	ck_assert_int_eq(shr_map_open(&a, name[_i], "<", NULL), -EBUSY);
	ck_assert_int_eq(access(path[_i], F_OK), -1);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(names)
{
	struct shr_map *a;
	char longest[300], plain[300], slashes[300];

	static const char *const bad[] = {"", "/", "//", "/.", "/..", "/a/b", "a/b", "file:", "file:/"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(map(&a, bad[i], "+>", 10, 0, 0) == -EINVAL, "%s", bad[i]);
	ck_assert_int_eq(map(&a, NULL, "+>", 10, 0, 0), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[257] = '\0';
	ck_assert_int_eq(map(&a, longest, "+>", 10, 0, 0), -ENAMETOOLONG);
	longest[256] = '\0';
	ck_assert_int_eq(map(&a, longest, "+>", 10, 0, 0), 0);
	shr_map_close(a);
	ck_assert_int_eq(shr_map_unlink(longest), 0);
	snprintf(plain, sizeof(plain), "%.120s", name[0] + 1);
	snprintf(slashes, sizeof(slashes), "//%.120s", name[0] + 1);
	ck_assert_int_eq(map(&a, plain, "+>", 10, 0, 0), 0);
	shr_map_close(a);
	ck_assert_int_eq(map(&a, slashes, "+>", 10, 0, O_EXCL), -EEXIST);
}
END_TEST

START_TEST(not_a_regular_file_is_refused)
{
	struct shr_map *a;
	int before = open_fds();

	ck_assert_int_eq(map(&a, "file:/tmp", "<", 0, 0, 0), -EMEDIUMTYPE);
	ck_assert_int_eq(map(&a, "file:/tmp", "+<", 10, 0, 0), -EMEDIUMTYPE);
	ck_assert_int_eq(map(&a, "file:/dev/null", "<", 10, 0, 0), -EMEDIUMTYPE);
	ck_assert_int_eq(mkfifo(path[1], 0600), 0);
	ck_assert_int_eq(map(&a, name[1], "<", 0, 0, 0), -EMEDIUMTYPE);
	unlink(path[1]);
	ck_assert_int_eq(symlink("/etc/passwd", path[1]), 0);
	ck_assert_int_eq(map(&a, name[1], "<", 0, 0, 0), -ELOOP);
	ck_assert_int_eq(map(&a, name[1], "+>", 10, 0, 0), -ELOOP);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(permissions_obey_the_umask_or_are_exact)
{
	static const mode_t umasks[] = {0, 022, 077};
	static const uint32_t perms[] = {0, 0600, 0640, 0666};

	for (int u = 0; u < 3; u++)
		for (int p = 0; p < 4; p++)
			for (int exact = 0; exact < 2; exact++) {
				struct shr_map_options options = {
					.struct_size = sizeof(options), .size = 10, .perms = perms[p],
					.flags = exact ? SHR_MAP_EXACT_PERMS : 0};
				struct shr_map *a = NULL;
				struct stat st;
				mode_t want = perms[p] ? perms[p] : 0600;

				umask(umasks[u]);
				unlink(path[_i]);
				ck_assert_int_eq(shr_map_open(&a, name[_i], "+>", &options), 0);
				ck_assert_int_eq(fstat(shr_map_fd(a), &st), 0);
				ck_assert_uint_eq(st.st_mode & 07777,
						  exact ? want : want & ~umasks[u]);
				shr_map_close(a);
			}
}
END_TEST

START_TEST(truncate_empties_an_existing_object)
{
	struct shr_map *a;

	ck_assert_int_eq(map(&a, name[_i], "+>", 300, 0, 0), 0);
	memset(shr_map_address(a), 7, 300);
	shr_map_close(a);
	ck_assert_int_eq(map(&a, name[_i], "+<", 200, 0, O_TRUNC), 0);
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(((char *)shr_map_address(a))[i], 0);
	shr_map_close(a);
}
END_TEST

START_TEST(over_the_file_size_limit_is_efbig_and_no_signal)
{
	struct rlimit limit = {100000, 100000};
	struct shr_map *a;

	signal(SIGXFSZ, SIG_DFL);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(map(&a, name[_i], "+>", 100001, 0, 0), -EFBIG);
	ck_assert_int_eq(access(path[_i], F_OK), -1);
	ck_assert_int_eq(map(&a, name[_i], "+>", 100000, 0, 0), 0);
	shr_map_close(a);
}
END_TEST

/* AddressSanitizer itself needs terabytes of address space. */
#ifndef __SANITIZE_ADDRESS__
START_TEST(over_the_address_space_leaves_nothing)
{
	struct rlimit limit;
	struct shr_map *a;
	int before = open_fds();

	ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = 256 << 20;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
	ck_assert_int_eq(map(&a, name[_i], "+>", 512 << 20, 0, 0), -ENOMEM);
	ck_assert_int_eq(access(path[_i], F_OK), -1);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST
#endif

START_TEST(a_forked_child_shares_the_map)
{
	struct shr_map *a;
	int status;
	pid_t pid;

	ck_assert_int_eq(map(&a, name[_i], "+>", 4096, 0, 0), 0);
	pid = fork();
	if (!pid) {
		strcpy(shr_map_address(a), "child");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_str_eq(shr_map_address(a), "child");
	shr_map_close(a);
}
END_TEST

/* One grows by steps, the other sees the size never go down. */
START_TEST(growing_never_shrinks_for_another)
{
	enum { STEPS = 2000 };
	int status;
	pid_t pid;
	struct shr_map *a;

	ck_assert_int_eq(map(&a, name[_i], "+>", 64, 0, 0), 0);
	pid = fork();
	for (int i = 1; i <= STEPS; i++) {
		struct shr_map *b = NULL;
		uint64_t size = 64 + (uint64_t)i * (pid ? 32 : 48);
		struct stat st;
		int err = map(&b, name[_i], "+<", size, 0, 0);

		if (!pid && (err || fstat(shr_map_fd(b), &st) || (uint64_t)st.st_size < size))
			_exit(1);
		ck_assert_int_eq(err, 0);
		ck_assert_int_eq(fstat(shr_map_fd(b), &st), 0);
		ck_assert_uint_ge((uint64_t)st.st_size, size);
		shr_map_close(b);
	}
	if (!pid)
		_exit(0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	shr_map_close(a);
}
END_TEST

/* Two processes create at once: exactly one did, both map the whole of it. */
START_TEST(two_creators_race_and_one_wins)
{
	enum { ROUNDS = 20000 };
	int to[2], from[2], both = 0, status;
	pid_t pid;

	ck_assert_int_eq(pipe(to), 0);
	ck_assert_int_eq(pipe(from), 0);
	pid = fork();
	for (int i = 0; i < ROUNDS; i++) {
		struct shr_map *a = NULL;
		char go = 'x', child;
		int err;

		if (pid)
			ck_assert_int_eq(write(to[1], &go, 1), 1);
		else if (read(to[0], &go, 1) != 1)
			_exit(1);
		err = map(&a, name[_i], "+>", 4096, 0, 0);
		child = err ? 'e' : shr_map_created(a) ? 'c' : 'o';
		if (!err && shr_map_size(a) != 4096)
			child = 's';
		shr_map_close(a);
		if (!pid) {
			if (write(from[1], &child, 1) != 1)
				_exit(1);
			continue;
		}
		ck_assert_int_eq(err, 0);
		ck_assert_int_eq(read(from[0], &go, 1), 1);
		ck_assert_msg((go == 'c') + (child == 'c') == 1 && (go == 'o') + (child == 'o') == 1,
			      "round %d: %c %c", i, go, child);
		both += go == 'c';
		ck_assert_int_eq(shr_map_unlink(name[_i]), 0);
	}
	if (!pid)
		_exit(0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

static void ignore(int signal_number)
{
	(void)signal_number;
}

START_TEST(reservation_ends_in_a_storm_of_signals)
{
	struct sigaction action = {.sa_handler = ignore}; /* no SA_RESTART */
	struct shr_map *a;
	int status;
	pid_t pid;

	sigaction(SIGUSR1, &action, NULL);
	pid = fork();
	if (!pid) {
		for (;;)
			if (kill(getppid(), SIGUSR1) || getppid() == 1)
				_exit(0);
	}
	ck_assert_int_eq(map(&a, name[_i], "+>", 64 << 20, 0, 0), 0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	shr_map_close(a);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("map");
	TCase *tc = tcase_create("map");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, write_reopen_excl_unlink, 0, 2);
	tcase_add_loop_test(tc, mode_table, 0, 2);
	tcase_add_loop_test(tc, offset_may_be_unaligned, 0, 2);
	tcase_add_loop_test(tc, bad_arguments_are_refused_and_make_nothing, 0, 2);
	tcase_add_test(tc, names);
	tcase_add_test(tc, not_a_regular_file_is_refused);
	tcase_add_loop_test(tc, permissions_obey_the_umask_or_are_exact, 0, 2);
	tcase_add_loop_test(tc, truncate_empties_an_existing_object, 0, 2);
	tcase_add_loop_test(tc, over_the_file_size_limit_is_efbig_and_no_signal, 0, 2);
#ifndef __SANITIZE_ADDRESS__
	tcase_add_loop_test(tc, over_the_address_space_leaves_nothing, 0, 2);
#endif
	tcase_add_loop_test(tc, a_forked_child_shares_the_map, 0, 2);
	tcase_add_loop_test(tc, growing_never_shrinks_for_another, 0, 2);
	tcase_add_loop_test(tc, two_creators_race_and_one_wins, 0, 3);
	tcase_add_loop_test(tc, reservation_ends_in_a_storm_of_signals, 0, 2);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
