package daemon

import (
	"encoding/json"
	"os"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// Two teams of one daemon: each has its own atoms and does what it may.
func TestAccess(t *testing.T) {
	s := newSite(t)
	soon := time.Now().Add(time.Hour)
	ca := s.authority("ca")
	for file, name := range map[string]string{"server": "daemon", "a": "ci.team-a", "b": "ci.team-b", "reader": "dashboard", "c": "stranger"} {
		ca.sign(file, name, soon)
	}
	d := s.start(s.config(listenTCP, `
access "team-a" {
  certificates = ["*.team-a"]
  owner        = "team-a"
}
access "team-b" {
  certificates = ["*.team-b"]
  owner        = "team-b"
}
access "readers" {
  certificates = "dashboard"
  owner        = "team-a"
  verbs        = ["get", "list"]
}
rule "of-a" {
  when    = client.name == "ci.team-a" && client.owner == "team-a"
  backend = "host"
}
rule "broken" {
  when    = regex(env.SECRET, image) != ""
  backend = "host"
}
audit_log = "audit.jsonl"
`))
	a, b, reader := s.dial(s.far(d, "a", "ca")), s.dial(s.far(d, "b", "ca")), s.dial(s.far(d, "reader", "ca"))
	ctx := within(t)
	secret := map[string]string{"SECRET": "s3cr3t-value["}
	made, err := a.Create(&atom.EngineCreateRequest{Name: "n", Image: "none", Command: []string{"sleep", "60"}, Key: "k", Spec: container.Spec{Env: secret}})
	if err != nil {
		t.Fatal(err)
	}
	if rule := atom.InfoOf(made).Rule; rule != "of-a" {
		t.Errorf("the rule is %q, want that of client.name and client.owner", rule)
	}
	_, rejected := b.Create(&atom.EngineCreateRequest{Image: "none", Command: []string{"true"}, Spec: container.Spec{Env: secret}})
	if rejected == nil || strings.Contains(rejected.Error(), "s3cr3t") {
		t.Errorf("got error %v, want a rejection without the value of env", rejected)
	}
	denied := func(what string, err error, want string) {
		t.Helper()
		if !errdefs.IsPermissionDenied(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want PermissionDenied with %q", what, err, want)
		}
	}
	missing := func(what string, err error) {
		t.Helper()
		if !errdefs.IsNotFound(err) {
			t.Errorf("%s another owner's atom: got error %v, want NotFound", what, err)
		}
	}
	id := made.ID()
	_, err = b.Get(&atom.EngineGetRequest{ID: id, Context: ctx})
	missing("getting", err)
	_, err = b.Wait(&atom.EngineWaitRequest{ID: id, Context: ctx})
	missing("waiting for", err)
	_, err = b.Logs(&atom.EngineLogsRequest{ID: id, Context: ctx})
	missing("reading", err)
	missing("stopping", b.Stop(&atom.EngineStopRequest{ID: id, Force: true, Context: ctx}))
	missing("deleting", b.Delete(&atom.EngineDeleteRequest{ID: id, Force: true, Context: ctx}))
	if list, err := b.List(&atom.EngineListRequest{Context: ctx}); err != nil || len(list) != 0 {
		t.Errorf("another owner's list: got %v and %v, want none", list, err)
	}
	if list, err := reader.List(&atom.EngineListRequest{Context: ctx}); err != nil || len(list) != 1 {
		t.Errorf("the reader's list: got %v and %v, want one", list, err)
	}
	denied("a reader's stop", reader.Stop(&atom.EngineStopRequest{ID: id, Context: ctx}), `access "readers" does not let certificate "dashboard"`)
	_, err = a.Reload(ctx)
	denied("a reload without the verb", err, "reload")
	_, err = b.List(&atom.EngineListRequest{Owner: "team-a", Context: ctx})
	denied("asking for another owner", err, `gives certificate "ci.team-b"`)
	stranger := s.dial(s.far(d, "c", "ca"))
	_, err = stranger.List(&atom.EngineListRequest{Context: ctx})
	denied("a stranger's list", err, `no access block lets certificate "stranger"`)
	if err := a.Stop(&atom.EngineStopRequest{ID: id, Force: true, Context: ctx}); err != nil {
		t.Error(err)
	}
	if err := a.Delete(&atom.EngineDeleteRequest{ID: id, Context: ctx}); err != nil {
		t.Error(err)
	}

	text, err := os.ReadFile(s.path("audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "s3cr3t") {
		t.Errorf("the audit log has a value of env:\n%s", text)
	}
	var got []record
	for line := range strings.Lines(string(text)) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, err := time.Parse(time.RFC3339Nano, r.Time); err != nil {
			t.Error(err)
		}
		got = append(got, r)
	}
	teamA := record{Client: "ci.team-a", Kind: "certificate", Access: "team-a", Owner: "team-a"}
	teamB := record{Client: "ci.team-b", Kind: "certificate", Access: "team-b", Owner: "team-b"}
	line := func(r record, verb, outcome, class string, more func(*record)) record {
		r.Verb, r.Outcome, r.Class = verb, outcome, class
		if more != nil {
			more(&r)
		}
		return r
	}
	of := func(r *record) { r.Backend, r.ID = "host", id }
	want := []record{
		line(teamA, "create", "ok", "", func(r *record) { of(r); r.Name, r.Image, r.Key, r.Rule = "n", "none", "k", "of-a" }),
		line(teamB, "create", "rejected", "permission_denied", func(r *record) { r.Image, r.Rule = "none", "broken" }),
		line(teamB, "stop", "failed", "not_found", of),
		line(teamB, "delete", "failed", "not_found", of),
		line(record{Client: "dashboard", Kind: "certificate", Access: "readers", Owner: "team-a"}, "stop", "denied", "permission_denied", nil),
		line(teamA, "reload", "denied", "permission_denied", nil),
		line(teamB, "list", "denied", "permission_denied", nil),
		line(record{Client: "stranger", Kind: "certificate"}, "list", "denied", "permission_denied", nil),
		line(teamA, "stop", "ok", "", of),
		line(teamA, "delete", "ok", "", of),
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(record{}, "Time", "Address", "Error")); diff != "" {
		t.Errorf("the audit log (-want +got):\n%s", diff)
	}
}

// A user of this machine is known by its number and its name.
func TestAccessOfUsers(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{me.Uid, me.Username} {
		s := newSite(t)
		s.start(s.config(s.listen(), `access "me" {`+"\n  users = \""+who+"\"\n  owner = \"mine\"\n}"))
		if _, err := s.dial(s.endpoint()).List(&atom.EngineListRequest{Owner: "mine", Context: within(t)}); err != nil {
			t.Errorf("user %s: %v", who, err)
		}
	}
	s := newSite(t)
	s.start(s.config(s.listen(), "access \"other\" {\n  users = \"nobody-here\"\n  certificates = \"*\"\n  owner = \"o\"\n}"))
	if _, err := s.dial(s.endpoint()).List(&atom.EngineListRequest{Context: within(t)}); !errdefs.IsPermissionDenied(err) {
		t.Errorf("got error %v, want PermissionDenied", err)
	}
}

// What another user could read of the audit log they cannot.
func TestAuditLogIsPrivate(t *testing.T) {
	s := newSite(t)
	s.start(s.config(s.listen(), `audit_log = "audit.jsonl"`))
	info, err := os.Stat(s.path("audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %#o, want 0600", info.Mode().Perm())
	}
}
