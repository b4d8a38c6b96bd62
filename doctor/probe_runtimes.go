package doctor

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"time"
)

func probeRuntimes(ctx context.Context, _ host) []finding {
	return []finding{ociRuntime(ctx, "runc"), ociRuntime(ctx, "crun")}
}

// ociRuntime finds a runtime in PATH and lets it say its version.
func ociRuntime(ctx context.Context, name string) finding {
	path, err := exec.LookPath(name)
	if err != nil {
		return finding{Name: name, Detail: "not found in PATH"}
	}
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return finding{Name: name, Detail: path + " --version: " + reason(err)}
	}
	line, _, _ := strings.Cut(out.String(), "\n")
	return works(name, "%s: %s", path, strings.TrimSpace(line))
}
