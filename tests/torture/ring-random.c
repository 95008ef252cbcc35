/* SPDX-License-Identifier: MIT */
/*
 * Processes that write to and read from rings of every mode in turn, while they are killed,
 * stopped and continued at random; some fork, some exec with a record in work. Two at a
 * time, or eight. Whoever is killed is started again and attaches anew.
 *
 * usage: torture-ring-random [KILLS [SEED [OTHER]]]        (6000 1)
 *	OTHER: this program built for another word size: half of the processes are that
 *
 * Each producer numbers its records, and notes on pages beside the segment, for each of
 * them, that it is committed; consumers note there what they were given, and what they
 * have released. What must hold
 *	- each record is whole (records.h); those of a producer come in their order
 *	- what is committed is delivered: all of it, to each gate, and once, but for what a
 *	  dead consumer had not released, which is told; in a queue to one worker
 *	- what is released or acknowledged never comes again
 *	- in rings with numbers: number of the last record = delivered + skipped + lost
 *	- a child made by fork is told -ECHILD
 *	- nobody is stuck: records are written, and read, all the time
 *	- in the end no lock and no role is held, and the ring works
 * Each kind of recovery must have been seen often enough, or the run is void: it
 * proves nothing.
 */
#include "ring-work.h"

#define KILLS_A_ROUND 40

/* --- A round -------------------------------------------------------------------- */

static struct {
	uint64_t in_work;
	uint64_t repairs, producer_takeovers, consumer_takeovers, skipped, redelivered, lost_once, evicted,
		dropped, lost, refused, observed_lost, written, read, others;
} seen;

static const char *other;
static int books_fd;

