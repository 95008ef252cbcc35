/* SPDX-License-Identifier: MIT */
/*
 * A registry of services: who runs, in which state, with which load.
 *
 *	services run /services web &
 *	services watch /services --remove &
 *	services run /services web --die-in=5
 *	services list /services
 *
 * Shows an atomic table with a key. Each daemon has a record and updates it in place;
 * killed in the middle of an update, it leaves the record as of its last commit, and
 * delays nobody.
 *
 * The record of a daemon that is gone stays, and whoever wants it has to know that it is
 * gone. No time-out tells: a record names its process by the number of its member and
 * by how many processes had that number, and a lock of the kernel says whether that
 * process lives. Only who takes such a record over, in an update that looks once more,
 * goes on with it or removes it; so two never do.
 */
#include <shmring/shmring.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS    INT64_C(100000000) /* longest wait between looks at @stopped */
#define NAME_BYTES 24

struct service {
	char name[NAME_BYTES]; /* the key */
	uint64_t beats;
	double load;       /* of beat n: n % 8 eighths, so that a test knows it */
	uint64_t attaches; /* how many had the number @member, up to this process */
	uint32_t member;
	uint32_t pid; /* for people */
	char state[8];
};
SHR_SCHEMA(service, 1, name, beats, load, attaches, member, pid, state);

struct registry {
	struct shr_segment *segment;
	struct shr_table *table;
	struct service me; /* member, attaches and pid of this process */
};

struct arguments {
	uint64_t count;    /* beats or changes, and then end; 0: for ever */
	uint64_t every_ms; /* run */
	uint64_t die_in;   /* run: this update; 0: in none */
	int removes;       /* watch */
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	stopped = number;
}

__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("services: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return -1;
}

/* Text that another process wrote, for a terminal; @size bytes at most. */
static const char *printable(const char *text, size_t size)
{
	static char copies[2][NAME_BYTES + 1];
	static int turn;
	char *copy = copies[turn ^= 1];
	size_t i;

	for (i = 0; i < size && i < sizeof(copies[0]) - 1 && text[i]; i++)
		copy[i] = text[i] < ' ' || text[i] > '~' ? '?' : text[i];
	copy[i] = 0;
	return copy;
}

static const char *name_of(const struct service *service)
{
	return printable(service->name, sizeof(service->name));
}

/* --- The table --------------------------------------------------------------- */

/* By its number and how many had it before, a process is told from all others. */
static int learn_me(struct registry *r)
{
	struct shr_member_info info;
	int member = shr_segment_member(r->segment);

	if (member < 0 || shr_member_get(r->segment, (uint32_t)member, &info))
		return complain("%s", shr_last_error());
	r->me.member = info.number;
	r->me.attaches = info.attaches;
	r->me.pid = (uint32_t)getpid();
	return 0;
}

/* @mode "+>": whoever comes first makes the table. */
static int open_registry(struct registry *r, const char *name, const char *mode, const char *role)
{
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .mode = SHR_TABLE_ATOMIC,
					    .slots = 64,
					    .schema = SHR_SCHEMA_OF(service),
					    .key = "name"};
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .role = role};

	if (shr_table_open(&r->table, name, mode, &options, &segment))
		return complain("%s", shr_last_error());
	r->segment = shr_table_segment(r->table);
	return learn_me(r);
}

/* --- Who is gone ------------------------------------------------------------- */

/*
 * Is the process of @service gone, for certain? A number that is no member's, which a
 * peer may have written, is nobody's.
 */
static int is_gone(const struct registry *r, const struct service *service)
{
	struct shr_member_info info;
	int err = shr_member_get(r->segment, service->member, &info);

	if (err)
		return err == -ENOENT;
	return info.attaches != service->attaches || info.state == SHR_MEMBER_DEAD ||
	       info.state == SHR_MEMBER_FREE;
}

/*
 * Make the record of @name ours, if its process is gone; *@before is what it was. While
 * we are inside the update nobody else is, and what was read before may be old.
 * 1 it is ours, 0 its process lives, or a negative errno.
 */
