/* SPDX-License-Identifier: MIT */
/*
 * Processes that change and read tables of every mode in turn, while they are killed,
 * stopped and continued at random; some exec inside an update. Three at a time, or
 * eight. Whoever is killed is started again and attaches anew.
 *
 * usage: torture-table-random [KILLS [SEED [OTHER]]]        (6000 1)
 *	OTHER: this program built for another word size: half of the processes are that
 *
 * What must hold
 *	- whoever reads a record, from a read-only mapping too, or is inside an update of
 *	  it, finds its sum as it always is; torn ones are -EAGAIN, and -EOWNERDEAD to who
 *	  is inside, in place only
 *	- a change is in what is read after its commit, and none that nobody has begun;
 *	  what is read never goes back
 *	- a key is found from its insert to its remove, and not before or after
 *	- nobody is stuck
 *	- in the end, for a fresh process: no lock is held, the index has each used slot
 *	  once and nothing else, what was changed is what was counted, and the table can be
 *	  filled and emptied
 * Deaths inside updates, inserts and removes must have been seen often enough, and what
 * follows from them, or the run is void: it proves nothing.
 */
#include "table-sound.h"
#include "table-work.h"

#define KILLS_A_ROUND 100

static const char *other;
static int books_fd;
static uint64_t killed_in[DOINGS];

/* As worker_main(). */
static void exec_other(uint32_t slot, uint64_t seed)
{
	char text[5][24];
	char worker_word[] = "worker", other_name[256];
	char *arguments[] = {other_name, worker_word, name,    text[0], text[1],
			     text[2],    text[3],     text[4], NULL};

	snprintf(other_name, sizeof(other_name), "%s", other);
	snprintf(text[0], sizeof(text[0]), "%d", books_fd);
	snprintf(text[1], sizeof(text[1]), "%u", slot);
	snprintf(text[2], sizeof(text[2]), "%" PRIu64, seed);
	snprintf(text[3], sizeof(text[3]), "%u", running);
	snprintf(text[4], sizeof(text[4]), "%td", mode - modes);
	execv(other_name, arguments);
	wrong(__LINE__, "exec of the other program");
}

static void open_books(int fd)
{
	books_fd = fd;
	books = mmap(NULL, sizeof(*books), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (books == MAP_FAILED)
		exit(99);
	verdict = &books->verdict;
}

static void worker_main(char **argv)
{
	snprintf(name, sizeof(name), "%s", argv[2]);
	open_books(atoi(argv[3]));
	self = (uint32_t)atoi(argv[4]);
	running = (uint32_t)atoi(argv[6]);
	mode = &modes[atoi(argv[7])];
	count(&books->others, 1);
	work(strtoull(argv[5], NULL, 10));
}

static void start(uint32_t slot)
{
	uint64_t seed = random_state ^ (uint64_t)slot << 40;
	int as_other = draw(2) && other;

	stopped[slot] = 0;
	workers[slot] = fork();
	if (workers[slot])
		return;
	if (as_other)
		exec_other(slot, seed);
	self = slot;
	work(seed);
}

static void bury(uint32_t slot)
{
	killed_in[books->doing[slot]]++;
	note(&books->doing[slot], NOTHING);
}

/* --- A round -------------------------------------------------------------------- */

static void make(void)
{
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .members = 12};
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .mode = mode->mode,
					    .slots = SLOTS,
					    .schema = mode->schema,
					    .key = "key"};
	uint64_t record[WORDS_MOST];
	uint32_t slot;

	memset(books->begun, 0, sizeof(books->begun));
	memset(books->done, 0, sizeof(books->done));
	memset(books->own, 0, sizeof(books->own));
	memset(books->number, 0, sizeof(books->number));
	table = NULL;
	if (shr_table_open(&table, name, "+>", &options, &segment))
		wrong(__LINE__, "preparation");
	for (uint64_t key = 0; key < FIXED; key++) {
		make_record(record, key);
		if (shr_table_insert(table, record, mode->schema->size, &slot) || slot != key)
			wrong(__LINE__, "preparation");
	}
	if (shr_table_close(table))
		wrong(__LINE__, "preparation");
}

