package vm

import (
	"errors"
	"regexp"
	"strings"
)

// stanza is a package as apt's index has it.
type stanza struct {
	name, version string
	depends       string
}

// kernelPackages returns those of names that are the plain kernel of a version: not rt, cloud or debug symbols.
func kernelPackages(version, arch string, names []string) []string {
	// 6.1.0-57-amd64, 6.12.117+deb12-amd64-unsigned, 7.3.4+deb13.1-amd64
	pattern := regexp.MustCompile(`^linux-image-` + regexp.QuoteMeta(version) + `[.+][^-]*(-[0-9]+)?-` + regexp.QuoteMeta(arch) + `(-unsigned)?$`)
	var fit []string
	for _, name := range names {
		if pattern.MatchString(name) {
			fit = append(fit, name)
		}
	}
	return fit
}

// parseStanzas reads what `apt-cache show` prints.
func parseStanzas(text string) []stanza {
	var all []stanza
	for block := range strings.SplitSeq(text, "\n\n") {
		var s stanza
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch key {
			case "Package":
				s.name = value
			case "Version":
				s.version = value
			case "Depends":
				s.depends = value
			}
		}
		if s.name != "" && s.version != "" {
			all = append(all, s)
		}
	}
	return all
}

// newestOf returns the stanza of the highest version; of two with the same, the signed one, as it is the one that people run.
func newestOf(all []stanza, newer func(a, b string) bool) (stanza, error) {
	var best stanza
	for _, s := range all {
		if best.name == "" || newer(s.version, best.version) || (s.version == best.version && len(s.name) < len(best.name)) {
			best = s
		}
	}
	if best.name == "" {
		return best, errors.New("apt shows none of the packages that it names")
	}
	return best, nil
}

var partName = regexp.MustCompile(`^(linux-(?:binary|modules)(?:-unsigned)?-\S+)(?: \(= ([^)]+)\))?`)

// parts returns the packages that a kernel is split into (from 7.x on), as NAME=VERSION.
func (s stanza) parts() []string {
	var parts []string
	for dep := range strings.SplitSeq(s.depends, ",") {
		if m := partName.FindStringSubmatch(strings.TrimSpace(dep)); m != nil {
			version := m[2]
			if version == "" {
				version = s.version
			}
			parts = append(parts, m[1]+"="+version)
		}
	}
	return parts
}
