// SPDX-License-Identifier: MIT
// shmring.hpp, across processes. Compiles with and without exceptions, as C++11 to C++20.
#include <shmring/shmring.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include <sys/time.h>

#include "procs.h"

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

static int cases, failures;
static char path[64];

static void check_that(bool is, const char *what, int line)
{
	std::printf("%sok %d - %s\n", is ? "" : "not ", ++cases, what);
	if (!is) {
		std::printf("# line %d; last error: %s\n", line, shr_last_error());
		failures++;
	}
	std::fflush(stdout);
}
#define CHECK(what, condition) check_that((condition), what, __LINE__)

/* In a child, where nothing is printed: the line that is not true is the exit status. */
#define CHILD(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			_exit(__LINE__ % 200 + 1);                                                 \
	} while (0)

/* An error that no case expects. */
#define MUST(ec)                                                                                   \
	do {                                                                                       \
		if (ec) {                                                                          \
			std::printf("Bail out! line %d: %s\n", __LINE__, (ec).message().c_str());  \
			std::fflush(stdout);                                                       \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

template <class F>
static pid_t in_child(F work)
{
	pid_t pid = fork();

	if (!pid) {
		work();
		_exit(0);
	}
	return pid;
}

static int64_t elapsed_ms(steady_clock::time_point since)
{
	return std::chrono::duration_cast<milliseconds>(steady_clock::now() - since).count();
}

struct reading {
	uint64_t number;
	double celsius;
	char room[16];
};
SHMRING_SCHEMA(reading, 1, number, celsius, room);

struct service {
	char name[24];
	uint64_t beats;
	uint64_t echo;
};
SHMRING_SCHEMA(service, 1, name, beats, echo);

struct account {
	int32_t id;
	uint32_t flags;
	int64_t amount;
};
SHMRING_SCHEMA(account, 1, id, flags, amount);

struct statistics {
	uint64_t requests;
	int32_t balance;
	uint32_t errors;
};
SHMRING_SCHEMA(statistics, 1, requests, balance, errors);

/* One type, as two programs were compiled with it. */
namespace older
{
struct point {
	uint64_t x;
};
SHMRING_SCHEMA(point, 1, x);
} // namespace older
namespace newer
{
struct point {
	uint64_t x;
	uint64_t y;
};
SHMRING_SCHEMA(point, 2, x, y);
struct derived : point {
};
} // namespace newer
struct undescribed {
	uint64_t x;
};

using namespace shmring;

template <class H>
struct moves_only {
	static constexpr bool value = std::is_nothrow_move_constructible<H>::value &&
				      !std::is_copy_constructible<H>::value &&
				      !std::is_copy_assignable<H>::value;
};
static_assert(moves_only<map>::value && moves_only<segment>::value, "");
static_assert(moves_only<ring<>>::value && moves_only<ring<reading>>::value, "");
static_assert(moves_only<producer<reading>>::value && moves_only<cursor<reading>>::value, "");
static_assert(moves_only<worker<reading>>::value && moves_only<job<reading>>::value, "");
static_assert(moves_only<reservation<reading>>::value && moves_only<update<reading>>::value, "");
static_assert(moves_only<table<service>>::value && moves_only<held>::value, "");
static_assert(moves_only<shmring::mutex>::value && moves_only<event>::value, "");
static_assert(detail::has_schema<reading>::value && detail::has_schema<newer::point>::value, "");
static_assert(!detail::has_schema<newer::derived>::value, "a base's schema is not one's own");
static_assert(!detail::has_schema<undescribed>::value && !detail::has_schema<int>::value, "");

/* Every member of these compiles. */
template class shmring::ring<>;
template class shmring::ring<reading>;
template class shmring::producer<reading>;
template class shmring::cursor<reading>;
template class shmring::worker<reading>;
template class shmring::worker<>;
template class shmring::table<service>;

static uint64_t mix(uint64_t number)
{
	number *= 0x9e3779b97f4a7c15u;
	return number ^ number >> 29;
}

static reading reading_of(uint64_t number)
{
	reading made = {number, static_cast<double>(mix(number) % 1000), "kitchen"};

	return made;
}

static bool is_reading(const reading &record, uint64_t number)
{
	return record.number == number &&
	       record.celsius == static_cast<double>(mix(number) % 1000) &&
	       !std::strcmp(record.room, "kitchen");
}

/* Nothing is there before a case. */
static const char *fresh()
{
	std::error_code ignored;

	segment::unlink(path, ignored);
	return path;
}

static ring_options small(uint32_t flags)
{
	ring_options options(flags);

	options.capacity = 4096;
	options.first_position = UINT64_MAX - 1023 - 7;
	options.first_position -= options.first_position % 8;
	return options;
}

/* --- Errors, arguments ------------------------------------------------------- */

static void errors()
{
	std::error_code ec;
	ring<reading> none(fresh(), "+<", ec);

	CHECK("an open that fails is an error_code of std::errc, and an empty object",
	      ec == std::errc::no_such_file_or_directory && ec.category() == category() && !none);
	CHECK("its message is the sentence",
	      ec.message() == shr_last_error() && ec.message().find(path) != std::string::npos);
	CHECK("another number's is the system's",
	      category().message(EACCES) == std::generic_category().message(EACCES));

	producer<reading> too(none, ec);
	CHECK("what is opened of an empty object is an error", ec && !too);

	ring<reading> ring(path, "+>", ec);
	CHECK("success clears the error_code", !ec && ring);
	shmring::ring<service> other(path, "+<", ec);
	CHECK("records of another type: EPROTOTYPE, and which",
	      ec.value() == EPROTOTYPE && ec.message().find("reading") != std::string::npos);
	on_error{ec}(-EINTR);
	CHECK("an outcome without a sentence does not borrow the last one",
	      ec == std::errc::interrupted &&
		      ec.message() == std::generic_category().message(EINTR));

	/* Of the read; the last sentence was of the other type. */
	table<service> table(fresh(), "+>", ec);
	MUST(ec);
	shmring::ring<service> wrong(path, "+<", ec);
	CHECK("a table is not a ring", ec && !wrong);
	table.read(3, ec);
	CHECK("a free slot is ENOENT without another's sentence",
	      ec == std::errc::no_such_file_or_directory &&
		      ec.message() == std::generic_category().message(ENOENT));
	table.close(ec);
	CHECK("close empties", !ec && !table);
}

static void deadlines()
{
	typedef std::chrono::duration<double> real;
	int64_t soon = shr_deadline_ns(1000000000);

	CHECK("a duration is from now", deadline(seconds(1)).ns() - soon >= 0 &&
						deadline(seconds(1)).ns() - soon < 500000000);
	CHECK("what does not fit is for ever",
	      deadline(hours::max()).ns() == SHR_FOREVER &&
		      deadline(real(1e30)).ns() == SHR_FOREVER &&
		      deadline(steady_clock::time_point::max()).ns() == SHR_FOREVER);
	CHECK("and the other way has passed",
	      deadline(hours::min()).ns() < 0 && deadline(real(-1e30)).ns() < 0 &&
		      deadline(milliseconds(-1)).ns() < shr_deadline_ns(0));
	CHECK("fractions count", timeout(real(0.25)).ns() == 250000000);
	CHECK("finer than nanoseconds",
	      timeout(std::chrono::duration<int64_t, std::pico>(3000)).ns() == 3);

	steady_clock::time_point now = steady_clock::now();
	CHECK("steady_clock is the library's",
	      deadline(now).ns() - shr_deadline_ns(0) <= 0 &&
		      shr_deadline_ns(0) - deadline(now).ns() < 1000000000);
}

/* --- Streams ----------------------------------------------------------------- */

#define MANY 20000

static void streams()
{
	std::error_code ec;
	ring<reading> ring(fresh(), "+>", small(SHR_RING_SINGLE_PRODUCER), ec);
	MUST(ec);
	cursor<reading> cursor(ring, ec);
	MUST(ec);

	pid_t pid = in_child([] {
		std::error_code code;
		shmring::ring<reading> mine(path, "+<", code);
		producer<reading> producer(mine, code);

		CHILD(!code);
		for (uint64_t i = 0; i < MANY; i++) {
			if (i % 3 == 0) {
				producer.write(reading_of(i), code);
			} else if (i % 3 == 1) {
				reservation<reading> record = producer.reserve(code);

				CHILD(record && !code);
				*record = reading_of(i);
				record.commit(code);
			} else {
				CHILD(producer.write_for(reading_of(i), seconds(20), code));
			}
			CHILD(!code);
		}
	});
	uint64_t got = 0, wrong = 0;
	for (const record<reading> &record : cursor.all(ec)) {
		wrong += !is_reading(*record, got) || record->number != got ||
			 record.size() != sizeof(reading);
		if (++got == MANY / 2)
			break;
	}
	CHECK("a range-for gets each record, in order, around the end of positions",
	      !ec && got == MANY / 2 && !wrong);
	cursor.release(ec);
	while (got < MANY && !ec) {
		reading copy = got % 2 ? cursor.read(ec) : reading();

		if (got % 2 == 0 && !cursor.read_for(copy, seconds(20), ec))
			break;
		wrong += !is_reading(copy, got++);
	}
	CHECK("so do the forms of read", !ec && got == MANY && !wrong);
	CHECK("and that is all", ended(pid) == 0 && !cursor.try_next(ec) && !ec);
	CHECK("counters agree", ring.stat(ec).delivered == ring.stat(ec).position && !ec);

	producer<reading> producer(ring, ec);
	MUST(ec);
	for (uint64_t i = 0; i < 3; i++)
		producer.write(reading_of(i), ec);
	got = 0;
	for (const record<reading> &record : cursor.available(ec)) {
		(void)record;
		if (++got == 2)
			break;
	}
	CHECK("a loop that is left holds its record", !ec && got == 2);
	cursor.close(ec);
	cursor = shmring::cursor<reading>(ring, ec);
	MUST(ec);
	got = 1;
	wrong = 0;
	for (const record<reading> &record : cursor.available(ec)) {
		wrong += !is_reading(*record, got) || record.redelivered() != (got == 1);
		got++;
	}
	CHECK("and the next owner gets it again, told so", !ec && got == 3 && !wrong);
	steady_clock::time_point begin = steady_clock::now();
	for (const record<reading> &record : cursor.all_until(milliseconds(30), ec))
		wrong += record->number + 1;
	CHECK("a loop with a deadline ends", !ec && !wrong && elapsed_ms(begin) >= 29);
}

static void reservations()
{
	std::error_code ec;
	ring<reading> ring(fresh(), "+>", ec); /* several producers: what is given up is seen */
	MUST(ec);
	producer<reading> producer(ring, ec);
	cursor<reading> cursor(ring, ec);
	MUST(ec);

	{
		reservation<reading> lost = producer.try_reserve(ec);

		CHECK("reserved", lost && !ec);
		*lost = reading_of(1);
		CHECK("one at a time", !producer.try_reserve(ec) && ec.value() == EBUSY);
	}
	CHECK("leaving the scope publishes nothing", !cursor.try_next(ec) && !ec);
	reservation<reading> kept = producer.reserve_for(seconds(1), ec);
	reservation<reading> moved = std::move(kept);
	CHECK("a reservation moves", moved && !kept && !ec);
	*moved = reading_of(2);
	moved.commit(ec);
	CHECK("commit ends it", !moved && !ec);
	record<reading> record = cursor.try_next(ec);
	CHECK("and publishes it", record && is_reading(*record, 2));
	CHECK("what was given up is counted", ring.stat(ec).skipped == 1 && !ec);
}

static void full_and_empty()
{
	std::error_code ec;
	ring<reading> ring(fresh(), "+>", small(SHR_RING_SINGLE_PRODUCER), ec);
	MUST(ec);
	producer<reading> producer(ring, ec);
	cursor<reading> cursor(ring, ec);
	MUST(ec);
	reading copy;
	steady_clock::time_point begin = steady_clock::now();

	CHECK("nothing there: false, and no error",
	      !cursor.try_next(ec) && !ec && !cursor.try_read(copy, ec) && !ec);
	CHECK("nor by the deadline",
	      !cursor.next_for(milliseconds(20), ec) && !ec &&
		      !cursor.read_until(copy, steady_clock::now() + milliseconds(20), ec) && !ec);
	CHECK("which is waited for", elapsed_ms(begin) >= 38);

	uint64_t sent = 0;
	while (producer.try_write(reading_of(sent), ec))
		sent++;
	CHECK("full: false, and no error", sent > 20 && !ec);
	CHECK("so is a reservation", !producer.try_reserve(ec) && !ec);
	begin = steady_clock::now();
	CHECK("nor by the deadline",
	      !producer.write_for(copy, milliseconds(20), ec) && !ec &&
		      !producer.reserve_until(steady_clock::now() + milliseconds(20), ec) && !ec);
	CHECK("which is waited for too", elapsed_ms(begin) >= 38);
	uint64_t got = 0, wrong = 0;
	for (const record<reading> &record : cursor.available(ec))
		wrong += !is_reading(*record, got++);
	CHECK("all that was sent is there", got == sent && !wrong && !ec);

	segment::unlink(path, ec);
	CHECK("unlinked: an error, and the loop ends",
	      !ec && !cursor.next(ec) && ec.value() == ESTALE);
	for (const record<reading> &record : cursor.all(ec))
		wrong += record->number + 1;
	CHECK("in a loop too", !wrong && ec.value() == ESTALE);

	ring.close(ec);
	CHECK("a ring does not close before its cursors",
	      ec == std::errc::device_or_resource_busy && ring);
}

static void drops()
{
	std::error_code ec;
	ring<reading> ring(fresh(), "+>", small(SHR_RING_SINGLE_PRODUCER | SHR_RING_DROP_NEWEST),
			   ec);
	MUST(ec);
	producer<reading> producer(ring, ec);
	cursor<reading> cursor(ring, ec);
	MUST(ec);
	uint64_t sent = 0;

	while (producer.try_write(reading_of(sent), ec))
		sent++;
	CHECK("a dropped record is false, and no error", !ec && sent > 20);
	producer.write(reading_of(0), ec);
	CHECK("and to write() an error", ec == std::errc::no_buffer_space);
	uint64_t got = 0;
	for (const record<reading> &record : cursor.available(ec))
		got += record.sequence() == got + 1;
	producer.write(reading_of(1), ec);
	record<reading> next = cursor.next(ec);
	CHECK("the next record tells how many",
	      !ec && got == sent && next.lost() == 2 && ring.stat(ec).dropped == 2);
}

static void signal_handler(int)
{
}

static void interruptions()
{
	std::error_code ec;
	ring<reading> ring(fresh(), "+>", ec);
	MUST(ec);
	cursor<reading> cursor(ring, ec);
	MUST(ec);
	struct sigaction action = {};
	struct itimerval often = {{0, 20000}, {0, 20000}}, never = {};

	action.sa_handler = signal_handler;
	sigaction(SIGALRM, &action, nullptr);
	setitimer(ITIMER_REAL, &often, nullptr);
	record<reading> record = cursor.next(ec);
	setitimer(ITIMER_REAL, &never, nullptr);
	CHECK("a signal ends a wait with an error", !record && ec == std::errc::interrupted);
}

static void moves()
{
	std::error_code ec;
	ring<reading> ring(fresh(), "+>", ring_options(SHR_RING_SINGLE_PRODUCER), ec);
	MUST(ec);
	producer<reading> first(ring, ec), second(ring, ec);
	CHECK("a single producer", first && !second && ec.value() == EBUSY);

	shmring::ring<reading> moved(std::move(ring));
	producer<reading> taken(std::move(first));
	CHECK("moved from is empty", !ring && !first && moved && taken);
	CHECK("moved to works", taken.try_write(reading_of(1), ec) && !ec);
	first = std::move(taken);
	first = producer<reading>();
	taken = producer<reading>(moved, ec);
	CHECK("an assignment closes what was there", taken && !ec);

	taken.close(ec);
	{
		producer<reading> scoped(moved, ec);
		CHECK("one that is closed leaves its role", scoped && !ec);
	}
	taken = producer<reading>(moved, ec);
	CHECK("so does the end of a scope", taken && !ec);

	cursor<reading> cursor(moved, ec);
	record<reading> record = cursor.try_next(ec);
	shmring::cursor<reading> elsewhere = std::move(cursor);
	CHECK("a record outlives the move of its cursor", is_reading(*record, 1));
	elsewhere.release(ec);
	CHECK("a close of the last", !ec && (elsewhere.close(ec), !ec) && (taken.close(ec), !ec) &&
					     (moved.close(ec), !ec) && !moved);
}

static void versions()
{
	std::error_code ec;
	ring<newer::point> ring(fresh(), "+>", ec);
	shmring::ring<older::point> old_ring(path, "+<", ec);
	MUST(ec);
	producer<newer::point> producer(ring, ec);
	shmring::producer<older::point> old_producer(old_ring, ec);
	cursor<newer::point> cursor(ring, ec);
	MUST(ec);

	old_producer.write({7}, ec);
	old_producer.write({8}, ec);
	producer.write({9, 10}, ec);
	MUST(ec);
	record<newer::point> record = cursor.try_next(ec);
	CHECK("a shorter record in place: the members it has not are zero",
	      record && record->x == 7 && record->y == 0 && record.size() == 8);
	newer::point copy = {1, 1};
	CHECK("and in a copy", cursor.try_read(copy, ec) && copy.x == 8 && copy.y == 0);
	cursor.close(ec);
	MUST(ec);
	shmring::cursor<older::point> old_cursor(old_ring, ec);
	older::point old_copy = {1};
	CHECK("of a longer record the rest is dropped",
	      old_cursor.try_read(old_copy, ec) && old_copy.x == 9);
	CHECK("and it is released", !old_cursor.try_read(old_copy, ec) && !ec &&
					    ring.stat(ec).position == ring.stat(ec).tail);
	producer.write({11, 12}, ec);
	CHECK("in place it is all there", old_cursor.try_next(ec)->x == 11 && !ec);
}

static void batches()
{
	std::error_code ec;
	ring<reading> ring(fresh(), "+>", small(0), ec);
	MUST(ec);
	producer<reading> producer(ring, ec);
	cursor<reading> cursor(ring, ec);
	MUST(ec);
	std::vector<reading> values;

	for (uint64_t i = 0; i < 200; i++)
		values.push_back(reading_of(i));
	size_t sent = producer.try_write_many(values.data(), values.size(), ec);
	CHECK("as many as there is room for", sent > 20 && sent < 200 && !ec);
	CHECK("then none", producer.try_write_many(values.data(), 1, ec) == 0 && !ec);
	uint64_t got = 0, wrong = 0;
	for (const record<reading> &record : cursor.available(ec))
		wrong += !is_reading(*record, got++);
	CHECK("all of them arrive", got == sent && !wrong && !ec);

	ring_options large;
	large.capacity = 1 << 16;
	shmring::ring<reading> roomy(fresh(), "+>", large, ec);
	shmring::producer<reading> to_roomy(roomy, ec);
	CHECK("over a batch's size", to_roomy.try_write_many(values.data(), 200, ec) == 200 && !ec);
}

static void untyped()
{
	std::error_code ec;
	ring<> ring(fresh(), "+>", ec);
	MUST(ec);
	producer<> producer(ring, ec);
	cursor<> cursor(ring, ec);
	MUST(ec);
	std::vector<uint16_t> numbers = {1, 2, 3};
	std::array<char, 2> letters = {{'a', 'b'}};

	CHECK("written at once", producer.try_write("text", ec) && !ec);
	producer.write(std::string("a\0b", 3), ec);
	producer.write(numbers, ec);
	producer.write(letters, ec);
	producer.write({"buffer", 3}, ec);
	producer.write("", ec);
	MUST(ec);
	CHECK("text", cursor.try_next(ec).str() == "text");
	CHECK("a string, with its zeros", cursor.try_next(ec).str() == std::string("a\0b", 3));
	record<> record = cursor.try_next(ec);
	CHECK("a vector, in bytes",
	      record.size() == 6 && !std::memcmp(record.data(), numbers.data(), 6));
	CHECK("an array; a pointer and a size; nothing",
	      cursor.try_next(ec).str() == "ab" && cursor.try_next(ec).str() == "buf" &&
		      cursor.try_next(ec).size() == 0);
	cursor.release(ec);
	{
		reservation<> room = producer.reserve(100, ec);

		CHECK("reserved bytes", room && room.size() == 100);
		std::memset(room.data(), 'x', 10);
		room.commit_size(10, ec);
	}
	char buffer[8] = "";
	CHECK("a buffer too small is an error and says how much",
	      !cursor.try_read(buffer, sizeof(buffer), record, ec) &&
		      ec == std::errc::message_size && record.size() == 10);
	char larger[16] = "";
	CHECK("and the record is still the next one",
	      cursor.read_for(larger, sizeof(larger), record, seconds(1), ec) &&
		      record.str() == "xxxxxxxxxx" && record.data() == larger);
#if __cplusplus >= 201703L
	producer.write(std::string_view("a view"), ec);
	CHECK("a string_view, there and back", cursor.try_next(ec).view() == "a view");
#endif
#if __cplusplus >= 202002L
	producer.write(std::span<const char>("span", 4), ec);
	record = cursor.try_next(ec);
	CHECK("a span, there and back",
	      record.span().size() == 4 && record.span()[0] == std::byte{'s'});
#endif
}

/* Schemas: notes in the macro, and made at run time. */
struct noted {
	uint64_t id;
	uint32_t side;
	int32_t level;
};
const shr_enum_name sides[] = {{0, "buy"}, {1, "sell"}};
SHMRING_SCHEMA(noted, 1, (id, SHR_HELP("of it")), (side, SHR_ENUM(sides)), (level, SHR_UNIT("m"), SHR_SINCE(1)));

static void schemas()
{
	std::error_code ec;
	schema_builder builder("noted", 1, ec);
	MUST(ec);
	builder.member("id", SHR_KIND_U64).help("of it").member("side", SHR_KIND_U32);
	builder.enum_name(0, "buy").enum_name(1, "sell").member("level", SHR_KIND_I32).unit("m").since(1);
	const struct shr_schema *schema = builder.end(ec);
	MUST(ec);
	CHECK("a schema made at run time has the hash of the struct",
	      shr_schema_hash(schema) == shr_schema_hash(SHR_SCHEMA_OF(noted)));
	for (uint32_t i = 0; i < 3; i++) {
		const shr_field &made = schema->fields[i], &said = SHR_SCHEMA_OF(noted)->fields[i];
		auto same = [](const char *a, const char *b) {
			return a && b ? !std::strcmp(a, b) : a == b;
		};

		CHECK("and what is told of each member",
		      same(made.unit, said.unit) && same(made.help, said.help) &&
			      made.since == said.since && made.name_count == said.name_count &&
			      (!made.name_count || same(shr_field_enum_name(&made, 1), "sell")));
	}

	ring_options options;
	options.schema = schema;
	ring<> untyped(fresh(), "+>", options, ec);
	MUST(ec);
	producer<> producer(untyped, ec);
	producer.write(std::string("\7\0\0\0\0\0\0\0\1\0\0\0\377\377\377\377", 16), ec);
	MUST(ec);
	ring<noted> typed(path, "+<", ec);
	MUST(ec);
	cursor<noted> cursor(typed, ec);
	auto record = cursor.try_next(ec);
	CHECK("a ring<> of such a schema is a ring<T>",
	      record && record->id == 7 && record->side == 1 && record->level == -1);

	segment segment(path, ec);
	MUST(ec);
	ring<> again(segment, "ring", schema, ec);
	CHECK("attached with it", !ec && again);
	ring<> none(segment, "ring", ec);
	CHECK("and not without", ec == std::error_code(EPROTOTYPE, category()));

	schema_builder wrong("wrong", 1, ec);
	MUST(ec);
	wrong.member("a", SHR_KIND_U8).member("b", SHR_KIND_U64).member("c", SHR_KIND_U8);
	CHECK("a mistake is told at the end", !wrong.end(ec) && ec == std::error_code(EINVAL, category()));
	schema_builder empty("", 1, ec);
	CHECK("a name that is none", ec == std::error_code(EINVAL, category()));
	CHECK("is told at the end, too",
	      !empty.member("a", SHR_KIND_U8).end(ec) && ec == std::error_code(EINVAL, category()));
	schema_builder moved(std::move(builder));
	CHECK("it can be moved, and its schema stays", moved.end(ec) == schema && !ec && !builder);
}

static void cursors()
{
	std::error_code ec;
	ring_options several = small(SHR_RING_SEQUENCE | SHR_RING_TIME | SHR_RING_NO_DEFAULT);

	several.cursors = 3;
	ring<reading> ring(fresh(), "+>", several, ec);
	MUST(ec);
	producer<reading> producer(ring, ec);
	cursor<reading> screen(ring, "screen", cursor_options(SHR_CURSOR_CREATE | SHR_CURSOR_LOSSY),
			       ec);
	cursor<reading> watch(ring, cursor_options(SHR_CURSOR_OBSERVE), ec);
	MUST(ec);
	producer.set_type(7, ec);
	for (uint64_t i = 0; i < 300; i++)
		producer.write(reading_of(i), ec);
	MUST(ec);
	record<reading> record = screen.try_next(ec);
	CHECK("a lossy cursor is told what it lost",
	      record && record.lost() > 100 && record.lost() + 1 == record.sequence() &&
		      is_reading(*record, record.sequence() - 1));
	CHECK("type, member and time are told",
	      record.type() == 7 && record.member() == 1 &&
		      std::chrono::system_clock::now() - record.time() < seconds(20) &&
		      record.time() <= std::chrono::system_clock::now());
	record = watch.try_next(ec);
	CHECK("so is an observer", record && record.lost() + 1 == record.sequence() && !ec);
	struct shr_cursor_info info;
	CHECK("who there is", ring.cursor_info(0, info, ec) && !std::strcmp(info.name, "screen") &&
				      !ring.cursor_info(2, info, ec) && !ec);
	cursor<reading> none(ring, "nobody", ec);
	CHECK("no cursor of that name", ec == std::errc::no_such_file_or_directory && !none);

	size_t which = 0;
	while (screen.try_next(ec))
		;
	MUST(ec);
	CHECK("wait for any", wait_any_until({screen.get(), watch.get()}, which, seconds(1), ec) &&
				      which == 1 && !ec);
	while (watch.try_next(ec))
		;
	CHECK("or none in time",
	      !wait_any_until({screen.get(), watch.get()}, which, milliseconds(10), ec) && !ec);
	CHECK("a descriptor", screen.fd(ec) >= 0 && !ec);
}

/* --- Queues ------------------------------------------------------------------ */

static void queues()
{
	std::error_code ec;
	ring<reading> ring(fresh(), "+>", ring_options(0, SHR_RING_QUEUE), ec);
	MUST(ec);
	producer<reading> producer(ring, ec);
	MUST(ec);
	volatile uint32_t *state = static_cast<volatile uint32_t *>(shared_page());

	for (uint64_t i = 0; i < 4; i++)
		producer.write(reading_of(i), ec);
	pid_t pid = in_child([state] {
		std::error_code code;
		shmring::ring<reading> mine(path, "+<", ring_options(0, SHR_RING_QUEUE), code);
		worker<reading> worker(mine, code);
		job<reading> job = worker.take(code);

		CHILD(!code && is_reading(*job, 0) && job.info().deliveries() == 1);
		say(state, 1);
		pause();
	});
	CHECK("a child takes one", until(state, 1));
	worker<reading> worker(ring, ec);
	MUST(ec);
	{
		job<reading> job = worker.try_take(ec);

		CHECK("another worker the next one", job && is_reading(*job, 1));
	}
	{
		job<reading> job = worker.try_take(ec);

		CHECK("not acknowledged it comes again",
		      is_reading(*job, 1) && job.info().deliveries() == 2);
		job.ack(ec);
		CHECK("acknowledged", !job && !ec);
	}
	kill_now(pid);
	job<reading> job = worker.take_for(seconds(10), ec);
	for (int i = 0; i < 2 && job && job->number != 0; i++) {
		job.ack(ec);
		job = worker.take_for(seconds(10), ec);
	}
	CHECK("so does what a killed worker had",
	      job && is_reading(*job, 0) && job.info().deliveries() == 2 && !ec);
	job.nack(ec);
	uint64_t left = 0;
	while ((job = worker.try_take(ec))) {
		left++;
		job.ack(ec);
	}
	CHECK("given back, it is there once", left >= 1 && !ec && ring.stat(ec).acked == 4);
	CHECK("nothing in time",
	      !worker.take_until(steady_clock::now() + milliseconds(10), ec) && !ec);

	shmring::ring<> text(fresh(), "+>", ring_options(0, SHR_RING_QUEUE), ec);
	shmring::producer<>(text, ec).write("sweep", ec);
	shmring::worker<> untyped(text, ec);
	CHECK("a job of bytes", untyped.take_for(seconds(10), ec).info().str() == "sweep" && !ec);
	CHECK("given back at the end of the expression",
	      untyped.take_for(seconds(10), ec).info().deliveries() == 2);
	shmring::job<> again = untyped.take_for(seconds(10), ec);
	again = shmring::job<>(untyped.try_take(ec));
	CHECK("nothing else was there", !again && !ec);
	CHECK("and an assignment gives back what was there",
	      untyped.take_for(seconds(10), ec).info().deliveries() == 4 && !ec);
	munmap(const_cast<uint32_t *>(state), 4096);
}

/* --- Tables ------------------------------------------------------------------ */

static service service_of(const char *name, uint64_t beats)
{
	service made = {};

	std::strcpy(made.name, name);
	made.beats = beats;
	made.echo = mix(beats);
	return made;
}

static void tables()
{
	std::error_code ec;
	table<service> table(fresh(), "+>", table_options(8, "name"), ec);
	MUST(ec);
	uint32_t web = table.insert(service_of("web", 1), ec),
		 db = table.insert(service_of("db", 5), ec);
	MUST(ec);
	CHECK("inserted", web != db && table.stat(ec).used == 2 && table.slot_count() == 8);
	table.insert(service_of("web", 2), ec);
	CHECK("a key is there once", ec == std::errc::file_exists);
	CHECK("found", table.find("web", ec) == web && table.find(std::string("db"), ec) == db);
	CHECK("not found is no error", table.find("mail", ec) == no_slot && !ec);
	CHECK("read by key", table.read_key("db", ec).beats == 5 && !ec);
	service copy;
	CHECK("no such key: false", !table.try_read_key("mail", copy, ec) && !ec);
	table.read_key("mail", ec);
	CHECK("or an error", ec == std::errc::no_such_file_or_directory);
	ec.clear();

	pid_t pid = in_child([web] {
		std::error_code code;
		shmring::table<service> mine(path, "+<", code);

		for (int i = 0; i < 1000; i++) {
			update<service> update = mine.begin(web, code);

			CHILD(update && !code && !update.torn());
			update->beats++;
			update->echo = mix(update->beats);
			update.commit(code);
			CHILD(!code);
		}
	});
	bool whole = true;
	uint64_t now = 0;
	struct shr_slot_info info = {};
	while (now < 1001 && whole && !ec) {
		if (!table.read_changed(web, copy, info, ec))
			continue;
		whole = copy.echo == mix(copy.beats) && copy.beats >= now;
		now = copy.beats;
	}
	CHECK("updates of another process, whole and in order", whole && !ec && ended(pid) == 0);
	CHECK("the last one is there", table.read(web, ec).beats == 1001);
	{
		update<service> update = table.begin_key("web", ec);

		CHECK("by key", update && update.slot() == web && update->beats == 1001);
		update->beats = 0;
		pid = in_child([web] {
			std::error_code code;
			shmring::table<service> mine(path, "+<", code);

			CHILD(!mine.try_begin(web, code) && !code);
			CHILD(!mine.begin_for(web, milliseconds(20), code) && !code);
			CHILD(mine.read(web, code).beats == 1001 && !code);
		});
		CHECK("others do not get in, and read", ended(pid) == 0);
	}
	CHECK("an update that is left never was", table.read(web, ec).beats == 1001 && !ec);
	volatile uint32_t *state = static_cast<volatile uint32_t *>(shared_page());
	pid = in_child([web, state] {
		std::error_code code;
		shmring::table<service> mine(path, "+<", code);
		update<service> update = mine.begin(web, code);

		update->beats = 0;
		say(state, 1);
		pause();
	});
	until(state, 1);
	kill_now(pid);
	{
		update<service> update = table.begin(web, ec);

		CHECK("nor one of a killed process",
		      update && !update.torn() && update->beats == 1001);
		shmring::update<service> moved = std::move(update);
		moved->beats = 1002;
		moved.commit(ec);
		CHECK("committed by who goes on", !ec && !moved && !update);
	}
	CHECK("which is counted",
	      table.stat(ec).takeovers == 1 && table.read(web, ec).beats == 1002);
	table.write(web, service_of("web", 7), ec);
	CHECK("written", !ec && table.read(web, ec).beats == 7);

	uint64_t beats = 0, slots = 0;
	for (uint32_t slot : table.used()) {
		slots++;
		beats += table.read(slot, ec).beats;
	}
	CHECK("all used slots", slots == 2 && beats == 12 && !ec);
	CHECK("removed, once", table.remove_key("db", ec) && !table.remove_key("db", ec) && !ec);
	CHECK("a free slot: false", !table.try_read(db, copy, ec) && !ec);
	uint64_t changes = table.changes(), then = 0;
	CHECK("nothing changes",
	      !table.wait_until(SHR_TABLE_ANY, changes, milliseconds(10), then, ec) && !ec);
	table.remove(web, ec);
	CHECK("something did",
	      table.wait_until(SHR_TABLE_ANY, changes, seconds(1), then, ec) && !ec);
	munmap(const_cast<uint32_t *>(state), 4096);
}

static void keys()
{
	std::error_code ec;
	table<account> table(fresh(), "+>", table_options(8, "id"), ec);
	MUST(ec);
	uint32_t one = table.insert({1, 0, 10}, ec), minus = table.insert({-5, 0, 50}, ec);
	enum : uint8_t { ONE = 1 };

	CHECK("an integer of any type is a key",
	      table.find(1, ec) == one && table.find(uint64_t{1}, ec) == one &&
		      table.find(ONE, ec) == one && table.find(int8_t{-5}, ec) == minus &&
		      table.find(-5LL, ec) == minus && !ec);
	CHECK("not there", table.find(2, ec) == no_slot && !ec);
	table.find(int64_t{1} << 32 | 1, ec);
	CHECK("one that does not fit is refused and not cut", ec == std::errc::invalid_argument);
	table.find(0xfffffffbu, ec);
	CHECK("nor taken for a negative one", ec == std::errc::invalid_argument);
	table.find(-5000000000LL, ec);
	CHECK("nor a negative one", ec == std::errc::invalid_argument);
	table.find(-3000000000LL, ec);
	CHECK("nor one whose low bits are a number", ec == std::errc::invalid_argument);
	table.find("1", ec);
	CHECK("nor text", ec == std::errc::invalid_argument);

	shmring::table<service> text(fresh(), "+>", table_options(8, "name"), ec);
	text.insert(service_of("1", 1), ec);
	MUST(ec);
	text.find(1, ec);
	CHECK("nor a number for text", ec == std::errc::invalid_argument);

	shmring::table<statistics> wide(fresh(), "+>", table_options(8, "requests"), ec);
	uint32_t most = wide.insert({UINT64_MAX, 0, 0}, ec);
	MUST(ec);
	CHECK("64 bits", wide.find(UINT64_MAX, ec) == most && !ec);
	wide.find(-1, ec);
	CHECK("of which -1 is none", ec == std::errc::invalid_argument);
}

static void torn_records()
{
	std::error_code ec;
	table_options options(2);
	options.mode = SHR_TABLE_IN_PLACE;
	table<service> table(fresh(), "+>", options, ec);
	uint32_t slot = table.insert(service_of("web", 1), ec);
	MUST(ec);
	{
		update<service> update = table.begin(slot, ec);

		update->beats = 2;
		update.abort(ec);
		CHECK("in place there is nothing to go back to",
		      ec.value() == EOPNOTSUPP && update);
	}
	CHECK("so what was written stays", table.read(slot, ec).beats == 2 && !ec);

	volatile uint32_t *state = static_cast<volatile uint32_t *>(shared_page());
	pid_t pid = in_child([slot, state] {
		std::error_code code;
		shmring::table<service> mine(path, "+<", code);
		update<service> update = mine.begin(slot, code);

		update->beats = 0;
		say(state, 1);
		pause();
	});
	until(state, 1);
	kill_now(pid);
	service copy;
	CHECK("killed inside: nothing to read", !table.try_read(slot, copy, ec) && !ec);
	table.read(slot, ec);
	CHECK("which is told", ec == std::errc::resource_unavailable_try_again);
	for (int i = 0; i < 2; i++) {
		update<service> update = table.begin(slot, ec);

		CHECK("the next one is told, until somebody repairs",
		      update && update.torn() && !ec);
	}
	{
		update<service> update = table.begin(slot, ec);

		*update = service_of("web", 3);
		update.commit(ec);
	}
	update<service> update = table.begin(slot, ec);
	CHECK("repaired", !ec && !update.torn() && table.stat(ec).takeovers >= 1);
	update.commit(ec);
	CHECK("and read", table.read(slot, ec).beats == 3 && !ec);
	munmap(const_cast<uint32_t *>(state), 4096);
}

static void counters()
{
	std::error_code ec;
	table_options options(2);
	options.mode = SHR_TABLE_COUNTERS;
	table<statistics> table(fresh(), "+>", options, ec);
	uint32_t slot = table.insert({100, -5, 3}, ec);
	MUST(ec);
	pid_t pids[3];

	for (pid_t &pid : pids)
		pid = in_child([slot] {
			std::error_code code;
			shmring::table<statistics> mine(path, "+<", code);

			for (int i = 0; i < 10000; i++)
				mine.add(slot, &statistics::requests, 2, code);
			CHILD(!code);
		});
	int wrong = 0;
	for (pid_t pid : pids)
		wrong |= ended(pid);
	CHECK("three processes count",
	      !wrong && table.fetch(slot, &statistics::requests, ec) == 60100);
	CHECK("of its own sign", table.add(slot, &statistics::balance, -10, ec) == -5 &&
					 table.fetch(slot, &statistics::balance, ec) == -15 && !ec);
	int32_t expected = -14;
	CHECK("set if it is as expected",
	      !table.compare_set(slot, &statistics::balance, expected, 7, ec) && !ec &&
		      expected == -15 &&
		      table.compare_set(slot, &statistics::balance, expected, 7, ec) &&
		      table.fetch(slot, &statistics::balance, ec) == 7);
	statistics all = table.read(slot, ec);
	CHECK("its neighbours are as they were", all.errors == 3 && all.requests == 60100 && !ec);
}

/* --- Locks ------------------------------------------------------------------- */

static void mutexes()
{
	std::error_code ec;
	shmring::mutex mutex(fresh(), "+>", 2, ec);
	MUST(ec);
	CHECK("how many", mutex.count() == 2);
	volatile uint32_t *state = static_cast<volatile uint32_t *>(shared_page());
	auto die_holding = [state] {
		std::error_code code;
		shmring::mutex mine(path, "+<", 2, code);
		held held = mine.lock(1, code);

		CHILD(!code);
		say(state, held ? 1 : 2);
		pause();
	};
	pid_t pid = in_child(die_holding);
	until_not(state, 0);
	steady_clock::time_point begin = steady_clock::now();
	CHECK("another holds it: false", *state == 1 && !mutex.try_lock(1, ec) && !ec &&
						 !mutex.lock_for(1, milliseconds(20), ec) && !ec);
	CHECK("after the time-out", elapsed_ms(begin) >= 19);
	CHECK("the other one is free", mutex.try_lock(0, ec) && !ec);
	CHECK("and again", mutex.try_lock(0, ec) && !ec);
	kill_now(pid);
	{
		held held = mutex.lock(1, ec);

		CHECK("whose holder was killed is locked, and told",
		      held && held.owner_died() && !ec);
		held.consistent(ec);
		CHECK("repaired", !held.owner_died() && !ec);
		mutex.lock(1, ec);
		CHECK("not twice", ec == std::errc::resource_deadlock_would_occur);
	}
	held again = mutex.lock(1, ec);
	CHECK("free at the end of the scope", again && !again.owner_died() && !ec);
	CHECK("its holder is known", mutex.info(1, ec).state == SHR_MUTEX_HELD);
	mutex.close(ec);
	CHECK("it does not close while it is held", ec && mutex);
	held moved = std::move(again);
	moved.unlock(ec);
	CHECK("unlocked", !moved && !again && !ec);

	say(state, 0);
	pid = in_child(die_holding);
	until_not(state, 0);
	kill_now(pid);
	CHECK("nobody repaired", mutex.lock(1, ec).owner_died());
	CHECK("is not recoverable", !mutex.lock(1, ec) && ec == std::errc::state_not_recoverable);
	mutex.reset(1, ec);
	CHECK("until it is reset", !ec && mutex.lock(1, ec).owner_died() && !ec);
	munmap(const_cast<uint32_t *>(state), 4096);
}

static void events()
{
	std::error_code ec;
	event event(fresh(), "+>", 1, ec);
	MUST(ec);
	volatile uint32_t *state = static_cast<volatile uint32_t *>(shared_page());

	CHECK("not in time", !event.await_for(
				     0, [] { return false; }, milliseconds(20), ec) &&
				     !ec);
	pid_t pid = in_child([state] {
		std::error_code code;
		shmring::event mine(path, "+<", 1, code);

		mine.await(
			0, [state] { return *state == 1; }, code);
		CHILD(!code && *state == 1);
	});
	until_asleep(pid);
	say(state, 1);
	event.notify(0, ec);
	CHECK("woken when it is true", !ec && ended(pid) == 0);
	uint32_t key = event.prepare(0, ec);
	event.notify(0, ec);
	CHECK("by hand", event.wait_until(0, key, seconds(1), ec) && !ec);
	CHECK("a descriptor", event.fd(0, ec) >= 0 && event.count() == 1);
	event.notify(9, ec);
	CHECK("no such event", ec == std::errc::invalid_argument);
	munmap(const_cast<uint32_t *>(state), 4096);
}

/* --- Segments, forks --------------------------------------------------------- */

static void segments()
{
	std::error_code ec;
	segment segment = segment::create(
		fresh(),
		{ring<reading>::describe("requests", small(0), ec),
		 table<service>::describe("services", table_options(4, "name"), ec),
		 shmring::mutex::describe("locks", 3, ec), event::describe("wakes", 2, ec)},
		segment_options(), ec);
	MUST(ec);
	CHECK("created",
	      segment && segment.created() && segment.member(ec) == 1 && segment.epoch());
	CHECK("current", segment.current(ec) && !ec);
	ring<reading> ring(segment, "requests", ec);
	table<service> table(segment, "services", ec);
	shmring::mutex mutex(segment, "locks", ec);
	event event(segment, "wakes", ec);
	CHECK("its objects", ring && table && mutex.count() == 3 && event.count() == 2 && !ec);
	CHECK("are as described", ring.capacity() == 4096 && ring.segment_of() == segment.get() &&
					  table.slot_count() == 4 && ring.max_record() > 500);
	shmring::ring<reading> none(segment, "services", ec);
	CHECK("each of its kind", ec.value() == EPROTOTYPE && !none);
	segment.close(ec);
	CHECK("a segment does not close before them", ec.value() == EBUSY && segment);

	volatile uint32_t *state = static_cast<volatile uint32_t *>(shared_page());
	pid_t pid = in_child([state] {
		std::error_code code;
		segment_options options;

		options.role = "victim";
		shmring::segment mine(path, options, code);
		say(state, mine.member(code));
		pause();
	});
	until(state, 2);
	CHECK("a member",
	      segment.alive(2, ec) && segment.info(2, ec).pid == static_cast<uint32_t>(pid));
	CHECK("no death yet",
	      !segment.wait_for([](const struct shr_death &) {}, milliseconds(10), ec) && !ec);
	kill_now(pid);
	std::string who;
	size_t count =
		segment.sweep([&who](const struct shr_death &death) { who += death.role; }, ec);
	CHECK("a death is told once, and of whom",
	      count == 1 && who == "victim" && !ec && !segment.alive(2, ec));
	segment::unlink(path, ec);
	CHECK("obsolete is no error", !segment.current(ec) && !ec);
	munmap(const_cast<uint32_t *>(state), 4096);
}

static void forks()
{
	std::error_code ec;
	ring<reading> ring(fresh(), "+>", ec);
	producer<reading> producer(ring, ec);
	cursor<reading> cursor(ring, ec);
	MUST(ec);
	pid_t pid = in_child([&] {
		std::error_code code;

		CHILD(!producer.try_write(reading_of(1), code) &&
		      code == std::errc::no_child_process);
		CHILD(!cursor.try_next(code) && code == std::errc::no_child_process);
		producer.close(code);
		CHILD(!code);
		cursor.close(code);
		CHILD(!code);
		ring.close(code);
		CHILD(!code);
	});
	CHECK("a child's copies say so, and close", ended(pid) == 0);
	CHECK("the parent's work on",
	      producer.try_write(reading_of(2), ec) && is_reading(cursor.read(ec), 2) && !ec);
}

static void maps()
{
	std::error_code ec;
	map_options options;
	options.size = 4096;
	map map(fresh(), "+>", options, ec);

	CHECK("a map", map && map.created() && map.size() == 4096 && map.data() && !ec);
	shmring::map too(std::string(path), "+<", map_options(), ec);
	std::strcpy(static_cast<char *>(map.data()), "shared");
	CHECK("is shared",
	      !std::strcmp(static_cast<char *>(too.data()), "shared") && !too.created());
	shr_map_unlink(path);
}

/* --- Exceptions -------------------------------------------------------------- */

#ifdef __cpp_exceptions
/* The errno that @call throws; 0: nothing. */
template <class F>
static int thrown(F call)
{
	try {
		call();
	} catch (const error &e) {
		return e.code().category() == category() && *e.what() ? e.code().value() : -1;
	}
	return 0;
}

static void exceptions()
{
	try {
		ring<reading> none(fresh(), "+<");
		CHECK("an open that fails throws", false);
	} catch (const std::system_error &e) {
		CHECK("an open that fails throws what tells it",
		      e.code() == std::errc::no_such_file_or_directory &&
			      e.what() == std::string(shr_last_error()));
	}
	ring<reading> ring(path, "+>", small(SHR_RING_SINGLE_PRODUCER));
	producer<reading> producer(ring);
	cursor<reading> cursor(ring);
	CHECK("a second producer",
	      thrown([&] { shmring::producer<reading> second(ring); }) == EBUSY);
	CHECK("a try does not throw", thrown([&] {
					      reading copy;

					      if (cursor.try_next() || cursor.try_read(copy) ||
						  cursor.next_for(milliseconds(1)))
						      throw error(EIO);
				      }) == 0);
	uint64_t sent = 0;
	while (producer.try_write(reading_of(sent)))
		sent++;
	CHECK("nor a full ring", sent > 20);
	uint64_t got = 0, wrong = 0;
	for (const auto &record : cursor) {
		wrong += !is_reading(*record, got);
		if (++got == sent)
			break;
	}
	CHECK("a cursor is a range", got == sent && !wrong);
	try {
		auto room = producer.try_reserve();
		*room = reading_of(1);
		throw std::runtime_error("work");
	} catch (const std::runtime_error &) {
	}
	cursor.release();
	CHECK("a reservation does not outlive an exception", !cursor.try_next());
	producer.write(reading_of(2));
	CHECK("and the next one works", is_reading(cursor.read(), 2));
	segment::unlink(path);
	CHECK("unlinked ends a loop", thrown([&] {
					      for (const auto &record : cursor)
						      (void)record;
				      }) == ESTALE);

	shmring::ring<reading> queue(path, "+>", ring_options(0, SHR_RING_QUEUE));
	shmring::producer<reading>(queue).write(reading_of(1));
	worker<reading> worker(queue);
	try {
		auto job = worker.take();
		throw std::runtime_error("work");
	} catch (const std::runtime_error &) {
	}
	auto job = worker.take();
	CHECK("a job whose work throws is given back",
	      is_reading(*job, 1) && job.info().deliveries() == 2);
	job.ack();

	table<service> table(fresh(), "+>", table_options(2, "name"));
	uint32_t slot = table.insert(service_of("web", 1));
	try {
		auto update = table.begin(slot);
		update->beats = 9;
		throw std::runtime_error("work");
	} catch (const std::runtime_error &) {
	}
	CHECK("an update that throws never was", table.read(slot).beats == 1);
	auto update = table.begin_key("web");
	update->beats++;
	update.commit();
	CHECK("one that does not is", table.read_key("web").beats == 2);
	CHECK("a key that is not there throws, to read",
	      thrown([&] { table.read_key("db"); }) == ENOENT);

	event event(fresh(), "+>", 1);
	std::string what;
	try {
		event.await(0, []() -> bool { throw std::runtime_error("from the condition"); });
	} catch (const std::runtime_error &e) {
		what = e.what();
	}
	CHECK("what a condition throws comes out of the wait", what == "from the condition");
}
#endif

int main()
{
	std::snprintf(path, sizeof(path), "/shmring-cxx-%d", static_cast<int>(getpid()));
	errors();
	deadlines();
	streams();
	reservations();
	full_and_empty();
	drops();
	interruptions();
	moves();
	versions();
	batches();
	untyped();
	schemas();
	cursors();
	queues();
	tables();
	keys();
	torn_records();
	counters();
	mutexes();
	events();
	segments();
	forks();
	maps();
#ifdef __cpp_exceptions
	exceptions();
#endif
	fresh();
	std::printf("1..%d\n", cases);
	return failures != 0;
}
