/*
 * What a device file of heapfs understands: /dev/heapfs/DEVICE under `heapfs run`.
 *
 * Open it to play the device's driver: ATTACH takes a buffer of a heap by its descriptor and answers as a driver of the device's
 * class would, with the errno of a refusal or with the addresses that the device sees. docs/attach.md has the whole of it.
 */
#ifndef HEAPFS_H
#define HEAPFS_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The direction of the transfers, as in the kernel's enum dma_data_direction. */
#define HEAPFS_BIDIRECTIONAL	0
#define HEAPFS_TO_DEVICE	1
#define HEAPFS_FROM_DEVICE	2

/* Flags of HEAPFS_ATTACH. */
#define HEAPFS_ATTACH_ONLY	1	/* do not map: HEAPFS_MAP follows */

struct heapfs_attach {
	__u32 fd;		/* in: the buffer */
	__u32 dir;		/* in */
	__u64 attach_id;	/* out: from 1 */
	__u64 dma_addr;		/* out: the first address that the device sees */
	__u32 nsegs;		/* out: how many segments it sees, 0 if nothing is mapped */
	__u32 flags;		/* in */
};

struct heapfs_detach {
	__u64 attach_id;	/* in */
};

struct heapfs_map {
	__u64 attach_id;	/* in */
	__u32 dir;		/* in */
	__u32 flags;		/* in: 0 */
	__u64 dma_addr;		/* out */
	__u32 nsegs;		/* out */
	__u32 pad;
};

/*
 * ATTACH: EBADF for what is no descriptor, EINVAL for what is no buffer of this heapfs, else what the device's driver class says of a
 * buffer that does not suit it. The attachment keeps the buffer until DETACH, or until the last descriptor of this open device file
 * is closed.
 */
#define HEAPFS_ATTACH	_IOWR('h', 1, struct heapfs_attach)
#define HEAPFS_DETACH	_IOW('h', 2, struct heapfs_detach)
/* MAP: maps what ATTACH with HEAPFS_ATTACH_ONLY left unmapped. Once more with the same direction, it answers the same; with another EINVAL. */
#define HEAPFS_MAP	_IOWR('h', 3, struct heapfs_map)

/* What pread(2) gives at HEAPFS_SEGMENTS(attach_id), nsegs of them. */
struct heapfs_segment {
	__u64 addr;
	__u64 len;
};

#define HEAPFS_SEGMENTS(attach_id)	((__u64)(attach_id) << 32)

#endif
