/* SPDX-License-Identifier: MIT */
/*
 * Daemons that share accounts under one lock. Any of them can be killed at any
 * instruction, and the sum of the accounts stays:
 *
 *	ledger /ledger &
 *	ledger /ledger --die-after=100
 *	ledger /ledger --show
 *
 * Shows what to do about -EOWNERDEAD. A transfer changes two balances, and who
 * is killed between them leaves a wrong sum. So each transfer is noted before
 * it begins, with the balances of before. Whoever gets the lock next puts them
 * back by the note, and says that all is well again. Killed while it does so,
 * it leaves a note that is as good as before.
 *
 * SIGKILL ends a process between two instructions, so the order of its stores is
 * all that counts. Those to _Atomic members stay in the order of the program.
 */
#include <shmring/shmring.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCOUNTS 8
#define OPENING  1000               /* in each account at first */
#define FORMAT   1                  /* of struct accounts */
#define LOOK_NS  INT64_C(100000000) /* longest wait between looks at @stopped */
#define STOPPED  1

/* The object "accounts", all zero at first. Changed under the mutex only. */
struct accounts {
	_Atomic uint32_t format;    /* FORMAT, written when all else is; 0: not yet */
	_Atomic uint32_t holder;    /* member number of who is inside; 0: nobody */
	_Atomic uint64_t version;   /* odd: inside the transfer that is in @note */
	_Atomic uint64_t transfers; /* made so far */
	_Atomic int64_t balance[ACCOUNTS];
	struct note {
		uint64_t number; /* of the transfer */
		uint32_t from, to;
		int64_t amount;
		int64_t from_before, to_before;
	} note; /* written while @version is even */
};

/* No padding, so processes of 32 and of 64 bits can share it. */
_Static_assert(sizeof(struct accounts) == 24 + 8 * ACCOUNTS + 40, "struct accounts has padding");

struct ledger {
	struct shr_segment *segment;
	struct shr_mutex *mutex;
	struct accounts *accounts;
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
	fputs("ledger: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return -1;
}

/* --- The segment ----------------------------------------------------------- */

static int find_objects(struct ledger *l, const char *name)
{
	void *address;
	size_t size;

	if (shr_mutex_attach(&l->mutex, l->segment, "mutex") ||
	    shr_segment_bytes(l->segment, "accounts", &address, &size))
		return complain("%s", shr_last_error());
	if (size != sizeof(*l->accounts))
		return complain("%s is not a ledger of this version", name);
	l->accounts = address;
	return 0;
}

/* Whoever comes first makes the segment. The accounts in it are not filled in then. */
static int open_ledger(struct ledger *l, const char *name)
{
	struct shr_segment_options options = {
		.struct_size = sizeof(options), .flags = SHR_SEGMENT_ATTACH, .role = "ledger"};
	struct shr_object objects[2] = {
		{.kind = SHR_OBJECT_BYTES, .name = "accounts", .size = sizeof(struct accounts)}};

	if (shr_mutex_describe(&objects[1], "mutex", 1) ||
	    shr_segment_create(&l->segment, name, objects, 2, &options))
		return complain("%s", shr_last_error());
	return find_objects(l, name);
}

/* To look only: takes no slot and no lock, and can disturb nobody. */
static int observe_ledger(struct ledger *l, const char *name)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .flags = SHR_SEGMENT_OBSERVE};

	if (shr_segment_attach(&l->segment, name, &options))
		return complain("%s", shr_last_error());
	return find_objects(l, name);
}

static void close_ledger(struct ledger *l)
{
	shr_mutex_close(l->mutex);
	shr_segment_detach(l->segment);
}

/* --- After a death --------------------------------------------------------- */

static int64_t sum(const struct accounts *a)
{
	int64_t total = 0;

	for (int i = 0; i < ACCOUNTS; i++)
		total += a->balance[i];
	return total;
}

/* A name that another process wrote, for a terminal. */
static const char *printable(char *text)
{
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return text;
}

static void keep_death(const struct shr_death *death, void *argument)
{
	*(struct shr_death *)argument = *death;
}

/*
 * Who died inside? It left its member number, and the slot of that number knows
 * who the dead one was. If it died before it wrote the number: it is the last of
 * those who died since we looked.
 */
static void find_dead(const struct ledger *l, struct shr_death *dead)
{
	uint32_t holder = l->accounts->holder;
	struct shr_member_info info;

	shr_member_sweep(l->segment, keep_death, dead);
	if (holder && !shr_member_get(l->segment, holder, &info) && info.death.deaths)
		*dead = info.death;
}

