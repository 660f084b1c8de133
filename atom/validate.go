package atom

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom/container"
)

// Limits of what a request may hold. They are far above what jobs need and
// below what backends and the wire can carry.
const (
	MaxIDBytes  = 1024
	MaxKeyBytes = 1024
	// MaxRequestBytes bounds the text of a whole EngineCreateRequest.
	MaxRequestBytes = 32 << 20
)

// Validate reports everything about r that no backend could honour, as
// *FieldErrors joined: all are InvalidArgument. Routers call it before they
// choose, and engines before they create.
func (r *EngineCreateRequest) Validate() error {
	var v validator
	v.text("name", r.Name)
	v.required("image", r.Image)
	if strings.TrimSpace(r.Image) != r.Image || strings.HasPrefix(r.Image, "-") {
		v.add("image", "%q is not an image reference: it begins or ends with a blank, or begins with '-'", r.Image)
	}
	for i, arg := range r.Command {
		v.text(fmt.Sprintf("command[%d]", i), arg)
	}
	v.key("key", r.Key)
	v.owner("owner", r.Owner)
	v.text("rule", r.Rule)
	v.spec(r.Spec)
	if v.size > MaxRequestBytes {
		v.add("request", "holds %d bytes of text; at most %d", v.size, MaxRequestBytes)
	}
	return v.err()
}

// ValidateID reports what no ID of any engine can be: empty, overlong, or
// holding control characters or invalid UTF-8.
func ValidateID(id string) error {
	switch {
	case id == "":
		return &FieldError{"id", "is empty"}
	case len(id) > MaxIDBytes:
		return &FieldError{"id", fmt.Sprintf("is %d bytes long; at most %d (it begins %q)", len(id), MaxIDBytes, cut(id, 32))}
	case !utf8.ValidString(id) || strings.ContainsFunc(id, isControl):
		return &FieldError{"id", fmt.Sprintf("%q holds control characters or invalid UTF-8", cut(id, 64))}
	}
	return nil
}

// ValidateOwner reports an owner that no backend could keep: owners are
// Kubernetes label values. "" is DefaultOwner and valid.
func ValidateOwner(owner string) error {
	var v validator
	v.owner("owner", owner)
	return v.err()
}

// ValidateKey reports an idempotency key that is too long or not text. "" is
// valid and stands for a new key.
func ValidateKey(key string) error {
	var v validator
	v.key("key", key)
	return v.err()
}

// validator collects what is wrong with a request.
type validator struct {
	errs []error
	size int
}

func (v *validator) add(field, format string, args ...any) {
	v.errs = append(v.errs, &FieldError{field, fmt.Sprintf(format, args...)})
}

func (v *validator) err() error {
	if len(v.errs) == 1 {
		return v.errs[0]
	}
	if len(v.errs) == 0 {
		return nil
	}
	return &classified{class: errdefs.ErrInvalidArgument, err: errors.Join(v.errs...)}
}

// text checks what has to travel to a process or a label: UTF-8 without NUL.
func (v *validator) text(field, s string) {
	v.size += len(s)
	switch {
	case !utf8.ValidString(s):
		v.add(field, "%q is not valid UTF-8", cut(s, 64))
	case strings.ContainsRune(s, 0):
		v.add(field, "%q holds a NUL byte", cut(s, 64))
	}
}

func (v *validator) required(field, s string) {
	if s == "" {
		v.add(field, "is required")
		return
	}
	v.text(field, s)
	if strings.ContainsFunc(s, isControl) {
		v.add(field, "%q holds control characters", cut(s, 64))
	}
}

func (v *validator) key(field, s string) {
	if len(s) > MaxKeyBytes {
		v.add(field, "is %d bytes long; at most %d", len(s), MaxKeyBytes)
		return
	}
	v.text(field, s)
}

func (v *validator) owner(field, s string) {
	if s != "" && !isLabelName(s) {
		v.add(field, "%q is not an owner: 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends", cut(s, 80))
	}
}

