/* SPDX-License-Identifier: MIT */
/*
 * L2, schemas: describe a C struct once, and every process and tool can check
 * and print records of it.
 *
 *	struct order {
 *		uint64_t id;
 *		double px;
 *		uint32_t qty;
 *		uint16_t side;
 *		uint8_t flags[2];
 *		char sym[8];
 *	};
 *	SHR_SCHEMA(order, 1, id, px, qty, side, flags, sym);
 *
 * defines a static schema, SHR_SCHEMA_OF(order), in C11 and in C++11. Types
 * and offsets are found by the compiler; what it cannot vouch for does not
 * compile, with a sentence:
 *
 *   - every byte is a described member: padding would carry stale memory from
 *     one process to another, and its size differs between machines;
 *   - members are listed in the order of the struct, each once, at most 64;
 *   - each lies at a multiple of its own size, so that 32- and 64-bit programs
 *     agree (on i386 the compiler does not ask for that);
 *   - integers of 1, 2, 4 or 8 bytes, float, double, char, enums, and arrays of
 *     them with one dimension. A bool is described as a uint8_t. Pointers,
 *     nested structs, bit-fields and long double are refused.
 *
 * char is text: an array of it is a string that ends at its first zero byte or
 * with the array. Use int8_t or uint8_t for numbers.
 *
 * A member may come in parentheses, with what people and tools are to know of
 * it, in any order:
 *
 *	static const struct shr_enum_name sides[] = {{BUY, "buy"}, {SELL, "sell"}};
 *	SHR_SCHEMA(order, 2, id, (px, SHR_UNIT("USD"), SHR_HELP("limit")), qty,
 *		   (side, SHR_ENUM(sides)), flags, (sym, SHR_SINCE(2)));
 *
 * All of that is stored in the segment, and shmring-dump prints by it. It is no
 * part of the layout: programs that say it otherwise go together all the same.
 *
 * A struct evolves by new members at its end. A segment made with a shorter or
 * a longer version opens; anything else is -EPROTOTYPE, and shr_last_error()
 * names the first member that differs.
 *
 * What is known only at run time, as in a binding for another language, makes
 * its schema with struct shr_schema_builder, below.
 */
#ifndef SHMRING_SCHEMA_H
#define SHMRING_SCHEMA_H

#include <shmring/base.h>
#include <shmring/foreach.h>

