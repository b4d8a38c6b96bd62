package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/heapfs/heapfs/devices"
)

func newNegotiateCommand() *cobra.Command {
	var boardName, heapNames, size, image string
	var require []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "negotiate [--board B] [--json] [--size BYTES | --format WxH:FOURCC] [--require CAP]... DEVICE...",
		Short: "Say which heap of a board serves a set of devices, and why the others don't",
		Long: `negotiate finds the heaps that serve all the devices and chooses one: the choice, for each heap left out which
constraint of which device excluded it, and what the devices together ask of a buffer. The order of the devices changes
nothing. A set may also be written as one argument, A+B, as its node in /dev/dma_heap is called.

Size and segment limits count when --size or --format gives a length. --format computes pitch and size of an image too,
with the pitch that the devices ask for. docs/negotiation.md explains each constraint and how it merges.

Exit status: 0 with a choice, else 1.`,
		Example: `  heapfs negotiate --board imx8mq-evk 38300000.video-codec 30320000.lcd-controller 38000000.gpu
  heapfs negotiate --board rk3399-rockpro64 --format 1920x1080:NV12 ff660000.video-codec ff900000.vop`,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := loadBoard(boardName, heapNames)
			if err != nil {
				return fmt.Errorf("negotiate: %w", err)
			}
			p, err := b.Platform()
			if err != nil {
				return fmt.Errorf("negotiate: %w", err)
			}
			ask, err := parseAsk(size, image, require)
			if err != nil {
				return fmt.Errorf("negotiate: %w", err)
			}
			answer, err := p.Negotiate(deviceNames(&p, args), ask)
			if err != nil {
				return fmt.Errorf("negotiate: %w", explainDevices(err, &p, boardName, args))
			}
			if asJSON {
				err = writeState(cmd.OutOrStdout(), answer)
			} else {
				err = writeNegotiation(cmd.OutOrStdout(), answer)
			}
			if err == nil && answer.Choice == nil {
				return &exitError{code: 1} // the answer has said why
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&boardName, "board", "generic", "a built-in `board` (heapfs board list), or a board file: a path with a slash or ending in .yaml")
	addHeapNamesFlag(cmd, &heapNames)
	flags.BoolVar(&asJSON, "json", false, "print one JSON object, sizes and addresses in bytes")
	flags.StringVar(&size, "size", "", "judge a buffer of so many `bytes`: a number, or with KiB, MiB, GiB")
	flags.StringArrayVar(&require, "require", nil, "leave out heaps without this `capability`, may be repeated: "+joined(devices.Capabilities()))
	flags.StringVar(&image, "format", "", "judge a buffer for an `image`, as in 1920x1080:NV12, and say its pitch and size")
	return cmd
}

// joined lists words for a message.
func joined[T ~string](words []T) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = string(w)
	}
	return strings.Join(all, ", ")
}

// parseAsk reads --size, --format and --require.
func parseAsk(size, image string, require []string) (devices.Ask, error) {
	var ask devices.Ask
	for _, word := range require {
		c, err := devices.ParseCapability(word)
		if err != nil {
			return ask, fmt.Errorf("--require %w; use one of %s", err, joined(devices.Capabilities()))
		}
		ask.Require = append(ask.Require, c)
	}
	var err error
	switch {
	case size != "" && image != "":
		return ask, errors.New("--size and --format both say how long the buffer is; give one of them")
	case size != "":
		if ask.Size, err = devices.ParseBytes(size); err != nil {
			return ask, fmt.Errorf("--size: %w", err)
		}
		if ask.Size == 0 {
			return ask, errors.New("--size: 0 bytes are no buffer; give at least 1")
		}
	case image != "":
		ask.Image, err = devices.ParseImage(image)
		var unknown *devices.UnknownFormatError
		if errors.As(err, &unknown) {
			known := devices.FourCCs()
			return ask, fmt.Errorf("--format: %w%s; known are %s", err, suggest(unknown.FourCC, known), strings.Join(known, " "))
		}
		if err != nil {
			return ask, fmt.Errorf("--format: %w", err)
		}
	}
	return ask, nil
}

// deviceNames takes A+B for A and B, unless a device is called so.
func deviceNames(p *devices.Platform, args []string) []string {
	var names []string
	for _, arg := range args {
		if _, err := p.Set([]string{arg}); err == nil {
			names = append(names, arg)
		} else {
			names = append(names, strings.Split(arg, devices.SetSeparator)...)
		}
	}
	return names
}

