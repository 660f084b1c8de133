package daemon

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
)

// record is one line of the audit log.
type record struct {
	Time    string `json:"time"`
	Client  string `json:"client"`
	Kind    string `json:"kind"` // "user" or "certificate"
	UID     *int64 `json:"uid,omitempty"`
	Address string `json:"address,omitempty"`
	Access  string `json:"access,omitempty"`
	Verb    string `json:"verb"`
	Owner   string `json:"owner,omitempty"`
	Name    string `json:"name,omitempty"`
	Image   string `json:"image,omitempty"`
	Key     string `json:"key,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Backend string `json:"backend,omitempty"`
	ID      string `json:"id,omitempty"`
	// Outcome is ok, denied (access), rejected (a rule), unknown (a Create
	// that may have made an atom) or failed.
	Outcome string `json:"outcome"`
	Class   string `json:"class,omitempty"`
	Error   string `json:"error,omitempty"`
}

// audit is the audit log: a file of JSON lines. A nil one writes nothing.
type audit struct {
	log hclog.Logger

	mu     sync.Mutex
	file   *os.File
	closed bool
	told   time.Time
}

// openAudit opens the file, which others may not read, to add to it.
func openAudit(path string, log hclog.Logger) (*audit, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &audit{log: log, file: f}, nil
}

func (a *audit) close() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	return a.file.Close()
}

// write adds a line, and reports whether it was closed instead. Where it
// cannot, the daemon's own log tells; work goes on.
func (a *audit) write(r record) (closed bool) {
	if a == nil {
		return false
	}
	r.Time = time.Now().UTC().Format(time.RFC3339Nano)
	r.shorten()
	line, err := json.Marshal(r)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return true
	}
	if err == nil {
		_, err = a.file.Write(append(line, '\n'))
	}
	if err != nil && time.Since(a.told) > 10*time.Second {
		a.told = time.Now()
		a.log.Error("the audit log cannot be written", "error", err)
	}
	return false
}

// What a line keeps of each text that a client chose, and of an error.
const (
	maxAuditText  = 1 << 10
	maxAuditError = 4 << 10
)

// shorten bounds the line: a client may send texts of mebibytes.
func (r *record) shorten() {
	for _, text := range []*string{&r.Client, &r.Owner, &r.Name, &r.Image, &r.Key, &r.Backend, &r.ID} {
		*text = cut(*text, maxAuditText)
	}
	r.Error = cut(r.Error, maxAuditError)
}

func cut(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// of begins a record of what a client does.
func (c client) record(verb string) record {
	r := record{Client: c.name, Kind: "user", Address: c.address, Access: c.access, Verb: verb, Owner: c.owner}
	if c.certificate != nil {
		r.Kind = "certificate"
	} else {
		uid := int64(c.uid)
		r.UID = &uid
	}
	return r
}

// ended fills in how it went.
func (r *record) ended(err error) {
	r.Outcome = "ok"
	if err == nil {
		return
	}
	r.Outcome, r.Error, r.Class = "failed", err.Error(), className(err)
	var op *atom.OpError
	if errors.As(err, &op) {
		r.Error = op.Err.Error()
		if r.Backend == "" {
			r.Backend = op.Backend
		}
	}
	var rejected *atom.Rejection
	var unknown *atom.OutcomeUnknown
	switch {
	case errors.As(err, &rejected):
		r.Outcome, r.Rule = "rejected", rejected.Rule
	case errors.As(err, &unknown):
		r.Outcome, r.Key = "unknown", unknown.Key
	}
}

// className is an error's class in snake case: not_found, unavailable.
func className(err error) string {
	class := errdefs.Resolve(err)
	if class == nil {
		return "unknown"
	}
	return strings.ReplaceAll(class.Error(), " ", "_")
}

// without takes the values of env out of a text: an error may quote them.
func without(text string, env map[string]string) string {
	// Longer ones first: another value may be a part of them.
	names := slices.SortedFunc(maps.Keys(env), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(env[b]), len(env[a])), cmp.Compare(a, b))
	})
	for _, name := range names {
		value := env[name]
		if len(value) <= 2 {
			continue
		}
		quoted := strconv.Quote(value)
		for _, written := range []string{value, quoted[1 : len(quoted)-1]} {
			text = strings.ReplaceAll(text, written, "(value of "+name+")")
		}
	}
	return text
}