#ifdef __cplusplus
#include <type_traits>
extern "C" {
#endif

#define SHR_FIELDS_MAX 64     /* members in a schema */
#define SHR_FIELD_NAME_MAX 63 /* bytes in the name of a member, a type or a value */
#define SHR_SCHEMA_TEXT_MAX 65536 /* bytes of all names, units and help, each with its zero */
#define SHR_ENUM_NAMES_MAX 1024 /* values with a name, in all members of a schema */

/* The type of a member, or of one element of it. */
#define SHR_KIND_CHAR 1
#define SHR_KIND_I8 2
#define SHR_KIND_U8 3
#define SHR_KIND_I16 4
#define SHR_KIND_U16 5
#define SHR_KIND_I32 6
#define SHR_KIND_U32 7
#define SHR_KIND_I64 8
#define SHR_KIND_U64 9
#define SHR_KIND_F32 10
#define SHR_KIND_F64 11

/*
 * The name of a value of an integer member. It begins with no digit, sign or
 * point, so that it is never taken for a number. Of two names of one value the
 * first is shown; a name twice in a member is refused.
 */
struct shr_enum_name {
	int64_t value; /* of a uint64_t: the same 64 bits */
	const char *name;
};

struct shr_field {
	const char *name;
	uint32_t offset;  /* bytes from the start of the record */
	uint32_t count;	  /* elements of an array; 0: not an array */
	uint32_t kind;	  /* SHR_KIND_* */
	uint32_t since;	  /* version of the schema that it came with; 0: not said */
	const char *unit; /* "bytes", "ns"; NULL: not said */
	const char *help; /* a sentence for people; NULL: none */
	const struct shr_enum_name *names;
	uint32_t name_count; /* 0: its values have no names */
	uint32_t reserved;
};

struct shr_schema {
	uint32_t struct_size; /* sizeof(struct shr_schema) */
	uint32_t field_size;  /* sizeof(struct shr_field) */
	const char *name;     /* of the struct */
	uint32_t version;     /* the caller's own number, shown to people */
	uint32_t size;	      /* bytes in the struct */
	uint32_t field_count;
	uint32_t reserved;
	const struct shr_field *fields; /* in the order of their offsets */
};

/* Bytes in one element of @kind; 0 for an unknown kind. Any thread. Since 0.1. */
SHR_API uint32_t shr_kind_size(uint32_t kind);

/* "u32", "char" ... of @kind; "?" for an unknown kind. Any thread. Since 0.1. */
SHR_API const char *shr_kind_name(uint32_t kind);

/*
 * Hash of the layout: size, and each member's offset, kind, count and name.
 * Unit, help, names of values and since are no part of it.
 * The same from C and C++, from any compiler and byte order; 0 for NULL.
 *
 * Threads:  any.  Since: 0.1
 */
SHR_API uint64_t shr_schema_hash(const struct shr_schema *schema);

/*
 * Can records described by @theirs be used by a program that was compiled with
 * @ours? Yes where the type's name is the same and the members of one are the
 * first members of the other. NULL on either side is untyped and matches only
 * NULL.
 *
 * Threads:  any.
 * Returns:  0, or -EPROTOTYPE, and shr_last_error() names what differs
 *                 -EINVAL     @ours is not a valid schema
 * Since:    0.1
 */
SHR_API int shr_schema_match(const struct shr_schema *ours, const struct shr_schema *theirs);

/*
 * The name that @value, widened to 64 bits by the sign of its kind, has in
 * @field; NULL: none.
 *
 * Threads:  any.  Since: 0.1
 */
SHR_API const char *shr_field_enum_name(const struct shr_field *field, int64_t value);

/* --- At run time ------------------------------------------------------------- */

/*
 * A schema, member by member:
 *
 *	shr_schema_builder_new(&builder, "order", 1);
 *	shr_schema_builder_member(builder, "id", SHR_KIND_U64, 0);
 *	shr_schema_builder_member(builder, "side", SHR_KIND_U8, 0);
 *	shr_schema_builder_enum_name(builder, 0, "buy");
 *	shr_schema_builder_member(builder, "spare", SHR_KIND_U8, 7);
 *	err = shr_schema_builder_end(builder, &schema);
 *
 * The first call that fails decides: those after it return the same error, and
 * shr_schema_builder_end() does, also where there is no builder, as there was no
 * memory for one. So one check at the end is enough. All strings are copied.
 *
 * Threads:  one at a time.
 */
struct shr_schema_builder;

/*
 * Begin a schema named @name, of 1 to SHR_FIELD_NAME_MAX bytes.
 *
 * Returns:  0, and *@builder is to be freed with shr_schema_builder_free()
 *           -EINVAL     a name that cannot be one
 *           -ENOMEM
 * Since:    0.1
 */
SHR_API int shr_schema_builder_new(struct shr_schema_builder **builder, const char *name,
				   uint32_t version);

/*
 * Add a member behind the last one; @count elements, 0: not an array.
 *
 * Returns:  0
 *           -EINVAL     a name that cannot be one or is there already, no kind, more than
 *                       SHR_FIELDS_MAX members, a record of 4 GiB, or a place that is
 *                       no multiple of the kind's size: larger members go first,
 *                       or an array of uint8_t between
 *           -EALREADY   the schema is complete
 *           -ENOMEM
 * Since:    0.1
 */
SHR_API int shr_schema_builder_member(struct shr_schema_builder *builder, const char *name,
				      uint32_t kind, uint32_t count);

/*
 * Of the member added last: its unit, a sentence about it, the version of the
 * schema that it came with, and the name of one of its values.
 *
 * Returns:  0
 *           -EINVAL     there is no member yet; a name that is no name or is there
 *                       already, a value that the kind cannot have, a kind that is no
 *                       integer, more than SHR_ENUM_NAMES_MAX names
 *           -EALREADY   the schema is complete
 *           -ENOMEM
 * Since:    0.1
 */
SHR_API int shr_schema_builder_unit(struct shr_schema_builder *builder, const char *unit);
SHR_API int shr_schema_builder_help(struct shr_schema_builder *builder, const char *help);
SHR_API int shr_schema_builder_since(struct shr_schema_builder *builder, uint32_t version);
SHR_API int shr_schema_builder_enum_name(struct shr_schema_builder *builder, int64_t value,
					 const char *name);

/*
 * The schema, complete; it lives as long as @builder. What is created with it
 * has its own copy.
 *
 * Returns:  0
 *           -EINVAL     it has no member, or its size is no multiple of the size of each
 *                       kind in it: an array of uint8_t at the end helps; or its texts
 *                       have more than SHR_SCHEMA_TEXT_MAX bytes
 *           or the error of an earlier call
 * Since:    0.1
 */
SHR_API int shr_schema_builder_end(struct shr_schema_builder *builder,
				   const struct shr_schema **schema);

/* With its schema; NULL is allowed. Since 0.1. */
SHR_API void shr_schema_builder_free(struct shr_schema_builder *builder);

#ifdef __cplusplus
} /* extern "C" */

