/* SPDX-License-Identifier: MIT */
/*
 * shmring for C++11 and later: the C library's handles as objects, its records as
 * types. Header only, above the C headers, which stay the manual of what each call
 * does; here is only what C++ adds.
 *
 *	struct reading {
 *		uint64_t number;
 *		double celsius;
 *	};
 *	SHMRING_SCHEMA(reading, 1, number, celsius);
 *
 *	shmring::ring<reading> ring("/readings", "+>");
 *	shmring::producer<reading> producer(ring);
 *	producer.write({1, 20.5});
 *
 *	shmring::cursor<reading> cursor(ring);
 *	for (const auto &record : cursor)		// waits for each
 *		std::cout << record->celsius << "\n";
 *
 * Handles close when their scope ends, can be moved and not copied; get() is the C
 * handle, for every call that is not here. A ring, table or segment has to outlive
 * what was opened from it, as locals and members do that are declared before: one
 * that is destroyed too early stays open (the close says -EBUSY), and nothing
 * dangles. An object that is empty (made without arguments, moved from, or its open
 * failed) is false, and only to be assigned to or destroyed.
 *
 * Errors. Every call that can fail throws shmring::error; with a std::error_code as
 * its last argument it throws nothing and stores the error there (or clears it).
 * Without exceptions (-fno-exceptions) only the second form compiles. What a call's
 * name tells to expect is no error but a false, or an empty object: try_: there was
 * nothing to read, no room, no lock; _for and _until: the time is over. So with an
 * error_code, false and no error means that. A signal that ends a wait is an error,
 * std::errc::interrupted.
 *
 * Deadlines are std::chrono::steady_clock's, time-outs any duration; what does not fit
 * in 64 bits of nanoseconds is for ever. Threads, processes and trust are as in C.
 */
#ifndef SHMRING_SHMRING_HPP
#define SHMRING_SHMRING_HPP

#include <shmring/shmring.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#if __cplusplus >= 201703L
#include <string_view>
#endif
#if __cplusplus >= 202002L
#include <span>
#endif

/* Programs with and without exceptions may be linked together: each has its own. */
#ifdef __cpp_exceptions
#define SHMRING_THROWS_ = on_error()
#define SHMRING_ABI_    with_exceptions
#else
#define SHMRING_THROWS_
#define SHMRING_ABI_ without_exceptions
#endif
#define SHMRING_COLD_ __attribute__((cold, noinline))
#define SHMRING_HOT_  __attribute__((always_inline)) /* as the C calls in it are */
/* What a call that succeeded sees to, so that nothing looks at it again. */
#define SHMRING_SURE_(condition)                                                                   \
	do {                                                                                       \
		if (!(condition))                                                                  \
			__builtin_unreachable();                                                   \
	} while (0)

