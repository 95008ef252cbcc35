/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump -r: images of segments in files and core dumps.
 *
 * A core dump (core(5), elf(5)) has the memory of a process, one part for each mapping,
 * and a note of which files were mapped where. A segment is mapped from its start, which
 * has a magic number. It is copied to memory of ours, and looked at there.
 */
#include "image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"

static const unsigned char magic[8] = {0x93, 'S', 'H', 'M', 'R', 'N', 'G', '\n'};

#define BLOCK     65536
#define PARTS_MAX 100000
#define NOTES_MAX (16u << 20) /* bytes */

static int complain(const char *name, const char *sentence, int error, int status)
{
	fflush(stdout);
	fputs("shmring-dump: ", stderr);
	text_string(stderr, name);
	fprintf(stderr, ": %s%s%s\n", sentence, error ? ": " : "", error ? strerror(error) : "");
	return status;
}

static int status_of(int error)
{
	return error == ENOENT                     ? EXIT_NONE
	       : error == EACCES || error == EPERM ? EXIT_PERMISSION
						   : EXIT_FAILURE;
}

static int read_all(int fd, void *buffer, size_t size, uint64_t offset)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(fd, (char *)buffer + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : ENODATA;
		done += (size_t)n;
	}
	return 0;
}

/* Memory of ours; what is zero stays a hole. */
static int put_some(int fd, const char *data, size_t size, uint64_t offset)
{
	size_t done = 0;

	if (!data[0] && !memcmp(data, data + 1, size - 1))
		return 0;
	while (done < size) {
		ssize_t n = pwrite(fd, data + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : EIO;
		done += (size_t)n;
	}
	return 0;
}

static int open_memory(struct shr_inspect **inspect, const char *name, int memory)
{
	int err = shr_inspect_open_image(inspect, memory);

	return err ? failed(name, err) : 0;
}

/* --- The standard input ------------------------------------------------------- */

static int from_input(struct shr_inspect **inspect, const char *name)
{
	int memory = memfd_create("shmring-dump", MFD_CLOEXEC), error = 0, result;
	static char block[BLOCK];
	uint64_t size = 0;

	if (memory < 0)
		return complain(name, "no memory for it", errno, EXIT_FAILURE);
	for (;;) {
		ssize_t n = read(STDIN_FILENO, block, sizeof(block));

		if (n < 0 && errno == EINTR)
			continue;
		error = n < 0 ? errno : n ? put_some(memory, block, (size_t)n, size) : 0;
		if (n <= 0 || error)
			break;
		size += (size_t)n;
	}
	if (!error && ftruncate(memory, (off_t)size) < 0)
		error = errno;
	result = error ? complain(name, "cannot read it", error, EXIT_FAILURE)
		       : open_memory(inspect, name, memory);
	close(memory);
	return result;
}

/* --- Core dumps --------------------------------------------------------------- */

/* A program header, of either word size. */
struct part {
	uint32_t type;
	uint64_t offset, address, bytes, memory;
};

struct core {
	const char *name; /* for messages */
	int fd;
	int wide; /* of 64 bits */
	uint64_t parts_at, parts;
	size_t part_size;
	char *files; /* of the note NT_FILE: its bytes; NULL: there is none */
	size_t files_size;
};

static int core_part(const struct core *core, uint64_t which, struct part *part)
{
	union {
		Elf64_Phdr wide;
		Elf32_Phdr narrow;
	} header;
	size_t size = core->wide ? sizeof(header.wide) : sizeof(header.narrow);
	int error = read_all(core->fd, &header, size, core->parts_at + which * core->part_size);

	if (error)
		return error;
	if (core->wide)
		*part = (struct part){header.wide.p_type, header.wide.p_offset, header.wide.p_vaddr,
				      header.wide.p_filesz, header.wide.p_memsz};
	else
		*part = (struct part){header.narrow.p_type, header.narrow.p_offset,
				      header.narrow.p_vaddr, header.narrow.p_filesz,
				      header.narrow.p_memsz};
	return 0;
}

static int core_open(struct core *core)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf64_Ehdr wide;
		Elf32_Ehdr narrow;
	} header;
	uint64_t type, sections;
	int error = read_all(core->fd, &header, sizeof(header.narrow), 0);

	if (error == ENODATA || (!error && memcmp(header.ident, ELFMAG, SELFMAG)))
		return complain(core->name, "not a core dump", 0, EXIT_FOREIGN);
	core->wide = !error && header.ident[EI_CLASS] == ELFCLASS64;
	if (!error && core->wide)
		error = read_all(core->fd, &header, sizeof(header.wide), 0);
	if (error)
		return complain(core->name, "cannot read it", error, EXIT_FAILURE);
	type = core->wide ? header.wide.e_type : header.narrow.e_type;
	core->parts_at = core->wide ? header.wide.e_phoff : header.narrow.e_phoff;
	core->parts = core->wide ? header.wide.e_phnum : header.narrow.e_phnum;
	core->part_size = core->wide ? header.wide.e_phentsize : header.narrow.e_phentsize;
	sections = core->wide ? header.wide.e_shoff : header.narrow.e_shoff;
	if (core->parts == PN_XNUM) { /* elf(5): then the number is in the first section */
		union {
			Elf64_Shdr wide;
			Elf32_Shdr narrow;
		} section;

		error = read_all(core->fd, &section,
				 core->wide ? sizeof(section.wide) : sizeof(section.narrow),
				 sections);
		core->parts = error        ? 0
			      : core->wide ? section.wide.sh_info
					   : section.narrow.sh_info;
	}
	if (type != ET_CORE ||
	    core->part_size < (core->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) ||
	    core->parts > PARTS_MAX)
		return complain(core->name, "not a core dump of a kind that is known", 0,
				EXIT_FOREIGN);
	return 0;
}