namespace shr_detail
{
constexpr uint32_t int_kind(bool is_signed, size_t size)
{
	return (size == 1   ? 2u
		: size == 2 ? 4u
		: size == 4 ? 6u
		: size == 8 ? 8u
			    : 0u) +
	       (size == 1 || size == 2 || size == 4 || size == 8 ? (is_signed ? 0u : 1u) : 0u);
}
template <class T, bool = std::is_enum<T>::value>
struct plain {
	typedef T type;
};
template <class T>
struct plain<T, true> {
	typedef typename std::underlying_type<T>::type type;
};
template <class E>
constexpr uint32_t kind()
{
	typedef typename plain<E>::type T;
	return std::is_same<T, char>::value	? 1u
	       : std::is_same<T, float>::value	? 10u
	       : std::is_same<T, double>::value ? 11u
	       : std::is_integral<T>::value	? int_kind(std::is_signed<T>::value, sizeof(T))
						: 0u;
}
template <class T>
struct element {
	typedef typename std::remove_cv<T>::type type;
	static const uint32_t count = 0;
};
template <class T, size_t N>
struct element<T[N]> {
	typedef typename std::remove_cv<T>::type type;
	static const uint32_t count = N;
};

/* What stands in parentheses behind a member, put into its row one by one. */
struct field_unit {
	const char *text;
};
struct field_help {
	const char *text;
};
struct field_since {
	uint32_t version;
};
struct field_names {
	const shr_enum_name *names;
	uint32_t count;
};
template <size_t N>
constexpr field_names enum_names(const shr_enum_name (&names)[N])
{
	return field_names{names, static_cast<uint32_t>(N)};
}
constexpr shr_field field_row(shr_field f)
{
	return f;
}
template <class... Notes>
constexpr shr_field field_row(shr_field f, field_unit unit, Notes... notes);
template <class... Notes>
constexpr shr_field field_row(shr_field f, field_help help, Notes... notes);
template <class... Notes>
constexpr shr_field field_row(shr_field f, field_since since, Notes... notes);
template <class... Notes>
constexpr shr_field field_row(shr_field f, field_names names, Notes... notes);
template <class... Notes>
constexpr shr_field field_row(shr_field f, field_unit unit, Notes... notes)
{
	return field_row(shr_field{f.name, f.offset, f.count, f.kind, f.since, unit.text, f.help, f.names,
			     f.name_count, 0},
		   notes...);
}
template <class... Notes>
constexpr shr_field field_row(shr_field f, field_help help, Notes... notes)
{
	return field_row(shr_field{f.name, f.offset, f.count, f.kind, f.since, f.unit, help.text, f.names,
			     f.name_count, 0},
		   notes...);
}
template <class... Notes>
constexpr shr_field field_row(shr_field f, field_since since, Notes... notes)
{
	return field_row(shr_field{f.name, f.offset, f.count, f.kind, since.version, f.unit, f.help,
			     f.names, f.name_count, 0},
		   notes...);
}
template <class... Notes>
constexpr shr_field field_row(shr_field f, field_names names, Notes... notes)
{
	return field_row(shr_field{f.name, f.offset, f.count, f.kind, f.since, f.unit, f.help,
			     names.names, names.count, 0},
		   notes...);
}
} /* namespace shr_detail */

#define SHR_UNIT(text) (shr_detail::field_unit{text})
#define SHR_HELP(text) (shr_detail::field_help{text})
#define SHR_SINCE(version) (shr_detail::field_since{version})
#define SHR_ENUM(names) (shr_detail::enum_names(names))