/* What the dead left in a used slot: told as it is said to be, and mended. */
static void settle_slot(uint32_t slot)
{
	uint64_t record[WORDS_MOST];
	int read, begun;
	void *within;

	read = shr_table_read(table, slot, record, mode->schema->size, NULL);
	MUST_HOLD(!read || (read == -EAGAIN && in_place()));
	MUST_HOLD(read || is_whole(record, record[KEY]));
	if (counters())
		return;
	begun = shr_table_begin(table, slot, &within);
	MUST_HOLD(begun == (read ? -EOWNERDEAD : 0));
	books->torn_left += begun != 0;
	if (begun)
		mend(within, ((uint64_t *)within)[KEY]);
	MUST_HOLD(is_whole(within, ((uint64_t *)within)[KEY]));
	MUST_HOLD(!shr_table_commit(table, slot));
}

/* As many changes by each process as it has counted, or what it was killed in more. */
static void account(void)
{
	uint64_t record[WORDS_MOST], begun, done, all;

	for (uint64_t key = 0; key < FIXED; key++) {
		MUST_HOLD(!shr_table_read_key(table, &key, sizeof(key), record, mode->schema->size,
					      NULL));
		begun = done = all = 0;
		for (uint32_t i = 0; i < MOST; i++) {
			MUST_HOLD(record[BY + i] >= books->done[i][key]);
			MUST_HOLD(record[BY + i] <= books->begun[i][key]);
			begun += books->begun[i][key];
			done += books->done[i][key];
			all += record[BY + i];
		}
		if (counters()) {
			MUST_HOLD(record[PART] >= done && record[PART] <= all);
			MUST_HOLD(record[PART + 1] >= done && record[PART + 1] <= record[PART]);
		}
	}
}

static void fill_and_empty(void)
{
	uint64_t record[WORDS_MOST], key = KEY_EXTRA;
	uint32_t slot, used = 0;

	for (slot = 0; !shr_table_next(table, &slot); slot++)
		used++;
	for (; used < SLOTS; used++, key++) {
		make_record(record, key);
		MUST_HOLD(!shr_table_insert(table, record, mode->schema->size, NULL));
		MUST_HOLD(!shr_table_read_key(table, &key, sizeof(key), record, mode->schema->size,
					      NULL));
		MUST_HOLD(is_whole(record, key));
	}
	make_record(record, key);
	MUST_HOLD(shr_table_insert(table, record, mode->schema->size, NULL) == -ENOSPC);
	for (slot = 0; !shr_table_next(table, &slot); slot++) {
		MUST_HOLD(!shr_table_read(table, slot, record, mode->schema->size, NULL));
		MUST_HOLD(!shr_table_find(table, &record[KEY], sizeof(record[KEY]), &used) &&
			  used == slot);
		if (record[KEY] >= KEY_EXTRA)
			MUST_HOLD(!shr_table_remove(table, slot));
	}
}

/* In a child that attaches to what the dead have left. */
static void settle(void)
{
	struct shr_table_status status;
	struct shr_member_info member;
	const char *bad;

	MUST_HOLD(!attach(0));
	for (self = 0; self < MOST; self++)
		decide_own();
	self = 0;
	if (draw(2))
		MUST_HOLD(shr_member_sweep(shr_table_segment(table), NULL, NULL) >= 0);
	for (uint32_t slot = 0; !shr_table_next(table, &slot); slot++)
		settle_slot(slot);
	account();
	fill_and_empty();
	for (self = 0; self < MOST; self++)
		decide_own();
	MUST_HOLD(shr_member_sweep(shr_table_segment(table), NULL, NULL) >= 0);
	bad = table_sound(table);
	if (bad)
		wrong(__LINE__, bad);
	for (uint32_t i = 1; !shr_member_get(shr_table_segment(table), i, &member); i++)
		MUST_HOLD(member.state == SHR_MEMBER_FREE ||
			  (int)i == shr_segment_member(shr_table_segment(table)));
	MUST_HOLD(!shr_table_stat(table, &status));
	books->takeovers += status.takeovers;
	books->repairs += status.repairs;
	books->rebuilds += status.rebuilds;
	MUST_HOLD(!shr_table_close(table));
	_exit(0);
}

