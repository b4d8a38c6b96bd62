package integration

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The project's story in one screen: one client, one request, and what two boards give it.
func TestDemoTellsContiguousFromScattered(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{}, "demo")
		assert.Equal(t, 0, r.status)
		parts := regexp.MustCompile(`(?s)i\.MX 8M(.*)RK3399(.*)`).FindStringSubmatch(r.stdout)
		require.Len(t, parts, 3, "the demo shows both boards, i.MX 8M first")
		assert.Regexp(t, `\b(1|one) (contiguous )?extent\b`, parts[1])
		assert.Regexp(t, `\b([2-9]|[1-9]\d+) (scattered )?extents\b`, parts[2])
	})
}

// The demo's claim, without the demo: what a program gets for the video decoder of each board.
func TestDecoderNodeGivesWhatItsDeviceNeeds(t *testing.T) {
	tests := []struct {
		board, node string
		contiguous  bool
	}{
		{"imx8mq-evk", "38300000.video-codec", true},
		{"rk3399-rockpro64", "ff650000.video-codec", false},
		{"imx8mq-evk", "38000000.gpu", false}, // an MMU of its own
	}
	for _, tt := range tests {
		t.Run(tt.board+"/"+tt.node, func(t *testing.T) {
			legs(t, func(t *testing.T, who leg) {
				in := hold(t, who, []string{"--board", tt.board}, tt.node, 1920*1088*3/2, 1)
				var buffers []bufferAnswer
				in.outside(t, &buffers, "buffers")
				require.Len(t, buffers, 1)
				if tt.contiguous {
					assert.Len(t, buffers[0].Extents, 1)
				} else {
					assert.Greater(t, len(buffers[0].Extents), 1)
				}
				assert.Equal(t, 0, in.wait())
			})
		})
	}
}

func TestVersionAndCompletion(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		assert.Regexp(t, `^heapfs \S+`, heapfs(t, who, options{}, "version").stdout)
		for _, shell := range []string{"bash", "zsh", "fish"} {
			assert.Contains(t, heapfs(t, who, options{}, "completion", shell).stdout, "heapfs")
		}
	})
}

func TestDoctorSaysThatRunWorks(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{}, "doctor")
		assert.Equal(t, 0, r.status)
		assert.Contains(t, r.stdout, "run: works")
	})
}
