package dtb

import (
	"slices"
	"strings"

	"github.com/heapfs/heapfs/devices/driver"
)

// Candidate is a node that may import buffers: it is enabled, and it has iommus, memory-region, or a compatible string of a media
// device.
type Candidate struct {
	Node *Node
	// Known is what its driver knows, nil for a device that is none for media.
	Known *driver.Knowledge
	// Class is what Known says, or a word for what is no media device: "usb", "network", "dma".
	Class string
}

// Candidates gives all of them in the order of the tree.
func (t *Tree) Candidates() []Candidate {
	var list []Candidate
	t.Root.enabled(func(n *Node) {
		if n.Parent == nil {
			return
		}
		c := n.Compatible()
		known := driver.Find(c)
		switch {
		case known != nil:
			list = append(list, Candidate{n, known, string(known.Class)})
		case n.Has("iommus") || n.Has("memory-region"):
			list = append(list, Candidate{n, nil, otherClass(n, c)})
		}
	})
	return list
}

// enabled calls each for the node and all below it that is enabled.
func (n *Node) enabled(each func(*Node)) {
	if !n.available() {
		return
	}
	each(n)
	for _, c := range n.Children {
		c.enabled(each)
	}
}

// others are the classes of devices that are none for media, told by words in the node's name or, failing that, in its compatible
// strings. The first that fits counts.
var others = []struct {
	class string
	words []string
}{
	{"part of a media device", []string{
		"vpu-core", "fcp", "mt8173-vpu", "hdr-engine", "mdp3-ovl", "wdma", "gmu", "host1x", "mdss", "display-subsystem", "display-engine",
		"video-firmware",
	}},
	{"firmware", []string{"scm", "tee", "firmware", "scp", "sysmgr", "zap-shader", "mba", "mpss", "metadata"}},
	{"remote processor", []string{"dsp", "fastrpc", "remoteproc", "rproc", "r5f", "pru", "m4f", "-pas", "-pil", "wpss", "wcnss", "mcu", "cm4", "cm7", "imx8mq-cm", "a57"}},
	{"usb", []string{"usb", "dwc3", "xhci", "ehci", "ohci"}},
	{"pci", []string{"pci"}},
	{"network", []string{"ethernet", "wifi", "wlan", "wcn", "ipa", "dpmac", "fsl-mc", "fman", "qman", "bman", "can@", "netsec", "xgmac", "mac@", "mtk-wed", "wed", "wo-"}},
	{"storage", []string{"mmc", "sdhci", "sdhi", "ufs", "sata", "ahci", "nand", "emmc", "esdhc", "sd@"}},
	{"crypto", []string{"crypto", "ccp", "caam", "qce", "cesa", "security", "safexcel", "jr@"}},
	{"audio", []string{"audio", "sound", "snd", "lpass", "hda", "slim-ngd", "i2s", "spdif", "q6", "sai", "afe", "apm", "dais", "aprs", "ahub", "adsp", "sof"}},
	{"dma", []string{"dma", "gpi"}},
	{"interface", []string{"geniqup", "spi", "i2c", "serial", "uart", "qspi"}},
	{"trace", []string{"etr", "etm", "tmc", "coresight", "catu"}},
	{"memory", []string{"smem", "rmtfs", "cmd-db", "ramoops", "sram", "pstore", "memshare"}},
	{"iommu", []string{"iommu", "smmu"}},
	{"watchdog", []string{"watchdog"}},
}

func otherClass(n *Node, compatible []string) string {
	for _, where := range []string{n.Name, strings.Join(compatible, " ")} {
		for _, o := range others {
			if slices.ContainsFunc(o.words, func(w string) bool { return strings.Contains(where, w) }) {
				return o.class
			}
		}
	}
	return "other"
}