/* A number of the core's word size at @at of its note of files; 0 beyond its end. */
static uint64_t note_word(const struct core *core, size_t at)
{
	uint64_t word = 0;
	uint32_t half = 0;

	if (core->wide && at + sizeof(word) <= core->files_size)
		memcpy(&word, core->files + at, sizeof(word));
	if (!core->wide && at + sizeof(half) <= core->files_size)
		memcpy(&half, core->files + at, sizeof(half));
	return core->wide ? word : half;
}

/* Find the note of files in the notes of @part. */
static void core_note(struct core *core, const struct part *part)
{
	size_t size = part->bytes < NOTES_MAX ? (size_t)part->bytes : NOTES_MAX, at = 0;
	char *notes = malloc(size + 1);

	if (!notes || read_all(core->fd, notes, size, part->offset)) {
		free(notes);
		return;
	}
	while (at + sizeof(Elf64_Nhdr) <= size) {
		Elf64_Nhdr note; /* the same in both word sizes */
		uint64_t body, end;

		memcpy(&note, notes + at, sizeof(note));
		body = at + sizeof(note) + (((uint64_t)note.n_namesz + 3) & ~(uint64_t)3);
		end = body + (((uint64_t)note.n_descsz + 3) & ~(uint64_t)3);
		if (end > size)
			break;
		if (note.n_type == NT_FILE && !core->files) {
			core->files = malloc((size_t)note.n_descsz + 1);
			core->files_size = core->files ? note.n_descsz : 0;
			if (core->files)
				memcpy(core->files, notes + body, note.n_descsz);
		}
		at = (size_t)end;
	}
	free(notes);
}

/*
 * The file that was mapped at @address, or NULL. The note: count and page size; of each start,
 * end and offset; then their names, each with a zero byte behind it.
 */
static const char *core_file(const struct core *core, uint64_t address)
{
	const size_t word = core->wide ? 8 : 4;
	uint64_t count = note_word(core, 0), names;

	if (!core->files || count > PARTS_MAX)
		return NULL;
	core->files[core->files_size] = '\0';
	names = (2 + 3 * count) * word;
	for (uint64_t i = 0; i < count && names < core->files_size; i++) {
		if (note_word(core, (size_t)(2 + 3 * i) * word) == address)
			return core->files + names;
		names += strlen(core->files + names) + 1;
	}
	return NULL;
}

/* "/dev/shm/hostmon (deleted)": is that the segment @wanted, as /hostmon or hostmon? */
static int is_called(const char *file, const char *wanted)
{
	static const char deleted[] = " (deleted)";
	size_t size = file ? strlen(file) : 0, tail = sizeof(deleted) - 1;
	const char *last;
	char plain[PATH_MAX];

	if (!size || size >= sizeof(plain))
		return 0;
	memcpy(plain, file, size + 1);
	if (size > tail && !strcmp(plain + size - tail, deleted))
		plain[size - tail] = '\0';
	last = strrchr(plain, '/');
	last = last ? last + 1 : plain;
	return !strcmp(plain, wanted) || !strcmp(last, wanted[0] == '/' ? wanted + 1 : wanted);
}

