package integration

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The camera of integration/rootfs/virtual.yaml gives frames of this many pixels, NV12: a plane of luma, and one of chroma, half as wide
// and high, with two bytes a pixel.
const (
	frameWidth  = 160
	frameHeight = 120
	frameBytes  = frameWidth * frameHeight * 3 / 2
)

// frame is what the camera shows, made in ordinary memory: eight stripes of colour, shifted to the left by so many pixels. libcamera
// paints them in RGB and has libyuv convert them (BT.601, of limited range).
func frame(shift int) []byte {
	colours := [8][3]int{ // white, yellow, cyan, green, magenta, red, blue, black
		{255, 255, 255}, {255, 255, 0}, {0, 255, 255}, {0, 255, 0}, {255, 0, 255}, {255, 0, 0}, {0, 0, 255}, {0, 0, 0},
	}
	at := func(x int) [3]int { return colours[(x+shift)%frameWidth/(frameWidth/len(colours))] }
	var luma, chroma []byte
	for x := range frameWidth {
		c := at(x)
		luma = append(luma, byte((66*c[0]+129*c[1]+25*c[2]+0x1080)>>8))
	}
	for x := 0; x < frameWidth; x += 2 {
		a, b := at(x), at(x+1)
		red, green, blue := (a[0]+b[0]+1)/2, (a[1]+b[1]+1)/2, (a[2]+b[2]+1)/2
		chroma = append(chroma, byte((112*blue-74*green-38*red+0x8000)>>8), byte((112*red-94*green-18*blue+0x8000)>>8))
	}
	return append(bytes.Repeat(luma, frameHeight), bytes.Repeat(chroma, frameHeight/2)...)
}

// mediaRoot makes the root file system of the media programs, or finds it in the cache.
func mediaRoot(t *testing.T) string {
	t.Helper()
	requireRoot(t)
	cmd := exec.Command("rootfs/make.sh")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		skip(t, "the media programs can't be had: "+strings.TrimSpace(said.String()), "make deps; integration/rootfs/make.sh")
	}
	return strings.TrimSpace(string(out))
}

// media is a way to run programs of the root file system.
type media struct {
	root string
	own  string   // /tmp of the programs
	with []string // what shows them heaps, or nothing
}

// inRoot makes the caller's machine that of the programs.
const inRoot = `for d in dev proc sys; do mount --rbind /$d "$1/$d" || exit 99; done
mount --bind "$2" "$1/tmp" || exit 99
root=$1; shift 2
exec env HOME=/tmp GST_REGISTRY=/tmp/registry chroot "$root" "$@"`

// run runs a program to its end. libcamera 0.7.1 has two races of its own, whatever memory it has, and a run that shows one is made anew: the
// virtual pipeline may be stopped while its thread still works on a request (VirtualCameraData::processRequest), and then the program
// crashes; and lc-compliance counts a request after it was queued, on two threads (Capture::queueRequest), so that it may queue one too many
// where its limit is one more than there are buffers.
func (m media) run(t *testing.T, args ...string) result {
	t.Helper()
	const tries = 4
	inside := append([]string{"unshare", "--mount", "sh", "-c", inRoot, "sh", m.root, m.own}, args...)
	for try := 1; ; try++ {
		r := run(t, asRoot, options{timeout: 4 * time.Minute, stderrWanted: true}, append(m.with[:len(m.with):len(m.with)], inside...)...)
		crashed := r.status == -int(unix.SIGSEGV) || r.status == 128+int(unix.SIGSEGV)
		if !crashed && !miscounted(r.stdout) || try == tries {
			return r
		}
		t.Logf("%s lost a race with itself (crash: %v), try %d of %d", args[0], crashed, try, tries)
	}
}

// miscounted is whether lc-compliance has queued one request too many by its own count, and nothing else is wrong.
func miscounted(said string) bool {
	miscounts := strings.Count(said, "Value of: !queueLimit_ || queueCount_ <= *queueLimit_\n")
	return miscounts > 0 && miscounts == strings.Count(said, ": Failure\n")
}

func TestAMiscountIsToldFromOtherFailures(t *testing.T) {
	const (
		miscount = "capture.cpp:83: Failure\nValue of: !queueLimit_ || queueCount_ <= *queueLimit_\n  Actual: false\nExpected: true\n"
		other    = "capture.cpp:80: Failure\nExpected equality of these values:\n"
	)
	for said, want := range map[string]bool{
		"": false, miscount: true, miscount + miscount: true, other: false, miscount + other: false, other + miscount: false,
	} {
		assert.Equal(t, want, miscounted(said), said)
	}
}

