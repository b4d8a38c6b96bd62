package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// mirrorEnv names a Debian mirror where the machine's own package sources name none.
const mirrorEnv = "HEAPFS_VM_MIRROR"

var keyrings = []string{"/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"}

// apt runs apt's commands with lists, sources and a state of their own: nothing of the machine's is touched.
type apt struct {
	dir  string
	arch string // Debian's name of the packages' architecture: amd64
}

// packages downloads the newest packages of a kernel into dir.
func (a apt) packages(ctx context.Context, k Kernel, dir string) error {
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing: kernels are taken from Debian's packages; on another system put them into the cache by hand: %w", tool, err)
		}
	}
	mirrors, err := a.mirrors(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for _, mirror := range mirrors {
		names, err := a.newest(ctx, k, mirror)
		if err == nil {
			_, err = a.run(ctx, dir, "apt-get", append([]string{"-q", "download"}, names...)...)
		}
		if err == nil {
			return nil
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// mirrors are the Debian mirrors of the machine's sources. A source of another vendor may look the same; its signature won't.
func (a apt) mirrors(ctx context.Context) ([]string, error) {
	if mirror := os.Getenv(mirrorEnv); mirror != "" {
		return []string{mirror}, nil
	}
	cmd := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("apt-get indextargets: %w", err)
	}
	mirrors := debianMirrors(string(out))
	if len(mirrors) == 0 {
		return nil, fmt.Errorf("apt's sources name no Debian mirror: add one, or set %s to the address of one", mirrorEnv)
	}
	return mirrors, nil
}

var debianRelease = regexp.MustCompile(`^(bookworm|trixie|forky|duke|sid|oldstable|stable|testing|unstable)(-updates|-backports)?$`)

// debianMirrors reads lines of address, release and component. Security updates come from mirrors that have nothing else.
func debianMirrors(targets string) []string {
	var mirrors []string
	seen := map[string]bool{}
	for line := range strings.Lines(targets) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[2] == "main" && debianRelease.MatchString(fields[1]) && !seen[fields[0]] {
			seen[fields[0]] = true
			mirrors = append(mirrors, fields[0])
		}
	}
	return mirrors
}

// newest returns the packages of a kernel, as NAME=VERSION.
func (a apt) newest(ctx context.Context, k Kernel, mirror string) ([]string, error) {
	if err := a.update(ctx, mirror, k.Suite); err != nil {
		return nil, err
	}
	all, err := a.run(ctx, "", "apt-cache", "pkgnames", "linux-image-"+k.Version)
	if err != nil {
		return nil, err
	}
	names := kernelPackages(k.Version, a.arch, strings.Fields(all))
	if len(names) == 0 {
		return nil, fmt.Errorf("%s of %s has no linux-image-%s*-%s", k.Suite, mirror, k.Version, a.arch)
	}
	shown, err := a.run(ctx, "", "apt-cache", append([]string{"show"}, names...)...)
	if err != nil {
		return nil, err
	}
	best, err := newestOf(parseStanzas(shown), func(a, b string) bool {
		return exec.CommandContext(ctx, "dpkg", "--compare-versions", a, "gt", b).Run() == nil
	})
	if err != nil {
		return nil, err
	}
	return append([]string{best.name + "=" + best.version}, best.parts()...), nil
}

// update refreshes apt's lists of one suite.
func (a apt) update(ctx context.Context, mirror, suite string) error {
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, sub), 0o755); err != nil {
			return err
		}
	}
	keyring := ""
	for _, path := range keyrings {
		if exists(path) {
			keyring = path
			break
		}
	}
	if keyring == "" {
		return fmt.Errorf("%s is missing: apt-get install debian-archive-keyring", keyrings[0])
	}
	files := map[string]string{
		"sources.list": fmt.Sprintf("deb [arch=%s signed-by=%s] %s %s main\n", a.arch, keyring, mirror, suite),
		"status":       "",
		"apt.conf":     a.config(),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err := a.run(ctx, "", "apt-get", "-q", "update")
	return err
}

// config is read after the machine's own configuration (which may name a proxy) and takes out of it what would act on the
// machine: hooks.
func (a apt) config() string {
	return fmt.Sprintf(`#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::Etc::SourceList "%[1]s/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "%[1]s/state";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s/cache";
APT::Architecture "%[2]s";
APT::Architectures { "%[2]s"; };
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
`, a.dir, a.arch)
}

// run runs a command of apt in dir and returns its standard output.
func (a apt) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, append([]string{"-c", filepath.Join(a.dir, "apt.conf")}, args...)...)
	cmd.Dir = dir
	// apt speaks the user's language otherwise.
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	// apt's children (the methods that fetch) hold its output; a killed apt must not leave us waiting for them.
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), ctx.Err())
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, lastLines(stderr.String(), 3))
	}
	return string(out), nil
}
