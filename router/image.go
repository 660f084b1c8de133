package router

import "strings"

// imageForms is an image reference as rules may name it: as given first, then
// normalized, in no more than five forms.
type imageForms struct {
	forms [5]string
	n     int
	// ends are the forms that another one ends with: what looks for a text
	// anywhere, or at the end, need not look at them.
	ends [5]bool
	// letters are those of all forms.
	letters uint64
}

func (f *imageForms) list() []string { return f.forms[:f.n] }

func (f *imageForms) add(s string) {
	for _, have := range f.forms[:f.n] {
		if have == s {
			return
		}
	}
	f.forms[f.n] = s
	f.n++
	f.letters |= lettersOf(s)
}

// formsOf normalizes as container tools do: no registry is docker.io, no
// repository path there is library/, and neither tag nor digest is the tag
// latest. What is no image reference, as with engines that have no images, is
// matched as given alone.
//
// "alpine" is also "docker.io/library/alpine:latest" and "alpine:latest"; an
// image with tag and digest also stands with either of them.
func formsOf(image string) imageForms {
	var f imageForms
	f.add(image)
	domain, path, tag, digest, ok := splitImage(image)
	if !ok {
		return f
	}
	if tag == "" && digest == "" {
		tag = ":latest"
	}
	full := image
	if len(image) != len(domain)+1+len(path)+len(tag)+len(digest) || !strings.HasPrefix(image, domain) {
		full = domain + "/" + path + tag + digest // of which most others are parts
	}
	f.add(full)
	if tag != "" && digest != "" {
		f.add(strings.TrimSuffix(full, digest))
		f.add(domain + "/" + path + digest)
	}
	if domain == dockerHub {
		f.add(strings.TrimPrefix(full[len(domain)+1:], "library/"))
	}
	for i, form := range f.list() {
		for _, other := range f.list() {
			f.ends[i] = f.ends[i] || len(other) > len(form) && strings.HasSuffix(other, form)
		}
	}
	return f
}

// match reports whether a pattern matches any form.
func (f *imageForms) match(p *Pattern) bool {
	inEnd := p.kind == patternSuffix || p.kind == patternWithin
	for i := range f.n {
		if !(inEnd && f.ends[i]) && p.match(f.forms[i]) {
			return true
		}
	}
	return false
}

const dockerHub = "docker.io"

// splitImage takes a reference apart; tag and digest keep the character that
// introduces them.
func splitImage(image string) (domain, path, tag, digest string, ok bool) {
	rest := image
	if i := strings.IndexByte(rest, '@'); i >= 0 {
		rest, digest = rest[:i], rest[i:]
		if !strings.Contains(digest, ":") {
			return "", "", "", "", false
		}
	}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.Contains(rest[i:], "/") {
		rest, tag = rest[:i], rest[i:]
		if tag == ":" {
			return "", "", "", "", false
		}
	}
	domain, path = dockerHub, rest
	if first, after, found := strings.Cut(rest, "/"); found && isRegistry(first) {
		domain, path = first, after
	}
	if domain == "index.docker.io" {
		domain = dockerHub
	}
	if domain == dockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return domain, path, tag, digest, isRepository(path)
}

// isRegistry tells a registry's host from the first part of a path.
func isRegistry(s string) bool {
	return s == "localhost" || strings.ContainsAny(s, ".:") || strings.ToLower(s) != s
}

// isRepository reports whether s is written as repository paths are: parts of
// lower-case letters, digits and separators.
func isRepository(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || !isAlphanumeric(part[0]) || !isAlphanumeric(part[len(part)-1]) {
			return false
		}
		for i := range len(part) {
			if c := part[i]; !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
				return false
			}
		}
	}
	return true
}

func isAlphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