#define SHR_ASSERT_(condition, text) static_assert(condition, text)
#define SHR_TYPEOF_(T, m) decltype(T::m)
#define SHR_KIND_(T, m) (shr_detail::kind<shr_detail::element<decltype(T::m)>::type>())
#define SHR_COUNT_(T, m) (shr_detail::element<decltype(T::m)>::count)
#define SHR_POINTER_(T, m) (std::is_pointer<decltype(T::m)>::value)

#else /* C11 */

/* Of a member in parentheses: behind it, in SHR_SCHEMA. @names: an array. */
#define SHR_UNIT(text) .unit = (text)
#define SHR_HELP(text) .help = (text)
#define SHR_SINCE(version) .since = (version)
#define SHR_ENUM(array) .names = (array), .name_count = sizeof(array) / sizeof((array)[0])

#define SHR_ASSERT_(condition, text) _Static_assert(condition, text)
#define SHR_MEMBER_(T, m) (((struct T *)0)->m)
#define SHR_TYPEOF_(T, m) __typeof__(SHR_MEMBER_(T, m))

/* clang-format off */
/* An array decays to a pointer to its element (C11 as amended by DR 481). */
#define SHR_KIND_(T, m) _Generic(SHR_MEMBER_(T, m), \
	char: 1, char *: 1, \
	signed char: 2, signed char *: 2, \
	unsigned char: 3, unsigned char *: 3, _Bool: 3, _Bool *: 3, \
	short: 4, short *: 4, \
	unsigned short: 5, unsigned short *: 5, \
	int: 6, int *: 6, \
	unsigned int: 7, unsigned int *: 7, \
	long: sizeof(long) == 8 ? 8 : 6, long *: sizeof(long) == 8 ? 8 : 6, \
	unsigned long: sizeof(long) == 8 ? 9 : 7, \
	unsigned long *: sizeof(long) == 8 ? 9 : 7, \
	long long: 8, long long *: 8, \
	unsigned long long: 9, unsigned long long *: 9, \
	float: 10, float *: 10, double: 11, double *: 11, \
	default: 0)

/* The address of an array is no pointer to its element: that tells it apart. */
#define SHR_SCALAR_(T, m) _Generic(&SHR_MEMBER_(T, m), \
	char *: 1, signed char *: 1, unsigned char *: 1, _Bool *: 1, \
	short *: 1, unsigned short *: 1, int *: 1, unsigned int *: 1, \
	long *: 1, unsigned long *: 1, long long *: 1, unsigned long long *: 1, \
	float *: 1, double *: 1, default: 0)
#define SHR_POINTER_(T, m) _Generic(&SHR_MEMBER_(T, m), \
	char **: 1, signed char **: 1, unsigned char **: 1, _Bool **: 1, \
	short **: 1, unsigned short **: 1, int **: 1, unsigned int **: 1, \
	long **: 1, unsigned long **: 1, long long **: 1, unsigned long long **: 1, \
	float **: 1, double **: 1, default: 0)
/* clang-format on */
#define SHR_COUNT_(T, m)                                                                 \
	(SHR_SCALAR_(T, m) || SHR_KIND_(T, m) == 0                                           \
		 ? 0                                                                     \
		 : (uint32_t)(sizeof(SHR_MEMBER_(T, m)) / SHR_KIND_SIZE_(SHR_KIND_(T, m))))
#endif

#define SHR_KIND_SIZE_(kind) ((kind) < 4 ? 1u : (kind) < 6 ? 2u : (kind) < 8 || (kind) == 10 ? 4u : 8u)

/*
 * A row of the list is a member, or (member, note...): the member of it, and the
 * notes with a comma before them.
 */
#define SHR_ROW_SECOND_(...) SHR_ROW_SECOND_OF_(__VA_ARGS__, )
#define SHR_ROW_SECOND_OF_(first, second, ...) second
#define SHR_ROW_PROBE_(...) , NOTED_
#define SHR_ROW_IS_(row) SHR_ROW_SECOND_(SHR_ROW_PROBE_ row, PLAIN_)
#define SHR_ROW_CALL_(f, ...) f(__VA_ARGS__)
#define SHR_ROW_JOIN_(a, b) a##b
#define SHR_ROW_DO_(what, is) SHR_ROW_JOIN_(what, is)
#define SHR_ROW_MEMBER_PLAIN_(member) member
#define SHR_ROW_MEMBER_NOTED_(row) SHR_ROW_FIRST_ row
#define SHR_ROW_FIRST_(member, ...) member
#define SHR_ROW_NOTES_PLAIN_(member)
#define SHR_ROW_NOTES_NOTED_(row) SHR_ROW_REST_ row
#define SHR_ROW_REST_(member, ...) , __VA_ARGS__
#define SHR_ROW_MEMBER_(row) SHR_ROW_DO_(SHR_ROW_MEMBER_, SHR_ROW_IS_(row))(row)
#define SHR_ROW_NOTES_(row) SHR_ROW_DO_(SHR_ROW_NOTES_, SHR_ROW_IS_(row))(row)