static int run_round(uint64_t round)
{
	uint64_t end = kills.killed + KILLS_A_ROUND;
	int bad = 0;
	pid_t pid;

	mode = &modes[round % MODES];
	now_what = mode->name;
	running = round / MODES % 2 ? 3 : MOST;
	make();
	start_all();
	for (uint64_t turn = 1; kills.killed < end && !verdict->line && !bad; turn++) {
		disturb(draw(running));
		usleep(draw(2000));
		if (turn % 200 == 0)
			bad = stuck(&books->changed, &books->read);
	}
	bad = bad || verdict->line || stuck(&books->changed, &books->read);
	kill_all();
	if (!bad) {
		pid = fork();
		if (!pid)
			settle();
		bad = ended(pid);
	}
	if (bad)
		printf("# round %" PRIu64 ", %s: %s; line %u: %s\n", round, mode->name,
		       verdict->line ? "wrong" : "nobody gets on", verdict->line, verdict->what);
	return bad;
}

static int all_seen(uint64_t wanted)
{
	int good = enough("stops", kills.stops, wanted / 20);

	good &= enough("killed while stopped", kills.while_stopped, wanted / 50);
	good &= enough("killed elsewhere", killed_in[NOTHING], wanted / 20);
	good &= enough("killed in an update", killed_in[UPDATING], wanted / 20);
	good &= enough("killed in an insert", killed_in[INSERTING], wanted / 400);
	good &= enough("killed in a remove", killed_in[REMOVING], wanted / 400);
	good &= enough("execs in an update", kills.execs, wanted / 2000);
	good &= enough("locks of slots taken over", books->takeovers, wanted / 50);
	good &= enough("torn, told and mended", books->owner_dead, wanted / 100);
	good &= enough("torn, told and given up", books->given_up, wanted / 2000);
	good &= enough("torn in the end", books->torn_left, wanted / 2000);
	good &= enough("inserts and removes of the dead mended", books->repairs, wanted / 1000);
	good &= enough("rebuilds", books->rebuilds, wanted / 100);
	good &= enough("inserted", books->inserted, wanted);
	good &= enough("removed", books->removed, wanted);
	good &= enough("found full", books->full, wanted / 1000);
	good &= enough("changed", books->changed, wanted);
	good &= enough("reads", books->read, wanted);
	good &= enough("reads from a read-only mapping", books->observed, wanted);
	good &= enough("waits that were told", books->watched, wanted / 20);
	if (other)
		good &= enough("processes of the other program", books->others, wanted / 4);
	printf("# reads of records that were torn or under change: %" PRIu64
	       "; changed too fast: %" PRIu64 "; waits in vain: %" PRIu64 "\n",
	       books->torn_seen, books->again, books->unheard);
	return good;
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 6000;
	int good = 1, fd;

	if (argc == 8 && !strcmp(argv[1], "worker"))
		worker_main(argv);
	other = argc > 3 ? argv[3] : NULL;
	random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	killer = getpid();
	printf("1..2\n");
	fflush(stdout);
	fd = memfd_create("books", 0);
	if (fd < 0 || ftruncate(fd, sizeof(struct books)))
		return 99;
	open_books(fd);
	snprintf(name, sizeof(name), "/shmring-table-random-%d", (int)getpid());
	for (uint64_t round = 0; kills.killed < wanted && good; round++) {
		good = !run_round(round);
		shr_segment_unlink(name);
	}
	printf("%s 1 - %" PRIu64 " kills: every sum is right, nobody is stuck\n",
	       good ? "ok" : "not ok", kills.killed);
	if (!good)
		return 1;
	good = all_seen(wanted);
	printf("%s 2 - enough of each kind, else the run is void\n", good ? "ok" : "not ok");
	return !good;
}
