/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/nvram/nv_media.h"

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/nvram/cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23      /* Linux 5.14 */
#endif

#define LARGEST_PAGE 65536u      /* of any arm64 or x86 kernel: what msync() wants its start aligned to */

struct mapped {
    struct nv_media media;
    int fd;                     /* holds the lock */
    pthread_mutex_t lock;       /* plain file: the noted range, and the msync of it */
    uint64_t from, to;          /* noted and not yet synced; empty when from >= to */
    int failed;                 /* -errno of the first msync that failed */
};

static struct mapped *mapped_of(struct nv_media *media)
{
    return (struct mapped *)media;  /* first member */
}

/* ---- opening ---- */

static int dev_dax_size(const struct stat *st, const char *path, uint64_t *ret_size, struct flic_err *err)
{
    FLIC_AUTO_FREE void *text = NULL;
    char sysfs[96];
    size_t len;

    (void)snprintf(sysfs, sizeof(sysfs), "/sys/dev/char/%u:%u/subsystem", major(st->st_rdev), minor(st->st_rdev));
    FLIC_AUTO_FREE char *subsystem = realpath(sysfs, NULL);
    if (!subsystem || !strstr(subsystem, "/dax"))
        return flic_err_set(err, FLIC_E_NVRAM, "'%s' is a character device but not a device-DAX node", path);
    (void)snprintf(sysfs, sizeof(sysfs), "/sys/dev/char/%u:%u/size", major(st->st_rdev), minor(st->st_rdev));
    if (flic_load_file(sysfs, 8192, &text, &len, err))
        return flic_err_wrap(err, FLIC_E_NVRAM, "size of '%s'", path);
    *ret_size = strtoull(text, NULL, 0);
    return 0;
}

static int size_of(int fd, const char *path, struct nv_media *media, struct flic_err *err)
{
    struct stat st;

    if (fstat(fd, &st))
        return flic_err_errno(err, "look at '%s'", path);
    if (S_ISREG(st.st_mode)) {
        media->kind = NV_PLAIN_FILE;    /* until MAP_SYNC succeeds */
        media->size = (uint64_t)st.st_size;
        return 0;
    }
    if (!S_ISCHR(st.st_mode))
        return flic_err_set(err, FLIC_E_NVRAM, "'%s' is neither a file nor a device-DAX node", path);
    media->kind = NV_DEV_DAX;
    return dev_dax_size(&st, path, &media->size, err);
}

static int open_locked(const char *path, int flags, struct flic_err *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);

    if (fd < 0 && errno == ENOENT)
        return flic_err_set(err, FLIC_E_NVRAM, "there is no arena at '%s': with 'nvram_size_mib' in flicd.conf flicd makes one", path);
    if (fd < 0)
        return flic_err_errno(err, "open arena '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        int rc = errno == EWOULDBLOCK
            ? flic_err_set(err, FLIC_E_BUSY, "arena '%s' is in use by another flicd", path)
            : flic_err_errno(err, "lock arena '%s'", path);

        (void)close(fd);    /* nothing was written through it */
        return rc;
    }
    return fd;
}

/* Maps with MAP_SYNC where the file system has it: then a flushed line of an allocated block is durable by itself. */
static int map(struct mapped *m, const char *path, struct flic_err *err)
{
    const int prot = PROT_READ | PROT_WRITE;
    void *base = MAP_FAILED;

    if (!m->media.size || m->media.size > SIZE_MAX)
        return flic_err_set(err, FLIC_E_NVRAM, "arena '%s' is empty", path);
    if (nv_cpu_can_flush())
        base = mmap(NULL, m->media.size, prot, MAP_SHARED_VALIDATE | MAP_SYNC, m->fd, 0);
    if (base != MAP_FAILED && m->media.kind == NV_PLAIN_FILE)
        m->media.kind = NV_FS_DAX;
    if (base == MAP_FAILED && (m->media.kind == NV_PLAIN_FILE || nv_cpu_can_flush()))
        base = mmap(NULL, m->media.size, prot, MAP_SHARED, m->fd, 0);
    if (base == MAP_FAILED)
        return flic_err_errno(err, "map arena '%s'", path);
    m->media.base = base;
    /* So that no page table is filled in a pause. Not for a plain file: it would make every page dirty. An older
     * kernel refuses; then the first store to each page is slower, and nothing else. */
    if (m->media.kind != NV_PLAIN_FILE && madvise(base, m->media.size, MADV_POPULATE_WRITE))
        flic_debug("nvram: '%s' is not pre-faulted: %s", path, strerror(errno));
    return 0;
}

