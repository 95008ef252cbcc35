#include <stdint.h>

#include <shmring/schema.h>

/* ring ring: event */
/* 32 bytes, layout 2f6dd8925d2754d8 */
struct event {
	uint64_t step;
	int32_t height;
	uint32_t speed;
	char what[16];
};
SHR_SCHEMA(event, 1, step,
	   (height, SHR_UNIT("m")),
	   (speed, SHR_UNIT("m/s")), what);
#include <stdint.h>

#include <shmring/schema.h>

/* ring ring: untyped */
#include <stdint.h>

#include <shmring/schema.h>

/* ring ring: reading */
/* 32 bytes, layout bedff341516a0b46 */
struct reading {
	uint64_t number;
	double celsius;
	char room[16];
};
SHR_SCHEMA(reading, 1, number, celsius, room);
#include <stdint.h>

#include <shmring/schema.h>

/* table table: service */
/* 64 bytes, layout 32cf7be2425cc609 */
struct service {
	char name[24];
	uint64_t beats;
	double load;
	uint64_t attaches;
	uint32_t member;
	uint32_t pid;
	char state[8];
};
SHR_SCHEMA(service, 1, name, beats, load, attaches, member, pid, state);
#include <stdint.h>

#include <shmring/schema.h>

/* table table: statistics */
/* 40 bytes, layout bcb282dcded1c01c */
struct statistics {
	char service[16];
	uint64_t requests;
	uint64_t bytes;
	uint32_t errors;
	uint32_t workers;
};
SHR_SCHEMA(statistics, 1, service,
	   (requests, SHR_UNIT("requests"), SHR_HELP("answered, well or not")),
	   (bytes, SHR_UNIT("bytes"), SHR_HELP("sent to clients")),
	   (errors, SHR_UNIT("requests"), SHR_HELP("answered with an error")),
	   (workers, SHR_UNIT("times"), SHR_HELP("a worker began")));