/* As worker_main(). */
static void exec_other(uint32_t slot, uint64_t seed)
{
	char text[5][24];
	char worker_word[] = "worker", other_name[256];
	char *arguments[] = {other_name, worker_word, name, text[0], text[1], text[2], text[3], text[4], NULL};

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
	mode = &modes[atoi(argv[7])];
	count(&books->others, 1);
	running = (uint32_t)atoi(argv[6]);
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

/* What the dead one had begun stays uncertain. */
static void bury(uint32_t slot)
{
	books->uncertain_reads += books->reading[slot];
	books->uncertain_drops += books->dropping[slot];
	books->uncertain_takes += books->taking[slot];
	seen.in_work += books->dropping[slot] || books->taking[slot] || books->reading[slot];
	books->reading[slot] = books->dropping[slot] = books->taking[slot] = 0;
}

/* Are records written, and read? Unless there is nothing more to write. */
static int gets_on(void)
{
	return books->begun[0] == NUMBERS || !stuck(&books->written, &books->read) ||
	       books->begun[0] == NUMBERS;
}

static void make(void)
{
	static const uint64_t firsts[] = {(uint64_t)1 << 32, (uint64_t)1 << 63, 0};
	static const uint64_t capacities[] = {1024, 4096, 16384};
	struct shr_segment_options options = {.struct_size = sizeof(options), .members = 12};
	struct shr_ring_options ring_options = {.struct_size = sizeof(ring_options),
						.capacity = capacities[draw(3)],
						.mode = mode->mode,
						.flags = mode->flags,
						.cursors = mode->cursors,
						.first_position = firsts[draw(3)] - 8 * (1 + draw(300))};
	struct shr_cursor_options cursor_options = {.struct_size = sizeof(cursor_options),
						    .flags = SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE};
	struct shr_object object;
	struct shr_segment *made = NULL;

	for (uint32_t p = 0; p < PRODUCERS; p++)
		memset(books->state[p], 0, books->begun[p]);
	memset(books, 0, offsetof(struct books, state));
	if (shr_ring_describe(&object, "ring", &ring_options) ||
	    shr_segment_create(&made, name, &object, 1, &options) || shr_segment_detach(made) ||
	    attach() ||
	    (gates() > 1 && shr_cursor_open_with(&gate[1], ring, "second", &cursor_options)))
		wrong(__LINE__, "preparation");
	cursor_options.flags |= SHR_CURSOR_LOSSY;
	if (has_lossy() && shr_cursor_open_with(&lossy, ring, "lossy", &cursor_options))
		wrong(__LINE__, "preparation");
	close_all();
}

/* All that is left, and a last record, behind which nothing can be missing. */
static void drain(void)
{
	int64_t end = clock_ns() + STUCK_NS;
	struct shr_ring_status status;
	int err, last = 0;

	MUST_HOLD(shr_member_sweep(segment, NULL, NULL) >= 0);
	MUST_HOLD(!shr_producer_open(&producer, ring));
	self = PARENT;
	for (;;) {
		uint64_t before = books->read;

		read_some();
		if (books->read != before)
			continue;
		if (last)
			break;
		err = put_one();
		MUST_HOLD(in_order(err) && clock_ns() < end);
		last = !err;
	}
	/* have() closes cursors at random: once more, until each is at the end */
	for (int done = 0; done < 20; done++)
		read_some();
	MUST_HOLD(!shr_ring_stat(ring, &status));
	MUST_HOLD(mode->mode == SHR_RING_OVERWRITE || status.position == status.tail);
}

/* Records of which @bits are noted; @all: of committed ones not. */
static uint64_t with(uint8_t bits)
{
	uint64_t n = 0;

	for (uint32_t p = 0; p < PRODUCERS; p++)
		for (uint32_t i = 0; i < books->begun[p]; i++)
			n += (books->state[p][i] & bits) == bits;
	return n;
}

static uint64_t committed_without(uint8_t bits)
{
	return with(COMMITTED) - with(COMMITTED | bits);
}

static void account_cursors(const struct shr_ring_status *status)
{
	static const char *const names[] = {"default", "second", "lossy"};
	struct shr_cursor_info info;

	for (uint32_t i = 0; i < mode->cursors; i++) {
		uint64_t counted;
		int which = 0;

		if (shr_ring_cursor(ring, i, &info))
			continue;
		while (which < 3 && strcmp(info.name, names[which]))
			which++;
		MUST_HOLD(which < 3); /* visitors are gone */
		MUST_HOLD(info.position == status->tail);
		seen.consumer_takeovers += info.takeovers;
		seen.skipped += info.skipped;
		seen.lost += info.lost;
		counted = info.sequence - 1 - info.skipped - info.lost;
		if (which < 2) {
			MUST_HOLD(committed_without(GIVEN_TO(which)) == 0);
			MUST_HOLD(!is(SHR_RING_DROP_NEWEST) || info.lost == status->dropped);
			MUST_HOLD(is(SHR_RING_DROP_NEWEST) || info.lost == 0);
			if (is(SHR_RING_SEQUENCE))
				MUST_HOLD(counted == with(GIVEN_TO(which)) && info.sequence == status->sequence);
		} else {
			MUST_HOLD(info.sequence == status->sequence);
			MUST_HOLD(counted >= books->got_lossy &&
				  counted <= books->got_lossy + books->uncertain_reads);
		}
	}
}

static void account_queue(const struct shr_ring_status *status)
{
	uint64_t unseen = committed_without(GIVEN);

	MUST_HOLD(status->sequence - 1 == status->acked + status->skipped + status->lost);
	seen.skipped += status->skipped;
	MUST_HOLD(status->acked >= with(RELEASED) && status->acked <= with(ACKING));
	if (!is(SHR_RING_AT_MOST_ONCE)) {
		MUST_HOLD(status->lost == 0 && unseen == 0 && status->acked == with(GIVEN));
		return;
	}
	seen.lost_once += status->lost;
	MUST_HOLD(unseen <= books->uncertain_takes && unseen <= status->lost);
	MUST_HOLD(status->acked + status->lost >= with(GIVEN) &&
		  status->acked + status->lost <= with(GIVEN) + books->uncertain_takes);
}

static void account(void)
{
	struct shr_ring_status status;
	struct shr_member_info member;

	close_all();
	MUST_HOLD(shr_member_sweep(segment, NULL, NULL) >= 0);
	MUST_HOLD(!shr_ring_stat(ring, &status));
	MUST_HOLD(status.producer == 0 && status.consumer == 0);
	if (is_queue())
		account_queue(&status);
	else
		account_cursors(&status);
	if (is(SHR_RING_DROP_NEWEST) || mode->mode == SHR_RING_OVERWRITE)
		MUST_HOLD(status.dropped >= books->dropped &&
			  status.dropped <= books->dropped + books->uncertain_drops);
	else
		MUST_HOLD(status.dropped == 0);
	for (uint32_t i = 2; !shr_member_get(segment, i, &member); i++)
		MUST_HOLD(member.state == SHR_MEMBER_FREE);
	seen.repairs += status.lock_repairs;
	seen.producer_takeovers += status.producer_takeovers;
	seen.evicted += status.evicted;
	seen.dropped += status.dropped;
	seen.redelivered += books->redelivered;
	seen.refused += books->refused;
	seen.observed_lost += books->observed_lost;
	seen.written += books->written;
	seen.read += books->read;
	seen.others += books->others;
}

/* In a child, which may find something wrong. */
static int settle(void)
{
	drain();
	account();
	detach();
	return 0;
}

static int run_round(uint64_t round)
{
	uint64_t end = kills.killed + KILLS_A_ROUND;
	int bad = 0;

	mode = &modes[round % MODES];
	now_what = mode->name;
	running = round / MODES % 2 ? 2 : MOST;
	make();
	start_all();
	for (uint64_t turn = 1; kills.killed < end && !verdict->line && !bad; turn++) {
		disturb(draw(running));
		usleep(draw(3000));
		if (turn % 100 == 0)
			bad = !gets_on();
	}
	bad = bad || verdict->line || !gets_on();
	kill_all();
	if (bad) {
		printf("# round %" PRIu64 ", %s: %s; line %u: %s\n", round, mode->name,
		       verdict->line ? "wrong" : "nobody gets on", verdict->line, verdict->what);
		return 1;
	}
	return settle();
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
	snprintf(name, sizeof(name), "/shmring-ring-random-%d", (int)getpid());
	for (uint64_t round = 0; kills.killed < wanted && good; round++) {
		good = !run_round(round);
		shr_segment_unlink(name);
	}
	printf("%s 1 - %" PRIu64 " kills: the account is right, nobody is stuck\n", good ? "ok" : "not ok",
	       kills.killed);
	if (!good)
		return 1;
	good = enough("stops", kills.stops, wanted / 20);
	good &= enough("killed while stopped", kills.while_stopped, wanted / 50);
	good &= enough("killed in a call", seen.in_work, wanted / 20);
	good &= enough("micro-locks taken over", seen.repairs, wanted / 2000);
	good &= enough("producers taken over", seen.producer_takeovers, wanted / 100);
	good &= enough("consumers taken over", seen.consumer_takeovers, wanted / 50);
	good &= enough("skipped", seen.skipped, wanted / 20);
	good &= enough("redelivered", seen.redelivered, wanted / 20);
	good &= enough("lost at most once", seen.lost_once, wanted / 100);
	good &= enough("overtaken or dropped, and told", seen.lost, wanted / 20);
	good &= enough("observers overtaken", seen.observed_lost, wanted / 1000);
	good &= enough("gates that went with their owners", seen.evicted, wanted / 200);
	good &= enough("children refused", seen.refused, wanted / 20);
	good &= enough("execs with a record in work", kills.execs, wanted / 200);
	if (other)
		good &= enough("processes of the other program", seen.others, wanted / 4);
	good &= enough("written", seen.written, wanted);
	good &= enough("read", seen.read, wanted);
	printf("%s 2 - enough of each kind, else the run is void\n", good ? "ok" : "not ok");
	return !good;
}