// explainDevices adds to an error about the names of devices what is there instead.
func explainDevices(err error, p *devices.Platform, boardName string, args []string) error {
	known := make([]string, len(p.Devices))
	for i, d := range p.Devices {
		known[i] = d.Name
	}
	has := "it has " + strings.Join(known, " ")
	if len(known) == 0 {
		has = "it has no devices; choose one with --board (heapfs board list)"
	}
	switch {
	case errors.Is(err, devices.ErrNoDevices):
		return fmt.Errorf("%w: name at least one of board %s; %s", err, boardName, has)
	case errors.Is(err, devices.ErrUnknownDevice):
		hint := ""
		for _, name := range deviceNames(p, args) {
			if !slices.Contains(known, name) {
				hint = suggest(name, known)
				break
			}
		}
		return fmt.Errorf("%w on board %s%s; %s", err, boardName, hint, has)
	case errors.Is(err, devices.ErrSameDevice):
		return fmt.Errorf("%w; name each device once", err)
	}
	return err
}

func writeNegotiation(w io.Writer, r devices.Result) error {
	var b strings.Builder
	if r.Choice != nil {
		fmt.Fprintf(&b, "choice: %s\n", printable(*r.Choice))
	} else {
		b.WriteString("choice: none, no heap serves all\n")
	}
	b.WriteString("\nheaps by rank:\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, h := range r.Heaps {
		if h.Serves {
			fmt.Fprintf(t, "  %s\tserves\n", printable(h.Name))
		}
		for i, e := range h.ExcludedBy {
			name := ""
			if i == 0 {
				name = printable(h.Name)
			}
			by := e.Constraint
			if e.Device != "" {
				by = printable(e.Device) + " " + by
			}
			fmt.Fprintf(t, "  %s\texcluded\t%s:\t%s\n", name, by, e.Reason)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	b.WriteString("\ntogether the devices ask for:\n")
	for _, line := range mergedLines(&r.Merged) {
		fmt.Fprintf(t, "  %s\t%s\n", line[0], line[1])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if l := r.Merged.Layout; l != nil {
		fmt.Fprintf(&b, "\n%dx%d %s: %d bytes\n", l.Width, l.Height, l.Format, uint64(l.Size))
		for i, p := range l.Planes {
			fmt.Fprintf(t, "  plane %d\toffset %d\tpitch %d\t%d lines\n", i, uint64(p.Offset), uint64(p.Pitch), p.Lines)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// requiredTexts says what a required capability means to a program.
var requiredTexts = map[string]string{
	devices.RequiredContiguous: "physically one segment",
	devices.RequiredSync:       "DMA_BUF_IOCTL_SYNC around every access by the CPU",
	devices.RequiredNoCPU:      "no access by the CPU",
}

// mergedLines gives name and value of each constraint that there is.
func mergedLines(m *devices.Merged) [][2]string {
	var lines [][2]string
	add := func(name, value string) { lines = append(lines, [2]string{name, value}) }
	number := func(name string, n devices.Bytes) {
		if n != 0 {
			add(name, n.String())
		}
	}
	add("contiguous", map[bool]string{true: "yes", false: "no"}[m.Contiguous])
	if m.AddressRanges != nil {
		var all []string
		for _, r := range m.AddressRanges {
			all = append(all, fmt.Sprintf("%#x-%#x", uint64(r.Base), uint64(r.Base)+uint64(r.Size)-1))
		}
		add("addressRanges", orNone(all))
	}
	number("alignment", m.Alignment)
	number("pitchAlignment", m.PitchAlignment)
	number("maxPitch", m.MaxPitch)
	number("maxSize", m.MaxSize)
	if m.MaxSegments != 0 {
		add("maxSegments", fmt.Sprint(m.MaxSegments))
	}
	number("maxSegmentSize", m.MaxSegmentSize)
	number("segmentBoundary", m.SegmentBoundary)
	number("iommuGranule", m.IOMMUGranule)
	if m.Coherency != nil {
		var all []string
		for _, c := range m.Coherency {
			all = append(all, string(c))
		}
		add("coherency", orNone(all))
	}
	add("protected", string(m.Protected))
	number("size", m.Size)
	for _, r := range m.Required {
		add("required", r+": "+requiredTexts[r])
	}
	for _, c := range m.Conflicts {
		add("conflict", c.Constraint+": "+c.Reason)
	}
	return lines
}

func orNone(all []string) string {
	if len(all) == 0 {
		return "none in common"
	}
	return strings.Join(all, ", ")
}

// suggest gives `; did you mean "X"?` for the nearest of the known words, "" when none is near.
func suggest(word string, known []string) string {
	if len(word) > 255 {
		return "" // no name is that long
	}
	best, least := "", max(2, len(word)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is how many bytes have to be added, taken out or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