#define SHR_TWIN_(T, row) SHR_ROW_CALL_(SHR_TWIN_OF_, T, SHR_ROW_MEMBER_(row))
#define SHR_CHECK_(T, row) SHR_ROW_CALL_(SHR_CHECK_OF_, T, SHR_ROW_MEMBER_(row))
#ifdef __cplusplus
#define SHR_FIELD_(T, row)                                                                     \
	shr_detail::field_row(SHR_ROW_CALL_(SHR_FIELD_OF_, T, SHR_ROW_MEMBER_(row))                  \
				SHR_ROW_NOTES_(row)),
#define SHR_FIELD_OF_(T, m)                                                                    \
	shr_field                                                                              \
	{                                                                                      \
		#m, (uint32_t)offsetof(struct T, m), SHR_COUNT_(T, m), SHR_KIND_(T, m), 0, NULL, NULL, \
			NULL, 0, 0                                                             \
	}
#else
#define SHR_FIELD_(T, row)                                                                     \
	{SHR_ROW_CALL_(SHR_FIELD_OF_, T, SHR_ROW_MEMBER_(row)) SHR_ROW_NOTES_(row)},
#define SHR_FIELD_OF_(T, m)                                                                    \
	.name = #m, .offset = (uint32_t)offsetof(struct T, m), .count = SHR_COUNT_(T, m),      \
	.kind = SHR_KIND_(T, m)
#endif

#define SHR_TWIN_OF_(T, m) SHR_TYPEOF_(T, m) m;
#define SHR_CHECK_OF_(T, m)                                                                       \
	SHR_ASSERT_(SHR_KIND_(T, m) != 0 && !SHR_POINTER_(T, m),                               \
		    "shmring: member '" #m "' of struct " #T                                   \
		    " is a nested struct, pointer or other type that a schema cannot describe"); \
	SHR_ASSERT_(offsetof(struct shr_twin_##T, m) == offsetof(struct T, m),                 \
		    "shmring: before member '" #m "' of struct " #T                            \
		    " are bytes that no listed member describes: padding, or a member that "   \
		    "is missing or out of order in SHR_SCHEMA");                               \
	SHR_ASSERT_(offsetof(struct T, m) % SHR_KIND_SIZE_(SHR_KIND_(T, m)) == 0 &&            \
			    sizeof(struct T) % SHR_KIND_SIZE_(SHR_KIND_(T, m)) == 0,           \
		    "shmring: member '" #m "' of struct " #T                                   \
		    " is not at a multiple of its size, or the struct's size is not one: "     \
		    "32- and 64-bit programs would disagree");

#define SHR_SCHEMA(T, version, ...)                                                         \
	struct shr_twin_##T {                                                               \
		SHR_EACH_(SHR_TWIN_, T, __VA_ARGS__)                                        \
	} __attribute__((packed));                                                          \
	SHR_EACH_(SHR_CHECK_, T, __VA_ARGS__)                                               \
	SHR_ASSERT_(sizeof(struct shr_twin_##T) == sizeof(struct T),                        \
		    "shmring: struct " #T " ends with bytes that no listed member "         \
		    "describes: padding, or a member missing in SHR_SCHEMA");               \
	static const struct shr_field shr_fields_##T[] = {                                  \
		SHR_EACH_(SHR_FIELD_, T, __VA_ARGS__)};                                     \
	__attribute__((unused)) static const struct shr_schema shr_schema_##T = {           \
		sizeof(struct shr_schema),                                                  \
		sizeof(struct shr_field),                                                   \
		#T,                                                                         \
		(version),                                                                  \
		(uint32_t)sizeof(struct T),                                                 \
		(uint32_t)(sizeof(shr_fields_##T) / sizeof(shr_fields_##T[0])),             \
		0,                                                                          \
		shr_fields_##T}

/* The schema that SHR_SCHEMA(T, ...) defined. */
#define SHR_SCHEMA_OF(T) (&shr_schema_##T)

#endif
