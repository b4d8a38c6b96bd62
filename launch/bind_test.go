package launch

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/devices/board"
)

func TestBindsAreChecked(t *testing.T) {
	b, err := board.Load("imx8mq-evk")
	require.NoError(t, err)
	importers, err := b.Importers()
	require.NoError(t, err)
	const vpu = "38300000.video-codec"
	for _, r := range []struct {
		specs []string
		want  string
	}{
		{[]string{""}, `bind "": expected NODE=DEVICE, as in /dev/video0=38300000.video-codec`},
		{[]string{"/dev/null"}, `bind "/dev/null": expected NODE=DEVICE, as in /dev/video0=38300000.video-codec`},
		{[]string{"=" + vpu}, `bind "=38300000.video-codec": expected NODE=DEVICE, as in /dev/video0=38300000.video-codec`},
		{[]string{"/dev/null="}, `bind "/dev/null=": expected NODE=DEVICE, as in /dev/video0=38300000.video-codec`},
		{[]string{"/dev/null=vpu"}, `bind "/dev/null=vpu": no device "vpu" on the board; it has ["30320000.lcd-controller" "38000000.gpu" ` +
			`"38300000.video-codec" "38310000.video-codec"]`},
		{[]string{"/no/such=" + vpu}, `bind "/no/such=38300000.video-codec": stat /no/such: no such file or directory: load the driver that ` +
			`makes the node (modprobe vivid makes a camera)`},
		{[]string{"/dev/null/x=" + vpu}, `bind "/dev/null/x=38300000.video-codec": stat /dev/null/x: not a directory`},
		{[]string{"/dev=" + vpu}, `bind "/dev=38300000.video-codec": /dev is no character device; give a driver's node, such as /dev/video0 or /dev/dri/card0`},
		{[]string{"/dev/null=" + vpu, "/dev/./null=" + vpu}, `bind "/dev/./null=38300000.video-codec": /dev/null is bound to 38300000.video-codec already; bind a node once`},
	} {
		_, err := parseBinds(r.specs, importers)
		assert.EqualError(t, err, r.want)
	}
	_, err = parseBinds([]string{"/dev/null=" + vpu}, nil)
	assert.EqualError(t, err, `bind "/dev/null=38300000.video-codec": no device "38300000.video-codec": the board has none; choose one that has with --board`)

	got, err := parseBinds([]string{"/dev/null=" + vpu, "/dev/zero=38000000.gpu"}, importers)
	require.NoError(t, err)
	assert.Equal(t, []bind{{"/dev/null", unix.Mkdev(1, 3), vpu}, {"/dev/zero", unix.Mkdev(1, 5), "38000000.gpu"}}, got)
	none, err := parseBinds(nil, nil)
	require.NoError(t, err)
	assert.Empty(t, none)
}
