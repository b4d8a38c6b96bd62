package uapi_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/heapfs/heapfs/uapi"
)

func TestDRMCommandsAreWhatTheirStructsSay(t *testing.T) {
	assert.Equal(t, uapi.IOWR('d', 0xBF, 8), uapi.DRMSyncobjCreate)
	assert.Equal(t, uapi.IOWR('d', 0xC1, 16), uapi.DRMSyncobjHandleToFD)
	assert.Equal(t, uapi.IOWR('d', 0xB2, 32), uapi.DRMModeCreateDumb)
	assert.Equal(t, uapi.IOWR('d', 0x2D, 12), uapi.DRMPrimeHandleToFD)
}