static int take_over(struct registry *r, const char *name, uint32_t *slot, struct service *before)
{
	struct service *service;
	void *record;
	int err = shr_table_begin_key(r->table, name, strnlen(name, sizeof(before->name)), slot,
				      &record);

	if (err)
		return err;
	service = record;
	*before = *service;
	if (!is_gone(r, before)) {
		shr_table_abort(r->table, *slot);
		return 0;
	}
	service->member = r->me.member;
	service->attaches = r->me.attaches;
	service->pid = r->me.pid;
	err = shr_table_commit(r->table, *slot);
	return err ? err : 1;
}

/* Remove what those who are gone have left. 0, or -1 and said why. */
static int remove_stale(struct registry *r)
{
	struct service service, before;
	uint32_t slot, taken;

	for (slot = 0; !shr_table_next(r->table, &slot); slot++) {
		int err = shr_table_read(r->table, slot, &service, sizeof(service), NULL);

		if (err || !is_gone(r, &service))
			continue; /* free by now, or changed so often that it lives */
		err = take_over(r, service.name, &taken, &before);
		if (err > 0) { /* ours: nobody else removes it, or takes it over */
			err = shr_table_remove(r->table, taken);
			if (!err)
				printf("removed %s of pid %" PRIu32 ", which is gone\n",
				       name_of(&before), before.pid);
		}
		if (err && err != -ENOENT)
			return complain("%s", shr_last_error());
	}
	return 0;
}

static int clean(const char *name)
{
	struct registry registry = {0};
	int err = open_registry(&registry, name, "+<", "clean");

	if (!err)
		err = remove_stale(&registry);
	shr_table_close(registry.table);
	return err ? 1 : 0;
}

/* --- A daemon ---------------------------------------------------------------- */

/* Get a record of this name, a new one or that of somebody who is gone. */
static int enter(struct registry *r, const char *name, uint32_t *slot)
{
	struct service first = r->me, before;
	int err;

	memcpy(first.name, name, strlen(name)); /* not longer than that: main() */
	strcpy(first.state, "new");
	do {
		err = shr_table_insert(r->table, &first, sizeof(first), slot);
		if (!err) {
			printf("%s: pid %" PRIu32 " is registered\n", name, r->me.pid);
			return 0;
		}
		if (err == -EEXIST)
			err = take_over(r, name, slot, &before);
	} while (err == -ENOENT && !stopped); /* removed since: once more */
	if (err < 0)
		return complain("%s", shr_last_error());
	if (!err)
		return complain("%s is there, and its pid %" PRIu32 " lives", name, before.pid);
	printf("%s: pid %" PRIu32 " goes on for pid %" PRIu32 ", which is gone, after %" PRIu64
	       " beats\n",
	       name, r->me.pid, before.pid, before.beats);
	return 0;
}

/* One update: all of it is seen, or nothing. */
static int beat(struct registry *r, uint32_t slot, int die)
{
	struct service *service;
	void *record;
	int err;

	do /* in slices: a signal does not end the wait, and who is inside may be stopped */
		err = shr_table_begin_until(r->table, slot, &record, shr_deadline_ns(LOOK_NS));
	while (err == -ETIMEDOUT && !stopped);
	if (err)
		return err;
	service = record;
	service->beats++;
	if (die)
		raise(SIGKILL); /* in the middle: it has one beat more, and the load of before */
	service->load = (double)(service->beats % 8) / 8;
	strcpy(service->state, service->beats % 2 ? "busy" : "idle");
	return shr_table_commit(r->table, slot);
}

