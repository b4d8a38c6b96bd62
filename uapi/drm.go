package uapi

// The commands of DRM nodes that lead to a sync file (include/uapi/drm/drm.h, drm_mode.h). A driver takes arguments that are longer or
// shorter than its own.
const (
	// DRMSyncobjCreate makes a synchronisation object: _IOWR('d', 0xBF, struct drm_syncobj_create).
	DRMSyncobjCreate Cmd = 0xC00864BF
	// DRMSyncobjHandleToFD exports one: _IOWR('d', 0xC1, struct drm_syncobj_handle), without the point of Linux 6.16.
	DRMSyncobjHandleToFD Cmd = 0xC01064C1
	// DRMModeCreateDumb makes a buffer that can only be mapped and shown: _IOWR('d', 0xB2, struct drm_mode_create_dumb).
	DRMModeCreateDumb Cmd = 0xC02064B2
	// DRMPrimeHandleToFD exports a buffer as a dma-buf: _IOWR('d', 0x2D, struct drm_prime_handle).
	DRMPrimeHandleToFD Cmd = 0xC00C642D

	// DRMSyncobjCreateSignaled makes the object with a fence that has signalled.
	DRMSyncobjCreateSignaled = 1
	// DRMSyncobjExportSyncFile exports the object's fence as a sync file.
	DRMSyncobjExportSyncFile = 1
)
