package atom

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/atom-router/atom-router/atom/container"
)

// NewKey returns a random idempotency key, for creates whose caller gave none.
func NewKey() string { return strings.ToLower(rand.Text()) }

// NativeName is what the atom of an owner and Key is called on its backend:
// "atom-" and 26 lower-case base32 characters, a valid name on Docker and
// Kubernetes alike. That two Creates under one Key meet is owed to this name
// alone.
func NativeName(owner, key string) string {
	sum := sha256.Sum256([]byte(OwnerOr(owner) + "\x00" + key))
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
	return "atom-" + strings.ToLower(text[:26])
}

// hashVersion names the canonical form below. Another form needs another
// version, so that requests stored by an older release are not compared with
// it.
const hashVersion = "v1."

// Hash identifies the request as its caller sent it: Name, Image, Command and
// Spec, without what routers fill in. Engines store it with the atom and
// compare it when a Key comes again. Empty and nil collections are the same.
func (r *EngineCreateRequest) Hash() string {
	canonical := struct {
		Name, Image string
		Command     []string          `json:",omitempty"`
		Env         map[string]string `json:",omitempty"`
		WorkDir     string
		Mounts      []container.Mount `json:",omitempty"`
		Entrypoint  []string          `json:",omitempty"`
		User        string
		Resources   container.Resources
		Labels      map[string]string `json:",omitempty"`
		PullPolicy  container.PullPolicy
		StopTimeout int64
	}{
		r.Name, r.Image, r.Command, r.Spec.Env, r.Spec.WorkDir, r.Spec.Mounts, r.Spec.Entrypoint, r.Spec.User,
		r.Spec.Resources, r.Spec.Labels, r.Spec.PullPolicy, int64(r.Spec.StopTimeout),
	}
	// Strings, integers and finite floats always encode; Validate has
	// refused the others. Maps are written in key order.
	text, err := json.Marshal(canonical)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hashVersion + hex.EncodeToString(sum[:20])
}