/* Put back what half a transfer changed. Doing it twice is as good as once. */
static int undo(struct accounts *a)
{
	struct note note = a->note;

	/* Another process wrote it: no index goes unchecked. */
	if (note.from >= ACCOUNTS || note.to >= ACCOUNTS || note.from == note.to)
		return complain("the note of transfer %" PRIu64 " is impossible", note.number);
	a->balance[note.from] = note.from_before;
	a->balance[note.to] = note.to_before;
	a->transfers = note.number - 1;
	a->version++;
	return 0;
}

/* The mutex is ours, and a holder died. On failure nobody gets in any more. */
static int repair(struct ledger *l)
{
	struct accounts *a = l->accounts;
	struct shr_death dead = {0};
	char place[64] = "between transfers; nothing to undo";

	find_dead(l, &dead);
	a->holder = (uint32_t)shr_segment_member(l->segment);
	if (a->version & 1) {
		snprintf(place, sizeof(place), "inside transfer %" PRIu64 "; undone",
			 a->note.number);
		if (undo(a))
			return -1;
	}
	if (a->format == FORMAT && sum(a) != ACCOUNTS * OPENING)
		return complain("the sum is %" PRId64 " and cannot be mended", sum(a));
	printf("ledger: pid %" PRIu32 " (%s) died %s, sum %" PRId64 "\n", dead.pid,
	       printable(dead.command), place, sum(a));
	if (shr_mutex_consistent(l->mutex, 0))
		return complain("%s", shr_last_error());
	return 0;
}

/* --- Transfers ------------------------------------------------------------- */

/* Nobody has filled the accounts in, or whoever began to is dead. */
static void fill_in(struct accounts *a)
{
	for (int i = 0; i < ACCOUNTS; i++)
		a->balance[i] = OPENING;
	a->format = FORMAT;
}

static void leave(struct ledger *l)
{
	l->accounts->holder = 0;
	shr_mutex_unlock(l->mutex, 0);
}

/* Take the lock, and see that what it protects is well. 0, STOPPED, or -1 and said why. */
static int enter(struct ledger *l)
{
	int err;

	do /* in slices: a signal does not end the wait, and the holder may be a stopped process */
		err = shr_mutex_lock_until(l->mutex, 0, shr_deadline_ns(LOOK_NS));
	while (err == -ETIMEDOUT && !stopped);
	if (err == -ETIMEDOUT)
		return STOPPED;
	if (err && err != -EOWNERDEAD)
		return complain("%s", shr_last_error());
	if (err == -EOWNERDEAD && repair(l)) {
		shr_mutex_unlock(l->mutex, 0); /* not consistent: lost */
		return -1;
	}
	l->accounts->holder = (uint32_t)shr_segment_member(l->segment);
	if (!l->accounts->format)
		fill_in(l->accounts);
	if (l->accounts->format == FORMAT)
		return 0;
	leave(l);
	return complain("the accounts are of another version");
}

static void transfer(struct accounts *a, int die)
{
	uint32_t from = (uint32_t)random() % ACCOUNTS;
	uint32_t to = (from + 1 + (uint32_t)random() % (ACCOUNTS - 1)) % ACCOUNTS;
	int64_t amount = 1 + random() % 100;

	a->note = (struct note){.number = a->transfers + 1,
				.from = from,
				.to = to,
				.amount = amount,
				.from_before = a->balance[from],
				.to_before = a->balance[to]};
	a->version++; /* odd: from here on the note counts */
	a->balance[from] -= amount;
	if (die)
		raise(SIGKILL);
	a->balance[to] += amount;
	a->transfers = a->note.number;
	a->version++; /* even: done */
}

/* Transfers until a signal, an error or @count. */
static int transfer_on(struct ledger *l, uint64_t count, uint64_t die_after)
{
	uint64_t done = 0;
	int err = 0;

	while (!stopped) {
		err = enter(l);
		if (err)
			break;
		transfer(l->accounts, done + 1 == die_after);
		leave(l);
		if (++done == count)
			break;
	}
	printf("ledger: pid %d made %" PRIu64 " transfers\n", (int)getpid(), done);
	return err < 0 ? -1 : 0;
}

static int run(const char *name, uint64_t count, uint64_t die_after)
{
	struct ledger ledger = {0};
	int err = open_ledger(&ledger, name);

	if (!err) {
		srandom((unsigned int)getpid());
		printf("ledger: pid %d is member %d of %s\n", (int)getpid(),
		       shr_segment_member(ledger.segment), name);
		err = transfer_on(&ledger, count, die_after);
	}
	close_ledger(&ledger);
	return err ? 1 : 0;
}

/* --- A look at it ---------------------------------------------------------- */