static int run_on(struct registry *r, uint32_t slot, const char *name, const struct arguments *a)
{
	struct timespec pause = {(time_t)(a->every_ms / 1000),
				 (long)(a->every_ms % 1000) * 1000000};
	uint64_t beats = 0;
	int err = 0;

	while (!err && !stopped && (!a->count || beats < a->count)) {
		err = beat(r, slot, beats + 1 == a->die_in);
		if (err || ++beats == a->count)
			continue;
		if (a->every_ms)
			nanosleep(&pause, NULL);
		/* Who never waits does not see that the file was removed. */
		err = shr_segment_check(r->segment);
	}
	if (err == -ETIMEDOUT)
		return complain("%s stays: another process is inside its record", name);
	if (!err)
		err = shr_table_remove(r->table, slot);
	if (err)
		return complain("%s", shr_last_error());
	printf("%s: %" PRIu64 " beats, and deregistered\n", name, beats);
	return 0;
}

static int run(const char *segment, const char *name, const struct arguments *a)
{
	struct registry registry = {0};
	uint32_t slot = 0;
	int err = open_registry(&registry, segment, "+>", name);

	if (!err)
		err = enter(&registry, name, &slot);
	if (!err)
		err = run_on(&registry, slot, name, a);
	shr_table_close(registry.table);
	return err ? 1 : 0;
}

/* --- A look at it ------------------------------------------------------------ */

static void show_service(const char *mark, const struct service *service, const char *life)
{
	printf("%s%s pid %" PRIu32 "%s: %s, load %.3f, %" PRIu64 " beats\n", mark, name_of(service),
	       service->pid, life, printable(service->state, sizeof(service->state)), service->load,
	       service->beats);
}

static const char *life_of(const struct registry *r, uint32_t slot, const struct service *service)
{
	struct shr_mutex_info lock;
	struct shr_slot_info info;

	if (!is_gone(r, service))
		return ", alive";
	if (!shr_table_get(r->table, slot, &info, &lock) &&
	    (lock.state == SHR_MUTEX_DIRTY ||
	     (lock.state == SHR_MUTEX_HELD && lock.owner == service->member)))
		return ", killed inside an update";
	return ", gone";
}

/* To look only: takes no slot and no lock, and can disturb nobody. */
static int list(const char *name)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .flags = SHR_SEGMENT_OBSERVE};
	struct registry r = {0};
	struct shr_table_status status;
	struct service service;
	uint32_t slot;
	int err = shr_segment_attach(&r.segment, name, &options);

	if (!err)
		err = shr_table_attach(&r.table, r.segment, "table", SHR_SCHEMA_OF(service));
	if (!err)
		err = shr_table_stat(r.table, &status);
	if (err)
		complain("%s", shr_last_error());
	for (slot = 0; !err && !shr_table_next(r.table, &slot); slot++)
		if (!shr_table_read(r.table, slot, &service, sizeof(service), NULL))
			show_service("", &service, life_of(&r, slot, &service));
	if (!err)
		printf("%" PRIu32 " of %" PRIu32
		       " slots used; locks taken over from the dead: %" PRIu64 "\n",
		       status.used, status.slots, status.takeovers);
	shr_table_close(r.table);
	shr_segment_detach(r.segment);
	return err ? 1 : 0;
}

/* --- Watching ---------------------------------------------------------------- */

struct seen {
	uint64_t version, generation; /* generation 0: nobody was there */
	struct service service;
};

/* Print what is new in a slot: 1, or 0 nothing is. */
static int look(const struct registry *r, uint32_t slot, struct seen *seen)
{
	struct seen now = {0};
	struct shr_slot_info info;
	int err = shr_table_read_changed(r->table, slot, seen->version, &now.service,
					 sizeof(now.service), &info);

	if (err == 1) {
		now.version = info.version;
		now.generation = info.generation;
	} else if (err != -ENOENT) {
		return 0; /* the same, or changed too fast: the next round sees it */
	}
	if (now.generation == seen->generation) {
		if (now.generation)
			show_service("= ", &now.service, "");
	} else {
		if (seen->generation)
			printf("- %s\n", name_of(&seen->service));
		if (now.generation)
			show_service("+ ", &now.service, "");
	}
	err = now.generation || seen->generation;
	*seen = now;
	return err;
}

