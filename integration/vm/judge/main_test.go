package judge

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// modeEnv says what runs; tableEnv names a file to which the table of steps and their times is added.
const (
	modeEnv  = "HEAPFS_VM"
	tableEnv = "HEAPFS_VM_TABLE"
)

// full: all kernels and parts, not the smoke run's only. all: all mutants, too.
var full, all bool

func TestMain(m *testing.M) {
	switch mode := os.Getenv(modeEnv); mode {
	case "":
		fmt.Println("judge: needs virtual machines, so nothing is run here: make test-vm")
		os.Exit(0)
	case "smoke", "full", "all":
		full, all = mode != "smoke", mode == "all"
	default:
		fmt.Fprintf(os.Stderr, "judge: %s=%s: smoke, full or all\n", modeEnv, mode)
		os.Exit(2)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	defer func() { _ = os.RemoveAll(site.dir) }()
	if err := prepareSite(); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		return 1
	}
	status := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "judge: left behind:", err)
		status = 1
	}
	return status
}
