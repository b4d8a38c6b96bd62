package uapi_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/heapfs/heapfs/uapi"
)

func TestUdmabufRequestOfOneRange(t *testing.T) {
	cmd, arg := uapi.UdmabufRequest(7, []uapi.UdmabufRange{{Offset: 0x1_0000_2000, Size: 0x3000}})
	assert.Equal(t, uapi.UdmabufCreate, cmd)
	assert.Equal(t, cmd.Size(), len(arg))
	assert.Equal(t, []byte{
		7, 0, 0, 0, 1, 0, 0, 0,
		0, 0x20, 0, 0, 1, 0, 0, 0,
		0, 0x30, 0, 0, 0, 0, 0, 0,
	}, arg)
}

func TestUdmabufRequestOfAListKeepsTheOrder(t *testing.T) {
	cmd, arg := uapi.UdmabufRequest(7, []uapi.UdmabufRange{{Offset: 0x2000, Size: 0x1000}, {Offset: 0, Size: 0x2000}})
	assert.Equal(t, uapi.UdmabufCreateList, cmd)
	assert.Equal(t, 8, cmd.Size(), "the command has the size of the head")
	assert.Equal(t, []byte{
		1, 0, 0, 0, 2, 0, 0, 0,
		7, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0,
		7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0,
	}, arg)
}