static void tell_death(const struct shr_death *death, void *argument)
{
	(void)argument;
	printf("! pid %" PRIu32 " died, as %s\n", death->pid,
	       printable(death->role, sizeof(death->role)));
}

static int watch_on(struct registry *r, struct seen *seen, const struct arguments *a)
{
	uint64_t shown = 0;
	int err = 0, deaths, first = 1; /* first: somebody may have died before we came */

	while (!err && !stopped && (!a->count || shown < a->count)) {
		/* First this, then the look: a change between the two ends the wait at once. */
		uint64_t changes = shr_table_changes(r->table);

		for (uint32_t i = 0; i < shr_table_slots(r->table); i++)
			shown += (uint64_t)look(r, i, &seen[i]);
		deaths = shr_member_sweep(r->segment, tell_death, NULL);
		if (deaths < 0)
			return complain("%s", shr_last_error());
		if (a->removes && (first || deaths) && remove_stale(r))
			return -1;
		first = 0;
		err = shr_table_wait_until(r->table, SHR_TABLE_ANY, changes,
					   shr_deadline_ns(LOOK_NS), NULL);
		if (err == -ETIMEDOUT || err == -EINTR)
			err = 0;
	}
	return err ? complain("%s", shr_last_error()) : 0;
}

static int watch(const char *name, const struct arguments *a)
{
	struct registry registry = {0};
	struct seen *seen = NULL;
	int err = open_registry(&registry, name, "+<", "watch");

	if (!err) {
		seen = calloc(shr_table_slots(registry.table), sizeof(*seen));
		err = seen ? watch_on(&registry, seen, a) : complain("out of memory");
	}
	free(seen);
	shr_table_close(registry.table);
	return err ? 1 : 0;
}

/* --- The program ------------------------------------------------------------- */

static int usage(FILE *to)
{
	fputs("usage: services run SEGMENT NAME [-e MS] [-n N] [-d N]\n"
	      "       services list SEGMENT\n"
	      "       services watch SEGMENT [-n N] [-r]\n"
	      "       services clean SEGMENT\n"
	      "  -e, --every=MS   milliseconds between two beats (1000), 0: no pause\n"
	      "  -n, --count=N    end after as many beats, or changes seen (for ever)\n"
	      "  -d, --die-in=N   by SIGKILL, in the middle of update N\n"
	      "  -r, --remove     remove the services of processes that are gone\n"
	      "  -h, --help\n"
	      "NAME has 1 to 24 bytes. The segment is made by run if there is none, and stays.\n",
	      to);
	return to == stdout ? 0 : 2;
}

static int number(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

static int take_options(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{"every", required_argument, NULL, 'e'},  {"count", required_argument, NULL, 'n'},
		{"die-in", required_argument, NULL, 'd'}, {"remove", no_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},         {0}};
	int c;

	while ((c = getopt_long(argc, argv, "e:n:d:rh", options, NULL)) != -1) {
		if (c == 'h')
			exit(usage(stdout));
		if (c == 'r')
			a->removes = 1;
		if (c == '?' || (c == 'e' && !number(optarg, &a->every_ms)) ||
		    (c == 'n' && !number(optarg, &a->count)) ||
		    (c == 'd' && !number(optarg, &a->die_in)))
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct arguments a = {.every_ms = 1000};
	struct sigaction action = {.sa_handler = on_signal};
	const char *command, *segment, *name;
	int given;

	if (take_options(argc, argv, &a) || argc - optind < 2)
		return usage(stderr);
	command = argv[optind];
	segment = argv[optind + 1];
	name = argv[optind + 2];
	given = argc - optind - 2;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(command, "run") && given == 1 && *name && strlen(name) <= NAME_BYTES)
		return run(segment, name, &a);
	if (!strcmp(command, "list") && !given)
		return list(segment);
	if (!strcmp(command, "watch") && !given)
		return watch(segment, &a);
	if (!strcmp(command, "clean") && !given)
		return clean(segment);
	return usage(stderr);
}