/*
 * Copy the accounts without the lock: it is all of one moment if the version was
 * even and has not moved. Give up if that does not come true: then whoever is
 * inside is stopped or dead.
 */
static void look(const struct accounts *a, struct accounts *copy)
{
	int64_t deadline_ns = shr_deadline_ns(LOOK_NS);

	do {
		copy->version = a->version;
		copy->format = a->format;
		copy->transfers = a->transfers;
		for (int i = 0; i < ACCOUNTS; i++)
			copy->balance[i] = a->balance[i];
	} while ((copy->version & 1 || copy->version != a->version) &&
		 shr_deadline_ns(0) < deadline_ns);
}

static const char *life(uint32_t state)
{
	static const char *const names[] = {[SHR_MEMBER_FREE] = "gone",
					    [SHR_MEMBER_ALIVE] = "alive",
					    [SHR_MEMBER_DEAD] = "dead",
					    [SHR_MEMBER_COMING] = "coming or going"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "alive or dead";
}

static void show_mutex(const struct ledger *l, const struct shr_mutex_info *info)
{
	static const char *const names[] = {[SHR_MUTEX_FREE] = "free",
					    [SHR_MUTEX_HELD] = "held",
					    [SHR_MUTEX_DIRTY] = "free and dirty",
					    [SHR_MUTEX_MENDING] = "held for repair",
					    [SHR_MUTEX_LOST] = "lost: nobody repaired it"};
	struct shr_member_info owner;

	printf("mutex %s", info->state <= SHR_MUTEX_LOST ? names[info->state] : "?");
	if (info->owner && !shr_member_get(l->segment, info->owner, &owner))
		printf(" by member %" PRIu32 " (%s)", info->owner, life(owner.state));
	printf(", taken %" PRIu64 " times, %" PRIu32 " died inside\n", info->acquired,
	       info->deaths);
}

static void show_members(const struct ledger *l)
{
	struct shr_member_info info;

	for (uint32_t i = 1; !shr_member_get(l->segment, i, &info); i++)
		if (info.state != SHR_MEMBER_FREE)
			printf("member %" PRIu32 ": pid %" PRIu32 " (%s), %s\n", i, info.pid,
			       printable(info.command), life(info.state));
}

static int show_all(const struct ledger *l)
{
	struct shr_mutex_info info;
	struct accounts copy = {0};

	look(l->accounts, &copy);
	if (shr_mutex_get(l->mutex, 0, &info))
		return complain("%s", shr_last_error());
	if (copy.format && copy.format != FORMAT)
		return complain("the accounts are of another version");
	printf("balances");
	for (int i = 0; i < ACCOUNTS; i++)
		printf(" %" PRId64, copy.balance[i]);
	printf("\nsum %" PRId64 " %s %" PRIu64 " transfers%s\n", sum(&copy),
	       copy.version & 1 ? "in the middle of one, after" : "after", copy.transfers,
	       copy.format ? "" : " (not filled in yet)");
	show_mutex(l, &info);
	show_members(l);
	return 0;
}

static int show(const char *name)
{
	struct ledger ledger = {0};
	int err = observe_ledger(&ledger, name);

	if (!err)
		err = show_all(&ledger);
	close_ledger(&ledger);
	return err ? 1 : 0;
}

/* --- The program ----------------------------------------------------------- */

static int usage(FILE *to)
{
	fputs("usage: ledger NAME [-t N] [-d N]\n"
	      "       ledger NAME --show\n"
	      "  -t, --transfers=N   end after as many (for ever)\n"
	      "  -d, --die-after=N   by SIGKILL, in the middle of transfer N\n"
	      "  -s, --show          balances, mutex and members, and end\n"
	      "  -h, --help\n"
	      "The segment NAME is made if there is none, and stays.\n",
	      to);
	return to == stdout ? 0 : 2;
}

static int number(const char *text, uint64_t *value)
{
	char *end;

	*value = strtoull(text, &end, 10);
	return *value && end != text && !*end;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"transfers", required_argument, NULL, 't'},
						{"die-after", required_argument, NULL, 'd'},
						{"show", no_argument, NULL, 's'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct sigaction action = {.sa_handler = on_signal};
	uint64_t count = 0, die_after = 0;
	int shows = 0, c;

	while ((c = getopt_long(argc, argv, "t:d:sh", options, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout);
		if (c == 's')
			shows = 1;
		if (c == '?' || (c == 't' && !number(optarg, &count)) ||
		    (c == 'd' && !number(optarg, &die_after)))
			return usage(stderr);
	}
	if (argc - optind != 1 || (shows && (count || die_after)))
		return usage(stderr);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	return shows ? show(argv[optind]) : run(argv[optind], count, die_after);
}
