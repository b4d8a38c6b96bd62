package driver

// The base classes of PCI that matter here (include/linux/pci_ids.h), the upper byte of a class code of three.
const (
	pciDisplay    = 0x03
	pciMultimedia = 0x04
	pciSignal     = 0x11 // signal processing: some cameras' ISPs
	pciAccel      = 0x12 // processing accelerators
	pciAudio      = 0x01 // subclass of multimedia
	pciHDA        = 0x03 // subclass of multimedia
)

// The mask of a PCI device whose driver was not looked at; most GPUs reach more than a machine has.
const pciMaskBits = 40

// pci is what is known of display devices by vendor. All have an MMU of their own (GART, GTT, GMMU).
var pci = map[uint16]Knowledge{
	0x1002: {
		Class: GPU, Import: DRMShmem, OwnMMU: true, MaskBits: 44, PitchAlignment: 256,
		Source: "drivers/gpu/drm/amd/amdgpu/amdgpu_gem.c",
	},
	0x10de: {
		Class: GPU, Import: DRMShmem, OwnMMU: true, MaskBits: 40, PitchAlignment: 256,
		Source: "drivers/gpu/drm/nouveau/nouveau_display.c",
	},
	0x8086: {
		Class: GPU, Import: DRMShmem, OwnMMU: true, MaskBits: 39, PitchAlignment: 64,
		Source: "drivers/gpu/drm/i915/gem/i915_gem_create.c",
	},
	// virtio-gpu: the host reads guest memory by lists of pages.
	0x1af4: {Class: GPU, Import: DRMShmem, OwnMMU: true, MaskBits: 64, Source: "drivers/gpu/drm/virtio/virtgpu_prime.c"},
}

// FindPCI gives what is known of a PCI device by its vendor and its class code of 24 bits; nil for devices that are none for media.
// Sound is none: it imports no buffers.
func FindPCI(vendor uint16, class uint32) *Knowledge {
	sub := class >> 8 & 0xff
	switch class >> 16 {
	case pciDisplay:
		if k, ok := pci[vendor]; ok {
			return &k
		}
		return &Knowledge{Class: GPU, Import: DRMShmem, OwnMMU: true, MaskBits: pciMaskBits}
	case pciMultimedia:
		if sub == pciAudio || sub == pciHDA {
			return nil
		}
		return &Knowledge{Class: Camera, Import: VB2SG}
	case pciSignal:
		if vendor == 0x8086 { // the IPU of laptops
			return &Knowledge{Class: ISP, Import: VB2SG, MaskBits: 39, Source: "drivers/media/pci/intel/ipu6/ipu6.c"}
		}
		return nil
	case pciAccel:
		return &Knowledge{Class: NPU, Import: DRMShmem, OwnMMU: true, MaskBits: pciMaskBits}
	}
	return nil
}
