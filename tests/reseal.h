/* SPDX-License-Identifier: MIT */
/* The checksum of an image of a segment, as whoever damages it with intent would mend it. */
#ifndef TESTS_RESEAL_H
#define TESTS_RESEAL_H

#include <string.h>

#include "crc32c.h"
#include "format.h"

static inline void reseal_image(void *image, size_t size)
{
	struct shm_header header;
	static const uint32_t zero;
	char *byte = image;
	uint32_t crc;

	memcpy(&header, image, sizeof(header));
	if (header.schema_offset > size || header.schema_size > size - header.schema_offset)
		return;
	crc = crc32c(0, image, offsetof(struct shm_header, crc));
	crc = crc32c(crc, &zero, 4);
	crc = crc32c(crc, byte + offsetof(struct shm_header, header_size),
		     offsetof(struct shm_header, obsolete) - offsetof(struct shm_header, header_size));
	crc = crc32c(crc, header.directory, sizeof(header.directory));
	crc = crc32c(crc, byte + header.schema_offset, header.schema_size);
	memcpy(byte + offsetof(struct shm_header, crc), &crc, sizeof(crc));
}

#endif
