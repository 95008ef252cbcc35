// SPDX-License-Identifier: MIT
// The same struct as in check_schema.c, described by C++.
#include <shmring/shmring.h>

enum side { BUY, SELL };
struct order {
	uint64_t id;
	double px;
	uint32_t qty;
	enum side side;
	uint8_t flags[2];
	char sym[8];
	bool live;
	signed char level;
	int16_t tick;
	uint16_t book;
	float ratio[4];
	int64_t delta;
};
SHR_SCHEMA(order, 1, id, px, qty, side, flags, sym, live, level, tick, book, ratio, delta);

extern "C" const struct shr_schema *cxx_schema(void);
const struct shr_schema *cxx_schema(void)
{
	return SHR_SCHEMA_OF(order);
}

struct noted {
	uint64_t id;
	double px;
	uint32_t qty;
	int16_t side;
	uint8_t flags[2];
};
static const struct shr_enum_name sides[] = {{-1, "sell"}, {1, "buy"}, {1, "bid"}};
static const struct shr_enum_name bits[] = {{0, "none"}, {255, "all"}};
SHR_SCHEMA(noted, 3, id, (px, SHR_UNIT("USD"), SHR_HELP("limit")), (qty, SHR_SINCE(2)),
	   (side, SHR_ENUM(sides)), (flags, SHR_ENUM(bits), SHR_SINCE(3), SHR_HELP("set, or not")));

extern "C" const struct shr_schema *cxx_noted_schema(void);
const struct shr_schema *cxx_noted_schema(void)
{
	return SHR_SCHEMA_OF(noted);
}