namespace shmring
{
inline namespace SHMRING_ABI_
{

/* --- Types and their schemas ------------------------------------------------- */

template <class T>
struct described {
	const struct shr_schema *schema;
};

/*
 * Beside a struct, in its namespace: describe it as SHR_SCHEMA() does (schema.h), and
 * for C++. SHMRING_DESCRIBED: the second only, of a struct that a header for C
 * describes.
 */
#define SHMRING_SCHEMA(T, version, ...)                                                            \
	SHR_SCHEMA(T, version, __VA_ARGS__);                                                       \
	SHMRING_DESCRIBED(T)
#define SHMRING_DESCRIBED(T)                                                                       \
	inline ::shmring::described<struct T> shmring_describe(const struct T *) noexcept          \
	{                                                                                          \
		return {SHR_SCHEMA_OF(T)};                                                         \
	}                                                                                          \
	static_assert(sizeof(struct T) != 0, "")

namespace detail
{
/* A base's description is none of what derives from it, so the type is compared. */
template <class T>
struct has_schema {
	template <class U>
	static std::is_same<decltype(shmring_describe(static_cast<const U *>(nullptr))),
			    described<U>>
	look(int);
	template <class U>
	static std::false_type look(long);
	static constexpr bool value = decltype(look<T>(0))::value;
};

/* The schema of T, which is fit to be a record; none of untyped bytes. */
template <class T>
struct schema {
	static_assert(std::is_trivially_copyable<T>::value,
		      "shmring: a record is copied byte by byte: T must be trivially copyable");
	static_assert(alignof(T) <= 8, "shmring: records lie at multiples of 8 bytes");
	static_assert(has_schema<T>::value,
		      "shmring: describe T with SHMRING_SCHEMA(T, version, members...) beside it");
	static const struct shr_schema *get(const struct shr_schema * = nullptr) noexcept
	{
		return shmring_describe(static_cast<const T *>(nullptr)).schema;
	}
};
template <>
struct schema<void> {
	/* Or one that is made at run time. */
	static const struct shr_schema *get(const struct shr_schema *made = nullptr) noexcept
	{
		return made;
	}
};
} /* namespace detail */

/* --- Errors ------------------------------------------------------------------ */

namespace detail
{
/* The number of this thread's last failure that shr_last_error() has a sentence of. */
inline int &told() noexcept
{
	static thread_local int number;

	return number;
}

class errno_category final : public std::error_category
{
public:
	const char *name() const noexcept override { return "shmring"; }
	std::string message(int number) const override
	{
		const char *sentence = told() == number ? shr_last_error() : "";

		return *sentence ? sentence : std::generic_category().message(number);
	}
	std::error_condition default_error_condition(int number) const noexcept override
	{
		return std::error_condition(number, std::generic_category());
	}
};
} /* namespace detail */

/*
 * The category of all errors, whose values are those of errno: they compare equal to
 * std::errc. The message of the thread's last failure is the sentence of
 * shr_last_error(), of others what the system says.
 */
SHR_API inline const std::error_category &category() noexcept
{
	static const detail::errno_category only;

	return only;
}

/* what() is the message at the time of the throw. */
class error : public std::system_error
{
public:
	explicit error(int number) : std::system_error(number, category()) {}
};

namespace detail
{
/* Outcomes of the data path have a number and no sentence. */
SHMRING_COLD_ inline void fail(std::error_code *code, int number, bool sentence)
{
	if (number == EAGAIN || number == ETIMEDOUT || number == EINTR || number == ENOBUFS)
		sentence = false;
	told() = sentence ? number : 0;
#ifdef __cpp_exceptions
	if (!code)
		throw error(number);
#endif
	*code = std::error_code(number, category());
}
} /* namespace detail */

/*
 * Where errors go: the last parameter of what can fail. A std::error_code is one; left
 * away they are thrown.
 */
class on_error
{
public:
#ifdef __cpp_exceptions
	on_error() noexcept : code_(nullptr)
	{
	}
#endif
	on_error(std::error_code &code) noexcept : code_(&code)
	{
	}

	/* True if @err, of a C call, is 0 or more. */
	SHMRING_HOT_ bool operator()(int err) const
	{
		if (SHR_LIKELY_(err >= 0))
			return well();
		detail::fail(code_, -err, true);
		return false;
	}
	/* The same, but @expected (or @too) is no error, and only false. */
	SHMRING_HOT_ bool unless(int expected, int too, int err) const
	{
		if (SHR_LIKELY_(err >= 0))
			return well();
		if (err == -expected || err == -too)
			well();
		else
			detail::fail(code_, -err, true);
		return false;
	}
	SHMRING_HOT_ bool unless(int expected, int err) const
	{
		return unless(expected, expected, err);
	}
	/* The same as the first, of a call that has no sentence for -ENOENT. */
	bool found(int err) const
	{
		if (SHR_LIKELY_(err >= 0))
			return well();
		detail::fail(code_, -err, err != -ENOENT);
		return false;
	}

private:
	bool well() const noexcept
	{
		if (code_ && code_->value())
			code_->clear();
		return true;
	}
	std::error_code *code_;
};

/* --- Arguments --------------------------------------------------------------- */

namespace detail
{
template <class Rep, class Period>
int64_t to_ns(std::chrono::duration<Rep, Period> time) noexcept
{
	typedef std::chrono::duration<Rep, Period> own;
	typedef std::chrono::nanoseconds ns;

	/* Compared in its own unit, in which nothing overflows; what is finer always fits. */
	if (std::ratio_greater_equal<Period, std::nano>::value ||
	    std::chrono::treat_as_floating_point<Rep>::value) {
		if (time >= std::chrono::duration_cast<own>(ns::max()))
			return INT64_MAX;
		if (time <= std::chrono::duration_cast<own>(ns::min()))
			return INT64_MIN;
	}
	return std::chrono::duration_cast<ns>(time).count();
}
} /* namespace detail */

/* How long at most: any std::chrono::duration. */
class timeout
{
public:
	template <class Rep, class Period>
	timeout(std::chrono::duration<Rep, Period> time) noexcept : ns_(detail::to_ns(time))
	{
	}
	int64_t ns() const noexcept { return ns_; }

private:
	int64_t ns_;
};

/* Until when: a time of std::chrono::steady_clock (CLOCK_MONOTONIC), or so long from now. */
class deadline
{
public:
	template <class Duration>
	deadline(std::chrono::time_point<std::chrono::steady_clock, Duration> time) noexcept
	    : ns_(detail::to_ns(time.time_since_epoch()))
	{
	}
	deadline(timeout time) noexcept : ns_(shr_deadline_ns(time.ns())) {}
	template <class Rep, class Period>
	deadline(std::chrono::duration<Rep, Period> time) noexcept : deadline(timeout(time))
	{
	}
	int64_t ns() const noexcept { return ns_; }

private:
	int64_t ns_;
};

/* Bytes of somebody's: text, a string, a string_view, a span, a vector, an array. */
class bytes
{
public:
	bytes(const void *data, size_t size) noexcept : data_(data), size_(size) {}
	bytes(const char *text) noexcept : data_(text), size_(std::strlen(text)) {}
	template <class C, class E = typename std::remove_pointer<
				   decltype(std::declval<const C &>().data())>::type>
	bytes(const C &container) noexcept
	    : data_(container.data()), size_(container.size() * sizeof(E))
	{
		static_assert(std::is_trivially_copyable<E>::value, "shmring: not plain bytes");
	}
	const void *data() const noexcept { return data_; }
	size_t size() const noexcept { return size_; }

private:
	const void *data_;
	size_t size_;
};

/* A name: text or a std::string. */
class name
{
public:
	name(const char *text) noexcept : text_(text) {}
	name(const std::string &text) noexcept : text_(text.c_str()) {}
	const char *c_str() const noexcept { return text_; }

private:
	const char *text_;
};

/* Options of C, zero but for their size; assign to the members. */
template <class C>
struct options : C {
	options() noexcept : C() { this->struct_size = sizeof(C); }
};

/* Those that have flags. */
template <class C>
struct flag_options : options<C> {
	explicit flag_options(uint32_t of = 0) noexcept { this->flags = of; }
};

typedef flag_options<struct shr_segment_options> segment_options;
typedef flag_options<struct shr_cursor_options> cursor_options;
typedef options<struct shr_map_options> map_options;

struct ring_options : flag_options<struct shr_ring_options> {
	explicit ring_options(uint32_t of = 0, uint32_t ring_mode = SHR_RING_STREAM) noexcept
	    : flag_options(of)
	{
		this->mode = ring_mode;
	}
};

struct table_options : options<struct shr_table_options> {
	explicit table_options(uint32_t count = 0, const char *key_field = nullptr) noexcept
	{
		this->slots = count;
		this->key = key_field;
	}
};

namespace detail
{
/* Owns a C handle. */
template <class C, int (*Close)(C *)>
class handle
{
public:
	handle(handle &&other) noexcept : c_(other.c_) { other.c_ = nullptr; }
	handle &operator=(handle &&other) noexcept
	{
		if (this != &other) {
			if (c_)
				Close(c_);
			c_ = other.c_;
			other.c_ = nullptr;
		}
		return *this;
	}
	~handle()
	{
		if (c_)
			Close(c_);
	}
	C *get() const noexcept { return c_; }
	explicit operator bool() const noexcept { return c_ != nullptr; }
	/* Close now, and be empty; on an error nothing happens. */
	void close(on_error e SHMRING_THROWS_)
	{
		if (e(Close(c_)))
			c_ = nullptr;
	}

protected:
	handle() noexcept : c_(nullptr) {}
	C *c_;
};

/* A callable behind a callback of C, through which no exception may pass: it is kept. */
template <class F>
class callback
{
public:
	explicit callback(F &f) noexcept : f_(f) {}
	static int ready(void *self) noexcept
	{
		return static_cast<callback *>(self)->call([](F &f) { return f() ? 1 : 0; });
	}
	static void died(const struct shr_death *death, void *self) noexcept
	{
		static_cast<callback *>(self)->call([death](F &f) {
			f(*death);
			return 0;
		});
	}
	void rethrow() const
	{
#ifdef __cpp_exceptions
		if (thrown_)
			std::rethrow_exception(thrown_);
#endif
	}

private:
	template <class Call>
	int call(Call with) noexcept
	{
#ifdef __cpp_exceptions
		try {
			return with(f_);
		} catch (...) {
			if (!thrown_)
				thrown_ = std::current_exception();
			return -ECANCELED;
		}
#else
		return with(f_);
#endif
	}
	F &f_;
#ifdef __cpp_exceptions
	std::exception_ptr thrown_;
#endif
};

inline int builder_close(struct shr_schema_builder *builder) noexcept
{
	shr_schema_builder_free(builder);
	return 0;
}
inline int map_close(struct shr_map *map) noexcept
{
	shr_map_close(map);
	return 0;
}
} /* namespace detail */

/* --- Maps and segments ------------------------------------------------------- */

/* map.h; more of it through get(). */
class map : public detail::handle<struct shr_map, detail::map_close>
{
public:
	map() noexcept = default;
	map(name object, const char *mode, const map_options &options, on_error e SHMRING_THROWS_)
	{
		e(shr_map_open(&c_, object.c_str(), mode, &options));
	}
	void *data() const noexcept { return shr_map_address(c_); }
	size_t size() const noexcept { return shr_map_size(c_); }
	bool created() const noexcept { return shr_map_created(c_) != 0; }
};

/*
 * A schema made at run time, for the ring_options of a ring<>, or to attach to one. A
 * mistake is told by end(): b.member("id", SHR_KIND_U64).unit("s").end()
 */
class schema_builder : public detail::handle<struct shr_schema_builder, detail::builder_close>
{
public:
	schema_builder() noexcept = default;
	schema_builder(name of, uint32_t version, on_error e SHMRING_THROWS_)
	{
		e(shr_schema_builder_new(&c_, of.c_str(), version));
	}
	/* @count: elements of an array; 0: none. */
	schema_builder &member(name of, uint32_t kind, uint32_t count = 0) noexcept
	{
		shr_schema_builder_member(c_, of.c_str(), kind, count);
		return *this;
	}
	/* Of the member before. */
	schema_builder &unit(const char *text) noexcept
	{
		shr_schema_builder_unit(c_, text);
		return *this;
	}
	schema_builder &help(const char *text) noexcept
	{
		shr_schema_builder_help(c_, text);
		return *this;
	}
	schema_builder &since(uint32_t version) noexcept
	{
		shr_schema_builder_since(c_, version);
		return *this;
	}
	schema_builder &enum_name(int64_t value, const char *text) noexcept
	{
		shr_schema_builder_enum_name(c_, value, text);
		return *this;
	}
	/* It lives as long as this. */
	const struct shr_schema *end(on_error e SHMRING_THROWS_)
	{
		const struct shr_schema *schema = nullptr;

		e(shr_schema_builder_end(c_, &schema));
		return schema;
	}
};

/* Several objects in one piece of memory, and its members. */
class segment : public detail::handle<struct shr_segment, shr_segment_detach>
{
public:
	segment() noexcept = default;

	/* Attach; create: with @objects, which describe() of ring, table, mutex and event make. */
	explicit segment(name of, on_error e SHMRING_THROWS_) : segment(of, segment_options(), e) {}
	segment(name of, const segment_options &options, on_error e SHMRING_THROWS_)
	{
		e(shr_segment_attach(&c_, of.c_str(), &options));
	}
	static segment create(name of, std::initializer_list<struct shr_object> objects,
			      const segment_options &options, on_error e SHMRING_THROWS_)
	{
		segment made;

		e(shr_segment_create(&made.c_, of.c_str(), objects.begin(), objects.size(),
				     &options));
		return made;
	}
	/* Remove its name, and wake everybody in it: shr_segment_unlink(). */
	static void unlink(name of, on_error e SHMRING_THROWS_)
	{
		e(shr_segment_unlink(of.c_str()));
	}

	/* If this created it; the number of this creation; the number of this member. */
	bool created() const noexcept { return shr_segment_created(c_) != 0; }
	uint64_t epoch() const noexcept { return shr_segment_epoch(c_); }
	uint32_t member(on_error e SHMRING_THROWS_) const
	{
		int number = shr_segment_member(c_);

		return e(number) ? static_cast<uint32_t>(number) : 0;
	}
	/* False: obsolete, close and open again. */
	bool current(on_error e SHMRING_THROWS_) const
	{
		return e.unless(ESTALE, shr_segment_check(c_));
	}

	bool alive(uint32_t member, on_error e SHMRING_THROWS_) const
	{
		int is = shr_member_alive(c_, member);

		return e(is) && is;
	}
	struct shr_member_info info(uint32_t member, on_error e SHMRING_THROWS_) const
	{
		struct shr_member_info info = {};

		e(shr_member_get(c_, member, &info));
		return info;
	}
	/*
	 * Mend what the dead left: how many deaths, each told to @died(const shr_death &). What
	 * that throws is thrown when all were told.
	 */
	template <class F>
	size_t sweep(F died, on_error e SHMRING_THROWS_)
	{
		detail::callback<F> callback(died);
		int count = shr_member_sweep(c_, detail::callback<F>::died, &callback);

		callback.rethrow();
		return e(count) ? static_cast<size_t>(count) : 0;
	}
	/* Wait for one first. False: none until then. */
	template <class F>
	bool wait_until(F died, deadline until, on_error e SHMRING_THROWS_)
	{
		detail::callback<F> callback(died);
		int count =
			shr_member_wait_until(c_, detail::callback<F>::died, &callback, until.ns());

		callback.rethrow();
		return e.unless(ETIMEDOUT, count);
	}
	template <class F>
	bool wait_for(F died, timeout time, on_error e SHMRING_THROWS_)
	{
		return wait_until(died, time, e);
	}
};

/* --- Rings ------------------------------------------------------------------- */

/* A ring of records of T; ring<> of untyped bytes. */
template <class T = void>
class ring : public detail::handle<struct shr_ring, shr_ring_close>
{
public:
	ring() noexcept = default;

	/*
	 * "+<" attaches, "+>" creates if it is absent: shr_ring_open(). The schema is T's, of
	 * ring<> that in the options, if there is one. Without options the ring is a stream of one cursor.
	 */
	ring(name of, const char *mode, on_error e SHMRING_THROWS_)
	    : ring(of, mode, ring_options(), e)
	{
	}
	ring(name of, const char *mode, const ring_options &options, on_error e SHMRING_THROWS_)
	    : ring(of, mode, options, segment_options(), e)
	{
	}
	ring(name of, const char *mode, const ring_options &options,
	     const segment_options &of_segment, on_error e SHMRING_THROWS_)
	{
		ring_options typed(options);

		typed.schema = detail::schema<T>::get(options.schema);
		e(shr_ring_open(&this->c_, of.c_str(), mode, &typed, &of_segment));
	}
	/* One of several objects of a segment. */
	ring(segment &in, name object, on_error e SHMRING_THROWS_)
	{
		e(shr_ring_attach(&this->c_, in.get(), object.c_str(), detail::schema<T>::get()));
	}
	/* A ring<> whose records have a schema that was made at run time. */
	template <class Untyped = T,
		  class = typename std::enable_if<std::is_void<Untyped>::value>::type>
	ring(segment &in, name object, const struct shr_schema *schema, on_error e SHMRING_THROWS_)
	{
		e(shr_ring_attach(&this->c_, in.get(), object.c_str(), schema));
	}
	static struct shr_object describe(name object, const ring_options &options,
					  on_error e SHMRING_THROWS_)
	{
		struct shr_object made = {};
		ring_options typed(options);

		typed.schema = detail::schema<T>::get(options.schema);
		e(shr_ring_describe(&made, object.c_str(), &typed));
		return made;
	}

	/* How it was made; how it is now; the same of each cursor (false: that place is free). */
	struct shr_ring_options options(on_error e SHMRING_THROWS_) const
	{
		struct shr_ring_options options = {};

		e(shr_ring_get(this->c_, &options));
		return options;
	}
	struct shr_ring_status stat(on_error e SHMRING_THROWS_) const
	{
		struct shr_ring_status status = {};

		e(shr_ring_stat(this->c_, &status));
		return status;
	}
	bool cursor_info(uint32_t index, struct shr_cursor_info &info,
			 on_error e SHMRING_THROWS_) const
	{
		return e.unless(ENOENT, shr_ring_cursor(this->c_, index, &info));
	}
	void remove_cursor(name cursor, on_error e SHMRING_THROWS_)
	{
		e(shr_ring_remove_cursor(this->c_, cursor.c_str()));
	}
	uint64_t capacity() const noexcept { return shr_ring_capacity(this->c_); }
	uint64_t max_record() const noexcept { return shr_ring_max_record(this->c_); }
	/* Of the segment: the segment's C handle, for the calls of segment.h and lock.h. */
	struct shr_segment *segment_of() const noexcept { return shr_ring_segment(this->c_); }
};

namespace detail
{
/*
 * Memory in the ring that was reserved, to be written and then committed. Leaving the
 * scope without commit() gives it up.
 */
class reservation_base
{
public:
	reservation_base(reservation_base &&other) noexcept
	    : producer_(other.producer_), payload_(other.payload_), size_(other.size_)
	{
		other.producer_ = nullptr;
	}
	reservation_base &operator=(reservation_base &&) = delete;
	SHMRING_HOT_ ~reservation_base()
	{
		if (producer_)
			shr_producer_abort(producer_);
	}
	explicit operator bool() const noexcept { return producer_ != nullptr; }
	SHMRING_HOT_ void commit(on_error e SHMRING_THROWS_) { e(shr_producer_commit(give())); }
	void abort(on_error e SHMRING_THROWS_) { e(shr_producer_abort(give())); }

protected:
	reservation_base(struct shr_producer *producer, void *payload, size_t size) noexcept
	    : producer_(producer), payload_(payload), size_(size)
	{
	}
	struct shr_producer *give() noexcept
	{
		struct shr_producer *producer = producer_;

		producer_ = nullptr;
		return producer;
	}
	struct shr_producer *producer_;
	void *payload_;
	size_t size_;
};
} /* namespace detail */

/* Write every member: what is in it at first is not specified. */
template <class T = void>
class reservation : public detail::reservation_base
{
public:
	T &operator*() const noexcept { return *static_cast<T *>(this->payload_); }
	T *operator->() const noexcept { return static_cast<T *>(this->payload_); }

private:
	template <class>
	friend class producer;
	using detail::reservation_base::reservation_base;
};

template <>
class reservation<void> : public detail::reservation_base
{
public:
	void *data() const noexcept { return payload_; }
	size_t size() const noexcept { return size_; }
#if __cplusplus >= 202002L
	std::span<std::byte> span() const noexcept
	{
		return {static_cast<std::byte *>(payload_), size_};
	}
#endif
	/* Publish the first @size bytes only. */
	void commit_size(size_t size, on_error e SHMRING_THROWS_)
	{
		e(shr_producer_commit_size(give(), size));
	}

private:
	template <class>
	friend class producer;
	using detail::reservation_base::reservation_base;
};

namespace detail
{
class producer_base : public handle<struct shr_producer, shr_producer_close>
{
public:
	/* The tag that the records from now on carry. */
	void set_type(uint16_t type, on_error e SHMRING_THROWS_)
	{
		e(shr_producer_set_type(c_, type));
	}

protected:
	producer_base() noexcept = default;
	producer_base(struct shr_ring *ring, on_error e)
	{
		e(ring ? shr_producer_open(&c_, ring) : -EINVAL);
	}
	/* False: full; dropped, in a ring that drops; the deadline has come. */
	static bool sent(int err, on_error e) { return e.unless(EAGAIN, ENOBUFS, err); }
	static bool sent_in_time(int err, on_error e) { return e.unless(ETIMEDOUT, ENOBUFS, err); }
};
} /* namespace detail */

/*
 * write() waits for room as long as it takes; it throws where the record cannot be
 * written at all, dropped ones (std::errc::no_buffer_space) among these. The others are
 * false where it was not written: no room, dropped, or the time is over.
 */
template <class T = void>
class producer : public detail::producer_base
{
public:
	producer() noexcept = default;
	explicit producer(const ring<T> &of, on_error e SHMRING_THROWS_)
	    : producer_base(of.get(), e)
	{
	}

	SHMRING_HOT_ bool try_write(const T &value, on_error e SHMRING_THROWS_)
	{
		return this->sent(shr_producer_write(this->c_, &value, sizeof(T)), e);
	}
	void write(const T &value, on_error e SHMRING_THROWS_)
	{
		e(shr_producer_write_until(this->c_, &value, sizeof(T), SHR_FOREVER));
	}
	bool write_until(const T &value, deadline until, on_error e SHMRING_THROWS_)
	{
		return this->sent_in_time(
			shr_producer_write_until(this->c_, &value, sizeof(T), until.ns()), e);
	}
	bool write_for(const T &value, timeout time, on_error e SHMRING_THROWS_)
	{
		return write_until(value, time, e);
	}
	/* Up to @count records of an array, one claim for SHR_BATCH_MAX of them: how many. */
	size_t try_write_many(const T *values, size_t count, on_error e SHMRING_THROWS_)
	{
		struct iovec pieces[SHR_BATCH_MAX];
		size_t done = 0;

		while (done < count) {
			size_t some = count - done < SHR_BATCH_MAX ? count - done : SHR_BATCH_MAX;
			int written;

			for (size_t i = 0; i < some; i++)
				pieces[i] = {const_cast<T *>(values + done + i), sizeof(T)};
			written = shr_producer_write_many(this->c_, pieces, some);
			/* What is behind the first ones is told when it is the first. */
			if (!this->sent(written < 0 && done ? 0 : written, e) || written <= 0)
				return done;
			done += static_cast<size_t>(written);
			if (static_cast<size_t>(written) < some)
				return done;
		}
		return done;
	}

	/* A record to be written in place: "record->member = ...; record.commit();". */
	SHMRING_HOT_ reservation<T> try_reserve(on_error e SHMRING_THROWS_)
	{
		void *payload = nullptr;
		bool is = this->sent(shr_producer_reserve(this->c_, sizeof(T), &payload), e);

		SHMRING_SURE_(!is || this->c_);
		return {is ? this->c_ : nullptr, payload, sizeof(T)};
	}
	reservation<T> reserve(on_error e SHMRING_THROWS_)
	{
		void *payload = nullptr;
		bool is = e(shr_producer_reserve_until(this->c_, sizeof(T), &payload, SHR_FOREVER));

		return {is ? this->c_ : nullptr, payload, sizeof(T)};
	}
	reservation<T> reserve_until(deadline until, on_error e SHMRING_THROWS_)
	{
		void *payload = nullptr;
		bool is = this->sent_in_time(
			shr_producer_reserve_until(this->c_, sizeof(T), &payload, until.ns()), e);

		return {is ? this->c_ : nullptr, payload, sizeof(T)};
	}
	reservation<T> reserve_for(timeout time, on_error e SHMRING_THROWS_)
	{
		return reserve_until(time, e);
	}
};

template <>
class producer<void> : public detail::producer_base
{
public:
	producer() noexcept = default;
	explicit producer(const ring<void> &of, on_error e SHMRING_THROWS_)
	    : producer_base(of.get(), e)
	{
	}

	bool try_write(bytes data, on_error e SHMRING_THROWS_)
	{
		return sent(shr_producer_write(c_, data.data(), data.size()), e);
	}
	void write(bytes data, on_error e SHMRING_THROWS_)
	{
		e(shr_producer_write_until(c_, data.data(), data.size(), SHR_FOREVER));
	}
	bool write_until(bytes data, deadline until, on_error e SHMRING_THROWS_)
	{
		return sent_in_time(
			shr_producer_write_until(c_, data.data(), data.size(), until.ns()), e);
	}
	bool write_for(bytes data, timeout time, on_error e SHMRING_THROWS_)
	{
		return write_until(data, time, e);
	}

	reservation<void> try_reserve(size_t size, on_error e SHMRING_THROWS_)
	{
		void *payload = nullptr;
		bool is = sent(shr_producer_reserve(c_, size, &payload), e);

		return {is ? c_ : nullptr, payload, size};
	}
	reservation<void> reserve(size_t size, on_error e SHMRING_THROWS_)
	{
		void *payload = nullptr;
		bool is = e(shr_producer_reserve_until(c_, size, &payload, SHR_FOREVER));

		return {is ? c_ : nullptr, payload, size};
	}
	reservation<void> reserve_until(size_t size, deadline until, on_error e SHMRING_THROWS_)
	{
		void *payload = nullptr;
		bool is =
			sent_in_time(shr_producer_reserve_until(c_, size, &payload, until.ns()), e);

		return {is ? c_ : nullptr, payload, size};
	}
	reservation<void> reserve_for(size_t size, timeout time, on_error e SHMRING_THROWS_)
	{
		return reserve_until(size, time, e);
	}
};

/* --- Records ----------------------------------------------------------------- */

namespace detail
{
struct access;

class record_base
{
public:
	/* False: there was none. */
	explicit operator bool() const noexcept { return c_.payload != nullptr; }
	const struct shr_record &get() const noexcept { return c_; }
	/* Bytes that were written: of another version of T perhaps not sizeof(T). */
	size_t size() const noexcept { return c_.size; }
	uint64_t position() const noexcept { return c_.position; }
	uint64_t sequence() const noexcept { return c_.sequence; }
	/* Records before this one that the cursor does not get. */
	uint64_t lost() const noexcept { return c_.lost; }
	bool redelivered() const noexcept { return (c_.flags & SHR_RECORD_REDELIVERED) != 0; }
	uint16_t deliveries() const noexcept { return c_.deliveries; }
	uint16_t type() const noexcept { return c_.type; }
	uint16_t member() const noexcept { return c_.member; }
	std::chrono::system_clock::time_point time() const noexcept
	{
		return std::chrono::system_clock::time_point(
			std::chrono::duration_cast<std::chrono::system_clock::duration>(
				std::chrono::nanoseconds(c_.time_ns)));
	}

protected:
	record_base() noexcept : c_() {}
	struct shr_record c_;
	friend struct access;
};

struct access {
	static struct shr_record &of(record_base &record) noexcept { return record.c_; }
};
} /* namespace detail */

/*
 * A record, read in place, until release. Of a lossy cursor or an observer it is a copy
 * until the next record, and so is one that was written with a shorter, older T: the
 * members that it has not are zero.
 */
template <class T = void>
class record : public detail::record_base
{
public:
	const T &operator*() const noexcept { return *static_cast<const T *>(this->c_.payload); }
	const T *operator->() const noexcept { return static_cast<const T *>(this->c_.payload); }
};

template <>
class record<void> : public detail::record_base
{
public:
	const void *data() const noexcept { return c_.payload; }
	std::string str() const
	{
		return std::string(static_cast<const char *>(c_.payload), c_.size);
	}
#if __cplusplus >= 201703L
	std::string_view view() const noexcept
	{
		return {static_cast<const char *>(c_.payload), c_.size};
	}
#endif
#if __cplusplus >= 202002L
	std::span<const std::byte> span() const noexcept
	{
		return {static_cast<const std::byte *>(c_.payload), c_.size};
	}
#endif
};

namespace detail
{
/*
 * Sees to it that a payload is all of a T. Records are not passed by address to what is
 * not inline, so that they can live in registers.
 */
template <class T>
class whole
{
public:
	SHMRING_HOT_ int operator()(int err, struct shr_record &record)
	{
		if (SHR_LIKELY_(err || record.size >= sizeof(T)))
			return err;
		record.payload = complete(record.payload, record.size);
		return record.payload ? 0 : -ENOMEM;
	}

private:
	SHMRING_COLD_ const void *complete(const void *payload, size_t size)
	{
		if (!copy_)
			copy_.reset(new (std::nothrow) unsigned char[sizeof(T)]);
		if (copy_) {
			std::memcpy(copy_.get(), payload, size);
			std::memset(copy_.get() + size, 0, sizeof(T) - size);
		}
		return copy_.get();
	}
	std::unique_ptr<unsigned char[]> copy_;
};
template <>
class whole<void>
{
public:
	int operator()(int err, struct shr_record &) const noexcept { return err; }
};

/*
 * What read says, made to fit: the rest of a shorter record of @bytes is zero, of a longer
 * one, which goes to *@longer, dropped.
 */
SHMRING_COLD_ inline int fit(struct shr_cursor *cursor, void *value, size_t size, size_t bytes,
			     struct shr_record *longer, int err)
{
	if (err == -EMSGSIZE) {
		err = shr_cursor_next(cursor, longer);
		if (err)
			return err;
		bytes = longer->size < size ? longer->size : size;
		std::memcpy(value, longer->payload, bytes);
		longer->payload = value;
		err = shr_cursor_release(cursor);
	}
	if (!err)
		std::memset(static_cast<char *>(value) + bytes, 0, size - bytes);
	return err;
}

SHMRING_HOT_ inline int read_whole(int err, struct shr_cursor *cursor, void *value, size_t size,
				   struct shr_record &record)
{
	if (!err && SHR_LIKELY_(record.size == size))
		return 0;

	struct shr_record longer = {};

	err = fit(cursor, value, size, err ? 0 : record.size, &longer, err);
	if (longer.payload)
		record = longer;
	return err;
}
} /* namespace detail */

namespace detail
{
template <class T>
class cursor_base;
} /* namespace detail */

/*
 * Records for a range-for: each is released when the next one is asked for. One in
 * which the loop was left (break, return, a throw) is still held: release() is for
 * who has done it, else a durable cursor's next owner gets it again.
 */
template <class T>
class records
{
public:
	class iterator
	{
	public:
		typedef std::input_iterator_tag iterator_category;
		typedef record<T> value_type;
		typedef std::ptrdiff_t difference_type;
		typedef const record<T> *pointer;
		typedef const record<T> &reference;

		reference operator*() const noexcept { return record_; }
		pointer operator->() const noexcept { return &record_; }
		SHMRING_HOT_ iterator &operator++()
		{
			struct shr_cursor *c = range_.cursor_->get();

			if (range_.e_(shr_cursor_release(c)))
				fetch(c);
			else
				detail::access::of(record_).payload = nullptr;
			return *this;
		}
		void operator++(int) { ++*this; }
		/* Only of use beside end(). */
		friend bool operator==(const iterator &a, const iterator &b) noexcept
		{
			return !a.record_ && !b.record_;
		}
		friend bool operator!=(const iterator &a, const iterator &b) noexcept
		{
			return a.record_ || b.record_;
		}

	private:
		friend class records;
		explicit iterator(const records &range) noexcept : range_(range) {}
		SHMRING_HOT_ void fetch(struct shr_cursor *c)
		{
			range_.cursor_->fetch(c, record_, range_.wait_, range_.until_ns_,
					      range_.e_);
		}
		records range_;
		record<T> record_;
	};
	SHMRING_HOT_ iterator begin() const
	{
		iterator first(*this);

		first.fetch(cursor_->get());
		return first;
	}
	iterator end() const noexcept { return iterator(*this); }

private:
	friend class detail::cursor_base<T>;
	records(detail::cursor_base<T> *of, bool wait, int64_t until_ns, on_error e) noexcept
	    : cursor_(of), wait_(wait), until_ns_(until_ns), e_(e)
	{
	}
	detail::cursor_base<T> *cursor_;
	bool wait_;
	int64_t until_ns_;
	on_error e_;
};

namespace detail
{
/* What readers of typed and of untyped records have in common. */
template <class T>
class cursor_base : public handle<struct shr_cursor, shr_cursor_close>
{
public:
	/* The next record; next() waits. It is held, with others, until release(). */
	SHMRING_HOT_ record<T> try_next(on_error e SHMRING_THROWS_)
	{
		record<T> found;

		fetch(this->c_, found, false, 0, e);
		return found;
	}
	record<T> next(on_error e SHMRING_THROWS_)
	{
		record<T> found;

		fetch(this->c_, found, true, SHR_FOREVER, e);
		return found;
	}
	record<T> next_until(deadline until, on_error e SHMRING_THROWS_)
	{
		record<T> found;

		fetch(this->c_, found, true, until.ns(), e);
		return found;
	}
	record<T> next_for(timeout time, on_error e SHMRING_THROWS_) { return next_until(time, e); }
	SHMRING_HOT_ void release(on_error e SHMRING_THROWS_) { e(shr_cursor_release(this->c_)); }

	/*
	 * For a range-for: what is there; what is there and comes (in short: the cursor
	 * itself); the same, until none has come by the deadline.
	 */
	records<T> available(on_error e SHMRING_THROWS_) { return records<T>(this, false, 0, e); }
	records<T> all(on_error e SHMRING_THROWS_)
	{
		return records<T>(this, true, SHR_FOREVER, e);
	}
	records<T> all_until(deadline until, on_error e SHMRING_THROWS_)
	{
		return records<T>(this, true, until.ns(), e);
	}
#ifdef __cpp_exceptions
	typename records<T>::iterator begin()
	{
		return all().begin();
	}
	typename records<T>::iterator end() noexcept
	{
		return all().end();
	}
#endif

	struct shr_cursor_info info(on_error e SHMRING_THROWS_) const
	{
		struct shr_cursor_info info = {};

		e(shr_cursor_get(this->c_, &info));
		return info;
	}
	uint64_t position() const noexcept
	{
		return shr_cursor_position(this->c_);
	}
	/* To be polled, and nothing else: shr_cursor_fd(). */
	int fd(on_error e SHMRING_THROWS_)
	{
		int fd = shr_cursor_fd(this->c_);

		return e(fd) ? fd : -1;
	}

protected:
	cursor_base() noexcept = default;
	cursor_base(struct shr_ring *ring, const char *of, const struct shr_cursor_options *options,
		    on_error e)
	{
		e(ring ? shr_cursor_open_with(&this->c_, ring, of, options) : -EINVAL);
	}

private:
	friend class records<T>;
	SHMRING_HOT_ void fetch(struct shr_cursor *c, record<T> &found, bool wait, int64_t until_ns,
				on_error e)
	{
		struct shr_record &record = access::of(found);
		int err = shr_cursor_next(c, &record);

		if (err == -EAGAIN && wait)
			record = sleep(until_ns, err);
		err = whole_(err, record);
		if (SHR_LIKELY_(!err))
			SHMRING_SURE_(record.payload);
		else
			record.payload = nullptr;
		e.unless(EAGAIN, ETIMEDOUT, err);
	}
	SHMRING_COLD_ struct shr_record sleep(int64_t until_ns, int &err)
	{
		struct shr_record found = {};

		err = shr_cursor_next_until(this->c_, &found, until_ns);
		return found;
	}
	whole<T> whole_;
};
} /* namespace detail */

/*
 * A reader of a ring: in place (next, and the loops), or by copies (read), which
 * release all that is held. Without a name: the only cursor of a stream, or (by the
 * options) an observer.
 */
template <class T = void>
class cursor : public detail::cursor_base<T>
{
public:
	cursor() noexcept = default;
	explicit cursor(const ring<T> &of, on_error e SHMRING_THROWS_)
	    : detail::cursor_base<T>(of.get(), nullptr, nullptr, e)
	{
	}
	cursor(const ring<T> &of, const cursor_options &options, on_error e SHMRING_THROWS_)
	    : detail::cursor_base<T>(of.get(), nullptr, &options, e)
	{
	}
	cursor(const ring<T> &of, name is, on_error e SHMRING_THROWS_)
	    : detail::cursor_base<T>(of.get(), is.c_str(), nullptr, e)
	{
	}
	cursor(const ring<T> &of, name is, const cursor_options &options,
	       on_error e SHMRING_THROWS_)
	    : detail::cursor_base<T>(of.get(), is.c_str(), &options, e)
	{
	}

	/* To @value; @from tells what else is known of the record, and points to @value. */
	SHMRING_HOT_ bool try_read(T &value, record<T> &from, on_error e SHMRING_THROWS_)
	{
		return e.unless(EAGAIN, read_now(value, detail::access::of(from)));
	}
	SHMRING_HOT_ bool try_read(T &value, on_error e SHMRING_THROWS_)
	{
		struct shr_record c;

		return e.unless(EAGAIN, read_now(value, c));
	}
	T read(on_error e SHMRING_THROWS_)
	{
		T value = T();

		e(read_by(value, SHR_FOREVER));
		return value;
	}
	bool read_until(T &value, deadline until, on_error e SHMRING_THROWS_)
	{
		return e.unless(ETIMEDOUT, read_by(value, until.ns()));
	}
	bool read_for(T &value, timeout time, on_error e SHMRING_THROWS_)
	{
		return read_until(value, time, e);
	}

private:
	SHMRING_HOT_ int read_now(T &value, struct shr_record &c)
	{
		int err = shr_cursor_read(this->c_, &value, sizeof(T), &c);

		return detail::read_whole(err, this->c_, &value, sizeof(T), c);
	}
	/* -EAGAIN: a longer record was overwritten between the two looks at it. */
	int read_by(T &value, int64_t deadline_ns)
	{
		struct shr_record c = {};
		int err;

		do {
			err = shr_cursor_read_until(this->c_, &value, sizeof(T), &c, deadline_ns);
			err = detail::read_whole(err, this->c_, &value, sizeof(T), c);
		} while (err == -EAGAIN);
		return err;
	}
};

template <>
class cursor<void> : public detail::cursor_base<void>
{
public:
	cursor() noexcept = default;
	explicit cursor(const ring<> &of, on_error e SHMRING_THROWS_)
	    : cursor_base(of.get(), nullptr, nullptr, e)
	{
	}
	cursor(const ring<> &of, const cursor_options &options, on_error e SHMRING_THROWS_)
	    : cursor_base(of.get(), nullptr, &options, e)
	{
	}
	cursor(const ring<> &of, name is, on_error e SHMRING_THROWS_)
	    : cursor_base(of.get(), is.c_str(), nullptr, e)
	{
	}
	cursor(const ring<> &of, name is, const cursor_options &options, on_error e SHMRING_THROWS_)
	    : cursor_base(of.get(), is.c_str(), &options, e)
	{
	}

	/*
	 * To a buffer; @from is the record there. Too small is std::errc::message_size, and
	 * from.size() what it takes.
	 */
	bool try_read(void *buffer, size_t size, record<> &from, on_error e SHMRING_THROWS_)
	{
		return e.unless(EAGAIN,
				shr_cursor_read(c_, buffer, size, &detail::access::of(from)));
	}
	bool read_until(void *buffer, size_t size, record<> &from, deadline until,
			on_error e SHMRING_THROWS_)
	{
		return e.unless(ETIMEDOUT,
				shr_cursor_read_until(c_, buffer, size, &detail::access::of(from),
						      until.ns()));
	}
	bool read_for(void *buffer, size_t size, record<> &from, timeout time,
		      on_error e SHMRING_THROWS_)
	{
		return read_until(buffer, size, from, time, e);
	}
};

/*
 * Wait until one of @cursors, of any rings, has something: its place among them, and
 * false if none has by then. @which is where the last one was: shr_cursor_wait_any_until().
 */
inline bool wait_any_until(std::initializer_list<struct shr_cursor *> cursors, size_t &which,
			   deadline until, on_error e SHMRING_THROWS_)
{
	return e.unless(ETIMEDOUT, shr_cursor_wait_any_until(cursors.begin(), cursors.size(),
							     &which, until.ns()));
}

/* --- Queues ------------------------------------------------------------------ */

/*
 * A record that a worker has taken. Without ack() it is given back at the end of the
 * scope, to be taken again by anybody (at most once: it is lost, and counted).
 */
template <class T = void>
class job
{
public:
	job(job &&other) noexcept : cursor_(other.cursor_), record_(other.record_)
	{
		other.cursor_ = nullptr;
	}
	job &operator=(job &&other) noexcept
	{
		if (this != &other) {
			if (cursor_)
				shr_cursor_nack(cursor_, &record_.get());
			cursor_ = other.cursor_;
			record_ = other.record_;
			other.cursor_ = nullptr;
		}
		return *this;
	}
	~job()
	{
		if (cursor_)
			shr_cursor_nack(cursor_, &record_.get());
	}
	explicit operator bool() const noexcept { return cursor_ != nullptr; }
	/* What is known of it, deliveries() above all; and what it says. */
	const record<T> &info() const noexcept { return record_; }
	typename std::add_lvalue_reference<const T>::type operator*() const noexcept
	{
		return *static_cast<const T *>(record_.get().payload);
	}
	const T *operator->() const noexcept
	{
		return static_cast<const T *>(record_.get().payload);
	}
	void ack(on_error e SHMRING_THROWS_) { e(shr_cursor_ack(give(), &record_.get())); }
	void nack(on_error e SHMRING_THROWS_) { e(shr_cursor_nack(give(), &record_.get())); }

private:
	template <class>
	friend class worker;
	job(struct shr_cursor *of, const record<T> &taken) noexcept
	    : cursor_(taken ? of : nullptr), record_(taken)
	{
	}
	struct shr_cursor *give() noexcept
	{
		struct shr_cursor *cursor = cursor_;

		cursor_ = nullptr;
		return cursor;
	}
	struct shr_cursor *cursor_;
	record<T> record_;
};

/* One of any number that share the records of a queue; fd(), info() and get() of a cursor. */
template <class T = void>
class worker
{
public:
	worker() noexcept = default;
	explicit worker(const ring<T> &of, on_error e SHMRING_THROWS_) : cursor_(of, e) {}
	job<T> try_take(on_error e SHMRING_THROWS_) { return {get(), cursor_.try_next(e)}; }
	job<T> take(on_error e SHMRING_THROWS_) { return {get(), cursor_.next(e)}; }
	job<T> take_until(deadline until, on_error e SHMRING_THROWS_)
	{
		return {get(), cursor_.next_until(until, e)};
	}
	job<T> take_for(timeout time, on_error e SHMRING_THROWS_)
	{
		return {get(), cursor_.next_for(time, e)};
	}
	struct shr_cursor_info info(on_error e SHMRING_THROWS_) const { return cursor_.info(e); }
	int fd(on_error e SHMRING_THROWS_) { return cursor_.fd(e); }
	struct shr_cursor *get() const noexcept { return cursor_.get(); }
	explicit operator bool() const noexcept { return get() != nullptr; }
	void close(on_error e SHMRING_THROWS_) { cursor_.close(e); }

private:
	cursor<T> cursor_;
};

/* --- Tables ------------------------------------------------------------------ */

namespace detail
{
/* The field of a table that is the key, where that is an integer. */
struct key_field {
	size_t size = 0; /* bytes; 0: it is none */
	bool is_signed = false;
};
} /* namespace detail */

/* The key of a record: an integer, of any type, or text or other bytes. */
class key
{
public:
	template <class I, class = typename std::enable_if<std::is_integral<I>::value ||
							   std::is_enum<I>::value>::type>
	key(I number) noexcept
	    : number_(static_cast<uint64_t>(number)), negative_(number < I()), text_(nullptr, 0)
	{
	}
	template <class B,
		  class = typename std::enable_if<std::is_convertible<B, bytes>::value>::type,
		  class = typename std::enable_if<!std::is_integral<B>::value>::type>
	key(const B &text) noexcept : number_(0), negative_(false), text_(text)
	{
	}
	/* As @field has it. A number that is none of its values is of no size that a call takes. */
	bytes as(detail::key_field field) const noexcept
	{
		size_t unused = 64 - 8 * field.size; /* bits */
		const char *at = reinterpret_cast<const char *>(&number_);
		bool fits = field.size;

		if (text_.data())
			return text_;
		if (fits && negative_)
			fits = field.is_signed && ~number_ << unused >> unused == ~number_ &&
			       number_ << unused >> 63;
		else if (fits)
			fits = number_ << unused >> unused == number_ &&
			       !(field.is_signed && number_ << unused >> 63);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		at += sizeof(number_) - field.size;
#endif
		return bytes(at, fits ? field.size : SIZE_MAX);
	}

private:
	uint64_t number_;
	bool negative_;
	bytes text_;
};

/*
 * An update of a record, begun: its slot is locked. commit() makes it what everybody
 * reads. Leaving the scope without commit() gives it up (in place there is nothing to
 * go back to: what was written stays, unless the record was torn, which it then is
 * still).
 */
template <class T>
class update
{
public:
	update(update &&other) noexcept
	    : table_(other.table_), record_(other.record_), slot_(other.slot_), torn_(other.torn_)
	{
		other.table_ = nullptr;
	}
	update &operator=(update &&) = delete;
	~update()
	{
		if (table_ && shr_table_abort(table_, slot_) == -EOPNOTSUPP)
			shr_table_commit(table_, slot_);
	}
	explicit operator bool() const noexcept { return table_ != nullptr; }
	/* In place: somebody was killed inside an update (-EOWNERDEAD): write all of it. */
	bool torn() const noexcept { return torn_; }
	uint32_t slot() const noexcept { return slot_; }
	T &operator*() const noexcept { return *record_; }
	T *operator->() const noexcept { return record_; }
	void commit(on_error e SHMRING_THROWS_) { e(shr_table_commit(give(), slot_)); }
	void abort(on_error e SHMRING_THROWS_)
	{
		int err = shr_table_abort(table_, slot_);

		if (err != -EOPNOTSUPP) /* else it is still inside */
			give();
		e(err);
	}

private:
	template <class>
	friend class table;
	update(struct shr_table *of, void *record, uint32_t slot, int err) noexcept
	    : table_(!err || err == -EOWNERDEAD ? of : nullptr), record_(static_cast<T *>(record)),
	      slot_(slot), torn_(err == -EOWNERDEAD)
	{
	}
	struct shr_table *give() noexcept
	{
		struct shr_table *table = table_;

		table_ = nullptr;
		return table;
	}
	struct shr_table *table_;
	T *record_;
	uint32_t slot_;
	bool torn_;
};

static constexpr uint32_t no_slot = SHR_TABLE_ANY;

/* The used slots of a table, for a range-for. */
class slot_range
{
public:
	class iterator
	{
	public:
		typedef std::input_iterator_tag iterator_category;
		typedef uint32_t value_type;
		typedef std::ptrdiff_t difference_type;
		typedef const uint32_t *pointer;
		typedef uint32_t reference;

		iterator(const struct shr_table *of, uint32_t from) noexcept
		    : table_(of), slot_(from)
		{
			if (slot_ != no_slot && shr_table_next(table_, &slot_))
				slot_ = no_slot;
		}
		uint32_t operator*() const noexcept { return slot_; }
		iterator &operator++() noexcept { return *this = iterator(table_, slot_ + 1); }
		friend bool operator==(const iterator &a, const iterator &b) noexcept
		{
			return a.slot_ == b.slot_;
		}
		friend bool operator!=(const iterator &a, const iterator &b) noexcept
		{
			return a.slot_ != b.slot_;
		}

	private:
		const struct shr_table *table_;
		uint32_t slot_;
	};
	explicit slot_range(const struct shr_table *of) noexcept : table_(of) {}
	iterator begin() const noexcept { return {table_, 0}; }
	iterator end() const noexcept { return {table_, no_slot}; }

private:
	const struct shr_table *table_;
};

/* A table of records of T. */
template <class T>
class table : public detail::handle<struct shr_table, shr_table_close>
{
public:
	table() noexcept = default;

	/* As a ring: "+<" attaches, "+>" creates if it is absent; or an object of a segment. */
	table(name of, const char *mode, on_error e SHMRING_THROWS_)
	    : table(of, mode, table_options(), e)
	{
	}
	table(name of, const char *mode, const table_options &options, on_error e SHMRING_THROWS_)
	    : table(of, mode, options, segment_options(), e)
	{
	}
	table(name of, const char *mode, const table_options &options,
	      const segment_options &of_segment, on_error e SHMRING_THROWS_)
	{
		table_options typed(options);

		typed.schema = detail::schema<T>::get();
		if (e(shr_table_open(&this->c_, of.c_str(), mode, &typed, &of_segment)))
			key_ = key_of();
	}
	table(segment &in, name object, on_error e SHMRING_THROWS_)
	{
		if (e(shr_table_attach(&this->c_, in.get(), object.c_str(),
				       detail::schema<T>::get())))
			key_ = key_of();
	}
	static struct shr_object describe(name object, const table_options &options,
					  on_error e SHMRING_THROWS_)
	{
		struct shr_object made = {};
		table_options typed(options);

		typed.schema = detail::schema<T>::get();
		e(shr_table_describe(&made, object.c_str(), &typed));
		return made;
	}
	struct shr_table_status stat(on_error e SHMRING_THROWS_) const
	{
		struct shr_table_status status = {};

		e(shr_table_stat(this->c_, &status));
		return status;
	}
	uint32_t slot_count() const noexcept { return shr_table_slots(this->c_); }
	/* for (uint32_t slot : table.used()) */
	slot_range used() const noexcept { return slot_range(this->c_); }

	uint32_t insert(const T &value, on_error e SHMRING_THROWS_)
	{
		uint32_t slot = no_slot;

		e(shr_table_insert(this->c_, &value, sizeof(T), &slot));
		return slot;
	}
	void remove(uint32_t slot, on_error e SHMRING_THROWS_)
	{
		e(shr_table_remove(this->c_, slot));
	}
	/* False: it is not there. */
	bool remove_key(const key &of, on_error e SHMRING_THROWS_)
	{
		bytes is = of.as(key_);

		return e.unless(ENOENT, shr_table_remove_key(this->c_, is.data(), is.size()));
	}
	/* The slot, or no_slot. */
	uint32_t find(const key &of, on_error e SHMRING_THROWS_) const
	{
		bytes is = of.as(key_);
		uint32_t slot = no_slot;

		return e.unless(ENOENT, shr_table_find(this->c_, is.data(), is.size(), &slot))
			       ? slot
			       : no_slot;
	}

	/* A copy, of one commit. It throws where the slot is free or the record torn. */
	T read(uint32_t slot, on_error e SHMRING_THROWS_) const
	{
		T value = T();

		e.found(shr_table_read(this->c_, slot, &value, sizeof(T), nullptr));
		return value;
	}
	T read_key(const key &of, on_error e SHMRING_THROWS_) const
	{
		bytes is = of.as(key_);
		T value = T();

		e.found(shr_table_read_key(this->c_, is.data(), is.size(), &value, sizeof(T),
					   nullptr));
		return value;
	}
	/* False: no record there, or a torn one; read() tells which. */
	SHMRING_HOT_ bool try_read(uint32_t slot, T &value, on_error e SHMRING_THROWS_) const
	{
		return e.unless(ENOENT, EAGAIN,
				shr_table_read(this->c_, slot, &value, sizeof(T), nullptr));
	}
	bool try_read(uint32_t slot, T &value, struct shr_slot_info &info,
		      on_error e SHMRING_THROWS_) const
	{
		return e.unless(ENOENT, EAGAIN,
				shr_table_read(this->c_, slot, &value, sizeof(T), &info));
	}
	bool try_read_key(const key &of, T &value, on_error e SHMRING_THROWS_) const
	{
		bytes is = of.as(key_);

		return e.unless(ENOENT, EAGAIN,
				shr_table_read_key(this->c_, is.data(), is.size(), &value,
						   sizeof(T), nullptr));
	}
	/* If it is another than of info.version, which it then is. */
	bool read_changed(uint32_t slot, T &value, struct shr_slot_info &info,
			  on_error e SHMRING_THROWS_) const
	{
		int is = shr_table_read_changed(this->c_, slot, info.version, &value, sizeof(T),
						&info);

		return e.found(is) && is;
	}

	/* Begin: wait for who is inside an update of it, not at all, or so long. */
	update<T> begin(uint32_t slot, on_error e SHMRING_THROWS_)
	{
		void *record = nullptr;
		int err = shr_table_begin(this->c_, slot, &record);

		return begun(err, slot, record, e);
	}
	update<T> try_begin(uint32_t slot, on_error e SHMRING_THROWS_)
	{
		void *record = nullptr;
		int err = shr_table_begin_until(this->c_, slot, &record, 0);

		return begun(err, slot, record, e);
	}
	update<T> begin_until(uint32_t slot, deadline until, on_error e SHMRING_THROWS_)
	{
		void *record = nullptr;
		int err = shr_table_begin_until(this->c_, slot, &record, until.ns());

		return begun(err, slot, record, e);
	}
	update<T> begin_for(uint32_t slot, timeout time, on_error e SHMRING_THROWS_)
	{
		return begin_until(slot, time, e);
	}
	update<T> begin_key(const key &of, on_error e SHMRING_THROWS_)
	{
		bytes is = of.as(key_);
		void *record = nullptr;
		uint32_t slot = no_slot;
		int err = shr_table_begin_key(this->c_, is.data(), is.size(), &slot, &record);

		return begun(err, slot, record, e);
	}
	/* Begin, copy, commit; of a torn record too. */
	void write(uint32_t slot, const T &value, on_error e SHMRING_THROWS_)
	{
		e(shr_table_write(this->c_, slot, &value, sizeof(T)));
	}

	/* Counters: table.add(slot, &stats::requests, 1). What it was before; what it is. */
	template <class M>
	M add(uint32_t slot, M T::*member, int64_t amount, on_error e SHMRING_THROWS_)
	{
		uint64_t before = 0;

		e(shr_table_add(this->c_, slot, offset_of(member), amount, &before));
		return static_cast<M>(before);
	}
	template <class M>
	M fetch(uint32_t slot, M T::*member, on_error e SHMRING_THROWS_) const
	{
		uint64_t value = 0;

		e.found(shr_table_fetch(this->c_, slot, offset_of(member), &value));
		return static_cast<M>(value);
	}
	/* False: it is not @expected, but what that is then. */
	template <class M>
	bool compare_set(uint32_t slot, M T::*member, M &expected, M value,
			 on_error e SHMRING_THROWS_)
	{
		uint64_t is = static_cast<uint64_t>(expected);
		bool done =
			e.unless(EAGAIN, shr_table_compare_set(this->c_, slot, offset_of(member),
							       &is, static_cast<uint64_t>(value)));

		expected = static_cast<M>(is);
		return done;
	}

	/* Watching: shr_table_changes(), shr_table_wait_until(), shr_table_fd(). */
	uint64_t changes() noexcept { return shr_table_changes(this->c_); }
	bool wait_until(uint32_t slot, uint64_t since, deadline until, uint64_t &now,
			on_error e SHMRING_THROWS_)
	{
		return e.unless(ETIMEDOUT,
				shr_table_wait_until(this->c_, slot, since, until.ns(), &now));
	}
	int fd(on_error e SHMRING_THROWS_)
	{
		int fd = shr_table_fd(this->c_);

		return e(fd) ? fd : -1;
	}
	void arm(uint64_t since, on_error e SHMRING_THROWS_) { e(shr_table_arm(this->c_, since)); }

private:
	update<T> begun(int err, uint32_t slot, void *record, on_error e)
	{
		if (err == -EOWNERDEAD)
			e(0);
		else
			e.unless(ETIMEDOUT, err);
		return {this->c_, record, slot, err};
	}
	template <class M>
	static size_t offset_of(M T::*member) noexcept
	{
		static_assert(std::is_integral<M>::value, "shmring: counters are integers");
		alignas(T) unsigned char room[sizeof(T)];
		const T *record = reinterpret_cast<const T *>(room);

		return static_cast<size_t>(
			reinterpret_cast<const unsigned char *>(&(record->*member)) - room);
	}
	detail::key_field key_of() const noexcept
	{
		const struct shr_schema *schema = detail::schema<T>::get();
		struct shr_table_status status = {};
		detail::key_field key;

		if (shr_table_stat(this->c_, &status) || !status.key_field ||
		    status.key_field > schema->field_count)
			return key;
		const struct shr_field &field = schema->fields[status.key_field - 1];
		if (field.count || field.kind == SHR_KIND_CHAR)
			return key;
		key.size = shr_kind_size(field.kind);
		key.is_signed = field.kind % 2 == 0; /* SHR_KIND_I8, I16 ... */
		return key;
	}
	detail::key_field key_;
};

/* --- Mutexes and events ------------------------------------------------------ */

/*
 * A mutex that is held. owner_died(): a holder was killed inside (-EOWNERDEAD): repair
 * what it protects and say consistent(). Unlocked without that it is unrecoverable; so
 * it is no std::mutex, whose lock() has no place for this.
 */
class held
{
public:
	held(held &&other) noexcept
	    : mutex_(other.mutex_), index_(other.index_), owner_died_(other.owner_died_)
	{
		other.mutex_ = nullptr;
	}
	held &operator=(held &&) = delete;
	~held()
	{
		if (mutex_)
			shr_mutex_unlock(mutex_, index_);
	}
	explicit operator bool() const noexcept { return mutex_ != nullptr; }
	bool owner_died() const noexcept { return owner_died_; }
	void consistent(on_error e SHMRING_THROWS_)
	{
		if (e(shr_mutex_consistent(mutex_, index_)))
			owner_died_ = false;
	}
	void unlock(on_error e SHMRING_THROWS_)
	{
		struct shr_mutex *mutex = mutex_;

		mutex_ = nullptr;
		e(shr_mutex_unlock(mutex, index_));
	}

private:
	friend class mutex;
	held(struct shr_mutex *of, uint32_t index, int err) noexcept
	    : mutex_(!err || err == -EOWNERDEAD ? of : nullptr), index_(index),
	      owner_died_(err == -EOWNERDEAD)
	{
	}
	struct shr_mutex *mutex_;
	uint32_t index_;
	bool owner_died_;
};

/* An array of mutexes. */
class mutex : public detail::handle<struct shr_mutex, shr_mutex_close>
{
public:
	mutex() noexcept = default;
	mutex(name of, const char *mode, uint32_t count, on_error e SHMRING_THROWS_)
	{
		e(shr_mutex_open(&c_, of.c_str(), mode, count, nullptr));
	}
	mutex(name of, const char *mode, uint32_t count, const segment_options &of_segment,
	      on_error e SHMRING_THROWS_)
	{
		e(shr_mutex_open(&c_, of.c_str(), mode, count, &of_segment));
	}
	mutex(segment &in, name object, on_error e SHMRING_THROWS_)
	{
		e(shr_mutex_attach(&c_, in.get(), object.c_str()));
	}
	static struct shr_object describe(name object, uint32_t count, on_error e SHMRING_THROWS_)
	{
		struct shr_object made = {};

		e(shr_mutex_describe(&made, object.c_str(), count));
		return made;
	}
	uint32_t count() const noexcept { return shr_mutex_count(c_); }

	held lock(uint32_t index, on_error e SHMRING_THROWS_)
	{
		return locked(shr_mutex_lock(c_, index), index, e);
	}
	held try_lock(uint32_t index, on_error e SHMRING_THROWS_)
	{
		return locked(shr_mutex_try(c_, index), index, e);
	}
	held lock_until(uint32_t index, deadline until, on_error e SHMRING_THROWS_)
	{
		return locked(shr_mutex_lock_until(c_, index, until.ns()), index, e);
	}
	held lock_for(uint32_t index, timeout time, on_error e SHMRING_THROWS_)
	{
		return lock_until(index, time, e);
	}
	/* Of an unrecoverable one: shr_mutex_reset(). */
	void reset(uint32_t index, on_error e SHMRING_THROWS_) { e(shr_mutex_reset(c_, index)); }
	struct shr_mutex_info info(uint32_t index, on_error e SHMRING_THROWS_) const
	{
		struct shr_mutex_info info = {};

		e(shr_mutex_get(c_, index, &info));
		return info;
	}

private:
	held locked(int err, uint32_t index, on_error e)
	{
		if (err == -EOWNERDEAD)
			e(0);
		else
			e.unless(EBUSY, ETIMEDOUT, err);
		return {c_, index, err};
	}
};

/* An array of events. */
class event : public detail::handle<struct shr_event, shr_event_close>
{
public:
	event() noexcept = default;
	event(name of, const char *mode, uint32_t count, on_error e SHMRING_THROWS_)
	{
		e(shr_event_open(&c_, of.c_str(), mode, count, nullptr));
	}
	event(name of, const char *mode, uint32_t count, const segment_options &of_segment,
	      on_error e SHMRING_THROWS_)
	{
		e(shr_event_open(&c_, of.c_str(), mode, count, &of_segment));
	}
	event(segment &in, name object, on_error e SHMRING_THROWS_)
	{
		e(shr_event_attach(&c_, in.get(), object.c_str()));
	}
	static struct shr_object describe(name object, uint32_t count, on_error e SHMRING_THROWS_)
	{
		struct shr_object made = {};

		e(shr_event_describe(&made, object.c_str(), count));
		return made;
	}
	uint32_t count() const noexcept { return shr_event_count(c_); }

	void notify(uint32_t index, on_error e SHMRING_THROWS_) { e(shr_event_notify(c_, index)); }
	/* Announce a sleep; look at the condition; sleep: false: the time is over. */
	uint32_t prepare(uint32_t index, on_error e SHMRING_THROWS_)
	{
		uint32_t key = 0;

		e(shr_event_prepare(c_, index, &key));
		return key;
	}
	bool wait_until(uint32_t index, uint32_t key, deadline until, on_error e SHMRING_THROWS_)
	{
		return e.unless(ETIMEDOUT, shr_event_wait_until(c_, index, key, until.ns()));
	}
	/* The whole of that, until @ready() is true. What it throws comes out. */
	template <class F>
	void await(uint32_t index, F ready, on_error e SHMRING_THROWS_)
	{
		e(await_ns(index, ready, SHR_FOREVER));
	}
	template <class F>
	bool await_until(uint32_t index, F ready, deadline until, on_error e SHMRING_THROWS_)
	{
		return e.unless(ETIMEDOUT, await_ns(index, ready, until.ns()));
	}
	template <class F>
	bool await_for(uint32_t index, F ready, timeout time, on_error e SHMRING_THROWS_)
	{
		return await_until(index, ready, time, e);
	}
	int fd(uint32_t index, on_error e SHMRING_THROWS_)
	{
		int fd = shr_event_fd(c_, index);

		return e(fd) ? fd : -1;
	}

private:
	template <class F>
	int await_ns(uint32_t index, F &ready, int64_t deadline_ns)
	{
		detail::callback<F> callback(ready);
		int err = shr_event_await_until(c_, index, detail::callback<F>::ready, &callback,
						deadline_ns);

		callback.rethrow();
		return err;
	}
};

} // namespace SHMRING_ABI_
} /* namespace shmring */

#undef SHMRING_THROWS_
#undef SHMRING_ABI_
#undef SHMRING_COLD_
#undef SHMRING_HOT_

#endif