static int new_mapped(int fd, struct mapped **ret_mapped, struct flic_err *err)
{
    struct mapped *m = calloc(1, sizeof(*m));

    if (!m)
        return flic_err_set(err, -ENOMEM, "open arena: out of memory");
    m->fd = fd;
    m->from = UINT64_MAX;
    (void)pthread_mutex_init(&m->lock, NULL);   /* cannot fail for a default mutex on Linux */
    *ret_mapped = m;
    return 0;
}

int nv_media_open(const char *path, struct nv_media **ret_media, struct flic_err *err)
{
    struct mapped *m = NULL;
    int fd = open_locked(path, 0, err);
    int rc;

    if (fd < 0)
        return fd;
    rc = new_mapped(fd, &m, err);
    if (rc) {
        (void)close(fd);    /* nothing was written through it */
        return rc;
    }
    rc = size_of(fd, path, &m->media, err);
    if (!rc)
        rc = map(m, path, err);
    if (rc) {
        nv_media_close(&m->media);
        return rc;
    }
    flic_debug("nvram: '%s' flushes with %s", path,
               m->media.kind == NV_PLAIN_FILE ? "msync (emulated)" : nv_cpu_flush_name());
    *ret_media = &m->media;
    return 0;
}

void nv_media_close(struct nv_media *media)
{
    struct mapped *m = mapped_of(media);

    if (!media)
        return;
    if (media->base)
        (void)munmap(media->base, media->size);     /* our own mapping */
    (void)close(m->fd);                             /* durability is the fences' business */
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

/* ---- creating ---- */

static int write_zeros(int fd, const char *path, uint64_t size, struct flic_err *err)
{
    enum { CHUNK = 1 << 20 };
    FLIC_AUTO_FREE void *zeros = calloc(1, CHUNK);
    int rc = zeros ? 0 : -ENOMEM;

    for (uint64_t at = 0; !rc && at < size; at += CHUNK)
        rc = flic_pwrite_all(fd, zeros, size - at < CHUNK ? (size_t)(size - at) : CHUNK, at);
    if (!rc && fsync(fd))
        rc = -errno;
    if (rc == -ENOSPC || rc == -EDQUOT)
        return flic_err_set(err, FLIC_E_NOSPACE, "no room for an arena of %llu MiB at '%s'",
                            (unsigned long long)(size >> 20), path);
    if (rc) {
        errno = -rc;
        return flic_err_errno(err, "write zeros to arena '%s'", path);
    }
    return flic_sync_parent(path, err);
}

static int check_content(struct mapped *m, const char *path, nv_media_check *check, struct flic_err *err)
{
    int rc;

    if (!m->media.size)
        return 0;       /* a new or empty file */
    rc = map(m, path, err);
    if (!rc)
        rc = check(m->media.base, m->media.size, path, err);
    return rc;
}

static int make_file(struct mapped *m, const char *path, uint64_t size, struct flic_err *err)
{
    int rc;

    if (m->media.base)
        (void)munmap(m->media.base, m->media.size);     /* our own mapping */
    m->media.base = NULL;
    if (size < m->media.size && ftruncate(m->fd, (off_t)size))
        return flic_err_errno(err, "shorten arena '%s'", path);
    rc = write_zeros(m->fd, path, size, err);
    if (rc)
        return rc;
    m->media.size = size;
    m->media.kind = NV_PLAIN_FILE;
    return map(m, path, err);
}

/* A plain file among the device nodes is memory that the next boot forgets; /dev/shm is no place for nodes, and says what it is. */
static int check_new_place(const char *path, struct flic_err *err)
{
    char copy[PATH_MAX];

    (void)snprintf(copy, sizeof(copy), "%s", path);
    FLIC_AUTO_FREE char *folder = realpath(dirname(copy), NULL);
    if (!folder || strncmp(folder, "/dev", 4) || (folder[4] && folder[4] != '/') ||
        (!strncmp(folder, "/dev/shm", 8) && (!folder[8] || folder[8] == '/')))
        return 0;       /* a folder that is not there is told when the file is made */
    return flic_err_set(err, FLIC_E_NVRAM, "there is no device '%s', and flicd makes no file among the devices: load its driver, or make the node with "
                        "'ndctl create-namespace --mode=devdax', and restart flicd", path);
}

int nv_media_create(const char *path, uint64_t size, nv_media_check *check, struct nv_media **ret_media,
                    struct flic_err *err)
{
    bool is_new = access(path, F_OK) != 0;
    struct mapped *m = NULL;
    int rc = is_new ? check_new_place(path, err) : 0;
    int fd = rc ? rc : open_locked(path, is_new && size ? O_CREAT | O_EXCL : 0, err);

    if (fd < 0)
        return fd;
    rc = new_mapped(fd, &m, err);
    if (rc)
        goto out;
    rc = size_of(fd, path, &m->media, err);
    if (!rc)
        rc = check_content(m, path, check, err);
    if (!rc && m->media.kind != NV_DEV_DAX)
        rc = make_file(m, path, size ? size : m->media.size, err);
    else if (!rc && size > m->media.size)
        rc = flic_err_set(err, FLIC_E_NVRAM, "'%s' has only %llu MiB", path,
                          (unsigned long long)(m->media.size >> 20));
    if (!rc)
        *ret_media = &m->media;

out:
    if (rc && is_new)
        (void)unlink(path);     /* the first error is the one to tell */
    if (rc && m)
        nv_media_close(&m->media);
    else if (rc)
        (void)close(fd);        /* nothing was written through it */
    return rc;
}

/* ---- the three calls ---- */

static void note(struct mapped *m, uint64_t at, uint64_t len)
{
    (void)pthread_mutex_lock(&m->lock);
    if (at < m->from)
        m->from = at;
    if (at + len > m->to)
        m->to = at + len;
    (void)pthread_mutex_unlock(&m->lock);
}

void nv_store(struct nv_media *media, uint64_t at, const void *data, size_t len)
{
    memcpy(media->base + at, data, len);
}

void nv_store_word(struct nv_media *media, uint64_t at, uint64_t word)
{
    __atomic_store_n((uint64_t *)(void *)(media->base + at), word, __ATOMIC_RELEASE);
}

void nv_stream(struct nv_media *media, uint64_t at, const void *data, size_t len)
{
    if (media->kind == NV_PLAIN_FILE) {
        memcpy(media->base + at, data, len);
        note(mapped_of(media), at, len);
    } else {
        nv_cpu_stream(media->base + at, data, len);
    }
}

/* The kernel's writeback makes a file's mapped pages read-only about every half minute, on DAX too: the first store to each
 * then faults, which takes several times as long as copying a page. */
void nv_expect(struct nv_media *media, uint64_t at, uint64_t len)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), from = at & ~(page - 1);

    if (media->kind != NV_PLAIN_FILE)
        (void)madvise(media->base + from, at + len - from, MADV_POPULATE_WRITE);    /* a hint: see map() */
}