func (v *validator) spec(s container.Spec) {
	for _, k := range slices.Sorted(maps.Keys(s.Env)) {
		field := fmt.Sprintf("spec.env[%q]", cut(k, 64))
		switch {
		case k == "":
			v.add(field, "a variable's name is empty")
		case strings.Contains(k, "="):
			v.add(field, "a variable's name cannot hold '='")
		}
		v.text(field, k)
		v.value(field, s.Env[k])
	}
	v.absolute("spec.workdir", s.WorkDir, false)
	targets := make(map[string]int, len(s.Mounts))
	for i, m := range s.Mounts {
		v.mount(fmt.Sprintf("spec.mounts[%d]", i), m)
		target := path.Clean(m.Target)
		if first, ok := targets[target]; ok {
			v.add(fmt.Sprintf("spec.mounts[%d].target", i), "%q is the target of spec.mounts[%d] too", m.Target, first)
		} else {
			targets[target] = i
		}
	}
	for i, arg := range s.Entrypoint {
		v.text(fmt.Sprintf("spec.entrypoint[%d]", i), arg)
	}
	if len(s.Entrypoint) > 0 && s.Entrypoint[0] == "" {
		v.add("spec.entrypoint[0]", "names no program")
	}
	v.text("spec.user", s.User)
	v.resources(s.Resources)
	v.labels(s.Labels)
	switch s.PullPolicy {
	case "", container.PullIfNotPresent, container.PullAlways, container.PullNever:
	default:
		v.add("spec.pull_policy", "%q is none of if-not-present, always, never", cut(string(s.PullPolicy), 64))
	}
	if s.StopTimeout < 0 {
		v.add("spec.stop_timeout", "%v is negative", s.StopTimeout)
	}
}

// value is text whose content is never shown: values of env may be secrets.
func (v *validator) value(field, s string) {
	v.size += len(s)
	switch {
	case !utf8.ValidString(s):
		v.add(field, "its value is not valid UTF-8")
	case strings.ContainsRune(s, 0):
		v.add(field, "its value holds a NUL byte")
	}
}

func (v *validator) mount(field string, m container.Mount) {
	v.absolute(field+".target", m.Target, true)
	switch m.Type {
	case container.MountTypeBind:
		v.absolute(field+".source", m.Source, true)
	case container.MountTypeVolume:
		v.text(field+".source", m.Source)
		if m.Source == "" {
			v.add(field+".source", "a volume mount needs the volume's name")
		} else if strings.ContainsAny(m.Source, "/:\\") {
			v.add(field+".source", "%q is no volume name; for a path use type bind", cut(m.Source, 64))
		}
	case container.MountTypeTmpfs:
		if m.Source != "" {
			v.add(field+".source", "a tmpfs mount has no source, got %q", cut(m.Source, 64))
		}
	default:
		v.add(field+".type", "%q is none of bind, volume, tmpfs", cut(string(m.Type), 64))
	}
}

func (v *validator) absolute(field, p string, required bool) {
	v.text(field, p)
	switch {
	case p == "" && required:
		v.add(field, "is required")
	case p != "" && !path.IsAbs(p):
		v.add(field, "%q is not an absolute path", cut(p, 64))
	case p == "/" && strings.HasSuffix(field, ".target"):
		v.add(field, "cannot be the root directory")
	}
}

func (v *validator) resources(r container.Resources) {
	if math.IsNaN(r.CPU) || math.IsInf(r.CPU, 0) || r.CPU < 0 {
		v.add("spec.resources.cpu", "%v is not a number of cores", r.CPU)
	}
	if r.Memory < 0 {
		v.add("spec.resources.memory", "%d is negative", r.Memory)
	}
	if r.GPUs < 0 {
		v.add("spec.resources.gpus", "%d is negative", r.GPUs)
	}
}

// isLabelName reports whether s is a Kubernetes label value other than "", or
// the name part of a label's key: 1 to 63 letters, digits, '-', '_' and '.',
// the first and the last a letter or digit
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/).
//
// It is no regular expression, as the next is none: such a one is compiled
// when a program starts, these in a millisecond, and every program that knows
// atoms would begin with that.
func isLabelName(s string) bool {
	return hasEnds(s, 63) && !strings.ContainsFunc(s, func(r rune) bool { return !isAlnum(r) && r != '-' && r != '_' && r != '.' })
}

// isLabelPrefix reports whether s is the DNS subdomain that may stand before
// the name and a '/'.
func isLabelPrefix(s string) bool {
	return hasEnds(s, 253) && !strings.ContainsFunc(s, func(r rune) bool { return (!isAlnum(r) || 'A' <= r && r <= 'Z') && r != '-' && r != '.' })
}

// hasEnds reports whether s has 1 to most bytes and is alphanumeric at both
// ends.
func hasEnds(s string, most int) bool {
	return s != "" && len(s) <= most && isAlnum(rune(s[0])) && isAlnum(rune(s[len(s)-1]))
}

func isAlnum(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func (v *validator) labels(labels map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		field := fmt.Sprintf("spec.labels[%q]", cut(k, 64))
		prefix, name, found := strings.Cut(k, "/")
		if !found {
			prefix, name = "", k
		}
		switch {
		case k == Label || strings.HasPrefix(k, Label+".") || strings.HasPrefix(k, Label+"/"):
			v.add(field, "labels under %q are reserved", Label)
		case !isLabelName(name) || found && !isLabelPrefix(prefix):
			v.add(field, "is not a label key: [prefix/]name, the name 1 to 63 letters, digits, '-', '_' or '.' with a letter or digit at both ends")
		}
		v.text(field, labels[k])
	}
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// cut shortens what an error message quotes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