// privateDev is a command's prefix that gives it a /dev with the heaps of dir, or none, and with what every program needs. Nothing of the
// machine's is changed.
func privateDev(dir string) []string {
	return []string{"unshare", "--mount", "sh", "-c",
		`mount -t tmpfs dev /mnt && mkdir /mnt/shm || exit 99
		for d in null zero urandom random; do touch /mnt/$d && mount --bind /dev/$d /mnt/$d || exit 99; done
		[ -z "$1" ] || { mkdir /mnt/dma_heap && mount --bind "$1" /mnt/dma_heap; } || exit 99
		mount --move /mnt /dev && shift && exec "$@"`, "sh", dir}
}

const (
	cameraName = "Virtual0"
	frames     = 4
)

var (
	camera   = []string{"cam", "--camera", cameraName, "--capture=4", "--file=/tmp/frame#"}
	pipeline = strings.Fields("gst-launch-1.0 -q --no-fault libcamerasrc camera-name=Virtual0 ! video/x-raw,format=NV12,width=160,height=120 ! " +
		"identity eos-after=5 ! filesink location=/tmp/stream")
	testSuite = []string{"lc-compliance", "--camera", cameraName}

	passedTest = regexp.MustCompile(`(?m)^\[       OK \] (\S+)`)
)

// passed are the names of the tests of lc-compliance that passed.
func passed(said string) []string {
	var names []string
	for _, found := range passedTest.FindAllStringSubmatch(said, -1) {
		names = append(names, found[1])
	}
	slices.Sort(names)
	return names
}

func TestMediaProgramsHaveNoFrameWithoutHeaps(t *testing.T) {
	t.Parallel()
	m := media{root: mediaRoot(t), own: ownDir(t), with: privateDev("")}
	r := m.run(t, camera...)
	assert.NotEqual(t, 0, r.status)
	assert.Contains(t, r.stderr, "Could not open any dma-buf provider")
	assert.Contains(t, r.stdout+r.stderr, "Can't allocate buffers")
	assert.NotEqual(t, 0, m.run(t, pipeline...).status)
	r = m.run(t, testSuite...)
	assert.NotEqual(t, 0, r.status)
	assert.Empty(t, passed(r.stdout))
}

// Every frame of unmodified media programs lies in a heap, and is what it would be in any other memory.
func TestMediaProgramsAllocateFromHeaps(t *testing.T) {
	text, err := os.ReadFile("rootfs/lc-compliance.txt")
	require.NoError(t, err)
	want := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(text)), "\n"), func(line string) bool { return strings.HasPrefix(line, "#") })
	slices.Sort(want)
	require.NotEmpty(t, want)
	for _, door := range []string{"run", "mount"} {
		t.Run(door, func(t *testing.T) {
			t.Parallel()
			m := media{root: mediaRoot(t), own: ownDir(t)}
			events := filepath.Join(ownDir(t), "events.jsonl")
			end := func() {}
			if door == "run" {
				m.with = []string{site.heapfs, "run", "--events", events, "--"}
			} else {
				served := mountHeaps(t, options{})
				events, end = served.events, func() { assert.Equal(t, 0, served.stop()) }
				m.with = privateDev(served.dir)
			}
			one := func(args ...string) result {
				r := m.run(t, args...)
				require.Equal(t, 0, r.status, r.stdout+r.stderr)
				if door == "run" { // its events end with it
					fromHeaps(t, readEvents(t, events))
				}
				return r
			}

			one(camera...)
			for i := range frames {
				name, err := filepath.Glob(filepath.Join(m.own, "frame*-00000"+string(rune('0'+i))))
				require.NoError(t, err)
				require.Len(t, name, 1)
				got, err := os.ReadFile(name[0])
				require.NoError(t, err)
				require.True(t, bytes.Equal(frame(i+1), got), "frame %d of cam", i)
			}
			one(pipeline...)
			stream, err := os.ReadFile(filepath.Join(m.own, "stream"))
			require.NoError(t, err)
			require.Len(t, stream, frames*frameBytes)
			for i := range frames {
				require.True(t, bytes.Equal(frame(i+1), stream[i*frameBytes:(i+1)*frameBytes]), "frame %d of gst-launch-1.0", i)
			}
			assert.Equal(t, want, passed(one(testSuite...).stdout))
			end()
			if door == "mount" {
				fromHeaps(t, readEvents(t, events))
			}
		})
	}
}

// fromHeaps: frames were allocated and freed, and each has its heap and its name in the events.
func fromHeaps(t *testing.T, lines []eventLine) {
	t.Helper()
	assert.Positive(t, count(lines, "alloc"))
	assert.Equal(t, count(lines, "alloc"), count(lines, "free"))
	assert.Equal(t, count(lines, "alloc"), count(lines, "set_name"))
	for _, line := range lines {
		switch line.Event {
		case "alloc":
			require.Equal(t, "linux,cma", line.Heap, "the first that libcamera looks for")
			require.GreaterOrEqual(t, line.Len, uint64(frameBytes))
		case "set_name":
			require.Contains(t, line.Name, "frame-")
		}
	}
}