void nv_flush(struct nv_media *media, uint64_t at, uint64_t len)
{
    if (media->kind == NV_PLAIN_FILE)
        note(mapped_of(media), at, len);
    else
        nv_cpu_flush(media->base + at, len);
}

void nv_drain(struct nv_media *media)
{
    if (media->kind != NV_PLAIN_FILE)   /* whose noted range is everyone's */
        nv_cpu_fence();
}

/* The lock is held over the msync: a thread whose range another thread's fence took must wait for that one. */
static int sync_noted(struct mapped *m)
{
    uint64_t from, to;
    int rc;

    (void)pthread_mutex_lock(&m->lock);
    from = m->from & ~(uint64_t)(LARGEST_PAGE - 1);
    to = m->to;
    m->from = UINT64_MAX;
    m->to = 0;
    if (!m->failed && from < to && msync(m->media.base + from, to - from, MS_SYNC))
        m->failed = -errno;
    rc = m->failed;
    (void)pthread_mutex_unlock(&m->lock);
    return rc;
}

int nv_fence(struct nv_media *media, struct flic_err *err)
{
    int rc;

    if (media->kind != NV_PLAIN_FILE) {
        nv_cpu_fence();
        return 0;
    }
    rc = sync_noted(mapped_of(media));
    if (!rc)
        return 0;
    errno = -rc;
    return flic_err_errno(err, "write to the arena");
}
