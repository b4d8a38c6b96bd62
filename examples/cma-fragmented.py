"""Fills a CMA heap with buffers of 140 and 232 pages in turn, frees the small ones, and asks for 151 pages."""

import fcntl
import os
import struct

PAGE = 4096
ALLOC = 0xC0184800  # DMA_HEAP_IOCTL_ALLOC: _IOWR('H', 0, struct dma_heap_allocation_data)


def alloc(heap, pages):
    """The descriptor of a new buffer."""
    data = bytearray(struct.pack("QIIQ", pages * PAGE, 0, os.O_RDWR | os.O_CLOEXEC, 0))
    fcntl.ioctl(heap, ALLOC, data)
    return struct.unpack("QIIQ", data)[1]


def ask(heap, pages):
    try:
        os.close(alloc(heap, pages))
    except OSError as e:
        return e.strerror
    return "ok"


heap = os.open("/dev/dma_heap/default_cma_region", os.O_RDONLY | os.O_CLOEXEC)
small, large = [], []
for _ in range(11):
    small.append(alloc(heap, 140))
    large.append(alloc(heap, 232))
large.append(alloc(heap, 4))
print("4096 pages in use, 1 more:", ask(heap, 1))
for fd in small:
    os.close(fd)
print("%d pages free, 151 wanted:" % (140 * len(small)), ask(heap, 151))
print("%d pages free, 140 wanted:" % (140 * len(small)), ask(heap, 140))