static int core_copy(const struct core *core, const struct part *part, int memory)
{
	static char block[BLOCK];
	int error = ftruncate(memory, (off_t)part->bytes) < 0 ? errno : 0;

	for (uint64_t at = 0; !error && at < part->bytes;) {
		size_t size = part->bytes - at < BLOCK ? (size_t)(part->bytes - at) : BLOCK;

		error = read_all(core->fd, block, size, part->offset + at);
		if (!error)
			error = put_some(memory, block, size, at);
		at += size;
	}
	return error;
}

static int core_segment(struct core *core, const char *wanted, struct shr_inspect **inspect)
{
	struct part part, chosen = {0};
	unsigned char start[sizeof(magic)];
	uint64_t found = 0;
	int memory, error = 0, result;

	for (uint64_t i = 0; i < core->parts && !error; i++) {
		error = core_part(core, i, &part);
		if (!error && part.type == PT_NOTE)
			core_note(core, &part);
	}
	for (uint64_t i = 0; i < core->parts && !error; i++) {
		const char *file;

		error = core_part(core, i, &part);
		if (error || part.type != PT_LOAD || part.bytes < sizeof(magic) ||
		    read_all(core->fd, start, sizeof(start), part.offset) ||
		    memcmp(start, magic, sizeof(magic)))
			continue;
		file = core_file(core, part.address);
		if (wanted && !is_called(file, wanted))
			continue;
		if (found++)
			fprintf(stderr, "%s",
				found == 2 ? "shmring-dump: it has several segments:\n" : "");
		if (found == 2) {
			fputs("  ", stderr);
			text_string(stderr, core_file(core, chosen.address)
						    ? core_file(core, chosen.address)
						    : "(no name)");
			fputc('\n', stderr);
		}
		if (found > 1) {
			fputs("  ", stderr);
			text_string(stderr, file ? file : "(no name)");
			fputc('\n', stderr);
		}
		chosen = part;
	}
	if (error)
		return complain(core->name, "it is damaged or cut short", error, EXIT_DAMAGED);
	if (found > 1)
		return complain(core->name, "say which, with core:FILE#SEGMENT", 0, EXIT_USAGE);
	if (!found)
		return complain(core->name,
				"no such segment is in it; shared memory is dumped only with the "
				"bits 0x3b in /proc/PID/coredump_filter, see core(5)",
				0, EXIT_NONE);
	memory = memfd_create("shmring-dump", MFD_CLOEXEC);
	error = memory < 0 ? errno : core_copy(core, &chosen, memory);
	result = error ? complain(core->name, "cannot copy the segment out of it", error,
				  EXIT_DAMAGED)
		       : open_memory(inspect, core->name, memory);
	if (memory >= 0)
		close(memory);
	return result;
}

static int from_core(struct shr_inspect **inspect, const char *name)
{
	struct core core = {.name = name, .fd = -1};
	char path[PATH_MAX];
	const char *wanted;
	int result;

	if (strlen(name) >= sizeof(path))
		return complain(name, "the name is too long", 0, EXIT_USAGE);
	strcpy(path, name);
	wanted = strrchr(name, '#');
	core.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (core.fd < 0 && wanted) {
		path[wanted - name] = '\0';
		core.fd = open(path, O_RDONLY | O_CLOEXEC);
	} else {
		wanted = NULL;
	}
	if (core.fd < 0)
		return complain(name, "cannot open it", errno, status_of(errno));
	result = core_open(&core);
	if (!result)
		result = core_segment(&core, wanted ? wanted + 1 : NULL, inspect);
	free(core.files);
	close(core.fd);
	return result;
}

int image_open(struct shr_inspect **inspect, const char *name)
{
	int fd, result;

	if (!strcmp(name, "-"))
		return from_input(inspect, "the standard input");
	if (!strncmp(name, "core:", 5))
		return from_core(inspect, name + 5);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return complain(name, "cannot open it", errno, status_of(errno));
	result = open_memory(inspect, name, fd);
	close(fd);
	return result;
}
